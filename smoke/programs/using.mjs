// `using` and `await using`, for runtimes whose syntax has them.

import { FrameReader, FrameWriter, SpscQueue } from 'millrace'

/** @param {string} name */
export async function endsOfBlocks(name) {
  const outer = {}
  {
    using producer = SpscQueue.producer(name, { capacity: 4096 })
    using consumer = SpscQueue.consumer(name)
    producer.tryPush('message')
    {
      using held = consumer.tryTake()
      using place = producer.reserve(8)
      Object.assign(outer, { held, open: place.bytes.length })
    }
    await using messages = consumer.messages()
    const left = consumer.nextLength + Number(producer.tryPush('')) // BUSY with an open reservation
    consumer.tryPop()
    Object.assign(outer, { producer, consumer, messages, left })
  }
  using writer = FrameWriter.create(name, { slotBytes: 64 })
  using reader = await FrameReader.open(name)
  let released = 0
  writer.tryLoan()?.publish()
  writer.close()
  for await (using frame of reader) released += frame.sequence
  const { producer, consumer, held, messages, left } = outer
  const ended = (await messages.next()).done
  return `${held.released} ${left} ${ended} ${producer.closed} ${consumer.closed} ${released}`
}
