// Runs rows: a first pass that checks content, then passes over all rows, interleaved so that what the machine does
// meanwhile falls on all rows alike, until each has enough measurements that count, or the time is over.
//
// A measurement counts if the processors were placed alike before and after it, and if its times had settled before it
// began. All that is reported is of one placement.

import type { Measured } from '../side/measured.js'
import { measure, type Times } from './measure.js'
import { cannotLoad } from './peers.js'
import { cannotPin } from './pinning.js'
import { lookAtPlacement, placements, type Placement } from './placement.js'
import { whyNotBuilt } from './programs.js'
import { cannotRunPython } from './python.js'
import type { Row, Skipped } from './row.js'
import { cannotServe } from './servers/servers.js'

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

/** After so many in a row that do not count, a row is given up: others need the time. */
const mostVain = 8

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
  /** Since the last one that counts. */
  vain: number
}

type Once = (work: Work) => Promise<void>

export async function run(
  rows: readonly Row[],
  { repetitions, warmUp, settleWithin, stretch, within }: Extent,
): Promise<Found> {
  const skipped: Skipped[] = []
  const works = worksOf(possible(rows, skipped))
  const times = { warmUp, settleWithin, stretch }
  const started = performance.now()
  const isOver = () => performance.now() - started > within
  const inTurn = async (due: readonly (readonly [string, Work])[], once: Once, end = isOver) => {
    for (const [key, work] of due) {
      if (end()) return
      try {
        await once(work)
      } catch (error) {
        works.delete(key)
        const why = error instanceof Error ? error.message : String(error)
        for (const { name } of work.rows) skipped.push({ name, why })
      }
    }
  }
  const checkable = [...works].filter(([, { rows: same }]) => same[0]!.checked)
  await inTurn(
    checkable,
    async (work) => {
      say(`checking: ${work.rows[0]!.name}`)
      await measure(work.rows[0]!, { ...times, check: true })
      work.checked = true
    },
    () => false,
  )
  for (let pass = 1; !isOver(); pass++) {
    const goal = prevailing(works.values())
    const due = [...works].filter(([, work]) => isDue(work, goal, repetitions))
    if (due.length === 0) break
    await inTurn(due, async (work) => {
      say(`pass ${String(pass)}: ${work.rows[0]!.name}`)
      await attempt(work, pass, times)
    })
  }
  say('')
  const placement = prevailing(works.values())
  const kept = rows.flatMap((row): Kept[] => {
    const work = [...works.values()].find((one) => one.rows.includes(row))
    if (work === undefined) return []
    const byPass = new Map(
      work.attempts.flatMap(({ pass, placement: at, measured }) => {
        const own = row.part === undefined ? measured : measured.parts?.[row.part]
        return at === placement && own !== undefined ? [[pass, own] as const] : []
      }),
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

function isDue({ rows, attempts, vain }: Work, goal: Placement, usual: number): boolean {
  const repetitions = Math.min(usual, rows[0]!.repetitions ?? usual)
  return (
    vain < mostVain && attempts.filter(({ placement }) => placement === goal).length < repetitions
  )
}

async function attempt(work: Work, pass: number, times: Omit<Times, 'check'>): Promise<void> {
  const placement = await lookAtPlacement()
  const measured = await measure(work.rows[0]!, { ...times, check: false })
  work.vain++
  if (measured.settled === false) work.unsettled++
  else if ((await lookAtPlacement()) !== placement) work.moved++
  else {
    work.attempts.push({ pass, placement, measured })
    work.vain = 0
  }
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
      vain: 0,
    }
    work.rows.push(row)
    works.set(key, work)
  }
  return works
}

function possible(rows: readonly Row[], skipped: Skipped[]): Row[] {
  const peers = new Map<string, string | undefined>()
  const cannotLoadPeer = (peer: string) => {
    if (!peers.has(peer)) peers.set(peer, cannotLoad(peer))
    return peers.get(peer)
  }
  let python: { readonly whyNot: string | undefined } | undefined
  const cannotRunOurPython = () => (python ??= { whyNot: cannotRunPython() }).whyNot
  const whyNot = ({ work, cores }: Row): string | undefined => {
    if ('program' in work) return whyNotBuilt(work.program) ?? cannotPin(cores)
    const noServer = work.server === undefined ? undefined : cannotServe(work.server)
    const noPeer = (work.peers ?? []).map(cannotLoadPeer).find((why) => why !== undefined)
    const noPython = work.python === true ? cannotRunOurPython() : undefined
    return noServer ?? noPeer ?? noPython ?? cannotPin(cores)
  }
  return rows.filter((row) => {
    const why = whyNot(row)
    if (why !== undefined) skipped.push({ name: row.name, why, unavailable: true })
    return why === undefined
  })
}

/** Where it is, on a terminal. */
function say(what: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r${what}\x1b[K`)
}
