// Whoever sleeps looks every two seconds or so whether it was forgotten: a peer that lies can take a wake-up
// away. One timer for all that sleep, because setting one at each wait would cost more than the rest of it.

/** Milliseconds between two ticks; who has slept through two of them looks. */
const tickMs = 1000

export interface Sleeper {
  /** The tick it fell asleep at; kept by this module. */
  sleptAt: number
  safetyLook(): void
}

const sleepers = new Set<Sleeper>()
let tick = 0
let timer: NodeJS.Timeout | undefined

export function watchSleep(sleeper: Sleeper): void {
  sleeper.sleptAt = tick
  sleepers.add(sleeper)
  if (timer === undefined) {
    timer = setInterval(onTick, tickMs)
    timer.unref()
  }
}

export function endSleep(sleeper: Sleeper): void {
  sleepers.delete(sleeper)
}

function onTick(): void {
  if (sleepers.size === 0) {
    clearInterval(timer)
    timer = undefined
    return
  }
  tick++
  // Over the set itself, because a copy at each tick is garbage that an idle process would have to collect.
  // Who falls asleep again meanwhile is met once more, and has slept through no tick then.
  for (const sleeper of sleepers) {
    if (tick - sleeper.sleptAt < 2) continue
    sleeper.sleptAt = tick
    sleeper.safetyLook()
  }
}
