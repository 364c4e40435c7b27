// What one process does with calls beside what it does anyway: Workers that are ended in the middle, being stopped, its end, and clocks
// that a test has replaced.

import { mock } from 'node:test'
import test from 'ava'

import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { thread } from '../support/thread.js'
import { until } from '../support/until.js'
import { connected, gate, serving } from './open.js'

const code = (name: string) => ({ code: `ERR_MILLRACE_${name}` })
const executedOf = (error: unknown) => (error as { readonly executed?: string }).executed
const fixture = new URL('./fixtures/calls-thread.js', import.meta.url)

test('a Worker that serves is terminated in the middle of calls: each has one outcome', async (t) => {
  const name = uniqueName(t)
  const worker = thread(t, fixture, { workerData: { name, role: 'server' } })
  t.is(await worker.next(), 'serving')
  const client = await connected(t, name, { waitForServer: 10_000 })
  t.is(await client.add([2, 3]), 5)
  const lost = client.echo(0)
  t.is(await worker.next(), 'begun')
  const again = client.again('once more')
  t.is(await worker.next(), 'begun')
  await serving(t, name)
  const start = performance.now()
  const ended = worker.terminate()
  t.is(executedOf(await t.throwsAsync(lost, code('PEER_GONE'))), 'unknown')
  t.log(`${(performance.now() - start).toFixed(0)} ms after the order to terminate`)
  t.is(await again, 'once more') // by this thread
  await ended
  t.is(await client.add([1, 1]), 2)
})

test('a Worker that calls is terminated in the middle of a call: its handler is told, and its place comes back', async (t) => {
  const name = uniqueName(t)
  const { opened, open } = gate<unknown>()
  const server = await serving(t, name, {
    echo: (_, { signal }) => {
      signal.addEventListener('abort', () => {
        open(signal.reason)
      })
      return opened
    },
  })
  const worker = thread(t, fixture, { workerData: { name, role: 'client' } })
  t.is(await worker.next(), 3)
  await until(() => server.atWork === 1)
  await worker.terminate()
  t.like(await opened, code('ABORTED'))
  await until(() => server.atWork === 0 && server.stats().handles === 1)
  t.like(server.stats(), { waiting: 0, inHand: 0, answered: 0 })
})

test('a server that is stopped is none that is gone: its calls are late, or answered when it goes on', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(async ({ serve, contract, call, own }, name) => {
    const calc = contract('calc', {
      add: call<readonly [number, number], number>(),
      echo: call<unknown, unknown>(),
      fail: call<string, never>(),
      again: call<string, unknown>({ idempotent: true }),
    })
    own['server'] = await serve(name, calc, {
      add: ([a, b]) => a + b,
      echo: (value) => value,
      fail: () => {
        throw new Error()
      },
      again: (value) => value,
    })
  }, name)
  const client = await connected(t, name)
  t.is(await client.add([1, 2]), 3)
  other.run.signal('SIGSTOP')
  const patient = client.add([3, 4])
  const late = await t.throwsAsync(client.add([5, 6], { timeout: 300 }), code('TIMEOUT'))
  t.is(executedOf(late), 'no')
  t.is(client.pending, 1)
  t.true(client.served)
  other.run.signal('SIGCONT')
  t.is(await patient, 7)
  t.is(await client.add([7, 8]), 15)
  await other.do(({ own }) => {
    ;(own['server'] as { close(): void }).close()
  })
})

test('listeners for exit call and close in vain, but in good order', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(async ({ serve, connect, contract, call }, name) => {
    const calc = contract('calc', { echo: call<unknown, unknown>() })
    const server = await serve(name, calc, { echo: () => new Promise(() => undefined) })
    const client = await connect(name, calc)
    const before = client.echo('in hand')
    before.catch(() => undefined)
    process.once('exit', () => {
      client.echo('too late').catch(() => undefined)
      server.close()
      client.close()
      process.exitCode = client.closed && server.closed ? 7 : 8
    })
  }, name)
  const ended = await other.do(() => {
    setImmediate(() => process.exit())
  })
  t.is(ended, undefined)
  t.is((await other.run.ended()).code, 7)
  t.deepEqual(objectsOf(name), [])
})

test.serial('calls go on while a test has replaced the clocks', async (t) => {
  const name = uniqueName(t)
  await serving(t, name, { echo: () => new Promise(() => undefined) }, { drainOnClose: 0 })
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] })
  try {
    const client = await connected(t, name, { poll: 0 })
    for (let i = 0; i < 50; i++) t.is(await client.add([i, i]), 2 * i)
    const late = await t.throwsAsync(client.echo(0, { timeout: 20 }), code('TIMEOUT'))
    t.is(executedOf(late), 'unknown')
  } finally {
    mock.timers.reset()
  }
})
