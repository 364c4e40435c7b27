// Two processes that take the same bytes for different structures are told so, on every channel.

import test from 'ava'
import { Cell, FrameReader, FrameWriter, SharedMemory, SpscQueue, type Schema } from 'millrace'
import { char, f64, struct, u32 } from 'millrace/struct'

import { actor, type Stage } from '../support/actor.js'
import { uniqueName } from '../support/names.js'

const Trade = struct({ price: f64, size: u32, symbol: char(8) })
const Swapped = struct({ size: u32, price: f64, symbol: char(8) })

const words = new RegExp(
  `schema ${Trade.fingerprint.toString(16).padStart(16, '0')}.*schema ${Swapped.fingerprint.toString(16).padStart(16, '0')}`,
)
const differs = { code: 'ERR_MILLRACE_SCHEMA', message: words }

interface Channel {
  open(name: string, schema?: Schema): Disposable
  /** The other end, opened in another process; 0n states no schema. */
  readonly scene: (stage: Stage, name: string, fingerprint: bigint) => unknown
  /** Is what the first opener states binding where the creator stated nothing? */
  readonly adopts: boolean
}

const channels: Record<string, Channel> = {
  queue: {
    open: (name, schema) => SpscQueue.producer(name, { schema }),
    scene: ({ SpscQueue, own }, name, fingerprint) => {
      const schema = fingerprint === 0n ? undefined : { fingerprint }
      own.consumer = SpscQueue.consumer(name, { schema })
      own.consumer.close()
    },
    adopts: true,
  },
  frames: {
    open: (name, schema) => FrameWriter.create(name, { slotBytes: Trade.size, schema }),
    scene: async ({ FrameReader, own }, name, fingerprint) => {
      const schema = fingerprint === 0n ? undefined : { fingerprint }
      own.reader = await FrameReader.open(name, { schema })
      own.reader.close()
    },
    adopts: true,
  },
  cell: {
    open: (name, schema) => Cell.writer(name, { maxBytes: Trade.size, schema }),
    scene: async ({ Cell, own }, name, fingerprint) => {
      const schema = fingerprint === 0n ? undefined : { fingerprint }
      own['cell'] = await Cell.reader(name, { schema })
      ;(own['cell'] as { close(): void }).close()
    },
    adopts: true,
  },
  memory: {
    open: (name, schema) => SharedMemory.create(name, Trade.size, { schema }),
    scene: ({ SharedMemory, own }, name, fingerprint) => {
      const schema = fingerprint === 0n ? undefined : { fingerprint }
      own.memory = SharedMemory.open(name, { schema })
      own.memory.close()
    },
    adopts: false,
  },
}

for (const [kind, channel] of Object.entries(channels)) {
  test(`${kind}: another process must mean the same, or say nothing`, async (t) => {
    const name = uniqueName(t)
    using _mine = channel.open(name, Trade)
    const other = actor(t)
    await t.notThrowsAsync(other.do(channel.scene, name, Trade.fingerprint))
    await t.notThrowsAsync(other.do(channel.scene, name, 0n))
    await t.throwsAsync(other.do(channel.scene, name, Swapped.fingerprint), differs)
  })

  test(`${kind}: who creates it may say nothing`, async (t) => {
    const name = uniqueName(t)
    using _mine = channel.open(name)
    const other = actor(t)
    await t.notThrowsAsync(other.do(channel.scene, name, Trade.fingerprint))
    const second = other.do(channel.scene, name, Swapped.fingerprint)
    if (channel.adopts) await t.throwsAsync(second, differs, 'stated first is stated for all')
    else await t.notThrowsAsync(second)
  })

  test(`${kind}: what is no schema is refused`, (t) => {
    const name = uniqueName(t)
    for (const schema of [
      null,
      7,
      {},
      { fingerprint: 7 },
      { fingerprint: 0n },
      { fingerprint: 2n ** 64n },
    ]) {
      t.throws(() => channel.open(name, schema as never), {
        code: 'ERR_MILLRACE_INVALID_ARGUMENT',
        message: /schema must be/,
      })
    }
  })
}

test('unread messages are kept from a consumer that would take them for something else', (t) => {
  const name = uniqueName(t)
  {
    using producer = SpscQueue.producer(name, { schema: Trade })
    t.true(producer.tryPush({ price: 1.5, size: 2, symbol: 'ABC' }))
  }
  t.throws(() => SpscQueue.consumer(name, { schema: Swapped }), differs)
  using consumer = SpscQueue.consumer(name, { schema: Trade })
  t.deepEqual(consumer.tryPop(), { price: 1.5, size: 2, symbol: 'ABC' })
})

test('a new writer must mean what the readers of the old one mean, unless it replaces the channel', async (t) => {
  const name = uniqueName(t)
  const first = FrameWriter.create(name, { slotBytes: 64, schema: Trade })
  using reader = await FrameReader.open(name, { schema: Trade })
  first.close()
  t.throws(() => FrameWriter.create(name, { slotBytes: 64, schema: Swapped }), differs)
  using second = FrameWriter.create(name, { slotBytes: 64, schema: Swapped, replace: true })
  t.is(second.readers, 0)
  t.is(reader.peer, 'closed')
})

test('structures travel in place: reserved, loaned, received', async (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { schema: Trade })
  using consumer = SpscQueue.consumer(name, { schema: Trade })
  const reservation = producer.reserve(Trade.size)!
  const trade = Trade.view(reservation.bytes)
  trade.price = 3
  trade.symbol = 'XYZ'
  reservation.commit(Trade.size)
  Trade.move(trade, producer.reserve(Trade.size)!.bytes)
  trade.price = 4
  t.is(consumer.tryPop()?.symbol, 'XYZ')

  using writer = FrameWriter.create(name, { slotBytes: 10 * Trade.size, schema: Trade })
  using reader = await FrameReader.open(name, { schema: Trade })
  const loan = writer.tryLoan()!
  Trade.array(loan.bytes).at(9).size = 7
  loan.publish()
  using frame = (await reader.receive())!
  t.is(Trade.array(frame.bytes).at(9).size, 7)
})
