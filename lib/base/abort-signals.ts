// Many waits on one signal, and one listener: Node takes more than ten listeners of a signal for a leak, and says so. The
// listener is there as long as a wait is.

/** The waits of each signal, in the order in which they came. */
const waits = new WeakMap<AbortSignal, Set<() => void>>()

/** Calls `onAbort` when the signal is aborted, until {@link forgetAbort}. The signal is not aborted yet. */
export function whenAborted(signal: AbortSignal, onAbort: () => void): void {
  let all = waits.get(signal)
  if (all === undefined) {
    all = new Set()
    waits.set(signal, all)
  }
  all.add(onAbort)
  if (all.size === 1) signal.addEventListener('abort', abortAll)
}

export function forgetAbort(signal: AbortSignal, onAbort: () => void): void {
  const all = waits.get(signal)
  if (all?.delete(onAbort) === true && all.size === 0) {
    signal.removeEventListener('abort', abortAll)
    waits.delete(signal)
  }
}

function abortAll(this: AbortSignal): void {
  const all = waits.get(this)
  if (all === undefined) return
  waits.delete(this)
  this.removeEventListener('abort', abortAll)
  for (const onAbort of all) onAbort()
}
