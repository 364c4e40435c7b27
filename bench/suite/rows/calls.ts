// Calls: round trips beside those of the round trips' table, what a large argument costs, and how calls are shared by several servers.

import type { Row } from '../row.js'
import { ofCase, row, size } from './making.js'

const bytes = 64
const large = 1024 * 1024
/** Microseconds that a call works. */
const workUs = 50

const waiting = { waiting: 'waiting' } as const

function servers(many: number): Row {
  const what = many === 1 ? '1 server' : `${String(many)} servers`
  return row(
    `calls of ${String(workUs)} µs: ${what}`,
    ofCase('call-servers', { many, workUs, inFlight: 64, block: 256 }),
    { ...waiting, unit: 'call', checked: false },
  )
}

/**
 * A window of calls of the engine's own client, and of callers in shared memory through a gateway on each side: two processes, and four.
 * An engine carries calls of one value each way.
 */
function joined(bytes: number): Row[] {
  const parameters = { bytes, inFlight: 256, block: 256, blocks: [32, 96] as const }
  const facts = { ...waiting, unit: 'call', slow: true } as const
  const of = (more: object) => ofCase('call-window', { ...parameters, ...more }, '@grpc/grpc-js')
  return [
    row('across: grpc, its own client', of({}), facts),
    row('across: grpc, two gateways', of({ through: 'grpc' }), facts),
  ]
}

export const calls: readonly Row[] = [
  ...(['json', 'bytes'] as const).map((codec) =>
    row(`rtt event loop: call, ${codec}`, ofCase('call-rtt', { bytes, codec }), {
      ...waiting,
      unit: 'round trip',
    }),
  ),
  ...(['copy', 'loan'] as const).map((by) =>
    row(
      `rtt event loop: call, ${size(large)}, by ${by}`,
      ofCase('call-large', { bytes: large, lent: by === 'loan' }),
      { ...waiting, unit: 'round trip' },
    ),
  ),
  servers(1),
  servers(4),
  ...joined(1024),
]
