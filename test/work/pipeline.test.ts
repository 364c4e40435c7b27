// A pipeline in one process: what a stage makes of a job goes to the next one, and what that is.

import test from 'ava'
import { Pipeline, WorkQueue, type StageJob } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { text } from './open.js'
import { clear, two } from './pipelines.js'

const soon = { timeout: 15_000 }
const aTurn = () => new Promise((resolve) => setImmediate(resolve))

test('a job goes from stage to stage in its slot, and the last one ends it', async (t) => {
  const etl = two(t, uniqueName(t))
  t.deepEqual(etl.stages, ['decode', 'load'])
  t.deepEqual(await etl.push('one', { id: 'a' }), { duplicate: false })
  t.is(etl.tryTake('load'), undefined)
  const decoded = etl.tryTake('decode')!
  t.is(text(decoded.bytes), 'one')
  t.like(etl.stats().stages, { decode: { ready: 0, inHand: 1 }, load: { ready: 0, inHand: 0 } })
  decoded.bytes.set(Buffer.from('two'))
  decoded.complete()
  t.is(decoded.settled, 'completed')
  t.like(etl.stats().stages, { decode: { inHand: 0 }, load: { ready: 1 } })
  const loaded = await etl.takeOne('load', soon)
  t.is(text(loaded.bytes), 'two')
  t.is(loaded.id, 'a')
  t.is(loaded.attempt, 1)
  loaded.complete()
  await etl.idle(soon)
  t.like(etl.stats(), { ready: 0, leased: 0, pushed: 1, completed: 2 })
})

test('work: handlers of all stages of this process, until it closes', async (t) => {
  const name = uniqueName(t)
  const seen: string[] = []
  const etl = Pipeline.open(name)
    .stage(
      'decode',
      async (job) => {
        await aTurn()
        job.bytes[0] = job.bytes[0]! - 32
      },
      { workers: 3 },
    )
    .stage('load', (job) => {
      seen.push(text(job.bytes))
    })
  clear(t, etl)
  const done = etl.work()
  t.is(await etl.from(['ab', 'cd', 'ef', 'gh']), 4)
  await etl.idle(soon)
  etl.close()
  await done
  t.deepEqual(seen.sort(), ['Ab', 'Cd', 'Ef', 'Gh'])
})

test('a job that a handler drops, or settles itself, ends or goes where that says', async (t) => {
  const name = uniqueName(t)
  const loaded: string[] = []
  const etl = Pipeline.open(name, { maxAttempts: 1 })
    .stage('decode', (job) => {
      const what = text(job.bytes)
      if (what === 'drop') return Pipeline.drop
      if (what === 'dropped') job.drop()
      if (what === 'rejected') job.reject('no')
      if (what === 'thrown') throw new Error('it cannot be')
      if (what === 'done') job.complete()
      if (what === 'itself') return job.bytes
      return undefined
    })
    .stage('load', (job) => {
      loaded.push(text(job.bytes))
      return 'of no interest'
    })
  clear(t, etl)
  const done = etl.work()
  await etl.pushBatch(['drop', 'dropped', 'rejected', 'thrown', 'done', 'itself', 'plain'])
  await etl.idle(soon)
  etl.close()
  await done
  t.deepEqual(loaded, ['done', 'itself', 'plain'])
  using again = Pipeline.attach(name)
  t.deepEqual(again.stages, ['decode', 'load'])
  t.deepEqual(
    again.dead.peek().map(({ stage, reason, error, bytes }) => [stage, reason, error, text(bytes)]),
    [
      ['decode', 'rejected', 'no', 'rejected'],
      ['decode', 'attempts', 'it cannot be', 'thrown'],
    ],
  )
  again.dead.purge()
})

test('a dead letter knows its stage, and is sent back to it', (t) => {
  const etl = two(t, uniqueName(t))
  etl.tryPush('one')
  etl.tryPush('two')
  etl.tryTake('decode')!.complete()
  etl.tryTake('load')!.reject('in load')
  etl.tryTake('decode')!.reject('in decode')
  t.deepEqual(
    etl.dead
      .peek()
      .map(({ stage }) => stage)
      .sort(),
    ['decode', 'load'],
  )
  t.like(etl.stats().stages, { decode: { dead: 1 }, load: { dead: 1 } })
  t.is(etl.dead.redrive({ filter: ({ stage }) => stage === 'load' }), 1)
  t.is(etl.tryTake('decode'), undefined)
  const job = etl.tryTake('load')!
  t.is(text(job.bytes), 'one')
  job.complete()
  t.is(etl.dead.purge(), 1)
})

test('take: an iteration of a stage; what it does not settle is tried again there', async (t) => {
  const etl = two(t, uniqueName(t), { maxAttempts: 2 })
  await etl.pushBatch(['a', 'b'])
  for await (const job of etl.take('decode')) {
    job.complete()
    if (etl.stats().stages.decode.ready === 0) break
  }
  const seen: string[] = []
  for await (const job of etl.take('load')) {
    seen.push(`${text(job.bytes)} ${String(job.attempt)}`)
    if (job.attempt === 1) job.retry()
    else job.complete()
    if (seen.length === 4) break
  }
  t.deepEqual(seen.sort(), ['a 1', 'a 2', 'b 1', 'b 2'])
})

test('batch: what is there together, and the handler need not return anything', async (t) => {
  const name = uniqueName(t)
  const batches: string[][] = []
  const etl = Pipeline.open(name)
    .stage('decode')
    .stage(
      'load',
      async (jobs: StageJob[]) => {
        batches.push(jobs.map((job) => text(job.bytes)))
        await aTurn()
      },
      { batch: 4 },
    )
  clear(t, etl)
  await etl.pushBatch(['a', 'b', 'c', 'd', 'e', 'f'])
  for (let i = 0; i < 6; i++) etl.tryTake('decode')!.complete()
  const done = etl.work('load')
  await etl.idle(soon)
  etl.close()
  await done
  t.deepEqual(batches, [
    ['a', 'b', 'c', 'd'],
    ['e', 'f'],
  ])
})

test('batch: a job that has failed is tried again alone, and the others are done', async (t) => {
  const name = uniqueName(t)
  const batches: string[][] = []
  const etl = Pipeline.open(name, { maxAttempts: 3 }).stage(
    'load',
    (jobs) => {
      batches.push(jobs.map((job) => text(job.bytes)))
      if (jobs.some((job) => text(job.bytes) === 'bad')) throw new Error('there is a bad one')
    },
    { batch: 8 },
  )
  clear(t, etl)
  await etl.pushBatch(['a', 'bad', 'b'])
  const done = etl.work()
  await etl.idle(soon)
  t.deepEqual(batches, [['a', 'bad', 'b'], ['a'], ['bad'], ['b'], ['bad']])
  t.deepEqual(
    etl.dead.peek().map(({ bytes, attempts }) => [text(bytes), attempts]),
    [['bad', 3]],
  )
  etl.dead.purge()
  etl.close()
  await done
})

test('definitions that cannot be are refused before anything is opened', async (t) => {
  const name = uniqueName(t)
  const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  t.throws(() => Pipeline.open(name).tryPush('x'), { ...invalid, message: /has no stages/ })
  await t.throwsAsync(Pipeline.open(name).push('x'), invalid)
  await t.throwsAsync(Pipeline.open(name).stage('a').stage('b').work(), {
    ...invalid,
    message: /no stage .* has a handler here/,
  })
  t.throws(() => Pipeline.open(name).stage('a').stage('a'), { ...invalid, message: /already/ })
  t.throws(() => Pipeline.open(name).stage(''), invalid)
  t.throws(() => Pipeline.open(name).stage('ö'.repeat(32)), { ...invalid, message: /63 bytes/ })
  t.notThrows(() => Pipeline.open(name).stage('x'.repeat(63)))
  t.throws(() => Pipeline.open(name).stage(5 as never), invalid)
  t.throws(() => Pipeline.open(name).stage('a', 'handler' as never), invalid)
  t.throws(() => Pipeline.open(name).stage('a', undefined as never, {}), invalid)
  for (const options of [{ workers: 0 }, { batch: 0 }, { ordered: 1 }, { many: 1 }]) {
    t.throws(() => Pipeline.open(name).stage('a', options as never), invalid)
  }
  t.throws(() => Pipeline.open(name).stage('a').stage('b', { ordered: true }).tryPush('x'), {
    ...invalid,
    message: /'b' of pipeline .* is the last one/,
  })
  let many = Pipeline.open(name) as Pipeline<string>
  for (let i = 0; i < 16; i++) many = many.stage(String(i))
  t.throws(() => many.stage('one more'), { ...invalid, message: /16 stages/ })
  t.throws(() => Pipeline.open(name, { durability: 'disk' as never }), {
    ...invalid,
    message: /durability `disk`/,
  })
  const etl = two(t, name)
  etl.tryTake('load')
  t.throws(() => etl.stage('c'), { ...invalid, message: /stages are fixed/ })
  t.throws(() => etl.take('c' as never), {
    ...invalid,
    message: /has no stage "c"; it has: decode, load/,
  })
  await t.throwsAsync(etl.work('load'), { ...invalid, message: /'load' .* no handler here/ })
})

test('what is there is compared with what is said, and both are told', (t) => {
  const name = uniqueName(t)
  const etl = two(t, name)
  etl.tryPush('x')
  const geometry = { code: 'ERR_MILLRACE_GEOMETRY' }
  t.throws(() => Pipeline.open(name).stage('load').stage('decode').tryPush('x'), {
    ...geometry,
    message: /decode, load.*load, decode/,
  })
  t.throws(
    () => Pipeline.open(name).stage('decode', { ordered: true }).stage('load').tryPush('x'),
    {
      ...geometry,
      message: /ordered/,
    },
  )
  t.throws(() => WorkQueue.open(name), { ...geometry, message: /Pipeline\.open/ })
  t.throws(
    () => Pipeline.open(name, { jobs: 5 }).stage('decode').stage('load').tryPush('x'),
    geometry,
  )
  etl.tryTake('decode')!.drop()
  etl.close()
  const queue = WorkQueue.open(name)
  t.teardown(() => {
    queue.close()
  })
  t.throws(() => Pipeline.open(name).stage('decode').tryPush('x'), {
    ...geometry,
    message: /WorkQueue\.open/,
  })
  t.throws(() => Pipeline.attach(name), {
    code: 'ERR_MILLRACE_NOT_FOUND',
    message: /WorkQueue\.open/,
  })
})

test('close ends what is pending, and gives back what is in hand', async (t) => {
  const name = uniqueName(t)
  const etl = two(t, name)
  await etl.push('one')
  const job = await etl.takeOne('decode')
  const closed = { code: 'ERR_MILLRACE_CLOSED' }
  const pending = [
    etl.takeOne('decode'),
    etl.takeOne('load'),
    etl.takeBatch('load', 3),
    etl.idle(),
    etl.from(
      (async function* () {
        await new Promise(() => undefined)
        yield 'never'
      })(),
    ),
  ].map((promise) => t.throwsAsync(promise as Promise<unknown>, closed))
  const loop = (async () => {
    for await (const _ of etl.take('load')) t.fail()
  })()
  await aTurn()
  etl.close()
  t.true(etl.closed)
  await Promise.all(pending)
  await loop
  t.true(job.signal.aborted)
  t.throws(() => etl.tryPush('x'), closed)
  t.throws(() => etl.stage('c'), closed)
  await t.throwsAsync(etl.push('x'), closed)
  const again = two(t, name)
  t.is(again.tryTake('decode')!.attempt, 2)
})

test('a stage that closes before its handler has its job costs that no attempt', async (t) => {
  const name = uniqueName(t)
  const etl = two(t, name)
  await etl.push('job')
  const worker = Pipeline.open(name)
    .stage('decode', () => {
      t.fail()
    })
    .stage('load')
  const working = worker.work('decode')
  t.is(etl.stats().leased, 1)
  worker.close()
  await working
  const job = etl.tryTake('decode')!
  t.is(job.attempt, 1)
  t.is(job.acquired, 2)
  job.drop()
})

test('work: handlers of all stages that wait for the end of their pipeline do not wait for each other', async (t) => {
  let asked = 0
  const closes = async () => {
    asked++
    await until(() => asked === 2)
    await etl[Symbol.asyncDispose]()
  }
  const etl = Pipeline.open(uniqueName(t))
    .stage('decode', (job) => (text(job.bytes) === 'on' ? undefined : closes()))
    .stage('load', closes)
  clear(t, etl)
  const done = etl.work({ drainOnClose: Infinity })
  await etl.push('on')
  await until(() => asked === 1)
  await etl.push('stays')
  await done
  t.true(etl.closed)
})

test('a pipeline that was unlinked is not mixed with the next one of its name', async (t) => {
  const name = uniqueName(t)
  const etl = two(t, name)
  await etl.push('old')
  t.true(Pipeline.unlink(name))
  const other = two(t, name)
  await other.push('new')
  t.throws(() => etl.tryTake('load'), { code: 'ERR_MILLRACE_NOT_FOUND', message: /unlinked/ })
  t.is(text(etl.tryTake('decode')!.bytes), 'old')
})

test('work: a signal takes no more jobs and rejects; drainOnClose lets handlers finish', async (t) => {
  const name = uniqueName(t)
  const finish: (() => void)[] = []
  const etl = Pipeline.open(name)
    .stage('decode', () => new Promise<void>((resolve) => finish.push(resolve)))
    .stage('load')
  clear(t, etl)
  const stop = new AbortController()
  const aborted = etl.work('decode', { signal: stop.signal })
  await etl.pushBatch(['a', 'b'])
  await until(() => finish.length === 1)
  stop.abort()
  finish.pop()!()
  await t.throwsAsync(aborted, { code: 'ERR_MILLRACE_ABORTED' })
  t.like(etl.stats().stages, { decode: { ready: 1 }, load: { ready: 1 } })
  const drained = etl.work({ drainOnClose: 15_000 })
  await until(() => finish.length === 1)
  const closing = etl[Symbol.asyncDispose]()
  await aTurn()
  finish.pop()!()
  await closing
  await drained
  using again = Pipeline.attach(name)
  t.like(again.stats().stages, { decode: { ready: 0 }, load: { ready: 2 } })
  for await (const job of again.take('load')) {
    job.complete()
    if (again.stats().ready === 0) break
  }
})
