// All that the addon exports, as native/addon/addon.cpp defines it.

import type { MillraceError } from '../errors.js'
import type { NativeBarrier, NativeBarrierOptions } from './barrier.js'
import type { NativeBreaker, NativeBreakerOptions } from './breaker.js'
import type {
  NativeCellReader,
  NativeCellReaderOptions,
  NativeCellWriter,
  NativeCellWriterOptions,
} from './cell.js'
import type { NativeCalls, NativeCallsOptions } from './calls.js'
import type { NativeCounter, NativeCounterOptions } from './counter.js'
import type { NativeEvent, NativeEventOptions } from './event.js'
import type {
  NativeFrameReader,
  NativeFrameReaderOptions,
  NativeFrameWriter,
  NativeFrameWriterOptions,
} from './frames.js'
import type { NativeLock, NativeLockOptions } from './lock.js'
import type {
  NativeAllow,
  NativeNamelessSegment,
  NativeSegmentOffer,
  NativeSegmentReceipt,
} from './nameless.js'
import type { NativeQueueConsumer, NativeQueueOptions, NativeQueueProducer } from './queue.js'
import type { NativeRateLimiter, NativeRateLimiterOptions } from './rate-limiter.js'
import type { NativeSemaphore, NativeSemaphoreOptions } from './semaphore.js'
import type { NativeMemory, NativeMemoryOptions } from './shared-memory.js'
import type { NativeObserved, ObjectEntry, SweepResult } from './upkeep.js'
import type { NativeChannelWatch } from './watch.js'
import type { NativeTopics, NativeTopicsOptions } from './topics.js'
import type { NativeWork, NativeWorkOptions } from './work.js'

/** Of the object millrace.LETTER.NAME, by kind; see native/include/millrace/layout/header.hpp. */
type ChannelLetter = 'q' | 'f' | 'c' | 'n' | 'e' | 'b' | 'x' | 'w' | 'j' | 't' | 'g' | 'k'

export interface Addon {
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
  /** Leaves all channels; because of a failure, if one is given. */
  closeAll(failure?: string): void
  /** Should the environment end without `closeAll`, it is because of that. */
  failAtEnd(failure: string): void
  /** Who is at the other side of a connected Unix socket: uid, gid, pid. */
  socketPeer(fd: number): readonly [uid: number, gid: number, pid: number]
  /** mkfifo: 0, or the number of the error. */
  makePipe(path: string, mode: number): number
  /**
   * Sends a datagram to a Unix socket, and waits for nobody: 0, or the number of the error, EAGAIN if whoever reads has no room yet. A path
   * that begins with `@` is a name without a file, which only Linux has.
   */
  sendDatagram(path: string, text: string): number
  /**
   * 0, or the number of the error, EAGAIN if another description has it. How: 0 takes the first byte for whoever writes, 1 only looks
   * whether another one has that, 2 takes the whole for whoever listens, which the first byte does not touch. Until the descriptor is closed.
   */
  lockFile(fd: number, how: 0 | 1 | 2): number
  unlinkChannel(letter: ChannelLetter, name: string): boolean
  unlinkMemory(name: string): boolean
  unlinkSemaphore(name: string): boolean
  unlinkFile(path: string): boolean
  list(prefix: string): ObjectEntry[]
  /** Of all whose names start with that, or are that. */
  observe(prefix: string, exactly: boolean): NativeObserved
  sweep(options: {
    readonly prefix: string
    readonly kept: boolean
    readonly semaphores: boolean
    readonly dryRun: boolean
  }): SweepResult
  /**
   * What this process found out about the dead since the last time, seven values each: what, kind, name, pid, reason, attempts, when in
   * milliseconds since 1970; and last how many are not among them. Nothing if nothing was.
   */
  happenings(): (number | string)[] | undefined
  detach(buffer: ArrayBuffer): void
  monotonicNs(): bigint
  /** Have all doorbells of this environment their names? If not, they are made anew at a later call. */
  mendBells(): boolean
  /** Milliseconds of the monotonic clock. */
  readonly now: () => number
  /** May this process publish by an ordinary store by now? True stays true. */
  lightFence(): boolean
  /** The fence between `announce()` and the last look, for any number of sides; false if the system refuses it. */
  sleeperFence(): boolean
  /** Lets another thread that could run do so. */
  yieldProcessor(): void
  readonly pageBytes: number
  /** On how many may this process run? */
  readonly processors: number
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
    } & (
        | { readonly names: readonly string[]; readonly fds: readonly number[] }
        /** Each peer gets what `give` is called with. */
        | { readonly each: true }
      ),
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
  readonly RateLimiter: new (options: NativeRateLimiterOptions) => NativeRateLimiter
  readonly Breaker: new (options: NativeBreakerOptions) => NativeBreaker
  readonly Calls: new (options: NativeCallsOptions) => NativeCalls
  readonly Topics: new (options: NativeTopicsOptions) => NativeTopics
  readonly ChannelWatch: new (letter: string, name: string, oldest: boolean) => NativeChannelWatch
  readonly Work: new (options: NativeWorkOptions) => NativeWork
}
