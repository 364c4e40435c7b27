// Full speed with manners. A promise that is resolved at once is followed by microtasks only; a loop of
// such promises would keep timers and sockets from ever having their turn. So when about a millisecond
// has passed without a turn of the event loop, the next results wait for one.
//
//   calm ──a millisecond later──► burst: a turn is ordered ──another one──► due: results are kept back
//     ▲                              │                                          │
//     └───────the turn comes─────────┴───────────the turn comes: they go────────┘
//
// There is one pace for all channels of an environment, so that a hundred of them take no longer between
// two turns than one. Who finds the event loop turning anyway is never kept back.

import { now, startTurn } from './time.js'

/** Milliseconds of each of the two stretches between a turn and the moment when the next one is due. */
const stretchMs = 1
/** The clock is looked at once in so many results at least; more often while it is not known how long one takes. */
const sparsest = 16

let stretchBegan = 0
let turnOrdered = false
/** Results until the clock is looked at, and how many it will be the next time. */
let untilLook = 0
let lookEvery = 1
/** What is kept back, in order: each end of a wait, and what it is called with. */
let keptBack: unknown[] = []

/** Has the event loop waited so long for its turn that results must wait for it? */
export function turnIsDue(): boolean {
  if (keptBack.length > 0) return true // nobody overtakes them
  if (--untilLook > 0) return false
  const time = now()
  if (time - stretchBegan < stretchMs) {
    lookEvery = Math.min(lookEvery * 2, sparsest)
    untilLook = lookEvery
    return false
  }
  if (turnOrdered) return true
  turnOrdered = true
  startTurn(onTurn)
  beginStretch(time)
  return false
}

/** Calls `end(value)` when the event loop has had its turn. Only after `turnIsDue` said so. */
export function atTurn<T>(end: (value: T) => void, value: T): void {
  keptBack.push(end, value) // no closure: of a thousand waits a third may end here
}

/** Ends a wait: now, or after the turn that the event loop is due. */
export function endFairly<T>(end: (value: T) => void, value: T): void {
  if (turnIsDue()) atTurn(end, value)
  else end(value)
}

/** A promise of `value`, which is there already: resolved now, or after the turn that is due. */
export function fairly<T>(value: T): Promise<T> {
  if (!turnIsDue()) return Promise.resolve(value)
  return new Promise((resolve) => {
    atTurn(resolve, value)
  })
}

function onTurn(): void {
  turnOrdered = false
  beginStretch(now())
  const ending = keptBack
  keptBack = []
  for (let i = 0; i < ending.length; i += 2) (ending[i] as (value: unknown) => void)(ending[i + 1])
}

function beginStretch(time: number): void {
  stretchBegan = time
  untilLook = lookEvery = 1
}
