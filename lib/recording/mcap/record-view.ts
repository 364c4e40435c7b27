// Reads what is in a record. Files come from anywhere: every length is judged before it is used.

import { MillraceError } from '../../errors.js'

/** @throws MillraceError `CORRUPT`: something would reach beyond the record */
export class RecordView {
  readonly bytes: Buffer
  at: number
  readonly end: number
  readonly #view: DataView
  readonly #path: string

  constructor(path: string, bytes: Buffer, at = 0, end = bytes.length) {
    this.bytes = bytes
    this.at = at
    this.end = end
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#path = path
  }

  /** The next record, if there is one. */
  next(): { readonly op: number; readonly content: RecordView } | undefined {
    if (this.at === this.end) return undefined
    const op = this.u8()
    const length = this.u64()
    const start = this.#take(length)
    return { op, content: new RecordView(this.#path, this.bytes, start, start + length) }
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1))
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true)
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true)
  }

  /** Of bytes: beyond 2^53 nobody has so many. */
  u64(): number {
    const at = this.#take(8)
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32
  }

  time(): bigint {
    return this.#view.getBigUint64(this.#take(8), true)
  }

  text(): string {
    const at = this.#take(this.u32())
    return this.bytes.toString('utf8', at, this.at)
  }

  /** A part of the record, where it lies. */
  raw(length: number): Buffer {
    const at = this.#take(length)
    return this.bytes.subarray(at, at + length)
  }

  rest(): Buffer {
    return this.raw(this.end - this.at)
  }

  /** What lies behind its length. */
  counted(): RecordView {
    const length = this.u32()
    const at = this.#take(length)
    return new RecordView(this.#path, this.bytes, at, at + length)
  }

  map(): Record<string, string> {
    const entries: [string, string][] = []
    const all = this.counted()
    while (all.at < all.end) entries.push([all.text(), all.text()])
    return Object.fromEntries(entries)
  }

  #take(length: number): number {
    const { at } = this
    if (length > this.end - at)
      throw damaged(this.#path, 'a record ends in the middle of what it is to hold')
    this.at = at + length
    return at
  }
}

export function damaged(path: string, why: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_CORRUPT',
    `'${path}' is damaged: ${why}; 'mcap recover' of the MCAP tools saves what is whole`,
    { path },
  )
}
