// What a field can be: its size, its alignment, its name in C, and how its bytes are read and written.
// The types of the language (what a getter gives, what a setter takes) exist for the compiler only.

import { invalidArgument } from '../errors.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { wholeNumber } from '../base/options.js'
import type { Key } from './refusal.js'

/** Only for the compiler: no value has this property. */
export declare const types: unique symbol

/** What a field is in TypeScript. */
export interface FieldTypes {
  /** What reading the property of a view gives. */
  readonly view: unknown
  /** What is accepted for writing. */
  readonly input: unknown
  /** What is left in a plain object, without memory behind it. */
  readonly plain: unknown
  /** The typed array over an array of them. */
  readonly typed: unknown
  /** May the property of a view be assigned to? */
  readonly assignable: boolean
}

/** The type of a field: `f64`, `char(8)`, `array(u8, 4)`, another `struct()` … */
export interface FieldType<Types extends FieldTypes = FieldTypes> {
  /** Bytes. */
  readonly size: number
  /** Bytes; the offset of such a field is a multiple of it, unless the structure is packed. */
  readonly align: number
  /** @internal */
  readonly [types]?: Types
}

/** One of the {@link FieldTypes} of a field type. */
export type Of<Type extends FieldType, Key extends keyof FieldTypes> = NonNullable<
  Type[typeof types]
>[Key]

/** A field whose value is copied in and out: numbers, booleans, text, bytes. */
export interface ValueFieldTypes<Value, Typed = undefined> extends FieldTypes {
  readonly view: Value
  readonly input: Value
  readonly plain: Value
  readonly typed: Typed
  readonly assignable: true
}

/** A typed array over the memory; its buffer may be shared. */
export interface TypedArrayConstructor {
  new (buffer: ArrayBufferLike, byteOffset: number, length: number): ArrayBufferView
  readonly BYTES_PER_ELEMENT: number
}

/** @internal How the bytes of a type are read and written in one byte order. */
export interface Codec {
  readonly size: number
  /** The value without memory behind it. */
  read(memory: DataView, at: number): unknown
  /** Checks and writes; `name` (of the field, or index in an array) is for the message. */
  write(memory: DataView, at: number, value: unknown, name: Key): void
  /** Numbers: the same as program text. */
  readonly text?: AccessText
  /** Numbers in the byte order of this machine: what can lie over an array of them. */
  readonly elements?: TypedArrayConstructor
  /** The same of what is stored, be it a number or not. */
  readonly stored?: TypedArrayConstructor
  /** Fields with an inside: an accessor that is made once and moved with its owner. */
  part?(memory: DataView, at: number): MovablePart
  /** Structures: where each field is. */
  readonly fields?: ReadonlyMap<string, { readonly offset: number; readonly codec: Codec }>
  /** The getter gives the part's `exposed` instead of the part. */
  readonly exposes?: true
}

/** @internal */
export interface AccessText {
  get(memory: string, at: string): string
  set(memory: string, at: string, value: string): string
  /** True for a value that does not fit. */
  refuses(value: string): string
  /** The error for it. */
  refusal(name: Key, value: unknown): Error
  /** The value, of what is stored, and back. */
  decode(stored: string): string
  encode(value: string): string
}

/** @internal */
export const move = Symbol('move')

/** @internal An accessor inside another: moved when its owner moves. */
export interface MovablePart {
  [move](memory: DataView, at: number): void
}

/** @internal A structure, laid out. */
export interface Layout {
  readonly name: string | undefined
  readonly packed: boolean
  readonly endian: 'little' | 'big'
  readonly size: number
  readonly align: number
  readonly fingerprint: bigint
  readonly fields: readonly {
    readonly name: string
    readonly offset: number
    readonly type: Type
  }[]
}

/** @internal What a type is made of: a number by its name, text and bytes by their length, an array, a structure. */
export type Shape =
  | { readonly number: string }
  | { readonly text: number }
  | { readonly bytes: number }
  | { readonly of: Type; readonly length: number }
  | { readonly layout: Layout }

/** @internal All field types are instances. */
export abstract class Type {
  abstract readonly size: number
  abstract readonly align: number
  /** For the fingerprint: the same text means the same bytes with the same meaning. */
  abstract readonly description: string
  /** The structure it is, or that its elements are, and how C gets from it to the (first) structure. */
  abstract readonly inside: { readonly layout: Layout; readonly path: string } | undefined
  readonly #codecs: (Codec | undefined)[] = []

  /** The declaration of `identifier` in C, without semicolon. */
  abstract declaration(identifier: string): string
  /** What it is, for other languages. */
  abstract get shape(): Shape
  protected abstract makeCodec(littleEndian: boolean): Codec

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    const { description: type, size, align } = this
    return inspection('FieldType', how, () => ({ type, size, align }))
  }

  codec(littleEndian: boolean): Codec {
    return (this.#codecs[littleEndian ? 1 : 0] ??= this.makeCodec(littleEndian))
  }
}

/** @internal */
export function checkType(type: unknown, where: string): Type {
  if (type instanceof Type) return type
  throw invalidArgument(
    `${where} must have a type: one of i8 … u64, f32, f64, bool, char(n), bytes(n), array(type, n), or a struct()`,
  )
}

/** More than any structure should have, and far from where offsets lose precision. */
const mostBytes = 2 ** 30

/** @internal `of` is how many bytes each takes. */
export function checkLength(length: number | undefined, of = 1): number {
  const given: unknown = length ?? null // left out is as wrong as anything else
  return wholeNumber({ length: given }, 'length', 0, [1, Math.floor(mostBytes / of)])
}
