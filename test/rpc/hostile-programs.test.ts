// What programs do that is their right, at moments when nobody thinks of it: values that change while a call waits, results that
// are thenable and lie, signals that abort between two steps, servers that leave between two steps. Nothing is thrown where nobody
// can catch it, and nobody waits for ever.

import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { connect, contract, serve, stream, upload, type Handlers } from 'millrace/rpc'

import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { connected, serving } from './open.js'
import { remoteServer } from './scenes.js'

const executedOf = (error: unknown) => (error as { readonly executed?: string }).executed

const flow = contract('flow', {
  ticks: stream<number, number>(),
  sum: upload<number, number>(),
})

const handlers: Handlers<typeof flow> = {
  *ticks(n) {
    for (let i = 0; i < n; i++) yield i
  },
  async sum(items) {
    let sum = 0
    for await (const item of items) sum += item
    return sum
  },
}

test('calls that wait for a server are what was given, and one that cannot be sent is refused at once', async (t) => {
  const name = uniqueName(t)
  const connecting = connected(t, name, { waitForServer: 20_000 })
  const first = await serving(t, name)
  const client = await connecting
  first.close()
  const list = [1]
  const value = client.echo(list)
  list.push(2)
  await t.throwsAsync(client.echo(1n), { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /BigInt/ })
  const more = client.echo('more')
  await serving(t, name)
  t.deepEqual(await value, [1])
  t.is(await more, 'more')
})

test('a call that is idempotent loses its last server: nobody says that nothing was done', async (t) => {
  const name = uniqueName(t)
  const server = await remoteServer(t, name)
  const client = await connected(t, name)
  const call = client.again('once')
  await server.run.next()
  await server.kill()
  t.is(executedOf(await t.throwsAsync(call)), 'unknown')
})

test('the same where it waits for the next server', async (t) => {
  const name = uniqueName(t)
  const server = await remoteServer(t, name)
  const client = await connected(t, name, { waitForServer: 300 })
  const calls = [client.again('once'), client.again('once', { timeout: 200 })]
  await server.run.next()
  await server.run.next()
  await server.kill()
  for (const call of calls) t.is(executedOf(await t.throwsAsync(call)), 'unknown')
})

test('a result that is a promise only by its looks is an error of its call, and the server goes on', async (t) => {
  const name = uniqueName(t)
  const results: unknown[] = [
    {
      get then() {
        throw new Error('do not look')
      },
    },
    {
      then() {
        throw new Error('do not wait')
      },
    },
  ]
  await serving(t, name, { echo: (at) => results[at as number] })
  const client = await connected(t, name)
  await t.throwsAsync(client.echo(0, { timeout: 5000 }), { message: 'do not look' })
  await t.throwsAsync(client.echo(1, { timeout: 5000 }), { message: 'do not wait' })
  t.is(await client.add([1, 2], { timeout: 5000 }), 3)
})

test('a signal that aborts while a value is being sent, or before a first item is asked for, counts', async (t) => {
  const name = uniqueName(t)
  await serving(t, name, { echo: () => new Promise(() => undefined) })
  const client = await connected(t, name)
  const control = new AbortController()
  const value = {
    toJSON() {
      control.abort()
      return 0
    },
  }
  const call = client.echo(value, { signal: control.signal })
  await t.throwsAsync(Promise.race([call, pause(5000)]), { name: 'AbortError' })

  const many = `${name}.many`
  const server = await serve(many, flow, {
    ...handlers,
    async *ticks(_, { signal }) {
      yield await new Promise<number>((_, reject) => {
        signal.addEventListener('abort', reject)
      })
    },
  })
  const streams = await connect(many, flow)
  t.teardown(() => {
    streams.close()
    server.close()
  })
  t.is(await streams.sum([1, 2]), 3)
  const later = new AbortController()
  const ticks = streams.ticks(1, { signal: later.signal })
  later.abort()
  await t.throwsAsync(Promise.race([ticks.next(), pause(5000)]), { name: 'AbortError' })
})

test('a stream that waits for the connection of another one ends when its own time is over', async (t) => {
  const name = uniqueName(t)
  const first = await serve(name, flow, handlers)
  const client = await connect(name, flow, { waitForServer: 20_000 })
  t.teardown(() => {
    client.close()
  })
  first.close()
  const patient = client.ticks(1).next()
  const control = new AbortController()
  const late = client.ticks(1, { timeout: 50 }).next()
  const aborted = client.sum([1], { signal: control.signal })
  const left = client.ticks(1)
  const asked = left.next()
  control.abort()
  const within = (some: Promise<unknown>) => Promise.race([some, pause(5000)])
  await t.throwsAsync(within(late), { code: 'ERR_MILLRACE_TIMEOUT' })
  await t.throwsAsync(within(aborted), { name: 'AbortError' })
  t.deepEqual(await within(left.return()), { value: undefined, done: true })
  t.deepEqual(await within(asked), { value: undefined, done: true })
  const server = await serve(name, flow, handlers)
  t.deepEqual(await patient, { value: 0, done: false })
  client.close()
  server.close()
  t.deepEqual(objectsOf(name), [])
})

test('a server that leaves before its client has come to the queues of its streams is one that is gone', async (t) => {
  const name = uniqueName(t)
  const server = await serve(name, flow, handlers)
  const client = await connect(name, flow)
  t.teardown(() => {
    client.close()
  })
  const next = client.ticks(1).next()
  await until(() => {
    if (server.stats().completed === 0) return false
    server.close() // at once, before the client can have seen the answer
    return true
  })
  const error = await t.throwsAsync<Error & { code?: string }>(Promise.race([next, pause(5000)]))
  t.regex(error.code ?? '', /NO_RESPONDER|PEER_GONE/)
  client.close()
  t.deepEqual(objectsOf(name), [])
})

test('a stream that has failed before it was open tells it once', async (t) => {
  const client = await connect(uniqueName(t), flow)
  const ticks = client.ticks(1)
  await t.throwsAsync(ticks.next(), { code: 'ERR_MILLRACE_NO_RESPONDER' })
  t.deepEqual(await ticks.next(), { value: undefined, done: true })
  client.close()
})

test('a client is killed in the middle of its streams: the signals of the handlers abort, and nothing is left', async (t) => {
  const name = uniqueName(t)
  const reasons: unknown[] = []
  const watch = (signal: AbortSignal) => {
    signal.addEventListener('abort', () => reasons.push(signal.reason))
  }
  const server = await serve(name, flow, {
    async *ticks(_, { signal }) {
      watch(signal)
      for (let i = 0; ; i++) {
        await Promise.resolve()
        yield i
      }
    },
    async sum(items, { signal }) {
      watch(signal)
      for await (const _ of items);
      return 0
    },
  })
  t.teardown(() => {
    server.close()
  })
  const other = actor(t)
  await other.do(async ({ connect, contract, stream, upload, own }, name) => {
    const flow = contract('flow', {
      ticks: stream<number, number>(),
      sum: upload<number, number>(),
    })
    const client = await connect(name, flow)
    own['client'] = client
    const ticks = client.ticks(0)
    for (let i = 0; i < 100; i++) await ticks.next()
    own['sum'] = client.sum(
      (async function* () {
        yield 1
        await new Promise(() => undefined)
      })(),
    )
    await ticks.next()
  }, name)
  await until(() => server.stats().handles === 2)
  const start = performance.now()
  const ended = other.kill()
  await until(() => reasons.length === 2)
  t.log(`${(performance.now() - start).toFixed(0)} ms after the order to kill`)
  await ended
  await until(() => objectsOf(name).length === 1) // the memory of calls, which the server has
  server.close()
  t.deepEqual(objectsOf(name), [])
})
