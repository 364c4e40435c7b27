// A work queue of this process, for one client at the other side of a connection. What the client has in hand is in this process's
// hands, as far as the queue knows: when the connection ends, it goes back at once, as if the client had been a process that was killed.

import { whenAborted } from '../../base/abort-signals.js'
import { traced } from '../../base/tracing.js'
import { invalidArgument, MillraceError } from '../../errors.js'
import type { HandlerContext, Handlers } from '../../rpc/contract.js'
import type { FrameChannel } from '../../rpc/streams/channel.js'
import type { ConnectionOptions } from '../../rpc/streams/options.js'
import type { StreamServer } from '../../rpc/streams/server.js'
import type { Job } from '../../work/job.js'
import type { PushOptions } from '../../work/options.js'
import type { WorkQueue } from '../../work/work-queue.js'
import { nothing, type Headed } from '../headed.js'
import { workContract, type JobFacts, type PushFacts, type SettleFacts } from './contract.js'

/** What goes to one client at a time, with all that waits for it: a client that only takes fills nothing but the queue's leases. */
const mostInHand = 4096
/** The bytes of jobs that are answered together; the first is always there. */
const mostBytesAtOnce = 1_048_576

const done = { facts: {}, bytes: nothing }

interface Held {
  readonly job: Job
  readonly ticket: number
  /** Has the client begun with it? */
  begun: boolean
}

/**
 * Serves the queue over one channel, until that ends, or the queue is closed.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function serveWork(
  channel: FrameChannel,
  queue: WorkQueue,
  options?: ConnectionOptions,
): StreamServer {
  const client = new WorkClient(() => queue)
  const { serveOver } = require('../../rpc/over.js') as typeof import('../../rpc/over.js')
  const server = serveOver(channel, workContract, client.handlers, options)
  void server.ended.then(() => {
    client.leave()
  })
  return server
}

/** What one client asks of a queue, and has in hand of it. */
export class WorkClient {
  readonly #queueOf: () => WorkQueue
  readonly #held = new Map<number, Held>()
  /** Takes that wait, by their tickets. */
  readonly #takes = new Map<number, AbortController>()
  readonly #lost: number[] = []
  #tellLoss: (() => void) | undefined
  #leases = 0
  #left = false

  /** `queueOf` throws as long as there is none. */
  constructor(queueOf: () => WorkQueue) {
    this.#queueOf = queueOf
  }

  readonly handlers: Handlers<typeof workContract> = {
    about: () => {
      const { name, jobs, bytes, maxBytes, priorities, seats, maxAttempts, durability, traits } =
        this.#queue
      const attempts = maxAttempts === Infinity ? 0 : maxAttempts
      const { dedups } = traits
      const limits = { jobs, bytes, maxBytes, priorities, seats, maxAttempts: attempts }
      return { facts: { name, ...limits, durability, dedups }, bytes: nothing }
    },
    push: async ({ facts, bytes }, { signal }) => {
      // Whoever pushes it is at the other side, and has been seen there.
      const { duplicate } = await this.#queue.pushUnseen(bytes, { ...pushOptions(facts), signal })
      return { facts: { duplicate }, bytes: nothing }
    },
    take: async ({ facts: { ticket, most } }, context) => {
      const jobs = await this.#take(ticket, most, context)
      const facts = jobs.map(([lease, job]) => ({ ...factsOf(lease, job), length: job.length }))
      const bytes = jobs.length === 1 ? jobs[0]![1].bytes : together(jobs.map(([, job]) => job))
      return { facts: { jobs: facts }, bytes }
    },
    leave: ({ facts: { ticket } }) => {
      this.#takes.get(ticket)?.abort()
      for (const [lease, held] of this.#held) {
        if (held.ticket === ticket) this.#giveBack(lease, held)
      }
      return done
    },
    settle: ({ facts }) => {
      this.#settle(facts)
      return done
    },
    flush: async () => {
      await this.#queue.flush()
      return done
    },
    losses: (_nothing, { signal }) => this.#losses(signal),
  }

  /** The connection has ended: what is in its client's hands goes back. */
  leave(): void {
    this.#left = true
    for (const control of this.#takes.values()) control.abort()
    for (const [lease, held] of this.#held) this.#giveBack(lease, held)
    this.#tellLoss?.()
  }

  get #queue(): WorkQueue {
    return this.#queueOf()
  }

  async #take(
    ticket: number,
    most: number,
    context: HandlerContext,
  ): Promise<(readonly [lease: number, job: Job])[]> {
    if (!Number.isSafeInteger(ticket) || !Number.isInteger(most) || most < 1) {
      throw invalidArgument('a take needs the number of a ticket, and how many jobs it is for')
    }
    const room = mostInHand - this.#held.size - this.#takes.size
    if (room <= 0 || this.#takes.has(ticket)) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `this client has ${String(mostInHand)} jobs of ${this.#queue.name} in hand or asked for, which is all one may: settle some of them`,
        { executed: 'no' },
      )
    }
    const control = new AbortController()
    const { signal } = control
    this.#takes.set(ticket, control)
    whenAborted(context.signal, {
      aborted: () => {
        control.abort()
      },
    })
    const found: Job[] = []
    try {
      found.push(await this.#queue.takeUnseen({ signal }))
    } finally {
      this.#takes.delete(ticket)
    }
    let bytes = found[0]!.length
    while (found.length < Math.min(most, room)) {
      // Nobody is overtaken: others of this handle wait only when there is nothing.
      const job = this.#queue.tryTake()
      if (job === undefined) break
      found.push(job)
      bytes += job.length
      if (bytes >= mostBytesAtOnce) break
    }
    if (this.#left || signal.aborted) {
      for (const job of found) giveBack(job, false)
      throw new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for this job any more')
    }
    return found.map((job) => [this.#lend(ticket, job), job] as const)
  }

  #lend(ticket: number, job: Job): number {
    const lease = ++this.#leases
    this.#held.set(lease, { job, ticket, begun: false })
    whenAborted(job.signal, {
      aborted: () => {
        if (!this.#held.delete(lease)) return
        this.#lost.push(lease)
        this.#tellLoss?.()
      },
    })
    return lease
  }

  #settle(facts: SettleFacts): void {
    const held = this.#held.get(facts.lease)
    if (held === undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_LEASE_LOST',
        `this job of work queue '${this.#queue.name}' is not in this client's hands: its lease ended, and somebody else may have it`,
      )
    }
    const { job } = held
    if (facts.how === 'begin') {
      held.begun = true
      return
    }
    if (facts.how === 'extend') {
      job.extend(facts.milliseconds)
      return
    }
    this.#held.delete(facts.lease)
    switch (facts.how) {
      case 'complete':
        job.complete()
        return
      case 'release':
        job.release({ delay: facts.delay })
        return
      case 'retry':
        job.retry({ delay: facts.delay, error: facts.error })
        return
      case 'reject':
        job.reject(facts.error)
        return
      default:
        // It is in nobody's hands any more: nobody would settle it.
        giveBack(job, false)
        throw invalidArgument('a job is settled by complete, release, retry or reject')
    }
  }

  #giveBack(lease: number, { job, begun }: Held): void {
    this.#held.delete(lease)
    giveBack(job, begun)
  }

  async *#losses(signal: AbortSignal): AsyncGenerator<Headed<{ readonly lease: number }>> {
    whenAborted(signal, {
      aborted: () => {
        this.#tellLoss?.()
      },
    })
    while (!this.#left && !signal.aborted) {
      const lease = this.#lost.shift()
      if (lease !== undefined) {
        yield { facts: { lease }, bytes: nothing }
        continue
      }
      await new Promise<void>((told) => {
        this.#tellLoss = told
      })
      this.#tellLoss = undefined
    }
  }
}

/** An attempt that its client began counts, as that of a process that died does; one that nobody began with does not. */
function giveBack(job: Job, begun: boolean): void {
  if (job.settled !== undefined) return
  try {
    if (begun) job.retry({ error: 'the connection of its worker ended' })
    else job.release()
  } catch {
    // The lease was lost, or the queue closed: it is back already.
  }
}

function factsOf(lease: number, job: Job): JobFacts {
  const { attempt, acquired, priority, token, pushedAt, id, group, traceparent } = job
  const texts = id === undefined ? { group, origin: job.origin } : { id, group }
  return {
    ...{ lease, attempt, acquired, priority },
    ...{ token: String(token), pushedAt: pushedAt.getTime() },
    ...texts,
    ...(traceparent === undefined ? {} : { headers: { traceparent } }),
  }
}

function together(jobs: readonly Job[]): Uint8Array {
  return Buffer.concat(jobs.map(({ bytes }) => bytes))
}

/** Only what a push takes: the rest of what came is nobody's. */
function pushOptions({ priority, delay, ttl, id, group, headers }: PushFacts): PushOptions {
  const options = { priority, delay, ttl, id, group }
  const traceparent = headers?.['traceparent']
  const isContext = traceparent !== undefined && traced().packTrace(traceparent) !== undefined
  return isContext ? { ...options, traceparent } : options
}
