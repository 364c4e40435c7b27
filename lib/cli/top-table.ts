// The rows of `millrace top` as a table that is no wider than the screen. Only rows that are shown are put into words.

import { printable } from './columns.js'
import { formatMilliseconds, formatRate } from './quantities.js'
import { bold, red } from './screen.js'
import { columns, type Order, type Row } from './top-rows.js'

const heading = ['KIND', 'NAME', 'IN/S', 'OUT/S', 'DEPTH', 'OLDEST', 'HAND', 'DROPS/S', 'PEERS']
/** Text; all others are numbers. */
const texts = 2
const nameColumn = 1
const leastName = 8
const gap = '  '
/** On a screen columns are as wide as most numbers, so that they stay where they are while numbers change. */
const steady: Readonly<Record<number, number>> = { 2: 5, 3: 6, 5: 7 }

export interface Look {
  /** Signs in a line, at most. */
  readonly width: number
  readonly colours: boolean
  /** For a screen: told in the heading, and columns keep their places while numbers change. */
  readonly order?: Order
  /** Signs of the longest name there is, also in rows that are not shown. */
  readonly longestName?: number
}

/** The heading, and a line for each row. */
export function tableLines(
  rows: readonly Row[],
  { width, colours, order, longestName = 0 }: Look,
): string[] {
  const cells = rows.map(cellsOf)
  const widths = heading.map((head, at) => {
    const least = order === undefined ? head.length : (steady[at] ?? head.length)
    return cells.reduce((most, row) => Math.max(most, row[at]!.length), least)
  })
  const others = widths.reduce((sum, one) => sum + one + gap.length, -gap.length)
  const room = width - (others - widths[nameColumn]!)
  const wanted = Math.max(widths[nameColumn]!, longestName)
  widths[nameColumn] = Math.min(wanted, Math.max(room, leastName))

  const lineOf = (row: readonly string[], paint: (cell: string, at: number) => string): string => {
    const placed = row.map((cell, at) => {
      const short = at === nameColumn ? shortened(cell, widths[at]!) : cell
      return at < texts ? short.padEnd(widths[at]!) : short.padStart(widths[at]!)
    })
    const plain = placed.join(gap).trimEnd()
    // What is narrower than a table can be cuts it.
    if (plain.length > width) return plain.slice(0, width)
    return colours ? placed.map(paint).join(gap) : plain
  }
  const head = marked(
    lineOf(heading, (cell) => cell),
    order,
  )
  return [
    colours ? bold(head) : head,
    ...cells.map((row, at) => lineOf(row, (cell, column) => painted(cell, column, rows[at]!))),
  ]
}

/** With a sign before the heading of the column that rows are sorted by. */
function marked(line: string, order: Order | undefined): string {
  if (order === undefined) return line
  const mark = (order.by === 'name') === order.reverse ? '▼' : '▲'
  const head = heading[columns.indexOf(order.by) + 1]!
  return line.replace(` ${head}`, `${mark}${head}`)
}

function cellsOf(row: Row): string[] {
  return [
    row.kind,
    printable(row.name),
    row.in === undefined ? '-' : formatRate(row.in),
    row.out === undefined ? '-' : formatRate(row.out),
    row.depth === undefined ? '-' : String(row.depth),
    row.oldest === undefined ? '-' : formatMilliseconds(row.oldest),
    row.hand === undefined ? '-' : String(row.hand),
    row.drops === 0 ? '-' : formatRate(row.drops),
    row.dead === 0 ? String(row.peers) : `${String(row.peers)}+${String(row.dead)}†`,
  ]
}

/** What somebody did not get, and who has died, is what one looks for. */
function painted(cell: string, column: number, { drops, dead }: Row): string {
  const isBad =
    (heading[column] === 'DROPS/S' && drops > 0) || (heading[column] === 'PEERS' && dead > 0)
  return isBad ? red(cell) : cell
}

export function shortened(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(width - 1, 0))}…` : text
}
