// What the two sides of the message ring do alike in JavaScript. The ring is that of
// native/include/millrace/spsc_ring.hpp: same bytes, same protocol, and the same private cursor, so that
// either language can make the next step.
//
// Positions are 64-bit numbers, of which JavaScript reads and writes the low halves. That is enough to tell
// where a record lies and how far two positions are apart, because a ring has 2^30 bytes at most. A step that
// changes the high half, one in four gigabytes, is made by native code, which stores both halves at once; so
// a peer never sees a torn position.
//
// Memory order. A position is published after what it stands for: by Atomics.store, which every processor
// keeps behind earlier writes and reads. On x86-64 under V8 an ordinary store does as well, at a tenth of the
// price (no waiting for the cache line): the processor keeps stores in order and behind earlier loads, and V8
// keeps accesses to typed arrays in the order of the program. The peer's position is read by Atomics.load
// (acquire).
//
// After a publish the peer's `parked` is read, and whether it can have the light fence of
// native/include/millrace/waiting.hpp. Until this process is registered for that fence, and where it cannot be had,
// Atomics.store and Atomics.load, both sequentially consistent, are the full fence between publishing and looking. With it
// two ordinary loads do:
//   - the processor may let the loads overtake the store of the position: the sleeper's fence is there for that;
//   - V8 keeps accesses to typed arrays in the order of the program, so the loads stay behind that store;
//   - V8 must not take one look for the next, in a loop that publishes again and again. Between two looks at a word there
//     always is a store through another base pointer (of the own position in the private cursor, after each publish),
//     which may change that word for all that V8 knows. Whoever looks must have made such a store since the last look.
// test/waiting/parked.test.ts has optimised loops of these functions, beside a thread that parks.

import { native } from '../addon/native.js'
import { runsOnV8 } from '../addon/runtime.js'

/**
 * May a position be published by an ordinary store? Not before this process is registered for the light fence, some ten
 * milliseconds after it has loaded the addon; never, if the system refuses that.
 */
export let plainStores = false
const canBePlain = runsOnV8 && process.arch === 'x64' && native.asymmetricFence
/** Stores until that is asked, and how many it will be the next time. */
let untilAsked = 1
let askEvery = 1

/** Publishes a position as long as no ordinary store may do that. */
export function publishAtomically(control: Int32Array, at: number, position: number): void {
  Atomics.store(control, at, position)
  if (canBePlain && --untilAsked === 0) askWhetherPlain()
}

function askWhetherPlain(): void {
  plainStores = native.lightFence()
  askEvery = Math.min(askEvery * 2, 1024)
  untilAsked = askEvery
}

/** Does a low half pass from the largest number to 0 between these two? */
export function carries(from: number, to: number): boolean {
  return (from & ~to) < 0
}
