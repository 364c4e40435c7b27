// Each transport of the package, put through the suite that any transport can be put through; what came of it stands in the guide.

import { readFileSync, writeFileSync } from 'node:fs'
import test from 'ava'
import type { ConformanceFinding } from 'millrace/net/conformance'

import { subjects } from './support/subjects.js'

const guide = new URL('../../../docs/conformance.md', import.meta.url)
const reports = new Map<string, Promise<readonly ConformanceFinding[]>>()

for (const subject of subjects) {
  const { name } = subject
  if (!subject.isHere) {
    test.skip(`${name} is not here`, () => undefined)
    continue
  }
  test(`${name} fails in nothing`, async (t) => {
    const judging = subject.judge()
    reports.set(name, judging)
    const report = await judging
    t.true(report.length > 30)
    t.deepEqual(
      report.filter(({ outcome }) => outcome === 'fails'),
      [],
    )
  })
}

const marks = { holds: '✓', 'not claimed': '–', fails: '✗' }

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
  const table = [
    ['behaviour', ...columns.map(({ name }) => name)],
    ['---', ...columns.map(() => ':-:')],
    ...behaviours.map((behaviour, at) => [
      behaviour,
      ...columns.map(({ report }) => marks[report[at]!.outcome]),
    ]),
  ]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
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
