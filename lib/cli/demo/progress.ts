// One line per run: a moving bar on a terminal, a plain line at the end elsewhere.

import { formatBytes } from '../quantities.js'

const barCells = 24
const clearLine = '\r\u001b[K'
const labelWidth = 52

export class ProgressLine {
  readonly #label: string
  readonly #total: number
  readonly #out: NodeJS.WriteStream
  readonly #start = performance.now()

  /** `total`: bytes of the whole run. */
  constructor(label: string, total: number, out: NodeJS.WriteStream) {
    this.#label = label.padEnd(labelWidth)
    this.#total = total
    this.#out = out
    this.update(0)
  }

  update(bytes: number): void {
    if (!this.#out.isTTY) return
    const done = Math.round((barCells * bytes) / this.#total)
    const bar = '█'.repeat(done) + '░'.repeat(barCells - done)
    const seconds = (performance.now() - this.#start) / 1000
    const rate = bytes > 0 ? `${formatBytes(bytes / seconds)}/s` : 'starting'
    this.#out.write(`${clearLine}  ${this.#label} ${bar} ${rate}`)
  }

  /** Replaces the bar by how it ended. */
  finish(result: string): void {
    this.#out.write(`${this.#out.isTTY ? clearLine : ''}  ${this.#label} ${result}\n`)
  }

  /** Leaves no half line behind when the run failed. */
  cancel(): void {
    if (this.#out.isTTY) this.#out.write(clearLine)
  }
}
