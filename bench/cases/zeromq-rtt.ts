// Round trips over a zeromq PAIR on ipc://.

import type { ChildProcess } from 'node:child_process'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { peer, type Zeromq } from '../side/peer.js'
import { removeZeromqSocket, zeromqAddress } from '../side/zeromq-address.js'

const { Pair } = peer('zeromq') as Zeromq

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const pair = new Pair()
  await pair.bind(zeromqAddress(parameters))
  await pair.receive()
  const message = payload(parameters.bytes)
  const content = new Content(parameters)
  const measured = await trips(parameters, pid!, async (i) => {
    content.write(message, i)
    await pair.send(message)
    const [back] = await pair.receive()
    if (back.length === message.length) content.read(back, i)
  })
  await pair.send(Buffer.from('end'))
  await pair.receive()
  pair.close()
  removeZeromqSocket(parameters)
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { bytes, check } = parameters
  const pair = new Pair()
  pair.connect(zeromqAddress(parameters))
  const content = new Content(parameters)
  const answer = Buffer.from('1')
  await pair.send(answer)
  for (let i = 0; ; i++) {
    const [message] = await pair.receive()
    if (message.length !== bytes) break
    if (check) content.read(message, i)
    await pair.send(bytes > 65536 ? answer : message)
  }
  await pair.send(answer)
  // Let it go out.
  await new Promise((resolve) => setTimeout(resolve, 20))
}
