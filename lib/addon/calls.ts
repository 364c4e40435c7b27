// Calls, of which a handle makes some, or answers them: native/addon/calls.hpp.

import type { MemoryOptions } from './memory-options.js'
import type { NativePlace } from './place.js'

/** What is left out is whatever is there, or the default of new memory. */
export interface NativeCallsOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly mode: number
  readonly owner: number | undefined
  readonly schema: bigint
  readonly seats: number | undefined
  readonly calls: number | undefined
  readonly bytes: number | undefined
}
