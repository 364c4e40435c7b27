// Pipelines in programs that do what nobody should, or that do very much at once.

import { once } from 'node:events'
import test from 'ava'
import { Pipeline } from 'millrace/work'

import { actor } from '../support/actor.js'
import { cut } from '../support/cut.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { text, warningsOf } from './open.js'
import { clear, two } from './pipelines.js'

const soon = { timeout: 15_000 }
const aTurn = () => new Promise((resolve) => setImmediate(resolve))

/** With results in the second stage that leave no room for more. */
async function full(etl: Pipeline<'decode' | 'load'>): Promise<void> {
  await etl.pushBatch(['a', 'b'])
  for (const job of await etl.takeBatch('decode', 2)) await job.become(Buffer.alloc(4096))
}

test('a result whose memory goes away while it waits for room is a failed attempt, not an empty result', async (t) => {
  const etl = two(t, uniqueName(t), { bytes: 8192, deadLetters: { bytes: 0 } })
  await full(etl)
  await etl.push('c')
  const job = etl.tryTake('decode')!
  const bytes = Buffer.from(new ArrayBuffer(3000))
  const waits = t.throwsAsync(job.become(bytes, soon), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /the result of a job is .* gone/,
  })
  structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
  etl.tryTake('load')!.complete()
  await waits
  t.is(job.settled, undefined)
  job.drop()
})

test('a stage that loses its job while the result waits hands nothing on', async (t) => {
  const options = { bytes: 8192, deadLetters: { bytes: 0 }, leaseTimeout: 50 }
  const etl = two(t, uniqueName(t), options)
  const other = two(t, etl.name)
  await full(etl)
  await etl.push('c')
  const job = etl.tryTake('decode')!
  const waits = t.throwsAsync(job.become(Buffer.alloc(3000), soon), {
    code: 'ERR_MILLRACE_LEASE_LOST',
  })
  const taken = await other.takeOne('decode', soon)
  taken.extend(60_000)
  t.is(text(taken.bytes), 'c')
  const loaded = await other.takeOne('load', soon)
  loaded.complete()
  await waits
  taken.drop()
  etl.tryTake('load')!.complete()
  t.is(etl.tryTake('load'), undefined)
})

test('many tasks of one pipeline at once: each has one job, and each result finds its room', async (t) => {
  const etl = two(t, uniqueName(t), { bytes: 16_384, deadLetters: { bytes: 0 } })
  const count = 300
  const first = Promise.all(
    Array.from({ length: count }, async () => {
      const job = await etl.takeOne('decode', soon)
      const what = text(job.bytes)
      await job.become(`${what}!`.padEnd(600 + (Number(what) % 7) * 100), soon)
    }),
  )
  const found: string[] = []
  const last = Promise.all(
    Array.from({ length: count }, async () => {
      const job = await etl.takeOne('load', soon)
      found.push(text(job.bytes).trim())
      await aTurn()
      job.complete()
    }),
  )
  const pushes = Promise.all(Array.from({ length: count }, (_, i) => etl.push(String(i), soon)))
  await Promise.all([first, last, pushes])
  t.is(new Set(found).size, count)
  t.is(etl.stats().bytesUsed, 0)
})

test('a job that nobody settles at its stage is tried again there, and the process is warned', async (t) => {
  const etl = two(t, uniqueName(t))
  const warnings = warningsOf(t, 'MILLRACE_JOB_UNSETTLED', etl)
  etl.tryPush('job')
  {
    using job = etl.tryTake('decode')!
    t.is(job.length, 3)
  }
  await until(() => warnings.length === 1)
  t.regex(warnings[0]!, /a job of stage 'decode' of pipeline/)
  t.is(etl.stats().unsettled, 1)
  const again = etl.tryTake('decode')!
  t.is(again.attempt, 2)
  again.complete()
  t.throws(
    () => {
      again.complete()
    },
    {
      code: 'ERR_MILLRACE_RELEASED',
      message: /this job of stage 'decode' of pipeline .* was completed before/,
    },
  )
})

test('idle: what a killed worker had in hand counts until somebody has done it', async (t) => {
  const name = uniqueName(t)
  const etl = two(t, name)
  etl.tryPush('job')
  const victim = actor(t)
  await victim.do(async ({ Pipeline, own }, name) => {
    const there = Pipeline.open(name).stage('decode').stage('load')
    own['there'] = there
    own['job'] = await there.takeOne('decode')
  }, name)
  let isIdle = false
  const idle = etl.idle(soon).then(() => {
    isIdle = true
  })
  await victim.kill()
  await until(() => etl.stats().stages.decode.ready === 1)
  t.false(isIdle)
  etl.tryTake('decode')!.complete()
  await aTurn()
  t.false(isIdle)
  etl.tryTake('load')!.complete()
  await idle
  etl.tryPush('later', { delay: 100_000 })
  await t.throwsAsync(etl.idle({ timeout: 5 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /pipeline .* stats\(\) tells/,
  })
  const stop = new AbortController()
  const aborted = t.throwsAsync(etl.idle({ signal: stop.signal }), { code: 'ERR_MILLRACE_ABORTED' })
  stop.abort()
  await aborted
  t.true(Pipeline.unlink(name))
})

test.serial(
  'timers that tests have put in the place of the real ones reach nothing of it',
  async (t) => {
    const etl = Pipeline.open(uniqueName(t))
      .stage('decode', (job) => `${text(job.bytes)}!`)
      .stage('load', () => undefined)
    clear(t, etl)
    const real = { setTimeout, setImmediate }
    globalThis.setTimeout = (() => ({})) as never
    globalThis.setImmediate = (() => ({})) as never
    try {
      const done = etl.work()
      await etl.push('delayed', { delay: 20 })
      await etl.idle(soon)
      etl.close()
      await done
      t.pass()
    } finally {
      Object.assign(globalThis, real)
    }
  },
)

test('memory that was cut off is found by whoever looks, and closes the pipeline', async (t) => {
  const etl = two(t, uniqueName(t))
  etl.tryPush('job')
  const job = etl.tryTake('decode')!
  const aborted = once(job.signal, 'abort')
  cut(etl.path)
  t.throws(() => etl.stats(), { code: 'ERR_MILLRACE_CORRUPT' })
  await aborted
  t.true(etl.closed)
  await t.throwsAsync(etl.push('x'), { code: 'ERR_MILLRACE_CLOSED' })
  Pipeline.unlink(etl.name)
})
