// What was seen of a channel, as a row of the table.

import { waitTimes, type Observed, type Wait } from '../telemetry/figures.js'
import { measuresOf, type Measures } from '../telemetry/measures.js'
import type { Detail, Doing, Holder, Lag, Row, WaitBound, Waited } from './wire.js'

/** What was counted at a look, to be compared with what is at the next. */
export interface Counted {
  /** Of one that was made anew counting starts again. */
  readonly made: string
  readonly in: number | undefined
  readonly out: number | undefined
  readonly drops: number
  readonly wakes: number | undefined
}

type AnyPart = Observed['parts'][number]

/** More are not shown: a bus may have thousands of subscriptions. */
const mostShown = 32

export function countedOf(seen: Observed, measures: Measures): Counted {
  return {
    made: `${String(seen.created?.getTime())} ${String(seen.creator)}`,
    in: measures.in,
    out: measures.out,
    drops: Object.values(measures.drops).reduce((sum, one) => sum + one, 0),
    wakes: measures.wakes,
  }
}

/** `before`: what was counted so many seconds ago, if it was there. */
export function rowOf(
  seen: Observed,
  before: { readonly counted: Counted; readonly seconds: number } | undefined,
): { readonly row: Row; readonly counted: Counted } {
  const measures = measuresOf(seen)
  const counted = countedOf(seen, measures)
  const old = before?.counted.made === counted.made ? before.counted : undefined
  const rate = (now: number | undefined, was: number | undefined): number | undefined =>
    now === undefined || was === undefined || before === undefined
      ? undefined
      : rounded(Math.max(now - was, 0) / before.seconds)
  const { kind, name, state, figures } = seen
  const row = {
    kind,
    name,
    state,
    usable: figures !== undefined,
    in: rate(counted.in, old?.in),
    out: rate(counted.out, old?.out),
    drops: rate(counted.drops, old?.drops),
    wakes: rate(counted.wakes, old?.wakes),
    total: measures.in,
    depth: measures.depth,
    places: measures.places,
    oldest: measures.oldestAge === undefined ? undefined : Math.round(measures.oldestAge),
    hand: measures.leases,
    dead: measures.dead,
    parked: measures.parked,
    lags: lagsOf(seen).slice(0, mostShown),
    holders: holdersOf(seen).slice(0, mostShown),
  }
  return { row: known(row), counted }
}

export function detailOf(seen: Observed, row: Row): Detail {
  return known({
    row,
    size: seen.size,
    created: seen.created?.toISOString(),
    creator: seen.creator,
    layout: seen.layout,
    detail: seen.detail,
    path: seen.path,
    figures: { ...seen.figures },
    parts: (seen.parts as readonly AnyPart[]).slice(0, 1000).map((part) => ({
      ...part,
      figures: { ...part.figures },
    })),
    waits: seen.waits.slice(0, 1000).map(waitedOf),
  })
}

function waitedOf({ side, index, waits, milliseconds, since, times }: Wait): Waited {
  return known({
    side,
    index,
    waits,
    mean: waits === 0 ? undefined : milliseconds / waits,
    half: boundOf(times, 0.5),
    most: boundOf(times, 0.99),
    now: since,
  })
}

function boundOf(times: readonly number[], part: number): WaitBound | undefined {
  const all = times.reduce((sum, count) => sum + count, 0)
  if (all === 0) return undefined
  let counted = 0
  const atMost = waitTimes[times.findIndex((count) => (counted += count) >= all * part)]
  return atMost === undefined ? { above: waitTimes.at(-1)! } : { atMost }
}

/** Without what is not there. */
function known<T extends object>(
  given: T,
): { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>
} {
  const entries = Object.entries(given).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as ReturnType<typeof known<T>>
}

/** Three digits are enough for people, and what changes less is not told again. */
function rounded(perSecond: number): number {
  return Number(perSecond.toPrecision(3))
}

function lagsOf(seen: Observed): Lag[] {
  if (seen.figures === undefined) return []
  const lag = (of: number, pid: number | undefined, name?: string): Lag => ({
    ...(pid === undefined ? {} : { pid }),
    ...(name === undefined ? {} : { name }),
    lag: of,
  })
  switch (seen.kind) {
    case 'queue': {
      const consumer = seen.holders.find(({ role }) => role === 'consumer')
      return [lag(seen.figures.messages, consumer?.pid)]
    }
    case 'frames':
      return seen.parts.map(({ pid, figures }) => lag(figures.queued, pid))
    case 'topics':
      return seen.parts.map(({ pid, name, figures }) => lag(figures.lag, pid, name))
    case 'pipeline':
      return seen.parts.flatMap((part) =>
        part.kind === 'stage' ? [lag(part.figures.ready, undefined, part.name)] : [],
      )
    default:
      return []
  }
}

function holdersOf(seen: Observed): Holder[] {
  const doing = doingOf(seen)
  const all = seen.holders.map(({ role, pid, alive }) => ({
    role,
    ...(pid === undefined ? {} : { pid }),
    alive,
    does: doing(role, pid),
  }))
  // A process that has a channel open several times is on it once in each role.
  const once = new Map(all.map((one) => [`${one.role} ${String(one.pid)} ${one.does}`, one]))
  return [...once.values()]
}

const writers = new Set(['producer', 'writer', 'owner'])
const readers = new Set(['consumer', 'reader', 'readers', 'waiting reader'])

function doingOf(seen: Observed): (role: string, pid: number | undefined) => Doing {
  const does = new Map<number, { writes: boolean; reads: boolean }>()
  const add = (pid: number | undefined, writes: boolean, reads: boolean): void => {
    if (pid === undefined) return
    const before = does.get(pid)
    does.set(pid, {
      writes: writes || before?.writes === true,
      reads: reads || before?.reads === true,
    })
  }
  if (seen.figures !== undefined) {
    if (seen.kind === 'work' || seen.kind === 'pipeline') {
      for (const part of seen.parts) {
        // Who sleeps waits for jobs, if it is not for room.
        if (part.kind === 'user') {
          const { pushed, taken, inHand, parked } = part.figures
          add(part.pid, pushed > 0, taken > 0 || inHand > 0 || (parked > 0 && pushed === 0))
        }
      }
    } else if (seen.kind === 'calls') {
      for (const { pid, figures } of seen.parts) add(pid, figures.serves === 0, figures.serves > 0)
    } else if (seen.kind === 'topics') {
      for (const { pid } of seen.parts) add(pid, false, true)
    }
  }
  return (role, pid) => {
    if (writers.has(role)) return 'writes'
    if (readers.has(role)) return 'reads'
    const seenToDo = pid === undefined ? undefined : does.get(pid)
    if (seenToDo === undefined) return seen.kind === 'topics' ? 'writes' : 'holds'
    if (seenToDo.writes && seenToDo.reads) return 'both'
    if (seenToDo.writes) return 'writes'
    return seenToDo.reads ? 'reads' : 'holds'
  }
}
