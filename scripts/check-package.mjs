// Judges the tarball that users would get: what is in it and what is not, its size, its types, its source maps, its bill
// of materials.
//
//   node scripts/check-package.mjs                     packs what is built now, and judges that
//   node scripts/check-package.mjs --tarball FILE      judges FILE
//   … --complete                                       with all binaries; most machines build but their own, or none
//   … --release                                        as it must be to be published: complete, and with an address
import { Buffer } from 'node:buffer'
import { execFileSync, spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, posix, resolve } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { pack } from './pack.mjs'
import { deadLinks } from './packed-links.mjs'
import { billOfMaterials } from './sbom.mjs'
import { prebuilds, root, unpack } from './tarball.mjs'

const { values: options } = parseArgs({
  options: {
    tarball: { type: 'string' },
    complete: { type: 'boolean', default: false },
    release: { type: 'boolean', default: false },
  },
})

/** The budgets of CONTRIBUTING.md. */
const largestWithout = 8_100_000
const largestPrebuild = 680_000
/** With all binaries. */
const largestPackage = 13_000_000

/** Every file has a reason to be there. */
const expected = [
  /^(?:package\.json|README\.md|LICENSE|ARCHITECTURE\.md|CHANGELOG\.md|SECURITY\.md|sbom\.cdx\.json)$/,
  /^dist\/(?:dashboard|gateway|index|net|net-conformance|recording|remote|resilience|rpc|streams|struct|sync|telemetry|topics|work)\.(?:js|d\.ts|d\.ts\.map)$/,
  /^dist\/errors\.d\.ts(?:\.map)?$/,
  /^dist\/(?!cjs\/|cli\/)(?:[a-z-]+\/)+[a-z-]+\.d\.ts(?:\.map)?$/,
  /^dist\/cjs\/(?:dashboard|gateway|index|net|net-conformance|recording|remote|resilience|rpc|streams|struct|sync|telemetry|topics|work|shared)\.js(?:\.map)?$/,
  /^dist\/cjs\/(?:cell|frames|select|rings|ring-records|fill|fill-from|fill-loan|group|hand-over|latency|pipeline-streams|python-module|spans|traced(?:-(?:calls|topics|work))?|(?:record|value)-(?:consumer|producer)|value-writer)\.js(?:\.map)?$/,
  /^dist\/cjs\/(?:addresses|amqp|grpc|kafka|many-calls|nats|proto|redis|search|life-facts|load-failure|own-timers|zeromq)\.js(?:\.map)?$/,
  /^dist\/cjs\/package\.json$/,
  /^dist\/cjs\/(?:[a-z-]+\/)*[a-z-]+\.d\.ts$/,
  /^dist\/cli\/[a-z-]+\.js$/,
  /^dist\/demo\/(?:[a-z]+|chunk-[A-Z0-9]+)\.js$/,
  /^dist\/demo\/LICENSES\.txt$/,
  /^dist\/page\/(?:index\.html|page\.css|page\.js|icon\.svg|LICENSES\.txt)$/,
  /^lib\/(?!cli\/).*\.ts$/,
  /^native\/(?:binding\.gyp|addon\.cpp)$/,
  /^native\/(?:addon|include)\/.*\.(?:cpp|hpp)$/,
  /^prebuilds\/[a-z0-9]+-[a-z0-9]+\/millrace(?:\.[a-z0-9]+)*\.node$/,
  /^proto\/millrace\.proto$/,
  /^docs\/[A-Za-z-]+\.md$/,
  /^examples\/(?:README\.md|[a-z-]+\/[a-z]+\.ts|(?:feed|transport|two-hosts|video|vision)\/README\.md)$/,
  /^examples\/gateway\/(?:Dockerfile|compose\.yaml|gateway\.yaml|millrace-gateway\.service)$/,
  /^examples\/monitoring\/(?:rules|rules-test)\.yaml$/,
  /^examples\/supervised\/(?:Dockerfile|compose\.yaml|kubernetes\.yaml|orders\.(?:mjs|service))$/,
  /^examples\/monitoring\/grafana\.json$/,
  /^examples\/cpp\/(?:CMakeLists\.txt|README\.md|[a-z_]+\.(?:cpp|hpp))$/,
  /^examples\/(?:feed|vision)\/[a-z]+\.(?:cpp|py)$/,
  /^examples\/python\/[a-z_]+\.(?:cpp|py)$/,
]

/** Named besides, because somebody may widen what is expected. */
const forbidden = [
  /(?:^|\/)\.(?!$)/,
  /(?:^|\/)(?:node_modules|test|tests|coverage|build|build-native|out|scripts|bench|model|fuzz|smoke|site)\//,
  /(?:^|\/)(?:package-lock\.json|tsconfig.*|.*\.config\.(?:js|mjs|ts))$/,
  /\.test(?:-d)?\.[a-z]+$/,
  /\.(?:env|pem|key|crt|log|tgz|gz|zip|o|a|so|dylib|exe|tsbuildinfo|orig|rej|swp)$|~$/,
]

const findings = []
const notes = []
const find = (sentence) => findings.push(sentence)

const directory = mkdtempSync(join(tmpdir(), 'millrace-package-'))
try {
  const tarball =
    options.tarball === undefined
      ? pack(root, directory, { incomplete: true }).file // what is missing, checkSizes says
      : resolve(options.tarball)
  const { folder, files } = unpack(tarball, join(directory, 'unpacked'))
  const names = new Set(files.map(({ name }) => name))
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))

  checkNames(files)
  checkContents(files)
  checkSizes(files, names)
  checkManifest(manifest, names)
  checkSourceMaps(files, names)
  checkDeclarations(files, names)
  checkLinks(files, names)
  checkBill(folder, names)
  checkLock()
  runTool('publint', ['--strict', tarball])
  runTool('attw', ['--no-color', '--no-emoji', tarball])

  const size = files.reduce((sum, file) => sum + file.size, 0)
  for (const note of notes) console.log(note)
  console.log(`${files.length} files, ${(size / 1e6).toFixed(2)} MB unpacked`)
} finally {
  rmSync(directory, { recursive: true })
}

for (const finding of findings) console.error(`package: ${finding}`)
if (findings.length > 0) process.exitCode = 1

function checkNames(files) {
  const tracked = existsSync(join(root, '.git'))
    ? new Set(execFileSync('git', ['ls-files'], { cwd: root, encoding: 'utf8' }).split('\n'))
    : undefined
  for (const { name, mode, isFile } of files) {
    if (!isFile) find(`${name} is not a file`)
    if (!expected.some((pattern) => pattern.test(name))) find(`${name} is not expected`)
    if (forbidden.some((pattern) => pattern.test(name))) find(`${name} must not be packed`)
    const generated = /^(?:dist\/|prebuilds\/|sbom\.cdx\.json$)/.test(name)
    if (tracked !== undefined && !generated && !tracked.has(name))
      find(`${name} is not under version control`)
    if (((mode & 0o111) !== 0) !== (name === 'dist/cli/main.js'))
      find(`${name} has mode ${(mode & 0o777).toString(8)}`)
  }
}

/** Neither secrets nor the machine it was built on. */
function checkContents(files) {
  const places = [root, homedir()].filter((place) => place.length > 2)
  for (const { name, path } of files) {
    const bytes = readFileSync(path)
    const words = [
      '-----BEGIN',
      '_authToken',
      ...(/^(?:dist|prebuilds)\//.test(name) ? places : []),
    ]
    for (const word of words) {
      if (bytes.includes(Buffer.from(word))) find(`${name} contains '${word}'`)
    }
  }
}

function checkSizes(files, names) {
  const missing = prebuilds.filter((file) => !names.has(file))
  const say = options.complete || options.release ? find : (sentence) => notes.push(sentence)
  for (const file of missing) say(`${file} is missing`)
  for (const { name, size } of files) {
    if (!name.startsWith('prebuilds/')) continue
    if (!prebuilds.includes(name)) find(`${name} is not one of the ${prebuilds.length} binaries`)
    if (size > largestPrebuild) find(`${name} has ${size} bytes, the limit is ${largestPrebuild}`)
  }
  const total = files.reduce((sum, { size }) => sum + size, 0)
  if (total > largestPackage) find(`${total} bytes unpacked, the limit is ${largestPackage}`)
  const without = files.reduce(
    (sum, { name, size }) => (name.startsWith('prebuilds/') ? sum : sum + size),
    0,
  )
  if (without > largestWithout)
    find(`${without} bytes unpacked without binaries, the limit is ${largestWithout}`)
}

function checkManifest(manifest, names) {
  const targets = []
  const collect = (value) => {
    if (typeof value === 'string') targets.push(value)
    else if (value !== null && typeof value === 'object') Object.values(value).forEach(collect)
  }
  collect([manifest.main, manifest.types, manifest.exports, manifest.typesVersions, manifest.bin])
  for (const target of targets) {
    if (!names.has(posix.normalize(target)))
      find(`package.json leads to ${target}, which is not packed`)
  }
  // Package managers ask their users about any of these, or tell them what they did not run.
  for (const key of ['scripts', 'gypfile', 'devDependencies', 'imports']) {
    if (manifest[key] !== undefined) find(`package.json has "${key}"`)
  }
  if (names.has('binding.gyp')) find('a binding.gyp at the top is taken for an install script')
  if (options.release && manifest.repository?.url === undefined)
    find('package.json names no "repository", and without one npm publishes no provenance')
}

/** Every map leads to sources in the package, every file to its map, and no map is alone. */
function checkSourceMaps(files, names) {
  const used = new Set()
  for (const { name, path } of files) {
    if (!/^dist\/.*\.(?:js|d\.ts)$/.test(name)) continue
    const url = /\n\/\/# sourceMappingURL=(.+)\s*$/.exec(readFileSync(path, 'utf8'))?.[1]
    if (url === undefined) continue
    const map = posix.join(posix.dirname(name), url)
    used.add(map)
    if (!names.has(map)) find(`${name} names the map ${url}, which is not packed`)
  }
  for (const { name, path } of files) {
    if (!name.endsWith('.map')) continue
    if (!used.has(name)) find(`${name} belongs to no file`)
    const { sources, sourceRoot = '' } = JSON.parse(readFileSync(path, 'utf8'))
    if (sources.length === 0) find(`${name} names no source`)
    for (const source of sources) {
      const target = posix.join(posix.dirname(name), sourceRoot, source)
      if (!names.has(target)) find(`${name} names the source ${source}, which is not packed`)
    }
  }
}

/** What a declaration imports from beside it is there, too. */
function checkDeclarations(files, names) {
  for (const { name, path } of files) {
    if (!name.endsWith('.d.ts')) continue
    for (const [, specifier] of readFileSync(path, 'utf8').matchAll(
      /(?:from|import\()\s*'(\.[^']+)'/g,
    )) {
      const target = posix.join(posix.dirname(name), specifier.replace(/\.js$/, '.d.ts'))
      if (!names.has(target)) find(`${name} imports ${specifier}, which is not packed`)
    }
  }
}

/** What a page links to is in the package, or elsewhere; see packed-links.mjs. */
function checkLinks(files, names) {
  for (const { name, path } of files) {
    if (!name.endsWith('.md')) continue
    for (const address of deadLinks(readFileSync(path, 'utf8'), name, names))
      find(`${name} links to ${address}, which is not packed`)
  }
}

function checkBill(folder, names) {
  if (!names.has('sbom.cdx.json')) return find('sbom.cdx.json is missing: npm run tarball')
  const packed = readFileSync(join(folder, 'sbom.cdx.json'), 'utf8')
  // Of the packed binaries and manifest, with the lock file that npm never packs.
  const bill = billOfMaterials(folder, root)
  if (packed !== `${JSON.stringify(bill, null, 2)}\n`)
    find('sbom.cdx.json does not describe this package: npm run tarball')
}

/** Where a package was fetched from is the business of who installs it. */
function checkLock() {
  if (readFileSync(join(root, 'package-lock.json'), 'utf8').includes('"resolved"'))
    find('package-lock.json has "resolved" addresses')
}

function runTool(name, args) {
  const program = join(root, 'node_modules', '.bin', name)
  const { status, stdout, stderr } = spawnSync(program, args, {
    cwd: dirname(args.at(-1)),
    encoding: 'utf8',
  })
  if (status !== 0) find(`${name}:\n${stdout}${stderr}`)
}
