// Round trips over two SpscQueues by pushSync and popSync, in a Worker of each of the two processes.

import type { ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { isMainThread, workerData } from 'node:worker_threads'

import { SpscQueue } from 'millrace'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { inWorker, reply } from '../side/worker.js'

const here = fileURLToPath(import.meta.url)

type Task = { readonly parameters: Parameters } & (
  { readonly role: 'lead'; readonly follower: number } | { readonly role: 'follow' }
)

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const task: Task = { role: 'lead', parameters, follower: follower.pid! }
  return await inWorker(here, task)
}

export async function follow(parameters: Parameters): Promise<void> {
  const task: Task = { role: 'follow', parameters }
  await inWorker(here, task)
}

async function leadInWorker(parameters: Parameters, follower: number): Promise<Measured> {
  const { name, bytes, spin } = parameters
  using out = SpscQueue.producer(`${name}.there`)
  using back = SpscQueue.consumer(`${name}.back`)
  const blocking = spin === undefined ? {} : { spin }
  const content = new Content(parameters)
  const message = payload(bytes)
  const settled = Promise.resolve()
  await out.waitForPeer()
  const measured = await trips(parameters, follower, (i) => {
    content.write(message, i)
    out.pushSync(message, blocking)
    content.read(back.popSync(blocking)!, i)
    return settled
  })
  out.pushSync('end')
  await out.end()
  return measured
}

function followInWorker({ name, bytes, spin }: Parameters): void {
  using there = SpscQueue.consumer(`${name}.there`)
  using back = SpscQueue.producer(`${name}.back`)
  const blocking = spin === undefined ? {} : { spin }
  for (;;) {
    const message = there.popSync(blocking)!
    if (message.length !== bytes) return
    back.pushSync(message, blocking)
  }
}

if (!isMainThread) {
  const task = workerData as Task
  if (task.role === 'lead') reply(await leadInWorker(task.parameters, task.follower))
  else reply(followInWorker(task.parameters))
}
