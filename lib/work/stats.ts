// What a work queue tells about itself.

/** Numbers of a `WorkQueue` at this instant, and what was counted since it was created, by all who have it open. */
export interface WorkStats {
  /** Jobs that anybody could take. */
  readonly ready: number
  /** Jobs in somebody's hands. */
  readonly leased: number
  /** Jobs whose time has not come. */
  readonly delayed: number
  /** Jobs that wait for an older one of their group. */
  readonly grouped: number
  /** Dead letters. */
  readonly dead: number
  /** Places for jobs that are free. */
  readonly free: number
  /** Bytes that payloads take up beside their jobs, in pieces of 256. */
  readonly bytesUsed: number
  /** Handles that have it open, this one included. */
  readonly handles: number

  /** Jobs that were pushed. */
  readonly pushed: number
  /** Leases of jobs. */
  readonly taken: number
  /** Jobs that are done. */
  readonly completed: number
  /** Given back by `release` and `retry`. */
  readonly returned: number
  /** Given up: by `reject`, or by a `retry` after the last attempt. */
  readonly rejected: number
  /** Handles whose process or Worker died without closing them. */
  readonly deaths: number
  /** Jobs that the dead had in hand. */
  readonly givenBack: number
  /** Pushes that the dead had begun and not confirmed; nothing of them is left. */
  readonly unfinished: number
  /** Leases that ended by the `leaseTimeout`. */
  readonly timedOut: number
  /** What was settled too late, and refused. */
  readonly lostLeases: number
  /** Jobs that became dead letters, for whatever reason. */
  readonly deadLettered: number
  /** Those of them whose time to live was over. */
  readonly expired: number
  /** Dead letters that made room for younger ones. */
  readonly deadDropped: number
  /** Dead letters that were sent round again. */
  readonly redriven: number
  /** Dead letters that were thrown away. */
  readonly purged: number
  /** Pushes whose `id` was known. */
  readonly duplicates: number
  /** Ids that were forgotten before the `dedupWindow` was over, because there were too many. */
  readonly idsDropped: number
  /** Errors of failed attempts for whose text there was no place. */
  readonly textsCut: number
  /** Jobs and dead letters that were found after a power cut: of durability `disk`. Counts begin anew with them. */
  readonly recovered: number
  /** What was found then and was no job: pushes that were not confirmed, jobs that had ended, damage. */
  readonly torn: number

  /** Jobs of this handle that went back because nobody settled them. */
  readonly unsettled: number
}

/** Numbers of a stage of a `Pipeline` at this instant. */
export interface StageStats {
  /** Jobs that anybody could take. */
  readonly ready: number
  /** Jobs in somebody's hands, and those on their way to the next stage. */
  readonly inHand: number
  /** Jobs that are done in a stage that is left in order, and whose turn to go on has not come. */
  readonly held: number
  /** Jobs whose time has not come. */
  readonly delayed: number
  /** Jobs that wait for an older one of their group. */
  readonly grouped: number
  /** Jobs that died here. */
  readonly dead: number
}

/**
 * Numbers of a `Pipeline` at this instant, and what was counted since it was created, by all who have it open. `completed` counts
 * each stage that a job has passed.
 */
export interface PipelineStats<Stages extends string = string> extends WorkStats {
  /** Of each stage, by its name, in their order. */
  readonly stages: Readonly<Record<Stages, StageStats>>
}

/** In the order of the numbers that `NativeWork.counts` gives. */
const names = [
  'ready',
  'leased',
  'delayed',
  'grouped',
  'dead',
  'free',
  'bytesUsed',
  'handles',
  'pushed',
  'taken',
  'completed',
  'returned',
  'rejected',
  'deaths',
  'givenBack',
  'unfinished',
  'timedOut',
  'lostLeases',
  'deadLettered',
  'expired',
  'deadDropped',
  'redriven',
  'purged',
  'duplicates',
  'idsDropped',
  'textsCut',
  'recovered',
  'torn',
] as const satisfies readonly (keyof WorkStats)[]

/** @internal Where the number of that name is. */
export function countOf(counts: Float64Array, name: (typeof names)[number]): number {
  return counts[names.indexOf(name)] ?? 0
}

/** @internal */
export function statsOf(counts: Float64Array, unsettled: number): WorkStats {
  const numbers = Object.fromEntries(names.map((name, at) => [name, counts[at] ?? 0]))
  return { ...(numbers as unknown as WorkStats), unsettled }
}

const statesOfStage = 7

/** @internal Of the numbers that `NativeWork.stageCounts` gives. */
export function stageStatsOf(counts: Float64Array, stages: number): StageStats[] {
  return Array.from({ length: stages }, (_, stage) => {
    const [ready = 0, leased = 0, held = 0, delayed = 0, grouped = 0, dead = 0, moving = 0] =
      counts.subarray(stage * statesOfStage)
    return { ready, inHand: leased + moving, held, delayed, grouped, dead }
  })
}
