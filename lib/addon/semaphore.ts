// A named semaphore: native/addon/semaphore.cpp.

import type { NativeWaiter } from './waiter.js'

export interface NativeSemaphoreOptions {
  readonly name: string
  readonly initial: number
  readonly mode: number
  readonly owner: number | undefined
  readonly how: 'create' | 'open' | 'either'
}

/** Calls for a permit give 1 (got one), 0 (there is none) or `closed`. */
export interface NativeSemaphore extends NativeWaiter {
  readonly created: boolean
  readonly path: string
  tryWait(): number
  wait(spinMs: number, timeoutMs: number): number
  /** For the oldest wait in the event loop. */
  take(): number
  post(count: number): number
  value(): number
  /** Might a permit that comes now still be taken for a wait that was given up? Rings when that is over. */
  leaving(): boolean
  /** A wait may be given up then. */
  leaveIn(milliseconds: number): void
  close(): void
}
