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
/** A push that is alone waits for a sync of its own. One that takes less than this part of one has not waited. */
const leastOfSync = 0.25
const singles = 20

export async function lead(parameters: Parameters): Promise<Measured> {
  const folder = mkdtempSync(join(tmpdir(), `${parameters.name}-`))
  try {
    using queue = WorkQueue.open(new MappedFile(join(folder, 'jobs')), {
      jobs: parameters.jobs,
      durability: 'disk',
    })
    using file = new PlainFile(join(folder, 'plain'))
    return await measure(parameters, new Ours(queue, parameters), file)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function measure(parameters: Parameters, ours: Ours, file: PlainFile): Promise<Measured> {
  const { bytes, block = 256, inFlight = 1, warmUp, stretch } = parameters
  const message = payload(bytes)
  const measured = { ours: new Stopwatch(block), plain: new Stopwatch() }
  const alone = new Stopwatch()
  const turn = async ({ ours: times, plain }: typeof measured) => {
    for (let i = 0; i < blocksPerTurn; i++) {
      times.start()
      await ours.push(block, inFlight)
      times.stop()
      ours.takeAll()
    }
    for (let i = 0; i < syncsPerTurn; i++) {
      plain.start()
      file.write(message)
      plain.stop()
    }
  }
  const start = performance.now()
  const unused = { ours: new Stopwatch(), plain: new Stopwatch() }
  while (performance.now() - start < warmUp) await turn(unused)
  for (let i = 0; i < singles; i++) {
    alone.start()
    await ours.push(1, 1)
    alone.stop()
    ours.takeAll()
  }
  const end = performance.now() + stretch
  while (performance.now() < end) await turn(measured)
  const plain = measured.plain.result()
  if (alone.result().p50 < leastOfSync * plain.p50) {
    throw new Error('a push was confirmed before it can have been on the disk')
  }
  return { ...measured.ours.result(), parts: { plain } }
}

/** The queue, of both sides. */
class Ours {
  readonly #queue: WorkQueue
  readonly #content: Content
  readonly #bytes: number
  #pushed = 0
  #taken = 0

  constructor(queue: WorkQueue, parameters: Parameters) {
    this.#queue = queue
    this.#content = new Content(parameters)
    this.#bytes = parameters.bytes
  }

  async push(count: number, inFlight: number): Promise<void> {
    const pushes = new InFlight(inFlight)
    for (let i = 0; i < count; i++) {
      const job = payload(this.#bytes)
      this.#content.write(job, this.#pushed++)
      await pushes.add(this.#queue.push(job))
    }
    await pushes.all()
  }

  /** In order, and none is missing. */
  takeAll(): void {
    for (let job = this.#queue.tryTake(); job !== undefined; job = this.#queue.tryTake()) {
      if (sequenceOf(job.bytes) !== this.#taken++) throw new Error('a job came out of order')
      job.complete()
    }
    const missing = this.#pushed - this.#taken
    if (missing > 0) throw new Error(`${String(missing)} jobs are missing`)
  }
}

class PlainFile implements Disposable {
  readonly #descriptor: number

  constructor(path: string) {
    this.#descriptor = openSync(path, 'w')
  }

  write(bytes: Uint8Array): void {
    writeSync(this.#descriptor, bytes)
    fdatasyncSync(this.#descriptor)
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor)
  }
}
