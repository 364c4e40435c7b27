// A queue of an engine, asked as a process that shares a queue is asked.

import { forgetAbort, whenAborted } from '../../base/abort-signals.js'
import { startTimer, stopTimer } from '../../base/time.js'
import type { EngineJob, EngineSettle, EngineWork } from '../../engines/port.js'
import { abortedError, invalidArgument, MillraceError, timeoutError } from '../../errors.js'
import type { CallOptions } from '../../rpc/options.js'
import { nothing, type Headed } from '../headed.js'
import type { SettleFacts, TakenJob, WorkLine } from './contract.js'

const done = { facts: {}, bytes: nothing }

interface Held {
  readonly job: EngineJob
  readonly ticket: number
}

/** `name`: what the queue is called. */
export function engineWorkLine(work: EngineWork, name: string): WorkLine {
  const held = new Map<number, Held>()
  const takes = new Map<number, AbortController>()
  const losses = new Losses()
  let leases = 0
  work.lost((lost) => {
    // It is seldom, and they are few.
    for (const [lease, { job }] of held) {
      if (job !== lost) continue
      held.delete(lease)
      losses.tell(lease)
      return
    }
  })
  void work.ended.then(() => {
    losses.end()
  })
  const lend = (ticket: number, job: EngineJob): TakenJob => {
    const lease = ++leases
    held.set(lease, { job, ticket })
    return new LentJob(lease, job)
  }
  return {
    get ended() {
      return work.ended
    },
    get closed() {
      return work.closed
    },
    close: () => {
      work.close()
    },
    about: () => {
      const { facts } = work
      const more = { name, seats: Infinity }
      return Promise.resolve({ facts: { ...facts, ...more }, bytes: nothing })
    },
    push: async ({ facts, bytes }, options) => {
      const { priority = 0, delay = 0, ttl = 0, id, group, headers } = facts
      const job = { priority, delay, ttl, id, group, headers }
      const push = (signal: AbortSignal): Promise<{ readonly duplicate: boolean }> =>
        work.push(bytes, job, signal)
      const { signal, timeout = Infinity } = options ?? {}
      const { duplicate } =
        timeout === Infinity
          ? await untilAborted(signal, push)
          : await inTime(
              `room in '${name}'`,
              work.waitsFor ?? 'the queue is full: start workers, or allow more time',
              options,
              push,
            )
      return { facts: { duplicate }, bytes: nothing }
    },
    take: async ({ facts: { ticket, most } }) => {
      const control = new AbortController()
      takes.set(ticket, control)
      try {
        const jobs = await work.take(most, control.signal)
        return { facts: { jobs: jobs.map((job) => lend(ticket, job)) }, bytes: nothing }
      } finally {
        takes.delete(ticket)
      }
    },
    leave: async ({ facts: { ticket } }) => {
      takes.get(ticket)?.abort()
      for (const [lease, { job, ticket: its }] of [...held]) {
        if (its !== ticket) continue
        held.delete(lease)
        await job.settle({ how: 'release', delay: 0 })
      }
      return done
    },
    settle: async ({ facts }) => {
      const { lease } = facts
      const job = held.get(lease)?.job
      if (job === undefined) throw notHeld(name)
      if (facts.how === 'begin') return done
      if (facts.how === 'extend') {
        await job.extend(facts.milliseconds)
        return done
      }
      held.delete(lease)
      await job.settle(settleOf(facts))
      return done
    },
    flush: async () => {
      await work.flush()
      return done
    },
    losses: () => losses.all(),
    direct: {
      push: (bytes, job, signal, told) => {
        if (work.pushTold !== undefined) work.pushTold(bytes, job, signal, told)
        else
          work.push(bytes, job, signal).then((pushed) => {
            told(undefined, pushed)
          }, told)
      },
      complete: async (which) => {
        const jobs: EngineJob[] = []
        for (const lease of which) {
          const job = held.get(lease)?.job
          if (job === undefined) continue // it was lost
          held.delete(lease)
          jobs.push(job)
        }
        if (work.completeAll !== undefined) await work.completeAll(jobs)
        else await Promise.allSettled(jobs.map((job) => job.settle({ how: 'complete' })))
      },
    },
  }
}

/** A job in hand, as whoever asked has it. */
class LentJob {
  readonly lease: number
  readonly attempt: number
  readonly acquired: number
  readonly priority: number
  readonly id: string | undefined
  readonly group: string | undefined
  readonly origin: string | undefined
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly bytes: Uint8Array
  readonly length: number
  readonly pushedAt: number
  readonly #token: bigint

  constructor(lease: number, job: EngineJob) {
    this.lease = lease
    this.attempt = job.attempt
    this.acquired = job.acquired
    this.priority = job.priority
    this.id = job.id
    this.group = job.group
    this.origin = job.origin
    this.headers = job.headers
    this.bytes = job.bytes
    this.length = job.bytes.length
    this.pushedAt = Math.floor(job.pushedAt)
    // The engine's job may have another one later.
    this.#token = job.token
  }

  /** Hardly anybody asks for it, and it is long to write. */
  get token(): string {
    return String(this.#token)
  }
}

function settleOf(facts: SettleFacts): EngineSettle {
  switch (facts.how) {
    case 'complete':
      return { how: 'complete' }
    case 'release':
      return { how: 'release', delay: facts.delay }
    case 'retry':
      return { how: 'retry', delay: facts.delay, error: facts.error }
    case 'reject':
      return { how: 'reject', error: facts.error }
    default:
      throw invalidArgument('a job is settled by complete, release, retry or reject')
  }
}

function notHeld(name: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_LEASE_LOST',
    `this job of '${name}' is not in this process's hands: its lease ended, and somebody else may have it`,
  )
}

/** Leases that were lost, as they come. */
class Losses {
  readonly #leases: number[] = []
  #told: (() => void) | undefined
  #over = false

  tell(lease: number): void {
    this.#leases.push(lease)
    this.#told?.()
  }

  end(): void {
    this.#over = true
    this.#told?.()
  }

  async *all(): AsyncGenerator<Headed<{ readonly lease: number }>, undefined> {
    while (!this.#over) {
      const lease = this.#leases.shift()
      if (lease !== undefined) {
        yield { facts: { lease }, bytes: nothing }
        continue
      }
      await new Promise<void>((told) => {
        this.#told = told
      })
      this.#told = undefined
    }
    return undefined
  }
}

/** For those who gave no signal. */
const never = new AbortController().signal

/** As `inTime`, without a signal for each: that costs more than all the rest. Many ask with the same one. */
function untilAborted<T>(
  signal: AbortSignal | undefined,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (signal === undefined) return ask(never)
  if (signal.aborted) return Promise.reject(abortedError(signal))
  return new Promise((resolve, reject) => {
    const onAbort = {
      aborted: (): void => {
        reject(abortedError(signal))
      },
    }
    whenAborted(signal, onAbort)
    ask(signal).then(
      (value) => {
        forgetAbort(signal, onAbort)
        resolve(value)
      },
      (error: unknown) => {
        forgetAbort(signal, onAbort)
        reject(error)
      },
    )
  })
}

/** What is asked, for as long as the options allow. What was sent by then may be done. */
export function inTime<T>(
  what: string,
  cure: string,
  options: CallOptions | undefined,
  ask: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { signal, timeout } = options ?? {}
  // It may have been while the connection was waited for.
  if (signal?.aborted === true) return Promise.reject(abortedError(signal))
  return new Promise((resolve, reject) => {
    const control = new AbortController()
    const end = (): void => {
      stopTimer(timer)
      if (signal !== undefined) forgetAbort(signal, onAbort)
    }
    const giveUp = (error: Error): void => {
      end()
      reject(error)
      control.abort(error)
    }
    const onAbort = {
      aborted: (): void => {
        giveUp(abortedError(signal!))
      },
    }
    const timer =
      timeout === undefined || timeout === Infinity
        ? undefined
        : startTimer(
            timeout,
            () => {
              giveUp(timeoutError(what, timeout, cure))
            },
            { alive: true },
          )
    if (signal !== undefined) whenAborted(signal, onAbort)
    ask(control.signal).then(
      (value) => {
        end()
        resolve(value)
      },
      (error: unknown) => {
        end()
        reject(error)
      },
    )
  })
}
