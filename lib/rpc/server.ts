// The server of a contract: a handler for each of its methods.

import { CallFact, CallFlag, type NativeCalls } from '../addon/calls.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { isPromise } from '../base/promised.js'
import { traced } from '../base/tracing.js'
import type { Bytes } from '../base/view-constructor.js'
import { invalidArgument, MillraceError } from '../errors.js'
import { AnswerLoan } from './answer-loan.js'
import { CallContext } from './context.js'
import { assertLendable, assertLength } from './lending.js'
import { encodeError } from './errors.js'
import type { GivenServe } from './options.js'
import { Outbox, Status } from './outbox.js'
import { openStreams } from './stream-address.js'
import { Connections } from './stream-server.js'
import type { ServedMethod } from './streams/server.js'
import { Taker, type TakenCall } from './taker.js'

/** Serves what a contract names. Made by `serve`. */
export class CallServer extends Taker {
  readonly #outbox: Outbox
  readonly #connections: Connections
  /** By their numbers. */
  readonly #methods: readonly ServedMethod[]

  /** @internal */
  constructor(
    name: string,
    native: NativeCalls,
    given: GivenServe,
    methods: readonly ServedMethod[],
  ) {
    super(name, native, given)
    this.#outbox = new Outbox(native)
    this.#methods = methods
    this.#connections = new Connections(name, methods, given.streams)
    this.begin()
  }

  /**
   * Where it serves, as `connect` takes it: `shm://calc`; of a server at an address what that has become, with the port in the place of 0.
   */
  get address(): string {
    return `shm://${this.name}`
  }

  /** @internal */
  protected override contextOf(facts: Int32Array, method: number): CallContext {
    const isTraced = (facts[CallFact.flags]! & CallFlag.traced) !== 0
    const traceparent = isTraced ? traced().unpackTrace(this.native.trace()) : undefined
    return new CallContext(this.#methods[method]?.plan.name ?? String(method), facts, traceparent)
  }

  /** @internal */
  protected override handle(call: TakenCall, method: number, bytes: Bytes): void {
    if (method === openStreams) {
      this.#openStreams(call, bytes)
      return
    }
    const served = this.#methods[method]
    if (served?.plan.kind !== 'call') {
      this.#fail(call, invalidArgument(`there is no method ${String(method)} in this contract`))
      return
    }
    let result: unknown
    try {
      CallContext.of(call.context, this, call)
      result = run(served, bytes, call.context, this.facts[CallFact.small] !== 0)
      // A `then` is code of the handler's, too.
      if (isPromise(result)) {
        result.then(
          (value) => {
            this.#send(call, served, value)
          },
          (error: unknown) => {
            this.#fail(call, error)
          },
        )
        return
      }
    } catch (error) {
      this.#fail(call, error)
      return
    }
    this.#send(call, served, result)
  }

  /** @internal */
  async lend(call: unknown, length: number): Promise<AnswerLoan> {
    const taken = call as TakenCall
    const { method } = taken.context
    assertLendable(
      method,
      'result',
      this.#methods.find(({ plan }) => plan.name === method)!.plan.output,
    )
    return await this.loanFor(taken, assertLength(length))
  }

  #send(call: TakenCall, { plan }: ServedMethod, value: unknown): void {
    if (!this.holds(call)) return
    if (call.loan !== undefined) {
      const length = AnswerLoan.givenBy(call.loan, value)
      if (length !== undefined) {
        this.answerLoan(call, Status.value, length)
        return
      }
    }
    let bytes: number | Uint8Array
    try {
      bytes = this.#outbox.encode(plan.output.codec, AnswerLoan.valueOf(value))
    } catch (error) {
      this.#fail(call, error)
      return
    }
    this.answer(call, Status.value, bytes)
  }

  /** A client wants to go on over a connection of its own. */
  #openStreams(call: TakenCall, bytes: Bytes): void {
    try {
      const takes = (this.facts[CallFact.flags]! & CallFlag.tracedStreams) !== 0
      const address = Buffer.from(this.#connections.open(bytes))
      this.answer(call, takes ? Status.tracedStream : Status.stream, this.#outbox.put(address))
    } catch (error) {
      this.#fail(call, error)
    }
  }

  /** @internal */
  protected override isBusyElsewhere(): boolean {
    return this.#connections.atWork > 0
  }

  /** @internal */
  protected override leaveElsewhere(): void {
    this.#connections.leave()
  }

  /** @internal */
  protected override closeNative(): void {
    super.closeNative()
    this.#connections.close()
  }

  #fail(call: TakenCall, error: unknown): void {
    if (!this.holds(call)) return
    this.answer(call, Status.error, this.#outbox.put(encodeError(error)))
  }

  /** @internal */
  protected override tooLarge(call: TakenCall, status: number, length: number): void {
    if (status === Status.error) {
      this.answer(call, Status.error, 0) // that it failed is what there is room for
      return
    }
    this.#fail(call, this.resultTooLarge(call, length))
  }

  /** @internal */
  protected override resultTooLarge(call: TakenCall, length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `the result of ${call.context.method}() has ${String(length)} bytes, and the most there can be are ` +
        `${String(this.native.maxAnswer)}; open it with more bytes, or send it in parts`,
    )
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('CallServer', how, () =>
      factsOf(this, ['name', 'path', 'concurrency'], ['atWork'], this.isWhole()),
    )
  }
}

/** What the handler makes of the call: a value, or a promise of one. */
function run(
  { plan, handler, inPlace }: ServedMethod,
  bytes: Bytes,
  context: CallContext,
  isSmall: boolean,
): unknown {
  const { codec, check } = plan.input
  // What is small lies in a box that the next one comes into.
  const value = inPlace !== true ? codec.decode(bytes) : isSmall ? new Uint8Array(bytes) : bytes
  if (check === undefined) return handler(value, context)
  const checked = check(value)
  return isPromise(checked)
    ? checked.then((input) => handler(input, context))
    : handler(checked, context)
}
