// Messages at a rate that does not depend on how fast they get through: how late each one is, counted from when it
// was to be sent. The sender looks at the clock once per turn of its event loop; the receiver waits in its own.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { SpscQueue } from 'millrace'

import type { Measured } from '../side/measured.js'
import { Lateness, offer } from '../side/offering.js'
import type { Parameters } from '../side/parameters.js'

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const producer = SpscQueue.producer(parameters.name)
  await producer.waitForPeer()
  const lateness = once(follower, 'message') as Promise<[Measured]>
  const cpu = await offer(parameters, follower.pid!, (message) => producer.tryPush(message))
  await producer.push('end')
  const [measured] = await lateness
  await producer.end()
  return { ...measured, ...cpu }
}

export async function follow(parameters: Parameters): Promise<void> {
  const consumer = SpscQueue.consumer(parameters.name)
  const lateness = new Lateness(parameters)
  for await (const message of consumer) {
    if (message.length !== parameters.bytes) break
    lateness.arrived(message)
  }
  await new Promise((resolve) => process.send?.(lateness.result(), resolve))
  consumer.close()
}
