// A line of the last numbers, small enough for a row. A screen reader is told the newest of them in words, beside it.

import { el, setAttribute, svg } from './dom.js'

const width = 96
const height = 22
/** The first few are no line that fills it. */
const fewest = 20

export class Sparkline {
  readonly element = el('span', { class: 'spark' })
  readonly #in = svg('path', { class: 'in' })
  readonly #out = svg('path', { class: 'out' })

  constructor() {
    this.element.append(
      svg(
        'svg',
        {
          viewBox: `0 0 ${String(width)} ${String(height)}`,
          'aria-hidden': 'true',
          focusable: 'false',
        },
        this.#out,
        this.#in,
      ),
    )
  }

  show(coming: readonly number[], going: readonly number[]): void {
    const places = Math.max(coming.length, fewest)
    const most = Math.max(1e-9, ...known(coming), ...known(going))
    setAttribute(this.#in, 'd', path(coming, most, places))
    setAttribute(this.#out, 'd', path(going, most, places))
  }
}

function known(values: readonly number[]): number[] {
  return values.filter((value) => Number.isFinite(value))
}

/** A gap where there is no number. */
function path(values: readonly number[], most: number, places: number): string {
  const step = width / (places - 1)
  const first = places - values.length
  let isDrawing = false
  let text = ''
  values.forEach((value, at) => {
    if (!Number.isFinite(value)) {
      isDrawing = false
      return
    }
    const x = ((first + at) * step).toFixed(1)
    const y = (height - 1.5 - (value / most) * (height - 3)).toFixed(1)
    text += `${isDrawing ? 'L' : 'M'}${x} ${y}`
    isDrawing = true
  })
  return text
}
