// A client that comes before any server: it makes nothing, and what the servers have made is found by its next call.

import test from 'ava'
import { call, connect, contract, serve, stream, upload } from 'millrace/rpc'

import { objectsOf, uniqueName } from '../support/names.js'
import { calc, connected, serving } from './open.js'

const code = (name: string) => ({ code: `ERR_MILLRACE_${name}` })
const executedOf = (error: unknown) => (error as { readonly executed?: string }).executed

test('a client makes nothing: what the memory is like its server says, whoever comes first', async (t) => {
  const name = uniqueName(t)
  const client = await connected(t, name)
  t.deepEqual(objectsOf(name), [])
  t.false(client.served)
  t.like(client.stats(), { calls: 0, handles: 0, made: 0 })
  t.true(client.path.endsWith(`millrace.r.${name}`), client.path)
  const error = await t.throwsAsync(client.add([1, 2]), code('NO_RESPONDER'))
  t.is(executedOf(error), 'no')
  t.is(client.pending, 0)
  t.deepEqual(objectsOf(name), [])
  await serving(t, name, {}, { calls: 8, seats: 4, bytes: 4096 })
  t.is(await client.add([1, 2]), 3)
  t.true(client.served)
  t.like(client.stats(), { calls: 8, seats: 4, handles: 2, made: 1 })
})

test('who waits for a server that has yet to make the memory gets what was asked for, as it was given', async (t) => {
  const name = uniqueName(t)
  const signal = new AbortController()
  const aborted = connect(name, calc, { waitForServer: 60_000, signal: signal.signal })
  const late = connect(name, calc, { waitForServer: 30 })
  const waiting = connect(name, calc, { waitForServer: 60_000 })
  t.is(executedOf(await t.throwsAsync(late, code('NO_RESPONDER'))), 'no')
  signal.abort()
  await t.throwsAsync(aborted, code('ABORTED'))
  t.deepEqual(objectsOf(name), [])
  const seen: unknown[] = []
  await serving(t, name, { echo: (value) => seen.push(value) }, { calls: 8 })
  const client = await waiting
  await client.echo('first')
  t.deepEqual(seen, ['first'])
  client.close()
})

test('a client that closes before there was a server is closed', async (t) => {
  const name = uniqueName(t)
  const client = await connect(name, calc)
  t.false(client.closed)
  client.unref().ref().close()
  t.true(client.closed)
  await t.throwsAsync(client.echo(0), code('CLOSED'))
  t.throws(() => client.served, code('CLOSED'))
  t.throws(() => client.stats(), code('CLOSED'))
  await serving(t, name)
  await t.throwsAsync(client.echo(0), code('CLOSED'))
})

test('another contract than the one that is served is found out by the first call', async (t) => {
  const name = uniqueName(t)
  const other = contract('other', { add: call<number, number>() })
  const client = await connect(name, other)
  await t.throwsAsync(client.add(1), code('NO_RESPONDER'))
  await serving(t, name)
  await t.throwsAsync(client.add(1), code('SCHEMA'))
  client.close()
  await t.throwsAsync(client.add(1), code('CLOSED'))
  t.true(client.closed)
})

test('streams of a client that came first', async (t) => {
  const name = uniqueName(t)
  const flow = contract('flow', {
    ticks: stream<number, number>(),
    sum: upload<number, number>(),
  })
  const client = await connect(name, flow)
  const early = client.ticks(3)
  await t.throwsAsync(early.next(), code('NO_RESPONDER'))
  await t.throwsAsync(client.sum([1]), code('NO_RESPONDER'))
  const late = client.ticks(3) // asked for when there is a server
  const server = await serve(name, flow, {
    *ticks(n) {
      for (let i = 0; i < n; i++) yield i
    },
    async sum(items) {
      let sum = 0
      for await (const item of items) sum += item
      return sum
    },
  })
  t.deepEqual(await late.next(), { value: 0, done: false })
  await late.return()
  t.is(await client.sum([1, 2]), 3)
  client.close()
  server.close()
  t.deepEqual(objectsOf(name), [])
})
