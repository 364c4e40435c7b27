// What who looks on is told of where jobs are.

import type { TracedKind } from '../base/traced.js'

/** @internal Where jobs go, and come from. */
export interface SeenPlace {
  readonly kind: TracedKind
  readonly destination: string
  /** The stage of a pipeline. */
  readonly source: string | undefined
  /** The longest payload; Infinity: that is not known. */
  readonly maxBytes: number
}
