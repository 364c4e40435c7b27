// Messages sent and taken in every way there is.

import { SpscQueue, type QueueConsumer, type QueueProducer } from 'millrace'

import { none, patience, pause, same, some, type Load, type Shift } from '../load.js'

export const queue: Load = {
  parts: { left: send, right: receive },
  judge: ({ left, right }) => [
    ...some('messages sent', left?.['sent']),
    ...same('messages sent and received', left?.['sent'], right?.['received']),
    ...none('messages out of order or damaged', right?.['damaged']),
  ],
}

/** 16 to 3000 bytes: the number, and its lowest byte up to the end. */
export function numbered(i: number): Buffer {
  const message = Buffer.alloc(i % 50 === 0 ? 3000 : 16 + (i % 40), i & 0xff)
  message.writeDoubleLE(i, 0)
  return message
}

export function isNumbered(message: Uint8Array, i: number): boolean {
  const number = new DataView(message.buffer, message.byteOffset).getFloat64(0, true)
  return number === i && message.length >= 16 && message[message.length - 1] === (i & 0xff)
}

async function send({ name, over }: Shift) {
  const producer = SpscQueue.producer(name('q'), { capacity: 2 ** 15 })
  await producer.waitForPeer(patience)
  let sent = 0
  const ways: ((producer: QueueProducer) => Promise<number> | number)[] = [
    async (to) => {
      await to.push(numbered(sent), patience)
      return 1
    },
    async (to) => {
      await to.pushBatch(
        Array.from({ length: 20 }, (_, i) => numbered(sent + i)),
        patience,
      )
      return 20
    },
    (to) => Number(to.tryPush(numbered(sent))),
    (to) => to.tryPushBatch([numbered(sent), numbered(sent + 1)]),
    async (to) => {
      const message = numbered(sent)
      using room = await to.reserveWhenFree(message.length, patience)
      room.bytes.set(message)
      room.commit()
      return 1
    },
  ]
  for (let turn = 0; !over(); turn++) {
    sent += await ways[turn % ways.length]!(producer)
    if (turn % 20 === 0) await pause(1)
  }
  await producer.end(patience)
  return { sent }
}

async function receive({ name }: Shift) {
  using consumer = SpscQueue.consumer(name('q'), { capacity: 2 ** 15 })
  await consumer.waitForPeer(patience)
  let received = 0
  let damaged = 0
  const take = (message: Uint8Array) => {
    if (!isNumbered(message, received)) damaged++
    received++
  }
  const target = Buffer.alloc(4096)
  const ways: ((consumer: QueueConsumer) => Promise<boolean>)[] = [
    async (from) => {
      const message = await from.pop(patience)
      if (message !== undefined) take(message)
      return message !== undefined
    },
    async (from) => {
      if (!(await from.readable(patience))) return false
      from.drain(take)
      return true
    },
    async (from) => {
      for await (const message of from) {
        take(message)
        if (received % 7 === 0) return true
      }
      return false
    },
    async (from) => {
      const length = from.tryPopInto(target)
      if (length >= 0) take(target.subarray(0, length))
      return await from.readable(patience)
    },
  ]
  for (let turn = 0; await ways[turn % ways.length]!(consumer); turn++);
  return { received, damaged }
}
