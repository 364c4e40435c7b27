// Who works on the work queue of `npm run chaos` in JavaScript: victims and survivors do the same. As in work_victims.hpp.

import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import type { Job, PushOptions, WorkQueue } from 'millrace/work'

import { Random } from '../support/random.js'
import { expect } from './arena.js'
import type { Journal } from './work-journal.js'

/** Jobs of one pusher. */
export const jobsEach = 2 ** 16

/** The options of a job, as they follow from its number. */
export function optionsOf(number: number): PushOptions & { readonly priority: number } {
  const nth = number % jobsEach
  return {
    priority: nth % 3,
    ...(nth % 7 === 2 && { delay: nth % 10 }),
    ...(nth % 5 === 1 && { group: `g${nth % 4}` }),
    ...(nth % 3 === 0 && { id: `job-${number}` }),
  }
}

export function payloadOf(number: number): Buffer {
  const nth = number % jobsEach
  const words = nth % 16 === 3 ? 128 + (nth % 900) : 1 + (nth % 24)
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

export class WorkParty {
  readonly #queue: WorkQueue
  readonly #journal: Journal
  readonly #who: number
  readonly #random: Random

  constructor(queue: WorkQueue, journal: Journal, who: number) {
    this.#queue = queue
    this.#journal = journal
    this.#who = who
    this.#random = new Random(who)
  }

  async push(number: number, signal?: AbortSignal): Promise<void> {
    const { group = '-', delay = 0, priority, ...more } = optionsOf(number)
    this.#journal.tell('p', this.#who, number, `${priority} ${group} ${delay}`)
    const grouped = group === '-' ? {} : { group }
    await this.#queue.push(payloadOf(number), { ...more, ...grouped, priority, delay, signal })
    this.#journal.tell('c', this.#who, number)
  }

  /** Jobs of which none may be in line before one another: what is taken ahead is begun when its bytes are looked at. */
  async work(jobs: readonly Job[]): Promise<void> {
    const held = jobs.map((job) => {
      const { attempt, acquired } = job
      const number = jobIn(job.bytes)
      this.#journal.tell('s', this.#who, number, `${attempt} ${acquired}`)
      return { job, number }
    })
    for (const { job, number } of held) {
      await this.#pause()
      this.#settle(job, number)
    }
  }

  #settle(job: Job, number: number): void {
    const dice = this.#random.below(100)
    const delay = this.#random.below(2)
    const how = dice < 80 ? 'complete' : dice < 91 ? 'release' : dice < 99 ? 'retry' : 'reject'
    this.#journal.tell('b', this.#who, number, how)
    try {
      if (how === 'complete') job.complete()
      else if (how === 'release') job.release({ delay })
      else if (how === 'retry') job.retry({ delay, error: new Error('it failed') })
      else job.reject('it cannot be done')
      this.#journal.tell('d', this.#who, number)
    } catch (error) {
      if ((error as { code?: string }).code !== 'ERR_MILLRACE_LEASE_LOST') throw error
      this.#journal.tell('l', this.#who, number)
    }
  }

  async #pause(): Promise<void> {
    if (this.#random.below(8) === 0) await pause(this.#random.below(2))
    else await turn()
  }
}
