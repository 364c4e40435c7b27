/**
 * Work that many processes share: {@link WorkQueue}, for jobs that are taken, done and settled, and for messages between many and
 * many; {@link Pipeline}, for jobs that go from stage to stage.
 *
 * @module millrace/work
 */

import { workElsewhere } from './work/elsewhere.js'

workElsewhere(() => require('./remote/open.js') as typeof import('./remote/open.js'))

export type { ReconnectOptions } from './net/backoff.js'
export type { RemoteOptions, Share, ShareOptions } from './net/share.js'
export {
  DeadLetters,
  type DeadLetter,
  type DeadLetterChoice,
  type DeadReason,
  type PeekOptions,
} from './work/dead-letters.js'
export type { LoanFillOptions } from './base/fill-loan.js'
export type { FillSource } from './base/fill.js'
export type { ForwardOptions } from './work/forward.js'
export {
  Job,
  type ReleaseOptions,
  type RetryOptions,
  type Settled,
  type Settling,
} from './work/job.js'
export { WorkLoan, type LoanPushOptions, type PushResult } from './work/loan.js'
export type {
  DeadLetterOptions,
  Durability,
  JobOptions,
  PushOptions,
  PushSyncOptions,
  WorkQueueOptions,
} from './work/options.js'
export { Pipeline, type PipelineOptions, type StageWorkOptions } from './work/pipeline.js'
export type { PipelineStreamOptions } from './work/pipeline-streams.js'
export type { NodeSink, PipelineSink, WebSink } from './work/sinks.js'
export type { PipelineSource, SourceOptions, WebPiece, WebSource } from './work/sources.js'
export { StageJob } from './work/stage-job.js'
export type {
  BatchHandler,
  BatchOptions,
  StageHandler,
  StageOptions,
  StageResult,
} from './work/stages.js'
export type { PipelineStats, StageStats, WorkStats } from './work/stats.js'
export { WorkQueue } from './work/work-queue.js'
export type { JobHandler, WorkOptions } from './work/working.js'
/** @internal */
export { readWorkOptions } from './work/options.js'
/** @internal */
export { readWork, workAt } from './work/working.js'
export type { WorkTraits } from './work/traits.js'
