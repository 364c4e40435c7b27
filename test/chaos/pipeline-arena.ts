// A pipeline of three stages whose pushers and workers die: in hand, while a job moves on, while others are held back behind it.

import { setTimeout as pause } from 'node:timers/promises'
import { Pipeline } from 'millrace/work'

import { unfinished } from '../support/history/jobs.js'
import { judgeStages } from '../support/history/stages.js'
import { expect, Ground, hangMs, Pulse, soon } from './arena.js'
import { Ledger } from './ledger.js'
import { NativeVictims } from './native-victims.js'
import {
  jobInStage,
  openStages,
  orderedStage,
  StageParty,
  stagedJobs,
  stageNames,
  type StageName,
} from './pipeline-party.js'
import { Redeliveries } from './redeliveries.js'
import { Journal } from './work-journal.js'
import { jobsEach } from './work-party.js'

/** Deaths after which all is brought to rest and judged. */
const roundOf = 50
const stages = { count: stageNames.length, ordered: orderedStage }

export class PipelineArena extends Ground {
  readonly kind = 'pipeline'
  readonly sides = ['producer', ...stageNames]
  readonly #name: string
  readonly #journal: Journal
  /** That of the survivors, each of whom has what it does written down for itself. */
  #etl!: Pipeline<StageName>
  readonly #parties: StageParty[] = []
  readonly #ends = new Pulse()
  /** Native users that live as long as the arena. */
  readonly #bystanders: NativeVictims[] = []
  readonly #ledgerOfBystanders: Ledger
  /** How a bystander ended that was not to. */
  #ended: string | undefined
  #deaths = 0
  #resting = false
  #rested = false
  /** Handles of those that are not killed. */
  #handles = 0
  readonly #redeliveries = new Redeliveries()

  constructor(tag: string) {
    super(tag)
    this.#name = `${tag}-pipeline`
    this.#journal = Journal.create(this.#name)
    this.#ledgerOfBystanders = Ledger.create(`${tag}-pipeline-bystanders`)
    this.#ledgerOfBystanders.set('base', 1_000_000)
  }

  override place(): string {
    return this.#name
  }

  async open(): Promise<void> {
    const [first, middle, last] = [0, 1, 2].map((stage) => this.#party(8 * stage + 7, stage))
    this.#etl = openStages(this.#name, { first: first!, middle: middle!, last: last! }, 4)
    const pusher = this.#party(31, 0)
    this.survive(() => this.#push(pusher))
    for (const name of stageNames) this.survive(() => this.#work(name))
    for (const side of ['producer', 'middle']) {
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
    // The first stage's is also the pusher's.
    this.#handles = stageNames.length + this.#bystanders.length
  }

  #party(who: number, stage: number): StageParty {
    const party = new StageParty(this.#journal, who, stage, () => {
      this.traffic.received += stage === stageNames.length - 1 ? 1 : 0
      this.#ends.beat()
    })
    this.#parties.push(party)
    return party
  }

  async #push(party: StageParty): Promise<void> {
    for (let number = 31 * jobsEach; ; number++) {
      this.#rested = false
      await party.push(this.#etl, number, this.over.signal)
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

  async #work(stage: StageName): Promise<void> {
    await this.#etl.work(stage, { signal: this.over.signal })
  }

  async recover(side: string, death: bigint): Promise<number | undefined> {
    this.#journal.tell('k', this.ledger(side).get('holding'), 0, '', death)
    await soon(`jobs after the death of a ${side}`, () => {
      this.assertSound()
      return this.#ends.last > death
    })
    const waited = this.#ends.since(death)
    await soon(`the burial of a ${side}`, () => this.#etl.stats().handles <= this.#handles)
    const many = this.#etl.stats().dead > 1000
    if (++this.#deaths % roundOf === 0 || many) {
      await this.#judge()
      this.#rest(false)
    }
    return waited
  }

  /** Brings all to rest, and judges what has happened since the last time. */
  async #judge(): Promise<void> {
    this.#rest(true)
    await soon('pushers that are to rest', () => {
      this.assertSound()
      return this.#rested && this.#ledgerOfBystanders.get('right') === 1
    })
    await this.#drained()
    const { dead } = this.#etl
    for (const { bytes, stage } of dead.peek()) {
      const at = stageNames.findIndex((name) => name === stage)
      this.#journal.tell('x', 0, jobInStage(bytes, at), String(at))
    }
    dead.purge()
    await soon('a journal at rest', () => {
      expect(this.#ended === undefined, this.#ended!)
      for (const party of this.#parties) party.tellMoved()
      return unfinished(this.#journal.read()).length === 0
    })
    const verdict = judgeStages(this.#journal.read(), stages)
    this.#redeliveries.add(verdict)
    const { free, bytesUsed, deadDropped, ...more } = this.#etl.stats()
    const left = JSON.stringify(more)
    expect(free === stagedJobs, `${free} of ${stagedJobs} places are free when all ended: ${left}`)
    expect(bytesUsed === 0, `${bytesUsed} bytes are used in an empty pipeline: ${left}`)
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

  async #drained(): Promise<void> {
    try {
      await this.#etl.idle({ timeout: hangMs })
    } catch (error) {
      this.assertSound()
      const { violations } = judgeStages(this.#journal.read(), stages)
      const left = JSON.stringify(this.#etl.stats())
      expect(false, `${String(error)}: jobs are left: ${left}; ${violations.join('; ')}`)
    }
    this.assertSound()
  }

  get figures(): Readonly<Record<string, number>> {
    return this.#redeliveries.figures
  }

  whileStopped(): () => void {
    // One that is taken for dead finds its settle refused afterwards: a violation in the journal.
    const { deaths } = this.#etl.stats()
    return () => {
      expect(this.#etl.stats().deaths === deaths, 'a stopped one was buried')
    }
  }

  protected async leave(): Promise<void> {
    try {
      await this.#judge()
      await this.#fillAndEmpty()
    } finally {
      this.over.abort()
      for (const bystander of this.#bystanders) await bystander.endNow()
      this.#etl.close()
      Pipeline.unlink(this.#name)
      this.#ledgerOfBystanders.close()
      this.#journal.remove()
    }
  }

  /** Every place is found by whoever pushes, and every job in every stage by whoever takes, in order. */
  async #fillAndEmpty(): Promise<void> {
    this.over.abort()
    await Promise.allSettled(this.work)
    for (const bystander of this.#bystanders) await bystander.endNow()
    using etl = openStages(this.#name)
    etl.stats() // it is open before the other one closes, which would be the last
    this.#etl.close()
    // Who waits and has nothing to look after looks for the dead once in as many seconds as there are handles, dead ones among them.
    const end = performance.now() + hangMs + 2000 * etl.stats().handles
    while (etl.stats().handles > 1) {
      expect(performance.now() < end, 'killed bystanders are not buried')
      const wait = { signal: AbortSignal.timeout(100) }
      await nextOf(etl.take('first', wait)).catch(() => undefined)
    }
    let pushed = 0
    while (etl.tryPush(String(pushed))) pushed++
    expect(pushed === stagedJobs, `an empty pipeline of ${stagedJobs} jobs takes ${pushed}`)
    for (const stage of stageNames) {
      let at = 0
      for await (const job of etl.take(stage)) {
        const found = job.copy().toString()
        expect(found === String(at), `job ${found} is in the place of ${at} in stage ${stage}`)
        job.complete()
        if (++at === pushed) break
      }
    }
  }
}

async function nextOf(jobs: AsyncIterable<unknown>): Promise<void> {
  for await (const job of jobs) expect(job === undefined, 'a job is left')
}
