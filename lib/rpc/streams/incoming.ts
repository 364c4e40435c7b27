// One direction of a stream at its receiver: what has arrived and was not taken yet, which is bounded by what the sender was told
// there is room for.

import { disposeInEveryContext } from '../../base/disposal.js'
import { fairly } from '../../base/fairness.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import type { Iteration } from '../../base/iteration.js'
import { isPromise } from '../../base/promised.js'
import type { Check } from '../methods.js'
import { liesError, mayBegin, type Window } from './frames.js'

/** Whom it tells. */
export interface Upstream {
  /** Somebody asks for the first one. */
  begin(): void
  /** So much was taken. */
  credit(amount: Window): void
  /** Nobody takes more. */
  cancel(): void
}

interface Asking {
  readonly resolve: (result: Result | PromiseLike<Result>) => void
  readonly reject: (error: unknown) => void
}

type Result = IteratorResult<unknown, undefined>

const done = { done: true, value: undefined } as const

export class Incoming implements Iteration<unknown> {
  readonly #window: Window
  readonly #check: Check | undefined
  readonly #upstream: Upstream
  readonly #arrived: { readonly value: unknown; readonly bytes: number }[] = []
  readonly #asking: Asking[] = []
  /** What has arrived, and of which the sender was not told that it was taken. */
  #items = 0
  #bytes = 0
  /** Of that, what was taken. */
  #takenItems = 0
  #takenBytes = 0
  #begun = false
  /** There will be no more; with an error, if there is one. */
  #over: { readonly error?: unknown } | undefined
  #returned = false

  constructor(window: Window, check: Check | undefined, upstream: Upstream) {
    this.#window = window
    this.#check = check
    this.#upstream = upstream
  }

  /** May so many bytes of an item have come? Throws if the sender was not told that there is room. */
  judge(bytes: number): void {
    if (!mayBegin(this.#window, this.#items, this.#bytes, bytes)) {
      throw liesError('sent more than it was told that there is room for')
    }
  }

  /** An item that was judged. */
  push(value: unknown, bytes: number): void {
    this.#items++
    this.#bytes += bytes
    if (this.#returned || this.#over !== undefined) return
    const asking = this.#asking.shift()
    if (asking === undefined) {
      this.#arrived.push({ value, bytes })
      return
    }
    this.#took(bytes)
    this.#give(asking, value)
  }

  /** There will be no more: what has arrived can be taken first. */
  end(): void {
    this.#finish({})
  }

  /** As `end`, and then it fails. */
  fail(error: unknown): void {
    this.#finish({ error })
  }

  /** It fails at once: nobody waits for what has arrived. */
  abort(error: unknown): void {
    this.#arrived.length = 0
    this.#over = undefined
    this.#finish({ error })
  }

  next(): Promise<Result> {
    if (this.#returned) return Promise.resolve(done)
    if (!this.#begun) {
      this.#begun = true
      this.#upstream.begin()
    }
    const first = this.#asking.length === 0 ? this.#arrived.shift() : undefined
    if (first !== undefined) {
      this.#took(first.bytes)
      return this.#check === undefined
        ? fairly({ done: false, value: first.value })
        : new Promise((resolve, reject) => {
            this.#give({ resolve, reject }, first.value)
          })
    }
    if (this.#over !== undefined) return this.#ended()
    return new Promise((resolve, reject) => {
      this.#asking.push({ resolve, reject })
    })
  }

  return(): Promise<Result> {
    if (!this.#returned) {
      this.#returned = true
      this.#arrived.length = 0
      if (this.#over === undefined) this.#upstream.cancel()
      for (const { resolve } of this.#asking.splice(0)) resolve(done)
    }
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
    return inspection('Iteration', how, () => ({
      ended: this.#returned || (this.#over !== undefined && this.#arrived.length === 0),
      arrived: this.#arrived.length,
    }))
  }

  /** An error is told once; then it is over. */
  #ended(): Promise<Result> {
    const over = this.#over!
    this.#returned = true
    return 'error' in over ? Promise.reject(over.error) : Promise.resolve(done)
  }

  #finish(over: { readonly error?: unknown }): void {
    if (this.#over !== undefined || this.#returned) return
    this.#over = over
    if (this.#asking.length === 0) return
    // Nothing has arrived that was not taken, or nobody would wait.
    const [first, ...others] = this.#asking.splice(0)
    first!.resolve(this.#ended())
    for (const { resolve } of others) resolve(done)
  }

  #give({ resolve, reject }: Asking, value: unknown): void {
    const check = this.#check
    if (check === undefined) {
      resolve({ done: false, value })
      return
    }
    const refuse = (error: unknown): void => {
      reject(error)
      void this.return()
    }
    try {
      const checked = check(value)
      if (isPromise(checked)) {
        checked.then((late) => {
          resolve({ done: false, value: late })
        }, refuse)
      } else {
        resolve({ done: false, value: checked })
      }
    } catch (error) {
      refuse(error)
    }
  }

  #took(bytes: number): void {
    this.#takenItems++
    this.#takenBytes += bytes
    const { items: mostItems, bytes: mostBytes } = this.#window
    if (this.#takenItems * 2 < mostItems && this.#takenBytes * 2 < mostBytes) return
    const amount = { items: this.#takenItems, bytes: this.#takenBytes }
    this.#items -= amount.items
    this.#bytes -= amount.bytes
    this.#takenItems = this.#takenBytes = 0
    this.#upstream.credit(amount)
  }
}
