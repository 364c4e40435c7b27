// Timers and turns of the event loop where somebody has taken those of Node away before the library was loaded (base/time.ts).

export type Handle = unknown

/** What the system offers. Turns keep the event loop alive until they come; timers if they are told to. */
export interface System {
  setTimer(milliseconds: number, callback: () => void, alive: boolean): Handle
  clearTimer(handle: Handle): void
  setTurn(callback: () => void): Handle
  clearTurn(handle: Handle): void
}

/** Timers of abort signals, and messages to ourselves for turns. */
export function timersOfTheirOwn(): System {
  const { MessageChannel } = process.getBuiltinModule('node:worker_threads')
  const timeout = AbortSignal.timeout.bind(AbortSignal)
  const turns = new Map<number, () => void>()
  /** The timers that are due; whoever lets go of a signal lets go of its timer. */
  const timers = new Map<AbortSignal, () => void>()
  const { port1, port2 } = new MessageChannel()
  let last = 0
  let holders = 0
  const hold = () => {
    if (++holders === 1) port1.ref()
  }
  const letGo = () => {
    if (--holders === 0) port1.unref()
  }
  port1.on('message', (turn: number) => {
    const callback = turns.get(turn)
    if (!turns.delete(turn)) return
    letGo()
    callback?.()
  })
  port1.unref()
  port2.unref()
  return {
    setTimer(milliseconds, callback, alive) {
      const signal = timeout(Math.ceil(milliseconds))
      const end = () => {
        timers.delete(signal)
        signal.removeEventListener('abort', onTime)
        if (alive) letGo()
      }
      const onTime = () => {
        end()
        callback()
      }
      timers.set(signal, end)
      signal.addEventListener('abort', onTime)
      if (alive) hold()
      return signal
    },
    clearTimer(handle) {
      timers.get(handle as AbortSignal)?.()
    },
    setTurn(callback) {
      turns.set(++last, callback)
      hold()
      port2.postMessage(last)
      return last
    },
    clearTurn(handle) {
      if (turns.delete(handle as number)) letGo()
    },
  }
}
