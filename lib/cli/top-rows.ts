// The rows of `millrace top`: what channels did between two looks, which of them are wanted, and in which order.

import { measuresOf, observe, type Measures, type Observed } from '../telemetry.js'

/** What rows are sorted by; each the greatest first, but for names. */
export const columns = ['name', 'in', 'out', 'depth', 'oldest', 'hand', 'drops', 'peers'] as const
export type Column = (typeof columns)[number]

export interface Order {
  readonly by: Column
  readonly reverse: boolean
}

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

/** A channel that was looked at. */
export interface Found {
  readonly row: Row
  readonly seen: Observed
}

interface Counted {
  readonly in: number | undefined
  readonly out: number | undefined
  readonly drops: number
}

/** Looks at channels, and remembers what was counted then until the next look. */
export class Looker {
  readonly #prefix: string
  #before = new Map<string, Counted>()
  #at: number | undefined

  constructor(prefix: string) {
    this.#prefix = prefix
  }

  /** The first look knows no rates. */
  look(): Found[] {
    const at = performance.now()
    const seconds = this.#at === undefined ? undefined : (at - this.#at) / 1000
    const before = this.#before
    const counts = new Map<string, Counted>()
    const found = observe({ prefix: this.#prefix }).map((seen): Found => {
      const measures = measuresOf(seen)
      const counted = { in: measures.in, out: measures.out, drops: dropsOf(measures) }
      const key = keyOf(seen)
      counts.set(key, counted)
      return { seen, row: rowOf(seen, { measures, counted, before: before.get(key), seconds }) }
    })
    this.#before = counts
    this.#at = at
    return found
  }
}

interface Counts {
  readonly measures: Measures
  readonly counted: Counted
  /** Nothing: it is new, and what it has counted so far is of no known time. */
  readonly before: Counted | undefined
  readonly seconds: number | undefined
}

function rowOf(seen: Observed, { measures, counted, before, seconds }: Counts): Row {
  const rate = (now: number | undefined, was: number | undefined): number | undefined =>
    now === undefined || seconds === undefined
      ? undefined
      : Math.max(now - (was ?? now), 0) / seconds
  let alive = 0
  for (const holder of seen.holders) if (holder.alive) alive++
  return {
    kind: seen.kind,
    name: seen.name,
    in: rate(counted.in, before?.in),
    out: rate(counted.out, before?.out),
    drops: rate(counted.drops, before?.drops) ?? 0,
    depth: measures.depth,
    oldest: measures.oldestAge,
    hand: measures.leases,
    peers: alive,
    dead: seen.holders.length - alive,
  }
}

/** What was made anew under an old name is another one, and counts from its beginning. */
function keyOf({ kind, name, created, creator }: Observed): string {
  return `${kind}/${name} ${String(created?.getTime())} ${String(creator)}`
}

function dropsOf({ drops }: Measures): number {
  return Object.values(drops).reduce((sum, one) => sum + one, 0)
}

/** Those that all words of the filter are found in: in kind, name, state, or the ids of processes; in capitals or not. */
export function matching(found: readonly Found[], filter: string): readonly Found[] {
  const words = filter
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== '')
  if (words.length === 0) return found
  return found.filter(({ seen: { kind, name, state, holders } }) => {
    const pids = holders.map(({ pid }) => String(pid ?? '')).join(' ')
    const text = `${kind} ${name} ${state} ${pids}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
}

/** What is equal stands in the order of names, whichever way round the rest is. */
export function ordered(found: readonly Found[], { by, reverse }: Order): Row[] {
  const compare = (one: Row, other: Row): number =>
    by === 'name' ? compareNames(one, other) : (other[by] ?? -1) - (one[by] ?? -1)
  return found
    .map(({ row }) => row)
    .sort((one, other) => {
      const order = compare(one, other)
      return (reverse ? -order : order) || compareNames(one, other)
    })
}

function compareNames({ name: one }: Row, { name: other }: Row): number {
  return one < other ? -1 : one > other ? 1 : 0
}
