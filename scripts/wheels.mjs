// Wheels of the Python package, one for each platform, with the library inside: npm run wheels
// [-- [--from FOLDER] [--to FOLDER] target...]
//
// Takes the libraries of `npm run cross:capi`, which it makes where they are missing, or those in FOLDER, and writes wheels/. The same
// sources give the same bytes: entries are sorted, stored without compression, and dated 1980. Each is read back and judged
// (check-wheels.mjs). `npm run prebuild` makes libraries and wheels anew.
import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { crc32 } from 'node:zlib'

import { version } from './build-capi.mjs'
import { isPacked, judgeWheel, platforms, wheelName } from './check-wheels.mjs'
import { root } from './native-build.mjs'
import { prebuildCapi } from './prebuild-capi.mjs'

const sources = join(root, 'python/src/millrace')
const folder = join(root, 'wheels')

/** Makes the wheel of a target, and returns its path. */
function makeWheel(target, { from, to = folder }) {
  const platform = platforms[target]
  const library = platform.startsWith('macosx') ? 'libmillrace.dylib' : 'libmillrace.so'
  const info = `millrace-${version}.dist-info`
  const entries = new Map()
  for (const file of readdirSync(sources)) {
    if (isPacked(file)) {
      entries.set(`millrace/${file}`, readFileSync(join(sources, file)))
    }
  }
  entries.set(
    `millrace/${library}`,
    readFileSync(join(from ?? join(root, 'build-capi', target, 'lib'), library)),
  )
  entries.set(`${info}/METADATA`, text(metadata()))
  entries.set(
    `${info}/WHEEL`,
    text([
      'Wheel-Version: 1.0',
      'Generator: millrace',
      'Root-Is-Purelib: false',
      `Tag: py3-none-${platform}`,
    ]),
  )
  entries.set(`${info}/LICENSE`, readFileSync(join(root, 'LICENSE')))
  const record = [...entries].map(([name, content]) => {
    const hash = createHash('sha256').update(content).digest('base64url')
    return `${name},sha256=${hash},${content.length}`
  })
  entries.set(`${info}/RECORD`, text([...record.sort(), `${info}/RECORD,,`]))
  const content = zip(entries)
  mkdirSync(to, { recursive: true })
  const path = join(to, wheelName(platform))
  writeFileSync(path, content)
  return path
}

function metadata() {
  const project = readFileSync(join(root, 'python/pyproject.toml'), 'utf8')
  const field = (name) => new RegExp(`^${name} = "(.*)"$`, 'm').exec(project)[1]
  return [
    'Metadata-Version: 2.1',
    'Name: millrace',
    `Version: ${version}`,
    `Summary: ${field('description')}`,
    'License: MIT',
    `Requires-Python: ${field('requires-python')}`,
    'Provides-Extra: numpy',
    'Requires-Dist: numpy>=1.22; extra == "numpy"',
    'Description-Content-Type: text/markdown',
    '',
    readFileSync(join(root, 'python/README.md'), 'utf8').trimEnd(),
  ]
}

function text(lines) {
  return Buffer.from(`${lines.join('\n')}\n`)
}

/** A zip archive of files that are stored as they are. */
function zip(entries) {
  const parts = []
  const directory = []
  let at = 0
  for (const [name, content] of [...entries].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const path = Buffer.from(name)
    const facts = Buffer.alloc(26)
    facts.writeUInt16LE(20, 0) // version that is needed
    facts.writeUInt16LE(0x0800, 2) // names are UTF-8
    facts.writeUInt16LE(0, 4) // stored
    facts.writeUInt16LE(0, 6)
    facts.writeUInt16LE(33, 8) // 1980-01-01
    facts.writeUInt32LE(crc32(content), 10)
    facts.writeUInt32LE(content.length, 14)
    facts.writeUInt32LE(content.length, 18)
    facts.writeUInt16LE(path.length, 22)
    const entry = Buffer.alloc(46)
    entry.writeUInt32LE(0x02014b50, 0)
    entry.writeUInt16LE(0x0314, 4) // made on Unix
    facts.copy(entry, 6)
    entry.writeUInt32LE((0o100644 << 16) >>> 0, 38)
    entry.writeUInt32LE(at, 42)
    directory.push(entry, path)
    parts.push(Buffer.from('PK\x03\x04'), facts, path, content)
    at += 30 + path.length + content.length
  }
  const index = Buffer.concat(directory)
  const end = Buffer.alloc(22)
  end.writeUInt32LE(0x06054b50, 0)
  end.writeUInt16LE(entries.size, 8)
  end.writeUInt16LE(entries.size, 10)
  end.writeUInt32LE(index.length, 12)
  end.writeUInt32LE(at, 16)
  return Buffer.concat([...parts, index, end])
}

/** Makes wheels of those of the targets that have one, all without any; judges them, and shows what came of it. */
export function makeWheels(names, values = {}) {
  const unknown = names.find((target) => platforms[target] === undefined)
  if (unknown !== undefined) throw new Error(`there is no wheel of '${unknown}'`)
  const wanted = names.length > 0 ? names : Object.keys(platforms)
  const rows = wanted.map((target) => {
    const path = makeWheel(target, values)
    const content = readFileSync(path)
    if (!content.equals(readFileSync(makeWheel(target, values)))) throw new Error(`${path} differs`)
    const faults = judgeWheel(path, { anyLibrary: values.from !== undefined })
    if (faults.length > 0) throw new Error(`${path}: ${faults.join('; ')}`)
    return { wheel: wheelName(platforms[target]), bytes: content.length }
  })
  console.table(rows)
}

if (process.argv[1] === import.meta.filename) {
  const { values, positionals } = parseArgs({
    options: { from: { type: 'string' }, to: { type: 'string' } },
    allowPositionals: true,
  })
  const asked = positionals.length > 0 ? positionals : Object.keys(platforms)
  const missing = asked.filter((target) => !existsSync(join(root, 'build-capi', target, 'lib')))
  if (missing.length > 0 && values.from === undefined) await prebuildCapi(missing)
  makeWheels(positionals, values)
}
