// What an environment may lose by spinning. Each side learns for itself whether spinning pays (AdaptiveBackoff); a thousand of
// them, each with a few tries of its own, would lose a thousand times as much, and while one spins in vain the others, whose
// messages may have come, get nothing done. So there is one account: spins that find nothing are paid from it, those that find
// something pay in what a wake-up would have cost, and time brings a little. Together they lose no more than they gained and
// a twentieth of the time, wherever the messages go.

import { now } from './time.js'

/** Milliseconds. About what a wake-up through the kernel takes. */
const savedMs = 0.02
/** Also how deep in debt a single spin gets us: giving way to others may take as long as they please. */
const mostMs = 1
const shareOfTime = 0.05

let allowanceMs = mostMs
/** What time has brought until then is in the account. */
let countedAt = now()

/** Is there anything left to lose? */
export function maySpin(): boolean {
  if (allowanceMs > 0) return true
  count(now())
  return allowanceMs > 0
}

/** It took so long, and may have cost more than it saved. */
export function spinPaid(milliseconds: number): void {
  enter(savedMs - milliseconds)
}

/** It ended at `time`, and took so long. */
export function spinLost(time: number, milliseconds: number): void {
  count(time)
  enter(-milliseconds)
}

function count(time: number): void {
  enter((time - countedAt) * shareOfTime)
  countedAt = time
}

function enter(milliseconds: number): void {
  allowanceMs = Math.min(Math.max(allowanceMs + milliseconds, -mostMs), mostMs)
}
