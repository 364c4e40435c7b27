// Text and raw bytes of a fixed length.

import {
  checkLength,
  move,
  Type,
  type Codec,
  type FieldType,
  type MovablePart,
  type Shape,
  type ValueFieldTypes,
} from './field-type.js'
import { refusal, wrongValue, type Key } from './refusal.js'

/** Where text is put together; what lies in shared memory may change while it is read. */
let scratch = Buffer.allocUnsafeSlow(256)

function scratchFor(bytes: number): Buffer {
  if (scratch.length < bytes) scratch = Buffer.allocUnsafeSlow(bytes * 2)
  return scratch
}

class Text extends Type implements Codec {
  readonly align = 1
  readonly inside = undefined
  readonly size: number
  readonly description: string

  constructor(size: number) {
    super()
    this.size = size
    this.description = `char(${String(size)})`
  }

  declaration(identifier: string): string {
    return `char ${identifier}[${String(this.size)}]`
  }

  get shape(): Shape {
    return { text: this.size }
  }

  protected makeCodec(): Codec {
    return this
  }

  read(memory: DataView, at: number): string {
    const copy = scratchFor(this.size)
    let length = 0
    let seen = 0
    for (; length < this.size; length++) {
      const byte = memory.getUint8(at + length)
      if (byte === 0) break
      copy[length] = byte
      seen |= byte
    }
    return copy.toString(seen < 0x80 ? 'latin1' : 'utf8', 0, length)
  }

  write(memory: DataView, at: number, value: unknown, name: Key): void {
    if (typeof value !== 'string') throw wrongValue(name, 'a string', value)
    if (value.includes('\0')) {
      throw refusal(name, 'must not contain U+0000, where its text would end')
    }
    // A lone surrogate would be read back as another character. With /u, a pair is one character.
    if (/\p{Surrogate}/u.test(value)) {
      throw refusal(name, 'contains half of a surrogate pair, which UTF-8 cannot')
    }
    // In UTF-8 a UTF-16 unit takes three bytes at most.
    const copy = scratchFor(Math.min(value.length, this.size + 1) * 3)
    const length = value.length > this.size ? Infinity : copy.write(value)
    if (length > this.size) {
      throw refusal(
        name,
        `has room for ${String(this.size)} bytes of UTF-8, its text takes ` +
          `${String(Buffer.byteLength(value))}; shorten it, or declare the field longer`,
        'ERR_MILLRACE_TOO_LARGE',
      )
    }
    for (let i = 0; i < this.size; i++) memory.setUint8(at + i, i < length ? copy[i]! : 0)
  }
}

/** The bytes of one field as a typed array, which cannot be moved: made again when the owner has moved. */
class BytesPart implements MovablePart {
  #memory: DataView
  #at: number
  readonly #size: number
  #bytes: Uint8Array | undefined

  constructor(memory: DataView, at: number, size: number) {
    this.#memory = memory
    this.#at = at
    this.#size = size
  }

  get exposed(): Uint8Array {
    return (this.#bytes ??= new Uint8Array(this.#memory.buffer, this.#at, this.#size))
  }

  [move](memory: DataView, at: number): void {
    this.#memory = memory
    this.#at = at
    this.#bytes = undefined
  }
}

class Bytes extends Type implements Codec {
  readonly align = 1
  readonly inside = undefined
  readonly exposes = true
  readonly size: number
  readonly description: string

  constructor(size: number) {
    super()
    this.size = size
    this.description = `bytes(${String(size)})`
  }

  declaration(identifier: string): string {
    return `uint8_t ${identifier}[${String(this.size)}]`
  }

  get shape(): Shape {
    return { bytes: this.size }
  }

  protected makeCodec(): Codec {
    return this
  }

  part(memory: DataView, at: number): MovablePart {
    return new BytesPart(memory, at, this.size)
  }

  read(memory: DataView, at: number): Uint8Array {
    return new Uint8Array(memory.buffer, at, this.size).slice()
  }

  write(memory: DataView, at: number, value: unknown, name: Key): void {
    if (!(value instanceof Uint8Array) || value.length !== this.size) {
      const given = value instanceof Uint8Array ? `${String(value.length)} bytes` : value
      throw wrongValue(name, `a Uint8Array of exactly ${String(this.size)} bytes`, given)
    }
    new Uint8Array(memory.buffer, at, this.size).set(value)
  }
}

/**
 * `char[length]`: text in UTF-8, filled up with NUL; text of exactly that length has no NUL at its end.
 * Reading stops at the first NUL; bytes that are no UTF-8 read as U+FFFD. Text that does not fit, or would
 * not read back as the same, is refused.
 */
export function char(length: number): FieldType<ValueFieldTypes<string>> {
  return new Text(checkLength(length))
}

/** `uint8_t[length]` as a Uint8Array over the memory; assigning copies, and must be of that length. */
export function bytes(length: number): FieldType<ValueFieldTypes<Uint8Array>> {
  return new Bytes(checkLength(length))
}
