// A picture of a film: thumbnails of frames spread evenly over it, as they arrived.

import { encode } from 'fast-png'
import { frameHeight, frameWidth } from './test-card.js'

const shrink = 6
const thumbWidth = frameWidth / shrink
const thumbHeight = frameHeight / shrink
const columns = 4
const most = 24
const gap = 12

export class ContactSheet {
  /** Numbers of the frames shown, in order. */
  readonly #chosen: readonly number[]
  readonly #width: number
  readonly #height: number
  readonly #pixels: Uint32Array

  constructor(frames: number) {
    const count = Math.min(most, frames)
    this.#chosen = Array.from({ length: count }, (_, i) =>
      count === 1 ? 1 : 1 + Math.round((i * (frames - 1)) / (count - 1)),
    )
    this.#width = gap + Math.min(columns, count) * (thumbWidth + gap)
    this.#height = gap + Math.ceil(count / columns) * (thumbHeight + gap)
    this.#pixels = new Uint32Array(this.#width * this.#height).fill(0xff1f1310)
  }

  /** Adds frame `number` if it is one of those shown. */
  add(number: number, rgba: Uint8Array): void {
    const at = this.#chosen.indexOf(number)
    if (at < 0) return
    const pixels = new Uint32Array(rgba.buffer, rgba.byteOffset, rgba.byteLength / 4)
    const left = gap + (at % columns) * (thumbWidth + gap)
    const top = gap + Math.floor(at / columns) * (thumbHeight + gap)
    for (let y = 0; y < thumbHeight; y++) {
      for (let x = 0; x < thumbWidth; x++) {
        this.#pixels[(top + y) * this.#width + left + x] =
          pixels[y * shrink * frameWidth + x * shrink]!
      }
    }
  }

  toPng(): Uint8Array {
    const data = new Uint8Array(this.#pixels.buffer)
    return encode({ width: this.#width, height: this.#height, channels: 4, data })
  }
}
