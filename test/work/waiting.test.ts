// How tasks of one handle wait for jobs and for room: in order, until they are served, aborted or closed out.

import test from 'ava'
import type { Job } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'
import { thread } from '../support/thread.js'
import { open, text, texts } from './open.js'

const soon = { timeout: 15_000 }
const aTurn = () => new Promise((resolve) => setImmediate(resolve))

for (const [how, tuning] of Object.entries({ asleep: { poll: 0 }, polling: {} })) {
  test(`takeOne, receive, takeBatch and loops of one handle are served in the order they came (${how})`, async (t) => {
    const name = uniqueName(t)
    const pusher = open(t, name)
    const worker = open(t, name, tuning)
    const order: string[] = []
    const note = (who: string, payload: Uint8Array) => order.push(`${who} ${text(payload)}`)
    const done = (who: string, job: Job) => {
      note(who, job.bytes)
      job.complete()
    }
    const loop = worker.take()
    const waits = [
      worker.takeOne(soon).then((job) => {
        done('one', job)
      }),
      worker.receive(soon).then((bytes) => note('receive', bytes)),
      loop.next().then(({ value }) => {
        done('loop', value!)
      }),
      worker.takeBatch(2, soon).then((jobs) => {
        for (const job of jobs) done('batch', job)
      }),
      worker.takeOne(soon).then((job) => {
        done('last', job)
      }),
    ]
    t.is(worker.tryTake(), undefined)
    for (let i = 0; i < 5; i++) {
      t.true(pusher.tryPush(String(i)))
      await aTurn()
    }
    await Promise.race([Promise.all(waits), aTurn()])
    // A batch may have found two.
    pusher.tryPush('more')
    await Promise.all(waits)
    t.deepEqual(
      order.map((line) => line.replace(/\d$/, '')),
      order.length === 5
        ? ['one ', 'receive ', 'loop ', 'batch ', 'last ']
        : ['one ', 'receive ', 'loop ', 'batch ', 'batch ', order.at(-1)!.replace(/\d$/, '')],
    )
    await loop.return()
    texts(pusher)
  })
}

test('an iteration that is left while it waits takes nothing', async (t) => {
  const queue = open(t, uniqueName(t))
  const jobs = queue.take()
  const pending = jobs.next()
  await jobs.return()
  t.true((await pending).done)
  queue.tryPush('job')
  await aTurn()
  t.deepEqual(texts(queue), ['job'])
})

test('several loops on one handle share the jobs in turn', async (t) => {
  const queue = open(t, uniqueName(t))
  const stop = new AbortController()
  const counts = [0, 0, 0]
  const loops = counts.map(async (_, i) => {
    for await (using job of queue.take({ signal: stop.signal })) {
      counts[i]!++
      await aTurn()
      job.complete()
    }
  })
  await queue.pushBatch(Array.from({ length: 300 }, (_, i) => String(i)))
  while (queue.stats().completed < 300) await aTurn()
  stop.abort()
  for (const loop of loops) await t.throwsAsync(loop, { code: 'ERR_MILLRACE_ABORTED' })
  for (const count of counts) t.is(count, 100)
})

test('waits end by time, by signal and by close, each with its code, and take nothing', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const worker = open(t, name)
  await t.throwsAsync(worker.takeOne({ timeout: 5 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /a job in work queue/,
  })
  await t.throwsAsync(worker.receive({ timeout: 0 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.throws(() => worker.takeSync({ timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.throws(() => worker.receiveSync({ timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await t.throwsAsync(worker.takeBatch(3, { timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const stop = new AbortController()
  const reason = new Error('enough')
  const aborted = worker.takeOne({ signal: stop.signal })
  const loop = (async () => {
    for await (const _ of worker.messages({ signal: stop.signal })) t.fail()
  })()
  t.throws(() => worker.takeSync({ timeout: 5 }), { code: 'ERR_MILLRACE_BUSY' })
  stop.abort(reason)
  await t.throwsAsync(aborted, { code: 'ERR_MILLRACE_ABORTED' })
  await t.throwsAsync(loop, { code: 'ERR_MILLRACE_ABORTED' })
  const closed = [worker.takeOne(), worker.receive(), worker.takeBatch(1)]
  const ends = worker.messages().next()
  worker.close()
  for (const wait of closed) await t.throwsAsync(wait, { code: 'ERR_MILLRACE_CLOSED' })
  t.true((await ends).done, 'a loop ends when its own handle is closed')
  await t.throwsAsync(worker.takeOne(), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => worker.tryTake(), { code: 'ERR_MILLRACE_CLOSED' })
  queue.tryPush('still there')
  t.deepEqual(texts(queue), ['still there'])
})

test('waits for jobs and for room of one handle at once are both served', async (t) => {
  const name = uniqueName(t)
  const one = open(t, name, { jobs: 1, poll: 0 })
  const other = open(t, name, { poll: 0 })
  one.tryPush('first')
  const pushed = one.push('second', soon)
  const held = other.tryTake()!
  const taken = one.takeOne(soon)
  await aTurn()
  await aTurn()
  held.complete()
  await pushed
  const job = await taken
  t.is(text(job.bytes), 'second')
  const blocked = one.push('third', soon)
  await aTurn()
  job.complete()
  await blocked
  t.deepEqual(texts(other), ['third'])
  const closing = [one.takeOne(), other.takeOne(soon)]
  await aTurn()
  one.close()
  await t.throwsAsync(closing[0]!, { code: 'ERR_MILLRACE_CLOSED' })
  other.tryPush('last')
  const last = await closing[1]!
  last.complete()
})

test('closing rejects pushes that wait for room', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { jobs: 1 })
  const other = open(t, name)
  queue.tryPush('full')
  const waits = [other.push('a'), other.pushBatch(['b', 'c']), other.loan(5)]
  await aTurn()
  other.close()
  for (const wait of waits) await t.throwsAsync(wait, { code: 'ERR_MILLRACE_CLOSED' })
  t.deepEqual(texts(queue), ['full'])
  await t.throwsAsync(other.push('d'), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => other.tryPush('d'), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => other.pushSync('d'), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => other.tryLoan(1), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => other.stats(), { code: 'ERR_MILLRACE_CLOSED' })
})

test.serial('timers that tests have put in the place of the real ones reach no wait', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const real = { setTimeout, setImmediate }
  globalThis.setTimeout = (() => ({})) as never
  globalThis.setImmediate = (() => ({})) as never
  try {
    queue.tryPush('delayed', { delay: 20 })
    t.is((await queue.receive(soon)).toString(), 'delayed')
    await t.throwsAsync(queue.receive({ timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  } finally {
    Object.assign(globalThis, real)
  }
})

test('blocking calls in a Worker: takeSync, receiveSync and pushSync wait for the other side', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { jobs: 1 })
  const worker = thread(t, new URL('./fixtures/blocking-worker.js', import.meta.url), {
    workerData: { name },
  })
  await queue.push('job', soon)
  await queue.push('message', soon)
  const back: string[] = []
  for (let i = 0; i < 3; i++) {
    await within(15_000, worker.next())
    back.push((await queue.receive(soon)).toString())
  }
  t.deepEqual(back, ['took job', 'received message', 'third'])
})

test('a wait of an unref()ed handle does not keep a process alive, others do', async (t) => {
  const { run } = await import('../support/process.js')
  const name = uniqueName(t)
  const queue = open(t, name)
  const fixture = new URL('./fixtures/alive.js', import.meta.url)
  const free = run(t, fixture, [name, 'unref'])
  t.deepEqual(await free.ended(), { code: 0, signal: null }, free.stderr)
  const held = run(t, fixture, [name, 'ref'])
  await held.printed('waiting')
  queue.tryPush('job')
  await held.printed('job')
  t.deepEqual(await held.ended(), { code: 0, signal: null }, held.stderr)
})
