// The writing side of a frame channel.

import { invalidArgument, MillraceError, timeoutError } from '../errors.js'
import type { LoanedFrame } from './frame.js'
import type { Filled, FillSource } from '../base/fill.js'
import { WrittenFrames } from './loans.js'
import { channelIdOf } from './position.js'
import { native } from '../addon/native.js'
import type { NativeFrameWriter } from '../addon/frames.js'
import {
  access,
  checkName,
  checkOptions,
  checkSignal,
  duration,
  fingerprint,
  flag,
  readMemory,
  readTuning,
  readWait,
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
import { reasonText } from '../base/failure.js'
import { fairly } from '../base/fairness.js'
import { readBlocking, SpinBudget, type BlockingOptions } from '../base/blocking.js'
import { Handle } from '../base/handle.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { now } from '../base/time.js'
import { checkPlace, nameOf, type Place } from '../place/place.js'

/** As {@link FillSource}: what frames are made of. */
export type FrameSource = FillSource

/** Options of `FrameWriter.fill`. */
export interface FillOptions {
  /** Bytes of a frame; default `slotBytes`. */
  readonly frameBytes?: number | undefined
  /** Ends it with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

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
  /**
   * Newest frames to keep for readers that join late, or come back (`history` and `after` of a reader); default 0, at most
   * all slots but two. Each takes a slot, also when every reader has had it.
   */
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
 * using frame = await camera.loan()
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
  /** 16 characters that tell this channel from others of its name; that of its readers, and of the next writer of the channel. */
  readonly channelId: string
  readonly #owner: WrittenFrames
  /** Set by `abort()`: why. */
  #failure: string | undefined
  /** Made once, so that a wait costs no closure. */
  readonly #loan = (): LoanedFrame | undefined => this.#loanNow()

  private constructor(name: string, handle: NativeFrameWriter, tuning: Tuning) {
    super(name, title(name), handle, () => handle.watchReaders(), tuning)
    this.slotBytes = handle.slotBytes
    this.slots = handle.slots
    this.maxReaders = handle.maxReaders
    this.history = handle.history
    this.channelId = channelIdOf(handle.instance)
    this.#owner = new WrittenFrames(name, title(name), handle, this.waits)
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
    if (given.slotBytes === undefined) {
      throw invalidArgument('slotBytes must be given: the size of the largest frame in bytes')
    }
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

  /**
   * Readers attached now and alive. One system call for each, and one more.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get readers(): number {
    this.assertWhole()
    return this.native.readers()
  }

  /** Sequence of the frame published last, by this writer or one before it; 0 if none was. */
  get sequence(): number {
    return this.#owner.published
  }

  /**
   * A slot to write into, or `undefined` while a reader with policy `wait` is too far behind, or all
   * slots are queued, held or on loan. Never blocks. Several loans may be out at once.
   *
   * Publish each loan, or give it back: `using frame = …` does that at the end of the block, also when the code
   * between throws. One that is forgotten takes its slot along until it is garbage collected; then the slot comes
   * back, with a warning of the process (`MILLRACE_LOAN_FORGOTTEN`, once).
   *
   * @throws MillraceError `CLOSED`
   */
  tryLoan(): LoanedFrame | undefined {
    if (this.waits.occupied) return undefined
    return this.#loanNow()
  }

  /**
   * A slot to write into, waiting for one without blocking the event loop. Readers that die meanwhile
   * give theirs back. Where this writer itself has all slots on loan, it waits for them to be published or
   * discarded; after a second the process is warned (`MILLRACE_LOANS_OPEN`, once), and a `TIMEOUT` says so.
   *
   * @throws MillraceError (as rejection) `CLOSED`, `ABORTED`, `TIMEOUT`, `INVALID_ARGUMENT`
   */
  loan(options?: WaitOptions): Promise<LoanedFrame> {
    try {
      const wait = readWait(options)
      const now = this.tryLoan()
      if (now !== undefined) return fairly(now)
      const loan = this.waits.wait(this.#late, this.#loan, wait)
      return this.#owner.allOut ? this.#owner.tellWhenLong(loan) : loan
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The same, blocking this thread; for Workers. Errors are thrown; `BUSY` while `loan` calls wait. */
  loanSync(options?: BlockingOptions): LoanedFrame {
    const given = readBlocking(options)
    if (this.waits.occupied) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `frame channel '${this.name}' is busy: earlier loans are waiting; await those first`,
      )
    }
    const timeout = duration(given, 'timeout', Infinity)
    const spin = new SpinBudget(given)
    const end = now() + timeout
    try {
      for (;;) {
        const damage = this.waits.damage()
        if (damage !== undefined) throw damage
        const frame = this.tryLoan()
        if (frame !== undefined) return frame
        const left = end - now()
        if (left <= 0) throw this.#late(timeout)
        this.native.wait(spin.left(), left)
      }
    } finally {
      this.waits.parkAgain() // somebody may wait in the event loop, too
    }
  }

  /**
   * Publishes what comes from `source`, cut into frames of `frameBytes`, one after another, until the source ends; resolves
   * with their number. Waits where `loan` would, and lets the source wait meanwhile.
   *
   * The descriptor of a pipe or a socket is read straight into the slots: nothing is copied, which takes less processor
   * time than reading the pipe in the usual way. Chunks of streams, and files, are copied. The source is closed
   * at the end, also when it fails; of a frame that is not whole by then nobody sees anything.
   *
   * @example
   * ```ts
   * // ffmpeg … -f rawvideo -pix_fmt rgba - | node camera.js
   * using camera = FrameWriter.create('camera', { slotBytes: 1920 * 1080 * 4 })
   * await camera.fill(0)
   * ```
   *
   * @throws MillraceError (as rejection) `INCOMPLETE` (the source ended in the middle of a frame), `CLOSED`, `ABORTED`,
   *   `INVALID_ARGUMENT`; whatever the source fails with
   */
  async fill(source: FrameSource, options?: FillOptions): Promise<number> {
    this.assertOpen()
    const given = checkOptions(options, ['frameBytes', 'signal'])
    const frameBytes = wholeNumber(given, 'frameBytes', this.slotBytes, [1, this.slotBytes])
    const filled: Filled<LoanedFrame> = {
      title: this.title,
      pieceBytes: frameBytes,
      whole: true,
      tryRoom: () => this.tryLoan(),
      room: (wait) => this.loan(wait),
      bytesOf: (frame) => frame.bytes,
      write: (frame, part, at) => {
        frame.write(part, at)
      },
      send: (frame, length) => {
        frame.publish({ byteLength: length })
      },
      discard: (frame) => {
        frame.discard()
      },
      incomplete: (frames, missing) =>
        new MillraceError(
          'ERR_MILLRACE_INCOMPLETE',
          `the source ended in the middle of frame ${String(frames + 1)}: ${String(missing)} of its ` +
            `${String(frameBytes)} bytes are missing; the ${String(frames)} before it are published`,
        ),
      onClose: (callback) => this.#owner.onClose(callback),
    }
    const { fill } = require('../base/fill.js') as typeof import('../base/fill.js')
    return (await fill(filled, source, checkSignal(given.signal))).pieces
  }

  /**
   * Resolves when at least `count` readers are attached and alive; default 1, at most `maxReaders`.
   *
   * @throws MillraceError (as rejection) `CLOSED`, `ABORTED`, `TIMEOUT`, `INVALID_ARGUMENT`
   */
  async waitForReaders(count = 1, options?: WaitOptions): Promise<void> {
    const wanted = wholeNumber({ count }, 'count', 1, [0, this.maxReaders])
    const wait = readWait(options)
    this.assertOpen()
    await this.waits.waitAside(
      (timeout) =>
        timeoutError(
          `${String(wanted)} readers on '${this.name}'`,
          timeout,
          `there are ${String(this.readers)}: start the others, or allow more time`,
        ),
      () => (this.readers >= wanted ? true : undefined),
      wait,
    )
  }

  /** Leaves the channel in good order. Readers see the end after what is queued for them; loans are void. */
  override close(): void {
    super.close()
  }

  /**
   * Leaves the channel as `close()` does, and tells the readers that this writer has failed: after what is queued for them
   * their waits and loops reject with `PEER_FAILED`, where they would end. `close()`, and so `using`, says that all is
   * well, also while an error is on its way. The next writer starts without that mark.
   *
   * `reason` is for people: an error (its message), text, or whatever was thrown. The first 200 bytes of its UTF-8 reach the
   * readers. Closed already: does nothing.
   */
  abort(reason?: unknown): void {
    if (this.closed) return
    this.#failure = reasonText(reason)
    super.close()
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('FrameWriter', how, () =>
      factsOf(
        this,
        ['name', 'slotBytes', 'slots', 'maxReaders', 'history', 'sequence'],
        ['readers'],
        this.isWhole(),
      ),
    )
  }

  /** @internal */
  protected override closeNative(): void {
    this.#owner.close()
    if (this.#failure === undefined) this.native.close()
    else this.native.abort(this.#failure)
  }

  #loanNow(): LoanedFrame | undefined {
    return this.#owner.loan()
  }

  /** Why there was no slot in time. */
  readonly #late = (timeout: number): MillraceError =>
    timeoutError(`a free slot of '${this.name}'`, timeout, this.#owner.whoHasSlots(this.readers))
}

function title(name: string): string {
  return `the writer of frame channel '${name}'`
}
