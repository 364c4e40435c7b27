// Calls over a server of NATS.

import test, { type ExecutionContext } from 'ava'
import {
  call,
  connect,
  contract,
  contractAt,
  serve,
  stream,
  type Connected,
  type Handlers,
  type ServeOptions,
} from 'millrace/rpc'

import { until } from '../support/until.js'
import { natsClient } from './support/client.js'
import { natsServer, type NatsServer } from './support/nats.js'

const calc = contract('calc', {
  add: call<readonly [number, number], number>({ idempotent: true }),
  fail: call<string>(),
  wait: call<string, string>(),
  echo: call<string, string>(),
  count: stream<number, number>(),
})
type Calc = typeof calc

interface Seen {
  readonly waiting: Map<string, { answer: (text: string) => void; signal: AbortSignal }>
  readonly remaining: number[]
}

async function served(
  t: ExecutionContext,
  server: NatsServer,
  who = 'a',
  options?: ServeOptions,
): Promise<Seen> {
  const seen: Seen = { waiting: new Map(), remaining: [] }
  const handlers: Handlers<Calc> = {
    add: ([a, b], context) => {
      seen.remaining.push(context.remaining)
      return a + b
    },
    fail: (text) => {
      throw Object.assign(new RangeError(text), { code: 'E_MINE', data: { at: 7 } })
    },
    wait: (text, { signal }) =>
      new Promise((answer) => {
        seen.waiting.set(text, { answer, signal })
      }),
    echo: (text) => `${who} ${text}`,
    async *count(n) {
      await Promise.resolve()
      yield n
    },
  }
  const serving = await serve(server.address('calc'), calc, handlers, options)
  t.teardown(async () => {
    for (const { answer } of seen.waiting.values()) answer('')
    await serving[Symbol.asyncDispose]()
  })
  return seen
}

async function connected(t: ExecutionContext, server: NatsServer): Promise<Connected<Calc>> {
  const client = await connect(server.address('calc'), calc)
  t.teardown(() => {
    client.close()
  })
  return client
}

test('who asks what is served where nobody serves is told so in words of its own', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const error = await t.throwsAsync(contractAt(server.address('calc')), {
    code: 'ERR_MILLRACE_NO_RESPONDER',
  })
  t.like(error, { executed: 'no' })
  t.is(
    error.message,
    `nobody serves at '${server.address('calc')}': start a server there, or connect with waitForServer to wait for one`,
  )
})

test('a call is answered, by whoever of those who serve gets it', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  await served(t, server, 'a')
  await served(t, server, 'b')
  const client = await connected(t, server)
  t.is(await client.add([1, 2]), 3)
  const answers = await Promise.all(Array.from({ length: 100 }, () => client.echo('x')))
  t.deepEqual([...new Set(answers)].sort(), ['a x', 'b x'])
  t.is(client.pending, 0)
})

test('what a handler throws keeps its name, message, code and data', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  await served(t, server)
  const client = await connected(t, server)
  const error: unknown = await client.fail('out of it').catch((thrown: unknown) => thrown)
  t.true(error instanceof RangeError)
  const { message, code, data } = error as Error & { readonly code: string; readonly data: unknown }
  t.deepEqual([message, code, data], ['out of it', 'E_MINE', { at: 7 }])
})

test('who waits for a server gets one', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const waiting = connect(server.address('calc'), calc, { waitForServer: 40_000 })
  await served(t, server)
  const client = await waiting
  t.is(await client.add([2, 3]), 5)
  client.close()
})

test('a deadline goes with the call, and ends it; its handler is told', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const seen = await served(t, server)
  const client = await connected(t, server)
  await client.add([1, 2], { timeout: 10_000 })
  await client.add([1, 2])
  t.true(seen.remaining[0]! > 0 && seen.remaining[0]! <= 10_000)
  t.is(seen.remaining[1], Infinity)
  await t.throwsAsync(client.wait('late', { timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await until(() => seen.waiting.get('late')?.signal.aborted === true)
})

test('a call that is aborted aborts the signal of its handler, and of no other', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const seen = await served(t, server)
  const client = await connected(t, server)
  const control = new AbortController()
  const given = client.wait('given up', { signal: control.signal })
  const kept = client.wait('kept')
  await until(() => seen.waiting.size === 2)
  control.abort()
  await t.throwsAsync(given, { code: 'ERR_MILLRACE_ABORTED' })
  await until(() => seen.waiting.get('given up')!.signal.aborted)
  t.false(seen.waiting.get('kept')!.signal.aborted)
  seen.waiting.get('kept')!.answer('done')
  t.is(await kept, 'done')
})

test('a server at work shows signs of life; one that dies is taken for dead after its silence', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const seen = await served(t, server)
  const client = await connect(server.address('calc'), calc, { connection: { heartbeat: 3000 } })
  t.teardown(() => {
    client.close()
  })
  const long = client.wait('long')
  await new Promise((resolve) => setTimeout(resolve, 4500))
  seen.waiting.get('long')!.answer('there')
  t.is(await long, 'there')
  // Somebody who takes a call and says nothing.
  const nats = await natsClient(t, server)
  nats.subscribe('dead.add', { callback: () => undefined })
  await nats.flush()
  const dead = await connect(server.address('dead'), calc, { connection: { heartbeat: 300 } })
  await t.throwsAsync(dead.add([1, 2]), { code: 'ERR_MILLRACE_PEER_GONE', message: /300 ms/ })
  dead.close()
})

test('another contract at the same address is refused, by who connects and by who is called', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const other = contract('calc', { add: call<number, number>() })
  const client = await connect(server.address('calc'), other)
  await served(t, server)
  await t.throwsAsync(client.add(1), { code: 'ERR_MILLRACE_SCHEMA' })
  client.close()
  await t.throwsAsync(connect(server.address('calc'), other), { code: 'ERR_MILLRACE_SCHEMA' })
  t.is((await contractAt(server.address('calc'))).name, 'calc')
})

test('any other client of NATS can call, and can serve', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  await served(t, server)
  const nats = await natsClient(t, server)
  t.is((await nats.request('calc.add', '[20, 3]')).string(), '23')
  const failed = await nats.request('calc.fail', '"no"')
  t.is(failed.headers?.get('Nats-Service-Error-Code'), '500')
  nats.subscribe('theirs.add', {
    callback: (_error, message) => {
      const [a = 0, b = 0] = JSON.parse(message.string()) as number[]
      message.respond(String(a + b))
    },
  })
  await nats.flush()
  const client = await connect(server.address('theirs'), calc)
  t.is(await client.add([5, 6]), 11)
  client.close()
})

test('without a server of NATS who serves is told at once; who is at work when it goes hears of it', async (t) => {
  const server = await natsServer(t, { jetstream: false, started: false })
  await t.throwsAsync(served(t, server), { code: 'ERR_MILLRACE_UNREACHABLE' })
  await server.start()
  const seen = await served(t, server)
  const client = await connected(t, server)
  const cut = client.wait('cut')
  await until(() => seen.waiting.has('cut'))
  await server.end()
  await t.throwsAsync(cut, { code: 'ERR_MILLRACE_PEER_GONE' })
  await until(() => seen.waiting.get('cut')!.signal.aborted)
})

test('a result that is longer than the server takes is refused', async (t) => {
  const server = await natsServer(t, { jetstream: false, maxPayload: 4096 })
  await served(t, server)
  const client = await connected(t, server)
  await t.throwsAsync(client.echo('x'.repeat(4096 - 1024 - 3)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  t.is((await client.echo('x'.repeat(3000))).length, 3002)
})
