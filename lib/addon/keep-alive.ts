// Keeping the event loop alive while somebody waits.

import { native } from './native.js'

let holders = 0

/** Keeps the event loop alive until the matching {@link letGo}. */
export function hold(): void {
  if (++holders === 1) native.hold(true)
}

export function letGo(): void {
  if (--holders === 0) native.hold(false)
}
