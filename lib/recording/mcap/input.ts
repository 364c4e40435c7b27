// A file that is read from where one likes, or from front to back in large pieces.

import { fileError } from '../file.js'

const fs = (): typeof import('node:fs') => process.getBuiltinModule('node:fs')

/** What is read ahead, from front to back. */
const aheadBytes = 262_144

export class McapInput {
  readonly path: string
  /** When it was opened. */
  readonly size: number
  readonly #descriptor: number
  #closed = false
  /** What is ahead, and where it begins. */
  #ahead: Buffer = Buffer.alloc(0)
  #at = 0

  /** @throws MillraceError `NOT_FOUND`, `PERMISSION`, `SYSTEM` */
  constructor(path: string) {
    this.path = path
    try {
      this.#descriptor = fs().openSync(path, 'r')
      this.size = fs().fstatSync(this.#descriptor).size
    } catch (cause) {
      throw fileError('read', path, cause)
    }
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    fs().closeSync(this.#descriptor)
  }

  /** So many bytes, or as many as there are, in memory of their own. */
  async read(at: number, length: number): Promise<Buffer> {
    const wanted = Math.max(0, Math.min(length, this.size - at))
    const target = Buffer.allocUnsafeSlow(wanted)
    let filled = 0
    while (filled < wanted) {
      const read = await this.#read(target, filled, at + filled)
      if (read === 0) break // it was shortened
      filled += read
    }
    return filled === wanted ? target : target.subarray(0, filled)
  }

  /** As `read`, of what is short: valid until the next call. */
  async peek(at: number, length: number): Promise<Buffer> {
    const from = at - this.#at
    if (from < 0 || from + length > this.#ahead.length) {
      this.#ahead = await this.read(at, Math.max(length, aheadBytes))
      this.#at = at
    }
    const start = at - this.#at
    return this.#ahead.subarray(start, start + length)
  }

  #read(target: Buffer, offset: number, at: number): Promise<number> {
    return new Promise((resolve, reject) => {
      fs().read(this.#descriptor, target, offset, target.length - offset, at, (error, bytes) => {
        if (error) reject(fileError('read', this.path, error))
        else resolve(bytes)
      })
    })
  }
}
