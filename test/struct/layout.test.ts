// Definitions: where fields are, what identifies a definition, what is refused.

import test from 'ava'
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
  type FieldType,
} from 'millrace/struct'

const invalid = (message: RegExp) => ({ code: 'ERR_MILLRACE_INVALID_ARGUMENT', message })

test('fields lie at multiples of their alignment, and the size is one of the largest', (t) => {
  const Trade = struct({ side: u8, price: f64, size: u16, symbol: char(3), last: bool })
  t.deepEqual(
    Trade.fields.map(({ name, type, offset, size }) => [name, type, offset, size]),
    [
      ['side', 'u8', 0, 1],
      ['price', 'f64', 8, 8],
      ['size', 'u16', 16, 2],
      ['symbol', 'char(3)', 18, 3],
      ['last', 'bool', 21, 1],
    ],
  )
  t.deepEqual([Trade.size, Trade.align, Trade.packed, Trade.endian], [24, 8, false, 'little'])
})

test('packed structures have no padding, but those inside keep theirs', (t) => {
  const Inside = struct({ a: u8, b: u32 })
  const Packed = struct({ one: u8, inside: Inside, two: f64 }, { packed: true })
  t.deepEqual(
    Packed.fields.map(({ offset }) => offset),
    [0, 1, 9],
  )
  t.deepEqual([Packed.size, Packed.align], [17, 1])
  t.is(struct({ one: u8, packed: Packed }).size, 18)
})

test('types have the sizes and alignments of LP64', (t) => {
  const all: readonly [FieldType, number, number][] = [
    [i8, 1, 1],
    [u8, 1, 1],
    [i16, 2, 2],
    [u16, 2, 2],
    [i32, 4, 4],
    [u32, 4, 4],
    [i64, 8, 8],
    [u64, 8, 8],
    [f32, 4, 4],
    [f64, 8, 8],
    [bool, 1, 1],
    [char(5), 5, 1],
    [bytes(6), 6, 1],
    [array(i16, 3), 6, 2],
    [array(array(f64, 2), 3), 48, 8],
  ]
  for (const [type, size, align] of all) t.deepEqual([type.size, type.align], [size, align])
})

test('the fingerprint is the same in every process and every release', (t) => {
  const Trade = struct({ price: f64, size: u32, symbol: char(8) })
  // FNV-1a of {price:f64@0,size:u32@8,symbol:char(8)@12}24little
  t.is(Trade.fingerprint, 0xdab4f0f433a331f7n)
  t.is(
    struct({ price: f64, size: u32, symbol: char(8) }, { name: 'Other' }).fingerprint,
    Trade.fingerprint,
  )
})

test('the fingerprint differs with every name, type, order, padding and byte order', (t) => {
  const inner = struct({ x: u8, y: u32 })
  const definitions = [
    struct({ a: u8, b: u32 }),
    struct({ a: u8, c: u32 }),
    struct({ a: i8, b: u32 }),
    struct({ a: bool, b: u32 }),
    struct({ a: u8, b: i32 }),
    struct({ a: u8, b: f32 }),
    struct({ b: u32, a: u8 }),
    struct({ a: u8, b: u32 }, { packed: true }),
    struct({ a: u8, b: u32 }, { endian: 'big' }),
    struct({ a: u8, b: u32, c: u8 }),
    struct({ a: array(u8, 1), b: u32 }),
    struct({ a: bytes(1), b: u32 }),
    struct({ a: char(1), b: u32 }),
    struct({ a: inner }),
    struct({ a: array(inner, 1) }),
    struct({ a: struct({ x: u8, z: u32 }) }),
    struct({ a: struct({ x: u8, y: u32 }, { endian: 'big' }) }),
  ]
  t.is(new Set(definitions.map(({ fingerprint }) => fingerprint)).size, definitions.length)
  for (const { fingerprint } of definitions) t.true(fingerprint > 0n && fingerprint < 2n ** 64n)
  t.is(
    struct({ a: u8, b: u8 }, { packed: true }).fingerprint,
    struct({ a: u8, b: u8 }).fingerprint,
    'without padding to leave out, packed is the same',
  )
})

test('names that are none in C or C++ are refused', (t) => {
  for (const name of [
    'double',
    'class',
    'template',
    'restrict',
    'requires',
    'int32_t',
    'linux',
    '_Upper',
    'two__in',
    'toJSON',
    'constructor',
    '2nd',
    'a-b',
    'ä',
    '',
    'a b',
    '0',
    'x}};alert(1)',
  ]) {
    t.throws(() => struct({ [name]: u8 }), invalid(/name of a field/), name)
    t.throws(() => struct({ a: u8 }, { name }), invalid(/name of a structure/), name)
  }
  const usual = { at: u8, set: u8, get: u8, read: u8, offset: u8, memory: u8, start: u8, value: u8 }
  t.is(struct({ ...usual, length: u8, parts: u8, _own: u8, codecs: u8 }).size, 12)
})

test('what is no definition is refused', (t) => {
  t.throws(() => struct({}), invalid(/at least one field/))
  t.throws(() => struct(null as never), invalid(/at least one field/))
  t.throws(() => struct({ a: 'f64' } as never), invalid(/field 'a' must have a type/))
  t.throws(() => struct({ a: char } as never), invalid(/field 'a' must have a type/))
  t.throws(() => struct({ a: { size: 1, align: 1 } }), invalid(/field 'a' must have a type/))
  t.throws(() => struct({ a: u8 }, { endian: 'middle' as never }), invalid(/endian/))
  t.throws(() => struct({ a: u8 }, { packed: 1 as never }), invalid(/packed/))
  t.throws(() => struct({ a: u8 }, 'Trade' as never), invalid(/options/))
  t.throws(() => array(7 as never, 1), invalid(/elements of an array must have a type/))
  for (const length of [0, -1, 1.5, NaN, 2 ** 31, '3', undefined]) {
    t.throws(() => char(length as never), invalid(/length/))
    t.throws(() => bytes(length as never), invalid(/length/))
    t.throws(() => array(u8, length as never), invalid(/length/))
  }
  t.throws(() => array(array(f64, 2 ** 20), 2 ** 20), invalid(/length/))
})

test('a header needs names, each for one structure', (t) => {
  t.throws(() => struct({ a: u8 }).toCHeader(), invalid(/needs a name/))
  const one = struct({ a: u8 }, { name: 'Same' })
  const two = struct({ a: u8 }, { name: 'Same' })
  t.throws(() => struct({ one, two }, { name: 'Outer' }).toCHeader(), invalid(/named 'Same'/))
  t.notThrows(() => struct({ one, again: one }, { name: 'Outer' }).toCHeader())
  t.throws(
    () => struct({ Same: one }, { name: 'Outer' }).toCHeader(),
    invalid(/a field and a struct/),
  )
  t.regex(struct({ a: u32 }, { name: 'Big', endian: 'big' }).toCHeader(), /Big-endian/)
})

test('a module of Python needs names, each for one structure, that are names there', (t) => {
  t.throws(() => struct({ a: u8 }).toPython(), invalid(/needs a name/))
  const one = struct({ a: u8 }, { name: 'Same' })
  const two = struct({ a: u8 }, { name: 'Same' })
  t.throws(() => struct({ one, two }, { name: 'Outer' }).toPython(), invalid(/named 'Same'/))
  t.notThrows(() => struct({ one, again: one }, { name: 'Outer' }).toPython())
  // That of a structure without a name is made of its owner's and its field's.
  const taken = struct({ a: u8 }, { name: 'Outer_one' })
  t.throws(
    () => struct({ taken, one: struct({ b: u8 }) }, { name: 'Outer' }).toPython(),
    invalid(/named 'Outer_one'/),
  )
  t.throws(() => struct({ a: u8 }, { name: 'lambda' }).toPython(), invalid(/'lambda'/))
  for (const field of ['_fields_', '_pack_', '_objects']) {
    t.throws(
      () => struct({ [field]: u8 }, { name: 'Outer' }).toPython(),
      invalid(/means something to ctypes/),
    )
  }
  // A field may have any other name; only type checkers do not hear of it.
  t.notRegex(struct({ from: u8 }, { name: 'Outer' }).toPython(), /from: int/)
})
