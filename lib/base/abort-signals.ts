// Many waits on one signal, and one listener: Node takes more than ten listeners of a signal for a leak, and says so. The
// listener is there as long as a wait is.

/** A wait that its signal can end. */
export interface Abortable {
  aborted(): void
}

/** A signal of the library's own, which knows its waits: adding a listener to an AbortSignal costs a microsecond. */
export class OwnSignal {
  aborted = false
  reason: unknown
  /** @internal */
  readonly waits = new Set<Abortable>()

  abort(reason: unknown): void {
    if (this.aborted) return
    this.aborted = true
    this.reason = reason
    for (const wait of [...this.waits]) wait.aborted()
  }
}

/** One that aborts as soon as the one that it follows does. */
export class Stop extends OwnSignal {
  #unfollow: (() => void) | undefined

  /** As the calls of the library take it, which know it from those of the system. */
  get asGiven(): AbortSignal {
    return this as unknown as AbortSignal
  }

  /** With the reason that one gives. */
  follow(signal: AbortSignal | undefined): void {
    if (signal === undefined) return
    const onAbort = () => {
      this.abort(signal.reason)
    }
    if (signal.aborted) {
      onAbort()
      return
    }
    signal.addEventListener('abort', onAbort, { once: true })
    this.#unfollow = () => {
      signal.removeEventListener('abort', onAbort)
    }
  }

  override abort(reason: unknown): void {
    this.#unfollow?.()
    super.abort(reason)
  }
}

export type Signal = AbortSignal | OwnSignal

/** The waits of each signal that is none of ours, in the order in which they came. */
const waits = new WeakMap<AbortSignal, Set<Abortable>>()

/** Has `wait` told when the signal is aborted, until {@link forgetAbort}. The signal is not aborted yet. */
export function whenAborted(signal: Signal, wait: Abortable): void {
  if (signal instanceof OwnSignal) {
    signal.waits.add(wait)
    return
  }
  let all = waits.get(signal)
  if (all === undefined) {
    all = new Set()
    waits.set(signal, all)
  }
  all.add(wait)
  if (all.size === 1) signal.addEventListener('abort', abortAll)
}

export function forgetAbort(signal: Signal, wait: Abortable): void {
  if (signal instanceof OwnSignal) {
    signal.waits.delete(wait)
    return
  }
  const all = waits.get(signal)
  if (all?.delete(wait) === true && all.size === 0) {
    signal.removeEventListener('abort', abortAll)
    waits.delete(signal)
  }
}

function abortAll(this: AbortSignal): void {
  const all = waits.get(this)
  if (all === undefined) return
  waits.delete(this)
  this.removeEventListener('abort', abortAll)
  for (const wait of all) wait.aborted()
}
