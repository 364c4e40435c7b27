// Calls: round trips beside those of the round trips' table, and how they are shared by several servers.

import type { Row } from '../row.js'
import { ofCase, row } from './making.js'

const bytes = 64
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

export const calls: readonly Row[] = [
  ...(['json', 'bytes'] as const).map((codec) =>
    row(`rtt event loop: call, ${codec}`, ofCase('call-rtt', { bytes, codec }), {
      ...waiting,
      unit: 'round trip',
    }),
  ),
  servers(1),
  servers(4),
]
