// Jobs that a loss of power does not take: pushed, many at a time, and confirmed when they are on the disk. In turn with what a
// program does that writes such a job and waits for the disk, one after the other.

import { closeSync, fdatasyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { MappedFile } from 'millrace'
import { WorkQueue } from 'millrace/work'

import { Content, payload, sequenceOf } from '../side/content.js'
import { InFlight } from '../side/in-flight.js'
import { Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const syncsPerTurn = 16
const blocksPerTurn = 4

export async function lead(parameters: Parameters): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), `${parameters.name}-`))
  const file = openSync(join(folder, 'plain'), 'w')
  using queue = WorkQueue.open(new MappedFile(join(folder, 'jobs')), {
    jobs: parameters.jobs,
    durability: 'disk',
  })
  try {
    return await measure(parameters, queue, file)
  } finally {
    closeSync(file)
    rmSync(folder, { recursive: true })
  }
}

async function measure(parameters: Parameters, queue: WorkQueue, file: number): Promise<Measured> {
  const { bytes, inFlight = 1, block = 256, warmUp, stretch } = parameters
  const content = new Content(parameters)
  const message = payload(bytes)
  const pushes = new InFlight(inFlight)
  let pushed = 0
  const pushBlock = async () => {
    for (let i = 0; i < block; i++) {
      const job = Buffer.from(message)
      content.write(job, pushed++)
      await pushes.add(queue.push(job))
    }
    await pushes.all()
  }
  let taken = 0
  const empty = () => {
    for (let job = queue.tryTake(); job !== undefined; job = queue.tryTake()) {
      if (sequenceOf(job.bytes) !== taken++) throw new Error('a job came out of order')
      job.complete()
    }
    if (taken !== pushed) throw new Error(`${String(pushed - taken)} jobs are missing`)
  }
  const ours = new Stopwatch(block)
  const plain = new Stopwatch()
  const turn = async (counts: boolean) => {
    for (let i = 0; i < blocksPerTurn; i++) {
      const from = performance.now()
      await pushBlock()
      if (counts) ours.record((performance.now() - from) * 1e6)
      empty()
    }
    for (let i = 0; i < syncsPerTurn; i++) {
      const from = performance.now()
      writeSync(file, message)
      fdatasyncSync(file)
      if (counts) plain.record((performance.now() - from) * 1e6)
    }
  }
  const start = performance.now()
  while (performance.now() - start < warmUp) await turn(false)
  const end = performance.now() + stretch
  while (performance.now() < end) await turn(true)
  return { ...ours.result(), parts: { plain: plain.result() } }
}
