// Jobs from one process to one other, both of which look all the time: tryPush, tryTake, complete.

import type { ChildProcess } from 'node:child_process'

import { WorkQueue } from 'millrace/work'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { leaveAlone } from '../side/patience.js'

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { name, bytes, jobs } = parameters
  using queue = WorkQueue.open(name, { jobs })
  while (queue.stats().handles < 2) await new Promise((resolve) => setTimeout(resolve, 1))
  const content = new Content(parameters)
  const message = payload(bytes)
  content.over(message)
  const isDone = () => {
    const { ready, leased } = queue.stats()
    return ready + leased === 0
  }
  const measured = await stream(
    parameters,
    pid!,
    (from, to) => {
      for (let i = from; i < to; i++) {
        content.write(message, i)
        while (!queue.tryPush(message));
      }
    },
    () => {
      while (!isDone());
    },
  )
  await queue.push('end')
  while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 1))
  return measured
}

/** A job of another length is the last. */
export function follow(parameters: Parameters): Promise<void> {
  const { name, bytes, jobs } = parameters
  using queue = WorkQueue.open(name, { jobs })
  const content = new Content(parameters)
  for (let i = 0; ; i++) {
    let job = queue.tryTake()
    while (job === undefined) {
      leaveAlone(0)
      job = queue.tryTake()
    }
    const isLast = job.length !== bytes
    if (!isLast) content.read(job.bytes, i)
    job.complete()
    if (isLast) return Promise.resolve()
  }
}
