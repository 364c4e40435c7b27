// A picture of a film: thumbnails of frames spread evenly over it, each with its number.

import { rgb } from './colour.js'
import { frameBytes, frameHeight, frameWidth } from './frame-size.js'
import { drawText, textWidth } from './glyphs.js'
import { encodePng } from './png.js'

const shrink = 6
const thumbWidth = frameWidth / shrink
const thumbHeight = frameHeight / shrink
const columns = 4
const most = 24
const gap = 16
const captionHeight = 34
const titleHeight = 92

export class ContactSheet {
  readonly #frames: number
  /** Numbers of the frames shown, in order. */
  readonly #chosen: readonly number[]
  readonly #width: number
  readonly #height: number
  readonly #pixels: Uint32Array

  constructor(frames: number) {
    this.#frames = frames
    const count = Math.min(most, frames)
    this.#chosen = Array.from({ length: count }, (_, i) =>
      count === 1 ? 1 : 1 + Math.round((i * (frames - 1)) / (count - 1)),
    )
    this.#width = gap + columns * (thumbWidth + gap)
    this.#height =
      titleHeight + Math.ceil(count / columns) * (thumbHeight + captionHeight + gap) + gap
    this.#pixels = new Uint32Array(this.#width * this.#height).fill(rgb(0x10131f))
  }

  /** Adds frame `number` if it is one of those shown. */
  add(number: number, rgba: Uint8Array): void {
    const at = this.#chosen.indexOf(number)
    if (at < 0) return
    const x = gap + (at % columns) * (thumbWidth + gap)
    const y = titleHeight + Math.floor(at / columns) * (thumbHeight + captionHeight + gap)
    this.#shrinkTo(x, y, rgba)
    drawText({ pixels: this.#pixels, width: this.#width }, `FRAME ${number}`, {
      x,
      y: y + thumbHeight + 10,
      scale: 2,
      colour: rgb(0x9aa3bd),
    })
  }

  toPng(): Buffer {
    const canvas = { pixels: this.#pixels, width: this.#width }
    const title = 'MILLRACE'
    drawText(canvas, title, { x: gap, y: 28, scale: 5, colour: rgb(0xffb454) })
    const megabytes = Math.round(frameBytes / 1e5) / 10
    const facts =
      `${this.#frames} FRAMES OF ${frameWidth} X ${frameHeight} RGBA, ${megabytes} MB EACH, ` +
      'AS THEY ARRIVED: EVERY BYTE CHECKED'
    drawText(canvas, facts, {
      x: gap + textWidth(title, 5) + 28,
      y: 42,
      scale: 2,
      colour: rgb(0xe6e9f2),
    })
    const bytes = new Uint8Array(this.#pixels.buffer)
    return encodePng(this.#width, this.#height, bytes)
  }

  /** Each pixel of the thumbnail is the mean of nine, taken from a square of `shrink` × `shrink`. */
  #shrinkTo(left: number, top: number, rgba: Uint8Array): void {
    for (let y = 0; y < thumbHeight; y++) {
      for (let x = 0; x < thumbWidth; x++) {
        let red = 0
        let green = 0
        let blue = 0
        for (let dy = 0; dy < shrink; dy += 2) {
          let at = ((y * shrink + dy) * frameWidth + x * shrink) * 4
          for (let dx = 0; dx < shrink; dx += 2, at += 8) {
            red += rgba[at]!
            green += rgba[at + 1]!
            blue += rgba[at + 2]!
          }
        }
        const mean = (sum: number) => Math.round(sum / 9)
        this.#pixels[(top + y) * this.#width + left + x] = rgb(
          (mean(red) << 16) | (mean(green) << 8) | mean(blue),
        )
      }
    }
  }
}
