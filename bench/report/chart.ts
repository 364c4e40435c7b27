// A dot chart on a logarithmic scale, as SVG: one line per row, a dot at the median, a bar over the range of the
// repetitions. Dots, not bars: a logarithmic scale has no zero for a bar to start from. The picture brings its own
// background, and follows the reader's choice of light or dark.

export interface Point {
  readonly value: number
  readonly min: number
  readonly max: number
  readonly text: string
  /** Drawn hollow: the second of two series. */
  readonly second?: boolean
}

export interface Line {
  readonly label: string
  /** Under the label, small: what the sides do while they wait. */
  readonly topology: string
  readonly kind: 'millrace' | 'limit' | 'peer'
  readonly points: readonly Point[]
}

export interface Chart {
  readonly title: string
  /** What is on the scale, and which direction is good. */
  readonly axis: string
  readonly tick: (value: number) => string
  readonly lines: readonly Line[]
  /** Beside the filled and the hollow dot, if there are two series. */
  readonly series?: readonly [string, string]
  /** Method and machine. */
  readonly notes: readonly string[]
}

const width = 860
const margin = 20
const right = 90
const top = 92
const lineHeight = 34
const noteHeight = 16
/** What a letter takes at most, on average, in the fonts that there are: of a label, which may be bold, and of small text. */
const labelLetter = 7.4
const smallLetter = 6.2

const style = `
  .back { fill: #ffffff; stroke: #d0d7de }
  text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
  .title { font-size: 17px; font-weight: 600 }
  .small { font-size: 11px; fill: #59636e }
  .own { font-weight: 600 }
  .value { stroke: #ffffff; stroke-width: 5; stroke-linejoin: round; paint-order: stroke }
  .grid { stroke: #d8dee4 }
  .guide { stroke: #d8dee4; stroke-dasharray: 1 4 }
  .millrace { color: #0969da } .limit { color: #6e7781 } .peer { color: #bc4c00 }
  .range { stroke: currentColor; stroke-width: 5; stroke-linecap: round; opacity: .35 }
  .dot { fill: currentColor; stroke: currentColor; stroke-width: 2 }
  .hollow { fill: #ffffff; stroke: currentColor; stroke-width: 2 }
  @media (prefers-color-scheme: dark) {
    .back, .hollow { fill: #0d1117 } .back { stroke: #3d444d }
    text { fill: #f0f6fc } .small { fill: #9198a1 }
    .value { stroke: #0d1117 } .grid, .guide { stroke: #2f363d }
    .millrace { color: #58a6ff } .limit { color: #9198a1 } .peer { color: #f0883e }
  }`

export function svg({ title, axis, tick, lines, series, notes: paragraphs }: Chart): string {
  const notes = paragraphs.flatMap((text) => wrapped(text, (width - 2 * margin) / smallLetter))
  const letters = Math.max(...lines.map(({ label }) => label.length))
  const left = Math.ceil(margin + letters * labelLetter)
  const plot = width - left - right
  const values = lines.flatMap(({ points }) => points.flatMap(({ min, max }) => [min, max]))
  const low = Math.floor(Math.log10(Math.min(...values)))
  const high = Math.ceil(Math.log10(Math.max(...values)))
  const x = (value: number) => left + ((Math.log10(value) - low) / (high - low)) * plot
  const bottom = top + lines.length * lineHeight
  const height = bottom + 46 + notes.length * noteHeight
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${String(width)} ${String(height)}" width="${String(width)}" height="${String(height)}" role="img" aria-label="${escaped(title)}">`,
    `<style>${style}\n</style>`,
    `<rect class="back" x="0.5" y="0.5" width="${String(width - 1)}" height="${String(height - 1)}" rx="6"/>`,
    words(margin, 32, title, 'title'),
    words(margin, 52, axis, 'small'),
    ...legend(left, series),
    ...grid(low, high, x, bottom, tick),
    ...lines.flatMap((line, index) => drawn(line, left, top + (index + 0.5) * lineHeight, x)),
    ...notes.map((note, index) => words(margin, bottom + 46 + index * noteHeight, note, 'small')),
    '</svg>\n',
  ].join('\n')
}

function grid(
  low: number,
  high: number,
  x: (value: number) => number,
  bottom: number,
  tick: (value: number) => string,
): string[] {
  return Array.from({ length: high - low + 1 }, (_, step) => {
    const at = fixed(x(10 ** (low + step)))
    return (
      `<line class="grid" x1="${at}" x2="${at}" y1="${String(top)}" y2="${String(bottom)}"/>` +
      words(
        Number(at),
        bottom + 18,
        tick(10 ** (low + step)).replace(/\.0+/, ''),
        'small',
        'middle',
      )
    )
  })
}

/** What the colours are, and the two kinds of dots if there are two series. */
function legend(left: number, series: readonly [string, string] | undefined): string[] {
  const entries = [
    ['dot millrace', 'millrace'],
    ['dot peer', 'others'],
    ['dot limit', 'without JavaScript'],
    ...(series === undefined
      ? []
      : [
          ['dot limit', series[0]],
          ['hollow limit', series[1]],
        ]),
  ]
  return entries.flatMap(([kind, what], index) => {
    const x = left + index * 82 + (index > 2 ? 60 : 0)
    return [
      `<circle class="${kind!}" cx="${String(x)}" cy="72" r="5"/>`,
      words(x + 12, 76, what!, 'small'),
    ]
  })
}

function drawn(line: Line, left: number, y: number, x: (value: number) => number): string[] {
  const { label, topology, kind, points } = line
  const last = points.reduce((a, b) => (a.value > b.value ? a : b))
  const end = Math.max(...points.map(({ max }) => x(max)))
  return [
    words(margin, y, label, kind === 'millrace' ? 'own' : ''),
    words(margin, y + 13, topology, 'small'),
    `<line class="guide" x1="${String(left)}" x2="${fixed(end)}" y1="${fixed(y)}" y2="${fixed(y)}"/>`,
    `<g class="${kind}">`,
    ...points.flatMap(({ value, min, max, second = false }) => [
      `<line class="range" x1="${fixed(x(min))}" x2="${fixed(x(max))}" y1="${fixed(y)}" y2="${fixed(y)}"/>`,
      `<circle class="${second ? 'hollow' : 'dot'}" cx="${fixed(x(value))}" cy="${fixed(y)}" r="5"/>`,
    ]),
    '</g>',
    words(end + 12, y + 4, last.text, kind === 'millrace' ? 'value own' : 'value'),
  ]
}

/** Lines of at most so many letters. */
function wrapped(text: string, letters: number): string[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + word.length <= letters) {
      lines[lines.length - 1] = `${last} ${word}`
    } else lines.push(word)
  }
  return lines
}

const fixed = (value: number) => value.toFixed(1)

function words(x: number, y: number, text: string, kind = '', anchor = 'start'): string {
  const kinds = kind === '' ? '' : ` class="${kind}"`
  const anchored = anchor === 'start' ? '' : ` text-anchor="${anchor}"`
  return `<text x="${fixed(x)}" y="${fixed(y)}"${kinds}${anchored}>${escaped(text)}</text>`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}
