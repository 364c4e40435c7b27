// The part of the README that the report writes: the charts, and the few numbers that most people look for.

import { duration, rate } from '../suite/quantities.js'
import type { Report } from '../suite/row.js'
import { shown, type Picture } from './charts.js'
import { machineLine, methodLines } from './notes.js'

export const begin = '<!-- written by npm run bench:report -->'
export const end = '<!-- until here -->'

const transports = ['millrace', 'Unix socket', 'process.send', 'C++ core alone'] as const

type Cell = readonly [row: string, show: 'time' | 'rate'] | undefined
interface ReadmeRow {
  readonly label: string
  readonly cells: readonly [Cell, Cell, Cell, Cell]
}

const time = (row: string): Cell => [row, 'time']
const perSecond = (row: string): Cell => [row, 'rate']

const rows: readonly ReadmeRow[] = [
  {
    label: '64 B round trip, event loops, default options',
    cells: [
      time('rtt event loop: millrace'),
      time('rtt event loop: Unix socket'),
      time('rtt event loop: process.send, json'),
      undefined,
    ],
  },
  {
    label: 'the same, polling up to 2 ms',
    cells: [time('rtt event loop: millrace, poll 2 ms'), undefined, undefined, undefined],
  },
  {
    label: '64 B round trip, both spinning',
    cells: [time('rtt spinning: millrace'), undefined, undefined, time('rtt spinning: C++ core')],
  },
  ...['64 B', '1 KiB'].flatMap((size): ReadmeRow[] => {
    const name = (what: string) => perSecond(`throughput ${size}: ${what}`)
    return [
      {
        label: `${size} messages, one call each`,
        cells: [
          name('millrace, single'),
          name('Unix socket, single'),
          name('process.send, json'),
          name('C++ core'),
        ],
      },
      {
        label: `${size} messages, 64 a call`,
        cells: [name('millrace, batch 64'), name('Unix socket, writev 64'), undefined, undefined],
      },
    ]
  }),
  {
    label: '8 MiB frame handed over and answered',
    cells: [
      time('frame 8 MiB: millrace'),
      time('frame 8 MiB: Unix socket'),
      time('frame 8 MiB: process.send, advanced'),
      undefined,
    ],
  },
  {
    label: 'the same, polling up to 2 ms',
    cells: [time('frame 8 MiB: millrace, poll 2 ms'), undefined, undefined, undefined],
  },
]

/** What belongs between the two marks. */
export function readmePart(report: Report, pictures: readonly Picture[]): string {
  const measured = new Map(report.rows.map((row) => [row.name, row.p50]))
  const spinning = new Set(
    report.rows.filter(({ topology }) => topology.startsWith('spinning')).map(({ name }) => name),
  )
  const value = (cell: Cell) => {
    // Where both sides spin they have a core each, if they can be pinned; what waits is left to the scheduler.
    const pinned = cell !== undefined && spinning.has(`${cell[0]} (two cores)`)
    const p50 = cell && measured.get(pinned ? `${cell[0]} (two cores)` : cell[0])
    if (cell === undefined || p50 === undefined) return ''
    return cell[1] === 'time' ? duration(p50) : rate(1e9 / p50)
  }
  return [
    '',
    ...methodLines(report),
    machineLine(report),
    '',
    ...shown(pictures, 'docs/charts'),
    `| | ${transports.join(' | ')} |`,
    '|---|---|---|---|---|',
    ...rows.map(({ label, cells }) => `| ${label} | ${cells.map(value).join(' | ')} |`),
    '',
    'All rows, with ranges, percentiles and processor time: [benchmarks](docs/benchmarks.md).',
    '',
  ].join('\n')
}

/** The README with that part in it. */
export function withPart(readme: string, part: string): string {
  const from = readme.indexOf(begin)
  const to = readme.indexOf(end)
  if (from < 0 || to < from) throw new Error(`README.md has no ${begin} … ${end}`)
  return `${readme.slice(0, from + begin.length)}\n${part}${readme.slice(to)}`
}
