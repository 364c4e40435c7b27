// Pipelines whose workers are killed: every job goes through every stage, and comes out once, whole, and in order where that is
// promised.

import test, { type ExecutionContext } from 'ava'
import { Pipeline } from 'millrace/work'

import { actor, type Actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { text } from './open.js'
import { clear } from './pipelines.js'

const soon = { timeout: 20_000 }

/** Works the first two stages in another process, which is kept busy by one job now and then. */
async function worker(t: ExecutionContext, name: string, ordered: boolean): Promise<Actor> {
  const other = actor(t)
  await other.do(
    ({ Pipeline, own }, name, ordered) => {
      const aWhile = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
      const pipeline = Pipeline.open(name)
        .stage(
          'double',
          async (job) => {
            const text = job.copy().toString()
            await aWhile()
            return `${text.padEnd(200 + (Number(text) % 100), ' ')}:${text}`
          },
          { workers: 4, ordered },
        )
        .stage(
          'mark',
          async (job) => {
            if (job.length % 7 === 0) await aWhile()
            // Who is killed after this does the same again.
            job.bytes[job.bytes.indexOf(58)] = 59
          },
          { workers: 4, ordered },
        )
        .stage('collect')
      own['pipeline'] = pipeline
      own.pending = pipeline.work()
    },
    name,
    ordered,
  )
  return other
}

async function through(t: ExecutionContext, ordered: boolean): Promise<number[]> {
  const name = uniqueName(t)
  const count = 1500
  const pipeline = Pipeline.open(name, { jobs: 256, maxAttempts: Infinity })
    .stage('double', { ordered })
    .stage('mark', { ordered })
    .stage('collect')
  clear(t, pipeline)
  const pushing = pipeline.from(
    (function* () {
      for (let i = 0; i < count; i++) yield String(i)
    })(),
  )
  const found: number[] = []
  const collecting = (async () => {
    while (found.length < count) {
      const job = await pipeline.takeOne('collect', soon)
      const [padded, number] = text(job.bytes).split(';')
      t.is(padded?.trim(), number)
      found.push(Number(number))
      job.complete()
    }
  })()
  let kills = 0
  while (found.length < count - 200) {
    const victim = await worker(t, name, ordered)
    const before = found.length
    await until(() => found.length >= Math.min(before + 100, count - 200), 20_000)
    await victim.kill()
    kills++
  }
  const steady = await worker(t, name, ordered)
  await Promise.all([pushing, collecting])
  await pipeline.idle(soon)
  t.true(kills > 3, `${String(kills)} kills`)
  t.is(pipeline.stats().free, pipeline.stats().ready + 256)
  t.is(pipeline.stats().deadLettered, 0)
  await steady.kill()
  return found
}

test('promise: work – a job moves on by one step: killed workers lose none, double none, and leave none half', async (t) => {
  const found = await through(t, false)
  t.deepEqual(
    found.sort((a, b) => a - b),
    found.map((_, at) => at),
  )
})

test('promise: work – jobs leave an ordered stage in their order, whoever is killed', async (t) => {
  const found = await through(t, true)
  t.deepEqual(
    found,
    found.map((_, at) => at),
  )
})

test('a killed worker gives its jobs back to the stage that it had them from', async (t) => {
  const name = uniqueName(t)
  const pipeline = Pipeline.open(name).stage('a').stage('b').stage('c')
  clear(t, pipeline)
  await pipeline.pushBatch(['at a', 'at b', 'at c'])
  for (const target of ['at c', 'at b']) {
    // The last pushed goes furthest.
    const jobs = await pipeline.takeBatch('a', 3, soon)
    for (const job of jobs) {
      if (text(job.bytes) === target) job.complete()
      else job.release()
    }
  }
  const furthest = await pipeline.takeOne('b', soon)
  t.is(text(furthest.bytes), 'at c')
  furthest.complete()
  const victim = actor(t)
  const held = await victim.do(async ({ Pipeline, own }, name) => {
    const there = Pipeline.open(name).stage('a').stage('b').stage('c')
    own['pipeline'] = there
    const found: string[] = []
    for (const stage of ['a', 'b', 'c'] as const) {
      const job = await there.takeOne(stage)
      own[stage] = job
      found.push(`${stage} ${job.copy().toString()}`)
    }
    return found
  }, name)
  t.deepEqual(held, ['a at a', 'b at b', 'c at c'])
  await victim.kill()
  for (const stage of ['a', 'b', 'c'] as const) {
    const job = await pipeline.takeOne(stage, soon)
    t.is(text(job.bytes), `at ${stage}`)
    t.is(job.attempt, 2)
    job.drop()
  }
  t.is(pipeline.stats().givenBack, 3)
})

test('a batch whose worker was killed: each of its jobs is tried again alone', async (t) => {
  const name = uniqueName(t)
  const batches: string[] = []
  const pipeline = Pipeline.open(name).stage(
    'only',
    (jobs) => {
      batches.push(jobs.map((job) => `${text(job.bytes)} ${String(job.attempt)}`).join())
    },
    { batch: 8 },
  )
  clear(t, pipeline)
  await pipeline.pushBatch(['a', 'b', 'c'])
  const victim = actor(t)
  await victim.do(async ({ Pipeline, own }, name) => {
    const there = Pipeline.open(name)
    own['pipeline'] = there
    await new Promise<void>((resolve) => {
      const working = there.stage(
        'only',
        (jobs) => {
          // The third one was not looked at, and has lost no attempt.
          own['seen'] = [jobs[0]!.bytes.length, jobs[1]!.bytes.length]
          resolve()
          return new Promise<void>(() => undefined)
        },
        { batch: 8 },
      )
      own.pending = working.work()
    })
  }, name)
  await victim.kill()
  const done = pipeline.work()
  await pipeline.idle(soon)
  pipeline.close()
  await done
  t.deepEqual(batches, ['a 2', 'b 2', 'c 1'])
})

test("in 'exit' listeners nothing of it is open any more", async (t) => {
  const name = uniqueName(t)
  const pipeline = Pipeline.open(name).stage('a').stage('b')
  clear(t, pipeline)
  await pipeline.push('job')
  const other = actor(t)
  await other.do(async ({ Pipeline, own }, name) => {
    const there = Pipeline.open(name).stage('a').stage('b')
    own['pipeline'] = there
    const job = await there.takeOne('a')
    process.on('exit', () => {
      const code = (call: () => unknown) => {
        try {
          call()
          return 'nothing'
        } catch (error) {
          return (error as { code?: string }).code
        }
      }
      const codes = [
        code(() => {
          job.complete()
        }),
        code(() => there.tryTake('a')),
        code(() => there.tryPush('late')),
        code(() => there.stats()),
      ]
      console.log(JSON.stringify([there.closed, ...codes]))
    })
  }, name)
  other.start(() => {
    process.exit(0)
  })
  const closed = 'ERR_MILLRACE_CLOSED'
  await other.run.printed(JSON.stringify([true, closed, closed, closed, closed]))
  const again = await pipeline.takeOne('a', soon)
  t.is(again.attempt, 2)
})
