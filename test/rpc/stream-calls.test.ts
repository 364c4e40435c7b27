// Functions of many values, served and called like all others: they share a connection of their client and a server.

import { readdirSync } from 'node:fs'
import test from 'ava'
import type { MillraceError } from 'millrace'
import { connect, contract, call, duplex, serve, stream, upload, type Handlers } from 'millrace/rpc'

import { actor } from '../support/actor.js'
import { objectsOf, sharedMemory, uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { Random } from '../support/random.js'
import { until } from '../support/until.js'
import { gate } from './open.js'

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

const doomed = contract('doomed', { numbers: stream<undefined, number>() })
const dies = new URL('./fixtures/dies-at-streams.js', import.meta.url)
const streamsOf = (name: string): string[] =>
  readdirSync(sharedMemory).filter((object) => object.includes(`${name}.`))

for (const when of ['one', 'both'] as const) {
  test(`a server that dies when it has made ${when} of the queues for streams leaves none behind`, async (t) => {
    const name = uniqueName(t, { mayLeave: true })
    const server = run(t, dies, [name, when])
    await server.printed('serves', 40_000)
    const client = await connect(name, doomed)
    const error = await t.throwsAsync<MillraceError>(client.numbers().next(), {
      code: 'ERR_MILLRACE_PEER_GONE',
    })
    t.is(error.executed, 'unknown')
    t.is((await server.ended()).signal, 'SIGKILL')
    t.deepEqual(streamsOf(name), [])
    client.close()
  })
}

test('servers are killed at any time of streams, and leave no queue behind', async (t) => {
  t.timeout(100_000)
  const name = uniqueName(t, { mayLeave: true })
  const random = new Random(3)
  const client = await connect(name, doomed)
  for (let life = 0; life < 6; life++) {
    const server = run(t, dies, [name, 'at any time'])
    await server.printed('serves', 40_000)
    const wanted = random.below(30)
    const reading = Array.from({ length: 3 }, async () => {
      for await (const number of client.numbers()) {
        if (number === wanted) server.signal('SIGKILL')
      }
    })
    if (wanted < 10) server.signal('SIGKILL')
    for (const ended of reading) {
      const { code } = await t.throwsAsync<MillraceError>(ended)
      t.true(code === 'ERR_MILLRACE_PEER_GONE' || code === 'ERR_MILLRACE_NO_RESPONDER', code)
    }
    await server.ended(40_000)
    await until(() => streamsOf(name).length === 0, 40_000)
  }
  client.close()
})

test('a server that drains begins no more streams: those that there are end well, and others go to another server', async (t) => {
  const name = uniqueName(t)
  const leaving = await serve(name, flow, handlers)
  const client = await connect(name, flow)
  const ticks = client.ticks(100)
  t.deepEqual(await ticks.next(), { value: 0, done: false })
  const staying = await serve(name, flow, { ...handlers, sum: () => -1 })
  leaving.close()
  // Sent before anybody has said that it leaves.
  const refused = await t.throwsAsync(client.sum([1]), { code: 'ERR_MILLRACE_PEER_GONE' })
  t.is((refused as { executed?: string }).executed, 'no')
  t.regex(refused.message, /begins nothing more/)
  t.is(await client.sum([1]), -1)
  t.deepEqual(await all(client.ticks(3)), [0, 1, 2])
  t.deepEqual(
    await all(ticks),
    Array.from({ length: 99 }, (_, i) => i + 1),
  )
  await leaving[Symbol.asyncDispose]()
  t.is(await client.sum([2]), -1)
  client.close()
  staying.close()
  t.deepEqual(objectsOf(name), [])
})

test('a client with connections to several servers closes all of them', async (t) => {
  const name = uniqueName(t)
  let aborted = 0
  const waiting: Handlers<typeof flow> = {
    ...handlers,
    async *ticks(_, { signal }) {
      signal.addEventListener('abort', () => aborted++)
      yield 1
      await new Promise(() => undefined)
    },
  }
  const first = await serve(name, flow, waiting)
  const client = await connect(name, flow)
  const some = [client.ticks(1)]
  await some[0]!.next()
  const second = await serve(name, flow, waiting)
  first.close()
  await t.throwsAsync(client.sum([1]), { code: 'ERR_MILLRACE_PEER_GONE' })
  some.push(client.ticks(1))
  await some[1]!.next()
  const ends = some.map((one) => t.throwsAsync(one.next(), { code: 'ERR_MILLRACE_CLOSED' }))
  client.close()
  await Promise.all(ends)
  await until(() => aborted === 2)
  await Promise.all([first, second].map((server) => server[Symbol.asyncDispose]()))
  t.deepEqual(objectsOf(name), [])
})

test('how much of a stream either side has room for is said where it serves and connects', async (t) => {
  const name = uniqueName(t)
  let yielded = 0
  const long = 'x'.repeat(20_000)
  const server = await serve(
    name,
    flow,
    {
      ...handlers,
      *ticks(n) {
        for (; yielded < n; yielded++) yield yielded
      },
    },
    { streams: { maxStreams: 2, maxBytes: 30_000, capacity: 8192 } },
  )
  const client = await connect(name, flow, { streams: { windowItems: 3 } })
  // Longer than the queues are, so it goes in pieces.
  t.deepEqual(await all(client.chat([long])), [long.toUpperCase()])
  const ticks = client.ticks(1000)
  await ticks.next()
  await client.sum([1]) // what was to come has come by then
  t.true(yielded <= 1 + 2 * 3, String(yielded))
  const { opened, open } = gate()
  const chat = client.chat(
    (async function* () {
      yield 'a'
      await opened
    })(),
  )
  await chat.next()
  const busy = await t.throwsAsync(client.sum([1]), { code: 'ERR_MILLRACE_BUSY' })
  t.is((busy as { executed?: string }).executed, 'no')
  open()
  await ticks.return()
  await chat.return()
  client.close()
  await server[Symbol.asyncDispose]()

  const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  for (const streams of [{ window: 1 }, { windowItems: 0 }, { capacity: 100 }, 3]) {
    await t.throwsAsync(serve(name, flow, handlers, { streams: streams as never }), invalid)
    if (streams === 3 || 'capacity' in Object(streams)) continue
    await t.throwsAsync(connect(name, flow, { streams: streams as never }), invalid)
  }
  await t.throwsAsync(connect(name, flow, { streams: { capacity: 8192 } as never }), invalid)
  t.deepEqual(objectsOf(name), [])
})
