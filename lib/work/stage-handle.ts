// A handle at one stage of a pipeline: it takes the jobs of that stage. What is pushed comes into the first one, whoever pushes it.

import type { NativeWork } from '../addon/work.js'
import type { Tuning } from '../base/options.js'
import { JobTaker } from './job-taker.js'
import { StageJob } from './stage-job.js'
import { stageStatsOf, type StageStats } from './stats.js'
import type { Craft, GivenWork } from './working.js'

/** Where a handle is. */
export interface Standing {
  readonly pipeline: string
  /** Those of all stages. */
  readonly names: readonly string[]
  readonly index: number
}

export class StageHandle extends JobTaker<StageJob> {
  /** For messages: "stage 'decode' of pipeline 'etl'". */
  readonly where: string
  /** Is there no stage behind it? */
  readonly isLast: boolean
  readonly #names: readonly string[]

  constructor(native: NativeWork, tuning: Tuning, { pipeline, names, index }: Standing) {
    const title = `pipeline '${pipeline}'`
    const where = `stage '${names[index]!}' of ${title}`
    super(pipeline, native, tuning, {
      title,
      source: where,
      stage: index,
      job: StageJob,
      moves: true,
      stages: names,
    })
    this.where = where
    this.isLast = index === names.length - 1
    this.#names = names
  }

  /** Until it is closed. */
  work<Unit>(craft: Craft<Unit>, given: GivenWork): Promise<void> {
    return this.workBy(craft, given)
  }

  /** Of all stages, in their order. */
  stages(): StageStats[] {
    this.assertOpen()
    this.assertWhole()
    return stageStatsOf(this.native.stageCounts(), this.#names.length)
  }

  /** Is there no job in any stage? What the dead have in hand is given back first. */
  isIdle(): boolean {
    this.assertOpen()
    this.assertWhole()
    this.look()
    // A job that became one of the same pipeline (complete({ to })) may have passed whoever counted.
    return this.#isEmpty() && this.#isEmpty()
  }

  #isEmpty(): boolean {
    return stageStatsOf(this.native.stageCounts(), this.#names.length).every(
      ({ ready, inHand, held, delayed, grouped }) =>
        ready + inHand + held + delayed + grouped === 0,
    )
  }
}
