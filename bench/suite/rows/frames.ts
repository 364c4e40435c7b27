// Frames: handing them over, and what more readers cost.

import { spinningCores } from '../pinning.js'
import type { Row } from '../row.js'
import { large, ofCase, pollMs, row, size } from './making.js'

const waiting = { unit: 'round trip', waiting: 'waiting' } as const
const polling = { unit: 'round trip', waiting: 'polling' } as const
/** What a second pass checks of it. */
const count = 8

export const frames: readonly Row[] = [...handOvers(), ...fanOut()]

function handOvers(): Row[] {
  const name = (bytes: number, what: string) => `frame ${size(bytes)}: ${what}`
  const poll = pollMs
  return [
    ...[4096, large].flatMap((bytes) => [
      row(name(bytes, 'millrace'), ofCase('frame-rtt', { bytes, count }), waiting),
      row(
        name(bytes, `millrace, poll ${String(pollMs)} ms`),
        ofCase('frame-rtt', { bytes, count, poll }),
        polling,
      ),
    ]),
    row(
      name(large, 'millrace, polled in loops'),
      ofCase('frame-rtt', { bytes: large, count, wait: 'spin' }),
      polling,
    ),
    row(name(large, 'millrace'), ofCase('frame-rtt', { bytes: large, count }), {
      ...waiting,
      cores: 'one core',
    }),
    row(
      name(large, 'millrace, poll 0'),
      ofCase('frame-rtt', { bytes: large, count, poll: 0 }),
      waiting,
    ),
    row(name(large, 'Unix socket'), ofCase('socket-rtt', { bytes: large, count }), waiting),
    row(
      name(large, 'process.send, json'),
      ofCase('process-rtt', { bytes: large, count, serialization: 'json' }),
      waiting,
    ),
    row(
      name(large, 'process.send, advanced'),
      ofCase('process-rtt', { bytes: large, count, serialization: 'advanced' }),
      waiting,
    ),
    row(
      name(large, 'zeromq ipc'),
      ofCase('zeromq-rtt', { bytes: large, count }, 'zeromq'),
      waiting,
    ),
    row(
      name(large, 'postMessage, Worker, copy'),
      ofCase('worker-rtt', { bytes: large, count }),
      waiting,
    ),
    row(
      name(large, 'postMessage, Worker, transfer'),
      ofCase('worker-rtt', { bytes: large, count, transfer: true }),
      waiting,
    ),
  ]
}

function fanOut(): Row[] {
  const facts = { unit: 'frame', waiting: 'spinning', cores: spinningCores } as const
  return [1, 8].flatMap((many) => {
    const readers = `${String(many)} ${many === 1 ? 'reader' : 'readers'}`
    return [
      row(`publish: ${readers}`, ofCase('frame-fanout', { bytes: 4096, many, count: 200 }), facts),
      row(
        `publish: ${readers}, taking`,
        ofCase('frame-fanout', { bytes: 4096, many, count: 200, taking: true }),
        facts,
      ),
    ]
  })
}
