// Carries jobs: each is leased at `from` until `to` has confirmed it, so whoever dies in between leaves it there. Many are on their way
// at a time; of a group of an engine that knows none, one after the other.

import { invalidArgument } from '../../errors.js'
import { afterAllElse, startTimer, stopTimer, type Timer } from '../../base/time.js'
import { waitAfter } from '../../net/backoff.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Job } from '../../work/job.js'
import type { RouteStatus, WorkRoute } from '../config.js'
import { connectionTo } from '../connection.js'
import type { JudgedRoute } from '../judge.js'
import { whileNamed } from '../named-object.js'
import { goesRound, passedBy, type Headers } from '../origin.js'
import { Flow } from '../flow.js'
import type { Carrier, Counts } from '../route.js'
import { isPoison, WorkEnd, type Carried } from './end.js'

const usualInFlight = 256
/** The waits after a push that failed, in milliseconds. */
const again = { base: 50, cap: 5000 }

/** @throws MillraceError as `WorkQueue.open`, and `INVALID_ARGUMENT` */
export function openWorkRoute({ config, host }: JudgedRoute, counts: Counts): Carrier {
  const { from, to, fromQueue, toQueue, fromConnection, toConnection, inFlight, alone } =
    config as WorkRoute
  const most = inFlight ?? usualInFlight
  const source = WorkEnd.open({
    ...{ place: from, queue: fromQueue, connection: connectionTo(from, fromConnection) },
    ...{ alone: alone === true, ahead: most, host },
  })
  try {
    const target = WorkEnd.open({
      ...{ place: to, queue: toQueue, connection: connectionTo(to, toConnection) },
      ...{ alone: false, host },
    })
    try {
      judgeWindow(target, to, most)
      return new WorkCarrier(source, target, most, host, counts)
    } catch (error) {
      void target.close()
      throw error
    }
  } catch (error) {
    void source.close()
    throw error
  }
}

/** What may come again after a death must still be known. */
function judgeWindow({ dedups, knownIds }: WorkEnd, to: string, most: number): void {
  if (!dedups || knownIds === undefined || knownIds >= 2 * most) return
  throw invalidArgument(
    `'${to}' knows ${String(knownIds)} ids again, and of ${String(most)} jobs on their way some may come twice after a crash: ` +
      `create it with dedupIds of ${String(2 * most)} or more, or take a smaller inFlight`,
  )
}

/** A job that has arrived; `told`: who waits for its end. */
interface Done {
  readonly job: Job
  readonly told: ((wasSent: boolean) => void) | undefined
}

class WorkCarrier implements Carrier {
  readonly isReady = true
  readonly #from: WorkEnd
  readonly #to: WorkEnd
  readonly #host: string
  /** What the next one is told of a job that no gateway had before. */
  readonly #first: Headers
  readonly #counts: Counts
  /** Ends pushes that wait. */
  readonly #over = new AbortController()
  readonly #jobs = new Set<Job>()
  #done: Done[] = []
  /** Of groups that `from` does not know: the last one that is on its way. */
  readonly #groups = new Map<string, Promise<boolean>>()
  /** Did jobs come that nobody can tell from others? */
  #hasNameless = false
  /** Has a push failed since one went well, and how often was that waited for? */
  #hasFailed = false
  #waits = 0
  #error: Error | undefined
  readonly #flow: Flow
  #leaseTimer: Timer | undefined

  constructor(from: WorkEnd, to: WorkEnd, most: number, host: string, counts: Counts) {
    this.#from = from
    this.#to = to
    this.#flow = new Flow(most, counts)
    this.#host = host
    this.#first = Object.freeze(passedBy([], host, undefined))
    this.#counts = counts
    from.watch()
    this.#keepLeases()
  }

  get connections(): readonly ConnectionStatus[] {
    return [...this.#from.connections, ...this.#to.connections]
  }

  get guarantee(): RouteStatus['guarantee'] {
    if (this.#to.connections.some(({ made }) => made === 0)) return undefined
    const isOnce = this.#to.dedups && !this.#hasNameless
    // What has left this process may be lost there, and comes again if this process dies.
    if (!this.#to.keeps) return undefined
    if (!this.#from.keeps) return isOnce ? 'at-most-once' : undefined
    return isOnce ? 'exactly-once' : 'at-least-once'
  }

  get error(): Error | undefined {
    return this.#error
  }

  async run(stop: AbortSignal): Promise<void> {
    await whileNamed([this.#from.object, this.#to.object], stop, (end) => this.#takeUntil(end))
  }

  async #takeUntil(end: AbortSignal): Promise<void> {
    try {
      while (!end.aborted) {
        await this.#to.ready(end)
        await this.#flow.roomy(end)
        await this.#calm(end)
        const jobs = await this.#from.take(this.#flow.room, end)
        this.#flow.enter(jobs.length)
        for (const job of jobs) this.#carry(job)
      }
    } catch (error) {
      if (!end.aborted) throw error
    }
  }

  async settled(): Promise<void> {
    await this.#flow.empty(this.#over.signal)
  }

  async close(): Promise<void> {
    this.#over.abort()
    this.#tellDone()
    stopTimer(this.#leaseTimer)
    // First what was pushed is confirmed to be so, as far as that is known.
    await Promise.all([this.#from.close(), this.#to.close()])
  }

  #carry(job: Job): void {
    this.#jobs.add(job)
    let carried: Carried
    try {
      carried = this.#from.read(job)
    } catch {
      this.#left([job]) // it is not ours any more
      return
    }
    if (this.#isOwn(carried)) {
      this.#counts.loops++
      this.#isDone({ job, told: undefined })
      return
    }
    this.#hasNameless ||= carried.id === undefined
    const { group } = carried
    if (group === undefined || this.#from.keepsGroups) {
      this.#send(carried, undefined)
      return
    }
    const sent = this.#after(this.#groups.get(group), carried)
    this.#groups.set(group, sent)
    void sent.then(() => {
      if (this.#groups.get(group) === sent) this.#groups.delete(group)
    })
  }

  /** What is behind one that could not be sent goes back with it. */
  async #after(before: Promise<boolean> | undefined, carried: Carried): Promise<boolean> {
    if (before !== undefined && !(await before)) {
      await this.#back(carried.job)
      return false
    }
    return await new Promise((told) => {
      this.#send(carried, told)
    })
  }

  /** `told`: was it sent, or is it out of the way? When that is known where it comes from, too. */
  #send(carried: Carried, told: ((wasSent: boolean) => void) | undefined): void {
    const { job, bytes, hops, origin } = carried
    // The first hop of most; and into memory nothing is told.
    const isFirst = this.#to.isHere || (hops.length === 0 && origin === undefined)
    const passed = isFirst ? this.#first : passedBy(hops, this.#host, origin)
    this.#to.push(carried, passed, this.#over.signal, (error, pushed) => {
      if (pushed === undefined) {
        void this.#failed(job, error).then(told)
        return
      }
      if (pushed.duplicate) this.#counts.duplicates++
      else {
        this.#counts.delivered++
        this.#counts.bytes += bytes.length
      }
      this.#hasFailed = false
      this.#waits = 0
      this.#error = undefined
      // If that is not confirmed, it comes again, and is known there.
      this.#isDone({ job, told })
    })
  }

  /** What is over in one turn is told together. */
  #isDone(one: Done): void {
    if (this.#done.push(one) > 1) return
    afterAllElse(() => {
      this.#tellDone()
    })
  }

  #tellDone(): void {
    if (this.#done.length === 0) return
    const all = this.#done
    this.#done = []
    const jobs = all.map(({ job }) => job)
    const end = (): void => {
      this.#left(jobs)
      for (const { told } of all) told?.(true)
    }
    const known = this.#from.complete(jobs)
    if (known === undefined) end()
    else void known.then(end)
  }

  async #failed(job: Job, error: unknown): Promise<boolean> {
    if (isPoison(error)) {
      this.#counts.dropped++
      await quietly(() => job.reject(error))
      this.#left([job])
      return true
    }
    if (!this.#over.signal.aborted) {
      this.#hasFailed = true
      this.#error = error as Error
    }
    await this.#back(job)
    return false
  }

  async #back(job: Job): Promise<void> {
    await quietly(() => job.release())
    this.#left([job])
  }

  #left(jobs: readonly Job[]): void {
    for (const job of jobs) this.#jobs.delete(job)
    this.#flow.leave(jobs.length)
  }

  /** What comes back here by a way that other gateways have made. */
  #isOwn({ job, hops }: Carried): boolean {
    return goesRound(hops, this.#host) || this.#from.hasMade(job.id) || this.#to.hasMade(job.id)
  }

  /** After failures nothing is taken for a while. */
  async #calm(stop: AbortSignal): Promise<void> {
    if (!this.#hasFailed) return
    // What is on its way may still be about to go back, and comes in its order only when all of that is there.
    await this.#flow.empty(stop)
    // What has gone well meanwhile says that the next will.
    if (!this.#isFailing()) return
    // All that failed at one time failed for one reason.
    await this.#flow.pause(waitAfter(again, ++this.#waits, Math.random()), stop)
  }

  #isFailing(): boolean {
    return this.#hasFailed // by now
  }

  /** What waits for the other side must not be taken by somebody else meanwhile. */
  #keepLeases(): void {
    const { leaseMs } = this.#from
    if (leaseMs === 0) return
    this.#leaseTimer = startTimer(leaseMs / 3, () => {
      for (const job of this.#jobs) void quietly(() => job.extend(leaseMs))
      this.#keepLeases()
    })
  }
}

/** About a job that may be somebody else's by now. */
async function quietly(act: () => unknown): Promise<void> {
  try {
    await act()
  } catch {
    // Then it is taken again, by whoever has it now.
  }
}
