// The reader's judgement of frames: the right one, in the right order, and every byte as it must be.

import { frameBytes } from './test-card.js'

/** Draws frame `number` over `pixels`. */
export type Draw = (pixels: Uint32Array, number: number) => void

export class FrameCheck {
  readonly #draw: Draw
  readonly #expected: Uint32Array
  readonly #expectedBytes: Uint8Array

  constructor(draw: Draw, bytes = frameBytes) {
    this.#draw = draw
    this.#expected = new Uint32Array(bytes / 4)
    this.#expectedBytes = new Uint8Array(this.#expected.buffer)
  }

  /** Throws unless `frame` is frame `number`, byte for byte. */
  assertIs(frame: Uint8Array, number: number): void {
    this.#draw(this.#expected, number)
    const wanted = this.#expectedBytes
    if (Buffer.compare(frame, wanted) === 0) return
    if (frame.length !== wanted.length) {
      throw new Error(`frame ${number} has ${frame.length} bytes instead of ${wanted.length}`)
    }
    const at = wanted.findIndex((byte, i) => byte !== frame[i])
    throw new Error(`frame ${number} is wrong at byte ${at}: ${frame[at]} instead of ${wanted[at]}`)
  }
}
