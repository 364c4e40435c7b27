// Closing at inconvenient moments, and giving memory back.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { FrameReader, FrameWriter, SharedMemory, SpscQueue } from 'millrace'
import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const closed = { code: 'ERR_MILLRACE_CLOSED' }

test('every side can be closed twice, and using closes it a third time', async (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name)
  using consumer = SpscQueue.consumer(name)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  using memory = SharedMemory.create(name, 8)
  for (const side of [producer, consumer, writer, reader, memory]) {
    t.false(side.closed)
    side.close()
    t.true(side.closed)
    t.notThrows(() => side.close())
  }
  t.deepEqual(objectsOf(name), [])
})

test('closing while waiting rejects every wait', async (t) => {
  const name = uniqueName(t)
  const producer = SpscQueue.producer(name, { capacity: 4096 })
  const consumer = SpscQueue.consumer(name)
  const writer = FrameWriter.create(name, { slotBytes: 8, slots: 2 })
  const reader = await FrameReader.open(name)
  writer.tryLoan()
  writer.tryLoan()
  const waits: Promise<unknown>[] = [
    consumer.pop(),
    consumer.pop(),
    reader.receive(),
    reader.receiveLatest(),
    writer.loan(),
    writer.waitForReaders(2),
  ]
  const rejections = waits.map((wait) => t.throwsAsync(within(5000, wait), closed))
  for (const side of [consumer, reader, writer, producer]) side.close()
  await Promise.all(rejections)
})

test('an iteration is ended by the close of its own side from inside', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  const reader = await FrameReader.open(name)
  writer.tryLoan()!.publish()
  const iterating = (async () => {
    for await (const frame of reader) {
      t.is(frame.sequence, 1)
      reader.close()
    }
  })()
  await within(5000, iterating)
  t.true(reader.closed)
})

test('each of several waits may close the side in its turn', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  const reader = await FrameReader.open(name)
  const first = reader.receive().then((frame) => {
    reader.close()
    return frame?.sequence
  })
  const second = reader.receive().catch((error: unknown) => (error as { code: string }).code)
  await new Promise((resolve) => setImmediate(resolve))
  writer.tryLoan()!.publish()
  t.is(await within(5000, first), 1)
  t.is(await within(5000, second), closed.code)
})

test('a view that is being written to a file may be detached meanwhile', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  const ending = await other.do(
    async ({ FrameWriter, FrameReader, SharedMemory }, name, file) => {
      const fs = process.getBuiltinModule('node:fs')
      const size = 16 * 1024 * 1024
      for (let round = 0; round < 5; round++) {
        const writer = FrameWriter.create(name, { slotBytes: size, slots: 2 })
        const reader = await FrameReader.open(name)
        const memory = SharedMemory.create(name, size)
        const loan = writer.tryLoan()!
        loan.bytes.fill(round)
        memory.view(Uint8Array).fill(round)
        const { bytes } = loan
        loan.publish()
        const frame = reader.tryReceive()!
        const fd = fs.openSync(file, 'w')
        const writes = [bytes, frame.bytes, memory.view(Uint8Array)].map(
          (view) =>
            new Promise<string>((resolve) => {
              fs.write(fd, view, 0, view.length, 0, (error, written) => {
                resolve(error ? (error.code ?? 'error') : String(written))
              })
            }),
        )
        for (const side of [writer, reader, memory]) side.close()
        globalThis.gc!()
        const results = await Promise.all(writes)
        fs.closeSync(fd)
        fs.unlinkSync(file)
        // What is unmapped before the kernel has copied it is not written; that is an answer, too.
        const wrong = results.filter((result) => !(Number(result) <= size || result === 'EFAULT'))
        if (wrong.length > 0) return wrong
      }
      return 'every write was answered'
    },
    name,
    join(tmpdir(), name),
  )
  t.is(ending, 'every write was answered')
  t.deepEqual(await other.leave(), { code: 0, signal: null })
})

test('structuredClone with transfer does not take the memory away', (t) => {
  using memory = SharedMemory.create(uniqueName(t), 4096)
  const view = memory.view(Uint8Array)
  // Node marks it untransferable: versions before 21 copy, later ones refuse.
  try {
    const copy = new Uint8Array(structuredClone(memory.buffer, { transfer: [memory.buffer] }))
    copy.fill(9)
  } catch (error) {
    t.is((error as Error).name, 'DataCloneError')
  }
  t.is(memory.read(new Uint8Array(1))[0], 0)
  view.fill(5)
  t.is(memory.read(new Uint8Array(1))[0], 5)
})

const transfers = 'transfer' in ArrayBuffer.prototype
;(transfers ? test : test.skip)(
  'a buffer taken away with ArrayBuffer.transfer stays readable after the close',
  async (t) => {
    const name = uniqueName(t)
    const other = actor(t)
    const byte = await other.do(({ SharedMemory }, name) => {
      const memory = SharedMemory.create(name, 4096)
      memory.view(Uint8Array).fill(5)
      const mine = (memory.buffer as unknown as { transfer(): ArrayBuffer }).transfer()
      memory.close()
      globalThis.gc!()
      return new Uint8Array(mine)[4095]
    }, name)
    t.is(byte, 5)
    t.deepEqual(await other.leave(), { code: 0, signal: null })
  },
)

test('sides that nobody refers to any more are closed when they are collected', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(async ({ FrameReader, FrameWriter, SharedMemory, SpscQueue }, name) => {
    SpscQueue.producer(name).tryPush('x')
    SpscQueue.consumer(name).tryPop()
    const writer = FrameWriter.create(name, { slotBytes: 8 })
    const reader = await FrameReader.open(name)
    writer.tryLoan()!.publish()
    reader.tryReceive()
    SharedMemory.create(name, 8).view(Uint8Array).fill(1)
  }, name)
  await until(async () => {
    await other.do(() => globalThis.gc!())
    return objectsOf(name).length === 0
  })
  t.deepEqual(await other.leave(), { code: 0, signal: null })
})

test('a side that waits is not collected', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ SpscQueue, own }, name) => {
    own.pending = SpscQueue.consumer(name, { poll: 0 })
      .pop()
      .then((message) => message?.toString())
  }, name)
  for (let i = 0; i < 5; i++) await other.do(() => globalThis.gc!())
  using producer = SpscQueue.producer(name)
  await producer.push('still there')
  t.is(await other.do(({ own }) => own.pending), 'still there')
  t.deepEqual(await other.leave(), { code: 0, signal: null })
})

test('a frame keeps its reader, a loan its writer', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(async ({ FrameReader, FrameWriter, own }, name) => {
    const writer = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
    const reader = await FrameReader.open(name)
    writer.tryLoan()!.publish()
    own['frame'] = reader.tryReceive()
    own['loan'] = writer.tryLoan()
  }, name)
  for (let i = 0; i < 5; i++) await other.do(() => globalThis.gc!())
  const sequence = await other.do(({ own }) => {
    const { frame, loan } = own as unknown as Record<'frame' | 'loan', { bytes: Uint8Array }>
    loan.bytes.fill(9)
    return (loan as unknown as { publish(): number }).publish() * 10 + frame.bytes.length
  })
  t.is(sequence, 28)
  t.deepEqual(await other.leave(), { code: 0, signal: null })
})
