// Unary calls whose argument is large and whose answer is its number, of one client to one server, each in its event loop. By copy the
// argument is the client's, and the handler gets bytes of its own; lent, it is in a loan already, as a decoder would have put it there,
// and the handler sees it where it lies.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { call, connect, contract, serve } from 'millrace/rpc'

import { Content, payload, sequenceOf } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

const taking = contract('bench', { take: call<Uint8Array, Uint8Array>() }, { codec: 'bytes' })
/** Arguments that there is room for at a time. */
const many = 4

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const { bytes, lent, name } = parameters
  await once(follower, 'message')
  using client = await connect(name, taking)
  const content = new Content(parameters)
  const message = payload(bytes)
  const measured = await trips(parameters, follower.pid!, async (i) => {
    let answer: Uint8Array
    if (lent === true) {
      using loan = await client.take.loan(bytes)
      content.write(loan.bytes, i)
      answer = await loan.call()
    } else {
      content.write(message, i)
      answer = await client.take(message)
    }
    if (sequenceOf(answer) !== i) throw new Error(`call ${String(i)} was answered wrongly`)
  })
  follower.send('end')
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { bytes, lent, name } = parameters
  const content = new Content(parameters)
  let received = 0
  const server = await serve(
    name,
    taking,
    {
      take(argument) {
        content.read(argument, received++)
        return argument.slice(0, 4)
      },
    },
    { bytes: many * bytes, ...(lent === true ? { inPlace: ['take'] } : {}) },
  )
  process.send?.('ready')
  await once(process, 'message')
  server.close()
}
