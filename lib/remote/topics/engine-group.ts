// A member of a queue group of an engine that hands messages out once: each is with the member that it was given to, and ends with it.

import { startTimer } from '../../base/time.js'
import type {
  EngineJob,
  EngineMessage,
  EngineQueueFacts,
  EngineSettle,
  EngineTopics,
  EngineWork,
} from '../../engines/port.js'
import { MillraceError } from '../../errors.js'
import type { GroupParts } from '../../topics/elsewhere.js'
import { nothing } from '../headed.js'
import { unsupported } from '../unsupported.js'
import { engineWorkLine } from '../work/engine.js'
import { mostUnread } from './engine.js'
import type { GroupLine } from './group-contract.js'

const mostBytes = 67_108_864
const mostAttempts = 5

export function engineGroupLine(
  topics: EngineTopics,
  name: string,
  envelopeOf: GroupParts['envelopeOf'],
): GroupLine {
  const work = new Member(topics, name, envelopeOf)
  // The properties stay what they are: some are read anew each time.
  return Object.assign(engineWorkLine(work, name), {
    join: async ({ facts }: Parameters<GroupLine['join']>[0]) => {
      const { filters, group, depth } = facts
      await work.join(filters, group, depth ?? mostUnread)
      return { facts: {}, bytes: nothing }
    },
  })
}

class Member implements EngineWork {
  readonly #topics: EngineTopics
  readonly #name: string
  readonly #envelopeOf: GroupParts['envelopeOf']
  readonly #jobs: MemberJob[] = []
  readonly #waiting = new Set<() => void>()
  #depth = mostUnread
  #bytes = 0
  #index = 0
  #dropped = 0

  constructor(topics: EngineTopics, name: string, envelopeOf: GroupParts['envelopeOf']) {
    this.#topics = topics
    this.#name = name
    this.#envelopeOf = envelopeOf
    void topics.ended.then(() => {
      this.#wake()
    })
  }

  get facts(): EngineQueueFacts {
    const limits = { jobs: this.#depth, bytes: mostBytes, maxBytes: this.#topics.maxBytes }
    return {
      ...limits,
      maxAttempts: mostAttempts,
      durability: 'memory',
      dedups: false,
      priorities: 1,
    }
  }
  get ended(): Promise<Error | undefined> {
    return this.#topics.ended
  }
  get closed(): boolean {
    return this.#topics.closed
  }

  close(): void {
    this.#topics.close()
  }

  hold(alive: boolean): void {
    this.#topics.hold(alive)
  }

  async join(filters: readonly string[], group: string, depth: number): Promise<void> {
    this.#depth = Math.min(depth, mostUnread)
    await this.#topics.subscribe(filters, group, (message) => {
      this.#arrived(message)
    })
  }

  push(): Promise<never> {
    return Promise.reject(unsupported(`a push to the group of '${this.#name}'`, 'publish instead'))
  }

  flush(): Promise<void> {
    return Promise.resolve()
  }

  lost(): void {
    // They end with the process, or the connection.
  }

  async take(most: number, signal: AbortSignal): Promise<readonly EngineJob[]> {
    while (this.#jobs.length === 0) {
      if (this.closed) {
        throw new MillraceError(
          'ERR_MILLRACE_PEER_GONE',
          `the connection to '${this.#name}' has ended`,
          { executed: 'unknown' },
        )
      }
      if (signal.aborted) {
        throw new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for this job any more')
      }
      await new Promise<void>((woken) => {
        const wake = (): void => {
          this.#waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          woken()
        }
        this.#waiting.add(wake)
        signal.addEventListener('abort', wake)
      })
    }
    const taken = this.#jobs.splice(0, most)
    for (const job of taken) {
      this.#bytes -= job.bytes.length
      job.attempt++
      job.acquired++
    }
    if (!signal.aborted) return taken
    for (const job of taken.reverse()) this.back(job, false)
    throw new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for this job any more')
  }

  /** Before all others, as where a queue is: it is the oldest. */
  back(job: MemberJob, counts: boolean): void {
    if (this.closed || (counts && job.attempt >= mostAttempts)) return
    if (!counts) job.attempt--
    this.#bytes += job.bytes.length
    this.#jobs.unshift(job)
    this.#wake()
  }

  #arrived({ subject, bytes, headers, publishedAt }: EngineMessage): void {
    const index = this.#index++
    let envelope: Uint8Array
    try {
      envelope = this.#envelopeOf(subject, index, publishedAt, bytes, headers)
    } catch {
      // More headers than a message of this package has.
      envelope = this.#envelopeOf(subject, index, publishedAt, bytes, undefined)
    }
    if (this.#jobs.length >= this.#depth || this.#bytes + envelope.length > mostBytes) {
      this.#drop()
      return
    }
    this.#bytes += envelope.length
    this.#jobs.push(new MemberJob(this, { envelope, publishedAt, index, headers }))
    this.#wake()
  }

  #drop(): void {
    if (this.#dropped++ > 0) return
    process.emitWarning(
      `a member of a queue group of '${this.#name}' lags behind and has no room: messages for it are dropped; let it work faster, ` +
        'or start more members',
      { code: 'MILLRACE_MESSAGES_DROPPED' },
    )
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}

class MemberJob implements EngineJob {
  readonly bytes: Uint8Array
  readonly pushedAt: number
  readonly token: bigint
  readonly priority = 0
  readonly id = undefined
  readonly group = undefined
  /** `traceparent` alone: the others are in the envelope. */
  readonly headers: Readonly<Record<string, string>> | undefined
  attempt = 0
  acquired = 0
  readonly #member: Member

  constructor(
    member: Member,
    {
      envelope,
      publishedAt,
      index,
      headers,
    }: Pick<EngineMessage, 'publishedAt' | 'headers'> & {
      readonly envelope: Uint8Array
      readonly index: number
    },
  ) {
    this.#member = member
    this.bytes = envelope
    this.pushedAt = publishedAt
    this.token = BigInt(index)
    const traceparent = headers?.['traceparent']
    this.headers = traceparent === undefined ? undefined : { traceparent }
  }

  settle(settled: EngineSettle): Promise<void> {
    if (settled.how === 'release' || settled.how === 'retry') {
      const counts = settled.how === 'retry'
      const back = (): void => {
        this.#member.back(this, counts)
      }
      if (settled.delay > 0) startTimer(settled.delay, back)
      else back()
    }
    return Promise.resolve()
  }

  extend(): Promise<void> {
    return Promise.resolve()
  }
}
