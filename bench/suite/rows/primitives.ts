// Semaphores, locks, cells, events, barriers, counters, rate limiters, beside what a C program would use.

import type { Row } from '../row.js'
import { ofCase, ofCount, row } from './making.js'

const trips = 5_000
const calls = 500_000

export const primitives: readonly Row[] = [...semaphores(), ...locks(), ...cells(), ...others()]

function semaphores(): Row[] {
  const pair = { unit: 'pair', waiting: 'spinning', checked: false } as const
  const rtt = { unit: 'round trip', waiting: 'waiting', checked: false } as const
  const blocking = { ...rtt, waiting: 'blocking' } as const
  const count = trips
  return [
    row('semaphore pair: C', ofCount('semaphore', 'pair', calls), pair),
    row('semaphore pair: millrace', ofCase('semaphore-pair', {}), pair),
    row('semaphore: C, asleep', ofCount('semaphore', 'rtt', count), blocking),
    row(
      'semaphore: millrace, blocking',
      ofCase('semaphore-rtt', { count, wait: 'block' }),
      blocking,
    ),
    row('semaphore: millrace', ofCase('semaphore-rtt', { count }), rtt),
    row('semaphore: millrace, poll 2 ms', ofCase('semaphore-rtt', { count, poll: 2 }), {
      ...rtt,
      waiting: 'polling',
    }),
  ]
}

function locks(): Row[] {
  const facts = { unit: 'turn', waiting: 'blocking', checked: false } as const
  return (['alone', 'contended'] as const).flatMap((how): Row[] => {
    const native = (lock: string) => ofCount('locks', how, lock, calls)
    const contended = how === 'contended' ? { count: calls / 4 } : {}
    return [
      row(`mutex, ${how}: C`, native('pthread-mutex'), facts),
      row(`mutex, ${how}: C++ core`, native('mutex'), facts),
      row(`mutex, ${how}: millrace`, ofCase(`mutex-${how}`, contended), facts),
      row(`rwlock read, ${how}: C`, native('pthread-read'), facts),
      row(`rwlock read, ${how}: C++ core`, native('read'), facts),
      row(`rwlock write, ${how}: C`, native('pthread-write'), facts),
      row(`rwlock write, ${how}: C++ core`, native('write'), facts),
    ]
  })
}

function cells(): Row[] {
  const facts = { unit: 'call', waiting: 'spinning', checked: false } as const
  return [64, 4096].flatMap((bytes): Row[] => {
    const count = bytes === 64 ? calls : calls / 4
    const size = `${String(bytes)} B`
    const native = (what: string) => ofCount('sync', what, bytes, count)
    return [
      row(`cell write ${size}: C seqlock`, native('seqlock-write'), { ...facts, payload: bytes }),
      row(`cell write ${size}: C++ core`, native('cell-write'), { ...facts, payload: bytes }),
      row(`cell write ${size}: millrace`, ofCase('cell-write', { bytes }), facts),
      // What the textbook's writes: no clock.
      row(
        `cell write ${size}: millrace, no timestamps`,
        ofCase('cell-write', { bytes, timestamps: false }),
        facts,
      ),
      row(`cell read ${size}: C seqlock`, native('seqlock-read'), { ...facts, payload: bytes }),
      row(`cell read ${size}: C++ core`, native('cell-read'), { ...facts, payload: bytes }),
      row(`cell read ${size}: millrace`, ofCase('cell-read', { bytes }), facts),
    ]
  })
}

function others(): Row[] {
  const call = { unit: 'call', waiting: 'spinning', checked: false } as const
  const message = { ...call, unit: 'message', payload: 64 } as const
  const blocking = { unit: 'round trip', waiting: 'blocking', checked: false } as const
  const waiting = { ...blocking, waiting: 'waiting' } as const
  const native = (what: string, count: number) => ofCount('sync', what, 8, count)
  const count = trips
  return [
    row('message in turn: C++ core', ofCount('capi', 'core', 64, calls), message),
    row('message in turn: C interface', ofCount('capi', 'c', 64, calls), message),
    row('counter: C', native('atomic-add', calls), call),
    row('counter: C++ core', native('counter-add', calls), call),
    row('counter: millrace', ofCase('counter-add', {}), call),
    row('rate limiter: millrace', ofCase('rate-take', {}), call),
    row('event: C condition', native('cond-rtt', count), blocking),
    row('event: C++ core', native('event-rtt', count), blocking),
    row('event: millrace', ofCase('event-rtt', { count }), waiting),
    row('barrier: C', native('pthread-barrier', count), blocking),
    row('barrier: C++ core', native('barrier', count), blocking),
    row('barrier: millrace', ofCase('barrier', { count }), waiting),
  ]
}
