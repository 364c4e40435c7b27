// What writing and reading values in JavaScript have in common. The cell is that of native/include/millrace/cell.hpp: same
// bytes, same protocol, and the same private cursor, so that either language can write the next value.
//
// Writer                                      Reader
//   (W1) sequence = 2v - 1                      (R1) v = published
//   (W2) the value's words, length, time        (R2) length, words and time of slot v mod slots
//   (W3) sequence = 2v                          (R3) sequence = 2v? Else the copy is worth nothing
//   (W4) published = v
//
// A copy is whole if (R3) finds 2v. (R1) saw (W4), so the slot held all of v by then; and had one word of (R2) come from a
// later value, the (W1) of that value were to be seen at (R3). So these have to stay in order: (W1) before (W2) before (W3)
// before (W4), and (R1) before (R2) before (R3). On x86-64 the processor keeps stores in order with stores and loads with
// loads, and V8 keeps accesses to typed arrays in the order of the program: ordinary ones do. Other processors need a fence
// behind (W1) and before (R3), and JavaScript has none: Atomics.store keeps back what comes before it, Atomics.load what
// comes behind it, and here it is the other way round. So elsewhere the addon does all of it, and it copies what is long
// everywhere: TypedArray.set ends in the C library's memmove, which may write around the cache, and such stores are in no
// order. It also writes what has a time: it knows the time, and to ask it alone takes as long as to let it write.
//
// (R1) is an Atomics.load, as a value of long ago would do no harm but be no news. It also keeps V8 from taking the (R3) of
// one read for that of the next: nothing that was loaded before it counts after it. (W1) and (W3) go to the same word;
// between them lie stores and loads of memory that may be the same for all that V8 knows, so that neither can be left out.
//
// Versions are 64-bit numbers, and so are sequences, of which JavaScript writes the lower halves. Where an upper half changes,
// and as long as a slot holds a version from before that, the addon writes; so nobody sees a torn number. It does so at some
// other versions, too, that what somebody has scribbled into the upper halves does not stay for ever. A reader compares
// both halves, the lower one first: they only grow, so if the upper one is as expected afterwards, it was before. A
// version of which the halves do not belong together has no such slot.
//
// A writer that is killed leaves what it would have left in C++, as its stores are the same, in the same order. What
// lies is found out as in C++, because whatever does not look right is left to the addon, which looks again and judges:
// so nothing here goes round in a loop. Lengths are read once and judged before they are used. The time is read as it is.
//
// The look whether somebody waits, behind (W4), is argued in lib/queue/ring.ts: two ordinary loads do as soon as this process
// is registered for the light fence. Until then, and where that cannot be had, the addon writes. Between two looks at a word
// there always is a store through another base pointer, into the cursor.

import { native } from '../addon/native.js'
import { runsOnV8 } from '../addon/runtime.js'

/** Do ordinary loads and stores stay in order? */
export const inOrder = runsOnV8 && process.arch === 'x64'

/**
 * May a value be published by an ordinary store? As in lib/queue/ring.ts, and not shared with it: a variable that changes must be
 * in the same file as its readers once all is bundled, and a call for each write costs more than these lines.
 */
export let plainStores = false
/** Writes until that is asked, and how many it will be the next time. */
let untilAsked = 1
let askEvery = 1

/** To be called as long as it may not. */
export function askWhetherPlain(): void {
  if (!native.asymmetricFence || --untilAsked !== 0) return
  plainStores = inOrder && native.lightFence()
  askEvery = Math.min(askEvery * 2, 1024)
  untilAsked = askEvery
}

/** A number by its halves, the lower of which may look negative. */
export function numberOf(low: number, high: number): number {
  return high === 0 ? low >>> 0 : high * 0x1_0000_0000 + (low >>> 0)
}

/** The bytes that do not fill a word, on their way. */
export const lastWord = new BigInt64Array(1)
export const lastBytes = new Uint8Array(lastWord.buffer)
