// What is used of @opentelemetry/api, an optional peer: loaded when the first program asks for spans.

import { MillraceError } from '../errors.js'

/** A context of OpenTelemetry: whatever its API says it is. */
export type OtelContext = object

/** Values of attributes. */
export type OtelAttributes = Readonly<Record<string, string | number | boolean | undefined>>

/** What a span is known by elsewhere. */
export interface OtelSpanContext {
  /** 32 hexadecimal digits. */
  readonly traceId: string
  /** 16 hexadecimal digits. */
  readonly spanId: string
  /** 1: it is recorded. */
  readonly traceFlags: number
  /** Does it come from another process? */
  readonly isRemote?: boolean
}

/** `Span` of @opentelemetry/api, as far as it is used. */
export interface OtelSpan {
  /** What it is known by. */
  spanContext(): OtelSpanContext
  /** Puts an attribute on it. */
  setAttribute(name: string, value: string | number): unknown
  /** How it ended. */
  setStatus(status: { code: number; message?: string }): unknown
  /** The error that ended it. */
  recordException(exception: Error | string): void
  /** It has ended. */
  end(): void
}

/** `Tracer` of @opentelemetry/api, as far as it is used. */
export interface OtelTracer {
  /** Begins a span. */
  startSpan(name: string, options?: object, context?: never): OtelSpan
}

/** `Counter` of @opentelemetry/api, as far as it is used. */
export interface OtelCounter {
  /** Adds to it. */
  add(value: number, attributes?: OtelAttributes): void
}

/** `Histogram` of @opentelemetry/api, as far as it is used. */
export interface OtelHistogram {
  /** Takes a value in. */
  record(value: number, attributes?: OtelAttributes): void
}

/** `Meter` of @opentelemetry/api, as far as it is used. */
export interface OtelMeter {
  /** Makes a counter. */
  createCounter(name: string, options?: object): OtelCounter
  /** Makes a histogram. */
  createHistogram(name: string, options?: object): OtelHistogram
}

/** The API. */
export interface Otel {
  readonly context: {
    active(): OtelContext
    with<T>(context: OtelContext, act: () => T): T
  }
  readonly trace: {
    getTracer(name: string): OtelTracer
    getSpan(context: OtelContext): OtelSpan | undefined
    setSpan(context: OtelContext, span: OtelSpan): OtelContext
    setSpanContext(context: OtelContext, span: OtelSpanContext): OtelContext
    isSpanContextValid(span: OtelSpanContext): boolean
  }
  readonly metrics?: { getMeter(name: string): OtelMeter }
  readonly ROOT_CONTEXT: OtelContext
  readonly SpanKind: Readonly<
    Record<'INTERNAL' | 'SERVER' | 'CLIENT' | 'PRODUCER' | 'CONSUMER', number>
  >
  readonly SpanStatusCode: Readonly<Record<'ERROR', number>>
}

/** @throws MillraceError `MISSING_PEER` */
export function loadOtel(): Required<Otel> {
  const { createRequire } = process.getBuiltinModule('node:module')
  const name = '@opentelemetry/api' // a bundler does not look for it
  let api: Otel
  try {
    api = createRequire(import.meta.url)(name) as Otel
  } catch (cause) {
    throw missing('could not be loaded', { cause })
  }
  if (api.metrics === undefined) throw missing('is older than 1.4', {})
  return api as Required<Otel>
}

function missing(why: string, options: ErrorOptions): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_MISSING_PEER',
    `spans and metrics of OpenTelemetry need the package @opentelemetry/api, which ${why}: npm install @opentelemetry/api`,
    options,
  )
}

/** A span's context as W3C writes it; undefined: nobody records it, or hands it on. */
export function traceparentOf(api: Otel, span: OtelSpan): string | undefined {
  const context = span.spanContext()
  if (!api.trace.isSpanContextValid(context)) return undefined
  const flags = (context.traceFlags & 0xff).toString(16).padStart(2, '0')
  return `00-${context.traceId}-${context.spanId}-${flags}`
}

/** The same, read; undefined: it is none. */
export function spanContextOf(
  api: Otel,
  traceparent: string | undefined,
): OtelSpanContext | undefined {
  const [, traceId = '', spanId = '', flags = ''] = (traceparent ?? '').split('-')
  const context = { traceId, spanId, traceFlags: parseInt(flags, 16) || 0, isRemote: true }
  return api.trace.isSpanContextValid(context) ? context : undefined
}
