// Where things are in a ring, for JavaScript. Each number is a constant of its own, in a file with nothing else
// in it: those the bundler writes into the code that uses them. As properties of an object they took as long as
// all the rest of a push.

import type { Outcome } from '../addon/outcome.js'

/** Each message takes this many bytes more than its length, rounded up to a multiple of it. */
export const recordHeaderBytes = 8

/** Indices of 32-bit words in `layout::RingControl`; of a position the low half. */
export const atWritePosition = 0
export const atSent = 2
export const atSeen = 8
export const atReadPosition = 32
export const atReceived = 34
export const atConsumerParked = 64
export const atProducerParked = 96
/** In `layout::QueueLatency`, behind it: marks that were made. */
export const atMade = 128
/** Where a sleeper says that it cannot have the light fence: so many words after `parked`. */
export const toNeedsFence = 1

/** Indices of 32-bit words in `RingCursor`: the low halves of the own position and of the peer's. */
export const atMine = 0
export const atPeers = 2

/** As `Outcome` has it; that is a property of an object. */
export const wouldBlock: typeof Outcome.wouldBlock = -1
export const tooLarge: typeof Outcome.tooLarge = -2
export const corrupt: typeof Outcome.corrupt = -3

/** Messages up to this length are copied by words where that is possible; from there on `set` is quicker. */
export const mostByWords = 256
