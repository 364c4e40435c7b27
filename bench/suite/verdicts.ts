// What several runs say of the ratios, as a table in Markdown.

import type { Report } from './row.js'

/** How far a run may be from the median of all runs to be called alike. */
const alike = 0.1

/** `runs`: what each run said of a ratio. Ratios that are to reach something come first. */
export function verdicts(
  { ratios, targets, skipped, unavailable }: Report,
  runs: (ratio: string) => readonly number[],
): string[] {
  const names = Object.keys(ratios)
  const required = names.filter((name) => targets[name] !== undefined)
  const others = names.filter((name) => targets[name] === undefined)
  const missed = required.filter((name) => !targets[name]!.reached)
  const unlike = required.filter((name) => furthest(ratios[name]!, runs(name)) > alike)
  const failed = skipped.filter((row) => row.unavailable !== true)
  return [
    '| ratio | to reach | median | runs | furthest from it | within 10 % | |',
    '|---|---|---|---|---|---|---|',
    ...[...required, ...others].map((name) => line(name, ratios[name]!, runs(name), targets[name])),
    '',
    `${String(required.length - missed.length)} of ${String(required.length)} ratios reach what they are to` +
      (missed.length > 0 ? `; missed: ${missed.join(', ')}` : ''),
    `${String(required.length - unlike.length)} of them within 10 % of their median in all runs` +
      (unlike.length > 0 ? `; not: ${unlike.join(', ')}` : ''),
    ...Object.entries(unavailable).map(([name, why]) => `not to be had here: ${name} (${why})`),
    ...failed.map(({ name, why }) => `FAILED: ${name}: ${why}`),
  ]
}

function line(
  name: string,
  median: number,
  runs: readonly number[],
  target: Report['targets'][string] | undefined,
): string {
  const away = furthest(median, runs)
  return `| ${[
    `\`${name}\``,
    target?.reach ?? '',
    String(median),
    runs.join(', '),
    `${(100 * away).toFixed(0)} %`,
    away <= alike ? 'yes' : 'no',
    target === undefined ? '' : target.reached ? 'pass' : '**FAIL**',
  ].join(' | ')} |`
}

/** By how much of the median the furthest run is away from it. */
function furthest(median: number, runs: readonly number[]): number {
  const away = Math.max(...runs.map((value) => Math.abs(value - median)))
  return away === 0 ? 0 : away / Math.abs(median)
}
