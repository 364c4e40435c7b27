// Functions of many values, served and called like all others: they share a connection of their client and a server.

import test from 'ava'
import { connect, contract, call, duplex, serve, stream, upload, type Handlers } from 'millrace/rpc'

import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until } from '../support/until.js'

const flow = contract('flow', {
  add: call<readonly [number, number], number>(),
  ticks: stream<number, number>(),
  sum: upload<number, number>(),
  chat: duplex<string, string>(),
})

const handlers: Handlers<typeof flow> = {
  add: ([a, b]) => a + b,
  *ticks(n) {
    for (let i = 0; i < n; i++) yield i
  },
  async sum(items) {
    let sum = 0
    for await (const item of items) sum += item
    return sum
  },
  async *chat(items) {
    for await (const item of items) yield item.toUpperCase()
  },
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

test('streams both ways, beside calls, and nothing is left of their connection', async (t) => {
  const name = uniqueName(t)
  const server = await serve(name, flow, handlers)
  const client = await connect(name, flow)
  const [ticks, sum, chat, added] = await Promise.all([
    all(client.ticks(1000)),
    client.sum([1, 2, 3]),
    all(client.chat(['a', 'b'])),
    client.add([1, 2]),
  ])
  t.deepEqual(
    ticks,
    Array.from({ length: 1000 }, (_, i) => i),
  )
  t.is(sum, 6)
  t.deepEqual(chat, ['A', 'B'])
  t.is(added, 3)
  t.deepEqual(await all(client.ticks(3)), [0, 1, 2])
  client.close()
  t.throws(() => client.ticks(1), { code: 'ERR_MILLRACE_CLOSED' })
  await t.throwsAsync(client.sum([1]), { code: 'ERR_MILLRACE_CLOSED' })
  server.close()
  t.deepEqual(objectsOf(name), [])
})

test('nobody serves: the first item asked for says so, and an iteration that is left asks for nothing', async (t) => {
  const name = uniqueName(t)
  const client = await connect(name, flow)
  t.teardown(() => {
    client.close()
  })
  await t.throwsAsync(client.ticks(1).next(), { code: 'ERR_MILLRACE_NO_RESPONDER' })
  await t.throwsAsync(client.sum([1]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
  t.deepEqual(await client.ticks(1).return(), { value: undefined, done: true })
})

test('a stream that is made for another call ends with it', async (t) => {
  const name = uniqueName(t)
  let ended = 0
  const server = await serve(name, flow, {
    ...handlers,
    async *ticks(_, { signal }) {
      yield 1
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
      ended++
    },
  })
  const back = await connect(name, flow)
  const outer = `${name}.outer`
  const front = await serve(outer, flow, {
    ...handlers,
    async *ticks(n, context) {
      yield* back.ticks(n, context)
    },
  })
  const client = await connect(outer, flow)
  for await (const tick of client.ticks(1)) {
    t.is(tick, 1)
    break
  }
  await until(() => ended === 1)
  client.close()
  back.close()
  front.close()
  server.close()
})

test('a server is killed: its streams end with PEER_GONE, and the next one goes to another server', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const other = actor(t)
  await other.do(async ({ serve, contract, call, stream, upload, duplex, own }, name) => {
    const flow = contract('flow', {
      add: call<readonly [number, number], number>(),
      ticks: stream<number, number>(),
      sum: upload<number, number>(),
      chat: duplex<string, string>(),
    })
    own['server'] = await serve(name, flow, {
      add: ([a, b]) => a + b,
      async *ticks() {
        yield 1
        await new Promise(() => undefined)
      },
      sum: () => 0,
      async *chat() {
        yield await Promise.resolve('')
      },
    })
  }, name)
  const client = await connect(name, flow)
  const ticks = client.ticks(5)
  t.deepEqual(await ticks.next(), { value: 1, done: false })
  const next = ticks.next()
  const start = performance.now()
  const ended = other.kill()
  const error = await t.throwsAsync(next, { code: 'ERR_MILLRACE_PEER_GONE' })
  t.log(`${(performance.now() - start).toFixed(0)} ms after the order to kill`)
  t.is((error as { executed?: string }).executed, 'unknown')
  await ended
  const server = await serve(name, flow, handlers)
  t.deepEqual(await all(client.ticks(2)), [0, 1])
  client.close()
  server.close()
})
