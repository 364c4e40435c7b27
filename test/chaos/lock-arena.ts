// Locks whose owners and waiters die. What they protect are two numbers, which are equal whenever nobody is
// inside; who dies inside leaves them different, and the next one must be told.

import { setTimeout as pause } from 'node:timers/promises'
import { Mutex, RwLock, type LockGuard } from 'millrace/sync'

import { expect, Ground, hangMs, Pulse, soon } from './arena.js'

interface Survivor {
  read(): Promise<LockGuard>
  write(): Promise<LockGuard>
  close(): void
}

export class LockArena extends Ground {
  readonly kind: 'mutex' | 'rwlock'
  readonly sides = ['party']
  readonly #pulses = [new Pulse(), new Pulse()]
  #survivors: Survivor[] = []
  #holder: () => number = () => 0

  constructor(name: string, kind: 'mutex' | 'rwlock') {
    super(name)
    this.kind = kind
  }

  open(): Promise<void> {
    const place = this.place('party')
    const timeout = hangMs
    this.#survivors = this.#pulses.map(() => {
      if (this.kind === 'mutex') {
        const mutex = Mutex.open(place)
        this.#holder = () => mutex.holder
        const take = () => mutex.lock({ timeout })
        return {
          read: take,
          write: take,
          close: () => {
            mutex.close()
          },
        }
      }
      const lock = RwLock.open(place)
      this.#holder = () => lock.writer
      return {
        read: () => lock.readLock({ timeout }),
        write: () => lock.writeLock({ timeout }),
        close: () => {
          lock.close()
        },
      }
    })
    for (const [at, survivor] of this.#survivors.entries())
      this.survive(() => this.#work(survivor, at))
    return Promise.resolve()
  }

  async #work(survivor: Survivor, at: number): Promise<void> {
    const ledger = this.ledger('party')
    for (let turn = at; !this.isOver; turn++) {
      const reads = this.kind === 'rwlock' && turn % 3 === 0
      using guard = await (reads ? survivor.read() : survivor.write())
      this.#pulses[at]!.beat()
      const broken = ledger.get('left') !== ledger.get('right')
      expect(
        !broken || guard.abandoned,
        'what the lock protects is half changed, and nobody is told',
      )
      if (!reads) {
        if (broken) ledger.set('right', ledger.get('left'))
        ledger.add('left')
        if (turn % 4 === 0) await pause(1)
        ledger.add('right')
      }
      this.traffic.received++
      guard.release()
      await pause(turn % 2)
    }
  }

  async recover(_side: string, death: bigint): Promise<number | undefined> {
    await soon(`a party of a ${this.kind}`, () => {
      this.assertSound()
      return this.#pulses.every(({ last }) => last > death)
    })
    return Math.max(...this.#pulses.map((pulse) => pulse.since(death) ?? 0))
  }

  whileStopped(_side: string, pid: number): () => void {
    if (this.#holder() !== pid) return () => undefined
    return () => {
      expect(this.#holder() === pid, `the ${this.kind} of a stopped owner was taken`)
    }
  }

  protected async leave(): Promise<void> {
    this.over.abort()
    await Promise.all(this.work)
    for (const survivor of this.#survivors) survivor.close()
  }
}
