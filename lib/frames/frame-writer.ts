// The writing side of a frame channel.

import { closedError, MillraceError } from '../errors.js'
import { numberAt, putNumber, WriterFact } from './facts.js'
import { LoanedFrame, PoolViews, type LoanOwner } from './frame.js'
import { native } from '../addon/native.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeFrameWriter } from '../addon/frames.js'
import {
  access,
  checkName,
  checkOptions,
  duration,
  fingerprint,
  flag,
  readMemory,
  readTuning,
  wholeNumber,
  type AccessOptions,
  type SchemaOptions,
  type Tuning,
  type TuningOptions,
  type WaitOptions,
  schemaNames,
  tuningNames,
} from '../base/options.js'
import type { MemoryOptions } from '../addon/memory-options.js'
import { fairly } from '../base/fairness.js'
import { SpinBudget } from '../base/blocking.js'
import { Handle } from '../base/handle.js'
import { now } from '../base/time.js'
import type { WaitQueue } from '../base/wait-queue.js'
import { checkPlace, nameOf, type Place } from '../place/place.js'

export interface FrameWriterOptions
  extends Pick<AccessOptions, 'mode'>, SchemaOptions, TuningOptions {
  /** Size of the largest frame in bytes. */
  readonly slotBytes: number
  /**
   * Frames that can be in flight (written, queued, held, kept as history) together; default 8. A writer
   * never has to wait for readers that drop or overwrite if there is one slot more than all of them may
   * queue and hold.
   */
  readonly slots?: number | undefined
  /** Readers that can be attached at the same time, up to 62; default 8. */
  readonly maxReaders?: number | undefined
  /** Newest frames to keep for readers that join late; default 0. Each takes a slot. */
  readonly history?: number | undefined
  /** Slots start at multiples of this many bytes: 64 (default) up to a page (4096). */
  readonly alignment?: number | undefined
  /**
   * The channel stays, with its history, when everybody has closed or died, until `FrameWriter.unlink`: the
   * next writer of the same geometry goes on after the last frame, and readers that ask for history get
   * what was published before. Without it the channel goes with its last user. Default false. A file always
   * stays.
   */
  readonly keep?: boolean | undefined
  /**
   * If the channel exists with another geometry and its readers are still there: leave it to them and
   * start a new one. Default false: `ERR_MILLRACE_GEOMETRY`.
   */
  readonly replace?: boolean | undefined
  /** How the memory is treated: huge pages, locking, prefaulting, NUMA nodes, wiping. */
  readonly memory?: MemoryOptions | undefined
}

const { wouldBlock } = Outcome

const writerNames = [
  'mode',
  ...schemaNames,
  ...tuningNames,
  'slotBytes',
  'slots',
  'maxReaders',
  'history',
  'alignment',
  'keep',
  'replace',
  'memory',
] as const

/**
 * Publishes frames to any number of readers without copying them.
 *
 * Readers come and go at any time and each states what happens when it is too slow; see `FrameReader`.
 * With no reader attached, frames are only kept as history. The channel is removed when the writer and
 * all readers have left, unless it is to be kept.
 *
 * @example
 * ```ts
 * using camera = FrameWriter.create('camera', { slotBytes: 1920 * 1080 * 4 })
 * const frame = await camera.loan()
 * frame.bytes.set(image)
 * frame.publish()
 * ```
 */
export class FrameWriter extends Handle<NativeFrameWriter> {
  /** Size of the largest frame in bytes. */
  readonly slotBytes: number
  /** Frames that fit into the channel, whoever holds them. */
  readonly slots: number
  /** Readers that there can be at a time. */
  readonly maxReaders: number
  /** The newest frames that are kept for readers to come. */
  readonly history: number
  readonly #owner: WrittenFrames
  readonly #what: string
  /** Made once, so that a wait costs no closure. */
  readonly #loan = (): LoanedFrame | undefined => this.#loanNow()

  private constructor(name: string, handle: NativeFrameWriter, tuning: Tuning) {
    super(name, title(name), handle, () => handle.watchReaders(), tuning)
    this.slotBytes = handle.slotBytes
    this.slots = handle.slots
    this.maxReaders = handle.maxReaders
    this.history = handle.history
    this.#what = `a free slot of '${name}'`
    this.#owner = new WrittenFrames(name, handle, this.waits)
  }

  /**
   * Takes the writing side; creates the channel, or takes over one whose writer is gone (its readers go
   * on). Does not wait for readers. Blocks for the time it takes to reserve the memory.
   *
   * @throws MillraceError `ROLE_TAKEN` (a living writer has it), `GEOMETRY`, `SCHEMA`, `INVALID_ARGUMENT`,
   *   `NO_SPACE`, `LAYOUT`, `NOT_OURS`, `CORRUPT`, `PERMISSION`, `INVALID_NAME`, `NAME_TOO_LONG`, `TIMEOUT`
   */
  static create(place: Place, options: FrameWriterOptions): FrameWriter {
    const given = checkOptions(options, writerNames)
    const tuning = readTuning(given)
    const large = Number.MAX_SAFE_INTEGER
    const handle = new native.FrameWriter({
      place: checkPlace(place),
      memory: readMemory(given),
      slotBytes: wholeNumber(given, 'slotBytes', 0, [1, large]),
      slots: wholeNumber(given, 'slots', 8, [2, 4096]),
      maxReaders: wholeNumber(given, 'maxReaders', 8, [1, 62]),
      history: wholeNumber(given, 'history', 0, [0, 4094]),
      alignment: wholeNumber(given, 'alignment', 64, [64, 65536]),
      mode: access(given).mode,
      keep: flag(given, 'keep'),
      replace: flag(given, 'replace'),
      schema: fingerprint(given),
    })
    return new FrameWriter(nameOf(place), handle, tuning)
  }

  /**
   * Removes the name; who is on the channel stays on it. Returns whether there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in
   *   the middle of opening or closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('f', checkName(name))
  }

  /** Readers attached now. */
  get readers(): number {
    return this.native.readers()
  }

  /** Sequence of the frame published last, by this writer or one before it; 0 if none was. */
  get sequence(): number {
    return this.#owner.published
  }

  /**
   * A slot to write into, or `undefined` while a reader with policy `wait` is too far behind, or all
   * slots are queued or held. Never blocks. Several loans may be out at once.
   *
   * @throws MillraceError `CLOSED`
   */
  tryLoan(): LoanedFrame | undefined {
    if (this.waits.occupied) return undefined
    return this.#loanNow()
  }

  /**
   * A slot to write into, waiting for one without blocking the event loop. Readers that die meanwhile
   * give theirs back.
   *
   * @throws MillraceError (as rejection) `CLOSED`, `ABORTED`, `TIMEOUT`
   */
  loan(options?: WaitOptions): Promise<LoanedFrame> {
    try {
      const now = this.tryLoan()
      if (now !== undefined) return fairly(now)
      return this.waits.wait(this.#what, this.#loan, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The same, blocking this thread; for Workers. Errors are thrown; `BUSY` while `loan` calls wait. */
  loanSync(options: { readonly timeout?: number; readonly spin?: number } = {}): LoanedFrame {
    if (this.waits.occupied) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `frame channel '${this.name}' is busy: earlier loans are waiting; await those first`,
      )
    }
    const timeout = duration(options, 'timeout', Infinity)
    const spin = new SpinBudget(options)
    const end = now() + timeout
    try {
      for (;;) {
        const damage = this.waits.damage()
        if (damage !== undefined) throw damage
        const frame = this.tryLoan()
        if (frame !== undefined) return frame
        const left = end - now()
        if (left <= 0) {
          throw new MillraceError(
            'ERR_MILLRACE_TIMEOUT',
            `no slot of '${this.name}' became free in time; its readers hold or queue all of them`,
          )
        }
        this.native.wait(spin.left(), left)
      }
    } finally {
      this.waits.parkAgain() // somebody may wait in the event loop, too
    }
  }

  /** Resolves when at least `count` readers are attached. Rejects `CLOSED`, `ABORTED`, `TIMEOUT`. */
  async waitForReaders(count = 1, options?: WaitOptions): Promise<void> {
    this.assertOpen()
    await this.waits.waitAside(
      `${String(count)} readers on '${this.name}'`,
      () => (this.readers >= count ? true : undefined),
      options,
    )
  }

  /** Leaves the channel. Readers see the end after what is queued for them; loans are void. */
  override close(): void {
    super.close()
  }

  /** @internal */
  protected override closeNative(): void {
    this.#owner.close()
    this.native.close()
  }

  #loanNow(): LoanedFrame | undefined {
    const slot = this.#owner.takeSlot()
    return slot < 0 ? undefined : new LoanedFrame(this.#owner, slot)
  }
}

function title(name: string): string {
  return `the writer of frame channel '${name}'`
}

/** What the frames of one writer go through. */
class WrittenFrames implements LoanOwner {
  readonly pool: PoolViews
  readonly slotBytes: number
  readonly usedHeaders: boolean[]
  closed = false
  published: number
  readonly #name: string
  readonly #native: NativeFrameWriter
  readonly #facts: Int32Array
  readonly #waits: WaitQueue
  #buffer: ArrayBuffer | undefined

  constructor(name: string, handle: NativeFrameWriter, waits: WaitQueue) {
    this.#name = name
    this.#native = handle
    this.#facts = handle.facts
    this.#waits = waits
    this.pool = new PoolViews(handle, () => (this.#buffer ??= handle.buffer()))
    this.slotBytes = handle.slotBytes
    this.usedHeaders = new Array<boolean>(handle.slots).fill(true)
    this.published = numberAt(handle.facts, WriterFact.sequence)
  }

  /** A slot, or a number below zero if there is none now. Publishing the last frame has often loaned it already. */
  takeSlot(): number {
    const next = this.#facts[WriterFact.next]!
    if (next >= 0) {
      this.#facts[WriterFact.next] = wouldBlock
      return next
    }
    const slot = this.#native.tryLoan()
    if (slot < 0 && slot !== wouldBlock) throw closedError(title(this.#name))
    return slot
  }

  publish(slot: number, length: number, timestamp: bigint | undefined): number {
    const facts = this.#facts
    facts[WriterFact.slot] = slot
    putNumber(facts, WriterFact.length, length)
    if (timestamp === undefined) this.#native.publish()
    else this.#native.publishAt(timestamp)
    const sequence = numberAt(facts, WriterFact.sequence)
    if (sequence < 0) throw closedError(title(this.#name))
    this.published = sequence
    if (this.#waits.occupied) this.#waits.lookAgain() // with no reader to take it, the slot is free again
    return sequence
  }

  discard(slot: number): void {
    if (this.closed) return
    this.#native.discard(slot)
    this.#waits.lookAgain()
  }

  copyIn(slot: number, offset: number, source: ArrayBufferView): void {
    if (this.#native.write(slot, offset, source) >= 0) return
    throw new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `the bytes at offset ${String(offset)} are not within the ${String(this.slotBytes)} ` +
        'bytes of a slot',
    )
  }

  copyHeader(slot: number, header: Uint8Array): void {
    if (this.#native.writeHeader(slot, header) < 0) throw closedError(title(this.#name))
  }

  close(): void {
    this.closed = true
    this.#facts[WriterFact.next] = wouldBlock // a loan made ahead is void, too
    this.#buffer = undefined
  }
}
