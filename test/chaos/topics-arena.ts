// A bus whose publishers die, and one whose subscribers do.

import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { Topics, type Policy, type Subscription } from 'millrace/topics'

import { expect, Ground, Pulse, soon } from './arena.js'
import { contentOf, numberIn } from './content.js'

const options = { messages: 64, bytes: 2 ** 16, subscriptions: 16 }
const survivors = 'survivor.numbers'
const victims = 'victim.numbers'

/** What a subscriber in this process has seen. */
class Witness {
  readonly policy: Policy
  readonly pulse = new Pulse()
  subscription?: Subscription
  readonly last: Record<string, number> = { [survivors]: 0, [victims]: 0 }
  count = 0
  missed = 0

  constructor(policy: Policy) {
    this.policy = policy
  }
}

/** Publishes numbers without end. */
class Numbers {
  readonly pulse = new Pulse()
  published = 0
}

export class TopicsArena extends Ground {
  readonly kind = 'topics'
  readonly sides = ['publisher', 'subscriber-wait', 'subscriber-overwrite']
  readonly #buses: Topics[] = []
  /** Of the bus whose publishers die. */
  readonly #all = new Witness('wait')
  readonly #slow = new Witness('overwrite-oldest')
  readonly #beside = new Numbers()
  /** That a publisher was killed with: they may have been published, or not. */
  readonly #unsure = new Set<number>()
  /** Of the bus whose subscribers die. */
  readonly #other = new Witness('wait')
  readonly #numbers = new Numbers()
  #stopping = false

  override place(side: string): string {
    return super.place(side === 'publisher' ? 'publisher' : 'subscriber')
  }

  async open(): Promise<void> {
    const filters = [survivors, victims]
    const bus = this.#open('publisher')
    // Never read, and in nobody's way.
    await bus.subscribe('nobody.>')
    for (const witness of [this.#all, this.#slow]) {
      const { policy } = witness
      witness.subscription = await this.#open('publisher').subscribe(filters, { policy })
      this.survive(() => this.#watch(witness))
    }
    this.survive(() => this.#publish(bus, this.#beside))
    this.#other.subscription = await this.#open('subscriber-wait').subscribe(filters)
    this.survive(() => this.#watch(this.#other))
    const numbers = this.#open('subscriber-wait')
    this.survive(() => this.#publish(numbers, this.#numbers))
  }

  #open(side: string): Topics {
    const bus = Topics.open(this.place(side), options)
    this.#buses.push(bus)
    return bus
  }

  async #publish(bus: Topics, numbers: Numbers): Promise<void> {
    const { signal } = this.over
    while (!this.isOver && !this.#stopping) {
      await bus.publish(survivors, contentOf(numbers.published + 1), { signal })
      numbers.published++
      this.traffic.sent++
      numbers.pulse.beat()
      await turn()
    }
  }

  async #watch(witness: Witness): Promise<void> {
    const { signal } = this.over
    const { last, policy, pulse, subscription } = witness
    while (!this.isOver) {
      using message = await subscription!.receive({ signal })
      pulse.beat()
      const { subject, missed } = message
      const number = numberIn(message.bytes)
      const before = last[subject]!
      expect(number > before, `${subject}: ${number} came after ${before} (${policy})`)
      if (policy === 'wait') {
        expect(missed === 0, `${missed} missed`)
        for (let lost = before + 1; lost < number; lost++) {
          const was = subject === victims && this.#unsure.has(lost)
          expect(was, `${subject}: ${lost} is not there, ${number} is`)
        }
      }
      last[subject] = number
      witness.count++
      witness.missed += missed
      if (policy !== 'wait' && witness.count % options.messages === 0) await pause(2)
    }
  }

  async recover(side: string, death: bigint): Promise<number | undefined> {
    const [witness, numbers] =
      side === 'publisher' ? [this.#all, this.#beside] : [this.#other, this.#numbers]
    const goal = numbers.published + 2 * options.messages
    const ledger = this.ledger(side)
    if (side === 'publisher') {
      const [trying, done] = [ledger.get('trying'), ledger.get('done')]
      if (trying !== done) this.#unsure.add(trying)
      ledger.set('base', trying)
      ledger.set('done', trying)
    } else {
      ledger.set('holding', 0)
    }
    await soon(`a publisher beside a ${side} that died`, () => {
      this.assertSound()
      return numbers.published >= goal && witness.last[survivors]! >= goal
    })
    if (side === 'publisher') {
      const trying = ledger.get('trying')
      const seen = this.#all.last[victims]!
      const sure = this.#unsure.has(trying) ? trying - 1 : trying
      expect(
        seen >= sure || this.#unsure.has(sure),
        `${sure} was published, and ${seen} is the last that came`,
      )
    }
    const waits = [witness.pulse.since(death) ?? 0, numbers.pulse.since(death) ?? 0]
    return Math.max(...waits)
  }

  whileStopped(side: string): () => void {
    const numbers = side === 'publisher' ? this.#beside : this.#numbers
    const { published } = numbers
    const waitsFor = side === 'subscriber-wait' && this.ledger(side).get('holding') === 1
    return () => {
      this.assertSound()
      const more = numbers.published - published
      if (waitsFor) expect(more <= options.messages, `${more} for a stopped subscriber that waits`)
    }
  }

  protected async leave(): Promise<void> {
    this.#stopping = true
    await soon('subscribers at the end', () => {
      this.assertSound()
      return (
        [this.#all, this.#slow].every(({ last }) => last[survivors] === this.#beside.published) &&
        this.#other.last[survivors] === this.#numbers.published
      )
    })
    const [all, slow] = [this.#all, this.#slow]
    expect(
      slow.count + slow.missed === all.count,
      `${slow.count} received and ${slow.missed} missed, but there were ${all.count}`,
    )
    this.traffic.received += all.count + slow.count + this.#other.count
    this.traffic.lost += slow.missed
    this.over.abort()
    for (const bus of this.#buses) bus.close()
  }
}
