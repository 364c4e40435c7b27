// The tables of the guide: what a suite says of each of its subjects.

import { readFileSync, writeFileSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import type { ConformanceFinding } from 'millrace/net/conformance'

type Report = readonly ConformanceFinding[]

const guide = new URL('../../../../docs/conformance.md', import.meta.url)
const marks = { holds: '✓', 'not claimed': 'no', fails: '✗' }

/** Is the table that stands between these marks in the guide what the reports say? With MILLRACE_WRITE_TABLE it is written. */
export async function assertTable(
  t: ExecutionContext,
  mark: string,
  subjects: readonly { readonly name: string; readonly isHere: boolean }[],
  reportOf: (name: string) => Promise<Report>,
): Promise<void> {
  if (subjects.some(({ isHere }) => !isHere)) {
    t.log('not all transports are here')
    t.pass()
    return
  }
  const columns = await Promise.all(
    subjects.map(async ({ name }) => ({ name, report: await reportOf(name) })),
  )
  const table = tableOf(columns)
  const text = readFileSync(guide, 'utf8')
  const found = new RegExp(`(<!-- ${mark} -->\n\n)([^]*?)(\n\n<!-- /${mark} -->)`).exec(text)!
  const plain = (one: string): string => one.replace(/ +/g, ' ').replace(/:?-+:?/g, '-')
  if (process.env['MILLRACE_WRITE_TABLE'] !== undefined) {
    writeFileSync(
      guide,
      text.replace(found[0], () => `${found[1]!}${table}${found[3]!}`),
    )
  }
  t.is(plain(found[2]!), plain(table), 'run this test with MILLRACE_WRITE_TABLE=1 to write it')
}

function tableOf(columns: readonly { readonly name: string; readonly report: Report }[]): string {
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
  return [
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
}
