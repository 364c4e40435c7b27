// Memory that somebody shortens under those who have it open.

import { truncateSync } from 'node:fs'

/** Longer than what was found whole is taken to be so (`wholeMs` in lib/base/wait-queue.ts). */
const forgottenMs = 5

/**
 * Shortens a file of memory that handles of this thread have open. Whoever looked into it within the last millisecond does not ask again
 * whether it is whole, and would end the process (docs/fuzzing.md): so this thread stands still first, whatever else it has to do.
 */
export function cut(path: string, bytes = 0): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, forgottenMs)
  truncateSync(path, bytes)
}
