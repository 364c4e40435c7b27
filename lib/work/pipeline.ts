// Stages of work in one segment. A job is pushed into the first stage and goes from stage to stage in its slot; the last one ends it.
//
// What is here is what its user sees: the definition, and which handle does what. Handles are in pipeline-handles.ts, what becomes
// of jobs in stage-crafts.ts, and whatever waits, takes and pushes is that of a work queue.

import type { Readable, Writable } from 'node:stream'
import { Stop } from '../base/abort-signals.js'
import type { ByteSource } from '../base/bytes.js'
import { Closable, disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import type { Iteration, IterationOptions } from '../base/iteration.js'
import { checkOptions, readWait, show, type WaitOptions } from '../base/options.js'
import { closedError, invalidArgument } from '../errors.js'
import { nameOf, placeOf, type Place } from '../place/place.js'
import type { DeadLetters } from './dead-letters.js'
import { whenIdle } from './idle.js'
import type { PushResult, WorkLoan } from './loan.js'
import {
  readWorkOptions,
  type JobOptions,
  type PushOptions,
  type PushSyncOptions,
  type WorkQueueOptions,
} from './options.js'
import { PipelineHandles } from './pipeline-handles.js'
import type { PipelineStreamOptions } from './pipeline-streams.js'
import { drain, type PipelineSink } from './sinks.js'
import { pour, sourceNames, stepsOf, type PipelineSource, type SourceOptions } from './sources.js'
import { workStages } from './stage-crafts.js'
import type { StageHandle } from './stage-handle.js'
import type { StageJob } from './stage-job.js'
import {
  checkStages,
  drop,
  readStage,
  type BatchHandler,
  type BatchOptions,
  type Stage,
  type StageHandler,
  type StageOptions,
} from './stages.js'
import type { PipelineStats } from './stats.js'
import { readEnd, settle, type WorkOptions } from './working.js'
import { WorkQueue } from './work-queue.js'

/** As of a work queue, but `priorities` are 1 by default, and there is no durability `disk`. */
export interface PipelineOptions extends WorkQueueOptions {
  /** `memory`, or `file` in a `MappedFile`, which is the default there. */
  readonly durability?: 'memory' | 'file' | undefined
}

/** How stages are worked on. */
export type StageWorkOptions = Omit<WorkOptions, 'concurrency'>

/**
 * Stages of work, each done by any number of processes and Workers. A job is pushed into the first stage and goes from stage to stage
 * without being copied, by one step each: whoever is killed wherever it may be has done a stage for a job, or has not, and another
 * one does it. Full is full for all: a stage that is slow holds back those in front of it, up to whoever pushes.
 *
 * The stages are named in their order, in every process alike; a process gives handlers for those that it works. The first call that
 * uses the pipeline opens it, and creates it if there is none.
 *
 * @example
 * ```ts
 * using etl = Pipeline.open('etl')
 *   .stage('decode', (job) => decode(job.bytes), { workers: 4, ordered: true })
 *   .stage('load', (jobs) => load(jobs.map((job) => job.copy())), { batch: 64 })
 * await etl.push('a line') // in any process
 * await etl.work('decode') // in any process; work() does all stages that have a handler here
 * ```
 */
export class Pipeline<Stages extends string = never> extends Closable {
  /** What a handler returns whose job is to end there: `return Pipeline.drop`. */
  static readonly drop: typeof drop = drop

  /** The name it was opened by. */
  readonly name: string
  readonly #handles: PipelineHandles
  readonly #stages: Stage[] = []
  /** Its stages are fixed. */
  #sealed = false
  #refed = true
  /** Ended by close(): sources that have nothing yet. */
  readonly #pouring = new Set<Stop>()

  private constructor(place: Place, options: PipelineOptions | undefined) {
    super()
    if ((options as WorkQueueOptions | undefined)?.durability === 'disk') {
      throw invalidArgument(
        'a pipeline has no durability `disk`, where what a stage has made would have to be on the disk before its job goes on: use ' +
          '`file`, or a WorkQueue of durability `disk` for each stage',
      )
    }
    const opening = readWorkOptions(place, options)
    this.name = nameOf(placeOf(place))
    this.#handles = new PipelineHandles(this.name, opening)
  }

  /**
   * Begins the definition of a pipeline: `stage` adds its stages. Opens nothing yet. `place` as of `WorkQueue.open`, with which it shares
   * its names.
   *
   * @throws MillraceError `INVALID_ARGUMENT`. What `WorkQueue.open` throws comes from the first call that uses the pipeline: `GEOMETRY`
   *   also where it has other stages, in another order, or others of them are ordered; the message tells which there are.
   */
  static open(place: Place, options?: PipelineOptions): Pipeline {
    return new Pipeline(place, options)
  }

  /**
   * An existing pipeline, with the stages that it has: for tools that look at it, push, or send dead letters round again.
   *
   * @throws MillraceError `NOT_FOUND` (there is none; nothing is created), and as `WorkQueue.open`
   */
  static attach(place: Place, options?: PipelineOptions): Pipeline<string> {
    const pipeline = new Pipeline<string>(place, options)
    for (const name of pipeline.#handles.attach()) {
      pipeline.#stages.push(readStage(pipeline.name, pipeline.#stages, name, undefined, undefined))
    }
    pipeline.#sealed = true
    return pipeline
  }

  /** As `WorkQueue.unlink`. */
  static unlink(name: string): boolean {
    return WorkQueue.unlink(name)
  }

  /**
   * One more stage, behind those before. Without a handler this process does not work it, though it may `take` from it. Names have 1
   * to 63 bytes, and there are at most 16 stages. With `batch` the handler gets a list of jobs.
   *
   * @throws MillraceError `INVALID_ARGUMENT`, also once the pipeline was used: then its stages are fixed
   */
  stage<Name extends string>(
    name: Name,
    handler: BatchHandler,
    options: BatchOptions,
  ): Pipeline<Stages | Name>
  stage<Name extends string>(
    name: Name,
    handler: StageHandler,
    options?: StageOptions,
  ): Pipeline<Stages | Name>
  stage<Name extends string>(name: Name, options?: StageOptions): Pipeline<Stages | Name>
  stage(name: string, handler?: unknown, options?: unknown): this {
    this.#handles.assertOpen()
    if (this.#sealed) {
      throw invalidArgument(
        `pipeline '${this.name}' is in use, and its stages are fixed: name them all before the first call that uses it`,
      )
    }
    this.#stages.push(readStage(this.name, this.#stages, name, handler, options))
    return this
  }

  /** The names of its stages, in their order. */
  get stages(): Stages[] {
    return this.#stages.map(({ name }) => name as Stages)
  }

  /** Was it closed, by `close()` or because of a corrupt peer? From `close()` on nothing can be pushed or taken. */
  get closed(): boolean {
    return this.#handles.closed
  }

  /** The path of its memory, as `list` tells it. Errors as `push`. */
  get path(): string {
    return this.#entrance.path
  }

  /**
   * The longest payload that can be pushed, in bytes. Errors as `push`.
   */
  get maxBytes(): number {
    return this.#entrance.maxBytes
  }

  /** Dead letters of all stages; each tells its own, to which `redrive` sends it back. Errors as `push`. */
  get dead(): DeadLetters {
    return this.#entrance.dead
  }

  // Into the first stage

  /**
   * Pushes a job into the first stage, waiting for room; all as `WorkQueue.push`.
   *
   * @throws MillraceError (as rejection) as `WorkQueue.push`; and, if it is the first call that uses the pipeline, as `WorkQueue.open`, or
   *   `INVALID_ARGUMENT` (it has no stages)
   */
  push(payload: ByteSource, options?: PushOptions): Promise<PushResult> {
    try {
      return this.#entrance.push(payload, options)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As `WorkQueue.tryPush`. Errors of opening as `push`. */
  tryPush(payload: ByteSource, options?: JobOptions): boolean {
    return this.#entrance.tryPush(payload, options)
  }

  /** As `WorkQueue.pushSync`: blocks this thread; for Workers. */
  pushSync(payload: ByteSource, options?: PushSyncOptions): PushResult {
    return this.#entrance.pushSync(payload, options)
  }

  /** As `WorkQueue.pushBatch`. */
  async pushBatch(
    payloads: readonly ByteSource[],
    options?: Omit<PushOptions, 'id'>,
  ): Promise<number> {
    return await this.#entrance.pushBatch(payloads, options)
  }

  /** As `WorkQueue.tryLoan`: room for a payload, to be written in place. */
  tryLoan(length: number): WorkLoan | undefined {
    return this.#entrance.tryLoan(length)
  }

  /** As `WorkQueue.loan`: waits for that room. */
  async loan(length: number, options?: WaitOptions): Promise<WorkLoan> {
    return await this.#entrance.loan(length, options)
  }

  /**
   * Pushes whatever `source` gives, each piece as a job, and asks for the next one when there was room for the last. Resolves, when the
   * source has ended, with how many pieces that were. When it fails, is aborted, or the pipeline closes, the source is told that nobody
   * wants the rest (`return`, `destroy`, `cancel`); what was pushed stays.
   *
   * @throws MillraceError (as rejection) as `push`, `ABORTED`; and what the source throws
   */
  async from(source: PipelineSource, options?: SourceOptions): Promise<number> {
    const { signal, ...job } = checkOptions(options, sourceNames)
    const stop = new Stop()
    stop.follow(readWait({ signal }).signal)
    const wait = { ...job, signal: stop.asGiven }
    try {
      const entrance = this.#entrance
      const steps = stepsOf(source)
      this.#pouring.add(stop)
      return await pour(steps, (piece) => entrance.push(piece, wait), stop)
    } catch (error) {
      throw stop.reason === closing ? closedError(`pipeline '${this.name}'`) : error
    } finally {
      this.#pouring.delete(stop)
      stop.abort(undefined)
    }
  }

  /**
   * A `Writable` of Node's: each chunk is a job, and is done with when it was pushed. `Writable.toWeb` makes a web stream of it. When
   * the pipeline closes, the next chunk fails.
   */
  writable(options?: PipelineStreamOptions): Writable {
    const entrance = this.#entrance
    const { writableOf } = streams()
    return writableOf((chunk, wait) => entrance.push(chunk, wait), options)
  }

  // At the stages

  /**
   * Works a stage, several, or all that have a handler here, until the pipeline is closed here and the handlers have finished. A job whose
   * handler has resolved goes on: as it is, or as the bytes that were returned; one whose handler throws is tried again at its stage.
   *
   * @throws MillraceError (as rejection) `INVALID_ARGUMENT` (no such stage, or none with a handler), `ABORTED`, `CORRUPT`, `CLOSED` (before
   *   it began); of opening as `push`
   */
  work(options?: StageWorkOptions): Promise<void>
  work(stage: Stages | readonly Stages[], options?: StageWorkOptions): Promise<void>
  async work(
    which?: Stages | readonly Stages[] | StageWorkOptions,
    options?: StageWorkOptions,
  ): Promise<void> {
    const isNamed = typeof which === 'string' || Array.isArray(which)
    const stages = isNamed ? this.#stagesOf(which) : this.#stages.filter((stage) => stage.handler)
    const given = checkOptions(isNamed ? options : (which as StageWorkOptions | undefined), [
      'drainOnClose',
      'signal',
    ])
    const end = readEnd(given)
    if (stages.length === 0) throw this.#nothingToWork()
    await workStages(
      stages.map((stage) => [stage, this.#at(stage)]),
      end,
    )
  }

  /**
   * The jobs of a stage, one after the other, until the pipeline is closed here: `for await (using job of etl.take('load'))`.
   * `job.complete()` hands it on to the next stage, `job.become(bytes)` as these bytes. Errors as `WorkQueue.take`; of opening as
   * `push`.
   */
  take(stage: Stages, options?: IterationOptions): Iteration<StageJob> {
    return this.#named(stage).take(options)
  }

  /** The next job of a stage, as `WorkQueue.takeOne`. */
  async takeOne(stage: Stages, options?: WaitOptions): Promise<StageJob> {
    return await this.#named(stage).takeOne(options)
  }

  /** As `WorkQueue.tryTake`, of a stage. */
  tryTake(stage: Stages): StageJob | undefined {
    return this.#named(stage).tryTake()
  }

  /** As `WorkQueue.takeBatch`, of a stage. */
  async takeBatch(stage: Stages, max: number, options?: WaitOptions): Promise<StageJob[]> {
    return await this.#named(stage).takeBatch(max, options)
  }

  /**
   * Writes the payloads of the last stage to `sink`, one after the other, until the pipeline is closed here. A job is complete when the
   * sink has taken it: when the callback of a Writable's `write` comes, what a WritableStream's `write` returns resolves, or what a
   * function returns. The sink stays open. When it fails, or closes, what it has not taken goes back, and the call rejects with its
   * error; a function that throws is tried again with that job.
   *
   * @throws MillraceError (as rejection) as `work`; and what is wrong with the sink
   */
  async to(sink: PipelineSink, options?: StageWorkOptions): Promise<void> {
    const end = readEnd(checkOptions(options, ['drainOnClose', 'signal']))
    this.#seal()
    await drain(this.#at(this.#stages.at(-1)!), sink, end)
  }

  /**
   * A `Readable` of Node's with the payloads of a stage, by default the last one, a chunk each. A job is complete when
   * its chunk was read from the stream, which has one in hand at a time: that goes back if the stream is destroyed, or the process dies.
   * Ends when the pipeline closes. `to()` completes a job only when it was written.
   */
  readable(stage?: Stages, options?: Pick<PipelineStreamOptions, 'signal'>): Readable {
    this.#seal()
    const handle = this.#named(stage ?? (this.#stages.at(-1)!.name as Stages))
    return streams().readableOf(handle, settle, options)
  }

  // All of it

  /**
   * Resolves when no job is in any stage: none waits, none is in hand, none is delayed. Dead letters may be there. What others push
   * meanwhile counts.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `CLOSED`, `CORRUPT`; of opening as `push`
   */
  async idle(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    const entrance = this.#entrance
    await whenIdle(
      { title: `pipeline '${this.name}'`, isIdle: () => entrance.isIdle(), alive: this.#refed },
      wait,
    )
  }

  /** What there is now, stage by stage, and what was counted. Errors as `push`. */
  stats(): PipelineStats<Stages> {
    const entrance = this.#entrance
    const found = entrance.stages().map((stats, at) => [this.#stages[at]!.name, stats] as const)
    const unsettled = this.#handles.opened.reduce((sum, handle) => sum + handle.unsettledCount, 0)
    return {
      ...entrance.stats(),
      unsettled,
      stages: Object.fromEntries(found) as PipelineStats<Stages>['stages'],
    }
  }

  /** As `WorkQueue.flush`. */
  async flush(): Promise<void> {
    await Promise.all([this.#entrance, ...this.#handles.opened].map((handle) => handle.flush()))
  }

  /** Lets pending waits keep the process alive (the default). */
  ref(): this {
    return this.#setRef(true)
  }

  /** Lets the process end although waits are pending. */
  unref(): this {
    return this.#setRef(false)
  }

  /**
   * Closes it here; pending calls reject with `CLOSED`, `work` and `take` end. What is in hand goes back to its stage. Where `work` runs with
   * `drainOnClose`, that comes when the handlers have finished and what they made has found room, or their time is over; `await using`
   * waits for it. The last one to close a pipeline without jobs and dead letters removes it.
   */
  override close(): void {
    this.#handles.close()
    for (const stop of [...this.#pouring]) stop.abort(closing)
  }

  /**
   * What `await using` calls at the end of its block: `close()`, and waits for handlers that have time to finish; called by a handler,
   * for the others, as that of a `WorkQueue`.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.#handles.closing()
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Pipeline', how, () => ({
      name: this.name,
      stages: this.stages,
      open: this.#handles.opened.map(({ where }) => where),
      closed: this.closed,
    }))
  }

  #seal(): void {
    if (this.#sealed) return
    this.#handles.assertOpen()
    checkStages(this.name, this.#stages)
    const ordered = this.#stages.reduce(
      (mask, stage) => (stage.ordered ? mask | (1 << stage.index) : mask),
      0,
    )
    this.#handles.define(
      this.#stages.map(({ name }) => name),
      ordered,
    )
    this.#sealed = true
  }

  #at({ index }: Stage): StageHandle {
    this.#seal()
    return this.#handles.at(index)
  }

  /** Where jobs are pushed. */
  get #entrance(): StageHandle {
    this.#seal()
    return this.#handles.at(0)
  }

  #named(name: Stages): StageHandle {
    return this.#at(this.#stageOf(name))
  }

  #stageOf(name: unknown): Stage {
    const found = this.#stages.find((stage) => stage.name === name)
    if (found !== undefined) return found
    throw invalidArgument(
      `pipeline '${this.name}' has no stage ${show(name)}; it has: ${this.stages.join(', ')}`,
    )
  }

  #stagesOf(names: string | readonly string[]): Stage[] {
    const all = typeof names === 'string' ? [names] : [...new Set(names)]
    return all.map((name) => {
      const stage = this.#stageOf(name)
      if (stage.handler !== undefined) return stage
      throw invalidArgument(
        `stage '${stage.name}' of pipeline '${this.name}' has no handler here: give \`stage\` one, or use \`take\``,
      )
    })
  }

  #nothingToWork(): Error {
    return invalidArgument(
      `no stage of pipeline '${this.name}' has a handler here: give \`stage\` one, or use \`take\``,
    )
  }

  #setRef(refed: boolean): this {
    this.#refed = refed
    this.#handles.ref(refed)
    return this
  }
}

const streams = () => require('./pipeline-streams.js') as typeof import('./pipeline-streams.js')

/** Why sources end when the pipeline is closed. */
const closing = Symbol('closing')
