// A work queue whose pushers and workers die: in hand, in line, in the middle of a push.

import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { MappedFile } from 'millrace'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { judgeJobs, unfinished, type JobsVerdict } from '../support/history/jobs.js'
import { expect, Ground, hangMs, Pulse, soon } from './arena.js'
import { Ledger } from './ledger.js'
import { NativeVictims } from './native-victims.js'
import { Redeliveries } from './redeliveries.js'
import { Journal } from './work-journal.js'
import { jobIn, jobsEach, leaseMsOf, optionsOf, WorkParty } from './work-party.js'

const jobs = 256
/** Deaths after which all is brought to rest and judged. */
const roundOf = 50

/** In memory; with leases that end by time; in a file; on the disk. */
export type WorkKind = 'work' | 'work-lease' | 'work-file' | 'work-disk'

export class WorkArena extends Ground {
  readonly kind: WorkKind
  readonly sides = ['producer', 'worker', 'batcher']
  readonly #name: string
  readonly #journal: Journal
  readonly #queues: WorkQueue[] = []
  readonly #taking = new Pulse()
  /** Native users that live as long as the arena. */
  readonly #bystanders: NativeVictims[] = []
  readonly #ledgerOfBystanders: Ledger
  #deaths = 0
  #resting = false
  #rested = false
  readonly #redeliveries = new Redeliveries()
  #late = 0
  #ended: string | undefined
  #expired = 0
  readonly #leaseMs: number

  constructor(tag: string, kind: WorkKind) {
    super(tag)
    this.kind = kind
    this.#leaseMs = leaseMsOf(kind)
    const inMemory = kind === 'work' || kind === 'work-lease'
    this.#name = `${tag}-${kind}`
    if (!inMemory) this.#name = join(process.env['TMPDIR'] ?? tmpdir(), this.#name)
    this.#journal = Journal.create(this.#name)
    this.#ledgerOfBystanders = Ledger.create(`${tag}-${kind}-bystanders`)
    this.#ledgerOfBystanders.set('base', 1_000_000)
  }

  override place(): string {
    return this.#name
  }

  get #isFile(): boolean {
    return this.#name.startsWith('/')
  }

  async open(): Promise<void> {
    const first = this.#open()
    this.survive(() => this.#push(first, 3))
    this.survive(() => this.#work(first, 7))
    this.survive(() => this.#workInBatches(this.#open(), 11))
    this.survive(() => this.#workManyAtATime(this.#open(), 15))
    for (const side of ['producer', 'worker']) {
      const bystander = await NativeVictims.start(this.#ledgerOfBystanders.name, this.#deaths)
      this.#bystanders.push(bystander)
      // Until the arena closes.
      bystander.watch(this.kind, side, this.#name).then(
        (how) => {
          if (!this.isOver) this.#ended ??= `a bystander ended: ${how}`
        },
        () => undefined, // closed with the arena
      )
    }
  }

  #open(): WorkQueue {
    const options: WorkQueueOptions = {
      jobs,
      bytes: 2 ** 20,
      priorities: 3,
      seats: 64,
      maxAttempts: Infinity,
      deadLetters: { jobs: 4096, bytes: 2 ** 22 },
      // Longer than a victim is stopped.
      dedupWindow: 5000,
      dedupIds: 65_536,
      ...(this.#leaseMs > 0 && { leaseTimeout: this.#leaseMs }),
      ...(this.#isFile && { durability: this.kind === 'work-disk' ? 'disk' : 'file' }),
    }
    const queue = WorkQueue.open(this.#isFile ? new MappedFile(this.#name) : this.#name, options)
    this.#queues.push(queue)
    return queue
  }

  async #push(queue: WorkQueue, who: number): Promise<void> {
    const party = new WorkParty(queue, this.#journal, who)
    for (let number = who * jobsEach; ; number++) {
      this.#rested = false
      await party.push(number, this.over.signal)
      this.traffic.sent++
      await pause(1)
      // Its numbers are used up: it goes on with those of another one.
      if (number % jobsEach === jobsEach - 1) number += 999 * jobsEach
      while (this.#resting) {
        this.#rested = true
        await pause(1, undefined, { signal: this.over.signal })
      }
    }
  }

  async #work(queue: WorkQueue, who: number): Promise<void> {
    const party = this.#party(queue, who)
    for await (const job of queue.take({ signal: this.over.signal })) await this.#done(party, [job])
  }

  async #workInBatches(queue: WorkQueue, who: number): Promise<void> {
    const party = this.#party(queue, who)
    while (!this.isOver)
      await this.#done(party, await queue.takeBatch(4, { signal: this.over.signal }))
  }

  async #workManyAtATime(queue: WorkQueue, who: number): Promise<void> {
    // What one of them has lost, another one may take.
    const idle = [who, who + 4, who + 8].map((each) => this.#party(queue, each))
    const handler = async (job: Job): Promise<void> => {
      const party = idle.pop()!
      await this.#done(party, [job])
      idle.push(party)
    }
    await queue.work(handler, { concurrency: 3, signal: this.over.signal })
  }

  #party(queue: WorkQueue, who: number): WorkParty {
    return new WorkParty(queue, this.#journal, who, this.#leaseMs)
  }

  async #done(party: WorkParty, taken: Parameters<WorkParty['work']>[0]): Promise<void> {
    this.#taking.beat()
    await party.work(taken)
    this.traffic.received += taken.length
  }

  async recover(side: string, death: bigint): Promise<number | undefined> {
    this.#journal.tell('k', this.ledger(side).get('holding'), 0, '', death)
    await soon(`jobs after the death of a ${side}`, () => {
      this.assertSound()
      return this.#taking.last > death
    })
    const waited = this.#taking.since(death)
    // Survivors and bystanders; those open their queue anew now and then.
    await soon(`the burial of a ${side}`, () => this.#queues[0]!.stats().handles <= 5)
    const many = this.#queues[0]!.stats().dead > 1000
    if (++this.#deaths % roundOf === 0 || many) {
      await this.#judge()
      this.#rest(false)
    }
    return waited
  }

  /** Brings all to rest, and judges what has happened since the last time. */
  async #judge(): Promise<void> {
    this.#rest(true)
    const producers = this.#ledgerOfBystanders
    await soon('pushers that are to rest', () => {
      this.assertSound()
      return this.#rested && producers.get('right') === 1
    })
    await this.#drained()
    const [queue] = this.#queues
    const dead = queue!.dead
    if (this.#deaths % (2 * roundOf) === 0) {
      this.#journal.tell('r', 0, 0)
      dead.redrive()
      this.#journal.tell('R', 0, 0)
      await this.#drained()
    }
    for (const { bytes, reason } of dead.peek()) {
      const job = jobIn(bytes)
      this.#journal.tell('x', 0, job)
      if (reason !== 'expired') continue
      this.#expired++
      expect(optionsOf(job).ttl !== undefined, `job ${job} has expired, and has no time to live`)
    }
    dead.purge()
    await this.#journalAtRest()
    const verdict = this.#verdict()
    this.#late += verdict.late
    this.#redeliveries.add(verdict)
    const { free, bytesUsed, deadDropped, ...more } = queue!.stats()
    const left = JSON.stringify(more)
    expect(free === jobs, `${free} of ${jobs} places are free in an empty queue: ${left}`)
    expect(bytesUsed === 0, `${bytesUsed} bytes are used in an empty queue: ${left}`)
    expect(deadDropped === 0, `${deadDropped} dead letters were dropped: ${left}`)
    expect(verdict.violations.length === 0, verdict.violations.join('; '))
    this.#journal.clear()
    // What was unsure has been judged: it is not pushed again.
    const ledger = this.ledger('producer')
    ledger.set('trying', ledger.get('done'))
  }

  #rest(resting: boolean): void {
    this.#resting = resting
    this.#rested = false
    this.#ledgerOfBystanders.set('left', resting ? 1 : 0)
  }

  async #journalAtRest(): Promise<void> {
    const end = performance.now() + hangMs
    for (;;) {
      expect(this.#ended === undefined, this.#ended!)
      const left = unfinished(this.#journal.read())
      if (left.length === 0) return
      expect(performance.now() < end, `not finished by who lives (who and job): ${left.join(', ')}`)
      await pause(2)
    }
  }

  async #drained(): Promise<void> {
    const end = performance.now() + hangMs
    for (;;) {
      this.assertSound()
      const { ready, leased, delayed, grouped, ...more } = this.#queues[0]!.stats()
      if (ready + leased + delayed + grouped === 0) return
      const left = JSON.stringify({ ready, leased, delayed, grouped, ...more })
      if (performance.now() > end) await this.#explainHang(left)
      await pause(2)
    }
  }

  async #explainHang(left: string): Promise<never> {
    await pause(100)
    const { violations } = this.#verdict()
    expect(false, `jobs are left and nobody takes them: ${left}; ${violations.join('; ')}`)
  }

  #verdict(): JobsVerdict {
    return judgeJobs(this.#journal.read(), this.#leaseMs > 0 ? this.#leaseMs * 1e6 : Infinity)
  }

  get figures(): Readonly<Record<string, number>> {
    return {
      ...this.#redeliveries.figures,
      expired: this.#expired,
      ...(this.#leaseMs > 0 && { late: this.#late }),
    }
  }

  whileStopped(): () => void {
    // One that is taken for dead finds its settle refused afterwards: a violation in the journal.
    const deaths = this.#queues[0]!.stats().deaths
    return () => {
      expect(this.#queues[0]!.stats().deaths === deaths, 'a stopped one was buried')
    }
  }

  protected async leave(): Promise<void> {
    try {
      await this.#judge()
      await this.#fillAndEmpty()
    } finally {
      this.over.abort()
      for (const bystander of this.#bystanders) await bystander.endNow()
      for (const queue of this.#queues) queue.close()
      if (this.#isFile) rmSync(this.#name, { force: true })
      else WorkQueue.unlink(this.#name)
      this.#ledgerOfBystanders.close()
      this.#journal.remove()
    }
  }

  /** Every place is found by whoever pushes, and every job by whoever takes. */
  async #fillAndEmpty(): Promise<void> {
    this.over.abort()
    await Promise.allSettled(this.work)
    for (const bystander of this.#bystanders) await bystander.endNow()
    const [queue] = this.#queues
    // Who waits and has nothing to look after looks for the dead once in as many seconds as there are handles, dead ones among them.
    const end = performance.now() + hangMs + 2000 * queue!.stats().handles
    while (queue!.stats().handles > this.#queues.length) {
      expect(performance.now() < end, 'killed bystanders are not buried')
      await queue!.takeOne({ timeout: 5000 }).catch(() => undefined)
    }
    let pushed = 0
    while (queue!.tryPush('x', { priority: pushed % 3 })) pushed++
    expect(pushed === jobs, `an empty queue of ${jobs} jobs takes ${pushed}`)
    let taken = 0
    while (queue!.tryReceive() !== undefined) taken++
    expect(taken === jobs, `${taken} of ${pushed} jobs are found`)
  }
}
