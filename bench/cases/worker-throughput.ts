// Messages one way over postMessage from the main thread to a Worker of the same process.

import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { startWorker } from '../side/worker.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  const worker = startWorker(fileURLToPath(import.meta.url), parameters)
  await once(worker, 'message')
  const content = new Content(parameters)
  const message = new Uint8Array(parameters.bytes)
  // It has no back-pressure: after each block the sender asks whether it has arrived.
  const flushed = async () => {
    const answered = once(worker, 'message')
    worker.postMessage('question')
    await answered
  }
  const measured = await stream(
    parameters,
    0,
    async (from, to) => {
      for (let i = from; i < to; i++) {
        content.write(message, i)
        worker.postMessage(message)
      }
      await flushed()
    },
    flushed,
  )
  await worker.terminate()
  return measured
}

function take(parameters: Parameters): void {
  const content = new Content(parameters)
  let sequence = 0
  parentPort?.on('message', (message: Uint8Array | string) => {
    if (typeof message === 'string') parentPort?.postMessage('answer')
    else content.read(message, sequence++)
  })
  parentPort?.postMessage('ready')
}

if (!isMainThread) take(workerData as Parameters)
