// Tasks that wait for something that happens in this thread: in the order in which they came, each with its own time and signal.

import { forgetAbort, whenAborted, type Abortable } from '../base/abort-signals.js'
import { LinkedList, Member } from '../base/linked-list.js'
import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import { abortedError } from '../errors.js'

/** A signal and a time that were read. */
export interface Limits {
  readonly signal?: AbortSignal | undefined
  /** Milliseconds; default Infinity. */
  readonly timeout?: number | undefined
}

/** One task that waits. A message that is waited for makes one, so it is one object beside its promise. */
export class Pending<T> extends Member<Pending<T>> implements Abortable {
  readonly promise: Promise<T>
  readonly #line: Line<T>
  readonly #signal: AbortSignal | undefined
  #timer: Timer | undefined
  #resolve!: (value: T) => void
  #reject!: (error: unknown) => void

  /** It waits when the line has it. The signal is not aborted yet. */
  constructor(line: Line<T>, { signal, timeout = Infinity }: Limits) {
    super()
    this.#line = line
    this.#signal = signal
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    if (signal !== undefined) whenAborted(signal, this)
    if (timeout !== Infinity) {
      this.#timer = startTimer(timeout, () => {
        this.#giveUp(line.lateError(timeout))
      })
    }
  }

  aborted(): void {
    this.#giveUp(abortedError(this.#signal!))
  }

  resolve(value: T): void {
    this.#stop()
    this.#resolve(value)
  }

  reject(error: unknown): void {
    this.#stop()
    this.#reject(error)
  }

  /** It gives up by itself. */
  protected left(): void {
    // Nobody needs to know.
  }

  #giveUp(error: Error): void {
    this.left()
    this.reject(error)
    this.#line.changed()
  }

  #stop(): void {
    this.#line.delete(this)
    if (this.#timer !== undefined) stopTimer(this.#timer)
    if (this.#signal !== undefined) forgetAbort(this.#signal, this)
  }
}

const nobody = (): undefined => undefined

/** @internal Those who wait for the same thing. */
export class Line<T> {
  readonly #pending = new LinkedList<Pending<T>>()
  readonly #late: (timeout: number) => Error
  readonly #changed: () => void

  /** `late`: the error of who has waited too long. `changed`: somebody came, or left. */
  constructor(late: (timeout: number) => Error, changed: () => void = nobody) {
    this.#late = late
    this.#changed = changed
  }

  get size(): number {
    return this.#pending.length
  }

  get first(): Pending<T> | undefined {
    return this.#pending.first
  }

  /** Stands at the end. */
  wait(limits: Limits): Promise<T> {
    if (limits.signal?.aborted === true) return Promise.reject(abortedError(limits.signal))
    return this.stand(new Pending(this, limits))
  }

  /** Stands at the end, somebody who knows more than others. */
  stand(pending: Pending<T>): Promise<T> {
    this.#pending.add(pending)
    this.#changed()
    return pending.promise
  }

  resolveAll(value: T): void {
    for (const one of this.#all()) one.resolve(value)
    this.#changed()
  }

  rejectAll(error: unknown): void {
    for (const one of this.#all()) one.reject(error)
    this.#changed()
  }

  /** @internal */
  lateError(timeout: number): Error {
    return this.#late(timeout)
  }

  /** @internal */
  delete(pending: Pending<T>): void {
    this.#pending.remove(pending)
  }

  /** @internal */
  changed(): void {
    this.#changed()
  }

  #all(): Pending<T>[] {
    const all: Pending<T>[] = []
    for (let one = this.#pending.first; one !== undefined; one = one.behind) all.push(one)
    return all
  }
}

/** What is left of a time that ends then, by the clock of `now`; Infinity: it never does. */
export function leftOf(end: number): number {
  return end === Infinity ? Infinity : Math.max(end - now(), 0)
}
