// Arbitrary structures, as data: from one of them come a struct(), values for it, and (through the header)
// a structure of C.

import fc from 'fast-check'
import * as types from 'millrace/struct'
import type { Fields, FieldType, Struct } from 'millrace/struct'

const scalars = [
  'i8',
  'u8',
  'i16',
  'u16',
  'i32',
  'u32',
  'i64',
  'u64',
  'f32',
  'f64',
  'bool',
] as const

export type Description =
  | { readonly scalar: (typeof scalars)[number] }
  | { readonly char: number }
  | { readonly bytes: number }
  | { readonly array: Description; readonly length: number }
  | StructDescription

export interface StructDescription {
  readonly fields: readonly Description[]
  readonly packed: boolean
  readonly endian: 'little' | 'big'
}

export function descriptions(
  endian: fc.Arbitrary<'little' | 'big'>,
): fc.Arbitrary<StructDescription> {
  const length = fc.integer({ min: 1, max: 5 })
  const { structure } = fc.letrec<{ field: Description; structure: StructDescription }>((tie) => ({
    field: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      fc.record({ scalar: fc.constantFrom(...scalars) }),
      fc.record({ char: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ bytes: fc.integer({ min: 1, max: 9 }) }),
      fc.record({ array: tie('field'), length }),
      tie('structure'),
    ),
    structure: fc.record({
      fields: fc.array(tie('field'), { minLength: 1, maxLength: 8 }),
      packed: fc.boolean(),
      endian,
    }),
  }))
  return structure
}

export function define(description: StructDescription, name?: string): Struct<Fields> {
  const { fields, packed, endian } = description
  const entries = fields.map((field, index) => [`f${index}`, typeOf(field)] as const)
  return types.struct(Object.fromEntries(entries), { packed, endian, name })
}

function typeOf(description: Description): FieldType {
  if ('scalar' in description) return types[description.scalar]
  if ('char' in description) return types.char(description.char)
  if ('bytes' in description) return types.bytes(description.bytes)
  if ('array' in description) return types.array(typeOf(description.array), description.length)
  return define(description)
}

const integers = {
  i8: [-128, 127],
  u8: [0, 255],
  i16: [-32768, 32767],
  u16: [0, 65535],
  i32: [-0x8000_0000, 0x7fff_ffff],
  u32: [0, 0xffff_ffff],
} as const

/** Values of the structure, extremes among them. */
export function values(description: Description): fc.Arbitrary<unknown> {
  if ('scalar' in description) return scalarValues(description.scalar)
  if ('char' in description) {
    const fits = (text: string) =>
      !text.includes('\0') && Buffer.byteLength(text) <= description.char
    return fc.string({ unit: 'binary', maxLength: description.char }).filter(fits)
  }
  if ('bytes' in description) {
    return fc.uint8Array({ minLength: description.bytes, maxLength: description.bytes })
  }
  if ('array' in description) {
    const { length } = description
    return fc.array(values(description.array), { minLength: length, maxLength: length })
  }
  return fc.record(
    Object.fromEntries(description.fields.map((field, index) => [`f${index}`, values(field)])),
    { noNullPrototype: true },
  )
}

function scalarValues(scalar: (typeof scalars)[number]): fc.Arbitrary<unknown> {
  switch (scalar) {
    case 'f32':
      return fc.float()
    case 'f64':
      return fc.double()
    case 'bool':
      return fc.boolean()
    case 'i64':
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
    case 'u64':
      return fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })
    default: {
      const [min, max] = integers[scalar]
      return fc.oneof(fc.integer({ min, max }), fc.constantFrom(min, max))
    }
  }
}
