// What the page knows: the channels as they were last seen, and what went through them for the last few minutes.

import { idOf, type Greeting, type Look, type Row } from '../wire.js'

/** Looks that are remembered: five minutes, at one a second. */
export const remembered = 300

type Curve = 'in' | 'out' | 'depth'

/** Of each look one number, NaN where there was none; the place of look n is n modulo their number. */
type History = Readonly<Record<Curve, Float64Array>>

export interface Channel {
  readonly id: string
  row: Row
  readonly history: History
  /** What a filter finds it by. */
  words: string
}

export class Store {
  readonly channels = new Map<string, Channel>()
  readonly processes = new Map<string, string>()
  readonly #times = new Float64Array(remembered).fill(NaN)
  #looks = 0
  greeting: Greeting | undefined
  /** Of the last look. */
  missed = 0
  interval = 1000

  take(look: Look): void {
    this.missed = look.missed
    this.interval = look.interval
    if (look.full) {
      const there = new Set(look.rows.map(idOf))
      for (const id of this.channels.keys()) if (!there.has(id)) this.channels.delete(id)
      this.processes.clear()
    }
    for (const id of look.gone) this.channels.delete(id)
    for (const [pid, name] of Object.entries(look.processes)) this.processes.set(pid, name)
    for (const row of look.rows) this.#put(row)
    const at = this.#looks++ % remembered
    this.#times[at] = Date.now() / 1000
    for (const { row, history } of this.channels.values()) {
      history.in[at] = row.in ?? NaN
      history.out[at] = row.out ?? NaN
      history.depth[at] = row.depth ?? NaN
    }
  }

  /** The last so many numbers of a curve, the oldest first; NaN where there was none. */
  last({ history }: Channel, curve: Curve, most: number): number[] {
    return this.#inOrder(history[curve], most)
  }

  times(most: number): number[] {
    return this.#inOrder(this.#times, most)
  }

  /** A process as people know it. */
  processName(pid: number | undefined): string {
    if (pid === undefined) return 'somebody'
    const name = this.processes.get(String(pid)) ?? ''
    return name === '' ? String(pid) : `${name} ${String(pid)}`
  }

  #inOrder(ring: Float64Array, most: number): number[] {
    const length = Math.min(most, this.#looks, remembered)
    return Array.from({ length }, (_, at) => ring[(this.#looks - length + at) % remembered]!)
  }

  #put(row: Row): void {
    const id = idOf(row)
    const words = [
      row.kind,
      row.name,
      row.state,
      ...row.holders.flatMap(({ pid }) => (pid === undefined ? [] : [this.processName(pid)])),
    ]
    const known = this.channels.get(id)
    if (known !== undefined) {
      known.row = row
      known.words = words.join(' ').toLowerCase()
      return
    }
    const curve = (): Float64Array => new Float64Array(remembered).fill(NaN)
    this.channels.set(id, {
      id,
      row,
      words: words.join(' ').toLowerCase(),
      history: { in: curve(), out: curve(), depth: curve() },
    })
  }
}

/** All words that were typed, in any order. */
export function matches(channel: Channel, filter: string): boolean {
  return filter
    .toLowerCase()
    .split(/\s+/)
    .every((word) => channel.words.includes(word))
}
