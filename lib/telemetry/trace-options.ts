// What spans are asked for with.

import type { OtelMeter, OtelTracer } from './otel.js'

/** What is traced, and by what. */
export interface TraceOptions {
  /** Makes the spans; default: the tracer `millrace` of whatever SDK is registered. */
  readonly tracer?: OtelTracer | undefined
  /** Takes the numbers; default: the meter `millrace` of whatever SDK is registered. */
  readonly meter?: OtelMeter | undefined
  /**
   * May the first attempt of a single job be a child of what has sent it? Default false: it begins a trace of its own, with a link to the
   * other. Later attempts and batches have links in either case, so that a trace does not grow without end.
   */
  readonly parent?: boolean | undefined
  /** Are waits of `SpscQueue` spans, too? Default false. */
  readonly queues?: boolean | undefined
}
