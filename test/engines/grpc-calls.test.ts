// Calls over gRPC, of one value and of many.

import test, { type ExecutionContext } from 'ava'
import {
  call,
  connect,
  contract,
  contractAt,
  serve,
  stream,
  type CallServer,
  type Connected,
  type ConnectOptions,
  type Handlers,
  type ServeOptions,
} from 'millrace/rpc'

import { until } from '../support/until.js'
import { all } from './support/values.js'

const calc = contract('calc', {
  add: call<readonly [number, number], number>({ idempotent: true }),
  fail: call<string>(),
  wait: call<string, string>(),
  echo: call<string, string>(),
  breaks: stream<number, number>(),
  long: stream<number, string>(),
})
type Calc = typeof calc

interface Seen {
  readonly server: CallServer
  readonly waiting: Map<string, { answer: (text: string) => void; signal: AbortSignal }>
  readonly remaining: number[]
}

async function served(
  t: ExecutionContext,
  address = 'grpc://127.0.0.1:0/calc',
  options?: ServeOptions,
): Promise<Seen> {
  const waiting: Seen['waiting'] = new Map()
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
        waiting.set(text, { answer, signal })
      }),
    echo: (text) => text,
    async *long(length) {
      yield await Promise.resolve('x'.repeat(length))
    },
    async *breaks(n) {
      for (let i = 0; i < n; i++) yield await Promise.resolve(i)
      throw Object.assign(new RangeError('in the middle'), { code: 'E_MINE' })
    },
  }
  const server = await serve(address, calc, handlers, options)
  const seen: Seen = { server, waiting, remaining: [] }
  t.teardown(async () => {
    for (const { answer } of waiting.values()) answer('')
    await server[Symbol.asyncDispose]()
  })
  return seen
}

async function connected(
  t: ExecutionContext,
  { server }: Seen,
  options?: ConnectOptions,
): Promise<Connected<Calc>> {
  const client = await connect(server.name, calc, options)
  t.teardown(() => {
    client.close()
  })
  return client
}

test('a call is answered, and many at once', async (t) => {
  const seen = await served(t)
  t.regex(seen.server.name, /^grpc:\/\/127\.0\.0\.1:[1-9]\d*\/calc$/)
  const client = await connected(t, seen)
  t.is(await client.add([1, 2]), 3)
  const answers = await Promise.all(Array.from({ length: 200 }, (_, n) => client.add([n, n])))
  t.deepEqual(
    answers,
    Array.from({ length: 200 }, (_, n) => 2 * n),
  )
  t.is(client.pending, 0)
  t.is(await client.echo(''), '')
})

test('what a handler throws keeps its name, message, code and data', async (t) => {
  const client = await connected(t, await served(t))
  const error: unknown = await client.fail('out of it').catch((thrown: unknown) => thrown)
  t.true(error instanceof RangeError)
  const { message, code, data } = error as Error & { readonly code: string; readonly data: unknown }
  t.deepEqual([message, code, data], ['out of it', 'E_MINE', { at: 7 }])
  const got: number[] = []
  const broken = await t.throwsAsync<Error & { code?: string }>(
    (async () => {
      for await (const item of client.breaks(3)) got.push(item)
    })(),
    { instanceOf: RangeError },
  )
  t.deepEqual([got, broken.code], [[0, 1, 2], 'E_MINE'])
})

test('a deadline goes with the call, and ends it; its handler is told', async (t) => {
  const seen = await served(t)
  const client = await connected(t, seen)
  await client.add([1, 2], { timeout: 10_000 })
  await client.add([1, 2])
  t.true(seen.remaining[0]! > 0 && seen.remaining[0]! <= 10_001, String(seen.remaining[0]))
  t.is(seen.remaining[1], Infinity)
  await t.throwsAsync(client.wait('late', { timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await until(() => seen.waiting.get('late')?.signal.aborted === true)
})

test('a call that is aborted aborts the signal of its handler, and of no other', async (t) => {
  const seen = await served(t)
  const client = await connected(t, seen)
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

test('who waits for a server gets one, and a name is served once', async (t) => {
  const other = await served(t)
  const address = other.server.name.replace('/calc', '/other')
  const waiting = connect(address, calc, { waitForServer: 40_000 })
  await served(t, address)
  const there = await waiting
  t.is(await there.add([2, 3]), 5)
  there.close()
  await t.throwsAsync(served(t, address), { code: 'ERR_MILLRACE_EXISTS', message: /'other'/ })
})

test('another contract at the same address is refused, by who connects and by who is called', async (t) => {
  const seen = await served(t)
  const other = contract('calc', { add: call<number, number>() })
  await t.throwsAsync(connect(seen.server.name, other), { code: 'ERR_MILLRACE_SCHEMA' })
  t.is((await contractAt(seen.server.name)).name, 'calc')
})

test('what is too long is refused before it is sent, and by who takes less', async (t) => {
  const seen = await served(t, undefined, { connection: { maxBytes: 8_000_000 } })
  const own = { connection: { maxBytes: 6_000_000 } }
  const client = await connected(t, seen, own)
  // More than gRPC takes unless it is told.
  t.is((await client.echo('x'.repeat(5_000_000))).length, 5_000_000)
  await t.throwsAsync(client.echo('x'.repeat(6_000_000)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  const large = await connected(t, seen)
  await t.throwsAsync(large.echo('x'.repeat(8_000_000)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  await t.throwsAsync(all(client.long(6_000_000)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  await t.throwsAsync(all(large.long(8_000_000)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  t.is(await large.echo('goes on'), 'goes on')
})
