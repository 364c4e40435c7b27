// What a stage makes of a job, where that is not what the job was.

import test, { type ExecutionContext } from 'ava'
import { Pipeline, type StageResult } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { text } from './open.js'
import { clear, two } from './pipelines.js'

const soon = { timeout: 15_000 }
const aTurn = () => new Promise((resolve) => setImmediate(resolve))
/** Of which two results are all that there is room for. */
const half = 4096
const tight = { bytes: 2 * half, deadLetters: { bytes: 0 }, jobs: 8 }

test('what a handler returns goes on: bytes in any container, text, part of what there was, nothing at all', async (t) => {
  const name = uniqueName(t)
  const results: Readonly<Record<string, (bytes: Uint8Array) => StageResult>> = {
    text: () => 'grüße',
    longer: () => Buffer.alloc(5000, 7),
    array: () => new Uint16Array([1, 2]),
    buffer: () => new ArrayBuffer(3),
    empty: () => '',
    part: (bytes) => bytes.subarray(0, 2),
    middle: (bytes) => bytes.subarray(1, 3),
    itself: (bytes) => bytes,
    nothing: () => undefined,
  }
  const found = new Map<string, string>()
  const etl = Pipeline.open(name)
    .stage('decode', (job) => results[job.id!]!(job.bytes))
    .stage('load', (job) => {
      found.set(job.id!, text(job.bytes))
    })
  clear(t, etl)
  const done = etl.work()
  for (const size of [10, 1000]) {
    for (const id of Object.keys(results))
      await etl.push('abcdefgh'.padEnd(size, '.'), { id, group: id })
    await etl.idle(soon)
    t.deepEqual(Object.fromEntries(found), {
      text: 'grüße',
      longer: '\u0007'.repeat(5000),
      array: '\u0001\0\u0002\0',
      buffer: '\0\0\0',
      empty: '',
      part: 'ab',
      middle: 'bc',
      itself: 'abcdefgh'.padEnd(size, '.'),
      nothing: 'abcdefgh'.padEnd(size, '.'),
    })
    found.clear()
  }
  t.like(etl.stats(), { dead: 0, bytesUsed: 0 })
  etl.close()
  await done
})

/** Of two stages, with results in the second one that leave no room for another one as long. */
async function full(t: ExecutionContext, name: string, length = half) {
  const etl = two(t, name, tight)
  await etl.pushBatch(['a', 'b'])
  for (const job of await etl.takeBatch('decode', 2)) await job.become(Buffer.alloc(length, 1))
  return etl
}

test('become: as that, when there is room, and settled by nothing else meanwhile', async (t) => {
  const etl = await full(t, uniqueName(t))
  await etl.push('third')
  const third = etl.tryTake('decode')!
  await t.throwsAsync(third.become(Buffer.alloc(half, 2), { timeout: 5 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /room for a result of stage 'decode' of pipeline/,
  })
  t.is(third.settled, undefined)
  const stop = new AbortController()
  const waits = t.throwsAsync(third.become(Buffer.alloc(half, 2), { signal: stop.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  for (const settle of ['complete', 'drop'] as const) {
    t.throws(
      () => {
        third[settle]()
      },
      { code: 'ERR_MILLRACE_RELEASED' },
    )
  }
  stop.abort()
  await waits
  t.is(text(third.bytes), 'third')
  const becomes = third.become(Buffer.alloc(half, 2), soon)
  const loaded = etl.tryTake('load')!
  t.is(loaded.bytes[half - 1], 1)
  loaded.complete()
  await becomes
  t.is(third.settled, 'completed')
  etl.tryTake('load')!.complete()
  const other = etl.tryTake('load')!
  t.is(other.bytes[half - 1], 2)
  await t.throwsAsync(other.become('more'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /last/,
  })
  other.complete()
  t.is(etl.stats().bytesUsed, 0)
})

test('a small result does not wait behind a large one, nor results behind pushes', async (t) => {
  const length = half - 512
  const etl = await full(t, uniqueName(t), length)
  await etl.pushBatch(['c', 'd', 'e', 'f', 'g', 'h'])
  t.is(etl.stats().free, 0)
  const push = etl.push('waits for a place', soon)
  const [large, small] = await etl.takeBatch('decode', 2)
  const becomes = large!.become(Buffer.alloc(length, 2), soon)
  await small!.become('small', soon)
  const last = await etl.takeBatch('load', 3, soon)
  t.deepEqual(
    last.map(({ length }) => length),
    [length, length, 5],
  )
  last[2]!.complete()
  await push
  last[0]!.complete()
  await becomes
  t.is(etl.tryTake('load')!.length, length)
})

test('a result that could never fit, or is none, is a failed attempt that says so', async (t) => {
  const name = uniqueName(t)
  const etl = Pipeline.open(name, { maxAttempts: 2 })
    .stage('decode', (job) => {
      const what = text(job.bytes)
      return what === 'large' ? Buffer.alloc(2 ** 20) : (Number(what) as never)
    })
    .stage('load')
  clear(t, etl)
  const done = etl.work()
  await etl.pushBatch(['large', '5'])
  await etl.idle(soon)
  const errors = etl.dead
    .peek()
    .map(({ bytes, error, attempts }) => [text(bytes), error, attempts] as const)
  t.is(errors.length, 2)
  t.regex(
    errors.find(([what]) => what === 'large')![1]!,
    /1048576 bytes .* too large for what comes after stage 'decode'/,
  )
  t.regex(
    errors.find(([what]) => what === '5')![1]!,
    /stage 'decode' .* must return nothing, bytes or text/,
  )
  t.true(errors.every(([, , attempts]) => attempts === 2))
  etl.close()
  await done
})

test('batch: a result for each job, or what is wrong with the list is told to all of them', async (t) => {
  const name = uniqueName(t)
  const etl = Pipeline.open(name, { maxAttempts: 1 })
    .stage(
      'decode',
      async (jobs) => {
        await aTurn()
        if (text(jobs[0]!.bytes) === 'few') return ['one']
        return jobs.map((job) => {
          const what = text(job.bytes)
          if (what === 'dropped') return Pipeline.drop
          if (what === 'own') job.reject('mine')
          return what === 'kept' ? undefined : `${what}!`.repeat(100)
        })
      },
      { batch: 10 },
    )
    .stage('load')
  clear(t, etl)
  await etl.pushBatch(['a', 'dropped', 'kept', 'own', 'b'])
  const done = etl.work()
  await until(() => etl.stats().stages.load.ready === 3)
  const loaded = await etl.takeBatch('load', 10)
  t.deepEqual(loaded.map((job) => text(job.bytes)).sort(), [
    'a!'.repeat(100),
    'b!'.repeat(100),
    'kept',
  ])
  for (const job of loaded) job.complete()
  await etl.pushBatch(['few', 'more'])
  await etl.idle(soon)
  const errors = etl.dead.peek().map(({ error }) => error)
  t.is(errors.length, 3)
  t.is(
    errors.filter((error) => error!.includes('returned 1 results for a batch of 2 jobs')).length,
    2,
  )
  etl.close()
  await done
})

for (const drainOnClose of [0, 15_000]) {
  const then = drainOnClose === 0 ? 'goes back' : 'has time to drain'
  test(`a result that waits for room when the pipeline closes ${then}`, async (t) => {
    const name = uniqueName(t)
    const other = await full(t, name)
    let called = 0
    const etl = Pipeline.open(name, tight)
      .stage('decode', () => {
        called++
        return Buffer.alloc(half)
      })
      .stage('load')
    await other.push('third')
    const done = etl.work({ drainOnClose })
    await until(() => called === 1)
    await aTurn()
    const closing = etl[Symbol.asyncDispose]()
    t.true(etl.closed)
    await aTurn()
    other.tryTake('load')!.complete()
    await closing
    await done
    t.like(
      other.stats().stages,
      drainOnClose === 0
        ? { decode: { ready: 1 }, load: { ready: 1 } }
        : { decode: { ready: 0 }, load: { ready: 2 } },
    )
  })
}

test('batch: a result that is the bytes of another job is what those were, though that one has gone on', async (t) => {
  const long = (letter: string) => letter.repeat(1000)
  const etl = Pipeline.open(uniqueName(t), tight)
    .stage('decode', (jobs) => [undefined, long('y'), jobs[0]!.bytes, undefined], { batch: 4 })
    .stage('load')
  clear(t, etl)
  await etl.push('in front')
  await etl.tryTake('decode')!.become(Buffer.alloc(half))
  const inFront = etl.tryTake('load')!
  await etl.pushBatch(['a', 'b', 'c', 'd'].map(long))
  const done = etl.work()
  const [first, last] = [await etl.takeOne('load', soon), await etl.takeOne('load', soon)]
  t.deepEqual([text(first.bytes), text(last.bytes)], [long('a'), long('d')])
  // Where it was comes what the second one has become, and then there is room for the third.
  first.complete()
  t.is(text((await etl.takeOne('load', soon)).bytes), long('y'))
  last.complete()
  inFront.complete()
  t.is(text((await etl.takeOne('load', soon)).bytes), long('a'))
  etl.close()
  await done
})

test('what pretends to be bytes is a failed attempt, and the next job is worked on', async (t) => {
  const pretenders = [
    new Proxy(new Uint8Array(3), {}),
    Object.create(Uint8Array.prototype) as Uint8Array,
  ]
  const etl = Pipeline.open(uniqueName(t), { maxAttempts: 1 })
    .stage('decode', () => pretenders.shift() ?? 'bytes')
    .stage('load')
  clear(t, etl)
  await etl.pushBatch(['a', 'b', 'c'])
  const done = etl.work()
  const job = await etl.takeOne('load', soon)
  t.is(text(job.bytes), 'bytes')
  job.complete()
  t.is(etl.stats().dead, 2)
  etl.close()
  await done
})

test('ordered: who is done first waits for who came first, but not for one that ends', async (t) => {
  const etl = Pipeline.open(uniqueName(t)).stage('decode', { ordered: true }).stage('load')
  clear(t, etl)
  await etl.pushBatch(['a', 'b', 'c', 'd'])
  const jobs = await etl.takeBatch('decode', 4)
  const loaded = () => {
    const found: string[] = []
    for (let job = etl.tryTake('load'); job !== undefined; job = etl.tryTake('load')) {
      found.push(text(job.bytes))
      job.complete()
    }
    return found
  }
  jobs[3]!.complete()
  jobs[2]!.complete()
  t.like(etl.stats().stages, { decode: { inHand: 2, held: 2 }, load: { ready: 0 } })
  t.deepEqual(loaded(), [])
  jobs[0]!.complete()
  t.deepEqual(loaded(), ['a'])
  jobs[1]!.reject('it ends here')
  t.deepEqual(loaded(), ['c', 'd'])
  etl.dead.purge()
})
