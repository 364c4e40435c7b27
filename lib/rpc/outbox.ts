// What is sent: values become bytes in a box that the addon knows, with what goes with them in the facts.

import { CallFact, type NativeCalls } from '../addon/calls.js'
import type { Codec } from '../codec/types.js'
import type { MethodPlan } from './methods.js'

/** What servers answer with. */
export const Status = { value: 0, error: 1, stream: 2, tracedStream: 3 } as const

/** Flags of a call, in the facts. */
const idempotentFlag = 0x1_0000

const range = 2 ** 32
const mostNs = 2 ** 62

export class Outbox {
  readonly #box: Uint8Array
  readonly #facts: Int32Array
  #inUse = false

  constructor({ outbox, facts }: NativeCalls) {
    this.#box = outbox
    this.#facts = facts
  }

  /**
   * A number: so many bytes of the outbox, which are to be sent before anything else is done. Otherwise the bytes themselves: the
   * outbox is too small, or in use, for a value can have code of its own, which makes calls itself while it is encoded.
   */
  encode(codec: Codec, value: unknown): number | Uint8Array {
    if (this.#inUse || codec.encodeInto === undefined) return this.put(codec.encode(value))
    this.#inUse = true
    try {
      return codec.encodeInto(value, this.#box) ?? codec.encode(value)
    } finally {
      this.#inUse = false
    }
  }

  /** What is sent later, or more than once: as the value is now, whatever becomes of it. */
  copy(codec: Codec, value: unknown): Uint8Array {
    return Uint8Array.prototype.slice.call(codec.encode(value))
  }

  /** The same of bytes. */
  put(bytes: Uint8Array): number | Uint8Array {
    if (this.#inUse || bytes.length > this.#box.length) return bytes
    this.#box.set(bytes)
    return bytes.length
  }

  /** What goes with a call. `timeout`: milliseconds that it has; Infinity: for ever. */
  address(
    { number, idempotent }: Pick<MethodPlan, 'number' | 'idempotent'>,
    timeout: number,
  ): void {
    const facts = this.#facts
    facts[CallFact.method] = number
    facts[CallFact.flags] = idempotent ? idempotentFlag : 0
    if (timeout === Infinity) {
      facts[CallFact.left] = -1
      facts[CallFact.left + 1] = -1
      return
    }
    const ns = Math.min(timeout * 1e6, mostNs)
    facts[CallFact.left] = ns % range
    facts[CallFact.left + 1] = ns / range
  }
}
