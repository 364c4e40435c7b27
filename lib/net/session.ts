// The connection of a handle whose other side is elsewhere. It is made anew when it breaks, for as long as the handle is open; calls wait
// for it meanwhile, each with its own time and signal, and nothing is kept for later but those calls.
//
//   connecting ──dialled──► connected ──broke──► waiting ──time──► connecting
//        └──────failed for now────► waiting            │
//        └──────failed for good───► closed ◄──close()──┘

import { forgetAbort, whenAborted, type Abortable } from '../base/abort-signals.js'
import { onLeaving } from '../addon/leaving.js'
import type { Wait } from '../base/options.js'
import { outsideOfAll } from '../base/outside.js'
import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import {
  abortedError,
  closedError,
  MillraceError,
  timeoutError,
  type ErrorCode,
} from '../errors.js'
import { waitAfter, type Backoff } from './backoff.js'
import {
  Status,
  type ConnectionLoss,
  type ConnectionState,
  type ConnectionStatus,
} from './connection-status.js'
import { Holding } from './holding.js'

/** One connection that was made. */
export interface Line {
  /** Resolves when it has ended, with why if nobody closed it. */
  readonly ended: Promise<Error | undefined>
  close(): void
}

/** @internal */
export interface SessionOptions<L extends Line> {
  /** For messages: "work queue 'tcp://…'". */
  readonly title: string
  readonly address: string
  /** Undefined: it is not made anew. */
  readonly backoff: Backoff | undefined
  /** Makes a connection, and sees that it is one to the right thing. */
  readonly dial: (signal: AbortSignal) => Promise<L>
  /** It is there, before anybody who waits for it goes on. */
  readonly opened: (line: L) => void
  /** It is not there any more; `reason`: why. Returns what else is to be said of that. */
  readonly lost: (reason: Error, line: L) => Omit<ConnectionLoss, 'reason'>
  /** Is a connection that is lost the last one? */
  readonly isLast?: () => boolean
  /** There will be none any more. */
  readonly failed: (reason: Error) => void
}

/** What will be no better the next time. */
const forGood: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'ERR_MILLRACE_INVALID_ARGUMENT',
  'ERR_MILLRACE_INVALID_NAME',
  'ERR_MILLRACE_NAME_TOO_LONG',
  'ERR_MILLRACE_PERMISSION',
  'ERR_MILLRACE_NOT_OURS',
  'ERR_MILLRACE_GEOMETRY',
  'ERR_MILLRACE_PROTOCOL',
  'ERR_MILLRACE_SCHEMA',
  'ERR_MILLRACE_LAYOUT',
  'ERR_MILLRACE_CORRUPT',
  'ERR_MILLRACE_UNSUPPORTED',
  'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
  'ERR_MILLRACE_UNSUPPORTED_RUNTIME',
])

interface Leaves {
  left(): void
}

class Waiting<L> implements Abortable {
  readonly resolve: (line: L) => void
  readonly reject: (error: unknown) => void
  readonly #wait: Wait
  readonly #end: (waiting: Waiting<L>, error: Error) => void
  #timer: Timer | undefined

  constructor(
    wait: Wait,
    resolve: (line: L) => void,
    reject: (error: unknown) => void,
    end: (waiting: Waiting<L>, error: Error) => void,
  ) {
    this.#wait = wait
    this.resolve = resolve
    this.reject = reject
    this.#end = end
  }

  begin(late: (timeout: number) => Error): void {
    const { signal, timeout = Infinity } = this.#wait
    if (signal !== undefined) whenAborted(signal, this)
    if (timeout === Infinity) return
    this.#timer = startTimer(timeout, () => {
      this.#end(this, late(timeout))
    })
  }

  aborted(): void {
    this.#end(this, abortedError(this.#wait.signal!))
  }

  stop(): void {
    stopTimer(this.#timer)
    if (this.#wait.signal !== undefined) forgetAbort(this.#wait.signal, this)
  }
}

export class Session<L extends Line> {
  readonly #options: SessionOptions<L>
  readonly #waiting = new Set<Waiting<L>>()
  readonly #attempting = new Set<Waiting<void>>()
  readonly #control = new AbortController()
  readonly #unknow: () => void
  readonly #status: Status
  #line: L | undefined
  #failures = 0
  #retry: Timer | undefined
  /** When the last attempt began. */
  #triedAt = -Infinity
  /** When the next one does. */
  #retryAt = 0
  #why: Error | undefined
  #alive = true
  readonly #holding = new Holding()

  constructor(options: SessionOptions<L>) {
    this.#options = options
    this.#status = new Status(options.address)
    this.#unknow = onLeaving<Leaves>(this, Session.#left)
    outsideOfAll(
      (start) => {
        start()
      },
      () => void this.#connect(),
    )
  }

  static readonly #left = (session: Leaves): void => {
    session.left()
  }

  /**
   * @internal The process has left everything: nothing is to be had any more. Those who wait do not hear of it, as of what is in memory:
   * a loop that nobody waits for after `unref()` would end the process with an error that nobody handles.
   */
  left(): void {
    if (this.#why !== undefined) return
    this.#why = closedError(this.#options.title)
    this.#line = undefined
    stopTimer(this.#retry)
    this.#status.closed(undefined)
  }

  get state(): ConnectionState {
    return this.#status.state
  }

  /** For the program. */
  get status(): ConnectionStatus {
    return this.#status
  }

  get line(): L | undefined {
    return this.#line
  }

  /** Why there will be no connection any more. */
  get why(): Error | undefined {
    return this.#why
  }

  /** Why it is not open, or was not before. */
  get lastError(): Error | undefined {
    return this.#status.lastError
  }

  /** The connection, as soon as it is there. */
  ready(wait: Wait): Promise<L> {
    if (this.#line !== undefined) return Promise.resolve(this.#line)
    if (this.#why !== undefined) return Promise.reject(this.#why)
    return new Promise((resolve, reject) => {
      const waiting = new Waiting<L>(wait, resolve, reject, (one, error) => {
        this.#forget(one)
        one.reject(error)
      })
      this.#waiting.add(waiting)
      waiting.begin((timeout) => this.#late(timeout))
      this.#holdLoop()
    })
  }

  /** When the attempt that runs has ended, however it did. */
  async attempt({ signal, timeout }: Wait): Promise<void> {
    if (this.state !== 'connecting') return
    await new Promise<void>((resolve, reject) => {
      const waiting = new Waiting<void>({ signal, timeout }, resolve, reject, (one, error) => {
        one.stop()
        this.#attempting.delete(one)
        this.#holdLoop()
        reject(error)
      })
      this.#attempting.add(waiting)
      waiting.begin((ms) => this.#late(ms))
      this.#holdLoop()
    })
  }

  /**
   * Somebody needs the connection now: the next attempt is made at once, or as soon as the first wait of the backoff has passed since the
   * last one; the waits after that begin anew.
   */
  hurry(): void {
    const { backoff } = this.#options
    if (this.state !== 'waiting' || backoff === undefined) return
    this.#failures = 0
    const at = this.#triedAt + backoff.base
    const time = now()
    if (at > time && at >= this.#retryAt) return
    stopTimer(this.#retry)
    outsideOfAll(
      (start) => {
        start()
      },
      () => {
        if (at <= time) void this.#connect()
        else this.#attemptIn(at - time)
      },
    )
  }

  /** Do those who wait for the connection keep the process alive? */
  keepAlive(alive: boolean): void {
    this.#alive = alive
    this.#holdLoop()
  }

  close(reason?: Error): void {
    if (this.#why !== undefined) return
    this.#why = reason ?? closedError(this.#options.title)
    this.#unknow()
    stopTimer(this.#retry)
    const line = this.#line
    this.#line = undefined
    this.#control.abort(this.#why)
    line?.close()
    this.#status.closed(reason)
    this.#attempted()
    this.#rejectAll(this.#why)
  }

  #attempted(): void {
    for (const waiting of [...this.#attempting]) {
      waiting.stop()
      this.#attempting.delete(waiting)
      waiting.resolve()
    }
    this.#holdLoop()
  }

  #attemptIn(delay: number): void {
    this.#retryAt = now() + delay
    this.#retry = startTimer(delay, () => {
      void this.#connect()
    })
  }

  async #connect(): Promise<void> {
    this.#triedAt = now()
    this.#status.connecting()
    if (this.#isClosed()) return // by a listener
    let line: L
    try {
      line = await this.#options.dial(this.#control.signal)
    } catch (error) {
      if (!this.#isClosed()) this.#failed(error as Error)
      return
    }
    if (this.#isClosed()) {
      line.close()
      return
    }
    this.#line = line
    this.#failures = 0
    this.#options.opened(line)
    this.#status.connected()
    this.#attempted()
    for (const waiting of [...this.#waiting]) {
      this.#forget(waiting)
      waiting.resolve(line)
    }
    const why = await line.ended
    if (this.#isClosed()) return
    const reason =
      why ??
      new MillraceError(
        'ERR_MILLRACE_PEER_GONE',
        `whoever is at the other side of ${this.#options.title} has closed the connection`,
      )
    this.#line = undefined
    this.#status.lost({ reason, ...this.#options.lost(reason, line) })
    this.#failed(reason)
  }

  #failed(error: Error): void {
    if (this.#isClosed()) return // by whoever was told
    this.#failures++
    const { backoff, failed } = this.#options
    const isForGood = error instanceof MillraceError && forGood.has(error.code)
    if (backoff === undefined || isForGood || this.#options.isLast?.() === true) {
      this.close(error)
      failed(error)
      return
    }
    const delay = waitAfter(backoff, this.#failures, Math.random())
    this.#attemptIn(delay)
    this.#status.waiting(delay, error)
    this.#attempted()
  }

  #isClosed(): boolean {
    return this.#why !== undefined // by what was awaited
  }

  #forget(waiting: Waiting<L>): void {
    waiting.stop()
    this.#waiting.delete(waiting)
    this.#holdLoop()
  }

  #rejectAll(error: Error): void {
    for (const waiting of [...this.#waiting]) {
      this.#forget(waiting)
      waiting.reject(error)
    }
  }

  #holdLoop(): void {
    this.#holding.hold(this.#alive && this.#waiting.size + this.#attempting.size > 0)
  }

  #late(timeout: number): Error {
    const last =
      this.lastError === undefined ? '' : ` (the last attempt: ${this.lastError.message})`
    return timeoutError(
      `a connection to ${this.#options.title}`,
      timeout,
      `see that the process at the other side runs${last}, or allow more time`,
    )
  }
}
