// What Mutex and RwLock have in common: taking the lock at once, in the event loop or blocking, and the
// guard that gives it back.
//
// A handle has one seat in shared memory, and any number of tasks in this process. Among the handles the line in
// shared memory decides (native/include/millrace/sync/lock_algorithm.hpp); among the tasks of a handle the wait queue
// does, in the order in which they came. Only the first task of the wait queue stands in the line of the handles, and
// a task that has released goes behind those handles that wait: no process starves another by having many tasks.
//
//   free ──take, or begin and look──► held, by one task or by `tasks` readers ──the last one releases──► free
//
// Readers of one handle share its place as reader. A reader joins those who read already if nobody waits, in this
// process or in another, so that readers who keep coming do not starve a writer. Readers who stood in the wait queue
// when the first one of them was let in go in with that one: they are as many as they are, and the writer's turn comes.

import type { AsyncLocalStorage } from 'node:async_hooks'
import type { NativeLock } from '../addon/lock.js'
import { Outcome } from '../addon/outcome.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { readBlocking, type BlockingOptions } from '../base/blocking.js'
import { fairly } from '../base/fairness.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import {
  checkFunction,
  readWait,
  type Tuning,
  type Wait,
  type WaitOptions,
} from '../base/options.js'
import type { Attempt } from '../base/waiter.js'
import { closedError, corruptError, MillraceError, timeoutError } from '../errors.js'
import { countOf, inWords } from './others.js'
import { Party } from './party.js'

/** Where a guard gives its lock back to. */
interface Holding {
  /** Of the lock: "mutex 'x'". */
  readonly title: string
  /** Is the handle closed, which gave the lock back? */
  isGone(): boolean
  giveBack(finished: boolean): void
}

/** How one has a lock: `using guard = await mutex.lock()`, or `release()` by hand. */
export class LockGuard {
  /**
   * Did an exclusive owner end before it had released the lock, by a crash, by `process.exit()`, or by
   * `abandon()`, and no other one has finished since? What the lock protects may then be half changed: mend
   * it, then release as usual.
   */
  readonly abandoned: boolean
  readonly #holding: Holding
  #released = false

  /** @internal */
  constructor(abandoned: boolean, holding: Holding) {
    this.abandoned = abandoned
    this.#holding = holding
  }

  /** Has the lock been given back, by this guard or by closing its handle? */
  get released(): boolean {
    return this.#released || this.#holding.isGone()
  }

  /** Gives the lock back. Once is enough; more does nothing. */
  release(): void {
    this.#giveBack(true)
  }

  /**
   * Gives the lock back although the work was not finished: the next one to take it finds `abandoned` set.
   * For a shared guard the same as `release`.
   */
  abandon(): void {
    this.#giveBack(false)
  }

  /** What `using` calls at the end of its block: `release()`. */
  [Symbol.dispose](): void {
    this.release()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('LockGuard', how, () => ({
      lock: this.#holding.title,
      abandoned: this.abandoned,
      released: this.released,
    }))
  }

  #giveBack(finished: boolean): void {
    if (this.#released) return
    this.#released = true
    this.#holding.giveBack(finished)
  }
}

/** What the work of a `with…Lock` call runs in. */
interface Section {
  readonly lock: Lock
  readonly exclusive: boolean
  readonly guard: LockGuard
  readonly outer: Section | undefined
}

/** In which sections the code that runs now was called. Made at the first `with…Lock`. */
let sections: AsyncLocalStorage<Section> | undefined

export abstract class Lock extends Party<NativeLock> {
  /** How many tasks of this process have the lock by this handle: one, or any number of readers. */
  #tasks = 0
  #exclusive = false
  #abandoned = false
  /** Waits are numbered as they come. */
  #lastWait = 0
  /** Readers up to this number go in together with those who are in. */
  #letIn = 0

  /** @internal */
  protected constructor(kind: string, name: string, native: NativeLock, tuning: Tuning) {
    super(kind, name, native, tuning)
  }

  /** @internal The lock, if that overtakes nobody. */
  protected take(exclusive: boolean): LockGuard | undefined {
    this.assertOpen()
    if (this.waits.occupied) return undefined
    if (this.#tasks === 0) return this.#judge(this.native.tryLock(exclusive), exclusive)
    return this.#joins(exclusive) ? this.#guard() : undefined
  }

  /** @internal */
  protected async acquire(exclusive: boolean, options?: WaitOptions): Promise<LockGuard> {
    const given = readWait(options)
    const guard = this.#within(exclusive) ?? (await this.#enter(exclusive, given))
    if (this.closed) throw closedError(this.title)
    return guard
  }

  /** @internal */
  protected acquireSync(exclusive: boolean, options?: BlockingOptions): LockGuard {
    const given = readBlocking(options)
    const guard = this.#within(exclusive) ?? this.take(exclusive)
    if (guard !== undefined) return guard
    if (this.#tasks > 0 || this.waits.occupied) {
      throw this.#busy(
        'a task of this thread has it by this handle, or waits for it, and cannot go on while the thread is ' +
          'blocked: await the lock instead',
      )
    }
    const wait = this.#attempt(exclusive)
    return this.block(this.#late(exclusive), given, wait.attempt, wait.givenUp)
  }

  /** @internal */
  protected async during<T>(
    exclusive: boolean,
    work: (guard: LockGuard) => T | PromiseLike<T>,
    options?: WaitOptions,
  ): Promise<T> {
    checkFunction('work', work)
    const guard = await this.acquire(exclusive, options)
    sections ??= newSections()
    const section = { lock: this, exclusive, guard, outer: sections.getStore() }
    try {
      return await sections.run(section, work, guard)
    } finally {
      guard.release()
    }
  }

  /** Takes the lock, or waits for it. */
  #enter(exclusive: boolean, wait: Wait): Promise<LockGuard> {
    const guard = this.take(exclusive)
    if (guard !== undefined) return fairly(guard)
    const { attempt, givenUp } = this.#attempt(exclusive)
    // The tasks that have the lock cannot release it while this thread spins.
    const spins = this.#tasks === 0
    const acquired = this.waits.wait(this.#late(exclusive), attempt, wait, givenUp, spins)
    this.waits.lookAgain() // in line now, not when the event loop comes round
    return acquired
  }

  /** May such a task have the lock together with those who have it? */
  #joins(exclusive: boolean): boolean {
    return !exclusive && !this.#exclusive && !this.native.writerWaits()
  }

  /**
   * The lock for code that has it already: a reader reads on, whoever waits, or both would wait for each other.
   * Anything else could only wait for itself.
   */
  #within(exclusive: boolean): LockGuard | undefined {
    for (let section = sections?.getStore(); section !== undefined; section = section.outer) {
      if (section.lock !== this || section.guard.released) continue
      if (!exclusive && !section.exclusive) return this.#guard()
      throw this.#busy(
        'this call is made inside the work of a call that has it, and would wait for itself: release it first',
      )
    }
    return undefined
  }

  #attempt(exclusive: boolean): { attempt: Attempt<LockGuard>; givenUp: () => void } {
    const number = ++this.#lastWait
    let inLine = false
    return {
      attempt: (thorough) => {
        if (this.#tasks > 0) {
          const joins = !exclusive && !this.#exclusive && number <= this.#letIn
          return joins || this.#joins(exclusive) ? this.#guard() : undefined
        }
        const outcome = inLine ? this.native.look(thorough) : this.native.begin(exclusive)
        inLine = true
        return this.#judge(outcome, exclusive)
      },
      givenUp: () => {
        if (inLine) this.native.giveUp()
      },
    }
  }

  #judge(outcome: number, exclusive: boolean): LockGuard | undefined {
    if (outcome === Outcome.wouldBlock) return undefined
    if (outcome < 0) throw this.#fail(outcome)
    this.#exclusive = exclusive
    this.#abandoned = outcome === 1
    this.#letIn = this.#lastWait
    return this.#guard()
  }

  #guard(): LockGuard {
    this.#tasks++
    return new LockGuard(this.#abandoned, this.#holding)
  }

  readonly #holding: Holding = {
    title: this.title,
    isGone: () => this.closed,
    giveBack: (finished) => {
      if (this.closed || --this.#tasks > 0) return // closing gave it back
      const outcome = this.native.unlock(finished)
      if (outcome < 0) throw this.#fail(outcome)
      if (this.waits.occupied) this.waits.lookAgain()
    },
  }

  /** The error of a wait that was too long. */
  #late(exclusive: boolean): (timeout: number) => MillraceError {
    return (timeout) => timeoutError(`taking ${this.title}`, timeout, this.#whoHas(exclusive))
  }

  #whoHas(exclusive: boolean): string {
    const more = 'or allow more time'
    if (this.#tasks > 0) {
      const tasks = this.#exclusive ? 'a task' : `${String(this.#tasks)} tasks`
      return `${tasks} of this process had it by this handle: release the guard, ${more}`
    }
    this.assertWhole()
    const holders = this.native.holders()
    const who = inWords(holders)
    const before = !exclusive && this.native.writerWaits() ? ', and a writer waits for it' : ''
    if (who === '') return `nobody had it in that instant${before}: others came first; ${more}`
    const how =
      this.native.readers() === 0 ? '' : ` for reading (${countedReaders(countOf(holders))})`
    return `${who} had it${how}${before}: see what takes so long there (a guard that is not released?), ${more}`
  }

  #busy(why: string): MillraceError {
    return new MillraceError('ERR_MILLRACE_BUSY', `${this.title} is busy: ${why}`)
  }

  #fail(outcome: number): MillraceError {
    if (outcome === Outcome.corrupt) {
      const error = corruptError(this.title)
      this.leave(error)
      return error
    }
    return closedError(this.title)
  }
}

function countedReaders(count: number): string {
  return count === 1 ? '1 reader' : `${String(count)} readers`
}

function newSections(): AsyncLocalStorage<Section> {
  const { AsyncLocalStorage } = process.getBuiltinModule('node:async_hooks')
  return new AsyncLocalStorage()
}
