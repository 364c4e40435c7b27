// Jobs that a loss of power does not take: pushed, many at a time, and confirmed when they are on the disk. In turn with what a
// program does that writes such a job and waits for the disk, one after the other.

import {
  closeSync,
  fdatasyncSync,
  fsyncSync,
  mkdtempSync,
  openSync,
  rmSync,
  writeSync,
} from 'node:fs'
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
const leastOfSync = 0.1
const plainBytes = 256 * 1024

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
  const stopwatches = () => ({
    ours: new Stopwatch(block),
    plain: new Stopwatch(),
    alone: new Stopwatch(),
  })
  const measured = stopwatches()
  const turn = async ({ ours: times, plain, alone }: typeof measured) => {
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
      alone.start()
      await ours.push(1, 1)
      alone.stop()
      ours.takeAll()
    }
  }
  const start = performance.now()
  const unused = stopwatches()
  while (performance.now() - start < warmUp) await turn(unused)
  const end = performance.now() + stretch
  while (performance.now() < end) await turn(measured)
  const plain = measured.plain.result()
  const alone = measured.alone.result()
  if (alone.p50 < leastOfSync * plain.p50) {
    const took = `${alone.p50.toFixed(0)} ns, and a sync ${plain.p50.toFixed(0)} ns`
    throw new Error(`a push was confirmed before it can have been on the disk: it took ${took}`)
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

/** Its size is there from the beginning, as that of the queue's file is: to sync one that grows takes longer. */
class PlainFile implements Disposable {
  readonly #descriptor: number
  #at = 0

  constructor(path: string) {
    this.#descriptor = openSync(path, 'w')
    writeSync(this.#descriptor, new Uint8Array(plainBytes).fill(1))
    fsyncSync(this.#descriptor)
  }

  write(bytes: Uint8Array): void {
    writeSync(this.#descriptor, bytes, 0, bytes.length, this.#at)
    fdatasyncSync(this.#descriptor)
    this.#at = (this.#at + bytes.length) % plainBytes
  }

  [Symbol.dispose](): void {
    closeSync(this.#descriptor)
  }
}
