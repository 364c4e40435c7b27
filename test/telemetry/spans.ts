// Spans of this process, kept in memory, and what a test asks of them.

import { context, metrics, propagation, trace } from '@opentelemetry/api'
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  type ReadableSpan,
  type SpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node'

/** A span as it is reported to another process. */
export interface Told {
  readonly name: string
  readonly kind: number
  readonly trace: string
  readonly id: string
  readonly parent: string | undefined
  /** Ids of the spans that it has links to. */
  readonly links: readonly string[]
  readonly attributes: Readonly<Record<string, unknown>>
  /** 2: it has failed. */
  readonly status: number
}

export const Kind = { internal: 0, server: 1, client: 2, producer: 3, consumer: 4 } as const

export function toldOf(span: ReadableSpan): Told {
  const { spanId, traceId } = span.spanContext()
  return {
    name: span.name,
    kind: span.kind,
    trace: traceId,
    id: spanId,
    parent: span.parentSpanContext?.spanId,
    links: span.links.map((link) => link.context.spanId),
    attributes: span.attributes,
    status: span.status.code,
  }
}

/** Registers an SDK in this process. */
export class Spans {
  readonly #exporter = new InMemorySpanExporter()
  readonly #provider: NodeTracerProvider

  constructor(others: readonly SpanProcessor[] = []) {
    const spanProcessors = [new SimpleSpanProcessor(this.#exporter), ...others]
    this.#provider = new NodeTracerProvider({ spanProcessors })
    this.#provider.register()
  }

  /** Those that have ended. */
  all(): Told[] {
    return this.#exporter.getFinishedSpans().map(toldOf)
  }

  /** Those of that name. */
  named(name: string): Told[] {
    return this.all().filter((span) => span.name === name)
  }

  forget(): void {
    this.#exporter.reset()
  }

  async flushed(): Promise<void> {
    await this.#provider.forceFlush()
  }

  async end(): Promise<void> {
    await this.#provider.shutdown()
    for (const api of [trace, context, metrics, propagation]) api.disable()
  }
}

/** Does it in a span of that name, and ends that. */
export async function during<T>(name: string, act: () => Promise<T>): Promise<T> {
  return await trace.getTracer('test').startActiveSpan(name, async (span) => {
    try {
      return await act()
    } finally {
      span.end()
    }
  })
}

/** The id of the span that is active. */
export const activeSpan = (): string | undefined => trace.getActiveSpan()?.spanContext().spanId
