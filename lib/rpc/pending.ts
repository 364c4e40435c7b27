// A call on its way: whom its answer is for, and what may end it before that.

import { forgetAbort, whenAborted, type Abortable } from '../base/abort-signals.js'
import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import type { Bytes } from '../base/view-constructor.js'
import type { Limits } from './options.js'

/** Where calls wait for their answers. */
export interface Waits {
  /** Its time is over. */
  late(call: PendingCall, timeout: number): void
  /** Its signal was aborted. */
  aborted(call: PendingCall, signal: AbortSignal): void
}

/** What an answer is made into; `bytes` are good until it returns. Throws what the call is to reject with. */
export type Receive = (status: number, bytes: Bytes, call: PendingCall) => unknown

/** Its time and its signals have no closures of their own, and most calls have neither. */
export class PendingCall implements Abortable {
  /** The method, for messages. */
  readonly what: string
  /** May it be done twice? */
  readonly idempotent: boolean
  readonly receive: Receive
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly #waits: Waits
  /** Where it is, once it was sent. */
  slot = -1
  /** Sends it once more, where nobody served when it was to be taken. */
  send: (() => number) | undefined
  /** Its bytes stay where they are: whoever got them releases them. */
  keeps = false
  /** Makes it once more where somebody serves, if nobody does here; given what is left of its time. */
  again: ((timeout: number) => Promise<unknown>) | undefined
  /** Milliseconds that it was given. */
  timeout = Infinity
  #until = Infinity
  #timer: Timer | undefined
  #signal: AbortSignal | undefined
  #outer: AbortSignal | undefined

  constructor(
    waits: Waits,
    what: string,
    idempotent: boolean,
    receive: Receive,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    this.#waits = waits
    this.what = what
    this.idempotent = idempotent
    this.receive = receive
    this.resolve = resolve
    this.reject = reject
  }

  limit({ timeout, signal, outer }: Limits): void {
    this.timeout = timeout
    if (timeout !== Infinity) {
      this.#until = now() + timeout
      this.#timer = startTimer(timeout, () => {
        this.#waits.late(this, timeout)
      })
    }
    this.#signal = signal
    this.#outer = outer
    if (signal !== undefined) whenAborted(signal, this)
    if (outer !== undefined && outer !== signal) whenAborted(outer, this)
  }

  /** Milliseconds that are left of its time. */
  left(): number {
    return this.#until === Infinity ? Infinity : Math.max(this.#until - now(), 0)
  }

  aborted(): void {
    const signal = this.#signal?.aborted === true ? this.#signal : this.#outer!
    this.#waits.aborted(this, signal)
  }

  /** It is over, whatever it was that ended it. */
  stop(): void {
    if (this.#timer !== undefined) stopTimer(this.#timer)
    if (this.#signal !== undefined) forgetAbort(this.#signal, this)
    if (this.#outer !== undefined) forgetAbort(this.#outer, this)
  }
}
