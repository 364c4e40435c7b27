// What is left where memory cannot be borrowed (Electron): `copying.mjs left|right NAME`. Two processes exchange messages
// and frames through the calls that copy; each call that borrows says why it cannot.

import { Buffer } from 'node:buffer'
import { Cell, FrameReader, FrameWriter, SharedMemory, SpscQueue } from 'millrace'
import { f64, struct, u32 } from 'millrace/struct'
import { Counter, Mutex } from 'millrace/sync'

const [role, name] = process.argv.slice(2)
const patience = { timeout: 30_000 }
const rounds = 200
const slotBytes = 4096
const refused = []
const Tick = struct({ price: f64, size: u32 }, { name: 'Tick' })
const tick = (i) => ({ price: i / 2, size: i })

const content = (i, length) => Uint8Array.from({ length }, (_, at) => (i * 31 + at * 7) & 0xff)
const equal = (one, other) => Buffer.compare(one, other) === 0

if (role === 'left') await left()
else await right()
console.log(JSON.stringify({ role, rounds, refused }))

async function left() {
  const queue = SpscQueue.producer(name, { capacity: 8192 })
  await refuses('reserve', () => queue.reserve(8))
  await refuses('reserveWhenFree', () => queue.reserveWhenFree(8))
  for (let i = 0; i < rounds; i += 4) {
    await queue.push(content(i, i), patience)
    await queue.pushBatch([content(i + 1, i), content(i + 2, i)], patience)
    while (!queue.tryPush(content(i + 3, i))) await new Promise((resolve) => setTimeout(resolve, 1))
  }

  const ticks = SpscQueue.producer(`${name}-ticks`, { capacity: 8192, schema: Tick })
  for (let i = 0; i < rounds; i += 4) {
    await ticks.push(tick(i), patience)
    await ticks.pushBatch([tick(i + 1), tick(i + 2)], patience)
    while (!ticks.tryPush(tick(i + 3))) await new Promise((resolve) => setTimeout(resolve, 1))
  }
  await ticks.push(tick(rounds), patience)
  await ticks.end(patience)

  const writer = FrameWriter.create(name, { slotBytes, slots: 4 })
  await writer.waitForReaders(1, patience)
  for (let i = 0; i < rounds; i++) {
    const frame = await writer.loan(patience)
    if (i === 0) {
      await refuses('loan.bytes', () => frame.bytes)
      await refuses('loan.view', () => frame.view(Float64Array))
      await refuses('loan.header', () => frame.header)
    }
    frame.write(content(i, slotBytes))
    frame.publish(i % 2 === 0 ? { header: content(i, 8) } : {})
  }

  const memory = SharedMemory.create(name, 4096)
  await refuses('memory.buffer', () => memory.buffer)
  await refuses('memory.view', () => memory.view(Int32Array))
  memory.write(content(5, 100), 7)
  const cell = Cell.writer(name, { maxBytes: 64 })
  await refuses('cell.update', () => cell.update(() => 1))
  cell.write('newest')
  const mutex = Mutex.open(name)
  const guard = await mutex.lock(patience)
  guard.release()
  mutex.close()
  const counter = Counter.open(name)
  const steps = [counter.add(), counter.add(-3), counter.exchange(7n), counter.get()]
  if (steps.join() !== '1,-2,-2,7') throw new Error(`counter: ${steps.join()}`)
  if (counter.compareExchange(7, 8) !== 7n || counter.get() !== 8n) throw new Error('counter')
  counter.close()
  await queue.push('look', patience)
  await queue.end(patience)
  for (const one of [cell, memory, writer, queue]) one.close()
}

async function right() {
  const queue = SpscQueue.consumer(name, { capacity: 8192 })
  await refuses('drain', () => queue.drain(() => undefined))
  for (let i = 0; i < rounds; i++) {
    const message = await queue.pop(patience)
    if (!equal(message, content(i, i - (i % 4)))) throw new Error(`message ${i}`)
  }

  const ticks = SpscQueue.consumer(`${name}-ticks`, { capacity: 8192, schema: Tick })
  for (let i = 0; i <= rounds; i++) {
    const { price, size } = await ticks.pop(patience)
    if (price !== i / 2 || size !== i) throw new Error(`tick ${i}`)
  }
  ticks.close()

  const reader = await FrameReader.open(name, patience)
  for (let i = 0; i < rounds; i++) {
    const frame = await reader.receive(patience)
    if (i === 0) {
      await refuses('frame.bytes', () => frame.bytes)
      await refuses('frame.view', () => frame.view(Float64Array))
    }
    const header = new Uint8Array(64)
    if (i % 2 === 0) header.set(content(i, 8)) // what the slot's header held before is gone
    if (!equal(frame.header, header)) throw new Error(`header ${i}: ${frame.header}`)
    if (!equal(frame.copyTo(new Uint8Array(slotBytes)), content(i, slotBytes))) {
      throw new Error(`frame ${i}`)
    }
    frame.release()
  }
  reader.close()

  const target = new Uint8Array(16)
  await queue.readable(patience) // the other side stays until it has been read
  const memory = SharedMemory.open(name)
  if (!equal(memory.read(new Uint8Array(100), 7), content(5, 100))) throw new Error('memory')
  const cell = await Cell.reader(name, patience)
  if (cell.read().bytes.toString() !== 'newest') throw new Error('cell')
  if (queue.tryPopInto(target) !== 4) throw new Error('no look')
  if ((await queue.pop(patience)) !== undefined) throw new Error('more than was sent')
  for (const one of [cell, memory, queue]) one.close()
}

async function refuses(what, borrow) {
  try {
    await borrow()
  } catch (error) {
    if (error.code !== 'ERR_MILLRACE_UNSUPPORTED_RUNTIME') throw error
    refused.push(what)
    return
  }
  throw new Error(`${what} was not refused`)
}
