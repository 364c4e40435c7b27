// One line per run: a moving bar on a terminal, a plain line at the end elsewhere.

import { formatBytes } from '#lib/cli/quantities.js'

const barCells = 24
const clearLine = '\r\u001b[K'
const labelWidth = 52

export class ProgressLine {
  readonly #label: string
  readonly #total: number
  readonly #out: NodeJS.WriteStream
  /** When the first progress came, and how much it was: starting up is not throughput. */
  #first: { readonly at: number; readonly bytes: number } | undefined

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
    const now = performance.now()
    if (bytes > 0) this.#first ??= { at: now, bytes }
    const since = this.#first
    const rate =
      since !== undefined && now > since.at
        ? `${formatBytes(((bytes - since.bytes) * 1000) / (now - since.at))}/s`
        : 'starting'
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
