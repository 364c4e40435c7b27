// Layout minor versions interoperate: segments that earlier minors wrote are read, written and taken over by today's
// library, and so is one of a minor that is yet to come.

import test from 'ava'
import { FrameReader, FrameWriter, SpscQueue } from 'millrace'
import { readFileSync } from 'node:fs'

import { fromTheFuture, occupy, offsets, plant } from './segments.js'

const soon = { timeout: 15_000 }
const frameRoles = { writer: 0 }
const schema = { fingerprint: 0xfeedn }

for (const [version, what, change] of [
  ['1.0', 'a queue of layout 1.0', undefined],
  ['1.1', 'a queue of layout 1.1', undefined],
  ['1.0', 'a queue of a minor that is yet to come', fromTheFuture],
] as const) {
  test(`promise: upgrades – ${what} is read to its end, and messages are exchanged on it`, async (t) => {
    const { name, path } = plant(t, version, 'queue', change)
    const before = readFileSync(path)
    const instance = before.subarray(64, 72).toString('hex')
    const consumer = SpscQueue.consumer(name)
    const texts: string[] = []
    for (let i = 0; i < 3; i++) texts.push((await consumer.pop(soon))!.toString())
    t.deepEqual(texts, ['first', '', 'z'.repeat(200)])

    const producer = SpscQueue.producer(name, { capacity: 4096 })
    for (let i = 0; i < 200; i++) {
      await producer.push(`today ${i}`, soon)
      const message = (await consumer.pop(soon))?.toString()
      if (message !== (i === 0 ? 'last' : `today ${i - 1}`)) t.fail(`${i}: ${message}`)
    }
    const after = readFileSync(path)
    t.is(after.subarray(64, 72).toString('hex'), instance, 'it is the same segment')
    const minor = before.readUInt16LE(offsets.minor)
    t.is(after.readUInt16LE(offsets.minor), minor, 'whose version stays its maker’s')
    producer.close()
    consumer.close({ discard: true })
  })

  test(`promise: upgrades – ${what} lets a schema be stated on it`, (t) => {
    const { name } = plant(t, version, 'queue', change)
    using _consumer = SpscQueue.consumer(name, { schema })
    t.throws(() => SpscQueue.producer(name, { schema: { fingerprint: 1n } }), {
      code: 'ERR_MILLRACE_SCHEMA',
    })
    const producer = SpscQueue.producer(name, { schema })
    producer.close()
    _consumer.close({ discard: true })
  })
}

for (const [version, what, change] of [
  ['1.0', 'frames of layout 1.0', undefined],
  ['1.1', 'frames of layout 1.1', undefined],
  ['1.0', 'frames of a minor that is yet to come', fromTheFuture],
] as const) {
  test(`promise: upgrades – ${what} are received beside their living writer, which is followed by one of today`, async (t) => {
    const { name, path } = plant(t, version, 'frames', change)
    const die = await occupy(t, path, frameRoles.writer)
    const reader = await FrameReader.open(name, { history: 2, ...soon })
    const texts: string[] = []
    for (let i = 0; i < 2; i++) {
      using frame = await reader.receive(soon)
      texts.push(`${frame!.sequence}: ${Buffer.from(frame!.bytes).toString()}`)
    }
    t.deepEqual(texts, ['2: frame two', '3: frame three'])

    await die()
    await t.throwsAsync(reader.receive(soon), { code: 'ERR_MILLRACE_PEER_GONE' })
    const writer = FrameWriter.create(name, { slotBytes: 64, slots: 6, maxReaders: 2, history: 2 })
    for (let sequence = 4; sequence < 40; sequence++) {
      // All slots come round: what the dead of that time held is held no more.
      const loan = await writer.loan(soon)
      loan.bytes.fill(sequence)
      loan.publish()
      using frame = await reader.receive(soon)
      t.like(frame, { sequence, missed: 0 })
      t.is(frame!.bytes[63], sequence)
    }
    t.is(reader.stats.lost, 0)
    writer.close()
    t.is(await reader.receive(soon), undefined)
    reader.close()
  })
}
