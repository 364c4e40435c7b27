// A named 64-bit counter, and its steps in JavaScript. They are those of native/include/millrace/sync/counter.hpp: one
// instruction each, sequentially consistent, which is what Atomics say of themselves. That they say so of shared buffers
// only does no harm: every engine makes the same instruction for any buffer.
//
// Closing takes the memory away, and so does the end of the process (lib/addon/leaving.ts); nobody else sees the buffer. So
// a counter that is not closed has its memory.

import { closedError, invalidArgument, MillraceError } from '../errors.js'
import { closeIt, onLeaving } from '../addon/leaving.js'
import { native } from '../addon/native.js'
import type { NativeCounter } from '../addon/counter.js'
import { ifAllowed } from '../base/borrowing.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { factsOf, inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { tellClosed, tellOpened } from '../base/life.js'
import {
  access,
  checkName,
  checkOptions,
  flag,
  type AccessOptions,
  accessNames,
  show,
} from '../base/options.js'
import { checkPlace, nameOf, type Place } from '../place/place.js'

export interface CounterOptions extends AccessOptions {
  /** Value of a new counter; default 0. Without effect on one that exists. */
  readonly initial?: bigint | number | undefined
  /**
   * The counter stays when nobody has it open, until `Counter.unlink`. Without it, it goes with its last
   * user, and the next one begins again at `initial`. Default false.
   */
  readonly keep?: boolean | undefined
}

/**
 * A signed 64-bit number under a name, which any number of processes and threads change without ever
 * losing a step. Each call is one atomic instruction: nobody waits, and a process that dies has either
 * made its step or not.
 *
 * Values are bigints; arguments may also be whole numbers up to 2^53. Past 2^63 - 1 it goes on at -2^63.
 *
 * @example
 * ```ts
 * using jobs = Counter.open('jobs')
 * const id = jobs.add() // 1n for the first, and no other process gets the same
 * ```
 */
export class Counter {
  /** The name it was opened by. */
  readonly name: string
  readonly #native: NativeCounter
  /** Its only element, in shared memory. Nothing before the first step, after closing, and where it cannot be borrowed. */
  #value: BigInt64Array | undefined
  #refused = false
  #closed = false
  readonly #unknow: () => void

  private constructor(name: string, handle: NativeCounter) {
    this.name = name
    this.#native = handle
    this.#unknow = onLeaving(this, closeIt)
    tellOpened(this)
  }

  /**
   * Opens the counter; creates it if it does not exist.
   *
   * @throws MillraceError `INVALID_ARGUMENT`, `INVALID_NAME`, `NAME_TOO_LONG`, `NOT_OURS`, `PERMISSION`,
   *   `LAYOUT`, `CORRUPT`, `NO_SPACE`, `TIMEOUT`
   */
  static open(place: Place, options?: CounterOptions): Counter {
    const given = checkOptions(options, [...accessNames, 'initial', 'keep'])
    const initial = integer('initial', given.initial ?? 0n)
    const handle = new native.Counter({
      place: checkPlace(place),
      initial,
      keep: flag(given, 'keep'),
      ...access(given),
    })
    return new Counter(nameOf(place), handle)
  }

  /**
   * Removes the name. Who has the counter open goes on with it; new ones get a new counter. Returns
   * whether there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in
   *   the middle of opening or closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('n', checkName(name))
  }

  /** Has `close()` been called? */
  get closed(): boolean {
    return this.#closed
  }

  /** The value. */
  get(): bigint {
    const value = this.#value ?? this.#borrowed()
    return value === undefined ? this.#native.get() : Atomics.load(value, 0)
  }

  /**
   * The value as a number.
   *
   * @throws MillraceError `TOO_LARGE` if a number cannot hold it exactly, `CLOSED`
   */
  toNumber(): number {
    const value = this.get()
    const number = Number(value)
    if (Number.isSafeInteger(number)) return number
    throw new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `counter '${this.name}' stands at ${String(value)}, which is no safe integer; use get()`,
    )
  }

  /** Sets the value. */
  set(value: bigint | number): void {
    this.exchange(value)
  }

  /** Adds `delta`, which may be negative, and returns the value after that. */
  add(delta: bigint | number = 1n): bigint {
    const value = this.#value ?? this.#borrowed()
    const step = integer('a value', delta)
    if (value === undefined) return this.#native.add(step)
    return BigInt.asIntN(64, Atomics.add(value, 0, step) + step)
  }

  /** Sets the value and returns the one before. */
  exchange(value: bigint | number): bigint {
    const place = this.#value ?? this.#borrowed()
    const replacement = integer('a value', value)
    if (place === undefined) return this.#native.exchange(replacement)
    return Atomics.exchange(place, 0, replacement)
  }

  /**
   * Sets the value to `replacement` if it is `expected`. Returns the value before: it has been replaced if
   * that equals `expected`.
   */
  compareExchange(expected: bigint | number, replacement: bigint | number): bigint {
    const value = this.#value ?? this.#borrowed()
    const before = integer('a value', expected)
    const after = integer('a value', replacement)
    if (value === undefined) return this.#native.compareExchange(before, after)
    return Atomics.compareExchange(value, 0, before, after)
  }

  /** Lets go of the counter; the last one to do so removes it, unless it is to be kept. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#value = undefined
    this.#unknow()
    this.#native.close()
    tellClosed(this)
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
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
    return inspection('Counter', how, () => {
      const isWhole = this.#native.whole()
      const facts = factsOf(this, ['name'], [], isWhole)
      return this.closed || !isWhole ? facts : { ...facts, value: this.get() }
    })
  }

  /** The memory of the value, or nothing where it cannot be borrowed. Throws `CLOSED`. */
  #borrowed(): BigInt64Array | undefined {
    if (this.#closed) throw closedError(`counter '${this.name}'`)
    if (this.#refused) return undefined
    const record = ifAllowed(() => this.#native.record())
    this.#refused = record === undefined
    return (this.#value = record && new BigInt64Array(record, 0, 1))
  }
}

/** @throws MillraceError `INVALID_ARGUMENT` */
function integer(what: string, value: unknown): bigint {
  if (typeof value === 'bigint') {
    if (BigInt.asIntN(64, value) === value) return value
  } else if (Number.isSafeInteger(value)) return BigInt(value as number)
  throw invalidArgument(
    `${what} must be a bigint of 64 bits or a safe whole number, not ${show(value)}`,
  )
}
