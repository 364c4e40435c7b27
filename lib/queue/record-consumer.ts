// The consuming side of a queue whose messages are records. `drain` puts one array over each message where it lies; what is
// popped are plain objects.

import type { NativeQueueConsumer } from '../addon/queue.js'
import { callApart, nothing } from '../base/apart.js'
import { inspected, inspection, type Inspecting } from '../base/inspection.js'
import type { Tuning } from '../base/options.js'
import { notRecords, put, type MovableRecords, type RecordSchema } from '../base/record-schema.js'
import { titleOf } from '../base/value-schema.js'
import type { ArrayViewOf } from '../struct/definition.js'
import type { FieldType, Of } from '../struct/field-type.js'
import { QueueConsumer } from './consumer.js'
import { checkDrain } from './drain-callback.js'

/**
 * The receiving side of a queue of records, from `RecordQueue.consumer`. `drain` shows the records of each message where
 * they lie; `pop` and its kin, and the loop over all messages, give them as plain objects. A message that is no whole
 * number of records stays in the queue, and is refused with `ERR_MILLRACE_SCHEMA`, by every call but those that copy or show
 * bytes: `tryPopInto`, `tryPopPacked`, `drainRaw`, `take` and its kin.
 */
export class RecordConsumer<S extends FieldType> extends QueueConsumer<
  Of<S, 'plain'>[],
  ArrayViewOf<S>
> {
  readonly #schema: RecordSchema
  readonly #records: MovableRecords
  readonly #size: number
  #over: DataView | undefined

  /** @internal */
  constructor(
    name: string,
    native: NativeQueueConsumer,
    tuning: Tuning,
    { schema, records }: { readonly schema: RecordSchema; readonly records: MovableRecords },
  ) {
    super(name, native, tuning)
    this.#schema = schema
    this.#records = records
    this.#size = schema.size
  }

  /**
   * Calls `callback` for each message that is there now, at most `max`, with its records where they lie: nothing is copied,
   * and nothing allocated. It is one array, which is put from message to message and shows nothing after the call:
   * `at` throws `RELEASED` then, and a view of a record that was kept a `RangeError`. The rest is as for every queue.
   * Returns the number of messages taken.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`, `BUSY` (inside another `drain`), `SCHEMA`, `UNSUPPORTED_RUNTIME`,
   *   `INVALID_ARGUMENT`
   */
  override drain(callback: (records: ArrayViewOf<S>) => unknown, max?: number): number {
    checkDrain(callback, max)
    this.assertNotDraining()
    if (this.nothingYet()) return 0
    const over = (this.#over ??= new DataView(this.ringForSure().buffer))
    const records = this.#records
    const shown = records as unknown as ArrayViewOf<S>
    const size = this.#size
    callApart(nothing, shown)
    try {
      return this.walk((at, length) => {
        if (length % size !== 0) throw this.#notRecords(length)
        records[put](over, at, (length / size) | 0)
        return callApart(callback, shown)
      }, max)
    } finally {
      records[put](undefined, 0, 0)
    }
  }

  override tryPop(): Of<S, 'plain'>[] | undefined {
    const length = this.nextLength
    if (length < 0) return undefined
    if (length % this.#size !== 0) throw this.#notRecords(length)
    const bytes = super.tryPop() as unknown as Uint8Array | undefined
    return bytes && this.#schema.array(bytes).toArray()
  }

  /** @internal */
  protected override closeNative(): void {
    this.#records[put](undefined, 0, 0) // inside `drain` it may show the memory that goes
    this.#over = undefined
    super.closeNative()
  }

  /** The message stays, as one that is too large for its target: what came can be looked at. */
  #notRecords(length: number): Error {
    return notRecords(
      this.#schema,
      `the next message in queue '${this.name}'`,
      length,
      'its sender has stated no schema, or lies: find it, and take the message out as bytes with tryPopInto() or ' +
        'drainRaw(callback, 1)',
    )
  }

  /** @internal What `console.log` shows. */
  override [inspected](...how: Inspecting): string {
    return inspection('RecordConsumer', how, () => ({
      ...this.facts(['peer', 'peerPid']),
      record: titleOf(this.#schema),
    }))
  }
}
