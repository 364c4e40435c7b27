// What is done with the jobs of a stage by handlers: one job at a time, or batches; and what becomes of a job when its handler has
// ended.

import { Stop } from '../base/abort-signals.js'
import type { ByteSource } from '../base/bytes.js'
import { show, type WaitOptions } from '../base/options.js'
import { processing } from '../base/tracing.js'
import { hasCode, invalidArgument } from '../errors.js'
import type { StageCraft, StageHandle } from './stage-handle.js'
import type { StageJob } from './stage-job.js'
import { drop, type BatchHandler, type Stage, type StageHandler } from './stages.js'
import { tracedWork } from './tracing-work.js'
import { fail, isGone, JobCraft, release, settle, type GivenWork } from './working.js'

/**
 * Works stages, each as it says, until their handles are closed. One that cannot go on ends the others, which finish what they have
 * in hand.
 */
export async function workStages(
  stages: readonly (readonly [Stage, StageHandle])[],
  { drainMs, signal }: Omit<GivenWork, 'concurrency'>,
): Promise<void> {
  const stop = new Stop()
  stop.follow(signal)
  /** The first one: those of others may follow from it. */
  let failure: { readonly error: unknown } | undefined
  const loops = stages.map(async ([stage, handle]) => {
    try {
      await workStage(stage, handle, { concurrency: stage.workers, drainMs, signal: stop.asGiven })
    } catch (error) {
      failure ??= { error }
      stop.abort(error)
    }
  })
  await Promise.all(loops)
  stop.abort(undefined)
  const first = failure as { readonly error: unknown } | undefined
  if (first !== undefined) throw first.error
}

function workStage(
  { batch, handler }: Stage,
  handle: StageHandle,
  given: GivenWork,
): Promise<void> {
  return batch === undefined
    ? handle.work(new SingleCraft(handle, handler as StageHandler), given)
    : handle.work(new BatchCraft(handle, handler as BatchHandler, batch), given)
}

/** One job at a time, and what its handler makes of it. */
class SingleCraft extends JobCraft<StageJob> implements StageCraft<StageJob> {
  readonly #handle: StageHandle

  constructor(handle: StageHandle, handler: StageHandler) {
    super(handle, handler)
    this.#handle = handle
  }

  alone(job: StageJob): StageJob {
    return job
  }

  override succeeded(job: StageJob, result: unknown): Promise<void> | void {
    return finish(this.#handle, job, result)
  }
}

/**
 * Several jobs at a time. One that has been tried before is a batch of its own: if it is what makes handlers fail, or kills their
 * workers, it costs those beside it one attempt, and not all that they have.
 */
class BatchCraft implements StageCraft<StageJob[]> {
  readonly #handle: StageHandle
  readonly #handler: BatchHandler
  readonly #most: number
  /** Taken together with one that was handed out before them. */
  #rest: StageJob[][] = []

  constructor(handle: StageHandle, handler: BatchHandler, most: number) {
    this.#handle = handle
    this.#handler = handler
    this.#most = most
  }

  get closed(): boolean {
    return this.#handle.closed
  }

  async take(wait: WaitOptions): Promise<StageJob[]> {
    return this.#rest.shift() ?? this.#first(await this.#handle.takeBatch(this.#most, wait))
  }

  takeNow(): StageJob[] | undefined {
    const next = this.#rest.shift()
    if (next !== undefined) return next
    const jobs = this.#handle.tryTakeBatch(this.#most)
    return jobs === undefined ? undefined : this.#first(jobs)
  }

  alone(job: StageJob): StageJob[] {
    return [job]
  }

  work(jobs: StageJob[]): unknown {
    // A list of the handler's own: what it does with it is no concern of ours.
    if (!processing.yes) return this.#handler([...jobs])
    return tracedWork().tracedJobs(this.#handle, jobs, () => this.#handler([...jobs]))
  }

  async succeeded(jobs: StageJob[], results: unknown): Promise<void> {
    if (results !== undefined && !this.#handle.isLast) {
      const wrong = wrongResults(this.#handle, jobs, results)
      if (wrong !== undefined) {
        this.failed(jobs, wrong)
        return
      }
    }
    const all = Array.isArray(results) ? keptApart(jobs, results) : []
    // All at once: where one waits for room, others may have some.
    await Promise.all(jobs.map((job, at) => finish(this.#handle, job, all[at]) ?? done))
  }

  failed(jobs: StageJob[], error: unknown): void {
    for (const job of jobs) fail(job, error)
  }

  giveBack(jobs: StageJob[]): void {
    for (const job of jobs) release(job)
  }

  ended(): void {
    const rest = this.#rest
    this.#rest = []
    for (const jobs of rest) this.giveBack(jobs)
  }

  #first(jobs: StageJob[]): StageJob[] {
    const batches: StageJob[][] = []
    let fresh: StageJob[] | undefined
    for (const job of jobs) {
      if (job.attempt > 1) {
        batches.push([job])
        fresh = undefined
      } else if (fresh === undefined) {
        batches.push((fresh = [job]))
      } else {
        fresh.push(job)
      }
    }
    const [first = [], ...others] = batches
    this.#rest.push(...others)
    return first
  }
}

function wrongResults(
  { where }: StageHandle,
  jobs: readonly StageJob[],
  results: unknown,
): Error | undefined {
  if (!Array.isArray(results)) {
    return invalidArgument(
      `the handler of ${where} must return nothing, or a list with a result for each job of its batch, not ${show(results)}`,
    )
  }
  if (results.length === jobs.length) return undefined
  return invalidArgument(
    `the handler of ${where} returned ${String(results.length)} results for a batch of ${String(jobs.length)} jobs: return one ` +
      'for each, in their order; undefined for what goes on as it is',
  )
}

/** With copies of what lies in the memory of another job of the batch, which may be gone before this one has its result. */
function keptApart(jobs: readonly StageJob[], results: readonly unknown[]): unknown[] {
  const memory = jobs.find(({ shown }) => shown !== undefined)?.shown?.buffer
  return jobs.map(({ shown }, at) => {
    const result = results[at]
    if (memory === undefined || !ArrayBuffer.isView(result) || result.buffer !== memory)
      return result
    if (shown !== undefined && isWithin(result, shown)) return result
    return Buffer.from(new Uint8Array(result.buffer, result.byteOffset, result.byteLength))
  })
}

function isWithin(part: ArrayBufferView, whole: ArrayBufferView): boolean {
  const end = whole.byteOffset + whole.byteLength
  return part.byteOffset >= whole.byteOffset && part.byteOffset + part.byteLength <= end
}

const done = Promise.resolve()

/** The handler has ended with that result. */
function finish(handle: StageHandle, job: StageJob, result: unknown): Promise<void> | void {
  if (job.settled !== undefined) return
  if (result === drop) {
    settle(job, () => {
      job.drop()
    })
  } else if (handle.isLast || result === undefined || result === job.shown) {
    settle(job, () => {
      job.complete()
    })
  } else {
    return become(handle, job, result)
  }
}

async function become(handle: StageHandle, job: StageJob, result: unknown): Promise<void> {
  try {
    if (!isBytes(result)) {
      throw invalidArgument(
        `the handler of ${handle.where} must return nothing, bytes or text, or Pipeline.drop, not ${show(result)}`,
      )
    }
    await job.become(result)
  } catch (error) {
    if (isGone(error) || hasCode(error, 'ERR_MILLRACE_RELEASED')) return
    if (!isOfResult(error)) throw error
    fail(job, error)
  }
}

/** What only inherits from a view, as a Proxy of one does, has no memory. */
function isBytes(result: unknown): result is ByteSource {
  if (typeof result === 'string') return true
  if (typeof result !== 'object' || result === null) return false
  return ArrayBuffer.isView(result) || !(result instanceof Uint8Array)
}

/** Another attempt may have another one. */
function isOfResult(error: unknown): boolean {
  return hasCode(error, 'ERR_MILLRACE_TOO_LARGE') || hasCode(error, 'ERR_MILLRACE_INVALID_ARGUMENT')
}
