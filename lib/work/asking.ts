// Which handler is it that asks? One that waits for the end of all handlers waits for itself.

import type { AsyncLocalStorage } from 'node:async_hooks'

/** A handler that has a job in hand. */
export interface Hand {
  /** For how many ends of others it waits. */
  waits: number
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

/**
 * On whose behalf is this called, if anybody's? Calls `wait` then, who count as waiting until what that returns has resolved.
 * Otherwise undefined.
 */
export function waitingForOthers(wait: () => Promise<unknown>): Promise<void> | undefined {
  const hands = asking()
  return hands.length === 0 ? undefined : waiting(hands, wait)
}

async function waiting(hands: readonly Hand[], wait: () => Promise<unknown>): Promise<void> {
  for (const hand of hands) hand.waits++
  try {
    await wait()
  } finally {
    for (const hand of hands) hand.waits--
  }
}

function asking(): Hand[] {
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
