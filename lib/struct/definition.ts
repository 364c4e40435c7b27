// The types of definitions, and of what they make of memory: views, values, arrays.

import type { Schema } from '../base/options.js'
import type { FieldType, FieldTypes, Of } from './field-type.js'

/** The definition of a structure: its fields in their order. */
export type Fields = Readonly<Record<string, FieldType>>

type Assignable<F extends Fields> = {
  [Name in keyof F]: Of<F[Name], 'assignable'> extends true ? Name : never
}[keyof F]

type Flat<T> = { [Key in keyof T]: T[Key] }

/** A structure where it lies: a property per field, which reads and writes the memory. */
export type StructView<F extends Fields> = Flat<
  { -readonly [Name in Assignable<F>]: Of<F[Name], 'view'> } & {
    readonly [Name in Exclude<keyof F, Assignable<F>>]: Of<F[Name], 'view'>
  }
>

/** A structure to be written: an object with all its fields. */
export type StructInput<F extends Fields> = { readonly [Name in keyof F]: Of<F[Name], 'input'> }

/** A structure that was read: a plain object without memory behind it. */
export type StructValue<F extends Fields> = { -readonly [Name in keyof F]: Of<F[Name], 'plain'> }

/** The views of a definition: `type TradeView = ViewOf<typeof Trade>`. */
export type ViewOf<S extends FieldType> = Of<S, 'view'>
/** The plain objects of a definition: `type TradeValue = ValueOf<typeof Trade>`. */
export type ValueOf<S extends FieldType> = Of<S, 'plain'>

/** What a structure is as a field of another. */
export interface StructFieldTypes<F extends Fields> extends FieldTypes {
  readonly view: StructView<F>
  readonly input: StructInput<F>
  readonly plain: StructValue<F>
  readonly typed: undefined
  readonly assignable: false
}

/** Memory to look at: what `frame.bytes`, `reservation.bytes`, `memory.buffer` and messages are. */
export type Memory = ArrayBufferView | ArrayBufferLike

/** How a structure is laid out. */
export interface StructOptions {
  /** The name in C; needed for `toCHeader` and `toPython`, and shown in messages. It does not change the fingerprint. */
  readonly name?: string | undefined
  /** No padding, as with `__attribute__((packed))`; structures inside keep their own. Default false. */
  readonly packed?: boolean | undefined
  /** Byte order of all numbers, except those of structures inside, which keep theirs. Default `little`. */
  readonly endian?: 'little' | 'big' | undefined
}

/** Where a field is. */
export interface FieldLayout {
  /** The name of the property, and in C. */
  readonly name: string
  /** As it is written here: `f64`, `char(8)`, `f64[10]` … */
  readonly type: string
  /** Bytes from the beginning of the structure. */
  readonly offset: number
  /** Bytes. */
  readonly size: number
}

/** A definition, from {@link struct}. Also the type of a field, and the `schema` of a channel. */
export interface Struct<F extends Fields> extends FieldType<StructFieldTypes<F>>, Schema {
  /** The name in C, if it was given one. */
  readonly name: string | undefined
  /** Bytes, with the padding at the end: `sizeof`. */
  readonly size: number
  /** Bytes: `alignof`. */
  readonly align: number
  /** Without padding? */
  readonly packed: boolean
  /** Byte order of its numbers. */
  readonly endian: 'little' | 'big'
  /** Where each field is, in their order. */
  readonly fields: readonly FieldLayout[]
  /** Differs when a name, type, offset, the size or the byte order differs; see docs/struct.md. */
  readonly fingerprint: bigint

  /**
   * The structure at `offset` of `memory`, without copying. Any offset will do. Make it once and move it:
   * making it allocates, using it does not.
   *
   * @throws MillraceError `INVALID_ARGUMENT` if it does not lie within `memory`
   */
  view(memory: Memory, offset?: number): StructView<F>

  /** Puts a view of this definition elsewhere, with all it contains; returns it. Throws as `view`. */
  move(view: StructView<F>, memory: Memory, offset?: number): StructView<F>

  /** Writes some fields of a view. @throws MillraceError `INVALID_ARGUMENT`, `TOO_LARGE` (text) */
  set(view: StructView<F>, values: Partial<StructInput<F>>): void

  /** A plain object with the values of a view. */
  read(view: StructView<F>): StructValue<F>
  /** The same of memory without a view. Throws as `view`. */
  read(memory: Memory, offset?: number): StructValue<F>

  /**
   * Writes a whole structure; padding becomes zero. A value that is refused leaves the fields before it
   * written.
   *
   * @throws MillraceError `INVALID_ARGUMENT` (also for a field that is missing or too much), `TOO_LARGE` (text)
   */
  write(memory: Memory, value: StructInput<F>, offset?: number): void

  /** The bytes of a structure, in memory of its own: to be pushed as a message. Throws as `write`. */
  encode(value: StructInput<F>): Uint8Array

  /** Structures one after another, from `offset` on; by default as many as there is room for. */
  array(
    memory: Memory,
    options?: { readonly offset?: number | undefined; readonly length?: number | undefined },
  ): StructArray<F>

  /**
   * The same structure in C and C++, as a header of its own, with assertions of every offset.
   *
   * @throws MillraceError `INVALID_ARGUMENT` without a `name`, or if two structures in it share one
   */
  toCHeader(): string

  /**
   * The same structure in Python, as a module of its own: a `ctypes.Structure` NAME, whose offsets are compared when the module is
   * imported, `NAME_FINGERPRINT`, which is the `schema` of channels, and `NAME_dtype()`, which needs numpy.
   *
   * @throws MillraceError `INVALID_ARGUMENT` without a `name`, if two structures in it share one, or if a name is none in Python
   */
  toPython(): string
}

/**
 * Elements in memory. No call allocates, except that 64-bit integers, text and bytes are values that must be
 * made, and `toArray` and the first `typed` after a move.
 */
export interface ArrayView<View, Input, Plain, Typed> extends Iterable<View> {
  /** How many elements there are. */
  readonly length: number
  /**
   * An element. Structures and arrays: the accessor of this array, moved there; there is one, so the next
   * `at` moves it on.
   *
   * @throws MillraceError `INVALID_ARGUMENT` outside 0 … length - 1
   */
  at(index: number): View
  /** Writes an element. @throws MillraceError `INVALID_ARGUMENT`, `TOO_LARGE` (text) */
  set(index: number, value: Input): void
  /** Writes all of them; `values` has the same length. */
  assign(values: ArrayLike<Input> | ArrayView<View, Input, Plain, unknown>): void
  /** All of them, without memory behind. */
  toArray(): Plain[]
  /**
   * The elements as a typed array over the same memory: if they are numbers, lie one after another, at an
   * address that suits them, in the byte order of this machine. Else undefined. The same object until the
   * accessor is moved.
   */
  readonly typed: Typed | undefined
}

/** Structures in memory; `at` and `for … of` move one cursor from element to element. */
export interface StructArray<F extends Fields> extends ArrayView<
  StructView<F>,
  StructInput<F>,
  StructValue<F>,
  undefined
> {
  /** One field of every structure, as elements: a column. It stays where this array is now. */
  field<Name extends keyof F>(name: Name): ArrayViewOf<F[Name]>
}

/** The view of elements of a field type. */
export type ArrayViewOf<Element extends FieldType> =
  Element extends Struct<infer F>
    ? StructArray<F>
    : ArrayView<
        Of<Element, 'view'>,
        Of<Element, 'input'>,
        Of<Element, 'plain'>,
        Of<Element, 'typed'>
      >

export interface ArrayFieldTypes<Element extends FieldType> extends FieldTypes {
  readonly view: ArrayViewOf<Element>
  readonly input: ArrayLike<Of<Element, 'input'>> | ArrayViewOf<Element>
  readonly plain: Of<Element, 'plain'>[]
  readonly typed: undefined
  readonly assignable: false
}
