// What valgrind watches the addon do: every class once, in good order, in error, with a peer that lies, and
// left to the garbage collector. Short: under valgrind everything takes fifty times as long.
import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import process from 'node:process'
import { setImmediate as turn } from 'node:timers/promises'
import * as millrace from 'millrace'
import * as sync from 'millrace/sync'

const name = `valgrind-${process.pid}`
const soon = { timeout: 20 }

function lie(object, offset, value) {
  const file = openSync(`/dev/shm/${object}`, 'r+')
  try {
    const word = Buffer.alloc(8)
    word.writeBigUInt64LE(value)
    writeSync(file, word, 0, 8, offset)
  } finally {
    closeSync(file)
  }
}

async function queue() {
  const producer = millrace.SpscQueue.producer(name, { capacity: 4096 })
  const consumer = millrace.SpscQueue.consumer(name)
  producer.tryPush('one')
  producer.tryPushBatch(['two', 'three'])
  assert.equal(String(consumer.tryPop()), 'one')
  assert.equal(
    consumer.drain(() => true),
    2,
  )
  await assert.rejects(consumer.pop(soon), { code: 'ERR_MILLRACE_TIMEOUT' })
  const late = consumer.pop()
  await turn()
  producer.tryPush('four')
  assert.equal(String(await late), 'four')
  assert.throws(() => millrace.SpscQueue.producer(name), { code: 'ERR_MILLRACE_ROLE_TAKEN' })
  producer.tryPush('five')
  lie(`millrace.q.${name}`, 4096, 1n)
  assert.throws(() => consumer.tryPop(), { code: 'ERR_MILLRACE_CORRUPT' })
  producer.close({ discard: true })
}

async function frames() {
  const writer = millrace.FrameWriter.create(name, { slotBytes: 1000, slots: 4, history: 1 })
  const reader = await millrace.FrameReader.open(name, { detachOnRelease: true })
  for (let i = 0; i < 3; i++) {
    const loan = writer.tryLoan()
    loan.bytes.fill(i)
    loan.publish({ byteLength: 500 })
    const frame = await reader.receive(soon)
    assert.equal(frame.bytes[499], i)
    frame.release()
  }
  writer.tryLoan()
  await assert.rejects(reader.receive(soon), { code: 'ERR_MILLRACE_TIMEOUT' })
  reader.close()
  writer.close()
}

async function cell() {
  const writer = millrace.Cell.writer(name, { maxBytes: 100 })
  const reader = await millrace.Cell.reader(name)
  assert.equal(reader.read(), undefined)
  writer.write('value')
  assert.equal(await reader.changed(soon), true)
  assert.equal(String(reader.read().bytes), 'value')
  reader.close()
  writer.close()
}

async function many() {
  const mutex = sync.Mutex.open(name)
  const other = sync.Mutex.open(name)
  const guard = await mutex.lock()
  await assert.rejects(other.lock(soon), { code: 'ERR_MILLRACE_TIMEOUT' })
  guard.release()
  const event = sync.SharedEvent.open(name)
  event.set()
  await event.wait(soon)
  const barrier = sync.Barrier.open(name, { parties: 2 })
  await assert.rejects(barrier.wait(soon), { code: 'ERR_MILLRACE_TIMEOUT' })
  const counter = sync.Counter.open(name)
  assert.equal(counter.add(2), 2n)
  const semaphore = sync.Semaphore.create(name, 1)
  semaphore.tryAcquire().release()
  sync.Semaphore.unlink(name)
  for (const one of [mutex, other, event, barrier, counter, semaphore]) one.close()
}

async function memory() {
  const shared = millrace.SharedMemory.create(name, 4096)
  const opened = millrace.SharedMemory.open(name)
  opened.close()
  shared.close()
  const nameless = millrace.NamelessSegment.create()
  const producer = millrace.SpscQueue.producer(nameless)
  producer.close()
  nameless.close()
}

/** Nobody closes these. */
function forget() {
  millrace.SpscQueue.consumer(`${name}-forgotten`)
  sync.Counter.open(`${name}-forgotten`)
}

try {
  for (const story of [queue, frames, cell, many, memory]) await story()
  forget()
  for (let i = 0; i < 3; i++) {
    globalThis.gc()
    await turn()
  }
} finally {
  for (const letter of 'qfcxebnm') rmSync(`/dev/shm/millrace.${letter}.${name}`, { force: true })
}
