// Where things are in a cell's memory, for JavaScript: native/include/millrace/layout/cell.hpp. Each number is a constant of
// its own, in a file with nothing else in it, which the bundler writes into the code: see lib/queue/ring-layout.ts.

/** Indices of 32-bit words in the control memory; of a version the low half. */
export const atPublished = 0
export const atWaiting = 32
export const atNeedsFence = 34
/** Of the first slot's record, and of the next one's from there. */
export const atSlots = 3648
export const logSlotWords = 4
/** From a slot's record. */
export const toSequence = 0
export const toLength = 2
export const toTimestamp = 4

/** Indices of 32-bit words in `CellCursor`: low halves. */
export const atVersion = 0
export const atLength = 2
export const atNextSlot = 4

/** Values up to this length are copied by words; longer ones by the addon. */
export const mostByWords = 1024
