// The only file that uses the addon as it is. Types its boundary, and starts the two services that everything
// above needs: wake-ups from the doorbell, and closing all channels when the process exits.

import { findAddon, load } from '../binary.js'
import type { NativeLock, NativeLockOptions } from '../sync/lock.js'
import type { NativeBarrier, NativeBarrierOptions } from '../sync/barrier.js'
import type { NativeEvent, NativeEventOptions } from '../sync/event.js'
import type { ObjectEntry } from '../upkeep/object-entry.js'
import type { SweepResult } from '../upkeep/sweep.js'
import { MillraceError, type ErrorCode } from './errors.js'
import type { MemoryOptions } from './options.js'

/** Results of hot native calls below zero; the numbers of native/addon/channel.hpp. */
export const Outcome = {
  wouldBlock: -1,
  tooLarge: -2,
  corrupt: -3,
  closed: -4,
  invalid: -5,
  tooManyHeld: -6,
  lapped: -7,
} as const

/** What native `peer()` returns, by index. */
export const peerStates = ['absent', 'attached', 'closed', 'gone'] as const

/** Whoever can be parked until the peer does something. */
export interface NativeWaiter {
  /** The number a wake-up for this channel carries. */
  wakeToken(token: number): void
  /**
   * From now on the peer wakes us; look once more before sleeping. `false`: it will not, nothing is left
   * but to look from time to time. `true`: it was attached just now, and its death is being watched already, so
   * that a look at the peer would find nothing new.
   */
  park(): unknown
  unpark(): void
  /**
   * Has nothing changed since this was asked last, and does the peer still know that we are parked? Costs a
   * tenth of parking again.
   */
  still?(): boolean
  /** Set if somebody has shortened the memory; it is closed then. Costs a system call. */
  damage?(): MillraceError | undefined
}

/** A name, the descriptor of a nameless segment, or a file. */
export type NativePlace = string | number | { readonly file: string }

export interface NativeQueueOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  /** Fingerprint; 0n: none stated. */
  readonly schema: bigint
  readonly capacity: number
  readonly mode: number
  readonly owner: number | undefined
  readonly keep: boolean
}

export interface NativeQueueSide extends NativeWaiter {
  readonly capacity: number
  readonly path: string
  /** The records: mapped twice in a row, so that none wraps. */
  buffer(): ArrayBuffer
  /** `layout::RingControl`. */
  control(): ArrayBuffer
  /** `RingCursor`, which stays there from then on. */
  cursor(): ArrayBuffer
  /** Wakes the peer if it sleeps; for whoever has published in JavaScript. */
  wake(): void
  peer(): number
  peerPid(): number
  watchPeer(): boolean
  close(discard: boolean): void
}

export interface NativeQueueProducer extends NativeQueueSide {
  tryPush(message: ArrayBufferView): number
  publish(recordBytes: number, messages: number): number
  room(): number
  /** 1 if the consumer has released everything, else 0. */
  drained(): number
  wait(recordBytes: number, spinMs: number, timeoutMs: number): boolean
}

export interface NativeQueueConsumer extends NativeQueueSide {
  popInto(target: ArrayBufferView, offset: number): number
  available(): number
  release(recordBytes: number, messages: number): number
  nextLength(): number
  wait(spinMs: number, timeoutMs: number): boolean
  /** JavaScript met an impossible record. */
  markCorrupt(): void
}

export interface NativeFramesSide extends NativeWaiter {
  readonly slotBytes: number
  readonly slots: number
  readonly maxReaders: number
  readonly history: number
  readonly payloadOffset: number
  readonly slotStride: number
  readonly path: string
  buffer(): ArrayBuffer
  wait(spinMs: number, timeoutMs: number): boolean
  close(): void
}

export interface NativeFrameWriterOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly schema: bigint
  readonly slotBytes: number
  readonly slots: number
  readonly maxReaders: number
  readonly history: number
  readonly alignment: number
  readonly mode: number
  readonly keep: boolean
  readonly replace: boolean
}

export interface NativeFrameWriter extends NativeFramesSide {
  /** See `WriterFact` in lib/frames/facts.ts. */
  readonly facts: Int32Array
  tryLoan(): number
  publish(): void
  publishAt(timestamp: bigint): void
  discard(slot: number): void
  write(slot: number, offset: number, source: ArrayBufferView): number
  writeHeader(slot: number, source: ArrayBufferView): number
  readers(): number
  watchReaders(): boolean
}

export interface NativeFrameReaderOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly schema: bigint
  readonly policy: number
  readonly depth: number
  readonly history: number
  readonly maxHeld: number
  readonly mode: number
  readonly owner: number | undefined
}

export interface NativeFrameReader extends NativeFramesSide {
  readonly maxHeld: number
  /** See `ReaderFact` in lib/frames/facts.ts. */
  readonly facts: Int32Array
  receive(): void
  latest(): void
  release(): void
  read(slot: number, sequence: number, offset: number, target: ArrayBufferView): number
  readHeader(slot: number, sequence: number, target: ArrayBufferView): number
  slotBuffer(slot: number): ArrayBuffer
  /** Received, lost, skipped, joined after, waiting, held. */
  counters(): Float64Array
  excluded(): boolean
  peer(): number
  peerPid(): number
  watchPeer(): boolean
}

export interface NativeMemoryOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly schema: bigint
  readonly size: number
  readonly mode: number
  readonly owner: number | undefined
  readonly create: boolean
  readonly readOnly: boolean
}

export interface NativeMemory {
  readonly size: number
  readonly path: string
  buffer(): ArrayBuffer
  read(offset: number, target: ArrayBufferView): number
  write(offset: number, source: ArrayBufferView): number
  flush(): Promise<void>
  flushNow(): void
  close(): void
}

export interface NativeCellSide {
  readonly maxBytes: number
  readonly slots: number
  readonly path: string
  close(): void
}

export interface NativeCellWriterOptions {
  readonly place: NativePlace
  readonly maxBytes: number
  readonly slots: number
  readonly mode: number
  readonly owner: number | undefined
  readonly keep: boolean
  readonly schema: bigint
}

export interface NativeCellWriter extends NativeCellSide {
  write(value: ArrayBufferView): number
  begin(): number
  copyNewest(): void
  publish(length: number): number
  version(): number
  /** Bytes of the newest value. */
  length(): number
  hasReaders(): boolean
  buffer(): ArrayBuffer
}

export interface NativeCellReaderOptions {
  readonly place: NativePlace
  readonly mode: number
  readonly owner: number | undefined
  readonly schema: bigint
}

export interface NativeCellReader extends NativeCellSide, NativeWaiter {
  /** Version, length and timestamp of the value looked at last. */
  readonly facts: BigUint64Array
  readInto(target: ArrayBufferView): number
  measure(): number
  version(): number
  retries(): number
  wait(version: number, spinMs: number, timeoutMs: number): boolean
  peer(): number
  peerPid(): number
  watchPeer(): boolean
}

export interface NativeCounterOptions {
  readonly place: NativePlace
  readonly initial: bigint
  readonly mode: number
  readonly owner: number | undefined
  readonly keep: boolean
}

/** A number instead of a bigint is an {@link Outcome}. */
export interface NativeCounter {
  readonly path: string
  get(): bigint | number
  add(delta: bigint | number): bigint | number
  exchange(value: bigint | number): bigint | number
  compareExchange(expected: bigint | number, replacement: bigint | number): bigint | number
  close(): void
}

/** Of the object millrace.LETTER.NAME, by kind; see native/include/millrace/layout/header.hpp. */
type ChannelLetter = 'q' | 'f' | 'c' | 'n' | 'e' | 'b' | 'x' | 'w'

export interface NativeSemaphoreOptions {
  readonly name: string
  readonly initial: number
  readonly mode: number
  readonly owner: number | undefined
  readonly how: 'create' | 'open' | 'either'
}

/** Calls for a permit give 1 (got one), 0 (there is none) or `closed`. */
export interface NativeSemaphore extends NativeWaiter {
  readonly created: boolean
  readonly path: string
  tryWait(): number
  wait(spinMs: number, timeoutMs: number): number
  /** For the oldest wait in the event loop. */
  take(): number
  post(count: number): number
  value(): number
  /** Might a permit that comes now still be taken for a wait that was given up? Rings when that is over. */
  leaving(): boolean
  /** A wait may be given up then. */
  leaveIn(milliseconds: number): void
  close(): void
}

export interface NativeNamelessSegment {
  readonly fd: number
  readonly title: string
  close(): void
}

export interface NativeAllow {
  readonly uids: readonly number[] | undefined
  readonly gids: readonly number[] | undefined
  readonly pids: readonly number[] | undefined
}

export interface NativeSegmentOffer {
  /** Whether it keeps the event loop alive. */
  hold(alive: boolean): void
  close(): void
}

export interface NativeSegmentReceipt {
  /** Name, descriptor, name, descriptor, …; undefined: no answer yet. */
  take(): readonly (string | number)[] | undefined
  close(): void
}

interface Addon {
  configure(services: {
    makeError(
      code: string,
      message: string,
      syscall?: string,
      errno?: number,
      path?: string,
    ): MillraceError
    onWake(count: number): void
    uv: boolean
  }): Uint32Array
  hold(alive: boolean): void
  closeAll(): void
  unlinkChannel(letter: ChannelLetter, name: string): boolean
  unlinkMemory(name: string): boolean
  unlinkSemaphore(name: string): boolean
  unlinkFile(path: string): boolean
  list(prefix: string): ObjectEntry[]
  sweep(options: {
    readonly prefix: string
    readonly kept: boolean
    readonly semaphores: boolean
    readonly dryRun: boolean
  }): SweepResult
  detach(buffer: ArrayBuffer): void
  monotonicNs(): bigint
  /** Lets another thread that could run do so. */
  yieldProcessor(): void
  readonly pageBytes: number
  /** Has this process only one processor to run on? */
  readonly sharesProcessor: boolean
  readonly maxPermits: number
  readonly asymmetricFence: boolean
  readonly QueueProducer: new (options: NativeQueueOptions) => NativeQueueProducer
  readonly QueueConsumer: new (options: NativeQueueOptions) => NativeQueueConsumer
  readonly FrameWriter: new (options: NativeFrameWriterOptions) => NativeFrameWriter
  readonly FrameReader: new (options: NativeFrameReaderOptions) => NativeFrameReader
  readonly NamelessSegment: new (
    options:
      | { readonly mode: number; readonly hugePages: boolean }
      | { readonly given: number }
      | { readonly own: number },
  ) => NativeNamelessSegment
  readonly SegmentOffer: new (
    options: NativeAllow & {
      readonly path: string
      readonly mode: number
      readonly names: readonly string[]
      readonly fds: readonly number[]
    },
    onPeer: (outcome: number, uid: number, gid: number, pid: number) => void,
  ) => NativeSegmentOffer
  readonly SegmentReceipt: new (
    options: NativeAllow & { readonly path: string },
    onReadable: () => void,
  ) => NativeSegmentReceipt
  readonly SharedMemory: new (options: NativeMemoryOptions) => NativeMemory
  readonly Lock: new (options: NativeLockOptions) => NativeLock
  readonly CellWriter: new (options: NativeCellWriterOptions) => NativeCellWriter
  readonly CellReader: new (options: NativeCellReaderOptions) => NativeCellReader
  readonly Counter: new (options: NativeCounterOptions) => NativeCounter
  readonly Semaphore: new (options: NativeSemaphoreOptions) => NativeSemaphore
  readonly Event: new (options: NativeEventOptions) => NativeEvent
  readonly Barrier: new (options: NativeBarrierOptions) => NativeBarrier
}

export const native = load(process.platform, process.arch, findAddon) as Addon

const wakeHandlers = new Map<number, () => void>()
let lastToken = 0

/** A number no other channel of this environment has. */
export function newToken(): number {
  lastToken = (lastToken % 0xffff_ffff) + 1
  return lastToken
}

/** Calls `handler` at each wake-up for `token`, until {@link forgetWake}. */
export function onWakeOf(token: number, handler: () => void): void {
  wakeHandlers.set(token, handler)
}

export function forgetWake(token: number): void {
  wakeHandlers.delete(token)
}

/** Is this Node or Deno, whose engine is V8? */
export const runsOnV8 = !('bun' in process.versions)

const runsOnNode = !('bun' in process.versions) && !('deno' in process.versions)

const wakeList = native.configure({
  makeError: (code, message, syscall, errno, path) =>
    new MillraceError(`ERR_MILLRACE_${code}` as ErrorCode, message, { syscall, errno, path }),
  onWake: (count) => {
    if (count < 0) {
      for (const handler of [...wakeHandlers.values()]) handler()
      return
    }
    if (count === 1) {
      wakeHandlers.get(wakeList[0] ?? 0)?.()
      return
    }
    for (const token of new Set(wakeList.slice(0, count))) wakeHandlers.get(token)?.()
  },
  uv: runsOnNode,
})

let holders = 0

/** Keeps the event loop alive until the matching {@link letGo}. */
export function hold(): void {
  if (++holders === 1) native.hold(true)
}

export function letGo(): void {
  if (--holders === 0) native.hold(false)
}

// On process.exit() and uncaught exceptions native clean-up hooks do not run; this listener does. No
// signal handler is installed: what a killed process leaves is cleaned by the next start.
process.on('exit', () => {
  native.closeAll()
})
