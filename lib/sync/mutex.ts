// Mutual exclusion between processes and threads.

import type { BlockingOptions } from '../base/blocking.js'
import { native } from '../addon/native.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { checkName, type WaitOptions } from '../base/options.js'
import { Lock, type LockGuard } from './lock.js'
import { readPartyOptions, type PartyOptions } from './party.js'
import { nameOf, type Place } from '../place/place.js'

/**
 * A named lock that one at a time can have, among all processes and threads of this machine. It is given
 * to those who wait in the order in which they came. If its owner dies, the next one gets it, and is told.
 *
 * One handle serves any number of tasks of a process: their calls queue, first come, first served. A program opens one
 * and keeps it; at most 56 handles of a name can be open at a time, over all processes.
 *
 * @example
 * ```ts
 * using mutex = Mutex.open('ledger')
 * {
 *   using guard = await mutex.lock({ timeout: 1000 })
 *   if (guard.abandoned) await mend()
 *   await write()
 * }
 * ```
 */
export class Mutex extends Lock {
  /**
   * Opens the mutex; creates it if it does not exist. Does not take it, and does not wait; at most for 2 s if
   * another process is stopped in the middle of opening or closing the same one.
   *
   * @throws MillraceError `NO_LANE` (56 handles are open), `LAYOUT`, `NOT_OURS`, `CORRUPT`, `NO_SPACE`,
   *   `PERMISSION`, `INVALID_NAME`, `NAME_TOO_LONG`, `INVALID_ARGUMENT`, `TIMEOUT`
   */
  static open(place: Place, options?: PartyOptions): Mutex {
    const { tuning, party } = readPartyOptions(place, options)
    const handle = new native.Lock({ ...party, shared: false })
    return new Mutex('mutex', nameOf(place), handle, tuning)
  }

  /**
   * Removes the name. Handles that are open go on excluding each other; new ones get a new mutex. Returns
   * whether there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in
   *   the middle of opening or closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('x', checkName(name))
  }

  /**
   * Process id of the owner, 0 if nobody has it. By the time you read it, it may be another. One system call.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get holder(): number {
    this.assertWhole()
    return this.native.holder()
  }

  /**
   * The lock, or `undefined` if somebody has it or waits for it. Never blocks. An owner that died is
   * noticed.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`
   */
  tryLock(): LockGuard | undefined {
    return this.take(true)
  }

  /**
   * The lock, after those who came before, without blocking the event loop. A wait that is aborted or
   * times out leaves the line; a lock that was granted in that instant goes to the next.
   *
   * @throws MillraceError (as rejection) `BUSY` (called inside the work of a `withLock` of this handle, for which it
   *   would wait for ever), `ABORTED`, `TIMEOUT`, `CLOSED`, `CORRUPT`, `INVALID_ARGUMENT`
   */
  lock(options?: WaitOptions): Promise<LockGuard> {
    return this.acquire(true, options)
  }

  /**
   * The lock, blocking this thread: spins, then sleeps on a futex. For Workers; on the main thread it stops
   * the event loop, and waits for ever if the owner is another handle of this very thread. `BUSY` if a task of this
   * thread has the lock by this handle, or waits for it: that task could not go on. Other errors as `lock`, thrown.
   */
  lockSync(options?: BlockingOptions): LockGuard {
    return this.acquireSync(true, options)
  }

  /**
   * Takes the lock, runs `work`, releases the lock however `work` ends, and returns its result. Errors as `lock`, and
   * what `work` throws.
   */
  withLock<T>(work: (guard: LockGuard) => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    return this.during(true, work, options)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Mutex', how, () => factsOf(this, ['name'], ['holder'], this.isWhole()))
  }
}
