// Views of payloads that lie beside their slots, each made once: the next job in a slot most often has the length of the one
// before, and so nothing is left behind for the garbage collector that is as large as all the rest of a job.

import type { Bytes } from './view-constructor.js'

/** See layout::kInlineBytes. Whatever lies further on than the first `places` of them gets a view of its own. */
const inlineBytes = 128
const places = 1024

export class Views {
  readonly #buffer: ArrayBuffer
  readonly #made = new Array<Bytes | undefined>(places).fill(undefined)

  constructor(buffer: ArrayBuffer) {
    this.#buffer = buffer
  }

  /** For somebody who gives it up before anybody else comes for that place. */
  of(offset: number, length: number): Bytes {
    const place = offset / inlineBytes
    if (place >= places || (place | 0) !== place) {
      return new Uint8Array(this.#buffer, offset, length)
    }
    const made = this.#made[place]
    if (made?.length === length) return made
    return (this.#made[place] = new Uint8Array(this.#buffer, offset, length))
  }

  /** It belongs to whoever has it, and is given to nobody else. */
  leave(view: Bytes): void {
    const place = view.byteOffset / inlineBytes
    if (this.#made[place] === view) this.#made[place] = undefined
  }
}
