// Runs rows: a first pass that checks content, then passes over all rows, interleaved so that what the machine does
// meanwhile falls on all rows alike, until each has enough measurements that count, or the time is over.
//
// A measurement counts if the processors were placed alike before and after it, and if its times had settled before it
// began. All that is reported is of one placement.

import type { Measured } from '../side/measured.js'
import { measure } from './measure.js'
import { cannotLoad } from './peers.js'
import { cannotPin } from './pinning.js'
import { lookAtPlacement, placements, type Placement } from './placement.js'
import type { Row, Skipped } from './row.js'

export interface Extent {
  /** Measurements of each row that count. */
  readonly repetitions: number
  readonly warmUp: number
  readonly settleWithin: number
  readonly stretch: number
  /** Milliseconds after which no pass over the rows begins. */
  readonly within: number
}

/** What counts of a row, by the pass it was measured in. */
export interface Kept {
  readonly row: Row
  readonly byPass: ReadonlyMap<number, Measured>
  readonly checked: boolean
}

export interface Found {
  readonly placement: Placement
  readonly kept: readonly Kept[]
  readonly skipped: readonly Skipped[]
  /** Measurements that did not count, by why. */
  readonly dropped: { readonly moved: number; readonly unsettled: number }
}

interface Attempt {
  readonly pass: number
  readonly placement: Placement
  readonly measured: Measured
}

/** Rows that have the same work share its measurements. */
interface Work {
  readonly rows: Row[]
  readonly attempts: Attempt[]
  checked: boolean
  unsettled: number
  moved: number
}

export async function run(
  rows: readonly Row[],
  { repetitions, warmUp, settleWithin, stretch, within }: Extent,
): Promise<Found> {
  const skipped: Skipped[] = []
  const works = worksOf(possible(rows, skipped))
  const times = { warmUp, settleWithin, stretch }
  const started = performance.now()
  const isIn = (placement: Placement) => (work: Work) =>
    work.attempts.filter((attempt) => attempt.placement === placement).length >= repetitions
  for (let pass = 0; ; pass++) {
    const check = pass === 0
    const goal = prevailing(works.values())
    const due = [...works].filter(([, work]) => (check ? work.rows[0]!.checked : !isIn(goal)(work)))
    if (!check && due.length === 0) break
    for (const [key, work] of due) {
      if (!check && performance.now() - started > within) break
      const [row] = work.rows as [Row]
      say(`${check ? 'checking' : `pass ${String(pass)}`}: ${row.name}`)
      try {
        const before = check ? 'unknown' : await lookAtPlacement()
        const measured = await measure(row, { ...times, check })
        if (check) work.checked = true
        else if (measured.settled === false) work.unsettled++
        else if ((await lookAtPlacement()) !== before) work.moved++
        else work.attempts.push({ pass, placement: before, measured })
      } catch (error) {
        works.delete(key)
        const why = error instanceof Error ? error.message : String(error)
        for (const { name } of work.rows) skipped.push({ name, why })
      }
    }
    if (!check && performance.now() - started > within) break
  }
  say('')
  const placement = prevailing(works.values())
  const kept = rows.flatMap((row): Kept[] => {
    const work = [...works.values()].find((one) => one.rows.includes(row))
    if (work === undefined) return []
    const byPass = new Map(
      work.attempts
        .filter((attempt) => attempt.placement === placement)
        .map(({ pass, measured }) => [
          pass,
          row.part === undefined ? measured : measured.parts![row.part]!,
        ]),
    )
    if (byPass.size === 0) {
      skipped.push({ name: row.name, why: whyNothing(work, placement) })
      return []
    }
    return [{ row, byPass, checked: work.checked }]
  })
  const sum = (of: (work: Work) => number) =>
    [...works.values()].reduce((all, work) => all + of(work), 0)
  const dropped = { moved: sum(({ moved }) => moved), unsettled: sum(({ unsettled }) => unsettled) }
  return { placement, kept, skipped, dropped }
}

/** The placement that most measurements were taken in. */
function prevailing(works: Iterable<Work>): Placement {
  const all = [...works].flatMap(({ attempts }) => attempts)
  const count = (placement: Placement) =>
    all.filter((attempt) => attempt.placement === placement).length
  return placements.reduce((a, b) => (count(b) > count(a) ? b : a))
}

function whyNothing({ attempts, unsettled, moved }: Work, placement: Placement): string {
  if (attempts.length > 0) return `never measured with the processors placed '${placement}'`
  if (unsettled > 0) return 'never settled: its times did not agree in the time allowed'
  return moved > 0 ? 'the processors were moved during each measurement' : 'no time was left for it'
}

function worksOf(rows: readonly Row[]): Map<string, Work> {
  const works = new Map<string, Work>()
  for (const row of rows) {
    const key = JSON.stringify([row.work, row.cores])
    const work = works.get(key) ?? {
      rows: [],
      attempts: [],
      checked: false,
      unsettled: 0,
      moved: 0,
    }
    work.rows.push(row)
    works.set(key, work)
  }
  return works
}

function possible(rows: readonly Row[], skipped: Skipped[]): Row[] {
  const peers = new Map<string, string | undefined>()
  const whyNot = ({ work, cores }: Row): string | undefined => {
    const peer = 'case' in work ? work.peer : undefined
    if (peer === undefined) return cannotPin(cores)
    if (!peers.has(peer)) peers.set(peer, cannotLoad(peer))
    return peers.get(peer) ?? cannotPin(cores)
  }
  return rows.filter((row) => {
    const why = whyNot(row)
    if (why !== undefined) skipped.push({ name: row.name, why })
    return why === undefined
  })
}

/** Where it is, on a terminal. */
function say(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${what}\x1b[K`)
}
