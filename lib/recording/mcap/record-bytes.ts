// Records, one behind the other in memory that grows as they do.

import { headBytes } from './format.js'

/** Most records are smaller. */
const firstBytes = 4096

export class RecordBytes {
  #bytes: Buffer
  #view: DataView
  #length = 0

  constructor(capacity = firstBytes) {
    this.#bytes = Buffer.allocUnsafeSlow(capacity)
    this.#view = viewOf(this.#bytes)
  }

  get length(): number {
    return this.#length
  }

  /** What was written, where it lies: valid until something else is. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  clear(): void {
    this.#length = 0
  }

  /** A record: `write` writes what is in it. */
  record(op: number, write: () => void): void {
    const at = this.#length
    this.u8(op)
    this.u64(0)
    write()
    this.setU64(at + 1, this.#length - at - headBytes)
  }

  u8(value: number): void {
    const at = this.#grow(1)
    this.#view.setUint8(at, value)
  }

  u16(value: number): void {
    const at = this.#grow(2)
    this.#view.setUint16(at, value, true)
  }

  u32(value: number): void {
    const at = this.#grow(4)
    this.#view.setUint32(at, value, true)
  }

  /** A number, where it is one of bytes. */
  u64(value: number): void {
    const at = this.#grow(8)
    this.setU64(at, value)
  }

  /** Nanoseconds since 1970. */
  time(value: bigint): void {
    const at = this.#grow(8)
    this.#view.setBigUint64(at, value, true)
  }

  text(value: string): void {
    const bytes = Buffer.byteLength(value)
    this.u32(bytes)
    const at = this.#grow(bytes)
    this.#bytes.write(value, at, 'utf8')
  }

  raw(value: Uint8Array): void {
    const at = this.#grow(value.byteLength)
    this.#bytes.set(value, at)
  }

  /** Bytes behind their length. */
  blob(value: Uint8Array): void {
    this.u32(value.byteLength)
    this.raw(value)
  }

  map(entries: Readonly<Record<string, string>>): void {
    this.counted(() => {
      for (const [key, value] of Object.entries(entries)) {
        this.text(key)
        this.text(value)
      }
    })
  }

  /** What `write` writes, behind its length. */
  counted(write: () => void): void {
    const at = this.#length
    this.u32(0)
    write()
    this.#view.setUint32(at, this.#length - at - 4, true)
  }

  setU64(at: number, value: number): void {
    this.#view.setUint32(at, value >>> 0, true)
    this.#view.setUint32(at + 4, Math.floor(value / 2 ** 32), true)
  }

  /** Room for so many more; returns where. There may be another view then. */
  #grow(bytes: number): number {
    const at = this.#length
    this.#length += bytes
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#length, this.#bytes.length * 2))
      larger.set(this.#bytes.subarray(0, at))
      this.#bytes = larger
      this.#view = viewOf(larger)
    }
    return at
  }
}

function viewOf({ buffer, byteOffset, length }: Buffer): DataView {
  return new DataView(buffer, byteOffset, length)
}
