// What the objects of all primitives that many share have in common: native/addon/party.hpp.

import type { NativePlace } from './place.js'
import type { NativeWaiter } from './waiter.js'

export interface NativePartyOptions {
  readonly place: NativePlace
  readonly mode: number
  readonly owner: number | undefined
}

/** Of each party in turn its process id, and whether it lives (1) or not (0). A hint, for messages. */
export type NativePartyList = readonly number[]

export interface NativeParty extends NativeWaiter {
  readonly path: string
  /** Those who have it open beside this one. */
  others(): NativePartyList
  /** Makes the death of those it waits for wake it. False: not all of them can be heard. */
  watch(): boolean
  /** One slice of at most 20 ms on this thread; true if something stirred. */
  wait(spinMs: number, timeoutMs: number): boolean
  close(): void
}
