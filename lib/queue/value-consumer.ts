// The consuming side of a queue whose schema says how bytes become values. What is popped is a value of its own, read where
// it lies; `drain` moves one view from message to message.

import type { Tuning } from '../base/options.js'
import { wrongSize, type AnyValueSchema } from '../base/value-schema.js'
import type { MillraceError } from '../errors.js'
import type { NativeQueueConsumer } from '../addon/queue.js'
import { QueueConsumer } from './consumer.js'
import { checkDrain } from './drain-callback.js'
import { recordBytes } from './record-bytes.js'
import { recordHeaderBytes, wouldBlock } from './ring-layout.js'

export class ValueConsumer<Value, View> extends QueueConsumer<Value, View> {
  readonly #schema: AnyValueSchema
  readonly #size: number
  /** What each takes of the ring. */
  readonly #record: number
  /** Where the view is between two calls of `drain`, so that one that was kept shows no message that it was not given. */
  readonly #nowhere: Uint8Array
  #view: unknown

  constructor(name: string, native: NativeQueueConsumer, tuning: Tuning, schema: AnyValueSchema) {
    super(name, native, tuning)
    this.#schema = schema
    this.#size = schema.size
    this.#record = recordBytes(schema.size)
    this.#nowhere = new Uint8Array(schema.size)
  }

  override tryPop(): Value | undefined {
    if (this.holds()) return this.#popCopy()
    const ring = this.ring ?? (this.closed ? undefined : this.ringIfAny())
    if (ring === undefined) return this.#popCopy()
    const length = ring.peek()
    if (length !== this.#size) return length === wouldBlock ? undefined : this.#popCopy()
    const value = this.#schema.read(ring.bytes, ring.offset + recordHeaderBytes)
    ring.release(this.#record, 1)
    return value as Value
  }

  override drain(callback: (view: View) => unknown, max?: number): number {
    checkDrain(callback, max)
    this.assertNotDraining()
    if (this.nothingYet()) return 0
    const { bytes } = this.ringForSure()
    const schema = this.#schema
    const size = this.#size
    const view = (this.#view ??= schema.view(this.#nowhere))
    try {
      return this.walk((at, length) => {
        if (length !== size) throw this.#wrongSize(length)
        schema.move(view, bytes, at)
        return callback(view as View)
      }, max)
    } finally {
      schema.move(view, this.#nowhere)
    }
  }

  /** The same out of a copy of the message: where memory cannot be borrowed, behind messages that are held, and in the end. */
  #popCopy(): Value | undefined {
    const length = this.nextLength
    if (length < 0) return undefined
    if (length !== this.#size) throw this.#wrongSize(length)
    const bytes = super.tryPop() as Uint8Array | undefined
    return bytes && (this.#schema.read(bytes) as Value)
  }

  /** The message stays, as one that is too large for its target: what came can be looked at. */
  #wrongSize(length: number): MillraceError {
    return wrongSize(
      this.#schema,
      `the next message in queue '${this.name}'`,
      length,
      'its sender has stated no schema, or lies: find it, and take the message out as bytes with tryPopInto() or ' +
        'drainRaw(callback, 1)',
    )
  }
}
