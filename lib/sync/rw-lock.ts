// Many readers or one writer, between processes and threads.

import type { BlockingOptions } from '../base/blocking.js'
import { native } from '../addon/native.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { checkName, type WaitOptions } from '../base/options.js'
import { Lock, type LockGuard } from './lock.js'
import { readPartyOptions, type PartyOptions } from './party.js'
import { nameOf, type Place } from '../place/place.js'

/**
 * A named lock that many readers or one writer can have, among all processes and threads of this machine.
 * Those who wait are served in the order in which they came; readers that stand together in line go in
 * together. A new reader does not overtake a waiting writer, so neither side starves.
 *
 * A reader that dies leaves nothing. If a writer dies, all that follow are told, until a writer has
 * finished.
 *
 * One handle serves any number of tasks of a process: readers of one handle read together and count as one, writers
 * queue. A program opens one and keeps it; at most 56 handles of a name can be open at a time, over all processes.
 *
 * @example
 * ```ts
 * using lock = RwLock.open('settings')
 * {
 *   using guard = await lock.readLock()
 *   show()
 * }
 * await lock.withWriteLock(() => change())
 * ```
 */
export class RwLock extends Lock {
  /**
   * Opens the lock; creates it if it does not exist. Does not take it, and does not wait; at most for 2 s if
   * another process is stopped in the middle of opening or closing the same one.
   *
   * @throws MillraceError `NO_LANE` (56 handles are open), `LAYOUT`, `NOT_OURS`, `CORRUPT`, `NO_SPACE`,
   *   `PERMISSION`, `INVALID_NAME`, `NAME_TOO_LONG`, `INVALID_ARGUMENT`, `TIMEOUT`
   */
  static open(place: Place, options?: PartyOptions): RwLock {
    const { tuning, party } = readPartyOptions(place, options)
    const handle = new native.Lock({ ...party, shared: true })
    return new RwLock('rwlock', nameOf(place), handle, tuning)
  }

  /**
   * Removes the name. Handles that are open go on with each other; new ones get a new lock. Returns whether
   * there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in
   *   the middle of opening or closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('w', checkName(name))
  }

  /**
   * Process id of the writer, 0 if nobody writes. By the time you read it, it may be another. One system call.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get writer(): number {
    this.assertWhole()
    return this.native.holder()
  }

  /**
   * How many handles read. By the time you read it, it may be another number. One system call.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get readers(): number {
    this.assertWhole()
    return this.native.readers()
  }

  /**
   * The lock for reading, or `undefined` if somebody writes or waits to. Never blocks. Owners that died
   * are noticed.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`
   */
  tryReadLock(): LockGuard | undefined {
    return this.take(false)
  }

  /** The lock for writing, or `undefined` if anybody has it. Otherwise as `tryReadLock`. */
  tryWriteLock(): LockGuard | undefined {
    return this.take(true)
  }

  /**
   * The lock for reading, after the writers who came before, without blocking the event loop. A wait that
   * is aborted or times out leaves the line.
   *
   * Inside the work of `withReadLock` it is given at once, whoever waits.
   *
   * @throws MillraceError (as rejection) `BUSY` (called inside the work of a `withWriteLock` of this handle, for which
   *   it would wait for ever), `ABORTED`, `TIMEOUT`, `CLOSED`, `CORRUPT`, `INVALID_ARGUMENT`
   */
  readLock(options?: WaitOptions): Promise<LockGuard> {
    return this.acquire(false, options)
  }

  /**
   * The lock for writing, after all who came before. Otherwise as `readLock`; `BUSY` also inside the work of
   * `withReadLock`: reading is not raised to writing.
   */
  writeLock(options?: WaitOptions): Promise<LockGuard> {
    return this.acquire(true, options)
  }

  /**
   * The lock for reading, blocking this thread: spins, then sleeps on a futex. For Workers; on the main
   * thread it stops the event loop, and waits for ever if the writer is another handle of this very
   * thread. `BUSY` if that writer is a task with this handle. Other errors as `readLock`, thrown.
   */
  readLockSync(options?: BlockingOptions): LockGuard {
    return this.acquireSync(false, options)
  }

  /** The lock for writing, blocking this thread. Otherwise as `readLockSync`. */
  writeLockSync(options?: BlockingOptions): LockGuard {
    return this.acquireSync(true, options)
  }

  /** Takes the lock for reading, runs `work`, releases it however `work` ends; returns its result. */
  withReadLock<T>(
    work: (guard: LockGuard) => T | PromiseLike<T>,
    options?: WaitOptions,
  ): Promise<T> {
    return this.during(false, work, options)
  }

  /** The same for writing. */
  withWriteLock<T>(
    work: (guard: LockGuard) => T | PromiseLike<T>,
    options?: WaitOptions,
  ): Promise<T> {
    return this.during(true, work, options)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('RwLock', how, () =>
      factsOf(this, ['name'], ['writer', 'readers'], this.isWhole()),
    )
  }
}
