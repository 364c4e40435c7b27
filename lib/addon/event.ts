// A shared event: native/addon/event.cpp.

import type { NativeParty, NativePartyOptions } from './party.js'

export interface NativeEventOptions extends NativePartyOptions {
  readonly reset: 'auto' | 'manual' | undefined
  readonly keep: boolean
}

/** Results of calls are 1, 0, or an outcome below zero. */
export interface NativeEvent extends NativeParty {
  readonly manual: boolean
  set(): number
  reset(): number
  isSet(): number
  tryWait(): number
  beginWait(): number
  tryWaitSince(mark: number): number
  endWait(): void
}
