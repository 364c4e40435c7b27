// What is served at an address answers calls; a stream there is refused in words, and not answered with nonsense.

import test from 'ava'
import { connect, contract, serve, stream } from 'millrace/rpc'

import { uniqueName } from '../support/names.js'

test('a contract with streams is refused at an address, by both sides', async (t) => {
  const clock = contract('clock', { ticks: stream<undefined, number>() })
  const name = uniqueName(t)
  const refused = {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /'ticks' is a stream.*serveOver\(\)/,
  } as const
  await t.throwsAsync(serve(`shm://${name}`, clock, { ticks: () => [1, 2] }), refused)
  await t.throwsAsync(connect(`shm://${name}`, clock), refused)
})
