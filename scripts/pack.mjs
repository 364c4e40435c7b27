// Packs the package: npm run tarball [-- --incomplete] [--destination FOLDER]
//
// The one way to a tarball, for releases, checks and the smoke test alike. What is packed is not the repository but a
// folder that is staged for it, for package.json differs: the repository's has scripts, one of which ("prepare") compiles,
// and package managers offer to run or to approve such things, or warn of them. Users get a package.json without scripts
// and a package without a binding.gyp at its top, so that there is nothing to ask them.
//
// `npm pack` and `npm publish` in the repository are refused by the script "prepack", which is this with --refuse.
import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { withLiveLinks } from './packed-links.mjs'
import { webAddress } from './changelog.mjs'
import { billOfMaterials } from './sbom.mjs'
import { prebuilds, root } from './tarball.mjs'

/**
 * Packs what is built in `directory`; nothing is built or run. npm itself writes no times, owners or directory order
 * into a tarball, so the same files give the same bytes.
 * @param {{ incomplete?: boolean }} options `incomplete`: also without some of the binaries; refused otherwise
 * @returns {{ file: string, size: number, unpackedSize: number, entryCount: number }}
 */
export function pack(directory, destination, { incomplete = false } = {}) {
  assertBuilt(directory, incomplete)
  mkdirSync(destination, { recursive: true })
  const staging = mkdtempSync(join(tmpdir(), 'millrace-pack-'))
  try {
    stage(directory, staging)
    const [packed] = npmPack(staging, '--pack-destination', resolve(destination))
    const { filename, size, unpackedSize, entryCount } = packed
    return { file: join(destination, filename), size, unpackedSize, entryCount }
  } finally {
    rmSync(staging, { recursive: true })
  }
}

function assertBuilt(directory, incomplete) {
  if (!existsSync(join(directory, 'dist/index.js')))
    throw new Error('there is no dist/ to pack: npm run build:ts')
  const missing = prebuilds.filter((name) => !existsSync(join(directory, name)))
  if (missing.length === 0 || incomplete) return
  throw new Error(
    `${missing.length} of ${prebuilds.length} binaries are missing (${missing.join(', ')}): make them with ` +
      'npm run prebuild, or, to pack without them, npm run tarball -- --incomplete',
  )
}

/** Puts what belongs into the package, by "files" of package.json, into `staging`. */
function stage(directory, staging) {
  const [{ files }] = npmPack(directory, '--dry-run')
  for (const { path, mode } of files) {
    const copy = join(staging, path)
    mkdirSync(dirname(copy), { recursive: true })
    copyFileSync(join(directory, path), copy)
    // Linkers make binaries executable; what comes out of another job's artifact is not.
    chmodSync(copy, prebuilds.includes(path) ? 0o644 : mode)
  }
  const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'))
  const names = new Set(files.map(({ path }) => path))
  const where = { repository: webAddress(manifest), version: manifest.version }
  for (const page of [...names].filter((name) => name.endsWith('.md'))) {
    const text = readFileSync(join(directory, page), 'utf8')
    writeFileSync(join(staging, page), withLiveLinks(text, page, names, where))
  }
  const write = (name, content) =>
    writeFileSync(join(staging, name), `${JSON.stringify(content, undefined, 2)}\n`)
  write('package.json', published(manifest))
  write('sbom.cdx.json', billOfMaterials(directory))
}

/** package.json without what serves the repository alone. */
function published(manifest) {
  const own = ['scripts', 'devDependencies', 'imports', 'gypfile']
  return Object.fromEntries(Object.entries(manifest).filter(([key]) => !own.includes(key)))
}

function npmPack(cwd, ...options) {
  const printed = execFileSync('npm', ['pack', '--ignore-scripts', '--json', ...options], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  // An array in npm 11, an object keyed by name in npm 12.
  return Object.values(JSON.parse(printed))
}

function main() {
  const { values } = parseArgs({
    options: {
      incomplete: { type: 'boolean', default: false },
      destination: { type: 'string', default: root },
      refuse: { type: 'boolean', default: false },
    },
  })
  if (values.refuse) {
    throw new Error(
      'the repository itself is not packed or published: its package.json has scripts that users must not be asked ' +
        'about. Make the tarball with npm run tarball; publish that file: npm publish ./millrace-VERSION.tgz',
    )
  }
  const { file, size, unpackedSize, entryCount } = pack(root, values.destination, values)
  console.log(`${file}: ${entryCount} files, ${size} bytes, ${unpackedSize} bytes unpacked`)
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  try {
    main()
  } catch (error) {
    console.error(`millrace: ${error.message}`)
    process.exitCode = 1
  }
}
