// Spans and metrics of OpenTelemetry, out of what the tracing channels show. It sees what every other program could see that subscribes to them,
// and does what every other could do: nothing in the channels knows it.
//
// A span begins with `start` and ends with `asyncEnd`. What stands in between is by the object that both show. Of two copies of this package
// in one process, and of two calls of `traceWith`, the first one that sees that object has it; the others leave it alone.

import type {
  CallTrace,
  ConnectTrace,
  ProcessTrace,
  ReceiveTrace,
  SendTrace,
  Traced,
} from '../base/traced.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { checkFunction, checkOptions, flag, show } from '../base/options.js'
import { now } from '../base/time.js'
import {
  calling,
  connecting,
  processing,
  receiving,
  sending,
  type Onlookers,
} from '../base/tracing.js'
import { invalidArgument } from '../errors.js'
import { attribute, bounds, metric, ok, operationType, other, system } from './conventions.js'
import {
  loadOtel,
  spanContextOf,
  traceparentOf,
  type Otel,
  type OtelAttributes,
  type OtelContext,
  type OtelMeter,
  type OtelSpan,
  type OtelSpanContext,
  type OtelTracer,
} from './otel.js'
import type { TraceOptions } from './trace-options.js'

/** What of a thing in hand is known until it ends. */
interface Open {
  readonly span: OtelSpan | undefined
  /** In which it was begun. */
  readonly base: OtelContext
  readonly began: number
}

type Handlers<T extends Traced> = readonly [
  begin: (context: T) => Open | undefined,
  end: (context: T, open: Open, took: number) => void,
]

/** Whoever has seen it first says so on it, also to other copies of this package. */
const seen = Symbol.for('millrace.traced')

const optionNames = ['tracer', 'meter', 'parent', 'queues'] as const

/** See `traceWith`. */
export function spansWith(options: TraceOptions): Tracing {
  const given = checkOptions(options, optionNames)
  const { tracer, meter } = given
  checkMethod('tracer', tracer, 'startSpan')
  checkMethod('meter', meter, 'createHistogram')
  const api = loadOtel()
  return new Tracing(api, {
    tracer: tracer ?? api.trace.getTracer(system),
    meter: meter ?? api.metrics.getMeter(system),
    parent: flag(given, 'parent'),
    queues: flag(given, 'queues'),
  })
}

function checkMethod(option: string, given: unknown, method: string): void {
  if (given === undefined) return
  if (typeof (given as Record<string, unknown> | null)?.[method] === 'function') return
  throw invalidArgument(
    `${option} must be a ${option} of OpenTelemetry, with ${method}(), not ${show(given)}`,
  )
}

interface Given {
  readonly tracer: OtelTracer
  readonly meter: OtelMeter
  readonly parent: boolean
  readonly queues: boolean
}

/** Spans and metrics, as long as it is open. Made by `traceWith`. */
export class Tracing {
  readonly #api: Required<Otel>
  readonly #given: Given
  readonly #figures: Figures
  readonly #open = new WeakMap<object, Open>()
  /** By what handlers, or their holders, were given: spans of what is in hand. */
  readonly #inHand = new WeakMap<object, OtelContext>()
  readonly #subscribed: (readonly [Onlookers, Subscribers])[] = []
  /** Spans that have not ended. */
  #count = 0
  #closed = false

  /** @internal */
  constructor(api: Required<Otel>, given: Given) {
    this.#api = api
    this.#given = given
    this.#figures = new Figures(given.meter)
    this.#subscribe<SendTrace>(sending, [
      (context) => this.#sends(context),
      (context, open, took) => {
        this.#sent(context, open, took)
      },
    ])
    this.#subscribe<ReceiveTrace>(receiving, [
      () => this.#begun(undefined, api.context.active()),
      (context, open, took) => {
        this.#received(context, open, took)
      },
    ])
    this.#subscribe<ProcessTrace>(processing, [
      (context) => this.#processes(context),
      (context, open, took) => {
        this.#processed(context, open, took)
      },
    ])
    this.#subscribe<CallTrace>(calling, [
      (context) => this.#calls(context),
      (context, open, took) => {
        this.#called(context, open, took)
      },
    ])
    this.#subscribe<ConnectTrace>(connecting, [
      (context) => this.#connects(context),
      (context, { span }) => {
        this.#end(span, context.error)
      },
    ])
  }

  /** Was it closed? */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Does `act` as what is done with a message that no handler has: of a job that was taken without one its span is active meanwhile; a message
   * of a subscription has a span `process` for as long as `act` takes, with a link to who has published it. Returns what `act` returns.
   *
   * @throws MillraceError `INVALID_ARGUMENT`; what `act` throws
   */
  process<T>(given: object, act: () => T): T {
    checkFunction('act', act)
    if (typeof (given as unknown) !== 'object' || (given as unknown) === null) {
      throw invalidArgument(`process() takes a job or a message, not ${show(given)}`)
    }
    const { job = given } = given as { readonly job?: object }
    const context = this.#inHand.get(job)
    if (context !== undefined) return this.#api.context.with(context, act)
    if (this.#closed) return act()
    return this.#during(given, act)
  }

  /** No more spans begin; those that have begun end as they would. Once is enough; more does nothing. */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    const { unsubscribe } = channels()
    for (const [{ channel }, { start }] of this.#subscribed) unsubscribe(channel.start.name, start)
    this.#leave()
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** When nothing has an end to come. */
  #leave(): void {
    if (!this.#closed || this.#count > 0) return
    const { unsubscribe } = channels()
    for (const [{ channel }, { asyncEnd }] of this.#subscribed.splice(0)) {
      unsubscribe(channel.asyncEnd.name, asyncEnd)
    }
  }

  #subscribe<T extends Traced>(watched: Onlookers, [begin, end]: Handlers<T>): void {
    const start = (message: unknown): void => {
      const context = message as T & { [seen]?: true }
      if (context[seen] === true) return
      const open = begin(context)
      if (open === undefined) return
      Object.defineProperty(context, seen, { value: true })
      this.#open.set(context, open)
      this.#count++
    }
    const asyncEnd = (message: unknown): void => {
      const context = message as T
      const open = this.#open.get(context)
      if (open === undefined) return
      this.#open.delete(context)
      this.#count--
      end(context, open, (now() - open.began) / 1000)
      this.#leave()
    }
    const { channel } = watched
    const { subscribe } = channels()
    subscribe(channel.start.name, start)
    subscribe(channel.asyncEnd.name, asyncEnd)
    this.#subscribed.push([watched, { start, asyncEnd }])
  }

  #begun(span: OtelSpan | undefined, base: OtelContext): Open {
    return { span, base, began: now() }
  }

  #spanOf(
    name: string,
    kind: keyof Otel['SpanKind'],
    base: OtelContext,
    attributes: OtelAttributes,
    more: object = {},
  ): OtelSpan {
    const { SpanKind } = this.#api
    const options = { kind: SpanKind[kind], attributes: defined(attributes), ...more }
    return this.#given.tracer.startSpan(name, options, base as never)
  }

  /** The active context; where no span is active, that of who gave one. */
  #parentOr(traceparent: string | undefined): OtelContext {
    const { context, trace } = this.#api
    const active = context.active()
    if (trace.getSpan(active) !== undefined) return active
    const remote = spanContextOf(this.#api, traceparent)
    return remote === undefined ? active : trace.setSpanContext(active, remote)
  }

  #links(traceparents: readonly (string | undefined)[]): { links: { context: OtelSpanContext }[] } {
    const contexts = traceparents.map((text) => spanContextOf(this.#api, text))
    return { links: contexts.flatMap((context) => (context === undefined ? [] : { context })) }
  }

  #end(span: OtelSpan | undefined, error: unknown, type = errorType(error)): void {
    if (span === undefined) return
    if (type !== undefined) {
      const { message } = (error ?? {}) as { readonly message?: unknown }
      span.setAttribute(attribute.errorType, type)
      const text = typeof message === 'string' ? { message } : {}
      span.setStatus({ code: this.#api.SpanStatusCode.ERROR, ...text })
      if (error instanceof Error) span.recordException(error)
    }
    span.end()
  }

  // Sending

  #sends(context: SendTrace): Open | undefined {
    if (context.kind === 'queue' && !this.#given.queues) return undefined
    const { destination, traceparent, id, count, bytes, subject } = context
    // What a job becomes goes on from queue to queue: a chain of links, and not one trace that grows.
    const isNext = context.operation === 'forward'
    const base = this.#parentOr(isNext ? undefined : traceparent)
    const hasParent = this.#api.trace.getSpan(base) !== undefined
    const span = this.#spanOf(
      `send ${destination}`,
      'PRODUCER',
      base,
      {
        ...aboutSend(context),
        [attribute.kind]: context.kind,
        [attribute.subject]: subject,
        [attribute.messageId]: id,
        [attribute.bodySize]: count === 1 ? bytes : undefined,
        [attribute.batchCount]: count === 1 ? undefined : count,
      },
      isNext && !hasParent ? this.#links([traceparent]) : {},
    )
    context.traceparent = traceparentOf(this.#api, span) ?? traceparent
    return this.#begun(span, base)
  }

  #sent(context: SendTrace, { span }: Open, took: number): void {
    const type = errorType(context.error)
    this.#end(span, context.error)
    const labels = defined({ ...aboutSend(context), [attribute.errorType]: type })
    this.#figures.operation.record(took, labels)
    if (context.count > 0) this.#figures.sent.add(context.count, labels)
  }

  // Receiving

  /** Its span is made when something has come, and began when it was asked for: what ends with nothing is none. */
  #received(context: ReceiveTrace, { base, began }: Open, took: number): void {
    const { kind, destination, source, group, messages, error } = context
    if (kind === 'queue' && !this.#given.queues) return
    if (isNoFailure(error)) return
    const about = {
      [attribute.messagingSystem]: system,
      [attribute.operationName]: context.operation,
      [attribute.operationType]: operationType.receive,
      [attribute.destination]: destination,
    }
    const [first] = messages
    const isOne = messages.length === 1
    const span = this.#spanOf(
      `receive ${destination}`,
      'CONSUMER',
      base,
      {
        ...about,
        [attribute.kind]: kind,
        [attribute.subscription]: kind === 'topics' ? source : undefined,
        [attribute.stage]: kind === 'pipeline' ? source : undefined,
        [attribute.consumerGroup]: group,
        [attribute.subject]: isOne ? first?.subject : undefined,
        [attribute.messageId]: isOne ? first?.id : undefined,
        [attribute.bodySize]: isOne ? first?.bytes : undefined,
        [attribute.batchCount]: isOne ? undefined : messages.length,
      },
      {
        startTime: timeOf(began),
        ...this.#links(messages.map(({ traceparent }) => traceparent)),
      },
    )
    this.#end(span, error)
    const labels = defined({ ...about, [attribute.errorType]: errorType(error) })
    this.#figures.operation.record(took, labels)
    if (messages.length > 0) this.#figures.consumed.add(messages.length, labels)
  }

  // Processing

  #processes(context: ProcessTrace): Open {
    return context.kind === 'calls' ? this.#serves(context) : this.#worksOn(context)
  }

  /** Whoever has begun to work has not sent what comes: their spans are no parents. */
  #worksOn(context: ProcessTrace): Open {
    const { trace, ROOT_CONTEXT } = this.#api
    const { kind, destination, source, id, attempt, count, bytes, given } = context
    const isFirst = this.#given.parent && attempt === 1 && count === 1
    const parent = isFirst ? spanContextOf(this.#api, context.traceparent) : undefined
    const base = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent)
    const links = parent === undefined ? this.#links(context.traceparents) : {}
    const span = this.#spanOf(
      `process ${destination}`,
      'CONSUMER',
      base,
      {
        ...aboutProcess(context),
        [attribute.kind]: kind,
        [attribute.stage]: kind === 'pipeline' ? source : undefined,
        [attribute.messageId]: count === 1 ? id : undefined,
        [attribute.bodySize]: count === 1 ? bytes : undefined,
        [attribute.batchCount]: count === 1 ? undefined : count,
        [attribute.attempt]: attempt,
      },
      links,
    )
    this.#runIn(context, trace.setSpan(base, span))
    if (context.operation !== 'batch') this.#inHand.set(given, trace.setSpan(base, span))
    return this.#begun(span, base)
  }

  #serves(context: ProcessTrace): Open {
    const { trace, ROOT_CONTEXT } = this.#api
    const parent = spanContextOf(this.#api, context.traceparent)
    const base = parent === undefined ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent)
    const { contract, source, destination } = context
    const method = `${contract ?? ''}/${source ?? ''}`
    const span = this.#spanOf(method, 'SERVER', base, aboutCall(method, destination))
    this.#runIn(context, trace.setSpan(base, span))
    return this.#begun(span, base)
  }

  /** The span is active in the handler, and in all that it awaits. */
  #runIn(context: ProcessTrace, active: OtelContext): void {
    const { around } = context
    context.around = (act) =>
      this.#api.context.with(active, () => (around === undefined ? act() : around(act)))
  }

  #processed(context: ProcessTrace, { span }: Open, took: number): void {
    const { kind, settled, error, source, contract, destination } = context
    if (kind === 'calls') {
      this.#answered(span, error)
      const method = `${contract ?? ''}/${source ?? ''}`
      this.#figures.serverCall.record(took, callLabels(method, destination, error))
      return
    }
    // What was given up says why without an error, too.
    const isBad = settled === 'rejected' || settled === 'retried' || settled === 'lost'
    const type = errorType(error) ?? (isBad ? settled : undefined)
    if (settled !== undefined) span?.setAttribute(attribute.settled, settled)
    this.#end(span, error, type)
    const labels = defined({ ...aboutProcess(context), [attribute.errorType]: type })
    this.#figures.process.record(took, labels)
    this.#figures.consumed.add(context.count, labels)
  }

  #during<T>(message: Message, act: () => T): T {
    const { trace, context: contexts, ROOT_CONTEXT } = this.#api
    const { subject, length, headers } = message
    const traceparent = headers?.['traceparent']
    const span = this.#spanOf(
      `process ${subject ?? ''}`.trim(),
      'CONSUMER',
      ROOT_CONTEXT,
      {
        [attribute.messagingSystem]: system,
        [attribute.operationName]: operationType.process,
        [attribute.operationType]: operationType.process,
        [attribute.subject]: subject,
        [attribute.bodySize]: length,
      },
      this.#links([traceparent]),
    )
    const began = now()
    const end = (error?: unknown): void => {
      this.#end(span, error)
      this.#figures.process.record((now() - began) / 1000, {
        [attribute.messagingSystem]: system,
        [attribute.operationName]: operationType.process,
      })
    }
    let result: T
    try {
      result = contexts.with(trace.setSpan(ROOT_CONTEXT, span), act)
    } catch (error) {
      end(error)
      throw error
    }
    const { then } = (result ?? {}) as { readonly then?: unknown }
    if (typeof then !== 'function') {
      end()
      return result
    }
    const whole = (result as unknown as PromiseLike<unknown>).then(
      (value) => {
        end()
        return value
      },
      (error: unknown) => {
        end(error)
        throw error
      },
    )
    return whole as unknown as T
  }

  // Calls

  #calls(context: CallTrace): Open {
    const { contract, method: name, destination, traceparent } = context
    const method = `${contract}/${name}`
    const base = this.#parentOr(traceparent)
    const span = this.#spanOf(method, 'CLIENT', base, aboutCall(method, destination))
    context.traceparent = traceparentOf(this.#api, span) ?? traceparent
    return this.#begun(span, base)
  }

  #called(context: CallTrace, { span }: Open, took: number): void {
    const { contract, method, destination, error } = context
    this.#answered(span, error)
    this.#figures.clientCall.record(took, callLabels(`${contract}/${method}`, destination, error))
  }

  #answered(span: OtelSpan | undefined, error: unknown): void {
    span?.setAttribute(attribute.rpcStatus, errorType(error) ?? ok)
    this.#end(span, error)
  }

  // Connections

  /** Only of what somebody waits for: a connection that is made anew again and again is nobody's request. */
  #connects({ operation, address }: ConnectTrace): Open | undefined {
    const { context, trace } = this.#api
    const base = context.active()
    if (trace.getSpan(base) === undefined) return undefined
    const span = this.#spanOf(`${operation} ${address}`, 'INTERNAL', base, {
      [attribute.serverAddress]: address,
    })
    return this.#begun(span, base)
  }
}

const channels = () => process.getBuiltinModule('node:diagnostics_channel')

interface Subscribers {
  readonly start: (message: unknown) => void
  readonly asyncEnd: (message: unknown) => void
}

/** What is looked at of a message, whichever it is. */
interface Message {
  readonly subject?: string
  readonly length?: number
  readonly headers?: Readonly<Record<string, string>>
}

class Figures {
  readonly sent
  readonly consumed
  readonly operation
  readonly process
  readonly clientCall
  readonly serverCall

  constructor(meter: OtelMeter) {
    const counter = (name: string, description: string) =>
      meter.createCounter(name, { description, unit: '{message}' })
    const histogram = (name: string, description: string) =>
      meter.createHistogram(name, {
        description,
        unit: 's',
        advice: { explicitBucketBoundaries: bounds },
      })
    this.sent = counter(metric.sent, 'Messages that were to be sent.')
    this.consumed = counter(metric.consumed, 'Messages that were delivered.')
    this.operation = histogram(metric.operation, 'What it took to send, or to receive.')
    this.process = histogram(metric.process, 'What handlers took.')
    this.clientCall = histogram(metric.clientCall, 'What calls took.')
    this.serverCall = histogram(metric.serverCall, 'What handlers of calls took.')
  }
}

function aboutSend({ operation, destination }: SendTrace): OtelAttributes {
  return {
    [attribute.messagingSystem]: system,
    [attribute.operationName]: operation,
    [attribute.operationType]: operationType.send,
    [attribute.destination]: destination,
  }
}

function aboutProcess({ destination }: ProcessTrace): OtelAttributes {
  return {
    [attribute.messagingSystem]: system,
    [attribute.operationName]: operationType.process,
    [attribute.operationType]: operationType.process,
    [attribute.destination]: destination,
  }
}

function aboutCall(method: string, address: string): OtelAttributes {
  return {
    [attribute.rpcSystem]: system,
    [attribute.rpcMethod]: method,
    [attribute.serverAddress]: address,
  }
}

function callLabels(method: string, address: string, error: unknown): OtelAttributes {
  const type = errorType(error)
  return defined({
    ...aboutCall(method, address),
    [attribute.rpcStatus]: type ?? ok,
    [attribute.errorType]: type,
  })
}

function defined(attributes: OtelAttributes): OtelAttributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined))
}

/** Undefined: there is none. */
function errorType(error: unknown): string | undefined {
  if (error === undefined) return undefined
  const { code, name } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown }
  if (typeof code === 'string' && code !== '') return code
  return typeof name === 'string' && name !== '' ? name : other
}

/** Of waits that their own side has ended, and that found nothing in their time. */
const ends: ReadonlySet<unknown> = new Set([
  'ERR_MILLRACE_CLOSED',
  'ERR_MILLRACE_ABORTED',
  'ERR_MILLRACE_TIMEOUT',
])

function isNoFailure(error: unknown): boolean {
  return ends.has((error as { readonly code?: unknown } | null | undefined)?.code)
}

/** The day's time of a moment by the other clock. */
function timeOf(moment: number): number {
  return Date.now() - (now() - moment) // eslint-disable-line no-restricted-properties -- spans are compared with those of other hosts
}
