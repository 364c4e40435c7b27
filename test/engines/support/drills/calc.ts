// What the drills of calls call.

import { call, contract } from 'millrace/rpc'

export const calc = contract('calc', {
  add: call<readonly [number, number], number>({ idempotent: true }),
  echo: call<string, string>(),
  /** Is never done. */
  wait: call<string, string>(),
  /** Throws. */
  fail: call<string, string>(),
  /** Ends the process that serves it. */
  die: call<string, string>(),
})
