// The charts of the README: which rows they show.

import { duration, rate } from '../suite/quantities.js'
import type { Report, Summary } from '../suite/row.js'
import { suffix } from '../suite/pinning.js'
import { svg, type Chart, type Line } from './chart.js'

const limits = ['C++ core', 'cache line', 'memcpy, two processes']

function kindOf(label: string): Line['kind'] {
  if (label.startsWith('millrace')) return 'millrace'
  return limits.some((limit) => label.startsWith(limit)) ? 'limit' : 'peer'
}

/** Rows whose name begins so, by what follows it: those that spin on cores of their own, others where they may. */
function rowsOf(report: Report, prefix: string): Map<string, Summary> {
  const found = new Map<string, Summary>()
  for (const row of report.rows) {
    if (!row.name.startsWith(prefix)) continue
    const what = row.name.slice(prefix.length).replace(suffix('two cores'), '')
    const pinned = row.topology === 'spinning, two cores'
    if (pinned || (row.topology.endsWith('unpinned') && !found.has(what))) found.set(what, row)
  }
  return found
}

const topologyOf = ({ topology }: Summary) => topology.replace(', unpinned', '')

function timeLine(label: string, row: Summary): Line {
  const { p50, min, max } = row
  const points = [{ value: p50, min, max, text: duration(p50) }]
  return { label, topology: topologyOf(row), kind: kindOf(label), points }
}

function byTime(lines: readonly Line[]): Line[] {
  return [...lines].sort((a, b) => a.points[0]!.value - b.points[0]!.value)
}

const timeAxis =
  'p50 of a round trip, and its range over the repetitions; logarithmic, less is better'

function roundTrips(report: Report): Line[] {
  const lines = ['spinning', 'event loop', 'blocking'].flatMap((how) =>
    [...rowsOf(report, `rtt ${how}: `)]
      .filter(([what]) => !what.endsWith(', until warm')) // a time before it, which may be 0
      .map(([what, row]) => timeLine(what, row)),
  )
  return byTime(lines)
}

function frames(report: Report): Line[] {
  const named = (bytes: string) =>
    [...rowsOf(report, `frame ${bytes}: `)].map(([what, row]) =>
      timeLine(bytes === '8 MiB' ? what : `${what}, ${bytes}`, row),
    )
  return byTime([...named('8 MiB'), ...named('4 KiB')])
}

function throughput(report: Report): Line[] {
  const one = rowsOf(report, 'throughput 64 B: ')
  const two = rowsOf(report, 'throughput 1 KiB: ')
  const lines = [...one].map(([label, row]): Line => {
    const point = ({ p50, min, max }: Summary, second: boolean) => ({
      value: 1e9 / p50,
      min: 1e9 / max,
      max: 1e9 / min,
      text: rate(1e9 / p50),
      second,
    })
    const large = two.get(label)
    const points = [point(row, false), ...(large === undefined ? [] : [point(large, true)])]
    return { label, topology: topologyOf(row), kind: kindOf(label), points }
  })
  return [...lines].sort((a, b) => b.points[0]!.value - a.points[0]!.value)
}

export interface Picture {
  readonly file: string
  /** For those who do not see it. */
  readonly title: string
  readonly svg: string
}

/** Charts without any row are left out. */
export function charts(report: Report, notes: readonly string[]): Picture[] {
  const all: Record<string, Chart> = {
    'round-trips': {
      title: 'A round trip of 64 bytes between two processes',
      axis: timeAxis,
      tick: duration,
      lines: roundTrips(report),
      notes,
    },
    throughput: {
      title: 'Messages a second, one way',
      axis: 'median over blocks of messages, and its range over the repetitions; logarithmic, more is better',
      tick: rate,
      lines: throughput(report),
      series: ['64 B', '1 KiB'],
      notes,
    },
    frames: {
      title: 'A frame of 8 MiB, where nothing else is said, handed over and answered',
      axis: `${timeAxis}; millrace and transfer copy nothing, the others do`,
      tick: duration,
      lines: frames(report),
      notes,
    },
  }
  return Object.entries(all)
    .filter(([, { lines }]) => lines.length > 0)
    .map(([name, chart]) => ({ file: `${name}.svg`, title: chart.title, svg: svg(chart) }))
}

/** Pictures in Markdown, from a page that has them in `folder`. */
export function shown(pictures: readonly Picture[], folder: string): string[] {
  return pictures.flatMap(({ file, title }) => [`![${title}](${folder}/${file})`, ''])
}
