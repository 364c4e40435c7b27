// Proves that the tarball depends on what is committed alone: two clean checkouts, in folders of different names, under
// different umasks, time zones and languages, are built and packed, and give the same bytes.
//
//   node scripts/check-reproducible.mjs       the commit that is checked out; what is not committed does not count
//
// Binaries in prebuilds/, if any, are taken as they are: `npm run prebuild` says whether those are reproducible.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { pack } from './pack.mjs'
import { root, unpack } from './tarball.mjs'

const circumstances = [
  { folder: 'a', umask: 0o022, env: { TZ: 'UTC', LC_ALL: 'C' } },
  { folder: 'another/b', umask: 0o002, env: { TZ: 'Asia/Tokyo', LC_ALL: 'C.UTF-8' } },
]

const directory = mkdtempSync(join(tmpdir(), 'millrace-reproducible-'))
try {
  const tarballs = circumstances.map(buildAndPack)
  const digests = tarballs.map((file) =>
    createHash('sha512').update(readFileSync(file)).digest('hex'),
  )
  if (digests[0] === digests[1]) {
    console.log(`two checkouts, one tarball: sha512 ${digests[0]}`)
  } else {
    for (const sentence of differences(tarballs)) console.error(`reproducible: ${sentence}`)
    process.exitCode = 1
  }
} finally {
  rmSync(directory, { recursive: true })
}

function buildAndPack({ folder, umask, env }) {
  const checkout = join(directory, folder)
  process.umask(umask)
  Object.assign(process.env, env)
  const run = (command, ...args) =>
    execFileSync(command, args, { cwd: checkout, stdio: ['ignore', 'ignore', 'inherit'] })
  execFileSync('git', ['clone', '--quiet', root, checkout])
  symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'))
  if (existsSync(join(root, 'prebuilds')))
    cpSync(join(root, 'prebuilds'), join(checkout, 'prebuilds'), { recursive: true })
  run('npm', 'run', '--silent', 'build:ts')
  return pack(checkout, join(directory, 'packed', folder), { incomplete: true }).file
}

/** Which files differ; if none does, it is how they were packed. */
function differences(tarballs) {
  const [first, second] = tarballs.map((file, index) => {
    const { files } = unpack(file, join(directory, 'unpacked', String(index)))
    return new Map(files.map(({ name, path, mode }) => [name, { bytes: readFileSync(path), mode }]))
  })
  const sentences = []
  for (const name of new Set([...first.keys(), ...second.keys()])) {
    const [a, b] = [first.get(name), second.get(name)]
    if (a === undefined || b === undefined) sentences.push(`${name} is in one of them only`)
    else if (!a.bytes.equals(b.bytes)) sentences.push(`${name} differs`)
    else if (a.mode !== b.mode) sentences.push(`${name} has two modes`)
  }
  return sentences.length > 0 ? sentences : ['the same files, packed differently']
}
