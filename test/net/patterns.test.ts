// The patterns, put through one suite over each transport, and through the memory itself; what came of it stands in the guide.

import test from 'ava'
import type { ConformanceFinding } from 'millrace/net/conformance'

import { patternSubjects, removeFolder } from './support/pattern-subjects.js'
import { assertTable } from './support/table.js'

const reports = new Map<string, Promise<readonly ConformanceFinding[]>>()

test.after.always(removeFolder)

for (const { name, isHere, suite } of patternSubjects) {
  if (!isHere) {
    test.skip(`${name} is not here`, () => undefined)
    continue
  }
  // One at a time: they keep this process busy, and what is late is taken for dead.
  test.serial(`the patterns fail in nothing over ${name}`, async (t) => {
    t.timeout(60_000)
    const judging = suite.run()
    reports.set(name, judging)
    const report = await judging
    t.is(report.length, suite.cases.length)
    t.deepEqual(
      report.filter(({ outcome }) => outcome === 'fails'),
      [],
    )
  })
}

test('the table of the guide is what the suite says of the patterns', async (t) => {
  await assertTable(t, 'patterns', patternSubjects, (name) => reports.get(name)!)
})
