// Round trips over postMessage between the main thread and a Worker, of one process: the message is copied, or its
// memory changes hands and comes back.

import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { isMainThread, parentPort, workerData } from 'node:worker_threads'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { startWorker } from '../side/worker.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  const { bytes, check, transfer = false } = parameters
  const worker = startWorker(fileURLToPath(import.meta.url), parameters)
  await once(worker, 'message')
  const content = new Content(parameters)
  const touched = check || bytes <= 65536
  let arrived: (message: unknown) => void = () => undefined
  worker.on('message', (message) => {
    arrived(message)
  })
  let message = new Uint8Array(bytes)
  const measured = await trips(parameters, 0, async (i) => {
    if (touched) content.write(message, i)
    const answered = new Promise<unknown>((resolve) => {
      arrived = resolve
    })
    worker.postMessage(message, transfer ? [message.buffer] : [])
    const back = await answered
    if (back === 1) return
    message = back as Uint8Array<ArrayBuffer>
    if (touched) content.read(message, i)
  })
  await worker.terminate()
  return measured
}

function echo(parameters: Parameters): void {
  const { bytes, check, transfer = false } = parameters
  const content = new Content(parameters)
  let sequence = 0
  parentPort?.on('message', (message: Uint8Array<ArrayBuffer>) => {
    if (check) content.read(message, sequence++)
    if (transfer) parentPort?.postMessage(message, [message.buffer])
    else parentPort?.postMessage(bytes > 65536 ? 1 : message)
  })
  parentPort?.postMessage('ready')
}

if (!isMainThread) echo(workerData as Parameters)
