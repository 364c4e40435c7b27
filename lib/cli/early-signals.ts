// Signals that come before what they are for is loaded: each is held for who heeds it later. Without that, Node ends the process.

type Held = 'SIGHUP' | 'SIGINT' | 'SIGTERM'

const holding: readonly Held[] = ['SIGHUP', 'SIGINT', 'SIGTERM']
const held = new Map<string, number>()

export function holdSignals(): void {
  for (const signal of holding) process.on(signal, hold)
}

/** The listener hears of each such signal from now on, and of those that were held. */
export function heed(signal: Held, listener: () => void): void {
  process.on(signal, listener)
  // Behind the other, so that at no time nobody listens.
  process.off(signal, hold)
  for (let left = held.get(signal) ?? 0; left > 0; left--) listener()
  held.delete(signal)
}

function hold(signal: NodeJS.Signals): void {
  held.set(signal, (held.get(signal) ?? 0) + 1)
}
