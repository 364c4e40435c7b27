// The failure drills of engines: each is written once, for work, topics and calls, and every engine goes through all of them. What an engine cannot
// go through in the common way it has of its own, with what the table of docs/engines.md says of it; nothing is left out without a word.
//
// MILLRACE_DRILL_DOWN: milliseconds that a server stays away; without it, until several attempts to reach it have failed.

import { readFileSync } from 'node:fs'
import type { ExecutionContext, TestFn } from 'ava'

import { callDrills } from './calls.js'
import {
  downMs,
  drillNames,
  type DrilledEngine,
  type DrillName,
  type Drills,
  type DrillServer,
} from './engine.js'
import { topicDrills } from './topics.js'
import { workDrills } from './work.js'

const patterns = { work: workDrills, topics: topicDrills, calls: callDrills } as const

/** One test for each drill, in which the patterns of the engine go through it beside each other, and one that holds the table against them. */
export function drill<S extends DrillServer>(test: TestFn, given: DrilledEngine<S>): void {
  const engine = given as unknown as DrilledEngine
  for (const [name, title] of Object.entries(drillNames) as [DrillName, string][]) {
    const runs = Object.entries(patterns).flatMap(([pattern, drills]: [string, Drills]) => {
      const part = engine[pattern as keyof typeof patterns]
      const own = part?.own[name]
      const common = drills[name]
      if (part === undefined || own === null || (own === undefined && common === null)) return []
      if (own !== undefined) return [{ what: `${pattern} (${own.told})`, run: own.drill }]
      if (common === undefined || common === null) {
        throw new Error(`${engine.name} has nothing for '${title}' of ${pattern}`)
      }
      return [{ what: pattern, run: (t: ExecutionContext) => common(t, engine) }]
    })
    if (runs.length === 0) continue
    test(`${title}: ${runs.map(({ what }) => what).join(', ')}`, async (t) => {
      t.timeout(180_000 + downMs)
      await Promise.all(runs.map(({ run }) => run(t)))
    })
  }
  test('the table of docs/engines.md says what the drills show', (t) => {
    for (const [name, title] of Object.entries(drillNames) as [DrillName, string][]) {
      t.is(cellIn(t, engine.name, title), cellOf(engine, name), title)
    }
  })
}

/** Own words of its patterns, once each; where there are others beside them, with the pattern. */
function cellOf(engine: DrilledEngine, name: DrillName): string {
  const told = (['work', 'topics', 'calls'] as const).flatMap((key) => {
    const part = engine[key]
    const own = part?.own[name]
    const isThere = own ?? (own === undefined && patterns[key][name] !== null)
    return part !== undefined && isThere ? [[key, own?.told ?? 'yes'] as const] : []
  })
  if (told.length === 0) return '–'
  if (new Set(told.map(([, text]) => text)).size === 1) return told[0]![1]
  return told.map(([key, text]) => `${key}: ${text}`).join('; ')
}

function cellIn(t: ExecutionContext, engine: string, title: string): string | undefined {
  const page = readFileSync(new URL('../../../../../docs/engines.md', import.meta.url), 'utf8')
  const rows = page
    .split('\n')
    .filter((line) => line.startsWith('|'))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim()),
    )
  const head = rows.findIndex(([first]) => first === 'drill')
  t.true(head >= 0, 'there is no such table')
  const column = rows[head]!.indexOf(engine)
  return rows.slice(head).find(([first]) => first === title)?.[column]
}
