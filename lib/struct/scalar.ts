// Numbers and booleans. Each exists twice: as closures, and as text for the classes that accessor.ts
// compiles; the closures serve where code from strings is forbidden, and whole objects.

import {
  Type,
  type Codec,
  type FieldType,
  type Shape,
  type TypedArrayConstructor,
  type ValueFieldTypes,
} from './field-type.js'
import { wrongValue } from './refusal.js'

/** @internal */
export const hostIsLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1

interface ScalarFacts<Value> {
  readonly name: string
  readonly c: string
  readonly size: number
  readonly expected: string
  readonly elements?: TypedArrayConstructor
  /** Where it is not `elements`. */
  readonly stored?: TypedArrayConstructor
  readonly fits: (value: Value) => boolean
  readonly get: (memory: DataView, at: number, littleEndian: boolean) => Value
  readonly set: (memory: DataView, at: number, value: Value, littleEndian: boolean) => void
  readonly text: {
    /** The accessors of DataView are get… and set… of this. */
    readonly method: string
    readonly refuses: (value: string) => string
    readonly decode?: (stored: string) => string
    readonly encode?: (value: string) => string
  }
}

class Scalar<Value> extends Type {
  readonly size: number
  readonly align: number
  readonly description: string
  readonly inside = undefined
  readonly #facts: ScalarFacts<Value>

  constructor(facts: ScalarFacts<Value>) {
    super()
    this.size = facts.size
    this.align = facts.size
    this.description = facts.name
    this.#facts = facts
  }

  declaration(identifier: string): string {
    return `${this.#facts.c} ${identifier}`
  }

  get shape(): Shape {
    return { number: this.description }
  }

  protected makeCodec(littleEndian: boolean): Codec {
    const { size, expected, elements, stored = elements, fits, get, set, text } = this.#facts
    const isOurs = size === 1 || littleEndian === hostIsLittleEndian
    const order = size === 1 ? '' : `, ${String(littleEndian)}`
    const { decode = same, encode = same } = text
    return {
      size,
      read: (memory, at) => get(memory, at, littleEndian),
      write: (memory, at, value, name) => {
        if (!fits(value as Value)) throw wrongValue(name, expected, value)
        set(memory, at, value as Value, littleEndian)
      },
      text: {
        get: (memory, at) => decode(`${memory}.get${text.method}(${at}${order})`),
        set: (memory, at, value) => `${memory}.set${text.method}(${at}, ${encode(value)}${order})`,
        refuses: text.refuses,
        refusal: (name, value) => wrongValue(name, expected, value),
        decode,
        encode,
      },
      ...(elements !== undefined && isOurs && { elements }),
      ...(stored !== undefined && isOurs && { stored }),
    }
  }
}

function same(text: string): string {
  return text
}

/** `wrap` is what the operation does to a number that does not fit. */
function integer<Typed>(
  facts: Pick<ScalarFacts<number>, 'name' | 'c' | 'size' | 'elements' | 'get' | 'set'> & {
    readonly method: string
    readonly range: readonly [number, number]
    readonly wrap: string
  },
): FieldType<ValueFieldTypes<number, Typed>> {
  const [least, most] = facts.range
  return new Scalar<number>({
    ...facts,
    expected: `a whole number from ${String(least)} to ${String(most)}`,
    fits: (value) => Number.isInteger(value) && value >= least && value <= most,
    text: {
      method: facts.method,
      refuses: (value) => `typeof ${value} !== 'number' || (${value} ${facts.wrap}) !== ${value}`,
    },
  })
}

function wide<Typed>(
  facts: Pick<ScalarFacts<bigint>, 'name' | 'c' | 'elements' | 'get' | 'set'> & {
    readonly method: string
    readonly range: readonly [bigint, bigint]
  },
): FieldType<ValueFieldTypes<bigint, Typed>> {
  const [least, most] = facts.range
  return new Scalar<bigint>({
    ...facts,
    size: 8,
    expected: `a bigint from ${String(least)}n to ${String(most)}n`,
    fits: (value) => typeof value === 'bigint' && value >= least && value <= most,
    text: {
      method: facts.method,
      refuses: (value) =>
        `typeof ${value} !== 'bigint' || ${value} < ${String(least)}n || ${value} > ${String(most)}n`,
    },
  })
}

function real<Typed>(
  facts: Pick<ScalarFacts<number>, 'name' | 'c' | 'size' | 'elements' | 'get' | 'set'> & {
    readonly method: string
  },
): FieldType<ValueFieldTypes<number, Typed>> {
  return new Scalar<number>({
    ...facts,
    expected: 'a number',
    fits: (value) => typeof value === 'number',
    text: { method: facts.method, refuses: (value) => `typeof ${value} !== 'number'` },
  })
}

/** `int8_t`: whole numbers from -128 to 127. */
export const i8 = integer<Int8Array>({
  name: 'i8',
  c: 'int8_t',
  size: 1,
  elements: Int8Array,
  method: 'Int8',
  range: [-128, 127],
  wrap: '<< 24 >> 24',
  get: (memory, at) => memory.getInt8(at),
  set: (memory, at, value) => {
    memory.setInt8(at, value)
  },
})

/** `uint8_t`: whole numbers from 0 to 255. */
export const u8 = integer<Uint8Array>({
  name: 'u8',
  c: 'uint8_t',
  size: 1,
  elements: Uint8Array,
  method: 'Uint8',
  range: [0, 255],
  wrap: '& 255',
  get: (memory, at) => memory.getUint8(at),
  set: (memory, at, value) => {
    memory.setUint8(at, value)
  },
})

/** `int16_t`: whole numbers from -32768 to 32767. */
export const i16 = integer<Int16Array>({
  name: 'i16',
  c: 'int16_t',
  size: 2,
  elements: Int16Array,
  method: 'Int16',
  range: [-32768, 32767],
  wrap: '<< 16 >> 16',
  get: (memory, at, littleEndian) => memory.getInt16(at, littleEndian),
  set: (memory, at, value, littleEndian) => {
    memory.setInt16(at, value, littleEndian)
  },
})

/** `uint16_t`: whole numbers from 0 to 65535. */
export const u16 = integer<Uint16Array>({
  name: 'u16',
  c: 'uint16_t',
  size: 2,
  elements: Uint16Array,
  method: 'Uint16',
  range: [0, 65535],
  wrap: '& 65535',
  get: (memory, at, littleEndian) => memory.getUint16(at, littleEndian),
  set: (memory, at, value, littleEndian) => {
    memory.setUint16(at, value, littleEndian)
  },
})

/** `int32_t`: whole numbers from -2³¹ to 2³¹ - 1. */
export const i32 = integer<Int32Array>({
  name: 'i32',
  c: 'int32_t',
  size: 4,
  elements: Int32Array,
  method: 'Int32',
  range: [-0x8000_0000, 0x7fff_ffff],
  wrap: '| 0',
  get: (memory, at, littleEndian) => memory.getInt32(at, littleEndian),
  set: (memory, at, value, littleEndian) => {
    memory.setInt32(at, value, littleEndian)
  },
})

/** `uint32_t`: whole numbers from 0 to 2³² - 1. */
export const u32 = integer<Uint32Array>({
  name: 'u32',
  c: 'uint32_t',
  size: 4,
  elements: Uint32Array,
  method: 'Uint32',
  range: [0, 0xffff_ffff],
  wrap: '>>> 0',
  get: (memory, at, littleEndian) => memory.getUint32(at, littleEndian),
  set: (memory, at, value, littleEndian) => {
    memory.setUint32(at, value, littleEndian)
  },
})

/** `int64_t`, as bigint. */
export const i64 = wide<BigInt64Array>({
  name: 'i64',
  c: 'int64_t',
  elements: BigInt64Array,
  method: 'BigInt64',
  range: [-(2n ** 63n), 2n ** 63n - 1n],
  get: (memory, at, littleEndian) => memory.getBigInt64(at, littleEndian),
  set: (memory, at, value, littleEndian) => {
    memory.setBigInt64(at, value, littleEndian)
  },
})

/** `uint64_t`, as bigint. */
export const u64 = wide<BigUint64Array>({
  name: 'u64',
  c: 'uint64_t',
  elements: BigUint64Array,
  method: 'BigUint64',
  range: [0n, 2n ** 64n - 1n],
  get: (memory, at, littleEndian) => memory.getBigUint64(at, littleEndian),
  set: (memory, at, value, littleEndian) => {
    memory.setBigUint64(at, value, littleEndian)
  },
})

/** `float`: numbers, rounded to the nearest that fits. */
export const f32 = real<Float32Array>({
  name: 'f32',
  c: 'float',
  size: 4,
  elements: Float32Array,
  method: 'Float32',
  get: (memory, at, littleEndian) => memory.getFloat32(at, littleEndian),
  set: (memory, at, value, littleEndian) => {
    memory.setFloat32(at, value, littleEndian)
  },
})

/** `double`. */
export const f64 = real<Float64Array>({
  name: 'f64',
  c: 'double',
  size: 8,
  elements: Float64Array,
  method: 'Float64',
  get: (memory, at, littleEndian) => memory.getFloat64(at, littleEndian),
  set: (memory, at, value, littleEndian) => {
    memory.setFloat64(at, value, littleEndian)
  },
})

/** `bool`: one byte, 0 or 1; any other value reads as true. */
export const bool: FieldType<ValueFieldTypes<boolean>> = new Scalar<boolean>({
  name: 'bool',
  c: 'bool',
  size: 1,
  expected: 'true or false',
  stored: Uint8Array,
  fits: (value) => typeof value === 'boolean',
  get: (memory, at) => memory.getUint8(at) !== 0,
  set: (memory, at, value) => {
    memory.setUint8(at, value ? 1 : 0)
  },
  text: {
    method: 'Uint8',
    refuses: (value) => `typeof ${value} !== 'boolean'`,
    decode: (stored) => `${stored} !== 0`,
    encode: (value) => `${value} ? 1 : 0`,
  },
})
