// Messages one way over an SpscQueue, through single calls or batches; both sides spin when the ring is
// full or empty. The first four bytes of each message are its number, which the consumer checks.

import { SpscQueue } from 'millrace'

import { perMessage, type Measured, type Parameters } from '../measured.js'

export async function lead({ name, bytes, count, batch = 1 }: Parameters): Promise<Measured> {
  const producer = SpscQueue.producer(name)
  await producer.waitForPeer()
  const messages = Array.from({ length: batch }, () => Buffer.alloc(bytes))
  const numbers = messages.map((message) => new Uint32Array(message.buffer, message.byteOffset, 1))
  const started = performance.now()
  if (batch === 1) {
    const [message] = messages as [Buffer]
    const [number] = numbers as [Uint32Array]
    for (let i = 0; i < count; i++) {
      number[0] = i
      while (!producer.tryPush(message));
    }
  } else {
    for (let i = 0; i < count; i += batch) {
      for (let j = 0; j < batch; j++) (numbers[j] as Uint32Array)[0] = i + j
      let rest = messages
      for (;;) {
        const sent = producer.tryPushBatch(rest)
        if (sent === rest.length) break
        if (sent > 0) rest = rest.slice(sent)
      }
    }
  }
  await producer.end()
  return perMessage(started, count)
}

// eslint-disable-next-line @typescript-eslint/require-await -- the other cases wait here
export async function follow({ name, bytes, count, batch = 1 }: Parameters): Promise<void> {
  const consumer = SpscQueue.consumer(name)
  if (batch === 1) {
    const target = Buffer.alloc(bytes)
    const number = new Uint32Array(target.buffer, target.byteOffset, 1)
    for (let i = 0; i < count; i++) {
      while (consumer.tryPopInto(target) < 0);
      if (number[0] !== i) throw new Error(`message ${String(i)} is ${String(number[0])}`)
    }
  } else {
    let i = 0
    const check = (message: Uint8Array) => {
      const number =
        message[0]! + message[1]! * 0x100 + message[2]! * 0x1_0000 + message[3]! * 0x100_0000
      if (number !== i++) throw new Error(`message ${String(i)} is ${String(number)}`)
    }
    while (i < count) consumer.drain(check)
  }
  consumer.close()
}
