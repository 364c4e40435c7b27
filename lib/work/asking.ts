// Which handler is it that asks? One that waits for the end of all handlers waits for itself.

import type { AsyncLocalStorage } from 'node:async_hooks'

/** A handler that has a job in hand. */
export interface Hand {
  /** Does it wait until the others have finished? */
  waits: boolean
}

/** Handlers that were begun within each other, of one queue or of several; the innermost first. */
interface Asker {
  readonly hand: Hand
  readonly within: Asker | undefined
}

/** Made with the first handler that may have to be known again: who needs none pays nothing. */
let askers: AsyncLocalStorage<Asker> | undefined

/** Calls `work`, and knows whatever that calls, at any time, for what `hand` does. */
export function byAsker<T>(hand: Hand, work: () => T): T {
  askers ??= newAskers()
  return askers.run({ hand, within: askers.getStore() }, work)
}

/** Those on whose behalf this is called. */
export function asking(): Hand[] {
  const found: Hand[] = []
  for (let asker = askers?.getStore(); asker !== undefined; asker = asker.within) {
    found.push(asker.hand)
  }
  return found
}

function newAskers(): AsyncLocalStorage<Asker> {
  const { AsyncLocalStorage } = process.getBuiltinModule('node:async_hooks')
  return new AsyncLocalStorage()
}
