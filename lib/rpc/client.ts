// The client of a contract: a method of its own for each of the contract.

import { type NativeCalls } from '../addon/calls.js'
import type { ConnectionStatus } from '../net/connection-status.js'
import { describe } from './described.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { afterAllElse, now } from '../base/time.js'
import { isNotFound } from '../base/opening.js'
import { nobodyServes, untilSo } from './caller.js'
import { closedError } from '../errors.js'
import { assertLendable, assertLength } from './lending.js'
import type { CallLoan } from './loan.js'
import type { Contract } from './contract.js'
import { readLimits, type CallOptions, type GivenConnect } from './options.js'
import { Later } from './stream-client.js'
import { statsOf, type CallStats } from './stats.js'
import type { MethodPlan } from './methods.js'
import { ClientHandle, type Function } from './client-handle.js'
import { watched } from './watching.js'

/** Memory under the same name, in which somebody serves, is looked for at most once in so many milliseconds. */
const lookForMemoryMs = 20

/**
 * Calls what a contract names: beside what is here, it has a function for each of the contract. Made by `connect`. Calls that are on
 * their way keep the process alive, unless `unref()` says otherwise.
 */
export class CallClient {
  /** The name that it is connected to. */
  readonly name: string
  /** The path of its memory, as `list` tells it. */
  readonly path: string
  readonly #open: () => NativeCalls
  readonly #given: GivenConnect
  readonly #plans: readonly MethodPlan[]
  #alive = true
  /** Once there is memory. */
  #handle: ClientHandle | undefined
  #functions: readonly Function[] | undefined
  /** Of memory whose name others have taken: until nothing goes through it any more. */
  readonly #left = new Set<ClientHandle>()
  #lookedAt = -Infinity
  #isClosed = false

  /** @internal `open` throws `NOT_FOUND` as long as no server has made the memory. */
  constructor(
    name: string,
    open: () => NativeCalls,
    given: GivenConnect,
    { plans, name: contract }: Pick<Contract, 'name' | 'plans'>,
  ) {
    this.name = name
    this.#open = open
    this.#given = given
    this.#plans = plans
    this.path = this.#attach() ?? this.#handle!.path
    for (const plan of plans) {
      const { kind, idempotent } = plan
      const made = watched(plan, { address: name, contract }, this.#functionOf(plan))
      const value = describe(made, { once: kind === 'call', idempotent })
      if (kind === 'call') {
        const loan = (length: number): Promise<CallLoan> => this.#loan(plan, length)
        Object.defineProperty(value, 'loan', { value: loan })
      }
      Object.defineProperty(this, plan.name, { value, enumerable: true })
    }
  }

  #functionOf(plan: MethodPlan): Function {
    const { number } = plan
    return (input, options) => {
      const functions = this.#functions
      return functions === undefined
        ? this.#firstCall(plan, input, options)
        : functions[number]!(input, options)
    }
  }

  /** Where no server has made the memory yet, it waits as calls do. */
  async #loan(plan: MethodPlan, length: number): Promise<CallLoan> {
    assertLendable(plan.name, 'argument', plan.input)
    const bytes = assertLength(length)
    if (this.#look() === undefined) {
      const { waitMs } = this.#given
      const isThere = (): boolean => {
        this.#assertOpen()
        return this.#look() !== undefined
      }
      await untilSo(isThere, undefined, now() + waitMs, () =>
        nobodyServes(this.name, `${plan.name}()`, waitMs),
      )
    }
    return this.#handle!.loanFor(plan, bytes)
  }

  /** There was no memory when it was looked for last. */
  #firstCall(plan: MethodPlan, input: unknown, options: CallOptions | undefined): unknown {
    const begin = (): unknown => {
      const functions = this.#look()
      if (functions !== undefined) return functions[plan.number]!(input, options)
      this.#assertOpen()
      throw nobodyServes(this.name, `${plan.name}()`, 0)
    }
    if (plan.kind === 'call' || plan.kind === 'upload') return promised(begin)
    if (this.#look() !== undefined) return begin()
    this.#assertOpen()
    readLimits(options) // what is wrong is told now
    return new Later(() => promised(begin) as never)
  }

  /** What there is once there is memory; throws why it cannot be opened. */
  #look(): readonly Function[] | undefined {
    if (this.#functions === undefined && !this.#isClosed) this.#attach()
    return this.#functions
  }

  #closeLeft(): void {
    for (const one of this.#left) {
      if (!one.isIdle) continue
      one.close()
      this.#left.delete(one)
    }
  }

  /** Where it would be, if it is not there. */
  #attach(): string | undefined {
    let memory: NativeCalls
    try {
      memory = this.#open()
    } catch (error) {
      if (!isNotFound(error)) throw error
      return error.path ?? ''
    }
    this.#use(memory)
    return undefined
  }

  #use(memory: NativeCalls): void {
    const handle: ClientHandle = new ClientHandle(this.name, memory, this.#given, () =>
      this.#after(handle),
    )
    if (!this.#alive) handle.unref()
    this.#handle = handle
    this.#functions = this.#plans.map((plan) => handle.functionOf(plan))
  }

  /**
   * Nobody serves in the memory of that handle. If its name was removed, and a server has made other memory under it, that is the
   * client's from now on.
   */
  #after(handle: ClientHandle): ClientHandle | undefined {
    if (this.#isClosed) return undefined
    if (handle !== this.#handle) return this.#handle
    const time = now()
    if (time - this.#lookedAt < lookForMemoryMs) return undefined
    this.#lookedAt = time
    let memory: NativeCalls
    try {
      memory = this.#open()
    } catch {
      return undefined // there is none, or none for us: nobody serves
    }
    // It is the same as ours, as a rule.
    if (!memory.served()) {
      memory.close()
      return undefined
    }
    this.#use(memory)
    this.#left.add(handle)
    afterAllElse(() => {
      this.#closeLeft() // one of them is asking just now
    })
    return this.#handle
  }

  #title(): string {
    return `the client of '${this.name}'`
  }

  #assertOpen(): void {
    if (this.#isClosed) throw closedError(this.#title())
  }

  /** The connection of a client of an address, which is made anew when it breaks; undefined: the calls go through memory. */
  get connection(): ConnectionStatus | undefined {
    return undefined
  }

  /** Calls of this client on their way, and those that wait for a server. */
  get pending(): number {
    let pending = this.#handle?.pending ?? 0
    for (const one of this.#left) pending += one.pending
    return pending
  }

  /**
   * Does anybody serve at this instant? Of a server that was just killed it is known within 100 ms.
   *
   * @throws MillraceError `CLOSED`
   */
  get served(): boolean {
    this.#look()
    const handle = this.#handle
    if (handle !== undefined) return handle.served || this.#after(handle) !== undefined
    this.#assertOpen()
    return false
  }

  /** Was it closed, by `close()` or because of a corrupt peer? */
  get closed(): boolean {
    return this.#handle?.closed ?? this.#isClosed
  }

  /**
   * What there is now, and what was counted, of all servers and clients; nothing at all before the first server has come. Errors as
   * `served`, and `CORRUPT`.
   */
  stats(): CallStats {
    this.#look()
    if (this.#handle !== undefined) return this.#handle.stats()
    this.#assertOpen()
    return statsOf()
  }

  /** Lets calls on their way keep the process alive (the default). */
  ref(): this {
    this.#alive = true
    this.#handle?.ref()
    for (const one of this.#left) one.ref()
    return this
  }

  /** Lets the process end although calls are on their way. */
  unref(): this {
    this.#alive = false
    this.#handle?.unref()
    for (const one of this.#left) one.unref()
    return this
  }

  /** Gives the seat back. Calls on their way reject with `CLOSED`, and the signals of their handlers abort. */
  close(): void {
    this.#isClosed = true
    this.#handle?.close()
    for (const one of this.#left) one.close()
    this.#left.clear()
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** @internal When somebody serves. */
  static untilServed(client: CallClient, signal: AbortSignal | undefined): Promise<void> {
    return client.#untilServed(signal)
  }

  async #untilServed(signal: AbortSignal | undefined): Promise<void> {
    const { waitMs } = this.#given
    const until = now() + waitMs
    await untilSo(
      () => this.#look() !== undefined,
      signal,
      until,
      () => nobodyServes(this.name, 'connect()', waitMs),
    )
    await this.#handle!.untilServed(signal, until)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    if (this.#handle !== undefined) return this.#handle[inspected](...how)
    const { name, path, pending, closed } = this
    return inspection('CallClient', how, () =>
      closed ? { name, path, closed } : { name, path, pending, served: false },
    )
  }
}

/** What is thrown becomes a rejection. */
function promised(begin: () => unknown): Promise<unknown> {
  return new Promise((resolve) => {
    resolve(begin())
  })
}
