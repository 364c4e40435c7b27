// Calls a second that so many serving processes answer, each of which works a while on a call without giving its thread away. One
// client has enough calls under way for all of them.

import { once } from 'node:events'

import { connect } from 'millrace/rpc'

import { member } from '../side/crew.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { InFlight } from '../side/in-flight.js'
import { working } from './call-server.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  const { name, many = 1, inFlight = 1 } = parameters
  const crew = await Promise.all(
    Array.from({ length: many }, (_, index) => member('call-server', { ...parameters, index })),
  )
  const client = await connect(name, working)
  const calls = new InFlight(inFlight)
  const measured = await stream(
    parameters,
    0,
    async (from, to) => {
      for (let i = from; i < to; i++) await calls.add(ask(i))
    },
    () => calls.all(),
  )
  client.close()
  await Promise.all(
    crew.map(async ({ process: one }) => {
      const exit = once(one, 'exit')
      one.send('end')
      await exit
    }),
  )
  return measured

  async function ask(i: number): Promise<void> {
    const answer = await client.work(i)
    if (answer !== i + 1) throw new Error(`call ${String(i)} was answered by ${String(answer)}`)
  }
}
