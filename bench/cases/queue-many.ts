// Messages that go through many queues in turn: what a message costs when so many queues are open. Either both sides
// spin, in the same order, or the receiver waits for all of them in its event loop.

import type { ChildProcess } from 'node:child_process'

import { SpscQueue, type QueueConsumer, type QueueProducer } from 'millrace'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

const queueName = ({ name }: Parameters, index: number) => `${name}.${String(index)}`

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { bytes, capacity, many = 1, wait } = parameters
  const queues = Array.from({ length: many }, (_, i) =>
    SpscQueue.producer(queueName(parameters, i), { capacity }),
  )
  await Promise.all(queues.map((queue) => queue.waitForPeer()))
  const content = new Content(parameters)
  const message = payload(bytes)
  content.over(message)
  const isDrained = (queue: QueueProducer) => queue.freeBytes === queue.capacity
  // All rings together hold many blocks: each block is waited for, or filling them would be measured.
  const spinning = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      content.write(message, i)
      const queue = queues[i % many]!
      while (!queue.tryPush(message));
    }
    // Both sides go in the same order: when the last one is through, all are.
    const last = queues[(to - 1) % many]!
    while (!isDrained(last));
  }
  const waiting = async (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      content.write(message, i)
      const queue = queues[i % many]!
      if (!queue.tryPush(message)) await queue.push(message)
    }
    for (const queue of queues) {
      while (!isDrained(queue)) await new Promise((resolve) => setImmediate(resolve))
    }
  }
  const send = wait === 'event-loop' ? waiting : spinning
  const measured = await stream(parameters, pid!, send, () => undefined)
  // Those that spin look at the queue whose turn it is, and go when it says so.
  await queues[0]!.push('end')
  for (const queue of queues) {
    if (queue !== queues[0]) queue.close()
  }
  await queues[0]!.end()
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { capacity, many = 1, wait } = parameters
  const queues = Array.from({ length: many }, (_, i) =>
    SpscQueue.consumer(queueName(parameters, i), { capacity }),
  )
  if (wait === 'event-loop') await takeWaiting(queues, parameters)
  else takeSpinning(queues, parameters)
  for (const queue of queues) queue.close()
}

/** Blocks are multiples of the number of queues, so that the last message comes through the first queue. */
function takeSpinning(queues: readonly QueueConsumer[], parameters: Parameters): void {
  const { bytes } = parameters
  const content = new Content(parameters)
  const target = payload(bytes)
  content.over(target)
  for (let i = 0; ; i++) {
    const queue = queues[i % queues.length]!
    let length: number
    while ((length = queue.tryPopInto(target)) < 0);
    if (length !== bytes) return
    content.read(target, i)
  }
}

async function takeWaiting(
  queues: readonly QueueConsumer[],
  parameters: Parameters,
): Promise<void> {
  const content = new Content(parameters)
  await Promise.all(
    queues.map(async (queue, index) => {
      let i = index
      for await (const message of queue) {
        if (message.length !== parameters.bytes) return
        content.read(message, i)
        i += queues.length
      }
    }),
  )
}
