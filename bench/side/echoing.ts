// What is served where calls are measured that carry bytes: they come back.

import { call, contract } from 'millrace/rpc'

export const echoing = contract(
  'bench',
  { echo: call<Uint8Array, Uint8Array>() },
  { codec: 'bytes' },
)
