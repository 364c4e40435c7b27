// Servers and clients that are killed: whoever waits for them learns it, and how far they had come.

import test from 'ava'

import { actor, type Actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { connected, serving } from './open.js'
import { remoteServer } from './scenes.js'

const code = (name: string) => ({ code: `ERR_MILLRACE_${name}` })
const executedOf = (error: unknown) => (error as { readonly executed?: string }).executed

for (const [how, tuning] of Object.entries({ asleep: { poll: 0 }, polling: { poll: 20_000 } })) {
  test(`a server is killed in the middle of a call: its caller (${how}) learns it soon`, async (t) => {
    const name = uniqueName(t)
    const server = await remoteServer(t, name)
    const client = await connected(t, name, tuning)
    const call = client.echo(-1)
    t.deepEqual(await server.run.next(), { begun: -1 })
    const start = performance.now()
    const ended = server.kill()
    const error = await t.throwsAsync(call, code('PEER_GONE'))
    t.log(`${(performance.now() - start).toFixed(0)} ms after the order to kill`)
    t.is(executedOf(error), 'unknown')
    t.regex(error.message, /echo\(\).*not known.*idempotent/)
    await ended
    await t.throwsAsync(client.echo(1), code('NO_RESPONDER'))
  })
}

test('a call that is idempotent is given to another server, and its caller knows nothing of it', async (t) => {
  const name = uniqueName(t)
  const client = await connected(t, name)
  const first = await remoteServer(t, name)
  const call = client.again(`not ${String(first.pid)}`)
  await first.run.next()
  await serving(t, name, { again: () => process.pid })
  await first.kill()
  t.is(await call, process.pid)
  t.is(client.stats().orphaned, 1)
})

test('what kills every server that takes it is given up after three of them', async (t) => {
  const name = uniqueName(t)
  const servers = await Promise.all(Array.from({ length: 4 }, () => remoteServer(t, name)))
  const client = await connected(t, name)
  const begun = new Map(servers.map((server) => [server, server.run.next().then(() => server)]))
  const call = t.throwsAsync(client.again('once'), code('PEER_GONE'))
  for (let i = 0; i < 3; i++) {
    const server = await Promise.race(begun.values())
    begun.delete(server)
    await server.kill()
  }
  t.is(executedOf(await call), 'unknown')
  const [[left, nothing]] = [...begun] as [[Actor, Promise<unknown>]]
  const ended = t.throwsAsync(nothing)
  await left.kill()
  await ended
  t.is(client.stats().orphaned, 3)
})

test('calls that wait for a dead server are taken by the one that is left; nothing is lost or done twice', async (t) => {
  const name = uniqueName(t)
  const dead = await remoteServer(t, name, { concurrency: 1 })
  const client = await connected(t, name)
  const stuck = t.throwsAsync(client.echo(-1), code('PEER_GONE'))
  await dead.run.next()
  const waiting = Array.from({ length: 20 }, (_, i) => client.add([i, 1]))
  const seen: number[] = []
  await serving(t, name, {
    add: ([a, b]) => {
      seen.push(a)
      return a + b
    },
  })
  t.deepEqual(
    await Promise.all(waiting),
    Array.from({ length: 20 }, (_, i) => i + 1),
  )
  await dead.kill()
  await stuck
  t.is(new Set(seen).size, seen.length)
})

test('a client is killed: the signals of its handlers abort, and its slots come back', async (t) => {
  const name = uniqueName(t)
  let begun = 0
  let aborted = 0
  const server = await serving(
    t,
    name,
    {
      echo: (_, { signal }) => {
        begun++
        return new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            aborted++
            resolve(0)
          })
        })
      },
    },
    { calls: 8 },
  )
  const client = actor(t)
  await client.do(async ({ connect, contract, call, own }, name) => {
    const calc = contract('calc', {
      add: call<readonly [number, number], number>(),
      echo: call<unknown, unknown>(),
      fail: call<string, never>(),
      again: call<string, unknown>({ idempotent: true }),
    })
    const client = await connect(name, calc)
    own['client'] = client
    for (let i = 0; i < 8; i++) void client.echo(i).catch(() => undefined)
  }, name)
  await until(() => begun === 8)
  const start = performance.now()
  await client.kill()
  await until(() => aborted === 8)
  t.log(`${(performance.now() - start).toFixed(0)} ms after the order to kill`)
  await until(() => server.atWork === 0)
  const own = await connected(t, name)
  t.is(await own.add([1, 2]), 3)
  t.is(own.stats().inHand, 0)
})
