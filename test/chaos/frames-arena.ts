// Frame channels whose writer or readers die.

import { setImmediate as turn, setTimeout as pause } from 'node:timers/promises'
import { FrameReader, FrameWriter, type Policy } from 'millrace'

import { codeOf, expect, Ground, peerGone, Pulse, soon, whenThere } from './arena.js'
import { contentOf, mostBytes, numberIn } from './content.js'

const geometry = { slotBytes: mostBytes, slots: 8, maxReaders: 6, history: 2 }

/** A reader in this process, and what it has seen. */
interface Witness {
  readonly policy: Policy
  readonly pulse: Pulse
  reader?: FrameReader
  last: number
  count: number
  lost: number
  missed: number
  /** Of the writer that it reads now: everything it published is received. */
  atEnd: boolean
}

function witness(policy: Policy): Witness {
  return {
    policy,
    pulse: new Pulse(),
    last: 0,
    count: 0,
    lost: 0,
    missed: 0,
    atEnd: true,
  }
}

export class FramesArena extends Ground {
  readonly kind = 'frames'
  readonly sides = ['writer', 'reader-wait', 'reader-drop', 'reader-overwrite']
  /** Of the channel whose writers die. */
  readonly #witnesses = (['wait', 'drop-newest', 'overwrite-oldest'] as const).map(witness)
  /** Of the channel whose readers die. */
  #writer!: FrameWriter
  readonly #beside = witness('wait')
  readonly #loans = new Pulse()
  #published = 0

  override place(side: string): string {
    return super.place(side === 'writer' ? 'writer' : 'reader')
  }

  async open(): Promise<void> {
    for (const each of this.#witnesses) this.survive(() => this.#watch(each, this.place('writer')))
    this.#writer = FrameWriter.create(this.place('reader'), geometry)
    this.#beside.reader = await FrameReader.open(this.place('reader'))
    this.survive(() => this.#watch(this.#beside, this.place('reader')))
    this.survive(() => this.#write())
  }

  /** Reads as its policy says, the lossy ones slowly. */
  async #watch(each: Witness, place: string): Promise<void> {
    const { signal } = this.over
    each.reader ??= await this.#join(place, each.policy)
    const { reader } = each
    let busy = 0
    while (!this.isOver) {
      try {
        using frame = await reader.receive({ signal })
        each.pulse.beat()
        if (frame !== undefined) {
          each.atEnd = false
          const number = numberIn(frame.bytes)
          expect(number > each.last, `frame ${number} came after ${each.last} (${each.policy})`)
          each.last = number
          each.count++
          each.missed += frame.missed
          if (each.policy !== 'wait' && ++busy % 4 === 0) await turn()
          continue
        }
      } catch (error) {
        if (codeOf(error) !== peerGone) throw error
        each.pulse.beat()
      }
      each.lost = reader.stats.lost
      each.atEnd = true
      await turn()
      while (reader.peer !== 'attached' && reader.stats.waiting === 0) {
        await pause(1, undefined, { signal })
      }
    }
  }

  /** As soon as there is a writer; the one that is there may die meanwhile. */
  #join(place: string, policy: Policy): Promise<FrameReader> {
    const { signal } = this.over
    const depth = policy === 'wait' ? {} : { depth: 3 }
    return whenThere(() => FrameReader.open(place, { policy, signal, ...depth }))
  }

  async #write(): Promise<void> {
    const { signal } = this.over
    while (!this.isOver) {
      const loan = await this.#writer.loan({ signal })
      this.#loans.beat()
      const content = contentOf(this.#published + 1)
      loan.write(content)
      loan.publish({ byteLength: content.byteLength })
      this.#published++
      this.traffic.sent++
      await turn()
    }
  }

  async recover(side: string, death: bigint): Promise<number | undefined> {
    if (side !== 'writer') {
      // The writer goes on, and so does the reader beside the dead one.
      const goal = this.#published + 3 * geometry.slots
      await soon('the writer of frames whose reader died', () => {
        this.assertSound()
        return this.#beside.count >= goal
      })
      expect(this.#beside.missed === 0, 'a waiting reader has missed a frame')
      return this.#loans.since(death)
    }
    await soon('a reader of frames whose writer died', () => {
      this.assertSound()
      return this.#witnesses.every(
        ({ reader, atEnd }) =>
          reader === undefined ||
          (atEnd && reader.peer !== 'attached' && reader.stats.waiting === 0),
      )
    })
    this.#compare()
    const waits = this.#witnesses.map(({ pulse }) => pulse.since(death) ?? 0)
    return Math.max(...waits)
  }

  #compare(): void {
    const ledger = this.ledger('writer')
    const [all] = this.#witnesses
    // Until all have joined, somebody may have missed the beginning.
    if (this.#witnesses.some(({ reader }) => reader === undefined) || all === undefined) {
      ledger.set('base', ledger.get('trying'))
      return
    }
    const [done, trying] = [ledger.get('done'), ledger.get('trying')]
    if (all.count > 0) {
      expect(all.last >= done && all.last <= Math.max(trying, done), `${all.last} of ${done}`)
      expect(all.missed === 0 && all.lost === 0, 'a waiting reader has lost a frame')
    }
    for (const word of ['base', 'done', 'trying'] as const) {
      ledger.set(word, Math.max(all.last, done))
    }
  }

  whileStopped(side: string): () => void {
    if (side === 'writer') {
      const { reader } = this.#witnesses[0]!
      const before = reader?.peer
      return () => {
        if (before === 'attached') expect(reader?.peer === 'attached', 'a stopped writer is gone')
      }
    }
    const { readers } = this.#writer
    return () => {
      expect(this.#writer.readers >= readers, 'the place of a stopped reader was taken')
    }
  }

  protected leave(): void {
    const [all, ...lossy] = this.#witnesses
    for (const { reader, count, policy } of lossy) {
      if (reader === undefined || all?.reader === undefined) continue
      // Counted from when each of them joined.
      const { lost, joinedAfter } = reader.stats
      const { joinedAfter: since, received } = all.reader.stats
      expect(
        count + lost + joinedAfter === received + since,
        `${policy}: ${count} received and ${lost} reported lost since frame ${joinedAfter}, but there ` +
          `were ${received} since frame ${since}`,
      )
      this.traffic.lost += lost
    }
    this.traffic.received += this.#witnesses.reduce((sum, { count }) => sum + count, 0)
    this.traffic.received += this.#beside.count
    this.traffic.sent += 3 * (all?.count ?? 0)
    for (const { reader } of this.#witnesses) reader?.close()
    this.#beside.reader?.close()
    this.#writer.close()
  }
}
