// Cells whose writer or readers die.

import { setTimeout as pause } from 'node:timers/promises'
import { Cell, type CellReader, type CellWriter } from 'millrace'

import { codeOf, expect, Ground, peerGone, Pulse, soon, whenThere } from './arena.js'
import { contentOf, mostBytes, numberIn } from './content.js'

export class CellArena extends Ground {
  readonly kind = 'cell'
  readonly sides = ['writer', 'reader']
  readonly #pulse = new Pulse()
  readonly #writing = new Pulse()
  #reader: CellReader | undefined
  #orphaned = true
  #writer!: CellWriter
  #seen = 0

  open(): Promise<void> {
    this.#writer = Cell.writer(this.place('reader'), { maxBytes: mostBytes })
    this.survive(() => this.#read())
    this.survive(() => this.#write())
    return Promise.resolve()
  }

  async #read(): Promise<void> {
    const { signal } = this.over
    this.#reader = await whenThere(() => Cell.reader(this.place('writer'), { signal }))
    while (!this.isOver) {
      this.#orphaned = true
      await this.#reader.waitForPeer({ signal })
      this.#orphaned = false
      try {
        while (await this.#reader.changed({ signal })) {
          this.#look()
          this.#pulse.beat()
        }
      } catch (error) {
        if (codeOf(error) !== peerGone) throw error
      }
      this.#pulse.beat()
    }
  }

  #look(): void {
    const value = this.#reader?.read()
    if (value === undefined) return
    const number = numberIn(value.bytes)
    expect(number === value.version, `version ${value.version} holds value ${number}`)
    expect(number >= this.#seen, `value ${number} came after ${this.#seen}`)
    this.traffic.received++
    this.#seen = number
  }

  async #write(): Promise<void> {
    while (!this.isOver) {
      this.#writer.write(contentOf(this.#writer.version + 1))
      this.#writing.beat()
      this.traffic.sent++
      await pause(1)
    }
  }

  async recover(side: string, death: bigint): Promise<number | undefined> {
    if (side === 'reader') {
      const { last } = this.#writing
      await soon('the writer of a cell whose reader died', () => this.#writing.last > last)
      this.assertSound()
      return undefined // it never waits
    }
    const reader = this.#reader
    const ledger = this.ledger(side)
    if (reader === undefined) {
      await pause(5)
      return undefined
    }
    await soon('the reader of a cell whose writer died', () => {
      this.assertSound()
      return this.#orphaned && reader.peer !== 'attached'
    })
    this.#look()
    const { version } = reader
    const [done, trying] = [ledger.get('done'), ledger.get('trying')]
    expect(version >= done && version <= Math.max(trying, done), `${version} is left of ${done}`)
    this.traffic.sent = Math.max(this.traffic.sent, version)
    return this.#pulse.since(death)
  }

  whileStopped(side: string): () => void {
    if (side === 'reader') return () => undefined
    const before = this.#reader?.peer
    return () => {
      if (before === 'attached')
        expect(this.#reader?.peer === 'attached', 'a stopped writer is gone')
    }
  }

  protected leave(): void {
    this.#reader?.close()
    this.#writer.close()
  }
}
