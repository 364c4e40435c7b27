// The report, for a terminal.

import { bandwidth, duration, rate } from './quantities.js'
import type { FateSummary, Report, Summary } from './row.js'

const widths = { name: 62, topology: 23, p50: 10, range: 22 }

export function printReport(report: Report): void {
  const { rows, fates = [], ratios, spreads, targets, skipped } = report
  console.log(
    `${'row'.padEnd(widths.name)}${'topology'.padEnd(widths.topology)}${'p50'.padStart(widths.p50)}  ` +
      `${'range of p50'.padEnd(widths.range)}CPU, both  rate, or p99 / p99.9 / p99.99`,
  )
  for (const row of rows) console.log(line(row))
  for (const fate of fates) console.log(fateLine(fate))
  for (const { name, why } of skipped) console.log(`left out: ${name}: ${why}`)
  console.log('\nratios')
  for (const [name, value] of Object.entries(ratios)) {
    const target = targets[name]
    const judged =
      target === undefined
        ? ''
        : `${target.reach.padEnd(9)}${target.reached ? 'reached ' : 'not yet '}`
    console.log(
      `  ${name.padEnd(28)}${String(value).padStart(8)}  ${spreadOf(spreads[name]).padEnd(18)}${judged.padEnd(18)}${target?.means ?? ''}`,
    )
  }
}

function line(row: Summary): string {
  const { name, topology, p50, min, max, cpu } = row
  const range = `${duration(min)} – ${duration(max)}`
  return (
    `${name.padEnd(widths.name)}${topology.padEnd(widths.topology)}${duration(p50).padStart(widths.p50)}  ` +
    `${range.padEnd(widths.range)}${(cpu === undefined ? '' : duration(cpu)).padStart(9)}  ${further(row)}`
  )
}

function fateLine({ name, tasks, lost, twice, againAfter, lastAfter }: FateSummary): string {
  const again = againAfter === undefined ? 'never' : `after ${duration(againAfter * 1e6)}`
  return (
    `${name.padEnd(widths.name)}of ${tasks.toLocaleString('en')} tasks ${String(lost)} lost, ${String(twice)} done twice; ` +
    `another has the dead one's ${again}; the last done after ${duration(lastAfter * 1e6)}`
  )
}

function further({ p99, p999, p9999, rate: perSecond, bytesPerSecond }: Summary): string {
  const slow = [p99, p999, p9999].flatMap((value) => (value === undefined ? [] : duration(value)))
  const speed = perSecond === undefined ? [] : [rate(perSecond)]
  if (bytesPerSecond !== undefined) speed.push(bandwidth(bytesPerSecond))
  return [...speed, slow.join(' / ')].join('  ')
}

/** The least and the most of a ratio, if they differ by more than a tenth of it. */
function spreadOf(spread: readonly [number, number] | undefined): string {
  if (spread === undefined || spread[1] - spread[0] <= 0.1 * Math.abs(spread[0])) return ''
  return `${String(spread[0])} – ${String(spread[1])}`
}
