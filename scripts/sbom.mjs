// Writes sbom.cdx.json, the bill of materials that is packed with the library (CycloneDX 1.5): what npm installs with
// it, as package-lock.json has it, and the binaries that are in prebuilds/ now, by their digests.
//
// `npm sbom` is not used: it names the folder it runs in, the time and a random number, and leaves out node-gyp-build,
// because a development tool depends on that, too. Here the same input gives the same bytes.
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import process from 'node:process'
import { prebuilds, root } from './tarball.mjs'

/** Packages whose code is in dist/demo, with those that they need. */
export const bundled = ['fast-png']

/** The bill for what lies in `directory`. */
export function billOfMaterials(directory, lockDirectory = directory) {
  const read = (path) => JSON.parse(readFileSync(path, 'utf8'))
  const { name, version, description, license, author, dependencies } = read(
    join(directory, 'package.json'),
  )
  const { packages } = read(join(lockDirectory, 'package-lock.json'))
  const installed = withDependencies([...Object.keys(dependencies), ...bundled], packages)
  const binaries = prebuilds.filter((file) => existsSync(join(directory, file)))

  const self = `${name}@${version}`
  const bill = {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      component: {
        'bom-ref': self,
        type: 'library',
        name,
        version,
        author,
        description,
        licenses: [{ license: { id: license } }],
        purl: `pkg:npm/${name}@${version}`,
      },
    },
    components: [
      ...installed.map(([dependency, locked]) => libraryComponent(dependency, locked)),
      ...binaries.map((file) => fileComponent(file, readFileSync(join(directory, file)))),
    ],
    dependencies: [
      { ref: self, dependsOn: [...installed.map(referenceOf), ...binaries].sort() },
      ...installed.map((entry) => ({
        ref: referenceOf(entry),
        dependsOn: Object.keys(entry[1].dependencies ?? {})
          .map((dependency) => referenceOf([dependency, packages[`node_modules/${dependency}`]]))
          .sort(),
      })),
    ],
  }
  return { serialNumber: serialNumberOf(bill), ...bill }
}

/** What is installed with the package or part of it, by name, each with its entry in the lock file. */
function withDependencies(names, packages) {
  const found = new Map()
  const queue = [...names]
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (found.has(name)) continue
    const locked = packages[`node_modules/${name}`]
    if (locked === undefined) throw new Error(`package-lock.json has no ${name}: run npm install`)
    found.set(name, locked)
    queue.push(...Object.keys(locked.dependencies ?? {}))
  }
  return [...found].sort(([a], [b]) => (a < b ? -1 : 1))
}

const referenceOf = ([name, { version }]) => `${name}@${version}`

function libraryComponent(name, { version, license, integrity }) {
  const [algorithm, digest] = integrity.split('-')
  if (algorithm !== 'sha512') throw new Error(`${name} is locked by ${algorithm}`)
  return {
    'bom-ref': `${name}@${version}`,
    type: 'library',
    name,
    version,
    scope: 'required',
    hashes: [{ alg: 'SHA-512', content: Buffer.from(digest, 'base64').toString('hex') }],
    licenses: [{ license: { id: license } }],
    purl: `pkg:npm/${name}@${version}`,
  }
}

function fileComponent(name, bytes) {
  const content = createHash('sha256').update(bytes).digest('hex')
  return { 'bom-ref': name, type: 'file', name, hashes: [{ alg: 'SHA-256', content }] }
}

/** A UUID (RFC 9562, version 8) of the content: another bill, another number, and the same for the same. */
function serialNumberOf(bill) {
  const bytes = createHash('sha256').update(JSON.stringify(bill)).digest().subarray(0, 16)
  bytes[6] = (bytes[6] & 0x0f) | 0x80
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  const hex = bytes.toString('hex')
  const groups = [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20)]
  return `urn:uuid:${groups.join('-')}-${hex.slice(20)}`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const bill = billOfMaterials(root)
  writeFileSync(join(root, 'sbom.cdx.json'), `${JSON.stringify(bill, null, 2)}\n`)
}
