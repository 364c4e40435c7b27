// From rows to ratios, and what is said of those that are to reach something.

import { ratios, type RatioDefinition } from './ratio-definitions.js'
import type { Report, Skipped } from './row.js'
import type { Kept } from './run.js'
import { median as medianOf } from './summary.js'

const list = (names: string | readonly string[]) => (typeof names === 'string' ? [names] : names)

/** The names of all rows that a ratio needs. */
export function rowsOf({ above, below }: RatioDefinition): string[] {
  return [...list(above), ...list(below)]
}

export interface Ratio {
  readonly definition: RatioDefinition
  /** The median over the passes in which all its rows were measured; of the rows' medians, if there was no such pass. */
  readonly value: number
  /** The least and the most among those passes. */
  readonly spread: readonly [number, number]
}

/** The ratio, if its rows were measured. */
export function ratioOf(definition: RatioDefinition, kept: readonly Kept[]): Ratio | undefined {
  const of = (name: string) => kept.find(({ row }) => row.name === name)?.byPass
  const passes = [...new Set(kept.flatMap(({ byPass }) => [...byPass.keys()]))]
  const paired = passes.flatMap((pass) => {
    const all = rowsOf(definition).every((name) => of(name) === undefined || of(name)!.has(pass))
    return all ? (valueOf(definition, (name) => of(name)?.get(pass)?.p50) ?? []) : []
  })
  const median = (name: string) => {
    const byPass = of(name)
    return byPass && medianOf([...byPass.values()].map(({ p50 }) => p50))
  }
  const value = paired.length > 0 ? medianOf(paired) : valueOf(definition, median)
  if (value === undefined) return undefined
  const spread = paired.length > 0 ? paired : [value]
  return { definition, value, spread: [Math.min(...spread), Math.max(...spread)] }
}

/** Why ratios cannot be had here, by name: all rows that could stand above, or below, are unavailable. */
export function unavailableRatios(skipped: readonly Skipped[]): Record<string, string> {
  const whyNot = new Map(
    skipped.flatMap(({ name, why, unavailable }) => (unavailable === true ? [[name, why]] : [])),
  )
  const side = (names: string | readonly string[]) => {
    const all = list(names).map((name) => whyNot.get(name))
    return all.every((why) => why !== undefined) ? all[0] : undefined
  }
  return Object.fromEntries(
    ratios.flatMap(({ name, above, below }) => {
      const why = side(above) ?? side(below)
      return why === undefined ? [] : [[name, why]]
    }),
  )
}

function valueOf(
  { above, below, of = (a, b) => a / b }: RatioDefinition,
  p50: (row: string) => number | undefined,
): number | undefined {
  const best = (names: string | readonly string[]) => {
    const known = list(names).flatMap((name) => p50(name) ?? [])
    return known.length > 0 ? Math.min(...known) : undefined
  }
  const a = best(above)
  const b = list(below).length === 0 ? 1 : best(below)
  return a === undefined || b === undefined ? undefined : Number(of(a, b).toPrecision(3))
}

/** What a report says of ratios that are to reach something. */
export function targetsOf(values: readonly (readonly [string, number])[]): Report['targets'] {
  return Object.fromEntries(
    values.flatMap(([name, value]) => {
      const definition = ratios.find((one) => one.name === name)
      const reach = definition && reachOf(definition)
      if (reach === undefined) return []
      const { means } = definition!
      return [[name, { reach, reached: isReached(definition!, value), means }]]
    }),
  )
}

export function reachOf({ reach }: RatioDefinition): string | undefined {
  if (reach === undefined) return undefined
  return 'atMost' in reach ? `≤ ${String(reach.atMost)}` : `≥ ${String(reach.atLeast)}`
}

export function isReached({ reach }: RatioDefinition, value: number): boolean {
  if (reach === undefined) return true
  return 'atMost' in reach ? value <= reach.atMost : value >= reach.atLeast
}
