// A handle at one stage of a pipeline: it takes the jobs of that stage. What is pushed comes into the first one, whoever pushes it.

import { Outcome } from '../addon/outcome.js'
import type { NativeWork } from '../addon/work.js'
import type { Tuning, Wait } from '../base/options.js'
import { JobTaker } from './job-taker.js'
import { StageJob } from './stage-job.js'
import { stageStatsOf, type StageStats } from './stats.js'
import { Working, type Craft, type GivenWork } from './working.js'

/** Where a handle is. */
export interface Standing {
  readonly pipeline: string
  /** Those of all stages. */
  readonly names: readonly string[]
  readonly index: number
}

/** What is done with the jobs of a stage. */
export interface StageCraft<Unit> extends Craft<Unit> {
  /** That job, and no other beside it. In the last stage nobody asks for it. */
  alone?(job: StageJob): Unit
}

export class StageHandle extends JobTaker<StageJob> {
  /** For messages: "stage 'decode' of pipeline 'etl'". */
  readonly where: string
  /** Is there no stage behind it? */
  readonly isLast: boolean
  readonly #names: readonly string[]
  /** Works on a job beside those that are in hand; one loop of those that there are. */
  readonly #beside = new Set<(job: StageJob) => Promise<void>>()
  #frontInHand = false

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
  async work<Unit>(craft: StageCraft<Unit>, given: GivenWork): Promise<void> {
    const working = new Working(craft, given)
    const alone = craft.alone?.bind(craft)
    if (alone === undefined) {
      await this.workBy(craft, given, working)
      return
    }
    const beside = (job: StageJob): Promise<void> => working.beside(alone(job))
    this.#beside.add(beside)
    try {
      await this.workBy(craft, given, working)
    } finally {
      this.#beside.delete(beside)
    }
  }

  /**
   * @internal While a result has no room, all hands of this stage may be full of jobs that are younger than the one for which all
   * wait. So that one is worked on beside them, and has room kept for it.
   */
  protected override becoming(
    length: number,
    attempt: () => number,
    wait: Wait,
    waits: () => void,
  ): Promise<number> {
    const look = (): number => {
      const outcome = attempt()
      if (outcome === Outcome.wouldBlock) this.#workOnFront()
      return outcome
    }
    return super.becoming(length, look, wait, waits)
  }

  #workOnFront(): void {
    const [beside] = this.#beside
    if (beside === undefined || this.#frontInHand) return
    const job = this.takeFront()
    if (job === undefined) return
    this.#frontInHand = true
    void beside(job).finally(() => {
      this.#frontInHand = false
      if (!this.closed) this.roomWaits.lookAgain()
    })
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
