// A barrier: native/addon/barrier.cpp.

import type { NativeParty, NativePartyList, NativePartyOptions } from './party.js'

export interface NativeBarrierOptions extends NativePartyOptions {
  readonly parties: number
}

export interface NativeBarrier extends NativeParty {
  /** Generation and serial of a complete turn; process id of the party that was lost. */
  readonly facts: Float64Array
  arrive(): number
  look(thorough: boolean): number
  withdraw(): boolean
  reset(): number
  arrived(): number
  /** Those who have it open and have not arrived, beside this handle. */
  absent(): NativePartyList
}
