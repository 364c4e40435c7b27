// What the user of a pipeline says of a stage: its name, its handler, how it works. Judged before anything is opened.

import type { ByteSource } from '../base/bytes.js'
import { checkFunction, checkOptions, flag, show, wholeNumber } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import type { StageJob } from './stage-job.js'

/** @internal What a handler returns whose job is to end there: `Pipeline.drop`. The same in all copies of this package. */
export const drop: unique symbol = Symbol.for('millrace.drop')

/**
 * What becomes of a job whose handler has ended. Nothing, or `job.bytes` itself: it goes on as it is, with what was written into its
 * bytes. Other bytes: it goes on as these. `Pipeline.drop`: it ends here. In the last stage every job ends, whatever is returned.
 */
export type StageResult = ByteSource | typeof drop | undefined

type Later<T> = T | PromiseLike<T>

/**
 * What is done for a job at a stage. When it throws, that is a `retry` of the job at this stage; what it has written into
 * `job.bytes` stays there.
 */
// `void`: also functions of which it is not known that they return nothing.
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type
export type StageHandler = (job: StageJob) => Later<StageResult | void>

/**
 * What is done for several jobs together. It returns nothing, and all go on as they are; or a list with a result for each of them.
 * When it throws, all that it has not settled are tried again, each in a batch of its own.
 */
// eslint-disable-next-line @typescript-eslint/no-invalid-void-type
export type BatchHandler = (jobs: StageJob[]) => Later<readonly StageResult[] | void>

/** How a stage works. `ordered` has to be the same in all processes, the rest is each one's own. */
export interface StageOptions {
  /** Jobs (or batches) in hand at a time, in each process that works the stage; default 1. */
  readonly workers?: number | undefined
  /**
   * Jobs leave the stage in the order in which they were pushed, whoever is done first; default false. A job that is tried again, or
   * whose worker died, holds back those behind it; one that ends or becomes a dead letter does not.
   */
  readonly ordered?: boolean | undefined
}

/** How a stage works that takes several jobs together. */
export interface BatchOptions extends StageOptions {
  /** So many jobs at most are handed to the handler at a time, of those that are there; it waits for the first of them only. */
  readonly batch: number
}

/** @internal */
export interface Stage {
  readonly name: string
  /** Its place among the stages. */
  readonly index: number
  readonly workers: number
  readonly ordered: boolean
  /** Undefined: one job at a time. */
  readonly batch: number | undefined
  readonly handler: StageHandler | BatchHandler | undefined
}

const mostStages = 16
const longestName = 63
const mostWorkers = 65_536
const largestBatch = 65_536

/** @internal One more behind those that there are. `pipeline`: its name. */
export function readStage(
  pipeline: string,
  before: readonly Stage[],
  name: unknown,
  handlerOrOptions: unknown,
  options: unknown,
): Stage {
  const title = `pipeline '${pipeline}'`
  if (typeof name !== 'string') {
    throw invalidArgument(`the name of a stage of ${title} must be a string, not ${show(name)}`)
  }
  const bytes = Buffer.byteLength(name)
  if (bytes < 1 || bytes > longestName) {
    throw invalidArgument(
      `the name of a stage of ${title} must have 1 to ${String(longestName)} bytes of UTF-8, not ${String(bytes)}`,
    )
  }
  if (before.some((stage) => stage.name === name)) {
    throw invalidArgument(`${title} has a stage '${name}' already: give this one another name`)
  }
  if (before.length === mostStages) {
    throw invalidArgument(
      `${title} has ${String(mostStages)} stages, which is the most: let one handler do more`,
    )
  }
  const isHandler = typeof handlerOrOptions === 'function'
  if (!isHandler && options !== undefined) {
    checkFunction(`the handler of stage '${name}' of ${title}`, handlerOrOptions)
  }
  const given = checkOptions((isHandler ? options : handlerOrOptions) as Partial<BatchOptions>, [
    'workers',
    'ordered',
    'batch',
  ])
  return {
    name,
    index: before.length,
    workers: wholeNumber(given, 'workers', 1, [1, mostWorkers]),
    ordered: flag(given, 'ordered'),
    batch:
      given.batch === undefined ? undefined : wholeNumber(given, 'batch', 1, [1, largestBatch]),
    handler: isHandler ? (handlerOrOptions as StageHandler | BatchHandler) : undefined,
  }
}

/** @internal The stages are what they are from now on. */
export function checkStages(pipeline: string, stages: readonly Stage[]): void {
  const last = stages.at(-1)
  if (last === undefined) {
    throw invalidArgument(
      `pipeline '${pipeline}' has no stages: name them in their order, Pipeline.open(…).stage('decode').stage('load'), ` +
        'before it is used; Pipeline.attach() takes those that there are',
    )
  }
  if (last.ordered) {
    throw invalidArgument(
      `stage '${last.name}' of pipeline '${pipeline}' is the last one, and nothing comes behind it: there \`ordered\` orders ` +
        'nothing; say it of the stage before it',
    )
  }
}
