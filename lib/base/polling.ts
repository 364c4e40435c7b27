// All who poll look in the same turn of the event loop: a turn of its own for each of a thousand sides costs a thousand times
// as much, and serves them one by one where together they find more at each look.

import { LinkedList } from './linked-list.js'
import type { Looker } from './looker.js'
import { outsideOfAll } from './outside.js'
import { now, startTurn, stopTurn } from './time.js'

let polling = new LinkedList<Looker>()
let spare = new LinkedList<Looker>()
let turn: unknown
let turning = false
let lookers = 0

/** Has `looker` look in the next turn of the event loop, which is kept alive until then. */
export function lookNextTurn(looker: Looker): void {
  polling.add(looker)
  turn ??= turning ? startTurn(onTurn) : outsideOfAll(startTurn, onTurn)
}

/** How many looked in the last turn, or will look in the next one, whichever is more. */
export function pollers(): number {
  return Math.max(lookers, polling.length)
}

/** It need not look any more, nor be parked. */
export function stopLooking(looker: Looker): void {
  if (looker.list?.remove(looker) !== true) return
  if (polling.length > 0 || turn === undefined) return
  stopTurn(turn)
  turn = undefined
}

function onTurn(): void {
  turn = undefined
  const looking = polling
  polling = spare
  spare = looking
  turning = true
  const time = now()
  lookers = looking.length
  try {
    for (let one = looking.first; one !== undefined; one = looking.first) {
      looking.remove(one)
      one.look(time, lookers)
    }
  } finally {
    // Should one throw, which none is meant to, the others have not looked yet.
    for (let one = looking.first; one !== undefined; one = looking.first) {
      looking.remove(one)
      lookNextTurn(one)
    }
    turning = false
  }
}
