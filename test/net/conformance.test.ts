// Each transport of the package, put through the suite that any transport can be put through; what came of it stands in the guide.

import test from 'ava'
import type { ConformanceFinding } from 'millrace/net/conformance'

import { subjects } from './support/subjects.js'
import { assertTable } from './support/table.js'

const reports = new Map<string, Promise<readonly ConformanceFinding[]>>()
const lanes: Promise<unknown>[] = Array.from({ length: 4 }, () => Promise.resolve())
let turns = 0

for (const subject of subjects) {
  const { name } = subject
  if (!subject.isHere) {
    test.skip(`${name} is not here`, () => undefined)
    continue
  }
  test(`${name} fails in nothing`, async (t) => {
    const judging = inTurn(() => subject.judge())
    reports.set(name, judging)
    const report = await judging
    t.true(report.length > 30)
    t.deepEqual(
      report.filter(({ outcome }) => outcome === 'fails'),
      [],
    )
  })
}

/** Few at a time: each keeps this process busy, and none is to wait for all others. */
function inTurn<T>(judge: () => Promise<T>): Promise<T> {
  const lane = turns++ % lanes.length
  const judging = lanes[lane]!.then(judge)
  lanes[lane] = judging.catch(() => undefined)
  return judging
}

test('the table of the guide is what the suite says', async (t) => {
  await assertTable(t, 'table', subjects, (name) => reports.get(name)!)
})
