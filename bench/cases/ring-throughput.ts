// Messages one way over a hand-written word ring: between two Workers of one process over a SharedArrayBuffer.
// Both spin. A message with number -1 is the last.

import { fileURLToPath } from 'node:url'
import { isMainThread, workerData } from 'node:worker_threads'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { leaveAlone } from '../side/patience.js'
import { capacityOf, leadWorkers, ringMessage, rings, type RingTask } from '../side/word-rings.js'
import { reply } from '../side/worker.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  return await leadWorkers(fileURLToPath(import.meta.url), parameters)
}

export async function send(task: RingTask): Promise<Measured> {
  const { there } = rings(task)
  const content = new Content(task.parameters)
  const { bytes, words } = ringMessage(task.parameters)
  content.over(bytes)
  const measured = await stream(
    task.parameters,
    task.follower,
    (from, to) => {
      for (let i = from; i < to; i++) {
        content.write(bytes, i)
        while (!there.tryPush(words));
      }
    },
    () => {
      while (!there.drained);
    },
  )
  words[0] = -1
  while (!there.tryPush(words));
  return measured
}

export function take(task: RingTask): void {
  const { there } = rings(task)
  const content = new Content(task.parameters)
  const { bytes, words } = ringMessage(task.parameters)
  content.over(bytes)
  for (let i = 0; ; i++) {
    while (!there.tryPop(words)) leaveAlone(capacityOf(task.parameters))
    if (words[0] === -1) return
    content.read(bytes, i)
  }
}

if (!isMainThread) {
  const task = workerData as RingTask
  reply(task.role === 'lead' ? await send(task) : take(task))
}
