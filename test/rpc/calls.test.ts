// Calls within one process and between two: what goes, what comes back, and what goes wrong.

import { availableParallelism } from 'node:os'
import { setImmediate as turn } from 'node:timers/promises'

import test from 'ava'
import { call, connect, contract, serve } from 'millrace/rpc'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { calc, connected, gate, handlers, serving } from './open.js'

const code = (name: string) => ({ code: `ERR_MILLRACE_${name}` })
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await turn()
}

test('a call has the value that its handler returns, or resolves with', async (t) => {
  const name = uniqueName(t)
  await serving(t, name, { echo: async (value) => await Promise.resolve({ value }) })
  const client = await connected(t, `shm://${name}`)
  t.is(await client.add([1, 2]), 3)
  t.deepEqual(await client.echo('x'), { value: 'x' })
  t.is(client.pending, 0)
})

test('between processes, many at once: each has its own answer', async (t) => {
  const name = uniqueName(t)
  const server = actor(t)
  await server.do(async ({ serve, contract, call, own }, name) => {
    const calc = contract('calc', {
      add: call<readonly [number, number], number>(),
      echo: call<unknown, unknown>(),
      fail: call<string, never>(),
      again: call<string, unknown>({ idempotent: true }),
    })
    own['server'] = await serve(name, calc, {
      add: ([a, b]) => a + b,
      echo: async (value) => {
        await new Promise((resolve) => setTimeout(resolve, (value as number) % 7))
        return value
      },
      fail: (message) => {
        throw new Error(message)
      },
      again: (value) => value,
    })
  }, name)
  const client = await connected(t, name)
  const numbers = Array.from({ length: 200 }, (_, i) => i)
  t.deepEqual(await Promise.all(numbers.map((i) => client.echo(i))), numbers)
  t.deepEqual(
    await Promise.all(numbers.map((i) => client.add([i, i]))),
    numbers.map((i) => i + i),
  )
  await server.kill()
})

test('arguments and results that are large go whole, and what comes is nobody else’s', async (t) => {
  const name = uniqueName(t)
  const raw = contract('raw', { turn: call<Uint8Array, Uint8Array>() }, { codec: 'bytes' })
  const server = await serve(name, raw, { turn: (bytes) => bytes.reverse() })
  const client = await connect(name, raw)
  for (const length of [0, 1, 127, 128, 129, 4095, 4096, 4097, 100_000, 200_000]) {
    const bytes = new Uint8Array(length).map((_, i) => i % 251)
    const [one, other] = await Promise.all([client.turn(bytes), client.turn(bytes)])
    t.deepEqual(new Uint8Array(one), bytes.slice().reverse(), String(length))
    t.deepEqual(new Uint8Array(other), new Uint8Array(one))
    t.not(one.buffer, other.buffer)
  }
  client.close()
  server.close()
})

test('what there is never room for is too large, either way, and the next call is as good as ever', async (t) => {
  const name = uniqueName(t)
  const raw = contract('raw', { make: call<Uint8Array, Uint8Array>() }, { codec: 'bytes' })
  const server = await serve(
    name,
    raw,
    { make: (bytes) => new Uint8Array(bytes.length * 1000) },
    { bytes: 8192, calls: 4 },
  )
  const client = await connect(name, raw)
  await t.throwsAsync(client.make(new Uint8Array(10_000)), {
    ...code('TOO_LARGE'),
    message: /make\(\).* longer than 4096 bytes/,
  })
  await t.throwsAsync(client.make(new Uint8Array(10)), {
    message: /result of make\(\) has 10000 bytes/,
  })
  t.is((await client.make(new Uint8Array(1))).length, 1000)
  client.close()
  server.close()
})

test('nobody serves: at once, and nothing was executed', async (t) => {
  const name = uniqueName(t)
  const client = await connected(t, name)
  const error = await t.throwsAsync(client.add([1, 2]), code('NO_RESPONDER'))
  t.is((error as { executed?: string }).executed, 'no')
  t.regex(error.message, /add\(\).*waitForServer/)
  t.false(client.served)
})

test('the last server closes: calls that nobody has begun with are told so', async (t) => {
  const name = uniqueName(t)
  const { opened, open } = gate()
  const server = await serving(t, name, { echo: () => opened }, { concurrency: 1, drainOnClose: 0 })
  const client = await connected(t, name)
  const first = client.echo(1)
  const second = client.echo(2)
  await until(() => server.atWork === 1)
  server.close()
  const error = await t.throwsAsync(second, code('NO_RESPONDER'))
  t.is((error as { executed?: string }).executed, 'no')
  const begun = await t.throwsAsync(first, code('PEER_GONE'))
  t.is((begun as { executed?: string }).executed, 'unknown')
  open()
})

test('who waits for a server gets an answer when it comes, and NO_RESPONDER when it does not', async (t) => {
  const name = uniqueName(t)
  await t.throwsAsync(connect(name, calc, { waitForServer: 20 }), code('NO_RESPONDER'))
  const later = connect(name, calc, { waitForServer: 10_000 })
  const server = await serve(name, calc, handlers)
  const client = await later
  t.is(await client.add([1, 2]), 3)
  server.close()
  const held = client.add([3, 4])
  t.is(client.pending, 1)
  const next = await serve(name, calc, handlers)
  t.is(await held, 7)
  client.close()
  next.close()
})

test('while a server is waited for, a call can be late, or aborted', async (t) => {
  const name = uniqueName(t)
  const server = await serve(name, calc, handlers)
  const client = await connected(t, name, { waitForServer: 10_000 })
  server.close()
  const late = await t.throwsAsync(client.add([1, 2], { timeout: 5 }), code('TIMEOUT'))
  t.is((late as { executed?: string }).executed, 'no')
  const control = new AbortController()
  const aborted = client.add([1, 2], { signal: control.signal })
  control.abort()
  await t.throwsAsync(aborted, { name: 'AbortError' })
  t.is(client.pending, 0)
})

test('more calls than there may be are BUSY at once, and the others go on', async (t) => {
  const name = uniqueName(t)
  const { opened, open } = gate()
  await serving(t, name, { echo: () => opened }, { calls: 4 })
  const client = await connected(t, name)
  const calls = Array.from({ length: 4 }, () => client.echo(0))
  const error = await t.throwsAsync(client.echo(0), code('BUSY'))
  t.is((error as { executed?: string }).executed, 'no')
  open()
  await Promise.all(calls)
  t.is(await client.add([1, 2]), 3)
})

test('no more handlers are at work than may be, and no fewer', async (t) => {
  const name = uniqueName(t)
  let most = 0
  let now = 0
  await serving(
    t,
    name,
    {
      echo: async () => {
        most = Math.max(most, ++now)
        await new Promise((resolve) => setTimeout(resolve, 1))
        now--
      },
    },
    { concurrency: 3 },
  )
  const client = await connected(t, name)
  await Promise.all(Array.from({ length: 50 }, () => client.echo(0)))
  t.is(most, 3)
})

test('a server whose handlers answer at once takes thousands of calls one after another', async (t) => {
  const name = uniqueName(t)
  const options = { calls: 65_536 }
  await serving(t, name, {}, { ...options, concurrency: 1 })
  const client = await connected(t, name, options)
  // It waits by now, and all of them are there when it looks.
  await turns(200)
  const calls = Array.from({ length: 50_000 }, (_, i) => client.add([i, 1]))
  let sum = 0
  for (const result of await Promise.all(calls)) sum += result
  t.is(sum, (50_000 * 50_001) / 2)
  t.is(await client.echo('still there'), 'still there')
})

test('many calls to as many servers as there are processors, and more: each has its answer', async (t) => {
  const name = uniqueName(t)
  const many = availableParallelism() + 2
  for (let i = 0; i < many; i++)
    await serving(t, name, { add: async ([a, b]) => await Promise.resolve(a + b) })
  const client = await connected(t, name)
  for (let round = 0; round < 50; round++) {
    const calls = Array.from({ length: 16 * many }, (_, i) => client.add([i, round]))
    t.deepEqual(
      await Promise.all(calls),
      Array.from({ length: 16 * many }, (_, i) => i + round),
    )
    await turns(round % 3)
  }
})

test('a second contract at the same address is refused, by server and client', async (t) => {
  const name = uniqueName(t)
  await serving(t, name)
  const other = contract('calc', { add: call<number, number>() })
  await t.throwsAsync(serve(name, other, { add: (n) => n }), code('SCHEMA'))
  await t.throwsAsync(connect(name, other), code('SCHEMA'))
})

test('a client that closes rejects what is pending, and aborts its handlers', async (t) => {
  const name = uniqueName(t)
  const { opened, open } = gate<unknown>()
  await serving(t, name, {
    echo: (_, { signal }) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => {
          open(signal.reason)
          resolve(0)
        })
      }),
  })
  const client = await connect(name, calc)
  const pending = client.echo(0)
  await new Promise((resolve) => setTimeout(resolve, 5))
  client.close()
  const error = await t.throwsAsync(pending, code('CLOSED'))
  t.is((error as { executed?: string }).executed, 'unknown')
  t.like(await opened, code('ABORTED'))
  await t.throwsAsync(client.add([1, 2]), code('CLOSED'))
})

test('a handler’s context tells the caller, what is left, and the method', async (t) => {
  const name = uniqueName(t)
  await serving(t, name, {
    echo: (_, context) => [
      context.method,
      context.caller.pid,
      context.remaining,
      context.deadline - Date.now(),
    ],
  })
  const client = await connected(t, name)
  t.deepEqual(await client.echo(0), ['echo', process.pid, null, null], 'JSON has no Infinity')
  const [, , remaining, deadline] = (await client.echo(0, { timeout: 5000 })) as number[]
  t.true(remaining! > 4000 && remaining! <= 5000, String(remaining))
  t.true(deadline! > 4000 && deadline! <= 5001, String(deadline))
  const dated = (await client.echo(0, { deadline: new Date(Date.now() + 2000) })) as number[]
  t.true(dated[2]! > 1000 && dated[2]! <= 2001, String(dated[2]))
})
