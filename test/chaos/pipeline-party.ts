// Who works on the pipeline of `npm run chaos` in JavaScript: victims and survivors do the same. As in pipeline_victims.hpp.

import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { Pipeline, type StageJob } from 'millrace/work'

import { Random } from '../support/random.js'
import { expect } from './arena.js'
import type { Journal } from './work-journal.js'
import { jobsEach, optionsOf, payloadOf, wordsOf } from './work-party.js'

export const stageNames = ['first', 'middle', 'last'] as const
/** Jobs leave it in order. */
export const orderedStage = 1
export const stagedJobs = 256

/** What the number in a payload says: the job, and the stage in which these bytes were made. */
const scale = 4

/** What a job is when it comes into a stage. */
interface Content {
  readonly key: number
  readonly words: number
}

type Step = 'in place' | 'result' | 'half'

function stepOf(nth: number, stage: number): Step {
  const isFirst = stage === 0
  if (isFirst ? nth % 3 === 0 : nth % 3 === 1) return 'in place'
  return (isFirst ? nth % 7 === 1 : nth % 5 === 4) ? 'half' : 'result'
}

function contentOf(number: number, stage: number): Content {
  const nth = number % jobsEach
  if (stage === 0) return { key: number * scale, words: wordsOf(number) }
  const before = contentOf(number, stage - 1)
  const step = stepOf(nth, stage - 1)
  if (step === 'in place') return before
  if (step === 'half') return { ...before, words: Math.ceil(before.words / 2) }
  const words =
    stage === 1
      ? nth % 8 === 5
        ? 128 + (nth % 500)
        : 1 + (nth % 40)
      : nth % 16 === 7
        ? 200 + (nth % 300)
        : 1 + (nth % 12)
  return { key: number * scale + stage, words }
}

function bytesOf({ key, words }: Content): Buffer {
  return payloadOf(key, words)
}

/** The number of the job that is in this stage; a violation if it is not what it has to be there. */
export function jobInStage(bytes: Uint8Array, stage: number): number {
  const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const number = found.length < 8 ? 0 : Math.floor(Number(found.readBigUInt64LE()) / scale)
  const isWhole = bytesOf(contentOf(number, stage)).equals(found)
  expect(isWhole, `a job of ${found.length} bytes in stage ${stageNames[stage]} is not whole`)
  return number
}

export type StageName = (typeof stageNames)[number]

/** The pipeline with the handlers of these parties: one for each stage that is worked here. */
export function openStages(
  name: string,
  parties: Readonly<Partial<Record<StageName, StageParty>>> = {},
  batch = 1,
): Pipeline<StageName> {
  const { first, middle, last } = parties
  const etl = Pipeline.open(name, {
    jobs: stagedJobs,
    bytes: 2 ** 20,
    seats: 64,
    maxAttempts: Infinity,
    deadLetters: { jobs: 4096, bytes: 2 ** 22 },
    // Longer than a victim is stopped.
    dedupWindow: 5000,
    dedupIds: 65_536,
  })
  const one =
    first === undefined
      ? etl.stage('first')
      : etl.stage('first', (job) => first.work(job), { workers: 3 })
  const ordered = { ordered: true, workers: 3 }
  const two =
    middle === undefined
      ? one.stage('middle', ordered)
      : one.stage('middle', (job) => middle.work(job), ordered)
  if (last === undefined) return two.stage('last')
  return batch === 1
    ? two.stage('last', (job) => last.work(job))
    : two.stage('last', (jobs) => last.workAll(jobs), { batch })
}

/** One that pushes, or works one stage. */
export class StageParty {
  readonly #journal: Journal
  readonly #who: number
  readonly #stage: number
  readonly #random: Random
  /** Jobs whose handler has said that they move on: whether they have shows later. */
  #moving: { readonly job: StageJob; readonly number: number }[] = []

  readonly #onTaken: () => void

  constructor(journal: Journal, who: number, stage = 0, onTaken: () => void = () => undefined) {
    this.#onTaken = onTaken
    this.#journal = journal
    this.#who = who
    this.#stage = stage
    this.#random = new Random(who)
  }

  async push(etl: Pipeline<StageName>, number: number, signal?: AbortSignal): Promise<void> {
    const { group = '-', delay = 0, ttl = 0, id } = optionsOf(number)
    this.#journal.tell('p', this.#who, number, `0 ${group} ${delay + ttl}`)
    await etl.push(bytesOf(contentOf(number, 0)), {
      delay,
      signal,
      ...(group !== '-' && { group }),
      ...(id !== undefined && { id }),
      ...(ttl > 0 && { ttl }),
    })
    this.#journal.tell('c', this.#who, number)
  }

  /** The handler of the stage: returns what the job becomes. */
  async work(job: StageJob): Promise<Buffer | Uint8Array | undefined> {
    this.tellMoved()
    return this.#end(job, this.#begin(job))
  }

  async workAll(jobs: readonly StageJob[]): Promise<void> {
    this.tellMoved()
    const held = jobs.map((job) => ({ job, number: this.#begin(job) }))
    for (const { job, number } of held) await this.#end(job, number)
  }

  /** Writes down what has moved on since the last time. */
  tellMoved(): void {
    this.#moving = this.#moving.filter(({ job, number }) => {
      if (job.settled === undefined) return true
      this.#journal.tell(job.settled === 'completed' ? 'd' : 'l', this.#who, number)
      return false
    })
  }

  #begin(job: StageJob): number {
    this.#onTaken()
    const { attempt, acquired } = job
    const number = jobInStage(job.bytes, this.#stage)
    this.#journal.tell('s', this.#who, number, `${attempt} ${acquired} ${this.#stage}`)
    return number
  }

  async #end(job: StageJob, number: number): Promise<Buffer | Uint8Array | undefined> {
    if (this.#random.below(8) === 0) await pause(this.#random.below(2))
    else await turn()
    const dice = this.#random.below(100)
    if (dice >= 85) return this.#settleOtherwise(job, number)
    this.#journal.tell('b', this.#who, number, 'step')
    this.#moving.push({ job, number })
    if (this.#stage === stageNames.length - 1) return undefined
    const step = stepOf(number % jobsEach, this.#stage)
    if (step === 'in place') return undefined
    const next = contentOf(number, this.#stage + 1)
    return step === 'half' ? job.bytes.subarray(0, 8 * next.words) : bytesOf(next)
  }

  #settleOtherwise(job: StageJob, number: number): undefined {
    const dice = this.#random.below(20)
    const delay = this.#random.below(2)
    const how = dice < 11 ? 'release' : dice < 19 ? 'retry' : 'reject'
    this.#journal.tell('b', this.#who, number, how)
    if (how === 'release') job.release({ delay })
    else if (how === 'retry') job.retry({ delay, error: new Error('it failed') })
    else job.reject('it cannot be done')
    this.#journal.tell('d', this.#who, number)
  }
}
