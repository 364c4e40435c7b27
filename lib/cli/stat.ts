// `millrace stat NAME`: all that is seen of a channel.

import {
  observe,
  percentile,
  waitTimes,
  type Latency,
  type Observed,
  type Wait,
} from '../telemetry.js'
import { formatColumns, printable } from './columns.js'
import { nameHere } from './here.js'
import { formatAge, formatHolders } from './objects.js'
import { formatBytes, formatMilliseconds } from './quantities.js'
import { sizeOfScreen } from './screen.js'
import { parseCommand, UsageError } from './usage.js'

export function stat(args: readonly string[]): Promise<number | undefined> {
  const parsed = parseCommand('stat', args, [], ['json'])
  if (parsed === undefined) return Promise.resolve(undefined)
  const [given, extra] = parsed.positionals
  if (given === undefined) throw new UsageError('stat wants a name')
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  const name = nameHere('stat', given)
  const seen = observe({ name })
  if (parsed.values.json === true) {
    process.stdout.write(`${JSON.stringify(seen, undefined, 2)}\n`)
  } else if (seen.length > 0) {
    process.stdout.write(seen.map((one) => formatSeen(one)).join('\n'))
  } else {
    process.stderr.write(`millrace: there is no channel '${name}' here: 'millrace ls' lists all\n`)
  }
  return Promise.resolve(seen.length > 0 ? undefined : 1)
}

/** Numbers that are bytes, by their names. */
const bytes = /bytes|capacity$/i
const lasting = /age$/i
/** Numbers that are answers. */
const answers = new Set(['exclusive', 'abandoned', 'set', 'open', 'halfOpen', 'serves'])

function formatSeen(seen: Observed, now = Date.now()): string {
  const { kind, name, state, size, layout, created, creator, detail, holders, parts } = seen
  const made = created === undefined ? '' : ` ${formatAge(now - created.getTime())} ago`
  const head = [
    ['state', [state.replace('-', ' '), detail].filter((part) => part !== '').join(': ')],
    ['size', formatBytes(size)],
    ['layout', layout ?? '-'],
    ['made', `${made}${creator === undefined ? '' : ` by ${String(creator)}`}`.trim() || '-'],
    ['held by', formatHolders(holders) || 'nobody'],
  ]
  const figures = Object.entries(seen.figures ?? {}) as readonly (readonly [string, number])[]
  const rows = [...head, ...figures.map(([key, value]) => [wordsOf(key), formatFigure(key, value)])]
  const kinds = new Set(parts.map((part) => part.kind))
  const tables = [...kinds].map((one) => formatParts(parts.filter((part) => part.kind === one)))
  return [
    `${kind} ${printable(name)}\n`,
    formatColumns(rows.map(([key = '', value = '']) => [`  ${key}`, value])),
    ...tables,
    formatWaits(seen.waits),
    formatLatencies(seen.latencies),
  ].join('')
}

/** Who waits, and how long that takes; of what is spread, bounds that so many do not exceed. */
function formatWaits(waits: readonly Wait[]): string {
  const rows = waits.map((wait) => [
    wait.side,
    String(wait.index),
    String(wait.waits),
    wait.waits === 0 ? '-' : formatMilliseconds(wait.milliseconds / wait.waits),
    ...percentilesOf(wait),
    wait.since === undefined ? '-' : formatMilliseconds(wait.since),
  ])
  return formatTimes(['WAITS OF', '', 'WAITS', 'MEAN', ...heads, 'NOW'], rows)
}

/** How long messages take, likewise. */
function formatLatencies(latencies: readonly Latency[]): string {
  const rows = latencies.map((latency) => {
    const measured = latency.buckets.reduce((sum, { count }) => sum + count, 0)
    return [
      latency.side,
      String(latency.index),
      String(measured),
      formatMilliseconds(latency.milliseconds / measured),
      ...percentilesOf(latency),
    ]
  })
  return formatTimes(['LATENCY OF', '', 'MESSAGES', 'MEAN', ...heads], rows)
}

/** Milliseconds, beyond which it is not told apart how long something took: waits, and latencies by who counts them. */
const longest = (spread: Latency | Wait): number =>
  'times' in spread ? waitTimes.at(-1)! : longestLatency[spread.side]
const longestLatency: Readonly<Record<Latency['side'], number>> = {
  consumer: 134_217.728,
  reader: 1048.576,
  subscriber: 100_663.296,
  worker: 2_684_354.56,
  handler: 2_684_354.56,
  client: 2_684_354.56,
  server: 2_684_354.56,
}

const told = [0.5, 0.95, 0.99] as const
const heads = told.map((part) => `P${String(part * 100)}`)

function formatTimes(heading: readonly string[], rows: readonly string[][]): string {
  if (rows.length === 0) return ''
  return `\n${formatColumns([[...heading], ...rows], [1, 2, 3, 4, 5, 6, 7])}`
}

function percentilesOf(spread: Latency | Wait): string[] {
  return told.map((part) => {
    const bound = percentile(spread, part)
    if (bound === undefined) return '-'
    if (bound !== Infinity) return `≤${formatMilliseconds(bound)}`
    return `>${formatMilliseconds(longest(spread))}`
  })
}

type Part = Observed['parts'][number]

/** What an object has several of, a row each. */
function formatParts(parts: readonly Part[]): string {
  const [first] = parts
  if (first === undefined) return ''
  const valueOf = (part: Part, key: string): number =>
    (part.figures as Readonly<Record<string, number>>)[key] ?? 0
  const all = Object.keys(first.figures)
  const named = parts.some((part) => 'name' in part)
  const table = (keys: readonly string[]): string => {
    const heading = [first.kind, ...(named ? ['name'] : []), 'pid', ...keys.map(wordsOf)]
    const rows = parts.map((part) => [
      String(part.index),
      ...(named ? ['name' in part ? part.name : ''] : []),
      part.pid === undefined ? '-' : String(part.pid),
      ...keys.map((key) => formatFigure(key, valueOf(part, key))),
    ])
    const right = heading.flatMap((_, column) => (named && column === 1 ? [] : [column]))
    return `\n${formatColumns([heading.map((word) => word.toUpperCase()), ...rows], right)}`
  }
  const whole = table(all)
  const fits = whole.split('\n').every((line) => line.length <= sizeOfScreen().columns)
  // What is nothing everywhere says the least.
  return fits ? whole : table(all.filter((key) => parts.some((part) => valueOf(part, key) !== 0)))
}

/** `sentBytes` is `sent bytes`. */
function wordsOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
}

function formatFigure(name: string, value: number): string {
  if (lasting.test(name)) return formatMilliseconds(value)
  if (bytes.test(name)) return formatBytes(value)
  if (answers.has(name)) return value === 0 ? 'no' : 'yes'
  return String(value)
}
