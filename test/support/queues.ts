// Queues that are closed with their test, and messages whose bytes tell whether they arrived whole.

import type { ExecutionContext } from 'ava'
import {
  MillraceError,
  SpscQueue,
  type QueueConsumer,
  type QueueOptions,
  type QueueProducer,
} from 'millrace'

import { uniqueName } from './names.js'

/** The smallest ring there is. */
export const onePage = 4096

export interface Pair {
  readonly name: string
  readonly producer: QueueProducer
  readonly consumer: QueueConsumer
}

/** Both sides of a new queue, in this process. */
export function openPair(t: ExecutionContext, options?: QueueOptions): Pair {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name, options)
  const producer = openProducer(t, name, options)
  return { name, producer, consumer }
}

export function openProducer(
  t: ExecutionContext,
  name: string,
  options?: QueueOptions,
): QueueProducer {
  const producer = SpscQueue.producer(name, options)
  t.teardown(() => {
    producer.close({ discard: true })
  })
  return producer
}

export function openConsumer(
  t: ExecutionContext,
  name: string,
  options?: QueueOptions,
): QueueConsumer {
  const consumer = SpscQueue.consumer(name, options)
  t.teardown(() => {
    consumer.close({ discard: true })
  })
  return consumer
}

/** Reads on to the end: why the producer gave up. */
export async function peerFailure(t: ExecutionContext, consumer: QueueConsumer): Promise<string> {
  for (;;) {
    try {
      if ((await consumer.pop({ timeout: 15_000 })) === undefined) return 'an orderly end'
    } catch (error) {
      t.true(error instanceof MillraceError)
      const { code, cause } = error as MillraceError
      t.is(code, 'ERR_MILLRACE_PEER_FAILED')
      return (cause as Error).message
    }
  }
}

/** `length` bytes that depend on `seed` and on their place. */
export function bytes(length: number, seed = length): Buffer {
  const message = Buffer.allocUnsafe(length)
  for (let i = 0; i < length; i++) message[i] = (seed * 31 + i * 7 + (i >> 8)) & 0xff
  return message
}

/** What a message of that length takes of the ring. */
export function recordBytes(length: number): number {
  return 8 + Math.ceil(length / 8) * 8
}
