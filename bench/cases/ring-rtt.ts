// Round trips over two hand-written word rings, between two Workers of one process over a SharedArrayBuffer. Both
// spin. A message with number -1 is the last.

import { fileURLToPath } from 'node:url'
import { isMainThread, workerData } from 'node:worker_threads'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { spinningTrips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { leadWorkers, ringMessage, rings, type RingTask } from '../side/word-rings.js'
import { reply } from '../side/worker.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  return await leadWorkers(fileURLToPath(import.meta.url), parameters)
}

export function ask(task: RingTask): Measured {
  const { there, back } = rings(task)
  const content = new Content(task.parameters)
  const { bytes, words } = ringMessage(task.parameters)
  const measured = spinningTrips(task.parameters, task.follower, (from, to) => {
    for (let i = from; i < to; i++) {
      content.write(bytes, i)
      while (!there.tryPush(words));
      while (!back.tryPop(words));
      content.read(bytes, i)
    }
  })
  words[0] = -1
  while (!there.tryPush(words));
  return measured
}

export function answer(task: RingTask): void {
  const { there, back } = rings(task)
  const { words } = ringMessage(task.parameters)
  for (;;) {
    while (!there.tryPop(words));
    if (words[0] === -1) return
    while (!back.tryPush(words));
  }
}

if (!isMainThread) {
  const task = workerData as RingTask
  reply(task.role === 'lead' ? ask(task) : answer(task))
}
