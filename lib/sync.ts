/**
 * What processes coordinate by: {@link Mutex}, {@link RwLock}, {@link Semaphore}, {@link SharedEvent},
 * {@link Barrier} and {@link Counter}.
 *
 * @module millrace/sync
 */

export { LockGuard } from './sync/lock.js'
export { Mutex } from './sync/mutex.js'
export type { PartyOptions } from './sync/party.js'
export { RwLock } from './sync/rw-lock.js'
export { Barrier, type BarrierOptions, type BarrierTurn } from './sync/barrier.js'
export { Counter, type CounterOptions } from './sync/counter.js'
export { Permit } from './sync/permit.js'
export { Semaphore, type SemaphoreOptions } from './sync/semaphore.js'
export { SharedEvent, type SharedEventOptions } from './sync/event.js'
