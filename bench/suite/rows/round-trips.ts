// Round trips of 64 bytes, by how the sides wait.

import { spinningCores } from '../pinning.js'
import type { Cores, Row, Waiting } from '../row.js'
import { ofCase, ofProgram, pollMs, row, unlessUnpinned } from './making.js'

const bytes = 64
const unit = 'round trip'
const everywhere: readonly Cores[] = ['unpinned', 'one core', 'two cores']

export const roundTrips: readonly Row[] = [...spinning(), ...waiting(), ...blocking()]

function spinning(): Row[] {
  const facts = { unit, waiting: 'spinning', cores: spinningCores } as const
  const spin = { bytes, wait: 'spin' } as const
  const name = (what: string) => `rtt spinning: ${what}`
  const core = ofProgram('core', 'spin-rtt', bytes)
  return [
    row(name('cache line'), ofProgram('limits', 'cache-line', 8), { ...facts, payload: 8 }),
    row(name('C++ core'), core, { ...facts, payload: bytes }),
    row(name('millrace'), ofCase('queue-rtt', spin), facts),
    row(name('millrace, until warm'), ofCase('queue-rtt', spin), {
      ...facts,
      unit: 'start',
      payload: 0,
      part: 'warm',
    }),
    row(name('SharedArrayBuffer ring, Workers'), ofCase('ring-rtt', { bytes }), facts),
    row(name('shm-typed-array ring'), ofCase('shm-rtt', { bytes }, 'shm-typed-array'), facts),
    row(
      name('shared-memory-disruptor'),
      ofCase('disruptor', spin, 'shared-memory-disruptor'),
      facts,
    ),
    ...unlessUnpinned([
      row(name('C++ core'), core, { ...facts, cores: 'unpinned', payload: bytes }),
      row(name('millrace'), ofCase('queue-rtt', spin), { ...facts, cores: 'unpinned' }),
    ]),
  ]
}

function waiting(): Row[] {
  const name = (what: string) => `rtt event loop: ${what}`
  const waits = (what: string, work: Row['work'], cores: Cores = 'unpinned') =>
    row(name(what), work, { unit, waiting: 'waiting', cores })
  const polling = ofCase('queue-rtt', { bytes, poll: pollMs })
  return [
    row(name(`millrace, poll ${String(pollMs)} ms`), polling, { unit, waiting: 'polling' }),
    row(name(`millrace, poll ${String(pollMs)} ms`), polling, {
      unit,
      waiting: 'polling',
      cores: 'two cores',
    }),
    ...everywhere.flatMap((cores) => [
      waits('millrace', ofCase('queue-rtt', { bytes }), cores),
      waits('Unix socket', ofCase('socket-rtt', { bytes }), cores),
    ]),
    waits('millrace, poll 0', ofCase('queue-rtt', { bytes, poll: 0 })),
    waits('millrace, poll 0', ofCase('queue-rtt', { bytes, poll: 0 }), 'one core'),
    waits('TCP', ofCase('socket-rtt', { bytes, transport: 'tcp' })),
    waits('process.send, json', ofCase('process-rtt', { bytes, serialization: 'json' })),
    waits('process.send, advanced', ofCase('process-rtt', { bytes, serialization: 'advanced' })),
    waits('zeromq ipc', ofCase('zeromq-rtt', { bytes }, 'zeromq')),
    waits('postMessage, Worker, copy', ofCase('worker-rtt', { bytes })),
    waits('postMessage, Worker, transfer', ofCase('worker-rtt', { bytes, transfer: true })),
    waits('grpc-js', ofCase('grpc-rtt', { bytes }, '@grpc/grpc-js')),
  ]
}

function blocking(): Row[] {
  const facts = { unit, waiting: 'blocking' as Waiting, payload: bytes } as const
  const name = (what: string) => `rtt blocking: ${what}`
  // The library spins 0.05 ms before it sleeps.
  const asleep = (['unpinned', 'one core'] as const).flatMap((cores) => [
    row(name('C++ core, asleep'), ofProgram('core', 'futex-rtt', bytes, 0), { ...facts, cores }),
    row(name('millrace, asleep'), ofCase('queue-blocking-rtt', { bytes, spin: 0 }), {
      ...facts,
      cores,
    }),
  ])
  return [
    ...asleep,
    row(name('C++ core'), ofProgram('core', 'futex-rtt', bytes, 50_000), facts),
    row(name('millrace'), ofCase('queue-blocking-rtt', { bytes }), facts),
  ]
}
