// The client of a contract: a method of its own for each of the contract.

import type { NativeCalls } from '../addon/calls.js'
import { describe } from './described.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { factsOf, inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { now } from '../base/time.js'
import { Caller } from './caller.js'
import { closedError } from '../errors.js'
import { decodeError } from './errors.js'
import { readLimits, type CallOptions, type GivenConnect, type Limits } from './options.js'
import type { Receive } from './pending.js'
import { Outbox, Status } from './outbox.js'
import { openStreams, readAddress } from './stream-address.js'
import { Streams } from './stream-client.js'
import type { CallStats } from './stats.js'
import type { MethodPlan } from './methods.js'

/** A function of a client. */
type Function = (input: unknown, options?: CallOptions) => unknown

/** The handle behind a client, whose names are its own. */
class ClientHandle extends Caller {
  readonly #outbox: Outbox
  readonly #streams: Streams

  constructor(name: string, native: NativeCalls, { tuning, waitMs, streams }: GivenConnect) {
    super(name, native, tuning, waitMs)
    this.#outbox = new Outbox(native)
    this.#streams = new Streams((limits) => this.#askForStreams(limits), streams)
  }

  functionOf(plan: MethodPlan): Function {
    if (plan.kind !== 'call') return this.#streaming(plan)
    const { codec, check } = plan.output
    const what = `${plan.name}()`
    const receive: Receive = (status, bytes) => {
      if (status === Status.value) return codec.decode(bytes)
      throw decodeError(bytes)
    }
    const call = (input: unknown, options?: CallOptions): Promise<unknown> => {
      try {
        const limits = options === undefined ? undefined : readLimits(options)
        this.assertOpen()
        // What may wait for a server is encoded once, and now.
        const kept = this.mayHold ? this.#outbox.copy(plan.input.codec, input) : undefined
        if (limits === undefined || limits.timeout === Infinity) {
          return this.dispatch(what, () => this.#ask(plan, input, kept, Infinity), receive, limits)
        }
        const until = now() + limits.timeout
        const send = (): number => this.#ask(plan, input, kept, Math.max(until - now(), 0))
        return this.dispatch(what, send, receive, limits)
      } catch (error) {
        return Promise.reject(error)
      }
    }
    if (check === undefined) return call
    return (input, options) => call(input, options).then(check)
  }

  #streaming(plan: MethodPlan): Function {
    const stream = this.#streams.functionOf(plan)
    return (input, options) => {
      if (!this.closed) return stream(input, options)
      const error = closedError(this.title)
      if (plan.kind === 'upload') return Promise.reject(error)
      throw error
    }
  }

  /** The address of two queues that a server has made for us. */
  async #askForStreams(limits: Limits): Promise<string> {
    this.assertOpen()
    const send = (): number => {
      this.#outbox.address({ number: openStreams, idempotent: false }, limits.timeout)
      return this.send(0)
    }
    const receive: Receive = (status, bytes) => {
      if (status === Status.stream) return readAddress(this.name, bytes)
      throw decodeError(bytes)
    }
    return (await this.dispatch('a connection for streams', send, receive, limits)) as string
  }

  override ref(): this {
    this.#streams.hold(true)
    return super.ref()
  }

  override unref(): this {
    this.#streams.hold(false)
    return super.unref()
  }

  protected override closeNative(): void {
    super.closeNative()
    this.#streams.close()
  }

  #ask(plan: MethodPlan, value: unknown, kept: Uint8Array | undefined, timeout: number): number {
    const outbox = this.#outbox
    const bytes = kept === undefined ? outbox.encode(plan.input.codec, value) : outbox.put(kept)
    outbox.address(plan, timeout)
    return this.send(bytes)
  }

  [inspected](...how: Inspecting): string {
    return inspection('CallClient', how, () =>
      factsOf(this, ['name', 'path'], ['pending', 'served'], this.isWhole()),
    )
  }
}

/**
 * Calls what a contract names: beside what is here, it has a function for each of the contract. Made by `connect`. Calls that are on
 * their way keep the process alive, unless `unref()` says otherwise.
 */
export class CallClient {
  /** The name that it is connected to. */
  readonly name: string
  /** The path of its memory, as `list` tells it. */
  readonly path: string
  readonly #handle: ClientHandle

  /** @internal */
  constructor(
    name: string,
    native: NativeCalls,
    given: GivenConnect,
    plans: readonly MethodPlan[],
  ) {
    this.#handle = new ClientHandle(name, native, given)
    this.name = name
    this.path = native.path
    for (const plan of plans) {
      const { kind, idempotent } = plan
      const value = describe(this.#handle.functionOf(plan), { once: kind === 'call', idempotent })
      Object.defineProperty(this, plan.name, { value, enumerable: true })
    }
  }

  /** Calls of this client on their way, and those that wait for a server. */
  get pending(): number {
    return this.#handle.pending
  }

  /**
   * Does anybody serve at this instant? Of a server that was just killed it is known within 100 ms.
   *
   * @throws MillraceError `CLOSED`
   */
  get served(): boolean {
    return this.#handle.served
  }

  /** Was it closed, by `close()` or because of a corrupt peer? */
  get closed(): boolean {
    return this.#handle.closed
  }

  /** What there is now, and what was counted, of all servers and clients. Errors as `served`, and `CORRUPT`. */
  stats(): CallStats {
    return this.#handle.stats()
  }

  /** Lets calls on their way keep the process alive (the default). */
  ref(): this {
    this.#handle.ref()
    return this
  }

  /** Lets the process end although calls are on their way. */
  unref(): this {
    this.#handle.unref()
    return this
  }

  /** Gives the seat back. Calls on their way reject with `CLOSED`, and the signals of their handlers abort. */
  close(): void {
    this.#handle.close()
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.#handle.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** @internal When somebody serves. */
  static untilServed(client: CallClient, signal: AbortSignal | undefined): Promise<void> {
    return client.#handle.untilServed(signal)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this.#handle)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return this.#handle[inspected](...how)
  }
}
