// Runs rows: a first pass that checks content, then the repetitions, interleaved so that what the machine does
// meanwhile falls on all rows alike.

import type { Measured } from '../side/measured.js'
import { measure } from './measure.js'
import { cannotLoad } from './peers.js'
import { cannotPin } from './pinning.js'
import type { Row, Skipped, Summary } from './row.js'
import { summarise } from './summary.js'

export interface Extent {
  readonly repetitions: number
  readonly warmUp: number
  readonly stretch: number
}

/** Rows that have the same work share its measurements. */
interface Shared {
  readonly rows: Row[]
  readonly measured: Measured[]
  checked: boolean
}

export async function run(
  rows: readonly Row[],
  { repetitions, warmUp, stretch }: Extent,
): Promise<{ summaries: Summary[]; skipped: Skipped[] }> {
  const skipped: Skipped[] = []
  const works = new Map<string, Shared>()
  for (const row of possible(rows, skipped)) {
    const key = keyOf(row)
    const shared = works.get(key) ?? { rows: [], measured: [], checked: false }
    shared.rows.push(row)
    works.set(key, shared)
  }
  for (let pass = 0; pass <= repetitions; pass++) {
    const check = pass === 0
    for (const [key, shared] of works) {
      const [row] = shared.rows as [Row]
      if (check && !row.checked) continue
      say(`${check ? 'checking' : `${String(pass)} of ${String(repetitions)}`}: ${row.name}`)
      try {
        const measured = await measure(row, { warmUp, stretch, check })
        if (check) shared.checked = true
        else shared.measured.push(measured)
      } catch (error) {
        works.delete(key)
        const why = error instanceof Error ? error.message : String(error)
        for (const { name } of shared.rows) skipped.push({ name, why })
      }
    }
  }
  say('')
  const summaries = rows.flatMap((row) => {
    const shared = [...works.values()].find((one) => one.rows.includes(row))
    if (shared === undefined) return []
    const { measured, checked } = shared
    const own = measured.map((one) => (row.part === undefined ? one : one.parts![row.part]!))
    return [summarise(row, own, checked)]
  })
  return { summaries, skipped }
}

const keyOf = ({ work, cores }: Row) => JSON.stringify([work, cores])

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
