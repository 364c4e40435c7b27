// Who works on the work queue of `npm run chaos` in JavaScript: victims and survivors do the same. As in work_victims.hpp.

import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { monotonicNow } from 'millrace'
import type { Job, PushOptions, WorkQueue } from 'millrace/work'

import { Random } from '../support/random.js'
import { expect } from './arena.js'
import type { Journal } from './work-journal.js'

/** Jobs of one pusher. */
export const jobsEach = 2 ** 16

/** How long a lease is, in milliseconds; 0: as long as its holder lives. */
export function leaseMsOf(kind: string): number {
  return kind === 'work-lease' ? 50 : 0
}

/** The options of a job, as they follow from its number. */
export function optionsOf(number: number): PushOptions & { readonly priority: number } {
  const nth = number % jobsEach
  return {
    priority: nth % 3,
    ...(nth % 7 === 2 && { delay: nth % 10 }),
    ...(nth % 5 === 1 && { group: `g${nth % 4}` }),
    ...(nth % 5 === 3 && { ttl: 1 + (nth % 16) }),
    ...(nth % 3 === 0 && { id: `job-${number}` }),
  }
}

/** Of 64 bits, in the payload of that job. */
export function wordsOf(number: number): number {
  const nth = number % jobsEach
  return nth % 16 === 3 ? 128 + (nth % 900) : 1 + (nth % 24)
}

export function payloadOf(number: number, words = wordsOf(number)): Buffer {
  const payload = Buffer.allocUnsafe(8 * words)
  payload.writeBigUInt64LE(BigInt(number))
  for (let i = 1; i < words; i++) {
    const word = number * 31 + i
    payload.writeUInt32LE(word % 2 ** 32, 8 * i)
    payload.writeUInt32LE(Math.floor(word / 2 ** 32), 8 * i + 4)
  }
  return payload
}

/** The number of the job with this payload; a violation if it is not whole. */
export function jobIn(bytes: Uint8Array): number {
  const found = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const number = found.length < 8 ? 0 : Number(found.readBigUInt64LE())
  expect(payloadOf(number).equals(found), `a payload of ${found.length} bytes is not whole`)
  return number
}

/** Where `leaseMs` is not 0, some are slower than their lease, and some make it longer. */
export class WorkParty {
  readonly #queue: WorkQueue
  readonly #journal: Journal
  readonly #who: number
  readonly #random: Random
  readonly #leaseMs: number
  /** What is taken from now on is leased after this. */
  #since = monotonicNow()

  constructor(queue: WorkQueue, journal: Journal, who: number, leaseMs = 0) {
    this.#queue = queue
    this.#journal = journal
    this.#who = who
    this.#random = new Random(who)
    this.#leaseMs = leaseMs
  }

  async push(number: number, signal?: AbortSignal): Promise<void> {
    const { group = '-', delay = 0, ttl = 0, priority, ...more } = optionsOf(number)
    // Either may change the order in which jobs are taken.
    this.#journal.tell('p', this.#who, number, `${priority} ${group} ${delay + ttl}`)
    const grouped = group === '-' ? {} : { group }
    const timed = ttl === 0 ? {} : { ttl }
    const options = { ...more, ...grouped, ...timed, priority, delay, signal }
    await this.#queue.push(payloadOf(number), options)
    this.#journal.tell('c', this.#who, number)
  }

  /** Jobs of which none may be in line before one another: what is taken ahead is begun when its bytes are looked at. */
  async work(jobs: readonly Job[]): Promise<void> {
    const held = jobs.flatMap((job) => {
      const number = this.#begin(job)
      return number === undefined ? [] : [{ job, number }]
    })
    for (const { job, number } of held) {
      await this.#pause()
      if (await this.#keep(job, number)) this.#settle(job, number)
    }
    this.#since = monotonicNow()
  }

  /** Undefined: it may have been taken away by now, so nothing is said of it. */
  #begin(job: Job): number | undefined {
    const { attempt, acquired } = job
    let number = 0
    let broken: unknown
    try {
      number = jobIn(job.bytes)
    } catch (error) {
      broken = error
    }
    const at = monotonicNow()
    if (this.#leaseMs > 0 && Number(at - this.#since) > this.#leaseMs * 5e5) {
      this.#isOurs(() => {
        job.release()
      })
      return undefined
    }
    if (broken !== undefined) throw broken as Error
    const since = this.#leaseMs > 0 ? ` 0 ${this.#since}` : ''
    this.#journal.tell('s', this.#who, number, `${attempt} ${acquired}${since}`, at)
    return number
  }

  #settle(job: Job, number: number): void {
    const dice = this.#random.below(100)
    const delay = this.#random.below(2)
    const how = dice < 80 ? 'complete' : dice < 91 ? 'release' : dice < 99 ? 'retry' : 'reject'
    this.#journal.tell('b', this.#who, number, how)
    const done = this.#isOurs(() => {
      if (how === 'complete') job.complete()
      else if (how === 'release') job.release({ delay })
      else if (how === 'retry') job.retry({ delay, error: new Error('it failed') })
      else job.reject('it cannot be done')
    })
    this.#journal.tell(done ? 'd' : 'l', this.#who, number)
  }

  /** Has it in hand for longer than the lease, now and then. False: it was lost, and that was told. */
  async #keep(job: Job, number: number): Promise<boolean> {
    if (this.#leaseMs === 0) return true
    const dice = this.#random.below(40)
    if (dice === 0) await pause(2 * this.#leaseMs)
    for (let left = dice === 1 ? 4 : 0; left > 0; left--) {
      await pause(this.#leaseMs / 2)
      const since = monotonicNow()
      const kept = this.#isOurs(() => {
        job.extend(this.#leaseMs)
      })
      this.#journal.tell(kept ? 'e' : 'l', this.#who, number, kept ? String(since) : '')
      if (!kept) return false
    }
    return true
  }

  /** False: the lease was over. */
  #isOurs(call: () => void): boolean {
    try {
      call()
      return true
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_MILLRACE_LEASE_LOST') throw error
      return false
    }
  }

  async #pause(): Promise<void> {
    if (this.#random.below(8) === 0) await pause(this.#random.below(2))
    else await turn()
  }
}
