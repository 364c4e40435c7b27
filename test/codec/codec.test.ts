// Codecs: what each carries, what it refuses, and that nothing it has decoded lies in what it was decoded from.

import { fork } from 'node:child_process'
import test from 'ava'
import { MillraceError } from 'millrace'
import { bytesCodec, json, msgpack, structCodec, structured, type Codec } from 'millrace/rpc'
import { array, bytes, char, f64, struct, u16, u8 } from 'millrace/struct'

import { within } from '../support/until.js'

const Reading = struct({
  id: u16,
  place: char(12),
  raw: bytes(8),
  values: array(f64, 4),
  flags: array(u8, 3),
})
const reading = {
  id: 7,
  place: 'roof 🏠',
  raw: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8),
  values: [1.5, -0, 3, 4],
  flags: [1, 2, 3],
}

const plain = {
  text: 'text 🦀',
  number: -1.5,
  list: [1, null, true, ['a', {}]],
  nested: { deep: { er: 'x'.repeat(300) } },
}
const rich = {
  bytes: Buffer.from('some bytes of a Buffer'),
  long: Buffer.alloc(100_000, 7),
  view: Uint8Array.from({ length: 300 }, (_, i) => i),
  floats: Float64Array.of(1.5, NaN, -0),
  date: new Date(12_345),
  big: 2n ** 60n,
  set: new Set([1, 'two']),
}

/** Every codec, and values for it. */
const samples: readonly (readonly [Codec<never, unknown>, readonly unknown[]])[] = [
  [bytesCodec, [Buffer.from('bytes'), Buffer.alloc(0), Buffer.alloc(70_000, 3)]],
  [structCodec(Reading), [reading]],
  [json, [undefined, null, 0, '', 'ä', plain, [plain, plain]]],
  [msgpack, [undefined, null, 0, '', 'ä', plain, rich, 2 ** 40, -5]],
  [structured, [undefined, null, 0, '', 'ä', plain, rich, new Map([[{ a: 1 }, rich]])]],
]

/** What a value was at some time. */
function picture(value: unknown): unknown {
  return structured.decode(structured.encode(value))
}

for (const [given, values] of samples) {
  const codec = given as Codec
  const { name } = codec

  test(`${name}: what is sent arrives`, (t) => {
    for (const value of values) t.deepEqual(shape(codec.decode(codec.encode(value))), shape(value))
  })

  test(`${name}: nothing that was decoded lies in what it was decoded from`, (t) => {
    for (const value of values) {
      const bytes = codec.encode(value)
      const input = new Uint8Array(bytes.length + 16)
      const lying = input.subarray(8, 8 + bytes.length) // as it lies in a ring: somewhere
      lying.set(bytes)
      const decoded = codec.decode(lying)
      const before = picture(decoded)
      input.fill(0xff)
      t.deepEqual(decoded, before)
      for (const buffer of buffersIn(decoded)) t.not(buffer, input.buffer)
    }
  })

  if (!('encodeInto' in codec)) continue
  test(`${name}: what is written in place is what would have been encoded, if it fits`, (t) => {
    for (const value of values) {
      const wanted = Buffer.from(codec.encode(value))
      const exact = new Uint8Array(wanted.length)
      t.is(codec.encodeInto!(value, exact), wanted.length)
      t.deepEqual(Buffer.from(exact), wanted)
      const roomy = new Uint8Array(wanted.length * 4 + 8)
      t.is(codec.encodeInto!(value, roomy), wanted.length)
      t.deepEqual(Buffer.from(roomy.subarray(0, wanted.length)), wanted)
      if (wanted.length === 0) continue
      t.is(codec.encodeInto!(value, new Uint8Array(wanted.length - 1)), undefined)
    }
  })
}

/** Bytes as numbers: which class they have is another question. */
function shape(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) {
    return [...Buffer.from(value.buffer, value.byteOffset, value.byteLength)]
  }
  if (Array.isArray(value)) return value.map(shape)
  if (value instanceof Map) return [...value].map(shape)
  if (typeof value !== 'object' || value === null) return value
  if (Object.getPrototypeOf(value) !== Object.prototype) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shape(one)]))
}

function* buffersIn(value: unknown): Generator<ArrayBufferLike> {
  if (ArrayBuffer.isView(value)) yield value.buffer
  else if (value instanceof Map || value instanceof Set) {
    for (const entry of value.entries()) yield* buffersIn(entry)
  } else if (typeof value === 'object' && value !== null) {
    for (const one of Object.values(value)) yield* buffersIn(one)
  }
}

test('bytes: text and every kind of view can be sent, and a Buffer arrives', (t) => {
  const floats = Float32Array.of(1, 2)
  const all = ['text', floats, new DataView(floats.buffer, 4), floats.buffer]
  t.deepEqual(
    all.map((one) => bytesCodec.decode(bytesCodec.encode(one))),
    [
      Buffer.from('text'),
      Buffer.from(floats.buffer),
      Buffer.from(floats.buffer, 4),
      Buffer.from(floats.buffer),
    ],
  )
  t.throws(() => bytesCodec.encode(5 as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
})

test('json: what JSON cannot carry is an error that says what to do', (t) => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [{ big: 5n }, /BigInt; send it as text/],
    [cycle, /contains itself/],
    [() => 5, /no function/],
    [Symbol('s'), /no symbol/],
  ]
  const invalid = { instanceOf: MillraceError, code: 'ERR_MILLRACE_INVALID_ARGUMENT' } as const
  for (const [value, message] of refused) {
    t.throws(() => json.encode(value), { ...invalid, message })
    t.throws(() => json.encodeInto!(value, new Uint8Array(99)), { ...invalid, message })
  }
  const failing = {
    toJSON() {
      throw new Error('not me')
    },
  }
  t.is((t.throws(() => json.encode(failing), invalid).cause as Error).message, 'not me')
})

test('msgpack and structured refuse what they cannot carry', (t) => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const invalid = { instanceOf: MillraceError, code: 'ERR_MILLRACE_INVALID_ARGUMENT' } as const
  t.throws(() => msgpack.encode(cycle), { ...invalid, message: /contains itself/ })
  t.throws(() => msgpack.encode({ symbol: Symbol('s') }), invalid)
  t.throws(() => msgpack.encode({ call: () => 5 }), invalid)
  t.is(msgpack.decode(msgpack.encode(2n ** 70n)), 2n ** 70n)
  t.deepEqual(msgpack.decode(msgpack.encode(plain)), plain) // what was refused leaves nothing behind
  t.throws(() => structured.encode({ call: () => 5 }), invalid)
  t.throws(() => structured.encode(new SharedArrayBuffer(8)), invalid)
  t.deepEqual(structured.decode(structured.encode(cycle)), cycle)
})

test('bytes that no such codec has written are an error', (t) => {
  const schema = { instanceOf: MillraceError, code: 'ERR_MILLRACE_SCHEMA' } as const
  const none = Buffer.from([0xc1, 0xff, 0x00, 0x7b])
  for (const codec of [json, msgpack, structured]) {
    t.regex(t.throws(() => codec.decode(none), schema).message, new RegExp(`'${codec.name}'`))
    const whole = codec.encode(plain)
    t.throws(() => codec.decode(whole.subarray(0, whole.length - 5)), schema)
  }
  t.throws(() => structCodec(Reading).decode(none), schema)
})

test('structs that are laid out differently have codecs of different names', (t) => {
  t.not(structCodec(struct({ id: u16, x: f64 })).name, structCodec(Reading).name)
  t.throws(() => structCodec({} as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
})

test('without msgpackr the codec says what to install, and nothing else fails', async (t) => {
  const program = `
    const Module = require('node:module')
    const resolve = Module._resolveFilename
    Module._resolveFilename = function (name, ...rest) {
      if (name === 'msgpackr') throw Object.assign(new Error('not there'), { code: 'MODULE_NOT_FOUND' })
      return resolve.call(this, name, ...rest)
    }
    const { msgpack, json, contract, call } = require('millrace/rpc')
    contract('calc', { add: call() }, { codec: 'msgpack' })
    const found = [json.decode(json.encode(5))]
    for (const use of [() => msgpack.encode(5), () => msgpack.decode(Buffer.of(5))]) {
      try { use() } catch ({ code, message, cause }) { found.push([code, message, cause.message]) }
    }
    process.send(found)`
  const child = fork('', [], { execArgv: ['-e', program], cwd: process.cwd() })
  t.teardown(() => child.kill('SIGKILL'))
  const found = await within(
    20_000,
    new Promise<unknown>((resolve) => {
      child.once('message', resolve)
    }),
  )
  const error = [
    'ERR_MILLRACE_MISSING_PEER',
    "the codec 'msgpack' needs the package msgpackr, which could not be loaded: npm install msgpackr",
    'not there',
  ]
  t.deepEqual(found, [5, error, error])
})
