// The oldest job of a pipeline, where all hands are full of younger ones that wait for it.

import test from 'ava'
import { Pipeline } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { clear } from './pipelines.js'

const KiB = 1024

for (const batch of [undefined, 4]) {
  const how = batch === undefined ? 'one at a time' : `${String(batch)} at a time`
  test(`a stage whose workers all wait for room goes on with the job for which all wait: ${how}`, async (t) => {
    const name = uniqueName(t)
    const result = (first: number): Buffer => Buffer.alloc(7 * KiB, first)
    const etl = Pipeline.open(name, { bytes: 64 * KiB, deadLetters: { bytes: 0 } }).stage('sort')
    const made =
      batch === undefined
        ? etl.stage('make', (job) => result(job.bytes[0]!), { ordered: true })
        : etl.stage('make', (jobs) => jobs.map((job) => result(job.bytes[0]!)), {
            batch,
            ordered: true,
          })
    const all = made.stage('use')
    clear(t, all)
    const jobs = Array.from({ length: 24 }, (_, number) => Uint8Array.of(number))
    await all.pushBatch(jobs)
    const oldest = all.tryTake('sort')!
    for (let job = all.tryTake('sort'); job !== undefined; job = all.tryTake('sort')) job.complete()
    const done = all.work('make')
    // Its results fill what there is for those who are not the first, and the others wait in hand.
    await until(() => {
      const { held, inHand } = all.stats().stages.make
      return held > 3 && inHand > 0
    })
    oldest.complete()
    const order: number[] = []
    for await (const job of all.take('use', { signal: AbortSignal.timeout(20_000) })) {
      order.push(job.bytes[0]!)
      t.is(job.bytes.length, 7 * KiB)
      job.complete()
      if (order.length === jobs.length) break
    }
    t.deepEqual(
      order,
      jobs.map(([number]) => number!),
    )
    all.close()
    await done
  })
}
