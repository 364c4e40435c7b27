// Of those who sleep at a queue that many share one at a time is woken, and passes it on. Whoever woke one looks a little later
// whether it came: one that was stopped, or is busy, must not hold up the others.

import { outsideOfAll } from './outside.js'
import { startTimer } from './time.js'

/** Milliseconds that a woken one has to come. */
const patienceMs = 10

/** Who has woken somebody. */
export interface Waker {
  /** False: there is nothing more to look after. */
  recheck(): boolean
}

let wakers = new Set<Waker>()
let running = false

/** Calls `recheck` in a while, and again while it says so. Keeps nothing alive. */
export function recheckSoon(waker: Waker): void {
  wakers.add(waker)
  if (running) return
  running = true
  outsideOfAll((callback) => startTimer(patienceMs, callback), recheckAll)
}

function recheckAll(): void {
  running = false
  const all = wakers
  wakers = new Set()
  for (const waker of all) {
    if (waker.recheck()) recheckSoon(waker)
  }
}
