// What runtimes could do differently although messages arrive: values, messages held in place, packed batches, what is
// printed, restarts, failures. `features.mjs NAME`: tells all stories in one process; the last line is a JSON object of
// what each came to. What it has to be stands in smoke/features.mjs.

import { Cell, FrameReader, FrameWriter, SpscQueue } from 'millrace'
import { toReadable, toWritable } from 'millrace/streams'
import { char, f64, struct, u32, u64 } from 'millrace/struct'
import { PassThrough, Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { inspect, TextDecoder, TextEncoder } from 'node:util'

const [given] = process.argv.slice(2)
const patience = { timeout: 30_000 }
const Tick = struct({ price: f64, size: u32, at: u64, symbol: char(8) }, { name: 'Tick' })
const tick = (size) => ({ price: size / 2, size, at: 2n ** 63n + BigInt(size), symbol: `S${size}` })
const told = ({ price, size, at, symbol }) => `${price} ${size} ${at} ${symbol}`
const text = (bytes) => new TextDecoder().decode(bytes)
const codeOf = async (action) => {
  try {
    return String(await action())
  } catch ({ code, message }) {
    return code ?? message
  }
}

function open(name, { capacity = 4096, ...options } = {}) {
  const producer = SpscQueue.producer(name, { capacity, ...options })
  const consumer = SpscQueue.consumer(name, options)
  return { producer, consumer }
}

const stories = {
  async valuesInAQueue(name) {
    const { producer, consumer } = open(name, { schema: Tick })
    for (const size of [1, 2]) producer.tryPush(tick(size))
    await producer.pushBatch([tick(3), tick(4)])
    const seen = [told(consumer.tryPop()), told(await consumer.pop(patience))]
    consumer.drain((value) => void seen.push(told(value)), 1)
    seen.push(text(await heldSymbol(consumer)))
    const refused = await codeOf(() => producer.push('no tick'))
    const other = await codeOf(() => SpscQueue.consumer(name, { schema: struct({ size: u32 }) }))
    return [...seen, refused, other].join(', ')
  },
  async valuesInACell(name) {
    const writer = Cell.writer(name, { schema: Tick })
    const reader = await Cell.reader(name, { schema: Tick, ...patience })
    writer.write(tick(1))
    const first = told(reader.read().value)
    writer.update((view) => void (view.size = 7))
    return `${first}, ${reader.read().value.size}`
  },
  // The next consumer receives again what was not released.
  async heldMessages(name) {
    const { producer, consumer } = open(name)
    for (const message of ['one', 'two', 'three', 'four']) producer.tryPush(message)
    const one = consumer.tryTake()
    const two = await consumer.take(patience)
    const three = consumer.takeSync(patience)
    const seen = [one, two, three].map(({ bytes }) => text(bytes))
    two.release()
    one.release()
    const late = await codeOf(() => one.bytes)
    consumer.close()
    const next = SpscQueue.consumer(name)
    return [...seen, late, text(await next.pop(patience)), text(next.tryPop())].join(', ')
  },
  packedBatches(name) {
    const { producer, consumer } = open(name)
    const lengths = Uint32Array.of(3, 0, 5)
    const sent = producer.tryPushPacked(new TextEncoder().encode('abcdefgh'), lengths)
    const alike = producer.tryPushPacked(new Uint8Array(8).fill(33), 2, 3)
    const target = new Uint8Array(64)
    const received = new Uint32Array(16)
    const count = consumer.tryPopPacked(target, received)
    const bytes = received.subarray(0, count).reduce((sum, length) => sum + length, 0)
    return `${sent} ${alike} ${count}: ${received.subarray(0, count)}: ${text(target.subarray(0, bytes))}`
  },
  drainedInPlace(name) {
    const { producer, consumer } = open(name)
    for (const message of ['one', 'two', 'three']) producer.tryPush(message)
    const seen = []
    consumer.drain((bytes) => void seen.push(text(bytes)), 2)
    consumer.drainRaw((ring, at, length) => void seen.push(ring.toString('utf8', at, at + length)))
    return seen.join(' ')
  },
  async iteration(name) {
    const { producer, consumer } = open(name)
    for (const message of ['one', 'two', 'three']) producer.tryPush(message)
    const seen = []
    for await (const message of consumer) {
      if (seen.push(text(message)) === 2) break
    }
    const messages = consumer.messages()
    seen.push(text((await messages.next()).value))
    const pending = messages.next()
    await messages.return()
    seen.push((await pending).done)
    producer.tryPush('left')
    producer.close()
    return [...seen, text(consumer.tryPop())].join(' ')
  },
  printed(name) {
    const { consumer } = open(name)
    console.log(consumer)
    const said = inspect(consumer, { breakLength: Infinity })
    return said.replaceAll(name, 'NAME').replace(String(process.pid), 'PID')
  },
  json(name) {
    const { producer, consumer } = open(name)
    producer.tryPush('secret')
    const said = JSON.stringify({ consumer, tick: Tick.view(Tick.encode(tick(1))) })
    consumer.close()
    producer.close({ discard: true })
    return said.replaceAll(name, 'NAME').replace(String(process.pid), 'PID')
  },
  async errors(name) {
    const { producer } = open(name)
    try {
      await producer.push(new Uint8Array(5000))
    } catch (error) {
      return `${error instanceof Error} ${error.name} ${error.code} ${Object.prototype.toString.call(error)}`
    }
  },
  // Another channel under the same name, further on than the one before: nothing of it is skipped.
  async framesAfterARestart(name) {
    const publish = (writer, count) => {
      for (let i = 0; i < count; i++) writer.tryLoan().publish()
    }
    const options = { slotBytes: 64, slots: 8, history: 4 }
    const writer = FrameWriter.create(name, options)
    publish(writer, 3)
    const reader = await FrameReader.open(name, { after: 0 })
    const sequences = []
    for (let frame; (frame = reader.tryReceive()) !== undefined; frame.release()) {
      sequences.push(frame.sequence)
    }
    const after = JSON.parse(JSON.stringify({ channelId: reader.channelId, sequence: 3 }))
    const same = writer.channelId === reader.channelId && /^[0-9a-f]{16}$/.test(reader.channelId)
    reader.close()
    writer.close()
    const next = FrameWriter.create(name, options)
    publish(next, 4)
    const again = await FrameReader.open(name, { after })
    const frame = again.tryReceive()
    return `${sequences} ${same} ${next.channelId === after.channelId} ${frame.sequence} ${frame.missed}`
  },
  async producerGivesUp(name) {
    const { producer, consumer } = open(name)
    producer.tryPush('sent before')
    const waiting = [consumer.pop(patience), consumer.pop(patience)]
    producer.abort(new Error('the source is broken'))
    const first = text(await waiting[0])
    const error = await waiting[1].catch((reason) => reason)
    return `${first}, ${error.code}, ${error.cause?.message}, ${consumer.peer}`
  },
  async writerGivesUp(name) {
    const writer = FrameWriter.create(name, { slotBytes: 64 })
    const reader = await FrameReader.open(name)
    writer.abort('the camera is gone')
    return await codeOf(() => reader.receive(patience))
  },
  async begunAnew(name) {
    const { producer, consumer } = open(name)
    for (const message of ['one', 'two']) producer.tryPush(message)
    producer.close()
    consumer.close()
    const next = SpscQueue.consumer(name, { fresh: true })
    return `${next.discarded} ${next.tryPop()}`
  },
  // Whichever side says a capacity decides it, whoever comes first.
  openCapacity(name) {
    const consumer = SpscQueue.consumer(name)
    const producer = SpscQueue.producer(name, { capacity: 8192 })
    producer.tryPush('message')
    const third = SpscQueue.producer(`${name}.default`)
    return `${consumer.capacity} ${text(consumer.tryPop())} ${third.capacity}`
  },
  async reservation(name) {
    const { producer, consumer } = open(name)
    const place = await producer.reserveWhenFree(16, patience)
    place.bytes.set(new TextEncoder().encode('in place'))
    place.commit(8)
    producer.reserve(8).abort()
    return `${text(consumer.tryPop())} ${consumer.tryPop()}`
  },
  async streams(name) {
    const { producer, consumer } = open(name)
    const chunks = Array.from({ length: 200 }, (_, i) => new Uint8Array(i * 7).fill(i))
    const sent = pipeline(Readable.from(chunks), toWritable(producer))
    let bytes = 0
    let sum = 0
    for await (const chunk of toReadable(consumer)) {
      bytes += chunk.length
      for (const byte of chunk) sum += byte
    }
    await sent
    return `${bytes} ${sum} ${producer.closed} ${consumer.closed}`
  },
  async brokenStreams(name) {
    const { producer, consumer } = open(name)
    const source = new PassThrough()
    source.write('a part')
    const received = pipeline(toReadable(consumer), new PassThrough().resume())
    const sent = pipeline(source, toWritable(producer))
    source.destroy(new Error('the source is broken'))
    return `${await codeOf(() => sent)}, ${await codeOf(() => received)}`
  },
  // Where the symbols are, whatever the syntax.
  disposal(name) {
    const { producer, consumer } = open(name)
    producer.tryPush('message')
    const held = consumer.tryTake()
    held[Symbol.dispose]()
    consumer[Symbol.dispose]()
    producer[Symbol.dispose]()
    return `${held.released} ${consumer.closed} ${producer.closed}`
  },
  // A module of its own: who does not know the syntax cannot read it.
  async using(name) {
    try {
      const { endsOfBlocks } = await import('./using.mjs')
      return await endsOfBlocks(name)
    } catch (error) {
      if (error instanceof SyntaxError) return 'SyntaxError'
      throw error
    }
  },
}

/** The rest of the value that is held: its last 8 bytes, without the zeroes. */
async function heldSymbol(consumer) {
  const held = await consumer.take(patience)
  const symbol = held.bytes.slice(held.length - 8).filter((byte) => byte !== 0)
  held.release()
  return symbol
}

const account = {}
for (const [story, tell] of Object.entries(stories)) {
  account[story] = await codeOf(() => tell(`${given}.${story}`))
}
console.log(JSON.stringify(account))
