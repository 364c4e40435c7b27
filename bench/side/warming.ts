// When a measurement may begin. Code that has just started is slow, and becomes fast function by function; the time a unit
// takes is looked at in slices, and it is warm when some slices in a row agree.

import type { Parameters } from './parameters.js'

const sliceMs = 50
/** So many slices in a row agree when the slowest takes at most this factor of the fastest. */
const agreeing = 3
const agreement = 1.08

/** What is known of it afterwards. */
export interface Warmth {
  /** False: the slices never agreed in the time allowed. What was measured then is not worth keeping. */
  readonly settled: boolean
  /** `warm`: nanoseconds from the start until slices stay within a tenth of the time a unit takes in the end. */
  readonly parts?: { readonly warm: { readonly p50: number } }
}

/** Slices of the time a unit takes, from the construction on. */
export class Warming {
  readonly #least: number
  readonly #longest: number
  readonly #start = performance.now()
  #from = this.#start
  #last = this.#start
  #units = 0
  /** Milliseconds a unit between two looks in this slice. */
  #looks: number[] = []
  /** The median of these, slice by slice; and when each ended. */
  readonly #slices: { readonly cost: number; readonly end: number }[] = []
  #settled = false
  #over = 0

  constructor({ warmUp, settleWithin }: Pick<Parameters, 'warmUp' | 'settleWithin'>) {
    this.#least = warmUp
    this.#longest = Math.max(warmUp, settleWithin)
  }

  /** Has it been warm enough, or tried for long enough, after `units` in all? Asked between two units. */
  isOver(units: number): boolean {
    const now = this.note(units)
    if (now - this.#start < this.#least) return false
    this.#settled = this.#agree()
    if (!this.#settled && now - this.#start < this.#longest) return false
    this.#over = this.#slices.length
    return true
  }

  /** For the time after, too: closes the slice if it is long enough. Returns the time. */
  note(units: number, now = performance.now()): number {
    if (units > this.#units) this.#looks.push((now - this.#last) / (units - this.#units))
    this.#units = units
    this.#last = now
    if (now - this.#from >= sliceMs && this.#looks.length > 0) {
      // A process that has to wait for a processor loses some looks, not all of them.
      this.#slices.push({ cost: middle(this.#looks), end: now - this.#start })
      this.#looks = []
      this.#from = now
    }
    return now
  }

  result(): Warmth {
    const later = this.#slices.slice(this.#over).map(({ cost }) => cost)
    if (later.length === 0) return { settled: this.#settled }
    const steady = middle(later)
    const near = ({ cost }: { cost: number }) => cost <= 1.1 * steady
    const first = this.#slices.findIndex((_, index, all) =>
      all.slice(index, index + agreeing).every(near),
    )
    const warm = first <= 0 ? 0 : this.#slices[first - 1]!.end
    const parts = { warm: { p50: warm * 1e6 } }
    return { settled: this.#settled, ...(first < 0 ? {} : { parts }) }
  }

  #agree(): boolean {
    const last = this.#slices.slice(-agreeing).map(({ cost }) => cost)
    return last.length === agreeing && Math.max(...last) <= agreement * Math.min(...last)
  }
}

function middle(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!
}
