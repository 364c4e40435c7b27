// What a work queue promises whoever pushes and takes.

import { spawnSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import test from 'ava'
import { MappedFile, NamelessSegment } from 'millrace'
import { WorkQueue, type WorkQueueOptions } from 'millrace/work'

import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { open, text, texts } from './open.js'

const soon = { timeout: 15_000 }

test('what one pushes another takes, with all that goes with it', async (t) => {
  const name = uniqueName(t)
  const pusher = open(t, name, { jobs: 8 })
  const worker = open(t, `shm://${name}`)
  t.is(worker.jobs, 8)
  const before = Date.now()
  t.deepEqual(await pusher.push('résumé', { id: 'cv-1', group: 'u1', priority: 7 }), {
    duplicate: false,
  })
  t.is(pusher.size, 1)
  const job = worker.tryTake()!
  t.is(text(job.bytes), 'résumé')
  t.deepEqual(
    [job.id, job.group, job.priority, job.attempt, job.acquired, job.length, job.settled],
    ['cv-1', 'u1', 7, 1, 1, 8, undefined],
  )
  t.true(Math.abs(job.pushedAt.getTime() - before) < 5_000)
  t.is(typeof job.token, 'bigint')
  t.is(pusher.size, 0)
  t.is(pusher.stats().leased, 1)
  const kept = job.copy()
  job.complete()
  t.is(job.settled, 'completed')
  t.is(kept.toString(), 'résumé')
  t.is(worker.tryTake(), undefined)
  const { free, leased, handles } = pusher.stats()
  t.deepEqual([free, leased, handles], [8, 0, 2])
})

test('bytes in any container, from nothing to the limit', async (t) => {
  const queue = open(t, uniqueName(t), { jobs: 4, bytes: 8192 })
  const large = Buffer.alloc(queue.maxBytes, 'z')
  const numbers = new Float64Array([1, 2])
  const payloads: readonly (readonly [string | Uint8Array | ArrayBuffer | Float64Array, Buffer])[] =
    [
      ['', Buffer.alloc(0)],
      [new Uint8Array(0), Buffer.alloc(0)],
      [large, large],
      [numbers, Buffer.from(numbers.buffer)],
      [numbers.buffer, Buffer.from(numbers.buffer)],
      ['text', Buffer.from('text')],
    ]
  for (const [payload, wanted] of payloads) {
    t.true(queue.tryPush(payload))
    t.deepEqual(queue.tryReceive(), wanted)
    await queue.push(payload)
    t.deepEqual(await queue.receive(), wanted)
  }
  await t.throwsAsync(queue.push(Buffer.alloc(queue.maxBytes + 1)), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: new RegExp(String(queue.maxBytes)),
  })
  t.throws(() => queue.tryPush(Buffer.alloc(queue.maxBytes + 1)), {
    code: 'ERR_MILLRACE_TOO_LARGE',
  })
  await t.throwsAsync(queue.pushBatch(['fits', Buffer.alloc(queue.maxBytes + 1)]), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: /^payloads\[1\]: a job of \d+ bytes/,
  })
  await t.throwsAsync(queue.pushBatch(['fits', 'too', 3 as unknown as string]), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /^payloads\[2\]: a payload must be a string, .* not 3/,
  })
  await t.throwsAsync(queue.pushBatch('fits' as unknown as string[]), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /^payloads must be an array of payloads, not "fits"/,
  })
  t.is(queue.size, 0, 'a batch is judged before its first part is pushed')
})

test('the highest priority first, and within one the oldest', (t) => {
  const queue = open(t, uniqueName(t))
  for (const [payload, priority] of [
    ['a', 0],
    ['b', 31],
    ['c', 5],
    ['d', 31],
    ['e', 0],
  ] as const) {
    t.true(queue.tryPush(payload, { priority }))
  }
  t.deepEqual(texts(queue), ['b', 'd', 'c', 'a', 'e'])
})

test('a job that is released, retried or delayed has its old place when it comes back', async (t) => {
  const queue = open(t, uniqueName(t))
  await queue.pushBatch(['1', '2', '3', '4'])
  const [first, second] = [queue.tryTake()!, queue.tryTake()!]
  second.retry()
  first.release({ delay: 20 })
  const again = queue.tryTake()!
  t.is(text(again.bytes), '2')
  t.deepEqual([again.attempt, again.acquired], [2, 2])
  again.release()
  await t.notThrowsAsync(async () => {
    while (queue.stats().delayed > 0) {
      const job = await queue.takeOne(soon)
      job.release()
    }
  })
  t.deepEqual(texts(queue), ['1', '2', '3', '4'])
})

test('a release does not count as an attempt, a retry does, and after the last one it is a dead letter', (t) => {
  const queue = open(t, uniqueName(t), { maxAttempts: 2 })
  queue.tryPush('job')
  const attempts: [number, number][] = []
  const take = () => {
    const job = queue.tryTake()!
    attempts.push([job.attempt, job.acquired])
    return job
  }
  take().release()
  take().retry({ error: new Error('first') })
  take().release()
  take().retry({ error: 'second' })
  t.deepEqual(attempts, [
    [1, 1],
    [1, 2],
    [2, 3],
    [2, 4],
  ])
  t.is(queue.tryTake(), undefined)
  const [letter] = queue.dead.peek()
  t.like(letter, { reason: 'attempts', error: 'second', attempts: 2, acquired: 4 })
  t.is(queue.dead.purge(), 1)
})

test('with maxAttempts Infinity a job is tried for ever', async (t) => {
  const queue = open(t, uniqueName(t), { maxAttempts: Infinity })
  t.is(queue.maxAttempts, Infinity)
  queue.tryPush('job')
  for (let i = 0; i < 300; i++) queue.tryTake()!.retry()
  t.is(queue.dead.peek().length, 0)
  const job = queue.tryTake()!
  t.is(job.attempt, 255, 'more are not counted')
  t.is(job.acquired, 301)
  job.retry()
  const [ahead] = await queue.takeBatch(1)
  t.is(ahead!.attempt, 255, 'nor those that are yet to begin')
  ahead!.complete()
})

test('groups is a size: so many are there at a time, and more', (t) => {
  const queue = open(t, uniqueName(t), { groups: 16 })
  const groups = Array.from({ length: 16 }, (_, i) => `group ${String(i)}`)
  for (const group of groups) t.true(queue.tryPush(group, { group }))
  t.deepEqual(texts(queue), groups)
  const one = open(t, uniqueName(t), { groups: 1, jobs: 20 })
  const pushed = Array.from({ length: 20 }, (_, i) => one.tryPush('job', { group: String(i) }))
  t.is(pushed.filter(Boolean).length, 15)
})

test('a delay holds a job back, and whoever waits gets it in time', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const worker = open(t, name, { poll: 0 })
  const received = worker.receive(soon)
  const start = performance.now()
  t.true(queue.tryPush('late', { delay: 200 }))
  t.is(queue.tryTake(), undefined)
  t.is(queue.stats().delayed, 1)
  t.is((await received).toString(), 'late')
  const took = performance.now() - start
  t.true(took >= 199, `${String(took)} ms`)
})

test('a job whose time to live is over becomes a dead letter, and is never taken', async (t) => {
  const queue = open(t, uniqueName(t))
  await queue.push('long', { ttl: 60_000 })
  await queue.push('short', { ttl: 5, priority: 1 })
  const end = performance.now() + 10
  while (performance.now() < end);
  t.deepEqual(texts(queue), ['long'])
  t.like(queue.dead.peek()[0], { reason: 'expired', attempts: 0 })
  t.is(queue.dead.purge(), 1)
})

test('full in jobs: tryPush says so, push waits for its turn', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { jobs: 2 })
  const worker = open(t, name)
  t.true(queue.tryPush('1'))
  t.true(queue.tryPush('2'))
  t.false(queue.tryPush('3'))
  const pushes = ['3', '4', '5'].map((payload) => queue.push(payload))
  t.is(queue.tryPush('6'), false, 'it would overtake those that wait')
  await t.throwsAsync(queue.push('7', { timeout: 10 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const stop = new AbortController()
  const aborted = queue.push('8', { signal: stop.signal })
  stop.abort(new Error('enough'))
  await t.throwsAsync(aborted, { code: 'ERR_MILLRACE_ABORTED' })
  const got: string[] = []
  while (got.length < 5) got.push((await worker.receive(soon)).toString())
  await Promise.all(pushes)
  t.deepEqual(got, ['1', '2', '3', '4', '5'])
})

test('full in bytes: small jobs still have room, large ones wait', async (t) => {
  const queue = open(t, uniqueName(t), { jobs: 16, bytes: 4096, deadLetters: { bytes: 0 } })
  const half = Buffer.alloc(1800)
  t.true(queue.tryPush(half))
  t.true(queue.tryPush(half))
  t.false(queue.tryPush(half))
  t.true(queue.tryPush('small'))
  const pushed = queue.push(half)
  t.is(queue.tryReceive()?.length, 1800)
  await pushed
  t.is(queue.size, 3)
})

test('a loan is written in place, pushed in part, or given back', async (t) => {
  const queue = open(t, uniqueName(t), { jobs: 2, bytes: 4096 })
  const loan = queue.tryLoan(1000)!
  loan.bytes.fill(0x61)
  t.deepEqual(loan.push({ length: 3, priority: 1, id: 'x' }), { duplicate: false })
  t.throws(() => loan.bytes, { code: 'ERR_MILLRACE_RELEASED' })
  t.throws(() => loan.push(), { code: 'ERR_MILLRACE_RELEASED' })
  const job = queue.tryTake()!
  t.deepEqual([text(job.bytes), job.id, job.priority], ['aaa', 'x', 1])
  job.complete()
  {
    using unused = queue.tryLoan(10)!
    t.is(unused.length, 10)
    using other = queue.tryLoan(10)
    t.not(other, undefined)
    t.is(queue.tryLoan(10), undefined, 'loans take up room')
  }
  t.is(queue.stats().free, 2)
  const first = queue.tryLoan(10)!
  const second = queue.tryLoan(10)!
  const third = queue.loan(5, soon)
  first.cancel()
  first.cancel()
  const got = await third
  got.bytes.set(Buffer.from('third'))
  t.throws(() => got.push({ length: 6 }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.throws(() => got.push({ priority: 32 }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  got.push()
  second.cancel()
  t.deepEqual(texts(queue), ['third'])
  t.throws(() => queue.tryLoan(1_000_000), { code: 'ERR_MILLRACE_TOO_LARGE' })
  using whole = queue.tryLoan(queue.maxBytes)!
  t.is(whole.length, queue.maxBytes)
  t.throws(() => whole.push({ id: 'no room for it' }), { code: 'ERR_MILLRACE_TOO_LARGE' })
})

test('a loan is filled from a stream or a pipe, and whoever ends the loan ends that first', async (t) => {
  const queue = open(t, uniqueName(t))
  const chunks = [Buffer.from('hello '), Buffer.from('world')]
  const loan = await queue.loan(200)
  const length = await loan.fillFrom(Readable.from(chunks))
  loan.push({ length })
  t.deepEqual(texts(queue), ['hello world'])
  await t.throwsAsync(loan.fillFrom(Readable.from(chunks)), { code: 'ERR_MILLRACE_RELEASED' })

  const folder = mkdtempSync(join(tmpdir(), `millrace-${process.pid}-`))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const path = join(folder, 'pipe')
  t.is(spawnSync('mkfifo', [path]).status, 0)
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writing = openSync(path, 'w')
  const piped = await queue.loan(200)
  const filling = piped.fillFrom(reading)
  writeSync(writing, 'through a pipe')
  closeSync(writing)
  piped.push({ length: await filling })
  t.deepEqual(texts(queue), ['through a pipe'])

  using short = await queue.loan(10)
  await t.throwsAsync(short.fillFrom(Readable.from(chunks)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  t.false(short.ended)
  const giving = new AbortController()
  const given = short.fillFrom(new PassThrough(), { signal: giving.signal })
  giving.abort()
  await t.throwsAsync(given, { code: 'ERR_MILLRACE_ABORTED' })
  t.false(short.ended)

  for (const end of ['cancel', 'push', 'close'] as const) {
    const ended = await queue.loan(10)
    const source = new PassThrough()
    const cut = t.throwsAsync(ended.fillFrom(source), { code: 'ERR_MILLRACE_CLOSED' }, end)
    if (end === 'cancel') ended.cancel()
    else if (end === 'push') ended.push({ length: 0 })
    else queue.close()
    await cut
    t.true(source.destroyed, end)
    if (end === 'push') t.deepEqual(texts(queue), [''])
  }
})

test('a push that is refused for its options does not end what fills the loan', async (t) => {
  const queue = open(t, uniqueName(t))
  const loan = await queue.loan(10)
  const source = new PassThrough()
  const filling = loan.fillFrom(source)
  source.write('be')
  t.throws(() => loan.push({ priority: 32 }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  source.end('fore')
  const length = await filling
  loan.push({ length })
  t.deepEqual(texts(queue), ['before'])
})

test('pushBatch waits for room as often as it must, and keeps the order', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { jobs: 4 })
  const worker = open(t, name)
  const payloads = Array.from({ length: 50 }, (_, i) => String(i))
  const pushed = queue.pushBatch(payloads)
  const got: string[] = []
  for await (const message of worker.messages()) {
    got.push(message.toString())
    if (got.length === 50) break
  }
  t.is(await pushed, 50)
  t.deepEqual(got, payloads)
})

test('it lives under names, in nameless memory and in files; a file keeps its jobs', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const file = new MappedFile(join(directory, 'jobs'))
  const first = WorkQueue.open(file, { jobs: 8 })
  first.tryPush('kept')
  first.close()
  const second = WorkQueue.open(file)
  t.is(second.jobs, 8)
  t.deepEqual(texts(second), ['kept'])
  second.close()
  using segment = NamelessSegment.create()
  const one = WorkQueue.open(segment)
  const other = WorkQueue.open(segment)
  one.tryPush('here')
  t.deepEqual(texts(other), ['here'])
  one.close()
  other.close()
})

test('the last one to close an empty queue removes it; jobs wait for whoever opens it next', (t) => {
  const name = uniqueName(t)
  const empty = WorkQueue.open(name)
  t.deepEqual(objectsOf(name), [`millrace.j.${name}`])
  empty.close()
  t.deepEqual(objectsOf(name), [])
  const first = WorkQueue.open(name)
  first.tryPush('waiting')
  first.close()
  t.deepEqual(objectsOf(name), [`millrace.j.${name}`])
  const next = WorkQueue.open(name)
  t.deepEqual(texts(next), ['waiting'])
  next.close()
  t.deepEqual(objectsOf(name), [])
  t.false(WorkQueue.unlink(name))
})

test('two processes: each job is taken by one of them', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const others = [actor(t), actor(t)]
  for (const other of others) {
    await other.do(({ WorkQueue, own }, name) => {
      own.jobs = WorkQueue.open(name)
      const done: string[] = []
      own['done'] = done
      own.pending = own.jobs.work((job) => {
        done.push(Buffer.from(job.bytes).toString())
      })
    }, name)
  }
  const payloads = Array.from({ length: 500 }, (_, i) => String(i))
  t.is(await queue.pushBatch(payloads, soon), 500)
  const done: string[] = []
  while (done.length < 500) {
    done.length = 0
    for (const other of others) done.push(...(await other.do(({ own }) => own['done'] as string[])))
  }
  for (const other of others) {
    await other.do(async ({ own }) => {
      own.jobs.close()
      await own.pending
    })
  }
  t.deepEqual(
    done.sort((a, b) => Number(a) - Number(b)),
    payloads,
  )
})

const wrong: readonly (readonly [string, unknown])[] = [
  ['jobs', { jobs: 0 }],
  ['jobs', { jobs: 2 ** 20 + 1 }],
  ['jobs', { jobs: 2 ** 20 }],
  ['bytes', { bytes: -1 }],
  ['priorities', { priorities: 33 }],
  ['seats', { seats: 0 }],
  ['seats', { seats: 2049 }],
  ['maxAttempts', { maxAttempts: 0 }],
  ['maxAttempts', { maxAttempts: 256 }],
  ['maxAttempts', { maxAttempts: '5' }],
  ['deadLetters must be', { deadLetters: 5 }],
  ['deadLetters.jobs', { deadLetters: { jobs: -1 } }],
  ['size', { deadLetters: { size: 1 } }],
  ['dedupWindow', { dedupWindow: 1.5 }],
  ['dedupIds', { dedupIds: 10 }],
  ['groups', { groups: NaN }],
  ['leaseTimeout', { leaseTimeout: -1 }],
  ['durability', { durability: 'tape' }],
  ['keep', { keep: 1 }],
  ['options must be', { memory: 1 }],
  ['spin', { spin: -1 }],
  ['mode', { mode: 1.5 }],
  ['priority', { priority: 3 }],
]
for (const [what, options] of wrong) {
  test(`open refuses ${JSON.stringify(options)} before anything is done`, (t) => {
    const name = uniqueName(t)
    t.throws(() => WorkQueue.open(name, options as WorkQueueOptions), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: new RegExp(what),
    })
    t.deepEqual(objectsOf(name), [])
  })
}

test('a push whose options are wrong, or whose signal is aborted, pushes nothing', async (t) => {
  const queue = open(t, uniqueName(t), { priorities: 4 })
  for (const options of [
    { priority: 4 },
    { priority: -1 },
    { delay: -1 },
    { delay: Infinity },
    { ttl: 0 },
    { ttl: NaN },
    { id: '' },
    { id: 5 },
    { id: 'x'.repeat(1025) },
    { group: 'ß'.repeat(600) },
    { timeout: -1 },
    { signal: {} },
    { prio: 1 },
    'options',
  ]) {
    const given = options as never
    await t.throwsAsync(queue.push('job', given), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
    t.throws(() => queue.tryPush('job', given), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
    t.throws(() => queue.pushSync('job', given), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
  const signal = AbortSignal.abort()
  await t.throwsAsync(queue.push('job', { signal }), { code: 'ERR_MILLRACE_ABORTED' })
  await t.throwsAsync(queue.push(5 as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  await t.throwsAsync(queue.pushBatch(['a'], { id: 'same' } as never), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
  t.is(queue.size, 0)
})

test('options that an existing queue does not have are refused, those that are left out are its own', (t) => {
  const name = uniqueName(t)
  open(t, name, { jobs: 10, maxAttempts: 3 })
  for (const [options, what] of [
    [{ jobs: 11 }, /exists with jobs 10, not 11; open it everywhere alike, leave out/],
    [{ maxAttempts: 4 }, /with maxAttempts 3, not 4;/],
    [{ jobs: 10, maxAttempts: Infinity }, /with maxAttempts 3, not Infinity;/],
    [
      { seats: 9, deadLetters: { jobs: 1, bytes: 0 }, dedupWindow: 5, leaseTimeout: 7 },
      /seats 512, not 9, and deadLetters\.jobs 128, not 1, and deadLetters\.bytes 65536, not 0, and dedupWindow 0, not 5, .*leaseTimeout 0, not 7;/,
    ],
  ] as const) {
    t.throws(() => WorkQueue.open(name, options), {
      code: 'ERR_MILLRACE_GEOMETRY',
      message: what,
    })
  }
  const same = open(t, name, { jobs: 10 })
  t.is(same.maxAttempts, 3)
})

test('a queue that there cannot be is refused by the names of its options', (t) => {
  const name = uniqueName(t)
  t.throws(() => WorkQueue.open(name, { bytes: 2 ** 36 }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message:
      /`bytes` and `deadLetters\.bytes` together must be at most 68719476736 .*: take smaller ones/,
  })
  t.false(WorkQueue.unlink(name))
})

test('who comes when all seats are taken is told how many there are', (t) => {
  const name = uniqueName(t)
  open(t, name, { seats: 2 })
  const second = open(t, name)
  t.throws(() => WorkQueue.open(name), { code: 'ERR_MILLRACE_NO_LANE', message: /\b2\b/ })
  second.close()
  open(t, name)
})
