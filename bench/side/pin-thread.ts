// Pinning one thread of a process (Linux).

import { spawnSync } from 'node:child_process'
import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'

/** Moves the calling thread, and those that it starts later. */
export function pinThread(core: number): void {
  const thread = basename(readlinkSync('/proc/thread-self'))
  const { status } = spawnSync('taskset', ['-cp', String(core), thread], { stdio: 'ignore' })
  if (status !== 0) throw new Error('the thread could not be pinned')
}
