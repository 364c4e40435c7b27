// Events, barriers, counters and semaphores whose users die.

import { setTimeout as pause } from 'node:timers/promises'
import { Barrier, Counter, Semaphore, SharedEvent } from 'millrace/sync'

import { codeOf, expect, Ground, hangMs, peerGone, Pulse, soon } from './arena.js'

/** The survivors set and wait: no signal may be lost to them, whoever waits beside them. */
export class EventArena extends Ground {
  readonly kind = 'event'
  readonly sides = ['party']
  readonly #pulse = new Pulse()
  #events: SharedEvent[] = []

  open(): Promise<void> {
    this.#events = [1, 2].map(() => SharedEvent.open(this.place('party')))
    const [one, other] = this.#events
    this.survive(async () => {
      while (!this.isOver) {
        // A victim may take the signal, and die with it: then there is another one.
        one!.set()
        this.traffic.sent++
        try {
          await other!.wait({ timeout: 20, signal: this.over.signal })
          this.traffic.received++
        } catch (error) {
          if (codeOf(error) !== 'ERR_MILLRACE_TIMEOUT') throw error
        }
        this.#pulse.beat()
        await pause(1)
      }
    })
    return Promise.resolve()
  }

  async recover(_side: string, death: bigint): Promise<number | undefined> {
    await soon('a party of an event', () => {
      this.assertSound()
      return this.#pulse.last > death
    })
    const waited = this.#pulse.since(death)
    // Nobody is here but us, and both may set: what a set lets pass is one of us.
    const before = this.traffic.received
    await soon('a signal that nobody else can take', () => this.traffic.received > before)
    return waited
  }

  whileStopped(): () => void {
    return () => undefined
  }

  protected leave(): void {
    for (const event of this.#events) event.close()
  }
}

/** Two survivors and a victim: they go on together, or are told that one is missing. */
export class BarrierArena extends Ground {
  readonly kind = 'barrier'
  readonly sides = ['party']
  readonly #pulses = [new Pulse(), new Pulse()]
  #barriers: Barrier[] = []
  #losses = 0
  #generation = [0, 0]

  open(): Promise<void> {
    this.#barriers = this.#pulses.map(() => Barrier.open(this.place('party'), { parties: 3 }))
    for (const [at, barrier] of this.#barriers.entries()) {
      this.survive(async () => {
        while (!this.isOver) {
          try {
            const { generation } = await barrier.wait({ signal: this.over.signal })
            expect(generation > this.#generation[at]!, `generation ${generation} came again`)
            this.#generation[at] = generation
            this.traffic.received++
          } catch (error) {
            // One has died, or has left in good order, and another one is to come.
            if (codeOf(error) === peerGone) this.#losses++
            else if (codeOf(error) !== 'ERR_MILLRACE_CLOSED' || barrier.closed) throw error
            await pause(1)
          }
          this.#pulses[at]!.beat()
        }
      })
    }
    return Promise.resolve()
  }

  async recover(_side: string, death: bigint): Promise<number | undefined> {
    // Before its first seat was taken, a barrier waits for those who have not come yet.
    if (this.#losses === 0 && this.traffic.received === 0) return undefined
    await soon('a party of a barrier', () => {
      this.assertSound()
      return this.#pulses.every(({ last }) => last > death)
    })
    return Math.max(...this.#pulses.map((pulse) => pulse.since(death) ?? 0))
  }

  whileStopped(): () => void {
    const before = this.#losses
    const there = this.#pulses.every(({ last }) => last > 0n)
    return () => {
      // Those who were told of the one before are told no more once a successor has come.
      if (there && before === 0) expect(this.#losses === 0, 'a stopped party was taken for dead')
    }
  }

  protected leave(): void {
    for (const barrier of this.#barriers) barrier.close()
  }
}

export class CounterArena extends Ground {
  readonly kind = 'counter'
  readonly sides = ['user']
  #counter!: Counter
  #added = 0

  open(): Promise<void> {
    this.#counter = Counter.open(this.place('user'), { initial: 1000 })
    return Promise.resolve()
  }

  recover(): Promise<number | undefined> {
    const ledger = this.ledger('user')
    this.#counter.add()
    this.#added++
    const value = this.#counter.toNumber() - 1000 - this.#added
    const [done, trying] = [ledger.get('done'), ledger.get('trying')]
    expect(
      value >= done && value <= trying,
      `the counter has ${value} steps of ${done} to ${trying}`,
    )
    ledger.set('done', value)
    ledger.set('trying', value)
    this.traffic.sent = value + this.#added
    this.traffic.received = value + this.#added
    return Promise.resolve(undefined)
  }

  whileStopped(): () => void {
    return () => undefined
  }

  protected leave(): void {
    this.#counter.close()
  }
}

const permits = 4

/** A permit in the hands of a dead one is lost, and put back here; nothing else may be missing. */
export class SemaphoreArena extends Ground {
  readonly kind = 'semaphore'
  readonly sides = ['user']
  readonly #pulse = new Pulse()
  #semaphore!: Semaphore
  #held = 0
  #idle = Promise.resolve()
  #resume: (() => void) | undefined
  #pausing = false

  open(): Promise<void> {
    this.#semaphore = Semaphore.create(this.place('user'), permits)
    this.survive(async () => {
      while (!this.isOver) {
        using permit = await this.#semaphore.acquire({ timeout: hangMs, signal: this.over.signal })
        this.#held++
        this.traffic.received++
        this.#pulse.beat()
        permit.release()
        this.#held--
        await pause(1)
        if (this.#pausing) await this.#idle
      }
    })
    return Promise.resolve()
  }

  async recover(_side: string, death: bigint): Promise<number | undefined> {
    await soon('a user of a semaphore', () => {
      this.assertSound()
      return this.#pulse.last > death
    })
    const waited = this.#pulse.since(death)
    this.#idle = new Promise((resolve) => {
      this.#resume = resolve
    })
    this.#pausing = true
    await pause(3) // the survivor has given back what it had
    await soon('the survivor of a semaphore', () => this.#held === 0)
    const { value } = this.#semaphore
    const missing = permits - value
    const held = this.ledger('user').get('holding') // 0: none, 1: one or none, 2: one
    const possible = held === 0 ? missing === 0 : held === 1 ? missing <= 1 : missing === 1
    expect(possible && missing >= 0, `${missing} permits are missing, holding was ${held}`)
    if (missing > 0) this.#semaphore.post(missing)
    this.traffic.lost += missing
    this.ledger('user').set('holding', 0)
    this.#pausing = false
    this.#resume?.()
    return waited
  }

  whileStopped(): () => void {
    return () => undefined
  }

  protected leave(): void {
    this.#semaphore.close()
    Semaphore.unlink(this.place('user'))
  }
}
