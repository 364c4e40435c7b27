// Queues whose producers or consumers die, or both.

import { SpscQueue, type QueueConsumer, type QueueProducer } from 'millrace'

import { exactlyOnce, type Message, type Sent } from '../support/history/exactly-once.js'
import { channelClosed, codeOf, expect, Ground, peerGone, Pulse, soon } from './arena.js'
import { contentOf, numberIn } from './content.js'

const capacity = 16 * 1024

export class QueueArena extends Ground {
  readonly kind = 'queue'
  readonly sides = ['producer', 'consumer']
  #consumer!: QueueConsumer
  #producer!: QueueProducer
  readonly #consuming = new Pulse()
  readonly #producing = new Pulse()
  /** The survivor waits for a successor. */
  #orphaned = { consumer: false, producer: false }
  #received: number[] = []
  #last = 0
  #sent = 0

  open(): Promise<void> {
    this.#consumer = SpscQueue.consumer(this.place('producer'), { capacity })
    this.#producer = SpscQueue.producer(this.place('consumer'), { capacity })
    this.survive(() => this.#consume())
    this.survive(() => this.#produce())
    return Promise.resolve()
  }

  async #consume(): Promise<void> {
    const { signal } = this.over
    while (!this.isOver) {
      this.#orphaned.consumer = true
      await this.#consumer.waitForPeer({ signal })
      this.#orphaned.consumer = false
      try {
        for (;;) {
          const message = await this.#consumer.pop({ signal })
          this.#consuming.beat()
          if (message === undefined) break
          this.#take(message)
        }
      } catch (error) {
        if (codeOf(error) !== peerGone) throw error
        this.#consuming.beat()
      }
    }
  }

  #take(message: Buffer): void {
    const number = numberIn(message)
    expect(number === this.#last + 1, `message ${number} came after ${this.#last}`)
    this.#last = number
    this.#received.push(number)
    this.traffic.received++
  }

  async #produce(): Promise<void> {
    const { signal } = this.over
    while (!this.isOver) {
      this.#orphaned.producer = true
      await this.#producer.waitForPeer({ signal })
      this.#orphaned.producer = false
      try {
        for (;;) {
          await this.#producer.push(contentOf(this.#sent + 1), { signal })
          this.#sent++
          this.traffic.sent++
          this.#producing.beat()
        }
      } catch (error) {
        if (![peerGone, channelClosed].includes(codeOf(error))) throw error
        this.#producing.beat()
      }
    }
  }

  async recover(side: string, death: bigint): Promise<number | undefined> {
    const [survivor, own] =
      side === 'producer'
        ? ([this.#consumer, 'consumer'] as const)
        : ([this.#producer, 'producer'] as const)
    await soon(`the ${own} of a queue whose ${side} died`, () => {
      this.assertSound()
      return survivor.peer !== 'attached' && this.#orphaned[own]
    })
    if (side === 'consumer') return this.#producing.since(death)
    // One that came and died before it was noticed may have left something.
    for (;;) {
      const message = this.#consumer.tryPop()
      if (message === undefined) break
      this.#take(message)
    }
    this.#compare()
    return this.#consuming.since(death)
  }

  /** What this victim sent has arrived once and whole, nothing else has. */
  #compare(): void {
    const ledger = this.ledger('producer')
    const [done, trying] = [ledger.get('done'), ledger.get('trying')]
    const first = this.#last - this.#received.length + 1
    const sent: Sent[] = []
    for (let number = first; number <= Math.max(done, trying); number++) {
      sent.push({ ...message(number), certain: number <= done })
    }
    const verdict = exactlyOnce(sent, this.#received.map(message))
    expect(verdict.ok, verdict.ok ? '' : verdict.explanation)
    this.traffic.sent += this.#received.length
    this.#received = []
    for (const word of ['base', 'done', 'trying'] as const) ledger.set(word, this.#last)
  }

  whileStopped(side: string): () => void {
    const survivor = side === 'producer' ? this.#consumer : this.#producer
    const before = survivor.peer
    return () => {
      if (before === 'attached') expect(survivor.peer === 'attached', `a stopped ${side} is gone`)
    }
  }

  protected leave(): void {
    // What is left of the producer's messages is read to the end.
    const consumer = SpscQueue.consumer(this.place('consumer'))
    const handled = this.ledger('consumer').get('trying')
    let last = -1
    for (;;) {
      const message = consumer.tryPop()
      if (message === undefined) break
      const number = numberIn(message)
      const follows = last < 0 ? number === handled || number === handled + 1 : number === last + 1
      expect(follows, `message ${number} is left after ${last < 0 ? handled : last}`)
      last = number
    }
    expect(
      (last < 0 ? handled : last) === this.#sent,
      `the last message left is ${last}, not ${this.#sent}`,
    )
    this.traffic.received += this.#sent
    consumer.close({ discard: true })
    this.#producer.close({ discard: true })
    this.#consumer.close({ discard: true })
  }
}

function message(number: number): Message {
  return { producer: 'victim', sequence: number, content: contentOf(number).toString('latin1') }
}

/** Both sides of a queue die at once; the next start finds what was published, or nothing. */
export class BothArena extends Ground {
  readonly kind = 'both'
  readonly sides = ['keep', 'sweep']

  open(): Promise<void> {
    return Promise.resolve()
  }

  recover(side: string): Promise<number | undefined> {
    const ledger = this.ledger(side)
    const [done, trying, handled] = [ledger.get('done'), ledger.get('trying'), ledger.get('left')]
    using consumer = SpscQueue.consumer(this.place(side), { keep: side === 'keep' })
    let last = 0
    for (;;) {
      const message = consumer.tryPop()
      if (message === undefined) break
      const number = numberIn(message)
      expect(side === 'keep', `message ${number} was not swept`)
      const follows =
        last === 0 ? number === handled || number === handled + 1 : number === last + 1
      expect(follows, `message ${number} was kept after ${last === 0 ? handled : last}`)
      last = number
      this.traffic.received++
    }
    if (side === 'keep') {
      const newest = Math.max(last, handled)
      expect(newest >= done && newest <= Math.max(done, trying), `${newest} kept of ${done}`)
    }
    // Both ways round, it works again.
    using producer = SpscQueue.producer(this.place(side))
    expect(producer.tryPush(contentOf(1)), 'there is no room in an empty queue')
    const again = consumer.tryPop()
    expect(again !== undefined && numberIn(again) === 1, 'what was pushed is not there')
    this.traffic.sent += Math.max(last, handled) - ledger.get('base')
    for (const word of ['base', 'done', 'trying', 'left'] as const) {
      ledger.set(word, Math.max(last, handled, done, trying))
    }
    return Promise.resolve(undefined)
  }

  whileStopped(): () => void {
    return () => undefined
  }

  protected leave(): void {
    for (const side of this.sides) SpscQueue.unlink(this.place(side))
  }
}
