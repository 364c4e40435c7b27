// The end of a connection that calls.

import { forgetAbort, whenAborted, type Abortable } from '../../base/abort-signals.js'
import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { startTimer, stopTimer, type Timer } from '../../base/time.js'
import { traced } from '../../base/tracing.js'
import { invalidArgument, MillraceError, type Executed } from '../../errors.js'
import { show } from '../../base/options.js'
import type { Bytes } from '../../base/view-constructor.js'
import type { Items } from '../contract.js'
import { decodeError, encodeError } from '../errors.js'
import type { MethodPlan } from '../methods.js'
import { assertInPlace, ownLoan, ownResult, type Sender } from '../lending.js'
import type { CallLoan } from '../loan.js'
import { readCall, readLimits, type CallOptions, type GivenCall, type Limits } from '../options.js'
import type { FrameChannel } from './channel.js'
import { Connection, type GivenStreams, type Stream } from './connection.js'
import {
  frameOf,
  Kind,
  lastStream,
  liesError,
  openBytes,
  openingOf,
  readAmount,
  signalOf,
  amountOf,
  type Window,
  checkWindow,
} from './frames.js'
import { Incoming, type Upstream } from './incoming.js'
import { tooLongError, type Link } from './link.js'
import { isItems, Outgoing } from './outgoing.js'

/** Made by `connectOver`. */
export class StreamClient extends Connection<Asked> {
  readonly #given: GivenStreams
  /** Where what is called is, for messages. */
  readonly #at: string
  #leaving = false
  /** May contexts of traces go along? The other side may be of another version. */
  #takesTraces = true

  /** @internal */
  constructor(channel: FrameChannel, given: GivenStreams, address = channel.address) {
    super('the connection', channel, given)
    this.#given = given
    this.#at = address === undefined ? '' : ` at '${address}'`
    channel.hold?.(false)
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
    return inspection('StreamClient', how, () => ({
      closed: this.closed,
      pending: this.streams.size,
    }))
  }

  /** @internal What a method of that plan does. */
  methodOf(plan: MethodPlan): (input: unknown, options?: CallOptions) => unknown {
    switch (plan.kind) {
      case 'call':
        return this.#once(plan)
      case 'upload':
        return (items, options) => this.#many(plan, items, options)
      case 'stream':
        return (input, options) => this.#items(plan, input, undefined, options)
      case 'duplex':
        return (items, options) => this.#items(plan, undefined, items, options)
    }
  }

  async #many(
    plan: MethodPlan,
    items: unknown,
    options: CallOptions | undefined,
  ): Promise<unknown> {
    return await this.#answer(plan, undefined, items, readLimits(options))
  }

  #once(plan: MethodPlan): (input: unknown, options?: CallOptions) => unknown {
    const call = async (input: unknown, { limits, inPlace }: GivenCall): Promise<unknown> => {
      if (inPlace) assertInPlace(plan)
      const value = await this.#answer(plan, input, undefined, limits)
      return inPlace ? ownResult(plan.name, value as Bytes) : value
    }
    // `via`: of who makes the connection anew, the call by its own means.
    const loan = async (length: number, via?: Sender): Promise<CallLoan> => {
      const title = `the connection of ${plan.name}()`
      const own: Sender = { title, isClosed: () => this.closed, call }
      return await Promise.resolve(ownLoan(plan, length, this.#given.maxBytes, via ?? own))
    }
    const made = async (input: unknown, options?: CallOptions): Promise<unknown> =>
      await call(input, readCall(options))
    return Object.defineProperty(made, 'loan', { value: loan })
  }

  async #answer(
    plan: MethodPlan,
    input: unknown,
    items: unknown,
    limits: Limits,
  ): Promise<unknown> {
    if (plan.kind === 'upload') checkItems(plan, items)
    const value = await new Promise((resolve, reject) => {
      const asked = new Asked(plan, this.#at, this.link, this.#given, { resolve, reject })
      this.#begin(asked, input, items as Items<unknown>, limits)
    })
    return plan.output.check === undefined ? value : await plan.output.check(value)
  }

  /** Nothing is sent before somebody asks for the first item: what nobody iterates over costs nothing. */
  #items(
    plan: MethodPlan,
    input: unknown,
    items: unknown,
    options: CallOptions | undefined,
  ): Incoming {
    const limits = readLimits(options)
    if (plan.kind === 'duplex') checkItems(plan, items)
    const asked = new Asked(plan, this.#at, this.link, this.#given, undefined)
    asked.onBegin = () => {
      try {
        this.#begin(asked, input, items as Items<unknown>, limits)
      } catch (error) {
        asked.settle(error)
      }
    }
    return asked.incoming!
  }

  #begin(asked: Asked, input: unknown, items: Items<unknown>, limits: Limits): void {
    const { whyOver, link } = this
    const { plan } = asked
    if (whyOver !== undefined) {
      const facts = { cause: whyOver, executed: 'no' } as const
      throw new MillraceError(
        whyOver.code,
        `${plan.name}()${this.#at}: the connection has ended; open another one to go on`,
        facts,
      )
    }
    if (this.streams.size >= this.#given.maxStreams || this.last === lastStream) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `${String(this.streams.size)} calls and streams are on their way over this connection, which is all it takes (maxStreams): ` +
          'wait for some of them',
        { executed: 'no' },
      )
    }
    const takesItems = plan.kind === 'upload' || plan.kind === 'duplex'
    const bytes = takesItems ? undefined : link.encode(plan.input.codec, input)
    const { maxBytes, window } = this.#given
    if (bytes !== undefined && bytes.length > maxBytes) {
      throw tooLongError(`the input of ${plan.name}()`, bytes.length, maxBytes)
    }
    const aborted = [limits.signal, limits.outer].find((signal) => signal?.aborted === true)
    if (aborted !== undefined) throw asked.abortedBy(aborted, 'no') // after it was given
    const id = ++this.last
    this.streams.set(id, asked)
    if (this.streams.size === 1) this.channel.hold?.(true)
    asked.started(id, () => {
      this.forget(id)
      if (this.streams.size === 0 && !this.closed) this.channel.hold?.(false)
    })
    const { timeout, traceparent } = limits
    const isTraced = this.#takesTraces && traceparent !== undefined
    const trace = isTraced ? traced().packTrace(traceparent) : undefined
    const head = openBytes + (trace?.length ?? 0)
    const fits = bytes !== undefined && bytes.length + head <= link.longest
    const first = fits ? bytes : undefined
    const opening = { method: plan.number, left: timeout, window, input: first, trace }
    link.urgent(openingOf(id, opening)) // the bytes are where they were
    asked.limit(limits)
    if (bytes !== undefined && !fits) {
      link.value(id, Kind.input, bytes, asked)?.catch(() => undefined) // the end of the connection tells
    }
    if (takesItems) void asked.sendAll(items)
  }

  /** @internal */
  protected override peerLeaves(): void {
    this.#leaving = true
  }

  /** @internal The server does not know contexts of traces. */
  static withoutTraces(client: StreamClient): void {
    client.#takesTraces = false
  }

  /** @internal Does the server begin nothing more? */
  static isLeft(client: StreamClient): boolean {
    return client.#leaving
  }

  /** @internal */
  protected override opened(): void {
    throw liesError('opened a stream, which only clients do')
  }
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function checkItems(plan: MethodPlan, items: unknown): void {
  if (isItems(items)) return
  throw invalidArgument(
    `${plan.name}() takes many values: an array, a generator, or what for await goes over, not ${show(items)}`,
  )
}

/** Of a stream that the server has not begun with. */
function refusal(error: Error): Error {
  if (!(error instanceof MillraceError)) return error
  return new MillraceError(error.code, error.message, { cause: error.cause, executed: 'no' })
}

interface Settling {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** One call or stream, at the client. */
class Asked implements Stream, Abortable, Upstream {
  readonly plan: MethodPlan
  readonly incoming: Incoming | undefined
  onBegin: (() => void) | undefined
  /** For messages. */
  readonly #what: string
  readonly #link: Link
  readonly #settling: Settling | undefined
  readonly #given: GivenStreams
  #outgoing: Outgoing | undefined
  #id = 0
  #forget: (() => void) | undefined
  #timer: Timer | undefined
  #signals: AbortSignal[] = []
  /** Settled: nothing that comes counts any more. */
  stopped = false
  /** Whoever is settled is forgotten, too. */
  readonly ignores = false

  constructor(
    plan: MethodPlan,
    at: string,
    link: Link,
    given: GivenStreams,
    settling: Settling | undefined,
  ) {
    this.plan = plan
    this.#what = `${plan.name}()${at}`
    this.#link = link
    this.#given = given
    this.#settling = settling
    if (settling === undefined) {
      this.incoming = new Incoming(given.window, plan.output.check, this)
    }
  }

  started(id: number, forget: () => void): void {
    this.#id = id
    this.#forget = forget
  }

  limit({ timeout, signal, outer }: Limits): void {
    if (timeout !== Infinity) {
      this.#timer = startTimer(timeout, () => {
        this.#giveUp(
          new MillraceError(
            'ERR_MILLRACE_TIMEOUT',
            `${this.#what} had not ended within ${String(Math.ceil(timeout))} ms: its handler is still at work, and its signal aborts; ` +
              'find out why, or allow more time',
            { executed: 'unknown' },
          ),
        )
      })
    }
    for (const one of [signal, outer]) {
      if (one === undefined) continue
      this.#signals.push(one)
      whenAborted(one, this)
    }
  }

  async sendAll(items: Items<unknown>): Promise<void> {
    const { plan } = this
    const outgoing = new Outgoing(
      this.#link,
      this.#id,
      plan.input.codec,
      this.#given.maxBytes,
      `${plan.name}()`,
    )
    this.#outgoing = outgoing
    try {
      await outgoing.all(items)
      if (!this.stopped) this.#link.urgent(signalOf(this.#id, Kind.end))
    } catch (error) {
      if (this.stopped) return
      // The handler learns why there will be no more items, and whoever called has the error itself.
      this.#link.urgent(frameOf(this.#id, Kind.error, encodeError(error)))
      this.settle(error)
    }
  }

  /** Some signal of it. */
  aborted(): void {
    const signal = this.#signals.find((one) => one.aborted)
    this.#giveUp(this.abortedBy(signal!, 'unknown'))
  }

  abortedBy(signal: AbortSignal, executed: Executed): MillraceError {
    const facts = { cause: signal.reason as unknown, executed }
    return new MillraceError('ERR_MILLRACE_ABORTED', `${this.#what} was aborted`, facts)
  }

  judge(bytes: number): void {
    this.incoming?.judge(bytes)
  }

  arrived(kind: number, rest: Uint8Array): void {
    const { incoming, plan } = this
    switch (kind) {
      case Kind.item:
        if (incoming === undefined) break
        this.#decoded(rest, (value) => {
          incoming.push(value, rest.length)
        })
        return
      case Kind.result:
        if (incoming !== undefined) break
        this.#decoded(rest, (value) => {
          this.#end()
          this.#settling!.resolve(value)
        })
        return
      case Kind.end:
        if (incoming === undefined) break
        this.#end()
        incoming.end()
        return
      case Kind.error:
        this.settle(decodeError(rest))
        return
      case Kind.refused:
        this.settle(refusal(decodeError(rest)))
        return
      case Kind.window:
        this.#uploading().open(checkWindow(readAmount(rest)))
        return
      case Kind.credit:
        this.#uploading().credit(readAmount(rest))
        return
      case Kind.cancel:
        this.#uploading().stop()
        return
    }
    throw liesError(`answered ${plan.name}() as no ${plan.kind} is answered`)
  }

  over(error: MillraceError): void {
    const [how] = error.message.split(';')
    const isGone = error.code === 'ERR_MILLRACE_PEER_GONE'
    const message = isGone
      ? `${how!}; what has been done of it is not known: ${this.#cure()}`
      : error.message
    const facts = { cause: error, executed: 'unknown' } as const
    this.settle(new MillraceError(error.code, `${this.#what}: ${message}`, facts))
  }

  /** What to do when it is not known what has been done. */
  #cure(): string {
    const { idempotent, kind } = this.plan
    if (idempotent) return 'call it again, for the contract says that it may be done twice'
    if (kind !== 'call') return 'see what came of it, and call it again'
    return 'see what came of it before it is called again; what the contract says is idempotent is repeated by itself'
  }

  /** It has failed: what has come can be taken first. */
  settle(error: unknown): void {
    if (this.stopped) return
    this.#end()
    if (this.incoming !== undefined) this.incoming.fail(error)
    else this.#settling!.reject(error)
  }

  // What the iteration tells

  begin(): void {
    this.onBegin?.()
    this.onBegin = undefined
  }

  credit(amount: Window): void {
    if (!this.stopped) this.#link.urgent(amountOf(this.#id, Kind.credit, amount))
  }

  cancel(): void {
    if (this.stopped) return
    this.#tellCancel()
    this.#end()
  }

  #uploading(): Outgoing {
    if (this.#outgoing !== undefined) return this.#outgoing
    throw liesError(`asked for items of ${this.plan.name}(), which has none`)
  }

  #decoded(bytes: Uint8Array, take: (value: unknown) => void): void {
    let value: unknown
    try {
      value = this.plan.output.codec.decode(bytes)
    } catch (error) {
      this.#tellCancel()
      this.settle(error)
      return
    }
    take(value)
  }

  #giveUp(error: MillraceError): void {
    if (this.stopped) return
    this.#tellCancel()
    this.#end()
    if (this.incoming !== undefined) this.incoming.abort(error)
    else this.#settling!.reject(error)
  }

  #tellCancel(): void {
    if (this.#id !== 0) this.#link.urgent(signalOf(this.#id, Kind.cancel))
  }

  #end(): void {
    this.stopped = true
    stopTimer(this.#timer)
    for (const signal of this.#signals) forgetAbort(signal, this)
    this.#signals = []
    this.#outgoing?.stop()
    this.#forget?.()
  }
}
