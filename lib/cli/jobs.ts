// What `millrace work` has open: a work queue, or a pipeline, whose jobs are those of a stage.

import { list, MillraceError } from '../index.js'
import { observe, type StageStats, type WorkFigures } from '../telemetry.js'
import { Pipeline, WorkQueue, type Job } from '../work.js'
import { nameHere, onlyHere } from './here.js'
import { elsewhere } from './pipe.js'
import { UsageError } from './usage.js'
import { tellWaiting } from './waiting.js'

interface Wait {
  readonly signal: AbortSignal
  readonly timeout: number | undefined
}

export interface Jobs extends Disposable {
  readonly queue: WorkQueue | Pipeline<string>
  /** Of a pipeline. */
  readonly stages: readonly string[] | undefined
  /** The one that was asked for. */
  readonly stage: string | undefined
  /** Of the queue or the stage. */
  readonly ready: number
  takeOne(wait: Wait): Promise<Job>
  takeBatch(most: number, wait: Wait): Promise<Job[]>
}

const kinds: readonly string[] = ['work', 'pipeline']

function found(prefix: string) {
  return list({ prefix }).filter(
    ({ kind, state }) => kinds.includes(kind) && state !== 'corrupt' && state !== 'foreign',
  )
}

/** What `ls` tells. It looks from outside: to open a queue could make one that has just gone, and one that is damaged would hide the others. */
export function jobsUnder(prefix: string): ({ readonly name: string } & JobFigures)[] {
  return observe({ prefix }).flatMap((seen) => {
    if ((seen.kind !== 'work' && seen.kind !== 'pipeline') || seen.figures === undefined) return []
    const { name, figures } = seen
    if (seen.kind === 'work') return [{ name, ...figures }]
    const stages = seen.parts.flatMap((part) =>
      part.kind === 'stage' ? [[part.name, part.figures] as const] : [],
    )
    return [{ name, ...figures, stages: Object.fromEntries(stages) }]
  })
}

type JobFigures = WorkFigures & { readonly stages?: Readonly<Record<string, StageStats>> }

/**
 * Looking must not make what is looked for, unless it is to be made: then it is a work queue. `stage`: the one of a pipeline that is
 * asked for.
 */
export async function openJobs(
  place: string,
  { verb, stage }: { readonly verb: string; readonly stage: string | undefined },
): Promise<Jobs> {
  const address = await elsewhere(place)
  if (address !== undefined) return atAddress(address, verb, stage)
  const name = nameHere(`work ${verb}`, place)
  const kind = found(name).find((one) => one.name === name)?.kind
  if (kind === undefined && verb !== 'push') {
    throw new MillraceError(
      'ERR_MILLRACE_NOT_FOUND',
      `there is no work queue '${name}': see 'millrace work ls', or push the first job`,
    )
  }
  if (kind === 'pipeline') return ofPipeline(Pipeline.attach(name), stage)
  if (stage !== undefined) {
    throw new UsageError(`'${name}' is a work queue, and has no stages: leave --stage out`)
  }
  return ofQueue(WorkQueue.open(name))
}

/** What another process shares: jobs go in and out, and what it looks like is seen where it is. */
function atAddress(address: string, verb: string, stage: string | undefined): Jobs {
  if (verb !== 'push' && verb !== 'take') throw onlyHere(`work ${verb}`, address)
  if (stage !== undefined) {
    throw new UsageError(
      `'${address}' is reached as a work queue, without stages: leave --stage out`,
    )
  }
  const queue = WorkQueue.open(address)
  tellWaiting(queue.connection)
  return ofQueue(queue)
}

function ofQueue(queue: WorkQueue): Jobs {
  return {
    queue,
    stages: undefined,
    stage: undefined,
    get ready() {
      return queue.size
    },
    takeOne: (wait) => queue.takeOne(wait),
    takeBatch: (most, wait) => queue.takeBatch(most, wait),
    [Symbol.dispose]() {
      queue.close()
    },
  }
}

function ofPipeline(pipeline: Pipeline<string>, stage: string | undefined): Jobs {
  const { name, stages } = pipeline
  const all = stages.join(', ')
  if (stage !== undefined && !stages.includes(stage)) {
    pipeline.close()
    throw new UsageError(`pipeline '${name}' has no stage '${stage}'; it has: ${all}`)
  }
  /** Nobody is to take from the wrong one. */
  const asked = (): string => {
    if (stage !== undefined) return stage
    throw new UsageError(`'${name}' is a pipeline: say of which stage, --stage ${stages.join('|')}`)
  }
  return {
    queue: pipeline,
    stages,
    stage,
    get ready() {
      return pipeline.stats().stages[asked()]!.ready
    },
    takeOne: (wait) => pipeline.takeOne(asked(), wait),
    takeBatch: (most, wait) => pipeline.takeBatch(asked(), most, wait),
    [Symbol.dispose]() {
      pipeline.close()
    },
  }
}
