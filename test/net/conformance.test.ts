// Each transport of the package, put through the suite that any transport can be put through; what came of it stands in the guide.

import { readFileSync, writeFileSync } from 'node:fs'
import test from 'ava'
import type { ConformanceFinding } from 'millrace/net/conformance'

import { subjects } from './support/subjects.js'

const guide = new URL('../../../docs/conformance.md', import.meta.url)
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

const marks = { holds: '✓', 'not claimed': 'no', fails: '✗' }

test('the table of the guide is what the suite says', async (t) => {
  if (subjects.some(({ isHere }) => !isHere)) {
    t.log('not all transports are here')
    t.pass()
    return
  }
  const columns = await Promise.all(
    subjects.map(async ({ name }) => ({ name, report: await reports.get(name)! })),
  )
  const behaviours = columns[0]!.report.map(({ behaviour }) => behaviour)
  // What is not claimed for the same reason by the same ones is one row.
  const reasons = new Map<string, string[]>()
  for (const [at, behaviour] of behaviours.entries()) {
    const whys = new Map<string, string[]>()
    for (const { name, report } of columns) {
      const { outcome, why } = report[at]!
      if (outcome === 'not claimed') whys.set(why!, [...(whys.get(why!) ?? []), name])
    }
    for (const [why, names] of whys) {
      const row = `${names.join(', ')} | ${why}`
      reasons.set(row, [...(reasons.get(row) ?? []), behaviour])
    }
  }
  const rows = (all: readonly (readonly string[])[]): string =>
    all.map((cells) => `| ${cells.join(' | ')} |`).join('\n')
  const table = [
    rows([
      ['behaviour', ...columns.map(({ name }) => name)],
      ['---', ...columns.map(() => ':-:')],
      ...behaviours.map((behaviour, at) => [
        behaviour,
        ...columns.map(({ report }) => marks[report[at]!.outcome]),
      ]),
    ]),
    rows([
      ['no at', 'since', 'in'],
      ['---', '---', '---'],
      ...[...reasons].map(([row, all]) => [row, all.join('; ')]),
    ]),
  ].join('\n\n')
  const text = readFileSync(guide, 'utf8')
  const found = /(<!-- table -->\n\n)([^]*?)(\n\n<!-- \/table -->)/.exec(text)!
  const plain = (one: string): string => one.replace(/ +/g, ' ').replace(/:?-+:?/g, '-')
  if (process.env['MILLRACE_WRITE_TABLE'] !== undefined) {
    writeFileSync(
      guide,
      text.replace(found[0], () => `${found[1]!}${table}${found[3]!}`),
    )
  }
  t.is(plain(found[2]!), plain(table), 'run this test with MILLRACE_WRITE_TABLE=1 to write it')
})
