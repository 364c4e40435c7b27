// The story in a worker, while the main thread has the library open as well. The left worker is terminated in
// mid-life, the right one ends by itself.

import { SpscQueue } from 'millrace'
import { isMainThread, Worker, workerData } from 'node:worker_threads'
import * as millrace from 'millrace'
import { char, f64, struct, u32 } from 'millrace/struct'
import * as sync from 'millrace/sync'
import { play } from './play.mjs'

if (isMainThread) {
  const [role, name] = process.argv.slice(2)
  const own = SpscQueue.producer(`${name}.${role}.main`)
  const other = SpscQueue.consumer(`${name}.${role}.main`)
  const waiting = other.pop()
  const worker = new Worker(new URL(import.meta.url), { workerData: [role, name] })
  const ended = new Promise((resolve, reject) => {
    worker.once('exit', resolve)
    worker.once('error', reject)
  })
  if (role === 'left') {
    await new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    })
    await worker.terminate()
  }
  await ended
  await own.push('the main thread goes on')
  if ((await waiting)?.toString() !== 'the main thread goes on') throw new Error('it does not')
  own.close()
  other.close()
} else {
  const [role, name] = workerData
  await play({ ...millrace, ...sync, char, f64, struct, u32 }, role, name)
}
