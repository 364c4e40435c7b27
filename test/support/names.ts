// Names no other test uses, and the promise that nothing stays behind in /dev/shm.

import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

export const sharedMemory = '/dev/shm'
let count = 0

/**
 * A name with this process's pid in it. When the test is over, whatever lies under it is removed; if
 * there was something, the test fails, unless it said that it leaves something (`mayLeave`).
 *
 * Ask for it before opening anything: teardowns run last to first.
 */
export function uniqueName(
  t: ExecutionContext,
  { mayLeave = false }: { readonly mayLeave?: boolean } = {},
): string {
  const name = `test-${process.pid}-${++count}`
  t.teardown(() => {
    const left = objectsOf(name)
    for (const object of left) rmSync(join(sharedMemory, object), { force: true })
    if (left.length > 0 && !mayLeave) {
      throw new Error(`left behind in ${sharedMemory}: ${left.join(', ')}`)
    }
  })
  return name
}

/** What lies in /dev/shm under that name: the object itself, millrace's own beside it (a listener's two, too), and a semaphore. */
export function objectsOf(name: string): string[] {
  return readdirSync(sharedMemory)
    .filter((object) => object.replace(/^(millrace\.[a-z]|sem)\.|~(\.lock)?$/g, '') === name)
    .sort()
}
