// Who only sends into a ring that has room, or does nothing, hears of no death: nobody would wake it. One timer of this thread asks for
// all channels, so many at a time, whether the other side is there.

import { startTimer, stopTimer, type Timer } from '../../base/time.js'

interface Looked {
  look(): void
}

/** Milliseconds between two looks at a channel, as long as there are no more than `most`. */
const lookMs = 40
/** So many at a time: each costs two system calls. */
const most = 256

const all = new Set<Looked>()
let timer: Timer | undefined

export function lookNowAndThen(channel: Looked): void {
  all.add(channel)
  timer ??= startTimer(lookMs, tick)
}

export function stopLooking(channel: Looked): void {
  all.delete(channel)
  if (all.size > 0) return
  stopTimer(timer)
  timer = undefined
}

function tick(): void {
  timer = undefined
  let left = Math.min(all.size, most)
  for (const channel of all) {
    if (left-- === 0) break
    // To the end: the others have their turn next time.
    all.delete(channel)
    all.add(channel)
    channel.look()
  }
  if (all.size > 0) timer ??= startTimer(lookMs, tick)
}
