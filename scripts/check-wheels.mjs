// Reads wheels back and judges them: node scripts/check-wheels.mjs [--complete] [--any-library] FILE…
//
// Names, tags and the version, which is that of package.json everywhere; exactly the files of python/src; the hashes of RECORD; sizes;
// and the library inside: for which machine it is, what it needs, that it offers the functions of millrace.h and no other. --complete:
// there is one of each platform. --any-library: a library that this machine's compiler made, which may be larger and need more.
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { crc32 } from 'node:zlib'

import { version } from './build-capi.mjs'
import { root } from './native-build.mjs'
import { judgeCapi } from './prebuild-capi.mjs'

/** The tag of each target that has a wheel. */
export const platforms = {
  'linux-x64-glibc': 'manylinux_2_17_x86_64',
  'linux-arm64-glibc': 'manylinux_2_17_aarch64',
  'linux-x64-musl': 'musllinux_1_1_x86_64',
  'linux-arm64-musl': 'musllinux_1_1_aarch64',
  'darwin-x64': 'macosx_11_0_x86_64',
  'darwin-arm64': 'macosx_11_0_arm64',
}

export const wheelName = (platform) => `millrace-${version}-py3-none-${platform}.whl`

/** Files of the package that wheels bring. */
export const isPacked = (file) => /\.pyi?$|^py\.typed$/.test(file)

/** The most bytes of a wheel with a library as it ships; those of this machine have what debuggers read. */
const limit = 900_000

/** Names and bytes of an archive whose files are stored as they are. */
function entriesOf(archive) {
  const end = archive.length - 22
  if (end < 0 || archive.readUInt32LE(end) !== 0x06054b50) throw new Error('it is no zip archive')
  const entries = new Map()
  let at = archive.readUInt32LE(end + 16)
  for (let left = archive.readUInt16LE(end + 10); left > 0; left--) {
    if (archive.readUInt32LE(at) !== 0x02014b50) throw new Error('its directory is broken')
    const [method, sum, size] = [
      archive.readUInt16LE(at + 10),
      archive.readUInt32LE(at + 16),
      archive.readUInt32LE(at + 24),
    ]
    const nameLength = archive.readUInt16LE(at + 28)
    const name = archive.toString('utf8', at + 46, at + 46 + nameLength)
    const header = archive.readUInt32LE(at + 42)
    const from = header + 30 + archive.readUInt16LE(header + 26) + archive.readUInt16LE(header + 28)
    const content = archive.subarray(from, from + size)
    if (method !== 0) throw new Error(`${name} is compressed`)
    if (crc32(content) !== sum) throw new Error(`${name} is damaged`)
    if (entries.has(name)) throw new Error(`${name} is there twice`)
    entries.set(name, content)
    at += 46 + nameLength + archive.readUInt16LE(at + 30) + archive.readUInt16LE(at + 32)
  }
  return entries
}

/** What is wrong with a wheel. */
export function judgeWheel(path, { anyLibrary = false } = {}) {
  const name = basename(path)
  const target = Object.keys(platforms).find((one) => wheelName(platforms[one]) === name)
  if (target === undefined) {
    const names = Object.values(platforms).map(wheelName)
    return [`it is called ${name}; names are ${names.join(', ')}`]
  }
  const archive = readFileSync(path)
  let entries
  try {
    entries = entriesOf(archive)
  } catch (error) {
    return [error.message]
  }
  const faults = []
  const expect = (what, found, wanted) => {
    if (found !== wanted) faults.push(`${what} is ${found}, not ${wanted}`)
  }
  const library = target.startsWith('darwin') ? 'libmillrace.dylib' : 'libmillrace.so'
  const info = `millrace-${version}.dist-info`
  const sources = join(root, 'python/src/millrace')
  const wanted = [
    ...[...readdirSync(sources).filter(isPacked), library].map((file) => `millrace/${file}`),
    ...['LICENSE', 'METADATA', 'RECORD', 'WHEEL'].map((file) => `${info}/${file}`),
  ]
  for (const file of wanted) if (!entries.has(file)) faults.push(`${file} is missing`)
  for (const file of entries.keys()) if (!wanted.includes(file)) faults.push(`${file} is surplus`)
  if (faults.length > 0) return faults

  for (const file of wanted) {
    const source = join(sources, basename(file))
    const packed = file.startsWith('millrace/') && file !== `millrace/${library}`
    if (packed && !entries.get(file).equals(readFileSync(source)))
      faults.push(`${file} is not that of python/src`)
  }
  const field = (file, key) =>
    new RegExp(`^${key}: (.*)$`, 'm').exec(entries.get(`${info}/${file}`).toString())?.[1]
  expect('Name in METADATA', field('METADATA', 'Name'), 'millrace')
  expect('Version in METADATA', field('METADATA', 'Version'), version)
  const [, description = ''] = entries
    .get(`${info}/METADATA`)
    .toString()
    .split(/\n\n(.*)/s)
  if (description !== readFileSync(join(root, 'python/README.md'), 'utf8'))
    faults.push('METADATA does not end with python/README.md')
  expect('Tag in WHEEL', field('WHEEL', 'Tag'), `py3-none-${platforms[target]}`)
  expect('Root-Is-Purelib in WHEEL', field('WHEEL', 'Root-Is-Purelib'), 'false')
  judgeRecord(entries, `${info}/RECORD`, faults)
  const content = entries.get(`millrace/${library}`)
  if (!content.includes(Buffer.from(`${version}\0`)))
    faults.push(`${library} does not say that it is ${version}`)
  for (const fault of judgeCapi(target, content, { anyLibrary }))
    faults.push(`${library}: ${fault}`)
  if (!anyLibrary && archive.length > limit)
    faults.push(`it has ${archive.length} bytes; the limit is ${limit}`)
  return faults
}

function judgeRecord(entries, path, faults) {
  const lines = entries.get(path).toString().trimEnd().split('\n')
  const stated = new Map(lines.map((line) => line.split(/,(.*)/s)))
  for (const [name, content] of entries) {
    const hash = createHash('sha256').update(content).digest('base64url')
    const wanted = name === path ? ',' : `sha256=${hash},${content.length}`
    if (stated.get(name) !== wanted) faults.push(`RECORD has something else of ${name}`)
  }
  if (stated.size !== entries.size) faults.push('RECORD names files that are not there')
}

function main() {
  const { values, positionals } = parseArgs({
    options: { complete: { type: 'boolean' }, 'any-library': { type: 'boolean' } },
    allowPositionals: true,
  })
  const faults = positionals.flatMap((path) =>
    judgeWheel(path, { anyLibrary: values['any-library'] === true }).map(
      (fault) => `${basename(path)}: ${fault}`,
    ),
  )
  if (values.complete === true) {
    const there = new Set(positionals.map((path) => basename(path)))
    const missing = Object.values(platforms)
      .map(wheelName)
      .filter((name) => !there.has(name))
    for (const name of missing) faults.push(`${name} is missing`)
  }
  if (positionals.length === 0) faults.push('no wheel was named')
  for (const fault of faults) console.error(fault)
  if (faults.length > 0) process.exitCode = 1
  else console.log(`${positionals.length} wheels of ${version} are as they should be`)
}

if (process.argv[1] === import.meta.filename) main()
