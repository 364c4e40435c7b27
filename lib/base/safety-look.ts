// Whoever sleeps looks every two seconds or so whether it was forgotten: a peer that lies can take a wake-up
// away. One timer for all that sleep, because setting one at each wait would cost more than the rest of it.

import { native } from '../addon/native.js'
import { newToken, onWakeOf } from '../addon/wake-ups.js'
import { outsideOfAll } from './outside.js'
import { startTimer, type Timer } from './time.js'

/** Milliseconds between two ticks; who has slept through two of them looks. */
const tickMs = 1000

export interface Sleeper {
  /** The tick it fell asleep at; kept by this module. */
  sleptAt: number
  safetyLook(): void
}

const sleepers = new Set<Sleeper>()
let tick = 0
let timer: Timer | undefined
/** How long to wait before a doorbell is made anew again. */
const mendMs = 100
let mending = false

// Whoever rings a doorbell that has lost its name makes its owner look at everything.
onWakeOf(newToken(), mendDoorbells)

const startTick = (callback: () => void): Timer => startTimer(tickMs, callback)

export function watchSleep(sleeper: Sleeper): void {
  sleeper.sleptAt = tick
  sleepers.add(sleeper)
  timer ??= outsideOfAll(startTick, onTick)
}

export function endSleep(sleeper: Sleeper): void {
  sleepers.delete(sleeper)
}

function onTick(): void {
  if (sleepers.size === 0) {
    timer = undefined
    return
  }
  timer = startTick(onTick)
  if (++tick % 2 === 0) mendDoorbells()
  // Over the set itself, because a copy at each tick is garbage that an idle process would have to collect.
  // Who falls asleep again meanwhile is met once more, and has slept through no tick then.
  for (const sleeper of sleepers) {
    if (tick - sleeper.sleptAt < 2) continue
    sleeper.sleptAt = tick
    sleeper.safetyLook()
  }
}

/** Doorbells whose names somebody has removed get them back: now, or when it may be done again. */
function mendDoorbells(): void {
  if (mending || native.mendBells()) return
  mending = true
  outsideOfAll(
    (mend) => startTimer(mendMs, mend),
    () => {
      mending = false
      mendDoorbells()
    },
  )
}
