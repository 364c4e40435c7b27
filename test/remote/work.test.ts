/* eslint-disable @typescript-eslint/await-thenable -- of a queue elsewhere, what sends a loan returns a promise */
// A work queue by an address: what a connection cannot carry, how addresses are found, and what keeps a process alive. What one
// carries, and how it ends, the suite of test/net/patterns.test.ts judges over each transport.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import { setResolve } from 'millrace/net'
import { WorkQueue, type WorkQueueOptions } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { open, texts } from '../work/open.js'

const patience = 15_000

interface Pair {
  /** Where the memory is. */
  readonly near: WorkQueue
  /** The same queue, over a connection. */
  readonly far: WorkQueue
  readonly address: string
}

async function pair(t: ExecutionContext, options: WorkQueueOptions = {}): Promise<Pair> {
  const near = open(t, uniqueName(t), options)
  const share = await near.share('tcp://127.0.0.1:0')
  t.teardown(() => share.close())
  const far = WorkQueue.open(share.address)
  t.teardown(() => {
    far.close()
  })
  return { near, far, address: share.address }
}

test('what cannot be had over a connection says so, and traits do', async (t) => {
  const { near, far } = await pair(t)
  t.true(far instanceof WorkQueue)
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

test('a push that close() cuts off says whether it may have arrived', async (t) => {
  const { near, far } = await pair(t, { jobs: 1 })
  await far.push('has arrived')
  const waits = far.push('waits there for room')
  // What is asked afterwards is answered afterwards.
  await far.flush()
  far.close()
  const sent = await t.throwsAsync(waits, { code: 'ERR_MILLRACE_CLOSED' })
  t.like(sent, { executed: 'unknown' })
  t.deepEqual(texts(near).slice(0, 1), ['has arrived'])
  const nowhere = WorkQueue.open('tcp://127.0.0.1:1')
  const push = nowhere.push('never sent')
  nowhere.close()
  const unsent = await t.throwsAsync(push, { code: 'ERR_MILLRACE_CLOSED' })
  t.like(unsent, { executed: 'no' })
})

test('a loan is filled from a stream, and whoever ends the loan ends that first', async (t) => {
  const { near, far } = await pair(t)
  const loan = await far.loan(200)
  const chunks = [Buffer.from('hel'), Buffer.from('lo')]
  const length = await loan.fillFrom(Readable.from(chunks))
  await loan.push({ length })
  t.deepEqual(texts(near), ['hello'])
  await t.throwsAsync(loan.fillFrom(Readable.from(chunks)), { code: 'ERR_MILLRACE_RELEASED' })
  for (const end of ['cancel', 'push'] as const) {
    const ended = await far.loan(10)
    const source = new PassThrough()
    const cut = t.throwsAsync(ended.fillFrom(source), { code: 'ERR_MILLRACE_CLOSED' }, end)
    if (end === 'cancel') ended.cancel()
    else await ended.push({ length: 0 })
    await cut
    t.true(source.destroyed, end)
  }
  t.deepEqual(texts(near), [''])
})

test('whoever does not await what settles a job goes on when its connection has broken', async (t) => {
  const near = open(t, uniqueName(t))
  const share = await near.share('tcp://127.0.0.1:0')
  const far = WorkQueue.open(share.address)
  t.teardown(() => {
    far.close()
  })
  await far.push('first')
  await far.push('second')
  const unheard: unknown[] = []
  const hear = (error: unknown): void => {
    unheard.push(error)
  }
  process.on('unhandledRejection', hear)
  t.teardown(() => process.off('unhandledRejection', hear))
  const [first, second] = [await far.takeOne(), await far.takeOne()]
  const lost = once(first.signal, 'abort')
  const onItsWay = Promise.resolve(second.complete())
  await share.close()
  await within(patience, lost)
  for (const settle of [
    () => first.complete(),
    () => first.release(),
    () => first.retry(),
    () => first.reject('why'),
    () => first.extend(1000),
  ]) {
    void settle()
    await t.throwsAsync(Promise.resolve(settle()), { code: 'ERR_MILLRACE_LEASE_LOST' })
  }
  t.is(first.settled, 'lost')
  // What was sent before is told as the other side had it, or as lost.
  await onItsWay.catch(() => undefined)
  far.close()
  void first.complete()
  await new Promise(setImmediate)
  t.deepEqual(unheard, [])
  t.deepEqual(texts(near).slice(0, 1), ['first'])
})

test('what a queue has is known when there was a connection', async (t) => {
  const { near, far, address } = await pair(t, { jobs: 8 })
  t.is(await near.connected(), undefined)
  await within(patience, far.connected({ timeout: patience }))
  t.is(far.jobs, 8)
  t.is(far.connection?.state, 'connected')
  const later = WorkQueue.open(address)
  t.throws(() => later.jobs, { code: 'ERR_MILLRACE_BUSY', message: /await queue\.connected\(\)/ })
  await within(patience, later.connected())
  t.is(later.jobs, 8)
  later.close()
  near.close()
  await t.throwsAsync(near.connected(), { code: 'ERR_MILLRACE_CLOSED' })
  await t.throwsAsync(later.connected(), { code: 'ERR_MILLRACE_CLOSED' })
  await t.throwsAsync(far.connected({ timeout: -1 }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
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
