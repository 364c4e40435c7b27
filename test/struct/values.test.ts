// Views, arrays and whole objects over memory: what is written is read back, nothing else is touched, and
// what does not fit is refused.

import { inspect } from 'node:util'
import test from 'ava'
import fc from 'fast-check'
import {
  array,
  bool,
  bytes,
  char,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  struct,
  u16,
  u32,
  u64,
  u8,
  type Fields,
  type StructView,
} from 'millrace/struct'

import { define, descriptions, values } from '../support/definitions.js'

const invalid = (message: RegExp) => ({ code: 'ERR_MILLRACE_INVALID_ARGUMENT', message })

const Point = struct({ x: f64, y: f64 }, { name: 'Point' })
const Trade = struct(
  {
    price: f64,
    size: u32,
    side: u8,
    symbol: char(8),
    levels: array(f64, 4),
    from: Point,
    path: array(Point, 3),
    grid: array(array(u16, 2), 3),
    raw: bytes(3),
    live: bool,
    id: i64,
  },
  { name: 'Trade' },
)

/** A structure among other bytes, at any address. */
const placed = descriptions(fc.constantFrom('little', 'big')).chain((description) =>
  fc.record({
    description: fc.constant(description),
    value: values(description),
    offset: fc.nat(16),
  }),
)

test('a whole object is read back as it was written, and no byte beside it changes', (t) => {
  fc.assert(
    fc.property(placed, ({ description, value, offset }) => {
      const Any = define(description)
      const memory = new Uint8Array(offset + Any.size + 16).fill(0xa5)
      Any.write(memory, value as never, offset)
      t.deepEqual(Any.read(memory, offset), value as never)
      t.true(memory.subarray(0, offset).every((byte) => byte === 0xa5))
      t.true(memory.subarray(offset + Any.size).every((byte) => byte === 0xa5))
      t.deepEqual(Any.encode(value as never), memory.slice(offset, offset + Any.size))
    }),
  )
})

test('a view reads and writes the same, field by field and element by element', (t) => {
  fc.assert(
    fc.property(placed, ({ description, value, offset }) => {
      const Any = define(description)
      const memory = new Uint8Array(offset + Any.size)
      const view = Any.view(memory, offset)
      fill(view, value)
      t.deepEqual(Any.read(view), value as never)
      t.deepEqual(memory.subarray(offset), Any.encode(value as never))
      const copy = new Uint8Array(Any.size)
      Any.write(copy, view) // a view as the value
      t.deepEqual(copy, memory.subarray(offset))
    }),
  )
})

/** Assigns through accessors alone. */
function fill(view: unknown, value: unknown): void {
  for (const [key, wanted] of Object.entries(value as object) as [string, unknown][]) {
    const target = view as Record<string, unknown>
    if (Array.isArray(wanted)) fillArray(target[key] as Elements, wanted)
    else if (typeof wanted === 'object' && !(wanted instanceof Uint8Array))
      fill(target[key], wanted)
    else target[key] = wanted
  }
}

interface Elements {
  at(index: number): unknown
  set(index: number, value: unknown): void
}

function fillArray(elements: Elements, wanted: readonly unknown[]): void {
  wanted.forEach((value, index) => {
    if (Array.isArray(value)) fillArray(elements.at(index) as Elements, value)
    else elements.set(index, value)
  })
}

test('the byte order is that of the definition', (t) => {
  for (const endian of ['little', 'big'] as const) {
    const All = struct({ a: u16, b: i32, c: f64, d: u64, e: array(i16, 2) }, { endian })
    const memory = new DataView(new ArrayBuffer(All.size))
    All.write(memory, { a: 1, b: -2, c: 3.5, d: 2n ** 63n, e: [-4, 5] })
    const little = endian === 'little'
    t.is(memory.getUint16(0, little), 1)
    t.is(memory.getInt32(4, little), -2)
    t.is(memory.getFloat64(8, little), 3.5)
    t.is(memory.getBigUint64(16, little), 2n ** 63n)
    t.is(memory.getInt16(26, little), 5)
    t.is(All.view(memory).b, -2)
    t.is(All.view(memory).e.at(0), -4)
  }
})

test('special numbers come back as they are', (t) => {
  const Numbers = struct({ f: f32, d: f64, i: i32 })
  const view = Numbers.view(new ArrayBuffer(Numbers.size))
  for (const value of [NaN, -0, 0, Infinity, -Infinity, 5e-324, Number.MAX_VALUE, 0.1]) {
    view.d = value
    view.f = value
    t.is(view.d, value)
    t.is(view.f, Math.fround(value))
  }
  view.i = -0
  t.is(view.i, 0)
})

test('values that do not fit are refused, and nothing is written', (t) => {
  const All = struct({
    i8,
    u8,
    i16,
    u16,
    i32,
    u32,
    i64,
    u64,
    f32,
    f64,
    flag: bool,
    text: char(4),
    raw: bytes(2),
  })
  const wrong: Record<string, readonly unknown[]> = {
    i8: [-129, 128, 0.5, NaN, '1', 1n, undefined, null],
    u8: [-1, 256, 0.5, Infinity, true],
    i16: [-32769, 32768],
    u16: [-1, 65536, {}],
    i32: [-0x8000_0001, 0x8000_0000],
    u32: [-1, 0x1_0000_0000],
    i64: [1, -(2n ** 63n) - 1n, 2n ** 63n],
    u64: [1, -1n, 2n ** 64n, '1'],
    f32: ['1', undefined, 1n],
    f64: ['1', null, 1n, {}],
    flag: [1, 0, 'true', undefined],
    text: [1, undefined, 'a\0b', '\ud800', 'a\udc00'],
    raw: [new Uint8Array(1), new Uint8Array(3), [1, 2], new Uint16Array(2), 'ab'],
  }
  const memory = new Uint8Array(All.size).fill(1)
  const view = All.view(memory) as Record<string, unknown>
  for (const [name, refused] of Object.entries(wrong)) {
    for (const value of refused) {
      const assign = () => {
        view[name] = value
      }
      t.throws(assign, invalid(new RegExp(`^${name} (must|contains)`)), inspect(value))
      t.throws(() => All.set(view as never, { [name]: value }), invalid(new RegExp(name)))
    }
  }
  t.true(memory.every((byte) => byte === 1))
})

test('elements that do not fit, and indices outside, are refused', (t) => {
  const { levels, path, grid } = Trade.view(new Uint8Array(Trade.size))
  for (const index of [-1, 4, 0.5, NaN, 2 ** 32, '0' as never, undefined as never]) {
    t.throws(() => levels.at(index), invalid(/no element/))
    t.throws(() => levels.set(index, 0), invalid(/no element/))
    t.throws(() => path.at(index), invalid(/no element/))
    t.throws(() => path.set(index, { x: 0, y: 0 }), invalid(/no element/))
  }
  t.throws(() => grid.at(2).at(2), invalid(/no element 2 in an array of 2/))
  t.throws(
    () => grid.at(0).set(0, 65536),
    invalid(/element 0 must be a whole number from 0 to 65535/),
  )
  t.throws(() => levels.assign([1, 2, 3]), invalid(/exactly 4 values, not "3 of them"/))
  t.throws(() => levels.assign('1234' as never), invalid(/exactly 4/))
  t.throws(() => levels.assign(null as never), invalid(/exactly 4/))
  t.throws(() => path.field('z' as never), invalid(/no field 'z'/))
  levels.assign(Float32Array.of(1, 2, 3, 4))
  t.deepEqual(levels.toArray(), [1, 2, 3, 4])
  levels.assign([4, 3, 2, 1])
  t.deepEqual([...levels], [4, 3, 2, 1])
})

test('text is UTF-8, filled up with NUL, and never cut', (t) => {
  const Text = struct({ text: char(8), next: u8 })
  const memory = new Uint8Array(Text.size)
  const view = Text.view(memory)
  view.next = 255
  for (const text of ['', 'a', '12345678', 'äöüß', '€-€', '𝄞𝄞', '\ufffd']) {
    view.text = text
    t.is(view.text, text)
    t.deepEqual(
      memory.subarray(0, 8),
      new Uint8Array(Buffer.alloc(8, 0)).map((_, i) => Buffer.from(text)[i] ?? 0),
    )
  }
  for (const text of ['123456789', 'äöüßx', '€€€', '𝄞𝄞x', 'x'.repeat(100_000), '€'.repeat(8)]) {
    const assign = () => {
      view.text = text
    }
    const error = t.throws(assign, { code: 'ERR_MILLRACE_TOO_LARGE' })
    t.regex(
      error.message,
      new RegExp(`room for 8 bytes of UTF-8, its text takes ${Buffer.byteLength(text)};`),
    )
    t.is(view.text, '\ufffd')
  }
  memory.set(Buffer.from([0x61, 0xff, 0xe2, 0x82, 0, 0x62]))
  t.is(view.text, 'a\ufffd\ufffd', 'bytes that are no UTF-8')
  t.is(view.next, 255)
})

test('any non-zero byte of a bool is true, and it is written as 0 or 1', (t) => {
  const Flag = struct({ on: bool })
  const memory = Uint8Array.of(2)
  const view = Flag.view(memory)
  t.true(view.on)
  view.on = false
  t.is(memory[0], 0)
  view.on = true
  t.is(memory[0], 1)
})

test('a view needs all its bytes', (t) => {
  const bytes = new Uint8Array(Trade.size + 4)
  t.notThrows(() => Trade.view(bytes, 4))
  t.throws(
    () => Trade.view(bytes, 5),
    invalid(
      new RegExp(
        `Trade takes ${Trade.size} bytes at offset 5, .* the ${Trade.size + 4} bytes given`,
      ),
    ),
  )
  const view = Trade.view(bytes)
  for (const offset of [-1, 0.5, NaN, Infinity, '0' as never, 2 ** 53]) {
    t.throws(() => Trade.view(bytes, offset), invalid(/at offset/))
    t.throws(() => Trade.move(view, bytes, offset), invalid(/at offset/))
    t.throws(() => Trade.read(bytes, offset), invalid(/at offset/))
    t.throws(() => Trade.write(bytes, Trade.read(view), offset), invalid(/at offset/))
    t.throws(() => Trade.array(bytes, { offset }), invalid(/at offset/))
  }
  // Within the buffer, but not within the bytes that were given.
  t.throws(() => Trade.view(bytes.subarray(0, Trade.size - 1)), invalid(/takes/))
  t.throws(() => Trade.array(bytes, { length: 2 }), invalid(/2 of Trade takes/))
  t.throws(() => Trade.array(bytes, { length: -1 }), invalid(/takes/))
  t.throws(() => Trade.view([] as never), invalid(/memory must be/))
  t.throws(() => Trade.view(undefined as never), invalid(/memory must be/))
  t.is(Trade.array(bytes, { length: 0 }).length, 0)
  t.is(Trade.array(new Uint8Array(0)).length, 0)
})

test('views lie over every kind of memory', (t) => {
  const buffer = new ArrayBuffer(64)
  const shared = new SharedArrayBuffer(64)
  for (const memory of [
    buffer,
    shared,
    new Uint8Array(buffer, 8),
    new Float64Array(buffer, 8, 2),
    new DataView(buffer, 16),
    Buffer.from(buffer, 3),
    new Int16Array(shared, 2),
  ]) {
    const view = Point.view(memory)
    view.y = 7.25
    const start = 'buffer' in memory ? memory.byteOffset : 0
    const whole = 'buffer' in memory ? memory.buffer : memory
    t.is(new DataView(whole).getFloat64(start + 8, true), 7.25)
    t.is(Point.read(memory).y, 7.25)
  }
})

test('a view of memory that went away throws and does not crash', (t) => {
  const buffer = new ArrayBuffer(Trade.size)
  const view = Trade.view(buffer)
  structuredClone(buffer, { transfer: [buffer] })
  t.throws(() => view.price, { instanceOf: TypeError })
  t.throws(() => view.symbol, { instanceOf: TypeError })
  t.throws(() => Trade.read(view), { instanceOf: TypeError })
  t.throws(() => Trade.view(buffer), invalid(/the 0 bytes given/))
})

test('a view moves with all that is in it', (t) => {
  const memory = new Uint8Array(3 * Trade.size)
  const trades = [0, 1, 2].map((i) => Trade.view(memory, i * Trade.size))
  trades.forEach((trade, i) => {
    trade.price = i
    trade.from.x = i + 0.1
    trade.levels.set(2, i + 0.2)
    trade.path.at(1).y = i + 0.3
    trade.grid.at(2).set(1, i)
    trade.raw = Uint8Array.of(i, i, i)
  })
  const view = Trade.view(memory)
  const { from, levels, path, grid, raw } = view
  const middle = path.at(1)
  const last = grid.at(2)
  t.is(view.from, from, 'accessors inside are made once')
  t.is(view.levels, levels)
  t.is(view.raw, raw)
  t.is(levels.typed, levels.typed)
  t.is(Trade.move(view, memory, 2 * Trade.size), view)
  t.deepEqual(
    [view.price, from.x, levels.at(2), levels.typed?.[2], middle.y, last.at(1), view.raw[0]],
    [2, 2.1, 2.2, 2.2, 2.3, 2, 2],
  )
  t.is(raw[0], 0, 'a typed array cannot move')
  const elsewhere = Buffer.alloc(Trade.size + 1)
  Trade.move(view, elsewhere, 1)
  view.from.y = 9
  t.is(elsewhere.readDoubleLE(1 + Trade.fields.find(({ name }) => name === 'from')!.offset + 8), 9)
  t.is(levels.typed, undefined, 'misaligned there')
  t.throws(() => Trade.move({} as never, memory), invalid(/no view of Trade/))
  t.throws(() => Trade.set(Point.view(memory) as never, {}), invalid(/no view of Trade/))
  t.throws(() => Trade.read(Point.view(memory) as never), invalid(/no view of Trade/))
})

test('structures one after another: one cursor, columns, typed arrays where they fit', (t) => {
  const memory = new ArrayBuffer(10 * Point.size + 8)
  const points = Point.array(memory, { offset: 8 })
  t.is(points.length, 10)
  for (let i = 0; i < points.length; i++) points.set(i, { x: i, y: 1 - i })
  t.is(points.at(3), points.at(4), 'the same cursor')
  t.is(points.at(3).x, 3)
  let sum = 0
  for (const { x, y } of points) sum += x * 10 + y
  t.is(sum, 45 * 9 + 10)
  const y = points.field('y')
  t.is(y.length, 10)
  t.deepEqual(y.toArray(), [1, 0, -1, -2, -3, -4, -5, -6, -7, -8])
  y.set(9, 100)
  t.is(points.at(9).y, 100)
  t.is(y.typed, undefined, 'x lies between')
  const Single = struct({ value: f64 })
  const column = Single.array(memory).field('value')
  t.is(column.typed?.length, 21)
  t.is(column.typed?.buffer, memory)
  t.is(struct({ value: f64 }, { endian: 'big' }).array(memory).field('value').typed, undefined)
  t.is(Single.array(memory, { offset: 4 }).field('value').typed, undefined)
  t.is(Point.array(memory, { offset: 8, length: 2 }).length, 2)
  const path = Trade.view(new Uint8Array(Trade.size)).path
  path.field('x').assign([1, 2, 3])
  t.deepEqual(
    path.toArray(),
    [1, 2, 3].map((x) => ({ x, y: 0 })),
  )
})

test('set writes the given fields, write wants all and no other', (t) => {
  const memory = new Uint8Array(Point.size)
  const view = Point.view(memory)
  Point.write(memory, { x: 1, y: 2 })
  Point.set(view, { y: 3 })
  t.deepEqual(Point.read(view), { x: 1, y: 3 })
  t.throws(() => Point.write(memory, { x: 1 } as never), invalid(/Point lacks its field 'y'/))
  t.throws(() => Point.write(memory, { x: 1, y: 1, z: 1 } as never), invalid(/no field 'z'/))
  t.throws(() => Point.set(view, { z: 1 } as never), invalid(/no field 'z'/))
  t.throws(() => Point.set(view, null as never), invalid(/must be an object/))
  t.throws(() => Point.write(memory, 7 as never), invalid(/must be an object/))
  t.deepEqual(Point.read(view), { x: 1, y: 3 })
})

const Deep = struct(
  {
    a: struct({
      b: array(u8, 3),
      grid: array(array(u16, 2), 3),
      legs: array(struct({ to: struct({ name: char(4), id: u64, key: bytes(2) }) }), 2),
    }),
    on: bool,
  },
  { name: 'Deep' },
)

/** A value of `Deep` with other leaves, by their paths. */
function deep(changed: Readonly<Record<string, unknown>> = {}) {
  const leg = () => ({ to: { name: 'one', id: 1n, key: Uint8Array.of(1, 2) } })
  const grid = [
    [1, 2],
    [3, 4],
    [5, 6],
  ]
  const value = { a: { b: [1, 2, 3], grid, legs: [leg(), leg()] }, on: true }
  for (const [path, leaf] of Object.entries(changed)) {
    const keys = path.split(/[.[\]]+/).filter((key) => key !== '')
    const last = keys.pop()!
    const holder = keys.reduce<object>((at, key) => Reflect.get(at, key) as object, value)
    Reflect.set(holder, last, leaf)
  }
  return value
}

const wrongParts: readonly (readonly [path: string, value: unknown, message: RegExp | string])[] = [
  ['a.b[2]', 256, 'a.b[2] must be a whole number from 0 to 255, not 256'],
  ['a.b', [1, 2], 'a.b must be an array of exactly 3 values, not "2 of them"'],
  ['a.b', null, 'a.b must be an array of exactly 3 values, not null'],
  ['a.grid[1][0]', -1, 'a.grid[1][0] must be a whole number from 0 to 65535, not -1'],
  ['a.grid[2]', 7, 'a.grid[2] must be an array of exactly 2 values, not 7'],
  ['a.legs[1].to.id', 3, /^a\.legs\[1\]\.to\.id must be a bigint from 0n to \d+n, not 3$/],
  ['a.legs[0].to.name', 'longer', /^a\.legs\[0\]\.to\.name has room for 4 bytes of UTF-8/],
  ['a.legs[0].to.name', 'a\0', /^a\.legs\[0\]\.to\.name must not contain U\+0000/],
  ['a.legs[0].to.name', '\ud800', /^a\.legs\[0\]\.to\.name contains half of a surrogate pair/],
  [
    'a.legs[1].to.key',
    Uint8Array.of(1),
    /^a\.legs\[1\]\.to\.key must be a Uint8Array of exactly 2/,
  ],
  ['a.legs[1].to', 5, 'a.legs[1].to must be an object with its fields, not 5'],
  ['a.legs[1].to.more', 5, "a.legs[1].to has no field 'more'"],
  ['a.legs[1].to', { name: '', id: 1n }, "a.legs[1].to lacks its field 'key'"],
  ['a.more', 5, "a has no field 'more'"],
  ['a', {}, "a lacks its field 'b'"],
  ['more', 5, "Deep has no field 'more'"],
  ['on', 1, 'on must be true or false, not 1'],
]

for (const [path, value, message] of wrongParts) {
  test(`what is wrong is named by its path: ${path} is ${inspect(value)}`, (t) => {
    const wrong = deep({ [path]: value }) as never
    const view = Deep.view(Deep.encode(deep()))
    const isTooLong = value === 'longer'
    const code = isTooLong ? 'ERR_MILLRACE_TOO_LARGE' : 'ERR_MILLRACE_INVALID_ARGUMENT'
    t.throws(() => Deep.encode(wrong), { code, message })
    t.throws(() => Deep.set(view, wrong), { code, message })
    // The same with the keys in an order that is not the definition's.
    const { a, on, ...rest } = deep({ [path]: value }) as { a: unknown; on: unknown }
    t.throws(() => Deep.encode({ on, a, ...rest } as never), { code, message })
  })
}

test('what is wrong in an element that is set begins with its index', (t) => {
  const { a } = Deep.view(new Uint8Array(Deep.size))
  const leg = { to: { name: 'toolong', id: 1n, key: Uint8Array.of(1, 2) } }
  const tooLong = {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: /^\[1\]\.to\.name has room for 4 bytes/,
  }
  t.throws(() => a.legs.set(1, leg), tooLong)
  const right = deep().a.legs[0]!
  t.throws(() => a.legs.assign([right, leg]), tooLong)
  t.throws(() => a.grid.assign([[1, 2], [3], [5, 6]]), invalid(/^element 1 must be an array of/))
  t.throws(() => a.grid.set(1, [1, -1]), invalid(/^\[1\]\[1\] must be a whole number/))
  t.throws(() => a.b.assign([1]), invalid(/^the array must be an array of exactly 3 values/))
})

test('an error of a getter in a value comes out as it is', (t) => {
  const mine = new RangeError('mine')
  const value = deep()
  Object.defineProperty(value.a.legs[1]!.to, 'id', {
    enumerable: true,
    get() {
      throw mine
    },
  })
  t.is(
    t.throws(() => Deep.encode(value)),
    mine,
  )
})

test('an object is judged by its keys, in any order, own or inherited', (t) => {
  const memory = new Uint8Array(Point.size)
  const written = (value: object) => {
    memory.fill(0)
    Point.write(memory, value as never)
    return Point.read(memory)
  }
  const right = { x: 1, y: 2 }
  class Getters {
    readonly #right = right
    get x() {
      return this.#right.x
    }
    get y() {
      return this.#right.y
    }
  }
  const hidden = { x: { value: 1 }, y: { value: 2 } }
  for (const value of [
    right,
    { y: 2, x: 1 },
    Object.create(right) as object,
    Object.create({}, hidden) as object,
    new Getters(),
    Point.view(Point.encode(right)),
  ]) {
    t.deepEqual(written(value), right)
  }
  for (const value of [
    { z: 0, x: 1, y: 2 },
    { x: 1, z: 0, y: 2 },
    { x: 1, y: 2, z: 0 },
    Object.assign(new Getters(), { z: 0 }),
    Object.assign(Object.create(right) as object, { z: 0 }),
  ]) {
    t.throws(() => written(value), invalid(/no field 'z'/))
  }
  for (const value of [{}, [], { x: 1 }, { y: 2 }]) {
    t.throws(() => written(value), invalid(/lacks its field '[xy]'/))
  }
  const Other = struct({ a: f64 })
  t.throws(() => written(Other.view(new Uint8Array(8))), invalid(/lacks its field 'x'/))
  for (const value of ['xy', 7, () => 1, undefined]) {
    t.throws(() => written(value as never), invalid(/must be an object/))
  }
})

test('padding is written as zero', (t) => {
  const Gaps = struct({ a: u8, b: u32, c: u8 })
  const memory = new Uint8Array(Gaps.size).fill(255)
  Gaps.write(memory, { a: 1, b: 2, c: 3 })
  t.deepEqual([...memory], [1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0])
})

test('views and arrays show their content', (t) => {
  const Small = struct({ id: u64, raw: bytes(2), points: array(Point, 1) })
  const view = Small.view(new Uint8Array(Small.size))
  view.id = 5n
  t.is(JSON.stringify(view), '{"id":"5","raw":[0,0],"points":[{"x":0,"y":0}]}')
  t.is(JSON.stringify(view.points), '[{"x":0,"y":0}]')
  t.regex(inspect(view), /id: 5n/)
  t.is(inspect(view.points), 'StructArray(1) [ Point { x: 0, y: 0 } ]')
})

test('views have their fields and no other property that a field could be named after', (t) => {
  const names = [
    'at',
    'set',
    'move',
    'read',
    'memory',
    'start',
    'exposed',
    'size',
    'length',
    'name',
  ]
  const Any = struct(Object.fromEntries(names.map((name) => [name, u8])) as Fields)
  const view = Any.view(new Uint8Array(Any.size)) as StructView<Record<string, typeof u8>>
  names.forEach((name, index) => {
    view[name] = index
  })
  t.deepEqual(
    names.map((name) => view[name]),
    names.map((_, index) => index),
  )
})
