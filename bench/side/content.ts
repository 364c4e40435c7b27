// What is in a message: its number in the first four bytes, and in a pass that checks content a pattern that depends
// on the number in all others. The timed pass writes and reads the number alone.

/** The number of the message. */
export const sequenceOf = (bytes: Uint8Array): number => numberAt(bytes, 0)

const patternAt = (sequence: number, index: number) => (sequence * 31 + index * 7) & 0xff

function numberAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

export class Content {
  readonly #bytes: number
  readonly #check: boolean
  #memory: Uint8Array | undefined
  #numbers: Int32Array = new Int32Array(0)

  constructor({ bytes, check }: { readonly bytes: number; readonly check: boolean }) {
    this.#bytes = bytes
    this.#check = check
  }

  /**
   * In this memory, which is aligned and used again and again, a number is written and read at once, as the C++ programs do it:
   * byte by byte it would take as long as a message does.
   */
  over(memory: Uint8Array): this {
    this.#memory = memory
    this.#numbers = new Int32Array(memory.buffer, memory.byteOffset, memory.length >> 2)
    return this
  }

  /** Makes the bytes of `target` from `at` on message number `sequence`. */
  write(target: Uint8Array, sequence: number, at = 0): void {
    if (target === this.#memory) {
      this.#numbers[at >> 2] = sequence
    } else {
      target[at] = sequence
      target[at + 1] = sequence >>> 8
      target[at + 2] = sequence >>> 16
      target[at + 3] = sequence >>> 24
    }
    if (this.#check) this.#fill(target, sequence, at)
  }

  /** Throws unless the bytes from `at` on are message number `sequence`, whole. */
  read(source: Uint8Array, sequence: number, at = 0, length = source.length - at): void {
    const number = source === this.#memory ? this.#numbers[at >> 2] : numberAt(source, at)
    if (number !== (sequence | 0)) {
      throw new Error(`message ${String(sequence)} says it is ${String(numberAt(source, at))}`)
    }
    if (this.#check) this.#compare(source, sequence, at, length)
  }

  #fill(target: Uint8Array, sequence: number, at: number): void {
    for (let i = 4; i < this.#bytes; i++) target[at + i] = patternAt(sequence, i)
  }

  #compare(source: Uint8Array, sequence: number, at: number, length: number): void {
    if (length !== this.#bytes) {
      throw new Error(`message ${String(sequence)} has ${String(length)} bytes`)
    }
    for (let i = 4; i < length; i++) {
      if (source[at + i] !== patternAt(sequence, i)) {
        throw new Error(`byte ${String(i)} of message ${String(sequence)} is wrong`)
      }
    }
  }
}

/** A Buffer that is alone in its memory, aligned, and not all zeroes. */
export function payload(bytes: number): Buffer {
  return Buffer.from(new ArrayBuffer(bytes)).fill(1)
}
