// The end of a connection that answers.

import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { isPromise } from '../../base/promised.js'
import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import { traced } from '../../base/tracing.js'
import { invalidArgument, MillraceError } from '../../errors.js'
import { show } from '../../base/options.js'
import type { HandlerContext, Items } from '../contract.js'
import { AnswerLoan } from '../answer-loan.js'
import { isRefused } from '../described.js'
import { decodeError, encodeError } from '../errors.js'
import { assertLendable, assertLength, lentError, noLoanError } from '../lending.js'
import type { MethodPlan } from '../methods.js'
import { today } from '../today.js'
import type { FrameChannel } from './channel.js'
import { Connection, type GivenStreams, type Stream } from './connection.js'
import {
  amountOf,
  frameOf,
  Kind,
  liesError,
  readAmount,
  readOpening,
  signalOf,
  type Opening,
  type Window,
} from './frames.js'
import { Incoming, type Upstream } from './incoming.js'
import { tooLongError, type Link } from './link.js'
import { isItems, Outgoing } from './outgoing.js'

/** What is done for a call. */
export type AnyHandler = (input: unknown, context: HandlerContext) => unknown

/** A method, and what is done for it. */
export interface ServedMethod {
  readonly plan: MethodPlan
  readonly handler: AnyHandler
  /** Does it get its argument where it lies? */
  readonly inPlace?: boolean
}

/** Made by `serveOver`. */
export class StreamServer extends Connection<Served> {
  readonly #given: GivenStreams
  /** By their numbers. */
  readonly #methods: readonly ServedMethod[]
  #leaving = false

  /** @internal */
  constructor(channel: FrameChannel, given: GivenStreams, methods: readonly ServedMethod[]) {
    super('the connection', channel, given)
    this.#given = given
    this.#methods = methods
  }

  /** Handlers at work. */
  get atWork(): number {
    return this.streams.size
  }

  /** @internal Begins nothing more; what has begun goes on. */
  static leave(server: StreamServer): void {
    if (server.#leaving || server.closed) return
    server.#leaving = true
    server.link.urgent(signalOf(0, Kind.leaving))
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
    return inspection('StreamServer', how, () => ({ closed: this.closed, atWork: this.atWork }))
  }

  /** @internal */
  protected override opened(id: number, rest: Uint8Array): void {
    if (id <= this.last) throw liesError('opened a stream twice')
    this.last = id
    const opening = readOpening(rest)
    const method = this.#methods[opening.method]
    if (method === undefined) throw liesError('called a function that the contract has not')
    if (opening.input !== undefined && opening.input.length > this.#given.maxBytes) {
      throw liesError('sent an input that is longer than this side takes (maxBytes)')
    }
    if (this.#leaving) {
      const gone = new MillraceError(
        'ERR_MILLRACE_PEER_GONE',
        'the server closes, and begins nothing more; nothing was done: call again, and another one answers',
      )
      this.link.urgent(frameOf(id, Kind.refused, encodeError(gone)))
      return
    }
    if (this.streams.size >= this.#given.maxStreams) {
      const busy = new MillraceError(
        'ERR_MILLRACE_BUSY',
        `the server has ${String(this.streams.size)} calls and streams of this connection in hand, which is all it takes (maxStreams): ` +
          'call again when some of them have ended',
      )
      this.link.urgent(frameOf(id, Kind.refused, encodeError(busy)))
      return
    }
    const served = new Served(id, method, opening, {
      link: this.link,
      given: this.#given,
      pid: this.channel.peerPid ?? 0,
      forget: () => {
        this.forget(id)
      },
      drop: () => {
        this.drop(id)
      },
    })
    this.streams.set(id, served)
    served.start(opening.input)
  }
}

interface Surroundings {
  readonly link: Link
  readonly given: GivenStreams
  readonly pid: number
  readonly forget: () => void
  readonly drop: () => void
}

/** @internal What a handler is told. */
export class Context implements HandlerContext {
  // Nothing of its own is to be seen by who takes it for options.
  readonly #plan: MethodPlan
  readonly #pid: number
  readonly #until: number
  readonly #most: number
  readonly #traceparent: string | undefined
  #control: AbortController | undefined
  #loan: AnswerLoan | undefined
  #cancelled: { readonly reason: unknown } | undefined

  constructor(
    plan: MethodPlan,
    pid: number,
    left: number,
    most: number,
    traceparent: string | undefined,
  ) {
    this.#plan = plan
    this.#traceparent = traceparent
    this.#most = most
    this.#pid = pid
    this.#until = now() + left
  }

  get method(): string {
    return this.#plan.name
  }

  get traceparent(): string | undefined {
    return this.#traceparent
  }

  get caller(): { readonly pid: number } {
    return { pid: this.#pid }
  }

  get signal(): AbortSignal {
    if (this.#control === undefined) {
      this.#control = new AbortController()
      if (this.#cancelled !== undefined) this.#control.abort(this.#cancelled.reason)
    }
    return this.#control.signal
  }

  get remaining(): number {
    return Math.max(this.#until - now(), 0)
  }

  get deadline(): number {
    return this.#until === Infinity ? Infinity : today() + this.remaining
  }

  /** Memory of this process. */
  async loan(length: number): Promise<AnswerLoan> {
    const { name, kind, output } = this.#plan
    if (kind !== 'call') throw noLoanError(name)
    assertLendable(name, 'result', output)
    const bytes = assertLength(length)
    if (bytes > this.#most) throw tooLongError(`the result of ${name}()`, bytes, this.#most)
    if (this.#cancelled !== undefined) throw this.#cancelled.reason as Error
    if (this.#loan?.ended === false) throw lentError(`${name}()`)
    const loan = new AnswerLoan(`${name}()`, new Uint8Array(bytes), () => undefined)
    return await Promise.resolve((this.#loan = loan))
  }

  cancel(reason: unknown): void {
    if (this.#cancelled !== undefined) return
    this.#cancelled = { reason }
    this.#control?.abort(reason)
  }
}

/** One call or stream, at the server. */
class Served implements Stream, Upstream {
  readonly #id: number
  readonly #plan: MethodPlan
  readonly #handler: AnyHandler
  readonly #link: Link
  readonly #given: GivenStreams
  readonly #forget: () => void
  readonly #drop: () => void
  #wantsItems = true
  readonly #context: Context
  readonly #incoming: Incoming | undefined
  readonly #outgoing: Outgoing
  readonly #timer: Timer | undefined
  /** Its input comes in pieces. */
  #awaitsInput = false
  /** Nobody waits for the answer any more. */
  stopped = false

  constructor(
    id: number,
    { plan, handler }: ServedMethod,
    { left, window, trace }: Opening,
    { link, given, pid, forget, drop }: Surroundings,
  ) {
    this.#id = id
    this.#plan = plan
    this.#handler = handler
    this.#link = link
    this.#given = given
    this.#forget = forget
    this.#drop = drop
    const traceparent = trace === undefined ? undefined : traced().unpackTrace(trace)
    this.#context = new Context(plan, pid, left, given.maxBytes, traceparent)
    this.#outgoing = new Outgoing(link, id, plan.output.codec, given.maxBytes, `${plan.name}()`)
    this.#outgoing.open(window)
    if (plan.kind === 'upload' || plan.kind === 'duplex') {
      this.#incoming = new Incoming(given.window, plan.input.check, this)
    }
    if (left !== Infinity) {
      // The client tells, too; but it may be stopped.
      this.#timer = startTimer(left, () => {
        this.#cancelled(
          new MillraceError('ERR_MILLRACE_TIMEOUT', 'the time that the caller allowed is over'),
        )
      })
    }
  }

  start(input?: Uint8Array): void {
    if (this.#incoming !== undefined) {
      if (input !== undefined) throw liesError('sent an input where there is none')
      this.#link.urgent(amountOf(this.#id, Kind.window, this.#given.window))
      void this.#run(this.#incoming)
    } else if (input === undefined) {
      this.#awaitsInput = true
    } else {
      this.#decoded(input)
    }
  }

  get ignores(): boolean {
    return this.stopped || !this.#wantsItems
  }

  judge(bytes: number): void {
    if (this.#awaitsInput) return
    if (this.#incoming === undefined) throw liesError('sent items where there are none')
    this.#incoming.judge(bytes)
  }

  arrived(kind: number, rest: Uint8Array): void {
    if (kind === Kind.cancel) {
      this.#cancelled(
        new MillraceError(
          'ERR_MILLRACE_ABORTED',
          'nobody waits for the answer any more: the caller has aborted the call, or left its loop, or its time is over',
        ),
      )
      return
    }
    if (this.stopped) return
    switch (kind) {
      case Kind.input:
        if (!this.#awaitsInput) break
        this.#awaitsInput = false
        this.#decoded(rest)
        return
      case Kind.credit:
        this.#outgoing.credit(readAmount(rest))
        return
      case Kind.item:
        if (this.#incoming === undefined) break
        if (!this.#wantsItems) return
        this.#item(this.#incoming, rest)
        return
      case Kind.end:
        if (this.#incoming === undefined) break
        this.#incoming.end()
        return
      case Kind.error:
        if (this.#incoming === undefined) break
        this.#incoming.fail(decodeError(rest))
        return
    }
    throw liesError(`sent what no client sends for a ${this.#plan.kind}`)
  }

  over(error: MillraceError): void {
    this.#cancelled(error)
  }

  // What the iteration over the items tells

  begin(): void {
    // The client was told at once that it may send.
  }

  credit(amount: Window): void {
    if (!this.stopped) this.#link.urgent(amountOf(this.#id, Kind.credit, amount))
  }

  cancel(): void {
    this.#wantsItems = false
    this.#drop()
    if (!this.stopped) this.#link.urgent(signalOf(this.#id, Kind.cancel))
  }

  #item(incoming: Incoming, bytes: Uint8Array): void {
    let value: unknown
    try {
      value = this.#plan.input.codec.decode(bytes)
    } catch (error) {
      incoming.fail(error)
      return
    }
    incoming.push(value, bytes.length)
  }

  #decoded(bytes: Uint8Array): void {
    let value: unknown
    try {
      value = this.#plan.input.codec.decode(bytes)
    } catch (error) {
      this.#fail(error)
      return
    }
    void this.#run(value)
  }

  async #run(value: unknown): Promise<void> {
    const { kind, name, input } = this.#plan
    try {
      const { check } = input
      const checked = check === undefined || this.#incoming !== undefined ? value : check(value)
      const argument = isPromise(checked) ? await checked : checked
      if (this.#isStopped()) return
      const made = this.#handler(argument, this.#context)
      const result = isPromise(made) ? await made : made
      if (kind === 'call' || kind === 'upload') {
        await this.#answer(result)
      } else {
        if (!isItems(result)) {
          throw invalidArgument(
            `the handler of ${name}() must return what for await goes over, as an async function* does, not ${show(result)}`,
          )
        }
        await this.#answerEach(result)
      }
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#ended()
    }
  }

  async #answer(result: unknown): Promise<void> {
    if (this.stopped) return
    const bytes = this.#link.encode(this.#plan.output.codec, AnswerLoan.valueOf(result))
    const { maxBytes } = this.#given
    if (bytes.length > maxBytes) {
      throw tooLongError(`the result of ${this.#plan.name}()`, bytes.length, maxBytes)
    }
    await this.#link.value(this.#id, Kind.result, bytes, this)
  }

  async #answerEach(items: Items<unknown>): Promise<void> {
    await this.#outgoing.all(items)
    if (!this.stopped) this.#link.urgent(signalOf(this.#id, Kind.end))
  }

  #fail(error: unknown): void {
    if (!this.stopped) {
      const kind = isRefused(error) ? Kind.refused : Kind.error
      this.#link.urgent(frameOf(this.#id, kind, encodeError(error)))
      this.#ended()
    }
  }

  /** The handler may go on for a while: until it ends it counts. */
  #cancelled(reason: MillraceError): void {
    if (this.stopped) return
    this.stopped = true
    this.#drop()
    stopTimer(this.#timer)
    this.#context.cancel(reason)
    this.#incoming?.abort(reason)
    this.#outgoing.stop()
    if (this.#awaitsInput) this.#forget()
  }

  #isStopped(): boolean {
    return this.stopped // by what was awaited
  }

  #ended(): void {
    this.stopped = true
    stopTimer(this.#timer)
    this.#outgoing.stop()
    void this.#incoming?.return()
    this.#forget()
  }
}
