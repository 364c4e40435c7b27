// One side of a route of jobs: a queue of this machine's memory, one that a process shares, or one of an engine. What each cannot carry
// by itself (groups and priorities of some engines) goes along in headers, and is there again on the other side.

import type { NativeWork } from '../../addon/work.js'
import type { PushTold } from '../../engines/port.js'
import { invalidArgument, type MillraceError } from '../../errors.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { RemoteOptions } from '../../net/share.js'
import { addressElsewhere } from '../../place/elsewhere.js'
import type { RemoteJob } from '../../remote/work/job.js'
import type { RemoteWorkQueue } from '../../remote/work/queue.js'
import type { Job } from '../../work/job.js'
import type { JobOptions, WorkQueueOptions } from '../../work/options.js'
import type { WorkQueue } from '../../work/work-queue.js'
import { NamedObject } from '../named-object.js'
import { asHeader, headerNames, hopsOf, ofHeader, type Headers } from '../origin.js'
import { passedOf, tellPassed, unwatchPassed, watchPassed } from './passed.js'

/** A job on its way. */
export interface Carried {
  readonly job: Job
  readonly bytes: Uint8Array
  /** Undefined: it has none, and nobody can tell it from others like it. */
  readonly id: string | undefined
  readonly group: string | undefined
  readonly priority: number
  readonly hops: readonly string[]
  readonly origin: string | undefined
  /** The context of its trace, as W3C writes it. */
  readonly traceparent: string | undefined
}

export interface EndOptions {
  readonly place: string
  readonly queue: Omit<WorkQueueOptions, 'connection'> | undefined
  readonly connection: RemoteOptions | undefined
  /** Does nobody else take there? */
  readonly alone: boolean
  /** So many are always wanted from there. */
  readonly ahead?: number
  /** What this gateway is called. */
  readonly host: string
}

/** Bytes of the longest id that goes as it is; a longer one goes as its hash, by which it is known again as well. */
const longestId = 1024
/** Of one that a gateway has made of what a job is called elsewhere: every engine has room for that. */
const longestMade = 255

type Queue = WorkQueue | RemoteWorkQueue

export class WorkEnd {
  readonly #queue: Queue
  /** Undefined: it is elsewhere. */
  readonly object: NamedObject | undefined
  /** Of its traits, what is asked for each job. */
  readonly isHere: boolean
  /** Are jobs of a group handed out one at a time, in their order? */
  readonly keepsGroups: boolean
  readonly #hasPriorities: boolean
  /** In front of what jobs without an id are called: this host, if they are of its memory, and the queue. */
  readonly #host: string
  readonly #name: string
  #isWatched = false
  #lastHeaders: Headers | undefined
  #lastHops: readonly string[] = []

  private constructor(queue: Queue, host: string, name: string) {
    this.#queue = queue
    const { local, groups, priorities } = queue.traits
    this.isHere = local
    this.keepsGroups = groups
    this.#hasPriorities = priorities
    this.#host = host
    this.#name = name
    this.object = NamedObject.of(queue, `work queue '${queue.name}'`)
  }

  /** @throws MillraceError as `WorkQueue.open` */
  static open({ place, queue, connection, alone, ahead, host }: EndOptions): WorkEnd {
    const { WorkQueue, readWorkOptions, readWork, workAt } =
      require('../../work/carrying.js') as typeof import('../../work/carrying.js')
    const address = addressElsewhere(place)
    if (address === undefined) {
      if (alone) {
        throw invalidArgument(
          `alone is for queues of engines: '${place}' gives back at once, and in order, what a gateway that died had in hand`,
        )
      }
      const opened = WorkQueue.open(place, queue)
      opened.keepJobs()
      return new WorkEnd(opened, `${host}/`, `${opened.name}/`)
    }
    const { openWork } = require('../../remote/open.js') as typeof import('../../remote/open.js')
    const { native: wanted } = readWorkOptions('elsewhere', queue)
    const opened = openWork(address, { ...wanted, alone, ahead }, connection, { readWork, workAt })
    return new WorkEnd(opened, '', `${opened.name}/`)
  }

  /** Jobs are taken here: what routes of this process push here meanwhile is remembered. */
  watch(): void {
    if (!this.isHere) return
    this.#isWatched = true
    watchPassed(this.#queue.name)
  }

  /** Was the id made of what a job of this queue is called here? Then it has come back to where it was without one. */
  hasMade(id: string | undefined): boolean {
    return this.isHere && id?.startsWith(this.#host + this.#name) === true
  }

  get dedups(): boolean {
    return this.#queue.traits.dedups
  }

  /** Is a job there until it is settled, whoever dies? */
  get keeps(): boolean {
    return this.#queue.traits.redelivers
  }

  get connections(): readonly ConnectionStatus[] {
    const { connection } = this.#queue
    return connection === undefined ? [] : [connection]
  }

  /** Ids that are known again at a time; undefined: that is not known here. */
  get knownIds(): number | undefined {
    // Only a queue of this machine's memory has it.
    return this.isHere ? nativeOf(this.#queue).keys : undefined
  }

  /** Milliseconds of a lease of this machine's memory; 0: leases do not end. */
  get leaseMs(): number {
    return this.isHere ? nativeOf(this.#queue).leaseMs : 0
  }

  async ready(signal: AbortSignal): Promise<void> {
    await this.#queue.connected({ signal })
  }

  async take(most: number, signal: AbortSignal): Promise<readonly Job[]> {
    return await this.#queue.takeBatch(most, { signal })
  }

  /** What there is of a job that was taken here. Throws if it is not ours any more. */
  read(job: Job): Carried {
    const { headers, origin } = job as unknown as RemoteJob
    return {
      job,
      bytes: job.carried(),
      id: job.id ?? (origin === undefined ? undefined : this.#made(origin)),
      group: job.group ?? ofHeader(headers?.[headerNames.group]),
      priority: Math.max(job.priority, priorityOf(headers)),
      hops: this.isHere ? passedOf(this.#queue.name, job.id) : this.#hopsOf(headers),
      origin: headers?.[headerNames.origin],
      traceparent: job.traceparent,
    }
  }

  /** Pushes what was taken elsewhere; `passed`: what the next gateway is told. `told` hears of it once, perhaps before this returns. */
  push(
    { bytes, id: given, group, priority, hops, traceparent }: Carried,
    passed: Headers,
    signal: AbortSignal,
    told: PushTold,
  ): void {
    const queue = this.#queue
    let level = 0
    try {
      if (priority > 0 && this.#hasPriorities) level = Math.min(priority, queue.priorities - 1)
    } catch (error) {
      told(error)
      return
    }
    const id = given !== undefined && isLong(given) ? hashOf(given) : given
    const job: JobOptions = {
      id,
      group: this.keepsGroups ? group : undefined,
      priority: level,
      traceparent,
    }
    if (!('carry' in queue)) {
      // Before: whoever takes it may be faster.
      tellPassed(queue.name, id, hops)
      const isPlain = group === undefined && traceparent === undefined && id !== ''
      const pushed = isPlain ? queue.pushAtOnce(bytes, level, id ?? '') : undefined
      if (pushed !== undefined) told(undefined, pushed)
      else {
        queue.push(bytes, { ...job, signal }).then((result) => {
          told(undefined, result)
        }, told)
      }
      return
    }
    const isPlain = group === undefined && priority === 0
    const headers = isPlain
      ? passed
      : {
          ...passed,
          ...(group === undefined ? {} : { [headerNames.group]: asHeader(group) }),
          ...(priority === 0 ? {} : { [headerNames.priority]: String(priority) }),
        }
    queue.carry(bytes, job, headers, signal, told)
  }

  /** These jobs were taken here, and are done: resolves when that is known here, as far as they were ours. Undefined: it is. Never rejects. */
  complete(jobs: readonly Job[]): Promise<void> | undefined {
    const queue = this.#queue
    if ('completeAll' in queue) return queue.completeAll(jobs as unknown as RemoteJob[])
    for (const job of jobs) {
      try {
        void job.complete()
      } catch {
        // Then it is taken again, by whoever has it now.
      }
    }
    return undefined
  }

  /** Jobs of one message have the same headers. */
  #hopsOf(headers: Headers | undefined): readonly string[] {
    if (headers === undefined || headers !== this.#lastHeaders) {
      this.#lastHeaders = headers
      this.#lastHops = hopsOf(headers)
    }
    return this.#lastHops
  }

  async close(): Promise<void> {
    if (this.#isWatched) unwatchPassed(this.#queue.name)
    this.#isWatched = false
    await this.#queue[Symbol.asyncDispose]()
  }

  /** An id for a job that has none. */
  #made(origin: string): string {
    const whole = this.#host + this.#name + origin
    return Buffer.byteLength(whole) > longestMade ? this.#host + hashOf(whole) : whole
  }
}

/** No character takes more than three bytes. */
function isLong(id: string): boolean {
  return 3 * id.length > longestId && Buffer.byteLength(id) > longestId
}

function hashOf(id: string): string {
  const { createHash } = process.getBuiltinModule('node:crypto')
  return createHash('sha256').update(id).digest('base64url')
}

/** Of a queue of this machine's memory. */
function nativeOf(queue: Queue): NativeWork {
  return (queue as unknown as { readonly native: NativeWork }).native
}

function priorityOf(headers: Headers | undefined): number {
  const number = Number(headers?.[headerNames.priority] ?? 0)
  return Number.isInteger(number) && number > 0 && number < 32 ? number : 0
}

/** Is it this job that the other side does not take, and would not take the next time? */
export function isPoison(error: unknown): boolean {
  const { code } = error as Partial<MillraceError>
  return (
    code === 'ERR_MILLRACE_TOO_LARGE' ||
    code === 'ERR_MILLRACE_INVALID_ARGUMENT' ||
    code === 'ERR_MILLRACE_UNSUPPORTED'
  )
}
