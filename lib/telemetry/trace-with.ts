// How spans are asked for. What makes them is loaded by who asks.

import type { Tracing } from './spans.js'
import type { TraceOptions } from './trace-options.js'

/**
 * Spans and metrics of OpenTelemetry for all that this process does with channels, until what is returned is closed. Loads `@opentelemetry/api`, an
 * optional peer (1.4 or newer), and uses the SDK that is registered there. See docs/tracing.md.
 *
 * Called twice it makes no span twice.
 *
 * @example
 * ```ts
 * import { traceWith } from 'millrace/telemetry'
 *
 * using tracing = traceWith()
 * ```
 *
 * @throws MillraceError `MISSING_PEER` (the message has the line that installs it), `INVALID_ARGUMENT`
 */
export function traceWith(options: TraceOptions = {}): Tracing {
  const { spansWith } = require('./spans.js') as typeof import('./spans.js')
  return spansWith(options)
}
