// Other processes that come, take part, and are killed or leave; this one stays and must not keep anything of them.

import { FrameWriter, SpscQueue } from 'millrace'
import { Mutex } from 'millrace/sync'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'
import { openAndWait } from '../visit.js'

export const visitors: Load = {
  parts: { host: receiveVisitors },
  judge: ({ host }) => [
    ...some('visitors', host?.['came']),
    ...same('visitors that came and were heard', host?.['came'], host?.['heard']),
  ],
}

async function receiveVisitors({ name, over }: Shift): Promise<Counts> {
  const counts = { came: 0, heard: 0 }
  using consumer = SpscQueue.consumer(name('q'))
  using writer = FrameWriter.create(name('f'), { slotBytes: 64, slots: 8 })
  using mutex = Mutex.open(name('x'))
  const names = JSON.stringify({ q: name('q'), f: name('f'), x: name('x') })
  while (!over()) {
    const child = fork(fileURLToPath(import.meta.url), ['visit', names])
    const exited = once(child, 'exit')
    counts.came++
    await consumer.waitForPeer(patience)
    if ((await consumer.pop(patience))?.toString() === 'here') counts.heard++
    writer.tryLoan()?.publish()
    if (counts.came % 3 === 0) child.send('leave')
    else child.kill('SIGKILL')
    await exited
    const [end, locked] = await Promise.allSettled([consumer.pop(patience), mutex.lock(patience)])
    if (locked.status === 'fulfilled') locked.value.release()
    else throw locked.reason
    if (end.status === 'fulfilled' && end.value !== undefined) counts.heard++
    await pause(100)
  }
  Mutex.unlink(name('x')) // the last owner ended inside: that is kept for the next one
  return counts
}

if (process.argv[2] === 'visit') {
  const names = JSON.parse(process.argv[3]!) as { q: string; f: string; x: string }
  const producer = SpscQueue.producer(names.q)
  const { leave } = await openAndWait(names)
  process.once('message', () => {
    leave()
    producer.close()
    process.disconnect()
  })
  await producer.push('here', patience)
}
