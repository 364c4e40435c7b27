// What ends a call before its answer: its time, its signal, the call that it is made for.

import test from 'ava'

import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { connected, gate, serving } from './open.js'

const code = (name: string) => ({ code: `ERR_MILLRACE_${name}` })
const executedOf = (error: unknown) => (error as { readonly executed?: string }).executed

test('a call whose time is over rejects then, and its handler’s signal aborts', async (t) => {
  const name = uniqueName(t)
  const { opened: aborted, open } = gate<unknown>()
  const server = await serving(t, name, {
    echo: (_, { signal }) => {
      signal.addEventListener('abort', () => {
        open(signal.reason)
      })
      return aborted
    },
  })
  const client = await connected(t, name)
  const start = performance.now()
  const error = await t.throwsAsync(client.echo(0, { timeout: 300 }), code('TIMEOUT'))
  const ms = performance.now() - start
  t.true(ms >= 299 && ms < 5000, String(ms))
  t.is(executedOf(error), 'unknown')
  t.regex(error.message, /echo\(\).*300 ms.*still at work/)
  t.like(await aborted, code('ABORTED'))
  await until(() => server.atWork === 0)
  t.is(client.stats().unwanted, 1)
})

test('a call whose time is over before a server has begun with it is never begun', async (t) => {
  const name = uniqueName(t)
  const { opened, open } = gate()
  const seen: unknown[] = []
  await serving(
    t,
    name,
    {
      echo: async (value) => {
        seen.push(value)
        await opened
      },
    },
    { concurrency: 1 },
  )
  const client = await connected(t, name)
  const first = client.echo('first')
  const error = await t.throwsAsync(client.echo('second', { timeout: 10 }), code('TIMEOUT'))
  t.is(executedOf(error), 'no')
  t.regex(error.message, /no server has begun/)
  open()
  await first
  await client.echo('third')
  t.deepEqual(seen, ['first', 'third'])
})

test('a deadline that is over sends nothing that is begun; one to come is as good as a timeout', async (t) => {
  const name = uniqueName(t)
  let begun = 0
  await serving(t, name, {
    echo: () => {
      begun++
    },
  })
  const client = await connected(t, name)
  const error = await t.throwsAsync(
    client.echo(0, { deadline: Date.now() - 1000 }),
    code('TIMEOUT'),
  )
  t.is(executedOf(error), 'no')
  t.is(begun, 0)
  await client.echo(0, { deadline: Date.now() + 10_000, timeout: Infinity })
  t.is(begun, 1)
})

test('an aborted call rejects at once with AbortError and the reason, and its handler’s signal aborts', async (t) => {
  const name = uniqueName(t)
  const { opened: begun, open: begin } = gate()
  const { opened: aborted, open } = gate()
  const server = await serving(t, name, {
    echo: async (_, { signal }) => {
      begin()
      await new Promise((resolve) => {
        signal.addEventListener('abort', resolve)
      })
      open()
    },
  })
  const client = await connected(t, name)
  const control = new AbortController()
  const call = client.echo(0, { signal: control.signal })
  await begun
  const reason = new Error('enough')
  control.abort(reason)
  const error = await t.throwsAsync(call, { name: 'AbortError', ...code('ABORTED') })
  t.is(error.cause, reason)
  t.is(executedOf(error), 'unknown')
  await aborted
  await until(() => server.atWork === 0)
  await t.throwsAsync(client.echo(1, { signal: control.signal }), { name: 'AbortError' })
  t.is(client.stats().made, 1, 'an aborted signal sends nothing')
})

test('a thousand aborted calls leave no listener, no slot and no wait', async (t) => {
  const name = uniqueName(t)
  await serving(
    t,
    name,
    { echo: () => new Promise<never>(() => undefined) },
    { concurrency: 4, drainOnClose: 0 },
  )
  const client = await connected(t, name)
  for (let round = 0; round < 10; round++) {
    const control = new AbortController()
    const calls = Array.from({ length: 100 }, () => client.echo(0, { signal: control.signal }))
    await new Promise((resolve) => setImmediate(resolve))
    control.abort()
    const errors = await Promise.allSettled(calls)
    t.true(errors.every(({ status }) => status === 'rejected'))
  }
  t.is(client.pending, 0)
  t.is(client.stats().waiting, 0)
})

test('a call that is made for another one ends with it, and takes what is left of its time', async (t) => {
  const name = uniqueName(t)
  const inner = uniqueName(t)
  const lefts: number[] = []
  const { opened: innerAborted, open } = gate()
  await serving(t, inner, {
    echo: (_, { remaining, signal }) => {
      lefts.push(remaining)
      signal.addEventListener('abort', () => {
        open()
      })
      return new Promise<never>(() => undefined)
    },
    add: (_, { remaining }) => {
      lefts.push(remaining)
      return 0
    },
  })
  const back = await connected(t, inner)
  await serving(t, name, {
    echo: (value, context) => back.echo(value, context),
    add: async (input, context) => {
      await back.add(input, { within: context, timeout: 100_000 })
      await back.add(input, { within: context, timeout: 1000 })
      return 0
    },
  })
  const client = await connected(t, name)
  await client.add([1, 2], { timeout: 5000 })
  t.true(lefts[0]! > 3000 && lefts[0]! <= 5000, String(lefts[0]))
  t.true(lefts[1]! <= 1000, String(lefts[1]))
  const control = new AbortController()
  const call = client.echo(0, { signal: control.signal, timeout: 10_000 })
  await until(() => lefts.length === 3)
  control.abort()
  await t.throwsAsync(call, { name: 'AbortError' })
  await innerAborted
  t.pass('the inner handler was told')
})
