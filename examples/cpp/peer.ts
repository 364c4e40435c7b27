// The other side of the C++ programs beside it, in any role:
//
//   peer produce NAME [COUNT [CAPACITY [PAUSE_MS]]]     the counterpart of queue_consumer
//   peer consume NAME [COUNT [CAPACITY [PAUSE_MS]]]     of queue_producer
//   peer write NAME [COUNT [READERS [PAUSE_MS]]]        of frame_reader
//   peer read NAME [POLICY [COUNT [PAUSE_MS]]]          of frame_writer
import { setTimeout as pause } from 'node:timers/promises'
import { FrameReader, FrameWriter, SpscQueue, type Policy } from 'millrace'

const [role, name = 'cpp', ...rest] = process.argv.slice(2)
const number = (index: number, otherwise: number) => Number(rest[index] ?? otherwise)

const start = 2_166_136_261
const mix = (sum: number, value: number) => Math.imul(sum ^ value, 16_777_619)
const hex = (sum: number) => (sum >>> 0).toString(16).padStart(8, '0')

/** FNV-1a, 32 bits. */
function add(sum: number, bytes: Uint8Array): number {
  let mixed = sum
  for (const byte of bytes) mixed = mix(mixed, byte)
  return mixed
}

function fill(bytes: Uint8Array, seed: number): Uint8Array {
  for (let i = 0; i < bytes.length; i++) bytes[i] = seed * 31 + i * 7
  return bytes
}

async function produce() {
  const [count, capacity, pauseMs] = [number(0, 1000), number(1, 0), number(2, 0)]
  using producer = SpscQueue.producer(name, capacity > 0 ? { capacity } : {})
  const lengths = [0, 1, 7, 8, 9, 64, 100, 1000]
  let [sum, sent] = [start, 0]
  for (let i = 0; i < count; i++) {
    const length = Math.min(i % 1000 === 999 ? Infinity : lengths[i % 8]!, producer.maxMessage)
    const message = fill(Buffer.allocUnsafe(length), i)
    sum = add(mix(sum, length), message)
    sent += length
    await producer.push(message)
    if (pauseMs > 0) await pause(pauseMs)
  }
  await producer.end()
  console.log(`sent ${count} messages, ${sent} bytes, checksum ${hex(sum)}`)
}

async function consume() {
  const [most, capacity, pauseMs] = [number(0, Infinity), number(1, 0), number(2, 0)]
  using consumer = SpscQueue.consumer(name, capacity > 0 ? { capacity } : {})
  let [sum, count, received] = [start, 0, 0]
  while (count < most) {
    const message = await consumer.pop()
    if (message === undefined) break
    sum = add(mix(sum, message.length), message)
    received += message.length
    count++
    if (pauseMs > 0) await pause(pauseMs)
  }
  console.log(`received ${count} messages, ${received} bytes, checksum ${hex(sum)}`)
}

async function write() {
  const [count, readers, pauseMs] = [number(0, 100), number(1, 1), number(2, 0)]
  using writer = FrameWriter.create(name, { slotBytes: 10_000 })
  await writer.waitForReaders(readers)
  const header = new DataView(new ArrayBuffer(12))
  for (let i = 0; i < count; i++) {
    using frame = await writer.loan()
    const sequence = writer.sequence + 1
    const byteLength = sequence % (writer.slotBytes + 1)
    const sum = add(start, fill(frame.bytes.subarray(0, byteLength), sequence))
    header.setBigUint64(0, BigInt(sequence), true)
    header.setUint32(8, sum >>> 0, true)
    frame.publish({ byteLength, header: new Uint8Array(header.buffer) })
    if (pauseMs > 0) await pause(pauseMs)
  }
  console.log(`published ${count} frames`)
}

async function read() {
  const policy = (rest[0] ?? 'wait') as Policy
  const [most, pauseMs] = [number(1, Infinity), number(2, 0)]
  using reader = await FrameReader.open(name, { policy, timeout: 30_000 })
  let [count, last] = [0, 0]
  while (count < most) {
    using frame = await reader.receive()
    if (frame === undefined) break
    const header = new DataView(frame.header.buffer, frame.header.byteOffset)
    const whole =
      Number(header.getBigUint64(0, true)) === frame.sequence &&
      header.getUint32(8, true) === add(start, frame.bytes) >>> 0
    if (!whole) throw new Error(`frame ${frame.sequence} is damaged`)
    last = frame.sequence
    count++
    if (pauseMs > 0) await pause(pauseMs)
  }
  console.log(`received ${count} frames, lost ${reader.stats.lost}, last ${last}`)
}

const roles: Record<string, () => Promise<void>> = { produce, consume, write, read }
await roles[role ?? '']?.()
