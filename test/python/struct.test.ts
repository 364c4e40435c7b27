// Structures that are defined once: what TypeScript writes is what Python reads, by ctypes and by numpy, and the other way round.

import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import fc from 'fast-check'
import { array, bool, bytes, char, f32, f64, i64, struct, u16, u32, u64, u8 } from 'millrace/struct'

import { define, descriptions, values } from '../support/definitions.js'

const program = fileURLToPath(
  new URL('../../../test/python/fixtures/structures.py', import.meta.url),
)

interface Copied {
  readonly values: unknown
  readonly ctypes: string
  readonly numpy: string
  readonly fingerprint: string
}

interface Case {
  readonly name: string
  readonly module: string
  readonly encoded: Uint8Array
}

/** What Python makes of structures: the values, and the bytes of copies that were put together field by field. */
function inPython(t: ExecutionContext, cases: readonly Case[]): Copied[] {
  const directory = mkdtempSync(join(tmpdir(), `millrace-test-python-${process.pid}-`))
  t.teardown(() => rmSync(directory, { recursive: true }))
  for (const { name, module } of cases) writeFileSync(join(directory, `m_${name}.py`), module)
  const input = cases
    .map(({ name, encoded }) => `${name} ${Buffer.from(encoded).toString('hex')}\n`)
    .join('')
  const output = execFileSync(process.env['PYTHON'] ?? 'python3', ['-W', 'error', program], {
    input,
    encoding: 'utf8',
    env: { ...process.env, PYTHONPATH: directory, PYTHONDONTWRITEBYTECODE: '1' },
    maxBuffer: 64 << 20,
  })
  return output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Copied)
}

/** As the program writes values: real numbers by their bits, text and bytes in hex. */
function written(value: unknown): unknown {
  if (typeof value === 'string') return Buffer.from(value).toString('hex')
  if (typeof value === 'boolean') return value
  if (typeof value === 'number' || typeof value === 'bigint') {
    const bits = Buffer.alloc(8)
    bits.writeDoubleBE(Number(value))
    return {
      whole: typeof value === 'bigint' || Number.isInteger(value) ? String(BigInt(value)) : '',
      bits: bits.toString('hex'),
    }
  }
  if (value instanceof Uint8Array) return Array.from(value, written)
  if (Array.isArray(value)) return value.map(written)
  return Object.values(value as object).map(written)
}

test('every definition has the same bytes and values in Python, by ctypes and by numpy', (t) => {
  const seed = Date.now() & 0x7fff_ffff
  const chosen = fc.sample(descriptions(fc.constantFrom('little', 'big')), { numRuns: 150, seed })
  const cases = chosen.map((description, index) => {
    const name = `S${index}`
    const definition = define(description, name)
    const [value] = fc.sample(values(description), { numRuns: 1, seed: seed + index })
    return {
      name,
      definition,
      value,
      module: definition.toPython(),
      encoded: definition.encode(value as never),
    }
  })
  const copies = inPython(t, cases)
  t.is(copies.length, cases.length)
  cases.forEach(({ definition, value, module, encoded, name }, index) => {
    const hex = Buffer.from(encoded).toString('hex')
    const copy = copies[index]!
    const label = `seed ${seed}, ${name}: ${module}`
    t.deepEqual(copy.values, written(value), label)
    t.is(copy.ctypes, hex, label)
    t.is(copy.numpy, hex, label)
    t.is(copy.fingerprint, String(definition.fingerprint), label)
  })
})

test('structures inside one another, with and without names, in either byte order', (t) => {
  const Point = struct({ x: f32, y: f32 }, { name: 'Point' })
  const Trade = struct(
    {
      price: f64,
      size: u32,
      symbol: char(8),
      names: array(char(3), 2),
      grid: array(array(u16, 3), 2),
      at: Point,
      path: array(Point, 2),
      inner: array(struct({ count: u16, total: i64 }, { packed: true, endian: 'big' }), 2),
      id: u64,
      live: bool,
      raw: bytes(3),
      in: u8,
    },
    { name: 'Trade' },
  )
  const value = {
    price: -0.1,
    size: 4_000_000_000,
    symbol: 'MÜ-€',
    names: ['abc', 'd'],
    grid: [
      [1, 2, 3],
      [4, 5, 65535],
    ],
    at: { x: 0.5, y: -0.25 },
    path: [
      { x: 1, y: 2 },
      { x: 3, y: 4 },
    ],
    inner: [
      { count: 65535, total: -(2n ** 63n) },
      { count: 1, total: 2n },
    ],
    id: 2n ** 64n - 1n,
    live: true,
    raw: Uint8Array.of(1, 2, 3),
    in: 7,
  }
  const encoded = Trade.encode(value)
  const [copy] = inPython(t, [{ name: 'Trade', module: Trade.toPython(), encoded }])
  t.deepEqual(copy!.values, written(value))
  t.is(copy!.ctypes, Buffer.from(encoded).toString('hex'))
  t.is(copy!.numpy, Buffer.from(encoded).toString('hex'))
})
