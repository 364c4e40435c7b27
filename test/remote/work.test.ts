/* eslint-disable @typescript-eslint/await-thenable, @typescript-eslint/no-meaningless-void-operator -- of a queue elsewhere, what settles
   a job returns a promise */
// A work queue by an address: the promises that a connection can carry, and how each ends when the connection does.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { MillraceError } from 'millrace'
import { setResolve } from 'millrace/net'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { open, texts } from '../work/open.js'
import { Proxy } from './proxy.js'

const patience = 15_000

interface Pair {
  /** Where the memory is. */
  readonly near: WorkQueue
  /** The same queue, over a connection. */
  readonly far: WorkQueue
  readonly address: string
}

async function pair(
  t: ExecutionContext,
  options: WorkQueueOptions = {},
  address = 'tcp://127.0.0.1:0',
): Promise<Pair> {
  // Ids that are remembered outlive all who have the queue open.
  const name = uniqueName(t, { mayLeave: options.dedupWindow !== undefined })
  const near = open(t, name, options)
  const share = await near.share(address)
  t.teardown(() => share.close())
  const far = WorkQueue.open(share.address)
  t.teardown(() => {
    far.close()
  })
  return { near, far, address: share.address }
}

const text = (job: Job): string => Buffer.from(job.bytes).toString()

const addresses: readonly (readonly [string, (t: ExecutionContext) => string])[] = [
  ['a Unix socket', (t) => `unix://${join(tmpdir(), `millrace-${uniqueName(t)}.sock`)}`],
  ['TCP', () => 'tcp://127.0.0.1:0'],
]

for (const [what, address] of addresses) {
  test(`over ${what}: pushed, taken and settled as where the queue is`, async (t) => {
    const { near, far } = await pair(t, { dedupWindow: 60_000 }, address(t))
    t.true(far instanceof WorkQueue)
    t.deepEqual(await far.push('one', { id: 'a', priority: 3 }), { duplicate: false })
    t.deepEqual(await far.push('one', { id: 'a' }), { duplicate: true })
    t.is(await far.pushBatch(['two', 'three'], { group: 'g' }), 2)
    const first = await within(patience, far.takeOne())
    t.is(text(first), 'one')
    t.is(first.id, 'a')
    t.is(first.priority, 3)
    t.is(first.attempt, 1)
    t.true(first.token > 0n)
    t.is(near.stats().leased, 1)
    await first.complete()
    t.is(first.settled, 'completed')
    t.is(near.stats().completed, 1)
    const second = await far.takeOne()
    t.is(second.group, 'g')
    await second.retry({ error: new Error('not yet') })
    const again = await far.takeOne()
    t.is(again.attempt, 2)
    await again.reject('never')
    t.is(near.dead.peek()[0]?.error, 'never')
    const [last] = await far.takeBatch(5)
    t.is(text(last!), 'three')
    await last!.release()
    t.is((await far.receive()).toString(), 'three')
    t.is(near.stats().ready, 0)
    near.dead.purge()
    t.is(far.maxBytes, near.maxBytes)
    t.is(far.jobs, near.jobs)
  })
}

test('what cannot be had over a connection says so, and traits do', async (t) => {
  const { near, far } = await pair(t)
  await far.push('x')
  t.deepEqual(
    [near.traits.immediate, near.traits.leases, far.traits.immediate, far.traits.leases],
    [true, 'process', false, 'connection'],
  )
  const calls: readonly (() => unknown)[] = [
    () => far.tryPush('a'),
    () => far.pushSync('a'),
    () => far.tryTake(),
    () => far.takeSync(),
    () => far.tryReceive(),
    () => far.receiveSync(),
    () => far.tryLoan(1),
    () => far.stats(),
    () => far.size,
    () => far.dead,
    () => far.flushSync(),
  ]
  for (const call of calls) t.throws(call, { code: 'ERR_MILLRACE_UNSUPPORTED' }, String(call))
  const job = await far.takeOne()
  await t.throwsAsync(job.complete({ to: near, bytes: 'y' }), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await job.complete()
})

test('work: handlers, one at a time or several, and the end of the handle ends it', async (t) => {
  const { near, far } = await pair(t)
  const done: string[] = []
  const working = far.work(
    async (job) => {
      await new Promise((resolve) => setImmediate(resolve))
      if (text(job) === '3' && job.attempt === 1) throw new Error('once')
      done.push(text(job))
    },
    { concurrency: 3, drainOnClose: 1000 },
  )
  for (let i = 0; i < 20; i++) await near.push(String(i))
  await until(() => near.stats().completed === 20)
  far.close()
  await within(patience, working)
  t.is(done.length, 20)
  t.is(new Set(done).size, 20)
  t.is(near.stats().leased, 0)
})

test('a take that is given up takes nothing, whenever that is', async (t) => {
  const { near, far } = await pair(t)
  for (let round = 0; round < 200; round++) {
    const control = new AbortController()
    const taking = far.takeOne({ signal: control.signal })
    taking.catch(() => undefined)
    if (round % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
    const pushed = near.push(String(round))
    for (let i = 0; i < round % 7; i++) await new Promise((resolve) => setImmediate(resolve))
    control.abort()
    await pushed
    const job = await taking.catch((error: unknown) => {
      t.true(error instanceof MillraceError && error.code === 'ERR_MILLRACE_ABORTED')
      return undefined
    })
    if (job !== undefined) await job.complete()
    else {
      // The share may have it in hand for a moment, until it hears that nobody waits for it.
      let found: string[] = []
      await until(() => (found = texts(near)).length > 0)
      t.deepEqual(found, [String(round)])
    }
  }
  t.is(near.stats().leased, 0)
})

test('a take that waits too long says so, and takes nothing afterwards', async (t) => {
  const { near, far } = await pair(t)
  await t.throwsAsync(far.takeOne({ timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await near.push('later')
  // The share may have it in hand for a moment, until it hears that nobody waits for it.
  let found: string[] = []
  await until(() => (found = texts(near)).length > 0)
  t.deepEqual(found, ['later'])
})

test('the end of a connection gives back what it has in hand, at once', async (t) => {
  const { near, far, address } = await pair(
    t,
    {},
    `unix://${join(tmpdir(), `millrace-${uniqueName(t)}.sock`)}`,
  )
  const other = WorkQueue.open(address)
  t.teardown(() => {
    other.close()
  })
  await near.push('a')
  await near.push('b')
  const begun = await far.takeOne()
  t.is(text(begun), 'a') // looked at: this attempt counts
  const untouched = await far.takeOne()
  far.close()
  const [first, second] = [
    await within(patience, other.takeOne()),
    await within(patience, other.takeOne()),
  ]
  t.deepEqual([text(first), first.attempt], ['a', 2])
  t.deepEqual([text(second), second.attempt], ['b', 1])
  t.throws(() => void begun.complete(), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => untouched.bytes, { code: 'ERR_MILLRACE_CLOSED' })
  await first.complete()
  await second.complete()
})

test('a lease that runs out elsewhere aborts the signal, and a late settle is refused', async (t) => {
  const { near, far } = await pair(t, { leaseTimeout: 50 })
  await near.push('slow')
  const job = await far.takeOne()
  const aborted = new Promise((resolve) => {
    job.signal.addEventListener('abort', resolve)
  })
  const other = await within(patience, near.takeOne())
  await within(patience, aborted)
  t.throws(() => void job.complete(), { code: 'ERR_MILLRACE_LEASE_LOST' })
  other.complete()
})

test('a cut connection is made anew: waiting takes go on, jobs in hand are lost, ids make a push safe', async (t) => {
  const { near, address } = await pair(t, { dedupWindow: 60_000 })
  const proxy = new Proxy(address)
  const far = WorkQueue.open(await proxy.listen(t), {
    connection: { reconnect: { base: 5, cap: 50 } },
  })
  t.teardown(() => {
    far.close()
  })
  await near.push('in hand')
  const job = await within(patience, far.takeOne())
  t.is(text(job), 'in hand')
  await job.extend(1) // by now it is known that its attempt has begun
  const waiting = far.takeOne()
  const lost = new Promise((resolve) => {
    job.signal.addEventListener('abort', resolve)
  })
  proxy.cut()
  await within(patience, lost)
  t.throws(() => void job.complete(), { code: 'ERR_MILLRACE_LEASE_LOST' })
  const again = await within(patience, waiting)
  t.deepEqual([text(again), again.attempt], ['in hand', 2])
  await again.complete()
  // Pushed while the way is cut again and again: each once.
  const cutting = setInterval(() => {
    proxy.cut()
  }, 15)
  try {
    for (let i = 0; i < 100; i++) {
      await within(patience, far.push(String(i), { id: `push-${String(i)}` }))
    }
  } finally {
    clearInterval(cutting)
  }
  t.deepEqual(
    texts(near).map(Number),
    Array.from({ length: 100 }, (_, i) => i),
  )
})

test('a push whose confirmation was lost says so, if it may not be repeated', async (t) => {
  const { near, address } = await pair(t, { jobs: 1 })
  const proxy = new Proxy(address)
  const far = WorkQueue.open(await proxy.listen(t), {
    connection: { reconnect: { base: 5, cap: 50 } },
  })
  t.teardown(() => {
    far.close()
  })
  await far.push('first') // there is no room for another
  const second = far.push('second')
  await until(() => proxy.sockets.size > 0)
  await new Promise((resolve) => setTimeout(resolve, 20))
  proxy.cut()
  const error = await t.throwsAsync<MillraceError>(within(patience, second), {
    code: 'ERR_MILLRACE_PEER_GONE',
  })
  t.is(error.executed, 'unknown')
  // The other side may learn of the cut only after there is room again: nobody knows of the second one.
  const left = texts(near)
  const third = far.push('third')
  await until(() => {
    left.push(...texts(near))
    return left.includes('third')
  })
  await third
  t.deepEqual(
    left.filter((one) => one !== 'second'),
    ['first', 'third'],
  )
})

test('the address is judged at once, and what is there at the first connection', async (t) => {
  t.throws(() => WorkQueue.open('unix://relative'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /three slashes/,
  })
  t.throws(() => WorkQueue.open('carrier://pigeon'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /unix:\/\//,
  })
  t.throws(() => WorkQueue.open('tcp://example.com:80'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /insecure/,
  })
  const { address } = await pair(t, { jobs: 8 })
  const wrong = WorkQueue.open(address, { jobs: 9 })
  await t.throwsAsync(wrong.push('x'), { code: 'ERR_MILLRACE_GEOMETRY', message: /jobs 8, not 9/ })
  t.true(wrong.closed)
  const nobody = WorkQueue.open('tcp://127.0.0.1:1')
  await t.throwsAsync(nobody.push('x', { timeout: 30 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /tcp:\/\/127/,
  })
  nobody.close()
  await t.throwsAsync(nobody.push('x'), { code: 'ERR_MILLRACE_CLOSED' })
})

test('an idle queue elsewhere lets its process end, a call that waits does not', async (t) => {
  const { near, address } = await pair(t)
  const run = async (program: string): Promise<number | null> => {
    const text = `import { WorkQueue } from 'millrace/work'
      import { Topics } from 'millrace/topics'
      const queue = WorkQueue.open('${address}')
      ${program}`
    const child = spawn(process.execPath, ['--input-type=module', '--eval', text], {
      cwd: new URL('../../../', import.meta.url),
      stdio: ['ignore', 'inherit', 'inherit'],
    })
    t.teardown(() => child.kill('SIGKILL'))
    const [code] = (await within(patience, once(child, 'exit'))) as [number | null]
    return code
  }
  t.is(await run(`await queue.push('x')`), 0)
  t.deepEqual(texts(near), ['x'])
  const waiting = run(`const job = await queue.takeOne(); await job.complete()`)
  await until(() => near.stats().handles > 0)
  await new Promise((resolve) => setTimeout(resolve, 500))
  await near.push('late')
  t.is(await waiting, 0)
  t.is(near.stats().completed, 2)
})

test.serial('a name is elsewhere if the environment, or the program, says so', async (t) => {
  const { near, address } = await pair(t)
  const name = uniqueName(t)
  process.env['MILLRACE_ADDRESSES'] = `${name}=${address}`
  try {
    const far = WorkQueue.open(name)
    await far.push('by the environment')
    far.close()
    process.env['MILLRACE_ADDRESSES'] = `${name}:${address}`
    t.throws(() => WorkQueue.open(name), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /MILLRACE_ADDRESSES.*name=address/,
    })
  } finally {
    delete process.env['MILLRACE_ADDRESSES']
  }
  setResolve({ [name]: address })
  try {
    const far = WorkQueue.open(`shm://${name}`)
    await far.push('by the program')
    far.close()
  } finally {
    setResolve(undefined)
  }
  t.deepEqual(texts(near), ['by the environment', 'by the program'])
})
