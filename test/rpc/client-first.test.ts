// A client that comes before any server: it makes nothing, and what the servers have made is found by its next call.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { call, connect, contract, serve, stream, upload } from 'millrace/rpc'

import { objectsOf, sharedMemory, uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
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

/** As a clean-up does that knows nothing of who is there. */
function remove(name: string): void {
  for (const object of objectsOf(name)) rmSync(join(sharedMemory, object))
}

test('a client whose memory was removed goes to the server that has made it anew', async (t) => {
  const name = uniqueName(t)
  const old = await serving(t, name)
  const client = await connected(t, name)
  t.is(await client.add([1, 2]), 3)
  remove(name)
  const server = await serving(t, name, { add: ([a, b]) => 10 * (a + b) })
  t.is(await client.add([1, 2]), 3, 'somebody serves where it is')
  old.close()
  t.is(await client.add([1, 2]), 30)
  t.true(client.served)
  t.is(client.pending, 0)
  t.like(client.stats(), { handles: 2 })
  server.close()
  await t.throwsAsync(client.add([1, 2]), code('NO_RESPONDER'))
})

test('calls that wait for a server go to the one that has made the memory anew, each with what is left of its time', async (t) => {
  const name = uniqueName(t)
  const old = await serving(t, name)
  const client = await connected(t, name, { waitForServer: 60_000 })
  old.close()
  const given = { text: 'as it was given' }
  const waiting = client.echo(given, { timeout: 30_000 })
  given.text = 'changed'
  const late = client.echo(1, { timeout: 20 })
  const signal = new AbortController()
  const aborted = client.echo(2, { signal: signal.signal })
  const coming = connect(name, calc, { waitForServer: 60_000 })
  await t.throwsAsync(late, code('TIMEOUT'))
  signal.abort()
  await t.throwsAsync(aborted, code('ABORTED'))
  remove(name)
  const seen: unknown[] = []
  await serving(t, name, { echo: (value) => (seen.push(value), value) })
  t.deepEqual(await waiting, { text: 'as it was given' })
  t.deepEqual(seen, [{ text: 'as it was given' }])
  const other = await coming
  t.is(await other.add([1, 2]), 3)
  other.close()
})

test('streams go to the memory that was made anew as well', async (t) => {
  const name = uniqueName(t)
  const flow = contract('flow', { ticks: stream<number, number>() })
  const from = (first: number) => ({
    *ticks(n: number) {
      for (let i = 0; i < n; i++) yield first + i
    },
  })
  const old = await serve(name, flow, from(0))
  const client = await connect(name, flow)
  t.teardown(() => {
    client.close()
    old.close()
  })
  const ticks = async () => {
    const numbers: number[] = []
    for await (const n of client.ticks(2)) numbers.push(n)
    return numbers
  }
  t.deepEqual(await ticks(), [0, 1])
  old.close()
  remove(name)
  const server = await serve(name, flow, from(10))
  t.teardown(() => {
    server.close()
  })
  let numbers: number[] = []
  await until(async () => {
    // The connection to the old one may not have ended yet.
    numbers = await ticks().catch((error: unknown) => {
      t.like(error, code('PEER_GONE'))
      return []
    })
    return numbers.length > 0
  })
  t.deepEqual(numbers, [10, 11])
})
