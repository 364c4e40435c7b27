// `for await` over what a handle receives. A generator will not do: while a next() pends, its return() waits as well, and what
// comes then is taken and thrown away.

import { hasCode } from '../errors.js'
import { Stop } from './abort-signals.js'
import { disposeInEveryContext } from './disposal.js'
import { fairly } from './fairness.js'
import { inspected, inspection, jsonOf, type Inspecting } from './inspection.js'
import type { WaitOptions } from './options.js'
import { checkOptions, checkSignal } from './options.js'

/** What iterations take. */
export interface IterationOptions {
  /** Ends the iteration with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

/** The iterations of queues, frames and cells: of `for await`, `Readable.from` and whatever else asks one by one. */
export interface Iteration<T> extends AsyncIterable<T> {
  /** The next one, after those asked for before; `done` when there will be none. */
  next(): Promise<IteratorResult<T, undefined>>
  /**
   * Ends the iteration at once, also while `next` calls are pending: those end as `done`, and take nothing. What stays where
   * it comes from can be received by others.
   */
  return(): Promise<IteratorResult<T, undefined>>
  /** What `await using` calls at the end of its block: `return()`. */
  [Symbol.asyncDispose](): Promise<void>
  /** Itself: `for await (const one of iteration)`. */
  [Symbol.asyncIterator](): Iteration<T>
}

/** Where from: a call that takes one, or finds that there will be none. */
interface Source<T> {
  take(wait: WaitOptions): Promise<T | undefined>
  /** One that is there now, and that nobody has asked for before. */
  takeNow?(): T | undefined
  readonly handle: { readonly closed: boolean }
}

/**
 * @throws MillraceError `INVALID_ARGUMENT`; from `next` what `take` rejects with, but for the end of an iteration whose own
 *   handle was closed
 */
export function iterate<T>(source: Source<T>, given?: IterationOptions): Iteration<T> {
  const { signal } = checkOptions(given, ['signal'])
  return new Steps(source, checkSignal(signal))
}

const done = { done: true, value: undefined } as const

class Steps<T> implements Iteration<T> {
  readonly #source: Source<T>
  readonly #stop = new Stop()
  readonly #wait: WaitOptions
  #ended = false

  constructor(source: Source<T>, signal: AbortSignal | undefined) {
    this.#source = source
    this.#wait = { signal: this.#stop.asGiven }
    this.#stop.follow(signal)
  }

  next(): Promise<IteratorResult<T, undefined>> {
    if (this.#source.takeNow === undefined || this.#stop.aborted) return this.#next()
    try {
      const value = this.#source.takeNow()
      return value === undefined ? this.#next() : fairly({ done: false, value })
    } catch (error) {
      return this.#failed(error)
    }
  }

  async #next(): Promise<IteratorResult<T, undefined>> {
    if (this.#ended) return done
    try {
      const value = await this.#source.take(this.#wait)
      // Taken before return() was called: it belongs to whoever asked.
      if (value !== undefined) return { done: false, value }
    } catch (error) {
      return this.#failed(error)
    }
    this.#end()
    return done
  }

  #failed(error: unknown): Promise<IteratorResult<T, undefined>> {
    const isOwnEnd = this.#stopped || (hasCode(error, 'ERR_MILLRACE_CLOSED') && this.#closed)
    this.#end()
    return isOwnEnd ? Promise.resolve(done) : Promise.reject(error)
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#end()
    return Promise.resolve(done)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  [inspected](...how: Inspecting): string {
    return inspection('Iteration', how, () => ({ ended: this.#ended }))
  }

  /** By return(), perhaps while we waited. */
  get #stopped(): boolean {
    return this.#ended
  }

  get #closed(): boolean {
    return this.#source.handle.closed
  }

  #end(): void {
    this.#ended = true
    this.#stop.abort(undefined)
  }
}
