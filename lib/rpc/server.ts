// The server of a contract: a handler for each of its methods.

import type { NativeCalls } from '../addon/calls.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { isPromise } from '../base/promised.js'
import type { Bytes } from '../base/view-constructor.js'
import { invalidArgument, MillraceError } from '../errors.js'
import { CallContext } from './context.js'
import { encodeError } from './errors.js'
import type { GivenServe } from './options.js'
import { Outbox, Status } from './outbox.js'
import type { MethodPlan } from './methods.js'
import { Taker, type TakenCall } from './taker.js'

/** What is done for a call. */
export type AnyHandler = (input: unknown, context: CallContext) => unknown

/** A method, and what is done for it. */
export interface Served {
  readonly plan: MethodPlan
  readonly handler: AnyHandler
}

/** Serves what a contract names. Made by `serve`. */
export class CallServer extends Taker {
  readonly #outbox: Outbox
  /** By their numbers. */
  readonly #methods: readonly (Served | undefined)[]

  /** @internal */
  constructor(
    name: string,
    native: NativeCalls,
    given: GivenServe,
    methods: readonly (Served | undefined)[],
  ) {
    super(name, native, given)
    this.#outbox = new Outbox(native)
    this.#methods = methods
    this.begin()
  }

  /** @internal */
  protected override contextOf(facts: Int32Array, method: number): CallContext {
    return new CallContext(this.#methods[method]?.plan.name ?? String(method), facts)
  }

  /** @internal */
  protected override handle(call: TakenCall, method: number, bytes: Bytes): void {
    const served = this.#methods[method]
    if (served === undefined) {
      this.#fail(call, invalidArgument(`there is no method ${String(method)} in this contract`))
      return
    }
    let result: unknown
    try {
      result = run(served, bytes, call.context)
    } catch (error) {
      this.#fail(call, error)
      return
    }
    if (isPromise(result)) {
      result.then(
        (value) => {
          this.#send(call, served, value)
        },
        (error: unknown) => {
          this.#fail(call, error)
        },
      )
    } else {
      this.#send(call, served, result)
    }
  }

  #send(call: TakenCall, { plan }: Served, value: unknown): void {
    if (!this.holds(call)) return
    let bytes: number | Uint8Array
    try {
      bytes = this.#outbox.encode(plan.output.codec, value)
    } catch (error) {
      this.#fail(call, error)
      return
    }
    this.answer(call, Status.value, bytes)
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
    const error = new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `the result of ${call.context.method}() has ${String(length)} bytes, and the most there can be are ` +
        `${String(this.native.maxAnswer)}; open it with more bytes, or send it in parts`,
    )
    this.#fail(call, error)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('CallServer', how, () =>
      factsOf(this, ['name', 'path', 'concurrency'], ['atWork'], this.isWhole()),
    )
  }
}

/** What the handler makes of the call: a value, or a promise of one. */
function run({ plan, handler }: Served, bytes: Bytes, context: CallContext): unknown {
  const { codec, check } = plan.input
  const value = codec.decode(bytes)
  if (check === undefined) return handler(value, context)
  const checked = check(value)
  return isPromise(checked)
    ? checked.then((input) => handler(input, context))
    : handler(checked, context)
}
