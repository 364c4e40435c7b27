// Passes messages through a queue in one process, many times, and marks by umask where a stretch begins and ends: what
// scripts/count-arm64.mjs counts the instructions of.
//   node instructions.cjs single|packed|batch BYTES MESSAGES STRETCHES
import millrace = require('millrace')

const [how = 'single', bytes = 64, messages = 12_800, stretches = 20] = process.argv
  .slice(2)
  .map((value, index) => (index === 0 ? value : Number(value))) as [string, number, number, number]
const many = 64

const name = `instructions-${String(process.pid)}`
const producer = millrace.SpscQueue.producer(name)
const consumer = millrace.SpscQueue.consumer(name)

function singles(): () => void {
  const message = Buffer.alloc(bytes, 1)
  const target = Buffer.alloc(bytes)
  return () => {
    for (let i = 0; i < many; i++) producer.tryPush(message)
    for (let i = 0; i < many; i++) consumer.tryPopInto(target)
  }
}

function batches(): () => void {
  const batch = Array.from({ length: many }, () => Buffer.alloc(bytes, 1))
  let sum = 0
  const read = (ring: Buffer, offset: number): void => {
    sum = (sum + ring[offset]!) | 0
  }
  return () => {
    producer.tryPushBatch(batch)
    consumer.drainRaw(read, Infinity)
  }
}

function packs(): () => void {
  const batch = Buffer.alloc(many * bytes, 1)
  const target = Buffer.alloc(many * bytes)
  const lengths = new Uint32Array(many)
  return () => {
    producer.tryPushPacked(batch, bytes)
    consumer.tryPopPacked(target, lengths)
  }
}

const pass = how === 'batch' ? batches() : how === 'packed' ? packs() : singles()
const stretch = (): void => {
  for (let i = 0; i < messages; i += many) pass()
}
// The optimiser has had its say by then.
for (let i = 0; i < stretches; i++) stretch()
for (let i = 0; i < stretches; i++) {
  process.umask()
  stretch()
}
process.umask()
if (consumer.nextLength >= 0) throw new Error('messages are left')
producer.close()
consumer.close()
