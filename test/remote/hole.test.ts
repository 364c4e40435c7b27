// What is elsewhere, when the way to it becomes a hole of which nobody is told, and heals: who gets the jobs, what is known of a push, which
// messages come, and which calls are made again.

import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import type { ConnectionOptions } from 'millrace/net'
import { call, connect, contract, serve } from 'millrace/rpc'
import { Topics } from 'millrace/topics'
import { WorkQueue, type WorkQueueOptions } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { open, texts } from '../work/open.js'
import { Proxy } from './proxy.js'

const patience = 15_000
const heartbeat = 1500
const reconnect = { base: 1, cap: 20 } as const
const unknown = { code: 'ERR_MILLRACE_PEER_GONE', executed: 'unknown' } as const

/** What is done with a job of a queue elsewhere is answered, though its type is that of one here. */
const answered = async (done: unknown): Promise<unknown> => await done

async function work(
  t: ExecutionContext,
  connection: ConnectionOptions,
  options: WorkQueueOptions = {},
) {
  const near = open(t, uniqueName(t, { mayLeave: options.dedupWindow !== undefined }), options)
  const share = await near.share('tcp://127.0.0.1:0', { heartbeat })
  t.teardown(() => share.close())
  const proxy = new Proxy(share.address)
  const far = WorkQueue.open(await proxy.listen(t), { connection: { ...connection, reconnect } })
  t.teardown(() => {
    far.close()
  })
  return { near, far, proxy }
}

for (const [who, own] of [
  ['that hears of it', heartbeat],
  ['that does not', 0],
] as const) {
  test(`the job of a worker behind a hole is another one's, and a worker ${who} cannot complete it`, async (t) => {
    const { near, far, proxy } = await work(t, { heartbeat: own })
    await near.push('job')
    const old = await within(patience, far.takeOne())
    await answered(old.extend(60_000))
    t.is(Buffer.from(old.bytes).toString(), 'job')
    await answered(old.extend(60_000)) // by now it is known that its attempt has begun
    const lost = new Promise((resolve) => {
      old.signal.addEventListener('abort', resolve)
    })
    proxy.hole()
    const fresh = await within(patience, near.takeOne())
    t.is(fresh.attempt, 2)
    t.true(fresh.token > old.token)
    if (own > 0) {
      await within(patience, lost)
      await t.throwsAsync(Promise.resolve(old.complete()), { code: 'ERR_MILLRACE_LEASE_LOST' })
      proxy.heal()
    } else {
      const late = Promise.resolve(old.complete())
      proxy.heal()
      t.like(await t.throwsAsync<MillraceError>(within(patience, late)), unknown)
    }
    await within(patience, far.push('after'))
    t.is(near.stats().completed, 0)
    fresh.complete()
    t.is(near.stats().completed, 1)
    t.deepEqual(texts(near), ['after'])
  })
}

test('a push into a hole: it is said that it may be there; with an id it is made again, and counts once', async (t) => {
  const { near, far, proxy } = await work(t, { heartbeat }, { dedupWindow: 60_000 })
  await within(patience, far.push('before'))
  proxy.hole()
  const plain = far.push('plain')
  const withId = far.push('with id', { id: 'a' })
  t.like(await t.throwsAsync<MillraceError>(within(patience, plain)), unknown)
  proxy.heal()
  await within(patience, withId)
  await within(patience, far.push('after'))
  // Whether the hole has let it out after all is not known.
  t.deepEqual(
    texts(near).filter((one) => one !== 'plain'),
    ['before', 'with id', 'after'],
  )
})

test('a push that gives up in a hole says so, and a take that waits there goes on after it', async (t) => {
  const { near, far, proxy } = await work(t, { heartbeat })
  await within(patience, far.push('before'))
  t.deepEqual(texts(near), ['before'])
  const taking = far.takeOne()
  proxy.hole()
  const late = await t.throwsAsync<MillraceError>(far.push('late', { timeout: 20 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
  })
  t.is(late.executed, 'unknown')
  await until(() => far.connection!.state !== 'connected', patience)
  proxy.heal()
  await near.push('job')
  let job = await within(patience, taking)
  // What gave up may have come out of the hole.
  if (Buffer.from(job.bytes).toString() === 'late') {
    await answered(job.complete())
    job = await within(patience, far.takeOne())
  }
  t.is(Buffer.from(job.bytes).toString(), 'job')
  await answered(job.complete())
})

test('a subscription behind a hole gets what was published meanwhile, each once, or counts it as missed', async (t) => {
  const near = Topics.open(uniqueName(t), { messages: 64 })
  t.teardown(() => {
    near.close()
  })
  const share = await near.share('tcp://127.0.0.1:0', { heartbeat })
  t.teardown(() => share.close())
  const proxy = new Proxy(share.address)
  const far = Topics.open(await proxy.listen(t), { connection: { heartbeat, reconnect } })
  t.teardown(() => {
    far.close()
  })
  const here = await within(patience, far.subscribe('a'))
  const received: number[] = []
  const receive = async (last: number): Promise<number> => {
    let missed = 0
    for (;;) {
      using message = await within(patience, here.receive())
      missed += message.missed
      received.push(Number(message.text()))
      if (received.at(-1) === last) return missed
    }
  }
  let published = 0
  const publish = async (count: number): Promise<number> => {
    for (let i = 0; i < count; i++) await near.publish('a', String(published++))
    return published - 1
  }
  await receive(await publish(3))
  proxy.hole()
  await publish(5) // to the connection that is in the hole
  await until(() => near.stats().subscriptions === 0 && !isConnected(far), patience)
  const last = await publish(5)
  proxy.heal()
  t.is(await receive(last), 0)
  t.deepEqual(
    received,
    Array.from({ length: 13 }, (_, i) => i),
  )
  t.is(here.missed, 0)
  proxy.hole()
  await until(() => near.stats().subscriptions === 0 && !isConnected(far), patience)
  const final = await publish(1000)
  proxy.heal()
  // What the bus has not kept is not known in number.
  t.true((await receive(final)) > 0)
  t.deepEqual(
    received.slice(13),
    Array.from({ length: 64 }, (_, i) => final - 63 + i),
  )
})

function isConnected(far: Topics): boolean {
  return far.connection!.state === 'connected'
}

test('a call in a hole may have been executed; an idempotent one is made again after it', async (t) => {
  const calc = contract('calc', {
    add: call<readonly [number, number], number>(),
    note: call<string, number>(),
    again: call<string, string>({ idempotent: true }),
  })
  const noted: string[] = []
  const server = await serve(
    'tcp://127.0.0.1:0',
    calc,
    {
      add: ([a, b]) => a + b,
      note: (text) => noted.push(text),
      again: (text) => {
        noted.push(text)
        return text
      },
    },
    { connection: { heartbeat } },
  )
  t.teardown(() => server[Symbol.asyncDispose]())
  const proxy = new Proxy(server.name)
  const client = await connect(await proxy.listen(t), calc, {
    waitForServer: patience,
    connection: { heartbeat, reconnect },
  })
  t.teardown(() => {
    client.close()
  })
  t.is(await within(patience, client.add([1, 1])), 2)
  proxy.hole()
  const calls = [client.note('once'), client.again('again')] as const
  await t.throwsAsync(client.note('late', { timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.like(await t.throwsAsync<MillraceError>(within(patience, calls[0])), unknown)
  const waiting = client.add([2, 2])
  proxy.heal()
  t.is(await within(patience, calls[1]), 'again')
  t.is(await within(patience, waiting), 4)
  t.true(noted.filter((one) => one === 'once').length <= 1)
  t.true(noted.includes('again'))
})
