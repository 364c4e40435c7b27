// Messages one way over an SpscQueue: through single calls or batches, of views or packed, both sides spinning when the
// ring is full or empty; or through `push` and `for await`, waiting in the event loops. A message of another length is the
// last.

import type { ChildProcess } from 'node:child_process'

import { SpscQueue, type QueueConsumer, type QueueProducer } from 'millrace'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { leaveAlone } from '../side/patience.js'

type Send = (from: number, to: number) => Promise<void> | void

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { name, capacity, wait = 'spin', batch = 1, packed = false } = parameters
  const producer = SpscQueue.producer(name, { capacity })
  await producer.waitForPeer()
  const content = new Content(parameters)
  let send: Send
  if (wait === 'event-loop') send = waiting(producer, content, parameters)
  else if (batch === 1) send = singles(producer, content, parameters)
  else if (packed) send = packs(producer, content, parameters)
  else send = batches(producer, parameters)
  const measured = await stream(parameters, pid!, send, () => {
    while (producer.freeBytes < producer.capacity);
  })
  await producer.push('end')
  await producer.end()
  return measured
}

function singles(producer: QueueProducer, content: Content, { bytes }: Parameters): Send {
  const message = payload(bytes)
  content.over(message)
  return (from, to) => {
    for (let i = from; i < to; i++) {
      content.write(message, i)
      while (!producer.tryPush(message));
    }
  }
}

function batches(producer: QueueProducer, parameters: Parameters): Send {
  const { bytes, batch = 1 } = parameters
  const messages = Array.from({ length: batch }, () => payload(bytes))
  const contents = messages.map((message) => new Content(parameters).over(message))
  return (from, to) => {
    for (let i = from; i < to; i += batch) {
      for (let j = 0; j < batch; j++) contents[j]!.write(messages[j]!, i + j)
      let rest = messages
      for (;;) {
        const sent = producer.tryPushBatch(rest)
        if (sent === rest.length) break
        if (sent > 0) rest = rest.slice(sent)
      }
    }
  }
}

function packs(producer: QueueProducer, content: Content, parameters: Parameters): Send {
  const { bytes, batch = 1 } = parameters
  const messages = payload(bytes * batch)
  content.over(messages)
  return (from, to) => {
    for (let i = from; i < to; i += batch) {
      for (let j = 0; j < batch; j++) content.write(messages, i + j, j * bytes)
      let sent = producer.tryPushPacked(messages, bytes)
      while (sent < batch) sent += producer.tryPushPacked(messages.subarray(sent * bytes), bytes)
    }
  }
}

function waiting(producer: QueueProducer, content: Content, { bytes }: Parameters): Send {
  const message = payload(bytes)
  return async (from, to) => {
    for (let i = from; i < to; i++) {
      content.write(message, i)
      if (!producer.tryPush(message)) await producer.push(message)
    }
  }
}

export async function follow(parameters: Parameters): Promise<void> {
  const { name, capacity, wait = 'spin', batch = 1, packed = false } = parameters
  const consumer = SpscQueue.consumer(name, { capacity })
  const content = new Content(parameters)
  if (wait === 'event-loop') await takeWaiting(consumer, content, parameters)
  else if (parameters.ownBuffers === true) takeBuffers(consumer, content, parameters)
  else if (batch === 1) takeSingly(consumer, content, parameters)
  else if (packed) takePacked(consumer, content, parameters)
  else takeInPlace(consumer, content, parameters)
  consumer.close()
}

/** Each is copied into a Buffer of ours. */
function takeSingly(consumer: QueueConsumer, content: Content, { bytes }: Parameters): void {
  const target = payload(bytes)
  content.over(target)
  for (let i = 0; ; i++) {
    let length: number
    while ((length = consumer.tryPopInto(target)) < 0) leaveAlone(consumer.capacity)
    if (length !== bytes) return
    content.read(target, i)
  }
}

/** Each is a Buffer that is made for it. */
function takeBuffers(consumer: QueueConsumer, content: Content, { bytes }: Parameters): void {
  for (let i = 0; ; i++) {
    let message: Buffer | undefined
    while ((message = consumer.tryPop()) === undefined) leaveAlone(consumer.capacity)
    if (message.length !== bytes) return
    content.read(message, i)
  }
}

/** As many as there are, up to a batch, are copied into memory of ours, one after the other. */
function takePacked(consumer: QueueConsumer, content: Content, parameters: Parameters): void {
  const { bytes, batch = 1 } = parameters
  const target = payload(bytes * batch)
  content.over(target)
  const lengths = new Uint32Array(batch)
  for (let i = 0; ;) {
    const count = consumer.tryPopPacked(target, lengths)
    if (count === 0) leaveAlone(consumer.capacity)
    for (let j = 0; j < count; j++) {
      const length = lengths[j]!
      if (length !== bytes) return
      content.read(target, i++, j * bytes, length)
    }
  }
}

/** Each is read where it lies. */
function takeInPlace(consumer: QueueConsumer, content: Content, { bytes }: Parameters): void {
  const state = { sequence: 0, ended: false }
  const read = (ring: Buffer, offset: number, length: number) => {
    if (state.sequence === 0) content.over(ring)
    if (length === bytes) content.read(ring, state.sequence++, offset, length)
    else state.ended = true
  }
  while (!state.ended) {
    if (consumer.drainRaw(read, Infinity) === 0) leaveAlone(consumer.capacity)
  }
}

async function takeWaiting(
  consumer: QueueConsumer,
  content: Content,
  { bytes }: Parameters,
): Promise<void> {
  let i = 0
  for await (const message of consumer) {
    if (message.length !== bytes) return
    content.read(message, i++)
  }
}
