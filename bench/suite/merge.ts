// Several runs of the suite, taken together: of each row and each ratio the median over the runs.

import { placements, type Placement } from './placement.js'
import { targetsOf } from './ratios.js'
import type { FateSummary, Report, Summary } from './row.js'
import { median, middle } from './summary.js'

/** The placement that most runs had; of those that as many had, the first run's. */
export function prevailingOf(reports: readonly Report[]): Placement {
  const count = (placement: Placement) =>
    reports.filter((report) => report.placement === placement).length
  const inOrder = [...new Set([...reports.map(({ placement }) => placement), ...placements])]
  return inOrder.reduce((a, b) => (count(b) > count(a) ? b : a))
}

/** What each run said of a ratio. */
export function valuesOf(reports: readonly Report[], ratio: string): number[] {
  return reports.flatMap(({ ratios }) => ratios[ratio] ?? [])
}

/** One report of all, which must be of one placement. */
export function merged(reports: readonly Report[]): Report {
  const [first] = reports
  const last = reports.at(-1)
  if (first === undefined || last === undefined) throw new Error('there is no run to merge')
  if (reports.length === 1) return first
  const names = unique(reports.flatMap(({ ratios }) => Object.keys(ratios)))
  const of = (name: string) => valuesOf(reports, name)
  const ratios = names.map((name) => [name, median(of(name))] as const)
  const rows = unique(reports.flatMap((report) => report.rows.map(({ name }) => name)))
  const measured = new Set([
    ...rows,
    ...reports.flatMap(({ fates = [] }) => fates.map(({ name }) => name)),
  ])
  const skipped = new Map(
    reports
      .flatMap((report) => report.skipped)
      .filter(({ name }) => !measured.has(name))
      .map((one) => [one.name, one]),
  )
  return {
    ...first,
    machine: { ...first.machine, loadAtEnd: last.machine['loadAtEnd'] },
    method: `medians of ${String(reports.length)} runs; in each, ${first.method}`,
    repetitions: reports.reduce((sum, { repetitions }) => sum + repetitions, 0),
    rows: rows.map((name) => summaryOf(reports.flatMap((report) => rowOf(report, name)))),
    fates: fatesOf(reports),
    ratios: Object.fromEntries(ratios),
    spreads: Object.fromEntries(
      names.map((name) => [name, [Math.min(...of(name)), Math.max(...of(name))] as const]),
    ),
    targets: targetsOf(ratios),
    skipped: [...skipped.values()],
  }
}

function fatesOf(reports: readonly Report[]): FateSummary[] {
  const all = reports.flatMap(({ fates = [] }) => fates)
  return unique(all.map(({ name }) => name)).map((name) => {
    const same = all.filter((fate) => fate.name === name)
    const repetitions = same.reduce((sum, fate) => sum + fate.repetitions, 0)
    return { ...same[0]!, ...middle(same), repetitions }
  })
}

const unique = (names: readonly string[]) => [...new Set(names)]
const rowOf = ({ rows }: Report, name: string) => rows.filter((row) => row.name === name)

function summaryOf(same: readonly Summary[]): Summary {
  const [first] = same
  const medianOf = (
    key: 'p99' | 'p999' | 'p9999' | 'cpu' | 'rate' | 'bytesPerSecond' | 'samples',
  ) => {
    const values = same.flatMap((row) => row[key] ?? [])
    return values.length === 0 ? {} : { [key]: median(values) }
  }
  return {
    ...first!,
    p50: median(same.map(({ p50 }) => p50)),
    ...medianOf('p99'),
    ...medianOf('p999'),
    ...medianOf('p9999'),
    ...medianOf('cpu'),
    ...medianOf('rate'),
    ...medianOf('bytesPerSecond'),
    ...medianOf('samples'),
    min: Math.min(...same.map(({ min }) => min)),
    max: Math.max(...same.map(({ max }) => max)),
    repetitions: same.reduce((sum, { repetitions }) => sum + repetitions, 0),
    checked: same.every(({ checked }) => checked),
  }
}
