// The reading side of a frame channel.

import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { tellGone } from '../base/life.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import {
  closedError,
  corruptError,
  invalidArgument,
  isRefusal,
  MillraceError,
  peerFailedError,
  timeoutError,
} from '../errors.js'
import { putNumber, ReaderFact } from './facts.js'
import { Frame, PoolViews, userHeaderBytes, type FrameOwner } from './frame.js'
import { hasLeft, native } from '../addon/native.js'
import { Outcome } from '../addon/outcome.js'
import { channelIdOf, readAfter, type FramePosition } from './position.js'
import type { FrameReaderStats } from './reader-stats.js'
import type { NativeFrameReader } from '../addon/frames.js'
import {
  access,
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
  type ReaderMemoryOptions,
  type SchemaOptions,
  type Tuning,
  type TuningOptions,
  type WaitOptions,
  accessNames,
  schemaNames,
  tuningNames,
  waitNames,
} from '../base/options.js'
import { readinessOf, selectable, type Readiness } from '../base/selectable.js'
import type { Bytes } from '../base/view-constructor.js'
import { fairly } from '../base/fairness.js'
import { block, readBlocking, type BlockingOptions } from '../base/blocking.js'
import { PeerHandle } from '../base/peer-handle.js'
import type { Attempt } from '../base/waiter.js'
import { checkPlace, nameOf, openAt, type Place } from '../place/place.js'

/**
 * What happens when this reader is too slow:
 * - `wait`: the writer waits; nothing is lost, and everybody gets the pace of the slowest such reader.
 * - `drop-newest`: frames that find the reader's queue full are not delivered to it.
 * - `overwrite-oldest`: the oldest queued frame gives way to the newest.
 */
export type Policy = 'wait' | 'drop-newest' | 'overwrite-oldest'

const policies: readonly Policy[] = ['wait', 'drop-newest', 'overwrite-oldest']

export interface FrameReaderOptions
  extends AccessOptions, SchemaOptions, TuningOptions, WaitOptions {
  /** Default `wait`. */
  readonly policy?: Policy | undefined
  /**
   * Frames that may queue up for this reader before its policy applies, from 1; more than there are slots counts as all.
   * Default: all slots (`wait`), half of them (`drop-newest`), all but two (`overwrite-oldest`). Frames in hand are not
   * queued any more, see `maxHeld`; those of the history do not count. With `wait` the loans of the writer count, so that
   * each finds room when it is published. With `overwrite-oldest` queued frames also give way, before there are
   * `depth` of them, when the writer has no other slot.
   */
  readonly depth?: number | undefined
  /**
   * Past frames wanted on joining, as far as the writer keeps a history (its own `history`); default 0, or with `after`
   * all that came after that frame. They come first, oldest first, without a gap to what is published then; they
   * stay this reader's until it has received them, whatever its policy, and so keep their slots from the writer.
   */
  readonly history?: number | undefined
  /**
   * `sequence` of the frame that was received last, before a restart: the reader gets what came after it, as far as
   * the writer's history reaches, and `missed` of its first frame counts what lies between. 0: from the first frame on.
   * Frames are numbered over the life of a channel, which ends when all have left it, unless it is kept. So a number that the
   * channel has not come to is of an earlier channel of that name: this one is then new, from its first frame on. A new one
   * that has come to that number can be told by `{ channelId, sequence }` only: it is new likewise if its `channelId` is another.
   */
  readonly after?: number | FramePosition | undefined
  /**
   * Frames that may be held at once, received and not yet released, from 1; more than there are slots counts as all.
   * Default all slots but two, at least one. Whoever holds so many gets `TOO_MANY_HELD` for the next. A slot in hand is
   * the writer's again only when it is released, whatever the policy.
   */
  readonly maxHeld?: number | undefined
  /**
   * Milliseconds `open` waits for the channel and its writer to appear; default 5000. 0 looks once.
   */
  readonly timeout?: number | undefined
  /**
   * Detaches a frame's views on release, so that a view kept too long is empty instead of showing
   * another frame: to find such views. Costs about a microsecond a frame. The frame's `header` is not detached. Not for
   * runtimes that forbid ArrayBuffers over shared memory (Electron). Default false.
   */
  readonly detachOnRelease?: boolean | undefined
  /**
   * Count how long frames take, in the memory of the channel, where `observe()`, `millrace stat` and the metrics find it, also when this
   * process is dead? One of 16 frames is measured, from its `timestamp` until it is received, and stands for those since the one before; none that
   * was published before this reader came.
   * Default false.
   */
  readonly stats?: boolean | undefined
  /** Locking and prefaulting of this reader's map. */
  readonly memory?: ReaderMemoryOptions | undefined
}

const { wouldBlock } = Outcome

const readerNames = [
  ...accessNames,
  ...schemaNames,
  ...tuningNames,
  ...waitNames,
  'policy',
  'depth',
  'history',
  'after',
  'maxHeld',
  'detachOnRelease',
  'memory',
  'stats',
] as const

/** Of so many frames one is measured, as native/include/millrace/latency.hpp has it. */
const measuredEvery = 16

/** From now on this handle counts; others know nothing of it. */
function countLatencies(handle: NativeFrameReader): void {
  const { facts } = handle
  let left = 1
  const counting = (take: () => void) => (): void => {
    take()
    if (facts[ReaderFact.slot]! < 0 || --left > 0) return
    left = measuredEvery
    handle.countLatency()
  }
  handle.receive = counting(handle.receive.bind(handle))
  handle.latest = counting(handle.latest.bind(handle))
}

/**
 * Receives the frames of one writer, without copying them. The payload is mapped privately: a stray
 * write cannot reach the writer or other readers.
 *
 * @example
 * ```ts
 * using reader = await FrameReader.open('camera', { policy: 'overwrite-oldest' })
 * for await (using frame of reader) analyse(frame.bytes)
 * ```
 *
 * The loop ends when the writer has closed, and throws `PEER_FAILED` when it gave up, `PEER_GONE` when it died; the reader
 * stays on the channel in each case, and the next writer goes on with the next number. A program that is to outlive its writers waits for the next:
 *
 * ```ts
 * import { MillraceError } from 'millrace'
 *
 * for (;;) {
 *   try {
 *     for await (using frame of reader) analyse(frame.bytes)
 *   } catch (error) {
 *     const codes = ['ERR_MILLRACE_PEER_GONE', 'ERR_MILLRACE_PEER_FAILED']
 *     if (!(error instanceof MillraceError && codes.includes(error.code))) throw error
 *   }
 *   await reader.waitForPeer()
 * }
 * ```
 */
export class FrameReader extends PeerHandle<NativeFrameReader> {
  /** Size of the largest frame in bytes. */
  readonly slotBytes: number
  /** Frames that fit into the channel, whoever holds them. */
  readonly slots: number
  /** Frames that this reader may hold at once: its option `maxHeld`, or the default. */
  readonly maxHeld: number
  /**
   * 16 characters that tell this channel from others of its name, before and after it; the same to all who are on it. To be kept
   * with the `sequence` of the last frame, for the option `after`.
   */
  readonly channelId: string
  readonly #facts: Int32Array
  readonly #owner: HeldFrames
  // Made once, so that a wait costs no closure.
  readonly #next = (): Frame | undefined => this.tryReceive()
  readonly #newest = (): Frame | undefined => this.latest()
  readonly #nextOrEnd: Attempt<Frame | undefined> = (thorough) => this.#look(thorough, this.#next)
  readonly #newestOrEnd: Attempt<Frame | undefined> = (thorough) =>
    this.#look(thorough, this.#newest)

  private constructor(
    name: string,
    handle: NativeFrameReader,
    tuning: Tuning,
    detachOnRelease: boolean,
  ) {
    super(name, `the reader of frame channel '${name}'`, handle, tuning)
    this.slotBytes = handle.slotBytes
    this.slots = handle.slots
    this.channelId = channelIdOf(handle.instance)
    this.maxHeld = handle.maxHeld
    this.#facts = handle.facts
    this.#owner = new HeldFrames(name, handle, detachOnRelease)
  }

  /**
   * Joins a channel, waiting up to `timeout` for it and its writer to appear. From then on every frame
   * is queued for this reader, as its policy says. Each attempt takes microseconds; where a process is stopped in the
   * middle of opening or closing the channel, or its writer in the middle of a publish, it blocks the event loop for
   * two seconds.
   *
   * @throws MillraceError (as rejection) `NOT_FOUND` (not in time), `NO_LANE` (all reader places taken),
   *   `SCHEMA`, `ABORTED`, `NOT_OURS`, `LAYOUT`, `CORRUPT`, `PERMISSION`, `INVALID_NAME`, `NAME_TOO_LONG`,
   *   `INVALID_ARGUMENT`, `TIMEOUT` (a process is stopped in the middle)
   */
  static async open(place: Place, options?: FrameReaderOptions): Promise<FrameReader> {
    const given = checkOptions(options, readerNames)
    const policy = policies.indexOf(given.policy ?? 'wait')
    if (policy < 0) throw invalidArgument(`policy must be one of ${policies.join(', ')}`)
    const signal = checkSignal(given.signal)
    const timeout = duration(given, 'timeout', 5000)
    const wanted = {
      memory: readMemory(given),
      policy,
      depth: wholeNumber(given, 'depth', 0, [1, 4096]),
      history: wholeNumber(given, 'history', 0, [0, 4096]),
      ...readAfter(given),
      maxHeld: wholeNumber(given, 'maxHeld', 0, [1, 4096]),
      schema: fingerprint(given),
      ...access(given),
    }
    const tuning = readTuning(given)
    const detachOnRelease = flag(given, 'detachOnRelease')
    const stats = flag(given, 'stats')
    checkPlace(place)
    const name = nameOf(place)
    const handle = await openAt(place, (at) => new native.FrameReader({ place: at, ...wanted }), {
      timeout,
      signal,
      missing: `no writer appeared on frame channel '${name}'`,
      cure: 'start it',
    })
    if (stats) countLatencies(handle)
    return new FrameReader(name, handle, tuning, detachOnRelease)
  }

  /**
   * What became of the frames since this reader joined: a snapshot, made anew each time. One system call.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get stats(): FrameReaderStats {
    this.assertWhole()
    const [received = 0, lost = 0, skipped = 0, joinedAfter = 0, waiting = 0, held = 0] =
      this.native.counters()
    return { received, lost, skipped, joinedAfter, waiting, held }
  }

  /**
   * The oldest frame not yet received, or `undefined` if there is none now. Never blocks.
   *
   * @throws MillraceError `TOO_MANY_HELD` (release frames first), `CLOSED`, `CORRUPT`
   */
  tryReceive(): Frame | undefined {
    this.native.receive()
    return this.#take()
  }

  /**
   * The newest frame not yet received, or `undefined` if there is none now; older ones are passed over: given back
   * unseen, and counted as `skipped`, not as `missed`. Never blocks. Errors as `tryReceive`.
   */
  latest(): Frame | undefined {
    this.native.latest()
    return this.#take()
  }

  /**
   * The oldest frame not yet received, waiting for it without blocking the event loop; `undefined` when
   * the writer has closed and everything is received (wait for the next with `waitForPeer`).
   *
   * @throws MillraceError (as rejection) `PEER_FAILED` (the writer gave up, by `abort()` or by ending with another exit code
   *   than 0, and everything it published is received; the message says why), `PEER_GONE` (it died, likewise),
   *   `TOO_MANY_HELD`, `CLOSED`, `CORRUPT`, `ABORTED`, `TIMEOUT`
   */
  receive(options?: WaitOptions): Promise<Frame | undefined> {
    return this.#wait(this.#next, this.#nextOrEnd, options)
  }

  /**
   * As `receive`, but the newest frame at that moment; older ones are passed over, as by `latest`. For a reader that shows
   * what is now; with the policy `overwrite-oldest` the writer waits for no more than the frames in its hands. Errors
   * as `receive`; `undefined` when
   * the writer has closed and everything is received or passed over.
   */
  receiveLatest(options?: WaitOptions): Promise<Frame | undefined> {
    return this.#wait(this.#newest, this.#newestOrEnd, options)
  }

  /** As `receive`, blocking this thread; for Workers. Errors are thrown, `ABORTED` is none of them. */
  receiveSync(options?: BlockingOptions): Frame | undefined {
    const given = readBlocking(options)
    return block(this.waits, this.#late, given, this.#nextOrEnd, (spin, timeout) =>
      this.native.wait(spin, timeout),
    )
  }

  /**
   * Resolves as soon as there is a writer: at once while one is attached, after `receive` has ended with `undefined`,
   * `PEER_FAILED` or `PEER_GONE` when the next one has come.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `CLOSED`, `INVALID_ARGUMENT`
   */
  async waitForPeer(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    this.assertOpen()
    await this.waits.waitAside(
      (timeout) => this.noPeerInTime(`a writer of frame channel '${this.name}'`, timeout),
      (thorough) => (thorough && this.peer === 'attached' ? true : undefined),
      wait,
    )
  }

  /**
   * All frames until the writer closes, or this reader does; then the loop ends. Leaving the loop closes nothing, and takes
   * nothing that was not handed out. Release each frame: `for await (using frame of reader.frames({ signal }))`. Errors as `receive`.
   */
  frames(options?: IterationOptions): Iteration<Frame> {
    return iterate({ take: (wait) => this.receive(wait), handle: this }, options)
  }

  /** As `frames()`: `for await (using frame of reader)`. */
  [Symbol.asyncIterator](): Iteration<Frame> {
    return this.frames()
  }

  /** How `select` waits for it. */
  [selectable](): Readiness {
    const found = (): 'ready' | undefined => (this.native.hasFrame() ? 'ready' : undefined)
    return readinessOf(this.waits, (thorough) => {
      this.assertOpen()
      return this.#look(thorough, found)
    })
  }

  /** Leaves the channel: held and queued frames go back to the writer, their views become empty. */
  override close(): void {
    super.close()
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('FrameReader', how, () =>
      factsOf(
        this,
        ['name', 'slotBytes', 'slots', 'maxHeld'],
        ['peer', 'peerPid', 'stats'],
        this.isWhole(),
      ),
    )
  }

  /** @internal */
  protected override closeNative(): void {
    this.#owner.close()
    this.native.close()
  }

  #wait(
    look: () => Frame | undefined,
    lookOrEnd: Attempt<Frame | undefined>,
    options?: WaitOptions,
  ): Promise<Frame | undefined> {
    try {
      const wait = readWait(options)
      if (!this.waits.occupied) {
        const now = look()
        if (now !== undefined) return fairly(now)
      }
      return this.waits.wait(this.#late, lookOrEnd, wait)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** `look`, and if there is nothing, whether there ever will be; `null` if not. */
  #look<T>(thorough: boolean, look: () => T | undefined): T | null | undefined {
    const found = look()
    if (found !== undefined || !thorough) return found
    if (this.native.excluded()) {
      this.close()
      throw corruptError(`frame channel '${this.name}'`)
    }
    const { peer } = this
    if (peer === 'attached' || peer === 'absent') return undefined
    // It may have published between our look and its leaving.
    const last = look()
    if (last !== undefined) return last
    if (peer === 'closed') return null
    if (peer === 'failed') {
      throw peerFailedError(
        `the writer of frame channel '${this.name}'`,
        this.peerPid,
        this.native.peerReason(),
        'everything it published has been received: wait for another writer with waitForPeer(), or close',
      )
    }
    tellGone(this, this.peerPid)
    throw new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the writer of frame channel '${this.name}' (pid ${String(this.peerPid)}) died; everything it ` +
        'published has been received: wait for another writer with waitForPeer(), or close',
    )
  }

  /** Why there was no frame in time. */
  readonly #late = (timeout: number): MillraceError => {
    const why = this.whyLate('writer', 'published none')
    return timeoutError(`a frame of '${this.name}'`, timeout, why)
  }

  /** What the native call has left in `facts`. */
  #take(): Frame | undefined {
    const slot = this.#facts[ReaderFact.slot]!
    if (slot >= 0) return new Frame(this.#owner, this.#facts)
    if (slot === wouldBlock) return undefined
    if (slot === Outcome.tooManyHeld) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_MANY_HELD',
        `this reader of '${this.name}' holds ${String(this.maxHeld)} frames, its limit; release some ` +
          'first (`using`, or frame.release()), or open it with a larger maxHeld',
      )
    }
    if (slot === Outcome.corrupt) {
      this.close()
      throw corruptError(`frame channel '${this.name}'`)
    }
    throw closedError(this.title)
  }
}

/** What the frames of one reader go through. */
class HeldFrames implements FrameOwner {
  readonly name: string
  readonly pool: PoolViews
  #closed = false
  readonly #native: NativeFrameReader
  readonly #facts: Int32Array
  /** Buffers of held frames to be detached; with `detachOnRelease` only. */
  readonly #ownBuffers: Set<ArrayBuffer> | undefined
  #buffer: ArrayBuffer | undefined

  constructor(name: string, handle: NativeFrameReader, detachOnRelease: boolean) {
    this.name = name
    this.#native = handle
    this.#facts = handle.facts
    this.#ownBuffers = detachOnRelease ? new Set() : undefined
    this.pool = new PoolViews(handle, () => (this.#buffer ??= handle.buffer()))
  }

  get closed(): boolean {
    return this.#closed || hasLeft()
  }

  release(frame: Frame): void {
    if (frame.own !== undefined) this.#detach(frame.own)
    this.#facts[ReaderFact.slot] = frame.slot
    putNumber(this.#facts, ReaderFact.sequence, frame.sequence)
    this.#native.release()
  }

  copyOut(frame: Frame, offset: number, target: ArrayBufferView): void {
    if (
      offset + target.byteLength <= frame.byteLength &&
      this.#native.read(frame.slot, frame.sequence, offset, target) >= 0
    ) {
      return
    }
    throw invalidArgument(
      `${String(target.byteLength)} bytes at offset ${String(offset)} are not within the ` +
        `${String(frame.byteLength)} bytes of the frame`,
    )
  }

  header(frame: Frame): Bytes {
    try {
      return this.pool.header(frame.slot)
    } catch (error) {
      if (!isRefusal(error)) throw error
      const copy = new Uint8Array(userHeaderBytes)
      this.#native.readHeader(frame.slot, frame.sequence, copy)
      return copy
    }
  }

  ownBuffer(slot: number): ArrayBuffer | undefined {
    if (this.#ownBuffers === undefined) return undefined
    const buffer = this.#native.slotBuffer(slot)
    this.#ownBuffers.add(buffer)
    return buffer
  }

  close(): void {
    this.#closed = true
    this.#buffer = undefined
    this.#ownBuffers?.forEach((buffer) => {
      this.#detach(buffer)
    })
  }

  #detach(buffer: ArrayBuffer): void {
    this.#ownBuffers?.delete(buffer)
    native.detach(buffer)
  }
}
