// A chart of the last minutes.

import uPlot from 'uplot'

import { el, setAttribute } from './dom.js'
import { count, rate } from './words.js'

export interface Curve {
  readonly label: string
  /** A variable of the style sheet. */
  readonly colour: string
}

const height = 160

export class Chart {
  readonly element = el('figure', { class: 'chart' })
  readonly #title: string
  readonly #curves: readonly Curve[]
  readonly #box = el('div', { role: 'img' })
  readonly #dark = matchMedia('(prefers-color-scheme: dark)')
  readonly #resized = new ResizeObserver(() => {
    this.#plot?.setSize({ width: this.#width, height })
  })
  #plot: uPlot | undefined
  #data: uPlot.AlignedData = [[]]

  constructor(title: string, curves: readonly Curve[]) {
    this.#title = title
    this.#curves = curves
    const key = curves.map(({ label, colour }) =>
      el('span', { class: 'key' }, el('i', { class: colour, 'aria-hidden': 'true' }), label),
    )
    this.element.append(el('figcaption', {}, el('b', {}, title), ...key), this.#box)
    this.#resized.observe(this.#box)
    this.#dark.addEventListener('change', this.#anew)
  }

  /** Numbers that are none are gaps. */
  show(times: readonly number[], values: readonly (readonly number[])[]): void {
    const lines = values.map((line) => line.map((value) => (Number.isFinite(value) ? value : null)))
    this.#data = [[...times], ...lines]
    const last = this.#curves.map(({ label }, at) => `${label} ${rate(values[at]?.at(-1))}`)
    setAttribute(
      this.#box,
      'aria-label',
      `${this.#title}, last five minutes; now ${last.join(', ')}`,
    )
    if (this.#plot === undefined) this.#make()
    else this.#plot.setData(this.#data)
  }

  end(): void {
    this.#resized.disconnect()
    this.#dark.removeEventListener('change', this.#anew)
    this.#plot?.destroy()
  }

  get #width(): number {
    return Math.max(this.#box.clientWidth, 200)
  }

  readonly #anew = (): void => {
    this.#plot?.destroy()
    this.#make()
  }

  #make(): void {
    const style = getComputedStyle(document.documentElement)
    const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim()
    const axis = {
      stroke: colour('muted'),
      grid: { stroke: colour('line'), width: 1 },
      ticks: { stroke: colour('line'), width: 1 },
      font: '12px system-ui, sans-serif',
    }
    this.#plot = new uPlot(
      {
        width: this.#width,
        height,
        legend: { show: false },
        cursor: { y: false, drag: { x: false, y: false } },
        scales: {
          y: { range: (_, __, most) => [0, Number.isFinite(most) && most > 0 ? most * 1.1 : 1] },
        },
        axes: [
          { ...axis, size: 30, space: 80, values: (_, ticks) => ticks.map(clock) },
          { ...axis, size: 56, values: (_, ticks) => ticks.map(mark) },
        ],
        series: [
          {},
          ...this.#curves.map(({ label, colour: name }) => ({
            label,
            stroke: colour(name),
            width: 1.5,
            points: { show: false },
          })),
        ],
      },
      this.#data,
      this.#box,
    )
  }
}

function clock(seconds: number): string {
  return new Date(seconds * 1000).toLocaleTimeString('en', { hourCycle: 'h23' })
}

function mark(value: number): string {
  return Number.isInteger(value) ? count(value) : rate(value)
}
