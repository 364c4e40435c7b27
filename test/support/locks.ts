// Locks that are closed with their test.

import type { ExecutionContext } from 'ava'
import { Mutex, RwLock, type PartyOptions } from 'millrace/sync'

/** Where the word is that says who has the lock; see native/include/millrace/layout/lock.hpp. */
export const wordOffset = 11392

export function openMutex(t: ExecutionContext, name: string, options?: PartyOptions): Mutex {
  const mutex = Mutex.open(name, options)
  t.teardown(() => {
    mutex.close()
  })
  return mutex
}

export function openRwLock(t: ExecutionContext, name: string, options?: PartyOptions): RwLock {
  const lock = RwLock.open(name, options)
  t.teardown(() => {
    lock.close()
  })
  return lock
}
