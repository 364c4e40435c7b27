/**
 * Seeing what happens: the numbers of all channels of this machine from outside, and as metrics; what this process does with channels as
 * tracing channels of `diagnostics_channel`, and as spans of OpenTelemetry.
 *
 * @module millrace/telemetry
 */

export {
  familiesOf,
  type Bucket,
  type FamiliesOptions,
  type Family,
  type Sample,
} from './telemetry/families.js'
export { percentile, waitTimes } from './telemetry/figures.js'
export type {
  BarrierFigures,
  BreakerFigures,
  CallFigures,
  CallUserFigures,
  CellFigures,
  CounterFigures,
  EventFigures,
  FrameFigures,
  FrameReaderFigures,
  FrameReaderPart,
  Latency,
  LatencyBucket,
  LockFigures,
  Observed,
  ObservedKind,
  ObservedOf,
  Part,
  QueueFigures,
  RateLimiterFigures,
  Seen,
  Sight,
  Sights,
  StagePart,
  SubscriptionFigures,
  SubscriptionPart,
  TopicsFigures,
  Wait,
  WorkFigures,
  WorkUserFigures,
} from './telemetry/figures.js'
export {
  lifeEvents,
  logLevels,
  logTo,
  type LoggedError,
  type Logger,
  type Logging,
  type LogLevel,
  type LogMethod,
  type LogOptions,
  type LogRecord,
} from './telemetry/log.js'
export { lineLogger, type LineOptions, type LineTarget } from './telemetry/lines.js'
export {
  health,
  type Health,
  type HealthBounds,
  type HealthCheck,
  type HealthCode,
  type HealthLimit,
  type HealthLimits,
  type HealthOptions,
  type HealthReason,
  type HealthRoute,
  type HealthStatus,
} from './telemetry/health.js'
export { healthPages, healthType } from './telemetry/health-pages.js'
export { measuresOf, type Measures } from './telemetry/measures.js'
export { observe, type ObserveOptions } from './telemetry/observe.js'
export { hostAndPort as httpPlace, type HttpPlace } from './telemetry/http-place.js'
export { plainText, servePages, type Page, type Pages, type PageServer } from './telemetry/pages.js'
export { prometheusText, prometheusType } from './telemetry/prometheus.js'
export { showMetrics, type MetricsRegistry, type RegistryOptions } from './telemetry/registry.js'
export { ChannelWatch, watch, type WatchedMessage, type WatchOptions } from './telemetry/watch.js'
export type { TraceOptions } from './telemetry/trace-options.js'
export { traceWith } from './telemetry/trace-with.js'
export type { Tracing } from './telemetry/spans.js'
export type {
  OtelAttributes,
  OtelCounter,
  OtelHistogram,
  OtelMeter,
  OtelSpan,
  OtelSpanContext,
  OtelTracer,
} from './telemetry/otel.js'
export type {
  CallTrace,
  ConnectTrace,
  ProcessTrace,
  ReceiveTrace,
  SendTrace,
  Traced,
  TracedKind,
  TracedMessage,
} from './base/traced.js'
export {
  supervise,
  type ServiceNews,
  type SuperviseOptions,
  type Supervisor,
} from './telemetry/systemd.js'
export type { StageStats, WorkStats } from './work/stats.js'
export type { CallStats } from './rpc/stats.js'
export type { TopicsStats } from './topics/stats.js'
export type { DeathFacts, LifeEvent, LifeFacts, LifeTold, RoleFacts } from './base/life-events.js'
export type { ObjectEntry, ObjectHolder, ObjectKind, ObjectState } from './addon/upkeep.js'
