// Shared memory whose owner or openers die, and segments offered by processes that die.

import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  monotonicNow,
  NamelessSegment,
  offerSegments,
  receiveSegments,
  SharedMemory,
} from 'millrace'

import { codeOf, expect, Ground } from './arena.js'

const size = 16_384

export class MemoryArena extends Ground {
  readonly kind = 'memory'
  readonly sides = ['owner', 'opener']
  #memory!: SharedMemory

  open(): Promise<void> {
    this.#memory = SharedMemory.create(this.place('opener'), size)
    return Promise.resolve()
  }

  recover(side: string, death: bigint): Promise<number | undefined> {
    if (side === 'opener') {
      // It can be made anew although one that had it open is dead.
      this.#memory.close()
      this.#memory = SharedMemory.create(this.place(side), size)
      return Promise.resolve(undefined)
    }
    using mine = SharedMemory.create(this.place(side), size)
    expect(
      mine.view(Uint8Array).every((byte) => byte === 0),
      'new memory is not empty',
    )
    using opened = SharedMemory.open(this.place(side))
    expect(opened.size === size, `memory of ${size} bytes has ${opened.size}`)
    this.traffic.received++
    return Promise.resolve(Number(monotonicNow() - death) / 1e6)
  }

  whileStopped(side: string): () => void {
    if (side === 'opener') return () => undefined
    return () => {
      try {
        const seen = SharedMemory.open(this.place('owner'))
        seen.close()
      } catch (error) {
        const known = ['ERR_MILLRACE_NOT_FOUND', 'ERR_MILLRACE_TIMEOUT', 'ERR_MILLRACE_PERMISSION']
        expect(known.includes(codeOf(error)), `opening: ${String(error)}`)
      }
    }
  }

  protected leave(): void {
    this.#memory.close()
  }
}

export class HandOverArena extends Ground {
  readonly kind = 'handover'
  readonly sides = ['offerer']

  override place(side: string): string {
    return join(tmpdir(), super.place(side))
  }

  open(): Promise<void> {
    this.survive(async () => {
      while (!this.isOver) {
        try {
          const { memory } = await receiveSegments(this.place('offerer'), {
            timeout: 100,
            signal: this.over.signal,
          })
          try {
            using mine = SharedMemory.open(memory!)
            expect(
              mine.view(Uint8Array)[4095] === 0x5a,
              'what was handed over is not what was offered',
            )
            this.traffic.received++
          } finally {
            memory!.close()
          }
        } catch (error) {
          // Nobody offers, or who did died in the middle, or had not made it yet.
          const known = ['NOT_FOUND', 'TIMEOUT', 'CORRUPT', 'SYSTEM'].map(
            (code) => `ERR_MILLRACE_${code}`,
          )
          if (!known.includes(codeOf(error))) throw error
        }
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
    })
    return Promise.resolve()
  }

  async recover(side: string, death: bigint): Promise<number | undefined> {
    this.assertSound()
    using segment = NamelessSegment.create()
    using memory = SharedMemory.create(segment, 4096)
    memory.view(Uint8Array).fill(0x5a)
    using offer = await offerSegments(this.place(side), { memory: segment })
    expect(!offer.closed, 'a dead one still offers')
    return Number(monotonicNow() - death) / 1e6
  }

  whileStopped(): () => void {
    return () => undefined
  }

  protected leave(): void {
    for (const end of ['', '.lock']) rmSync(this.place('offerer') + end, { force: true })
  }
}
