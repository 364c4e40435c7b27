// From the repetitions of a row to what is reported of it.

import type { Fate, Measured } from '../side/measured.js'
import type { FateSummary, Row, Summary } from './row.js'

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}

const rounded = (value: number) => Number(value.toPrecision(4))

export function summarise(row: Row, measured: readonly Measured[], checked: boolean): Summary {
  const medianOf = (key: 'p50' | 'p99' | 'p999' | 'p9999' | 'samples') => {
    const values = measured.flatMap((one) => one[key] ?? [])
    return values.length === 0 ? {} : { [key]: rounded(median(values)) }
  }
  const p50s = measured.map(({ p50 }) => p50)
  const p50 = median(p50s)
  const means = measured.flatMap(({ mean }) => mean ?? [])
  const perSecond = 1e9 / median(means)
  return {
    name: row.name,
    payload: row.payload,
    unit: row.unit,
    topology: `${row.waiting}, ${row.cores}`,
    p50: rounded(p50),
    ...medianOf('p99'),
    ...medianOf('p999'),
    ...medianOf('p9999'),
    min: rounded(Math.min(...p50s)),
    max: rounded(Math.max(...p50s)),
    ...cpuOf(measured),
    ...(means.length > 0 ? { rate: rounded(perSecond) } : {}),
    ...(means.length > 0 && row.payload >= 65536
      ? { bytesPerSecond: rounded(row.payload * perSecond) }
      : {}),
    ...medianOf('samples'),
    repetitions: measured.length,
    checked,
    ...confirmed(row),
  }
}

/** Of rows in which a worker was killed. */
export function fateOf(row: Row, measured: readonly Measured[]): FateSummary {
  const fates = measured.flatMap(({ fate }) => fate ?? [])
  return { ...middle(fates), name: row.name, repetitions: fates.length, ...confirmed(row) }
}

/** Each number by itself. */
export function middle(fates: readonly Fate[]): Fate {
  const of = (key: keyof Fate) => median(fates.flatMap((fate) => fate[key] ?? []))
  const againAfter = of('againAfter')
  return {
    tasks: of('tasks'),
    lost: of('lost'),
    twice: of('twice'),
    ...(Number.isNaN(againAfter) ? {} : { againAfter: rounded(againAfter) }),
    lastAfter: rounded(of('lastAfter')),
  }
}

const confirmed = ({ confirms }: Pick<Row, 'confirms'>) =>
  confirms === undefined ? {} : { confirms }

function cpuOf(measured: readonly Measured[]): Pick<Summary, 'cpu' | 'cpuSides'> {
  const sides = measured.flatMap(({ cpu }) => (cpu === undefined ? [] : [cpu]))
  if (sides.length === 0) return {}
  const first = rounded(median(sides.map(([lead]) => lead)))
  const second = rounded(median(sides.map(([, follow]) => follow)))
  return { cpu: rounded(first + second), cpuSides: [first, second] }
}
