// The lock behind Mutex and RwLock: native/addon/lock.cpp.

import type { NativeParty, NativePartyList, NativePartyOptions } from './party.js'

export interface NativeLockOptions extends NativePartyOptions {
  /** Is there a shared mode, too? */
  readonly shared: boolean
}

/** Results at or above 0: the lock is held; 1: and the one before died inside. */
export interface NativeLock extends NativeParty {
  tryLock(exclusive: boolean): number
  begin(exclusive: boolean): number
  look(thorough: boolean): number
  giveUp(): void
  unlock(finished: boolean): number
  /** Does somebody stand in line for writing? */
  writerWaits(): boolean
  holder(): number
  readers(): number
  /** Those who have it, beside this handle. */
  holders(): NativePartyList
}
