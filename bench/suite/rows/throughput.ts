// Messages one way, as many as get through; and messages at an offered rate.

import { spinningCores } from '../pinning.js'
import type { Row } from '../row.js'
import { ofCase, ofProgram, row, size, unlessUnpinned } from './making.js'

const unit = 'message'
const spinning = { unit, waiting: 'spinning', cores: spinningCores } as const
const waiting = { unit, waiting: 'waiting' } as const

/** Larger than what a core has of cache for itself. */
const wide = 4 * 1024 * 1024

export const throughput: readonly Row[] = [
  ...[64, 1024].flatMap(small),
  ...others(64),
  ...inWideRing(64),
  ...big(64 * 1024),
  ...[10_000, 100_000].flatMap(offered),
]

function small(bytes: number): Row[] {
  const name = (what: string) => `throughput ${size(bytes)}: ${what}`
  return [
    row(name('C++ core'), ofProgram('core', 'throughput', bytes), { ...spinning, payload: bytes }),
    row(name('millrace, single'), ofCase('queue-throughput', { bytes }), spinning),
    row(
      name('millrace, single, a Buffer each'),
      ofCase('queue-throughput', { bytes, ownBuffers: true }),
      spinning,
    ),
    row(name('millrace, batch 64'), ofCase('queue-throughput', { bytes, batch: 64 }), spinning),
    row(
      name('millrace, packed 64'),
      ofCase('queue-throughput', { bytes, batch: 64, packed: true }),
      spinning,
    ),
    row(
      name('millrace, event loop'),
      ofCase('queue-throughput', { bytes, wait: 'event-loop' }),
      waiting,
    ),
    row(name('Unix socket, single'), ofCase('socket-throughput', { bytes, block: 1024 }), waiting),
    row(
      name('Unix socket, writev 64'),
      ofCase('socket-throughput', { bytes, gather: 64, block: 1024 }),
      waiting,
    ),
    row(
      name('Unix socket, block 64'),
      ofCase('socket-throughput', { bytes, batch: 64, block: 1024 }),
      waiting,
    ),
    row(
      name('process.send, json'),
      ofCase('process-throughput', { bytes, serialization: 'json', block: 256 }),
      waiting,
    ),
    row(
      name('process.send, advanced'),
      ofCase('process-throughput', { bytes, serialization: 'advanced', block: 256 }),
      waiting,
    ),
    row(name('zeromq ipc'), ofCase('zeromq-throughput', { bytes, block: 1024 }, 'zeromq'), waiting),
  ]
}

function others(bytes: number): Row[] {
  const name = (what: string) => `throughput ${size(bytes)}: ${what}`
  return [
    ...unlessUnpinned([
      row(name('C++ core'), ofProgram('core', 'throughput', bytes), {
        ...spinning,
        cores: 'unpinned',
        payload: bytes,
      }),
      row(name('millrace, single'), ofCase('queue-throughput', { bytes }), {
        ...spinning,
        cores: 'unpinned',
      }),
    ]),
    row(name('SharedArrayBuffer ring, Workers'), ofCase('ring-throughput', { bytes }), spinning),
    row(
      name('shm-typed-array ring'),
      ofCase('shm-throughput', { bytes }, 'shm-typed-array'),
      spinning,
    ),
    row(
      name('shared-memory-disruptor'),
      ofCase('disruptor', { bytes }, 'shared-memory-disruptor'),
      spinning,
    ),
    row(
      name('TCP, single'),
      ofCase('socket-throughput', { bytes, transport: 'tcp', block: 1024 }),
      waiting,
    ),
    row(
      name('postMessage, Worker, copy'),
      ofCase('worker-throughput', { bytes, block: 256 }),
      waiting,
    ),
  ]
}

function inWideRing(bytes: number): Row[] {
  const name = (what: string) => `throughput ${size(bytes)}: ${what}, ring of ${size(wide)}`
  const capacity = wide
  return [
    row(name('C++ core'), ofProgram('core', 'throughput', bytes, capacity), {
      ...spinning,
      payload: bytes,
    }),
    row(name('millrace, single'), ofCase('queue-throughput', { bytes, capacity }), spinning),
    row(
      name('millrace, batch 64'),
      ofCase('queue-throughput', { bytes, capacity, batch: 64 }),
      spinning,
    ),
    row(
      name('millrace, packed 64'),
      ofCase('queue-throughput', { bytes, capacity, batch: 64, packed: true }),
      spinning,
    ),
    row(
      name('SharedArrayBuffer ring, Workers'),
      ofCase('ring-throughput', { bytes, capacity }),
      spinning,
    ),
    row(name('C++ core, batch 64'), ofProgram('core', 'batch', bytes, capacity), {
      ...spinning,
      payload: bytes,
    }),
    row(
      name('millrace, records in place'),
      ofCase('record-throughput', { bytes, capacity, batch: 64 }),
      spinning,
    ),
  ]
}

function big(bytes: number): Row[] {
  const name = (what: string) => `throughput ${size(bytes)}: ${what}`
  const capacity = 8 * 1024 * 1024
  const block = 64
  return [
    row(name('memcpy, two processes'), ofProgram('limits', 'memcpy', bytes), {
      ...spinning,
      payload: bytes,
    }),
    row(name('C++ core'), ofProgram('core', 'throughput', bytes, capacity), {
      ...spinning,
      payload: bytes,
    }),
    row(name('millrace, single'), ofCase('queue-throughput', { bytes, capacity, block }), spinning),
    row(name('Unix socket, single'), ofCase('socket-throughput', { bytes, block: 16 }), waiting),
  ]
}

/** Unlike the others: how late a message is, counted from when it was to be sent. */
function offered(rate: number): Row[] {
  const parameters = { bytes: 64, rate }
  const name = (what: string) => `latency at ${String(rate / 1000)},000/s: ${what}`
  return [
    row(name('millrace'), ofCase('queue-offered', parameters), waiting),
    row(name('Unix socket'), ofCase('socket-offered', parameters), waiting),
  ]
}
