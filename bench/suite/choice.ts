// Which rows are measured.

import type { RatioDefinition } from './ratio-definitions.js'
import { rowsOf } from './ratios.js'
import type { Row, Skipped } from './row.js'

export interface Wish {
  /** Part of the name of rows, or of ratios, whose rows are then all measured. */
  readonly only?: string | undefined
  readonly quick: boolean
  /** Of quick: every row. */
  readonly all: boolean
}

export interface Choice {
  readonly chosen: readonly Row[]
  /** Rows that ratios need, and the quick form does without. */
  readonly tooSlow: readonly Skipped[]
}

export function choose(
  rows: readonly Row[],
  ratios: readonly RatioDefinition[],
  { only, quick, all }: Wish,
): Choice {
  const forRatios = new Set(
    ratios.filter(({ name }) => only === undefined || name.includes(only)).flatMap(rowsOf),
  )
  if (only !== undefined) {
    const named = rows.filter(({ name }) => name.includes(only) || forRatios.has(name))
    return { chosen: named, tooSlow: [] }
  }
  if (!quick || all) return { chosen: rows, tooSlow: [] }
  const needed = rows.filter(({ name }) => forRatios.has(name))
  const why = 'it takes too long for the quick form'
  return {
    chosen: needed.filter(({ slow }) => slow !== true),
    tooSlow: needed
      .filter(({ slow }) => slow === true)
      .map(({ name }) => ({ name, why, unavailable: true })),
  }
}
