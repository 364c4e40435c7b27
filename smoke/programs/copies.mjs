// Two copies, or versions, of the package in one process: `copies.mjs FIRST SECOND NAME`, each a path to its dist/. They
// talk to each other, wait at the same time, in the main thread and in workers that are terminated while they wait, and
// the process still ends as it should.

import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

const [first, second, name] = isMainThread ? process.argv.slice(2) : workerData
const one = await import(`${first}/index.js`)
const two = await import(`${second}/index.js`)
const patience = { timeout: 30_000 }
if (one.SpscQueue === two.SpscQueue) throw new Error('it is only one')

if (isMainThread) {
  await talk(one, two, `${name}.there`)
  await talk(two, one, `${name}.back`)
  for (const order of [
    [first, second],
    [second, first],
  ]) {
    const worker = new Worker(new URL(import.meta.url), {
      workerData: [...order, `${name}.worker`],
    })
    await new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    await worker.terminate()
  }
  await talk(one, two, `${name}.again`)
  await talk(two, one, `${name}.again`)
  // Both still wait when the process ends.
  for (const [i, { SpscQueue }] of [one, two].entries()) {
    void SpscQueue.consumer(`${name}.end.${i}`).pop()
  }
  console.log(JSON.stringify({ versions: [first, second] }))
  process.exit(0)
} else {
  await talk(one, two, name)
  for (const [i, { SpscQueue }] of [one, two].entries()) {
    void SpscQueue.consumer(`${name}.${i}`).pop()
  }
  setTimeout(() => parentPort.postMessage('waiting'), 20)
}

async function talk(from, to, name) {
  const consumer = to.SpscQueue.consumer(name)
  const producer = from.SpscQueue.producer(name)
  for (let i = 0; i < 100; i++) {
    const waiting = consumer.pop(patience)
    await producer.push(`message ${i}`)
    const message = (await waiting).toString()
    if (message !== `message ${i}`) throw new Error(message)
  }
  const writer = from.FrameWriter.create(name, { slotBytes: 4096 })
  const reader = await to.FrameReader.open(name, patience)
  for (let i = 0; i < 50; i++) {
    const waiting = reader.receive(patience)
    const loan = await writer.loan(patience)
    loan.bytes.fill(i)
    loan.publish()
    const frame = await waiting
    if (!frame.bytes.every((byte) => byte === i)) throw new Error(`frame ${i}`)
    frame.release()
  }
  // The same memory, mapped once by each.
  const made = from.SharedMemory.create(name, 4096)
  const opened = to.SharedMemory.open(name)
  made.view(Int32Array)[7] = 42
  if (opened.view(Int32Array)[7] !== 42) throw new Error('they do not share')
  opened.close()
  made.close()
  reader.close()
  writer.close()
  producer.close()
  consumer.close()
}
