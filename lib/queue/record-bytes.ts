import { recordHeaderBytes } from './ring-layout.js'

/** What a message takes of the ring, which has 2^30 bytes at most: longer ones have to be refused before. */
export function recordBytes(length: number): number {
  return (length + recordHeaderBytes + 7) & ~7
}
