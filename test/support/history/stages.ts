// Did every job go through all stages of a pipeline, each once, by one at a time, and in order behind the stage that says so? A job
// in a stage is judged as a job of a queue of its own (jobs.ts): whoever moves it on settles it there, and pushes it here.

import { judgeJobs, type JobEvent, type JobsVerdict } from './jobs.js'

/** As `JobEvent`; of `taken` and `buried`: in which stage. Of `settling`, how `step`: it moves on, or ends. */
export interface StageEvent extends JobEvent {
  readonly stage?: number
}

/** Jobs leave stage `ordered` in the order of their pushes: each taker of a later one is to see that. */
export interface Stages {
  readonly count: number
  readonly ordered: number
}

export function judgeStages(events: readonly StageEvent[], stages: Stages): JobsVerdict {
  const verdict = judgeJobs(new Unfolding(events, stages.count).events)
  const violations = verdict.violations.map((text) =>
    text.replace(/^job (\d+)/, (_, found: string) => {
      const job = Math.floor(Number(found) / stages.count)
      return `job ${job} in stage ${Number(found) % stages.count}`
    }),
  )
  return { ...verdict, violations: [...violations, ...overtakings(events, stages)] }
}

class Unfolding {
  readonly events: JobEvent[] = []
  readonly #count: number
  /** In which stage whoever had it last had it. */
  readonly #had = new Map<string, number>()
  /** The last line in which it was taken in that stage. */
  readonly #lastTaken = new Map<string, number>()
  /** Lines of settles whose end was told. */
  readonly #told = new Set<number>()

  constructor(events: readonly StageEvent[], count: number) {
    this.#count = count
    const settling = new Map<string, number>()
    for (const [line, { event, job, stage = 0, who }] of events.entries()) {
      if (event === 'taken') this.#lastTaken.set(`${job} ${stage}`, line)
      if (event === 'settling') settling.set(`${who} ${job}`, line)
      if (event === 'settled') this.#told.add(settling.get(`${who} ${job}`) ?? 0)
    }
    for (const [line, event] of events.entries()) this.#unfold(line, event)
  }

  #unfold(line: number, event: StageEvent): void {
    const { who, job } = event
    switch (event.event) {
      case 'pushing':
      case 'confirmed':
        this.#tell(event, 0)
        break
      case 'taken':
        this.#had.set(`${who} ${job}`, event.stage ?? 0)
        this.#tell(event, event.stage ?? 0)
        break
      case 'buried':
        this.#tell(event, event.stage ?? 0)
        break
      case 'settling':
      case 'settled':
      case 'refused':
        this.#settle(line, event, this.#had.get(`${who} ${job}`) ?? 0)
        break
      default:
        this.events.push(event)
    }
  }

  #settle(line: number, event: StageEvent, stage: number): void {
    const { who, job, at } = event
    this.#tell(event.how === 'step' ? { ...event, how: 'complete' } : event, stage)
    if (event.event !== 'settling' || event.how !== 'step' || stage === this.#count - 1) return
    const next = job * this.#count + stage + 1
    this.events.push({ event: 'pushing', who, job: next, at, level: 0, delayed: true })
    // Whoever was killed meanwhile has moved it on, or it was taken where it was: it is in one of the two.
    const again = (this.#lastTaken.get(`${job} ${stage}`) ?? 0) > line
    const isSure = this.#told.has(line) || !again
    if (isSure) this.events.push({ event: 'confirmed', who, job: next, at })
  }

  #tell(event: JobEvent, stage: number): void {
    this.events.push({ ...event, job: event.job * this.#count + stage })
  }
}

/**
 * Whoever takes behind the ordered stage takes no job for the first time after one whose push began when that of the first had
 * ended. One that somebody died with who had found it, and had not taken it yet, comes later: so nothing is said of a job if
 * anybody died between its push and that time.
 */
function overtakings(events: readonly StageEvent[], { ordered }: Stages): string[] {
  const wrong: string[] = []
  const pushing = new Map<number, { readonly line: number; readonly at: number }>()
  const confirmed = new Map<number, number>()
  const repeated = new Set<number>()
  const taken = new Set<string>()
  const latest = new Map<string, { readonly job: number; readonly pushing: number }>()
  const deaths = events.filter(({ event }) => event === 'killed').map(({ at }) => at)
  for (const [line, { event, job, who, at, stage = 0, attempt = 1 }] of events.entries()) {
    if (event === 'pushing') {
      if (pushing.has(job)) repeated.add(job)
      else pushing.set(job, { line, at })
    }
    if (event === 'confirmed') confirmed.set(job, line)
    if (event !== 'taken' || stage <= ordered) continue
    // One that comes back has the place of its age, which is behind it; one that is pushed twice has two ages.
    const isFirst = attempt === 1 && !taken.has(`${job} ${stage}`) && !repeated.has(job)
    taken.add(`${job} ${stage}`)
    if (!isFirst) continue
    const taker = `${who} ${stage}`
    const before = latest.get(taker)
    const pushed = confirmed.get(job)
    const began = pushing.get(job) ?? { line: 0, at: 0 }
    if (before !== undefined && pushed !== undefined && before.pushing > pushed) {
      const isSure = !deaths.some((death) => death >= began.at && death <= at)
      if (isSure) {
        wrong.push(`job ${job} came to ${who} in stage ${stage} after ${before.job}, pushed later`)
      }
    }
    if (before === undefined || before.pushing < began.line)
      latest.set(taker, { job, pushing: began.line })
  }
  return wrong.slice(0, 10)
}
