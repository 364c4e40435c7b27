// `millrace top [PREFIX]`: what goes through channels, again and again.

import { measuresOf, observe, type Measures, type Observed } from '../telemetry.js'
import { formatColumns } from './columns.js'
import { nameHere } from './here.js'
import { written } from './output.js'
import { formatMilliseconds, formatRate, parseCount } from './quantities.js'
import { onePrefix, parseCommand, UsageError } from './usage.js'

/** What a row is sorted by; each the greatest first, but for names. */
const columns = ['name', 'in', 'out', 'depth', 'oldest', 'hand', 'drops', 'peers'] as const
type Column = (typeof columns)[number]

const usualIntervalMs = 1000
/** Erases the screen, and what scrolled off it stays. */
const fresh = '\u001b[H\u001b[2J'

/** What a channel did between two looks. */
export interface Row {
  readonly kind: string
  readonly name: string
  /** A second. */
  readonly in: number | undefined
  readonly out: number | undefined
  readonly drops: number
  readonly depth: number | undefined
  /** Milliseconds. */
  readonly oldest: number | undefined
  readonly hand: number | undefined
  readonly peers: number
  readonly dead: number
}

interface Look {
  readonly at: number
  readonly seen: readonly Observed[]
}

export async function top(args: readonly string[], signal: AbortSignal): Promise<void> {
  const parsed = parseCommand('top', args, ['interval', 'sort', 'limit'], ['once', 'json'])
  if (parsed === undefined) return
  const { values } = parsed
  const prefix = nameHere('top', onePrefix(parsed.positionals))
  const interval =
    values.interval === undefined
      ? usualIntervalMs
      : parseCount('--interval', values.interval, 100, 3_600_000)
  const sort = columnOf(values.sort ?? 'in')
  const limit =
    values.limit === undefined ? limitHere() : parseCount('--limit', values.limit, 1, 1_000_000)
  const shown = (rows: readonly Row[]): string =>
    values.json === true ? `${JSON.stringify(rows)}\n` : formatRows(rows, limit)
  const clears = process.stdout.isTTY && values.once !== true && values.json !== true
  let before = look(prefix)
  for (;;) {
    await pause(interval, signal)
    signal.throwIfAborted()
    const after = look(prefix)
    const rows = sorted(rowsOf(before, after), sort)
    await written(`${clears ? fresh : ''}${shown(rows)}`)
    if (values.once === true) return
    if (!clears && values.json !== true) await written('\n')
    before = after
  }
}

function columnOf(text: string): Column {
  const found = columns.find((column) => column === text)
  if (found !== undefined) return found
  throw new UsageError(`--sort must be one of ${columns.join(', ')}, not '${text}'`)
}

/** As many as a screen has; all where there is none. */
function limitHere(): number {
  return process.stdout.isTTY ? Math.max(process.stdout.rows - 3, 1) : Infinity
}

function look(prefix: string): Look {
  return { at: performance.now(), seen: observe({ prefix }) }
}

/** What is new has no rate yet; what was made anew counts from its beginning. */
function rowsOf(before: Look, after: Look): Row[] {
  const known = new Map(before.seen.map((seen) => [keyOf(seen), measuresOf(seen)]))
  const seconds = (after.at - before.at) / 1000
  return after.seen.map((seen): Row => {
    const measures = measuresOf(seen)
    const old = known.get(keyOf(seen))
    const rate = (value: number | undefined, was: number | undefined): number | undefined =>
      value === undefined ? undefined : Math.max(value - (was ?? value), 0) / seconds
    const alive = seen.holders.filter((holder) => holder.alive).length
    return {
      kind: seen.kind,
      name: seen.name,
      in: rate(measures.in, old?.in),
      out: rate(measures.out, old?.out),
      drops: rate(dropsOf(measures), old === undefined ? undefined : dropsOf(old)) ?? 0,
      depth: measures.depth,
      oldest: measures.oldestAge,
      hand: measures.leases,
      peers: alive,
      dead: seen.holders.length - alive,
    }
  })
}

function keyOf({ kind, name, created, creator }: Observed): string {
  return [kind, name, created?.getTime(), creator].join('\0')
}

function dropsOf({ drops }: Measures): number {
  return Object.values(drops).reduce((sum, one) => sum + one, 0)
}

function sorted(rows: readonly Row[], by: Column): Row[] {
  return rows.toSorted((a, b) =>
    by === 'name'
      ? compare(a.name, b.name)
      : (b[by] ?? -1) - (a[by] ?? -1) || compare(a.name, b.name),
  )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

const heading = ['KIND', 'NAME', 'IN/S', 'OUT/S', 'DEPTH', 'OLDEST', 'HAND', 'DROPS/S', 'PEERS']
const numbers = [2, 3, 4, 5, 6, 7, 8]
/** So that a row has 80 columns at most. */
const longestName = 22

function formatRows(rows: readonly Row[], limit: number): string {
  if (rows.length === 0) return 'nothing there\n'
  const shown = rows
    .slice(0, limit)
    .map((row) => [
      row.kind,
      row.name.length > longestName ? `${row.name.slice(0, longestName - 1)}…` : row.name,
      row.in === undefined ? '-' : formatRate(row.in),
      row.out === undefined ? '-' : formatRate(row.out),
      row.depth === undefined ? '-' : String(row.depth),
      row.oldest === undefined ? '-' : formatMilliseconds(row.oldest),
      row.hand === undefined ? '-' : String(row.hand),
      row.drops === 0 ? '-' : formatRate(row.drops),
      row.dead === 0 ? String(row.peers) : `${String(row.peers)}+${String(row.dead)}†`,
    ])
  const more = rows.length - shown.length
  return `${formatColumns([heading, ...shown], numbers)}${more > 0 ? `and ${String(more)} more\n` : ''}`
}

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, milliseconds)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        done()
      },
      { once: true },
    )
  })
}
