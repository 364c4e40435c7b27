// The reading side of a cell.

import { ifAllowed } from '../base/borrowing.js'
import { checkView, targetOf } from '../base/bytes.js'
import { tellGone } from '../base/life.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import { block, type BlockingOptions } from '../base/blocking.js'
import { closedError, corruptError, MillraceError, timeoutError } from '../errors.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeCellReader } from '../addon/cell.js'
import type { Tuning, WaitOptions } from '../base/options.js'
import { readinessOf, selectable, type Readiness } from '../base/selectable.js'
import { fairly } from '../base/fairness.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { PeerHandle } from '../base/peer-handle.js'
import type { AnyValueSchema } from '../base/value-schema.js'
import type { Attempt } from '../base/waiter.js'
import { CellValue } from './cell-value.js'
import { mostByWords } from './slot-layout.js'
import { SlotReader } from './slot-reader.js'
import { inOrder } from './slots.js'

/**
 * Reads the newest value of a cell, from `Cell.reader`. Any number of them, in any process. With a `struct()` as `schema`
 * what is read has a `value` of type `Value`, beside its bytes.
 */
export class CellReader<Value = unknown> extends PeerHandle<NativeCellReader> {
  /** Bytes of the largest value. */
  readonly maxBytes: number
  /** Places for values, the writer's choice. */
  readonly slots: number
  #seen = 0
  /** Nothing: that of what was read in JavaScript last. */
  #timestamp: bigint | undefined = 0n
  /** From the second look or short value on, where it may be looked at in JavaScript; not any more after closing. */
  #inWords: SlotReader | undefined
  #wantsWords = inOrder
  #isFirst = true
  readonly #schema: AnyValueSchema | undefined

  /** @internal */
  constructor(name: string, native: NativeCellReader, tuning: Tuning, schema?: AnyValueSchema) {
    super(name, `the reader of cell '${name}'`, native, tuning)
    this.#schema = schema
    this.maxBytes = native.maxBytes
    this.slots = native.slots
  }

  /** Of the newest value, 0 before the first. A cheap look: no system call, nothing is copied. */
  get version(): number {
    const newest = this.#inWords?.newest() ?? -1
    if (newest >= 0) return newest
    const version = this.native.version()
    if (version < 0) throw this.#fail(version)
    if (this.#wantsWords) this.#useWords()
    return version
  }

  /** Version of the value that this reader read last, or that `changed` told of; 0 at first. */
  get seen(): number {
    return this.#seen
  }

  /** When the value that was read last had been written, as in {@link CellValue}; 0n at first. */
  get timestamp(): bigint {
    return this.#timestamp ?? this.#inWords?.timestamp ?? 0n
  }

  /** How often a read had to start again because the writer had overwritten the value meanwhile. */
  get retries(): number {
    return this.native.retries() + (this.#inWords?.retries ?? 0)
  }

  /**
   * A copy of the newest value, or `undefined` if none was ever written. Never blocks, and works as well
   * when the writer has closed or died.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`, `BUSY` (the writer overwrote the value during each of 64
   *   attempts to copy it: give the cell more `slots`)
   */
  read(): CellValue<Value> | undefined {
    let size = this.native.measure()
    for (;;) {
      if (size < 0) {
        if (size === Outcome.wouldBlock) return undefined
        throw this.#fail(size)
      }
      const target = Buffer.allocUnsafe(size)
      const length = this.native.readInto(target)
      if (length >= 0) {
        this.#note()
        const bytes = length === size ? target : target.subarray(0, length)
        return new CellValue(this.name, bytes, this.#seen, this.timestamp, this.#schema)
      }
      // A longer one has come meanwhile.
      size = length === Outcome.tooLarge ? this.maxBytes : length
    }
  }

  /**
   * Copies the newest value to the start of `target` and returns its length, or -1 if none was ever
   * written; `seen` and `timestamp` tell the rest. No allocation. When it throws, the target's content is
   * undefined.
   *
   * @throws MillraceError `TOO_LARGE` (for the target; `maxBytes` always fits), `INVALID_ARGUMENT`, and as
   *   `read`
   */
  readInto(target: ArrayBufferView): number {
    const words = this.#inWords
    const length = words?.readInto(target, this.#seen) ?? -1
    if (length < 0) return this.#readNatively(target)
    this.#seen = words!.version
    this.#timestamp = undefined
    return length
  }

  #readNatively(target: ArrayBufferView): number {
    const length = this.native.readInto(targetOf(target))
    if (length >= 0) {
      this.#note()
      if (this.#wantsWords && length <= mostByWords) this.#useWords()?.wasRead(target, length)
      return length
    }
    if (length === Outcome.wouldBlock) return -1
    if (length === Outcome.tooLarge) {
      checkView(target, 'the target') // one whose memory is gone has no room, too
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `the value of cell '${this.name}' has ${String(this.native.facts[1])} bytes, the target ` +
          `${String(target.byteLength)}; pass a larger target (maxBytes always fits)`,
      )
    }
    throw this.#fail(length)
  }

  /**
   * Resolves with `true` as soon as there is a newer value than the one this reader read last (or was told
   * of by `changed`), however many have come; with `false` when there is none and the writer has closed (a
   * new one may follow: see `waitForPeer`). Does not read.
   *
   * Up to 56 readers of a cell are woken; further ones look once a millisecond while they wait.
   *
   * @throws MillraceError (as rejection) `PEER_GONE` (the writer died, and there is nothing newer),
   *   `CLOSED`, `CORRUPT`, `ABORTED`, `TIMEOUT`
   */
  changed(options?: WaitOptions): Promise<boolean> {
    try {
      if (this.version > this.#seen) {
        this.#seen = this.version
        return fairly(true)
      }
      return this.waits.waitAside(this.#late, this.#newerThan(this.#seen), options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As `changed`, blocking this thread; for Workers. Errors are thrown. */
  changedSync(options: BlockingOptions = {}): boolean {
    const since = this.#seen
    return block(this.waits, this.#late, options, this.#newerThan(since), (spin, timeout) =>
      this.native.wait(since, spin, timeout),
    )
  }

  /**
   * The newest value whenever there is a newer one, until the writer closes; then the loop ends. Values
   * that come while the loop's body runs are passed over, all but the last. Errors as `changed` and `read`.
   */
  changes(options?: IterationOptions): Iteration<CellValue<Value>> {
    const take = async (wait: WaitOptions) => ((await this.changed(wait)) ? this.read() : undefined)
    return iterate({ take, handle: this }, options)
  }

  /** Resolves as soon as there is a writer. Rejects `ABORTED`, `TIMEOUT`, `CLOSED`. */
  async waitForPeer(options?: WaitOptions): Promise<void> {
    this.assertOpen()
    await this.waits.waitAside(
      (timeout) => this.noPeerInTime(`a writer of cell '${this.name}'`, timeout),
      (thorough) => (thorough && this.peer === 'attached' ? true : undefined),
      options,
    )
  }

  /** How `select` waits for it: is there a newer value than the one that was read last, or told of by `changed`? */
  [selectable](): Readiness {
    return readinessOf(this.waits, (thorough) => {
      this.assertOpen()
      const seen = this.#seen
      const found = this.#newerThan(seen)(thorough)
      this.#seen = seen // it is not read
      return found === undefined ? undefined : found === true ? 'ready' : null
    })
  }

  /** Why there was no newer value in time. */
  readonly #late = (timeout: number): MillraceError => {
    const why = this.whyLate('writer', 'wrote none')
    return timeoutError(`a new value in cell '${this.name}'`, timeout, why)
  }

  #newerThan(since: number): Attempt<boolean> {
    return (thorough) => {
      if (this.#isNewer(since)) return true
      if (!thorough) return undefined
      const { peer } = this
      if (peer === 'attached' || peer === 'absent') return undefined
      // It may have written between our look and its leaving.
      if (this.#isNewer(since)) return true
      if (peer === 'closed') return false
      tellGone(this, this.peerPid)
      throw new MillraceError(
        'ERR_MILLRACE_PEER_GONE',
        `the writer of cell '${this.name}' (pid ${String(this.peerPid)}) died; its last value can still be ` +
          'read: wait for another writer with waitForPeer(), or close',
      )
    }
  }

  #isNewer(since: number): boolean {
    const { version } = this
    if (version < since) throw this.#fail(Outcome.corrupt)
    if (version === since) return false
    this.#seen = Math.max(this.#seen, version)
    return true
  }

  #note(): void {
    const { facts } = this.native
    const version = Number(facts[0])
    // The addon knows only what was read by it.
    if (version < this.#seen) throw this.#fail(Outcome.corrupt)
    this.#seen = version
    this.#timestamp = facts[2]!
  }

  /** A program that looks but once need not pay for that. */
  #useWords(): SlotReader | undefined {
    if (this.#inWords === undefined && !this.#isFirst) {
      this.#inWords = ifAllowed(() => new SlotReader(this.native))
      this.#wantsWords = this.#inWords !== undefined
    }
    this.#isFirst = false
    return this.#inWords
  }

  #fail(outcome: number): MillraceError {
    if (outcome === Outcome.lapped) {
      return new MillraceError(
        'ERR_MILLRACE_BUSY',
        `the writer of cell '${this.name}' overwrote the value during every attempt to copy it; create the ` +
          'cell with more slots, or write less often',
      )
    }
    if (outcome === Outcome.corrupt) {
      const error = corruptError(`cell '${this.name}'`)
      this.leave(error)
      return error
    }
    return closedError(this.title)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('CellReader', how, () => {
      const fixed = ['name', 'maxBytes', 'slots', 'seen', 'timestamp'] as const
      const isWhole = this.isWhole()
      const facts = factsOf(this, fixed, ['retries', 'peer', 'peerPid'], isWhole)
      if (!isWhole) return facts
      const version = this.native.version() // the property would close what is corrupt
      return version >= 0 ? { ...facts, version } : facts
    })
  }

  /** @internal */
  protected override closeNative(): void {
    this.#timestamp = this.timestamp
    this.#inWords = undefined
    this.#wantsWords = false
    this.native.close()
  }
}
