// Workers that come and go: every other one ends in its own time, every other one in the middle of its waits.

import { FrameWriter, SpscQueue } from 'millrace'
import { Mutex } from 'millrace/sync'
import { once } from 'node:events'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'

import { patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'
import { openAndWait } from '../visit.js'

export const workers: Load = {
  parts: { churn: startWorkers },
  judge: ({ churn }) => [
    ...some('workers', churn?.['started']),
    ...same('messages sent to workers and received', churn?.['sent'], churn?.['received']),
  ],
}

const messages = 50

async function startWorkers({ name, over }: Shift): Promise<Counts> {
  const counts = { started: 0, sent: 0, received: 0 }
  using writer = FrameWriter.create(name('f'), { slotBytes: 64, slots: 8 })
  while (!over()) {
    const producer = SpscQueue.producer(name('q'))
    const worker = new Worker(new URL(import.meta.url), {
      workerData: { names: { q: name('q'), f: name('f'), x: name('x') } },
    })
    counts.started++
    for (let i = 0; i < messages; i++) await producer.push(`message ${i}`, patience)
    counts.sent += messages
    const [received] = (await once(worker, 'message')) as [number]
    counts.received += received
    writer.tryLoan()?.publish()
    const exited = once(worker, 'exit')
    if (counts.started % 2 === 0) await worker.terminate()
    else worker.postMessage('leave')
    await exited
    producer.close({ discard: true })
    await pause(50)
  }
  Mutex.unlink(name('x')) // the last owner ended inside: that is kept for the next one
  return counts
}

if (!isMainThread) {
  const { names } = workerData as { names: { q: string; f: string; x: string } }
  const consumer = SpscQueue.consumer(names.q)
  let received = 0
  while (received < messages) {
    if ((await consumer.pop(patience)) !== undefined) received++
  }
  const { leave } = await openAndWait(names)
  parentPort!.once('message', () => {
    leave()
    consumer.close()
  })
  parentPort!.postMessage(received)
}
