// Tasks that wait for something that happens in this thread: in the order in which they came, each with its own time and signal.

import { forgetAbort, whenAborted, type Abortable } from '../base/abort-signals.js'
import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import { abortedError } from '../errors.js'

/** A signal and a time that were read. */
export interface Limits {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds; default Infinity. */
  readonly timeout?: number | undefined
}

/** One task that waits. */
export class Pending<T> implements Abortable {
  readonly #line: Line<T>
  readonly #settle: { resolve: (value: T) => void; reject: (error: unknown) => void }
  readonly #signal: AbortSignal | undefined
  readonly #timer: Timer | undefined
  /** Called when it gives up by itself, before it rejects. */
  readonly #givenUp: (() => void) | undefined

  constructor(
    line: Line<T>,
    settle: { resolve: (value: T) => void; reject: (error: unknown) => void },
    { signal, timeout = Infinity }: Limits,
    late: (timeout: number) => Error,
    givenUp: (() => void) | undefined,
  ) {
    this.#line = line
    this.#settle = settle
    this.#signal = signal
    this.#givenUp = givenUp
    if (signal !== undefined) whenAborted(signal, this)
    if (timeout !== Infinity) {
      this.#timer = startTimer(timeout, () => {
        this.#giveUp(late(timeout))
      })
    }
  }

  aborted(): void {
    this.#giveUp(abortedError(this.#signal!))
  }

  resolve(value: T): void {
    this.#stop()
    this.#settle.resolve(value)
  }

  reject(error: unknown): void {
    this.#stop()
    this.#settle.reject(error)
  }

  #giveUp(error: Error): void {
    this.#givenUp?.()
    this.reject(error)
    this.#line.changed()
  }

  #stop(): void {
    this.#line.delete(this)
    stopTimer(this.#timer)
    if (this.#signal !== undefined) forgetAbort(this.#signal, this)
  }
}

/** @internal Those who wait for the same thing. */
export class Line<T> {
  readonly #pending = new Set<Pending<T>>()
  readonly #late: (timeout: number) => Error
  readonly #changed: () => void

  /** `late`: the error of who has waited too long. `changed`: somebody came, or left. */
  constructor(late: (timeout: number) => Error, changed: () => void = () => undefined) {
    this.#late = late
    this.#changed = changed
  }

  get size(): number {
    return this.#pending.size
  }

  get first(): Pending<T> | undefined {
    for (const one of this.#pending) return one
    return undefined
  }

  /** Stands at the end. */
  wait(limits: Limits, begun?: (pending: Pending<T>) => void, givenUp?: () => void): Promise<T> {
    if (limits.signal?.aborted === true) return Promise.reject(abortedError(limits.signal))
    return new Promise((resolve, reject) => {
      const pending = new Pending<T>(this, { resolve, reject }, limits, this.#late, givenUp)
      this.#pending.add(pending)
      begun?.(pending)
      this.#changed()
    })
  }

  resolveAll(value: T): void {
    for (const one of [...this.#pending]) one.resolve(value)
    this.#changed()
  }

  rejectAll(error: unknown): void {
    for (const one of [...this.#pending]) one.reject(error)
    this.#changed()
  }

  /** @internal */
  delete(pending: Pending<T>): void {
    this.#pending.delete(pending)
  }

  /** @internal */
  changed(): void {
    this.#changed()
  }
}

/** What is left of a time that ends then, by the clock of `now`; Infinity: it never does. */
export function leftOf(end: number): number {
  return end === Infinity ? Infinity : Math.max(end - now(), 0)
}
