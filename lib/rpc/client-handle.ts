// The handle behind a client: one attachment to the memory of the calls, and what goes through it.

import { CallFact, CallFlag, type NativeCalls } from '../addon/calls.js'
import { ifAllowed } from '../base/borrowing.js'
import type { Bytes } from '../base/view-constructor.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { now } from '../base/time.js'
import { traced } from '../base/tracing.js'
import { Caller, type Again } from './caller.js'
import { closedError } from '../errors.js'
import { decodeError } from './errors.js'
import { assertInPlace, ownResult } from './lending.js'
import { CallResult, type ResultOwner } from './lent-result.js'
import { CallLoan, type Lender } from './loan.js'
import {
  readCall,
  type CallOptions,
  type GivenCall,
  type GivenConnect,
  type Limits,
} from './options.js'
import type { Receive } from './pending.js'
import { wideAt } from './call-handle.js'
import { Outbox, Status } from './outbox.js'
import { openStreams, readAddress } from './stream-address.js'
import { Streams, type StreamsAt } from './stream-client.js'
import type { MethodPlan } from './methods.js'

/** A function of a client. */
export type Function = (input: unknown, options?: CallOptions) => unknown

/** What of a handle is lent: the number of a loan, or the slot of a result. */
interface Lent {
  readonly loan?: number
  readonly slot?: number
}

/** What is called, and what its answer is made into. */
interface Called {
  readonly plan: MethodPlan
  /** For messages. */
  readonly what: string
  readonly own: Receive
  /** Is its result lent where it lies? */
  readonly inPlace: boolean
}

/** What goes along with a call. */
function contextOf(limits: Limits | undefined): Uint8Array | undefined {
  const traceparent = limits?.traceparent
  return traceparent === undefined ? undefined : traced().packTrace(traceparent)
}

/** The handle behind a client, whose names are its own. */
export class ClientHandle extends Caller {
  readonly #outbox: Outbox
  readonly #streams: Streams
  /** Made with the first loan, or the first result that is lent. */
  #lent: FinalizationRegistry<Lent> | undefined
  readonly #ofBytes = new WeakMap<object, object>()
  readonly #onClose = new Set<() => void>()
  #toldForgotten = false

  readonly #next: () => ClientHandle | undefined

  /** `next`: nobody serves here; the handle of other memory under the same name in which somebody does. */
  constructor(
    name: string,
    native: NativeCalls,
    { tuning, waitMs, streams }: GivenConnect,
    next: () => ClientHandle | undefined,
  ) {
    super(name, native, tuning, waitMs)
    this.#next = next
    this.#outbox = new Outbox(native)
    this.#streams = new Streams(
      name,
      (address, limits) => this.#askForStreams(address, limits),
      streams,
    )
  }

  functionOf(plan: MethodPlan): Function {
    if (plan.kind !== 'call') return this.#streaming(plan)
    const { codec, check } = plan.output
    const what = `${plan.name}()`
    const own: Receive = (status, bytes) => {
      if (status === Status.value) return codec.decode(bytes)
      throw decodeError(bytes)
    }
    const call = (input: unknown, options?: CallOptions): Promise<unknown> => {
      try {
        const given = options === undefined ? undefined : readCall(options)
        const limits = given?.limits
        this.assertOpen()
        const inPlace = given?.inPlace === true
        if (inPlace) assertInPlace(plan)
        // What may wait for a server is encoded once, and now.
        const kept = this.mayHold ? this.#outbox.copy(plan.input.codec, input) : undefined
        return this.#call({ plan, what, own, inPlace }, input, kept, limits)
      } catch (error) {
        return Promise.reject(error)
      }
    }
    if (check === undefined) return call
    return (input, options) => call(input, options).then(check)
  }

  /** The result where it lies. What is small lies in a box that the next one comes into. */
  #inPlace(plan: MethodPlan): Receive {
    assertInPlace(plan)
    return (status, bytes, call) => {
      if (status !== Status.value) throw decodeError(bytes)
      const { facts } = this
      const view =
        facts[CallFact.small] === 0
          ? ifAllowed(() => this.own(wideAt(facts, CallFact.offset), bytes.length))
          : undefined
      if (view === undefined) return ownResult(plan.name, new Uint8Array(bytes))
      const result = new CallResult(this.#owner, call.what, view, call.slot)
      this.#watch(result, { slot: call.slot }, view)
      call.keeps = true
      return result
    }
  }

  /** Room for an argument, to be written in place. */
  loanFor(plan: MethodPlan, length: number): CallLoan {
    this.assertOpen()
    const what = `${plan.name}()`
    const loan = this.native.tryLoan(length)
    this.told()
    if (loan < 0) throw this.refused(loan, what)
    try {
      const bytes = this.own(wideAt(this.facts, CallFact.offset), length)
      const made = new CallLoan(this.#lenderOf(plan, what), loan, bytes)
      this.#watch(made, { loan }, bytes)
      return made
    } catch (error) {
      this.native.cancelLoan(loan)
      throw error
    }
  }

  #lenderOf(plan: MethodPlan, what: string): Lender {
    return {
      what: `${what} at '${this.name}'`,
      isClosed: () => this.closed,
      assertOpen: () => {
        this.assertOpen()
      },
      callLoan: (loan, _bytes, length, given) => this.#callLoan(plan, loan, length, given),
      cancelLoan: (loan) => {
        this.#giveBack({ loan })
      },
      ended: (loan) => {
        this.#lent?.unregister(loan)
      },
      onClose: (callback) => {
        this.#onClose.add(callback)
        return () => this.#onClose.delete(callback)
      },
    }
  }

  async #callLoan(
    plan: MethodPlan,
    loan: number,
    length: number,
    { limits, inPlace }: GivenCall,
  ): Promise<unknown> {
    const { codec, check } = plan.output
    const sent = { yet: false }
    try {
      const receive: Receive = inPlace
        ? this.#inPlace(plan)
        : (status, bytes) => {
            if (status === Status.value) return codec.decode(bytes)
            throw decodeError(bytes)
          }
      const until = limits.timeout === Infinity ? Infinity : now() + limits.timeout
      const trace = contextOf(limits)
      const send = (): number => {
        this.#outbox.address(plan, until === Infinity ? Infinity : Math.max(until - now(), 0))
        const slot = this.native.pushLoan(loan, length, trace)
        sent.yet = slot >= 0
        return slot
      }
      const value = await this.dispatch(
        `${plan.name}()`,
        send,
        receive,
        limits,
        undefined,
        plan.idempotent,
      )
      return check === undefined || inPlace ? value : await check(value)
    } finally {
      if (!sent.yet) this.#giveBack({ loan })
    }
  }

  readonly #owner: ResultOwner = {
    isClosed: () => this.closed,
    assertOpen: () => {
      this.assertOpen()
    },
    releaseResult: (result, slot) => {
      this.#lent?.unregister(result)
      this.#giveBack({ slot })
    },
  }

  #giveBack({ loan, slot }: Lent): void {
    if (this.closed || this.waits.damage() !== undefined) return
    if (loan !== undefined) this.native.cancelLoan(loan)
    if (slot !== undefined) this.native.release(slot)
    this.told()
  }

  /** Whoever has the bytes of it has it. */
  #watch(made: object, lent: Lent, bytes: Bytes): void {
    this.#lent ??= new FinalizationRegistry((lost) => {
      this.#forgotten(lost)
    })
    this.#lent.register(made, lent, made)
    this.#ofBytes.set(bytes, made)
  }

  #forgotten(lent: Lent): void {
    if (this.closed) return
    this.#giveBack(lent)
    if (this.#toldForgotten) return
    this.#toldForgotten = true
    const what =
      lent.slot === undefined
        ? `a loan of ${this.title} was garbage collected, neither called nor cancelled`
        : `a result of ${this.title} was garbage collected, and not released`
    process.emitWarning(
      `${what}; its room was given back: \`using\` does that at the end of a block, also when the code throws`,
      { code: 'MILLRACE_LOAN_FORGOTTEN' },
    )
  }

  #call(
    called: Called,
    input: unknown,
    kept: Uint8Array | undefined,
    limits: Limits | undefined,
  ): Promise<unknown> {
    const { plan, what, own, inPlace } = called
    const receive = inPlace ? this.#inPlace(plan) : own
    const again: Again = (timeout) => {
      const left = limits === undefined ? undefined : { ...limits, timeout }
      return this.#other.#call(called, input, kept, left)
    }
    const trace = contextOf(limits)
    if (limits === undefined || limits.timeout === Infinity) {
      return this.dispatch(
        what,
        () => this.#ask(plan, input, kept, Infinity, trace),
        receive,
        limits,
        again,
        plan.idempotent,
      )
    }
    const until = now() + limits.timeout
    const send = (): number => this.#ask(plan, input, kept, Math.max(until - now(), 0), trace)
    return this.dispatch(what, send, receive, limits, again, plan.idempotent)
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

  /** A server is to make two queues at that address; where it has made them. */
  async #askForStreams(address: string, limits: Limits): Promise<StreamsAt> {
    this.assertOpen()
    const send = (): number => {
      const bytes = this.#outbox.put(Buffer.from(address))
      this.#outbox.address({ number: openStreams, idempotent: false }, limits.timeout)
      this.facts[CallFact.flags] = CallFlag.tracedStreams
      return this.send(bytes)
    }
    const receive: Receive = (status, bytes) => {
      const takesTraces = status === Status.tracedStream
      if (status !== Status.stream && !takesTraces) throw decodeError(bytes)
      return { address: readAddress(this.name, bytes), takesTraces }
    }
    const what = 'a connection for streams'
    const again: Again = (timeout) => this.#other.#askForStreams(address, { ...limits, timeout })
    return (await this.dispatch(what, send, receive, limits, again, false)) as StreamsAt
  }

  /** Who has seen that it has moved asks there. */
  get #other(): ClientHandle {
    return this.#next() ?? this
  }

  protected override hasMoved(): boolean {
    return this.#next() !== undefined
  }

  /** Does nothing go through it any more, and was nothing of it lent? */
  get isIdle(): boolean {
    return this.pending === 0 && !this.#streams.isBusy && this.#lent === undefined
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
    for (const told of [...this.#onClose]) told()
    super.closeNative()
    this.#streams.close()
  }

  #ask(
    plan: MethodPlan,
    value: unknown,
    kept: Uint8Array | undefined,
    timeout: number,
    trace: Uint8Array | undefined,
  ): number {
    const outbox = this.#outbox
    const bytes = kept === undefined ? outbox.encode(plan.input.codec, value) : outbox.put(kept)
    outbox.address(plan, timeout)
    return this.send(bytes, trace)
  }

  [inspected](...how: Inspecting): string {
    return inspection('CallClient', how, () =>
      factsOf(this, ['name', 'path'], ['pending', 'served'], this.isWhole()),
    )
  }
}
