// The last seconds, in memory: copies of messages, until they are too old or too much.

import type { TimedMessage } from './output.js'

/** What a message takes beside its bytes, roughly. */
const besidesBytes = 400

export class Held {
  readonly #most: number
  readonly #span: number
  #messages: (TimedMessage | undefined)[] = []
  #first = 0
  #bytes = 0

  /** `span` in milliseconds. */
  constructor({ bytes, span }: { readonly bytes: number; readonly span: number }) {
    this.#most = bytes
    this.#span = span * 1e6
  }

  /** How many there are. */
  get length(): number {
    return this.#messages.length - this.#first
  }

  /** Bytes that they take. */
  get bytes(): number {
    return this.#bytes
  }

  /** Milliseconds between the first and the last of them. */
  get reach(): number {
    const first = this.#messages[this.#first]
    const last = this.#messages.at(-1)
    if (first === undefined || last === undefined) return 0
    return Number(last.logTime - first.logTime) / 1e6
  }

  /** Takes a copy. One that is larger than all there may be is not kept. */
  add(timed: TimedMessage): void {
    const { message, logTime } = timed
    const bytes = Buffer.from(message.bytes)
    const { header } = message
    const copy = {
      ...message,
      bytes,
      ...(header === undefined ? {} : { header: Buffer.from(header) }),
    }
    delete copy.release
    this.#messages.push({ ...timed, message: copy })
    this.#bytes += sizeOf(bytes)
    this.dropOld(logTime)
    while (this.#bytes > this.#most) this.#drop()
  }

  /** `time`: of the day. */
  dropOld(time: bigint): void {
    for (;;) {
      const first = this.#messages[this.#first]
      if (first === undefined || Number(time - first.logTime) <= this.#span) return
      this.#drop()
    }
  }

  /** All there are, the oldest first; there are none then. */
  take(): TimedMessage[] {
    const all = this.#messages.slice(this.#first) as TimedMessage[]
    this.#messages = []
    this.#first = 0
    this.#bytes = 0
    return all
  }

  #drop(): void {
    const first = this.#messages[this.#first]!
    this.#messages[this.#first] = undefined
    this.#first++
    this.#bytes -= sizeOf(first.message.bytes)
    if (this.#first < 1024 || this.#first * 2 < this.#messages.length) return
    this.#messages = this.#messages.slice(this.#first)
    this.#first = 0
  }
}

function sizeOf(bytes: Uint8Array): number {
  return bytes.byteLength + besidesBytes
}
