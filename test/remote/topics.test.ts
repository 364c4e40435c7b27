// A bus by an address: what a connection carries of its promises, and what is said when it breaks.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import { select } from 'millrace'
import { Topics, topics, json, type Subscription, type TopicsOptions } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { Proxy } from './proxy.js'

const patience = 15_000

async function pair(
  t: ExecutionContext,
  options: TopicsOptions = {},
  address = 'tcp://127.0.0.1:0',
) {
  const near = Topics.open(uniqueName(t), options)
  t.teardown(() => {
    near.close()
  })
  const share = await near.share(address)
  t.teardown(() => share.close())
  const far = Topics.open(share.address)
  t.teardown(() => {
    far.close()
  })
  return { near, far, address: share.address }
}

async function texts(subscription: Subscription, count: number): Promise<string[]> {
  const found: string[] = []
  while (found.length < count) {
    using message = await within(patience, subscription.receive())
    found.push(message.text())
  }
  return found
}

for (const [what, at] of [
  [
    'a Unix socket',
    (t: ExecutionContext) => `unix://${join(tmpdir(), `millrace-${uniqueName(t)}.sock`)}`,
  ],
  ['TCP', () => 'tcp://127.0.0.1:0'],
] as const) {
  test(`over ${what}: published and received as where the bus is`, async (t) => {
    const { near, far } = await pair(t, {}, at(t))
    t.true(far instanceof Topics)
    t.is(await far.publish('line1.temp', 'nobody'), 0)
    const there = await near.subscribe('line1.*')
    const here = await far.subscribe(['line1.>', 'other'], { replay: 'last' })
    t.is(await far.publish('line1.temp', 'both', { headers: { traceparent: '00-1' } }), 2)
    t.is(await near.publish('other', 'far alone'), 1)
    t.is(await far.publishBatch('line1.speed', ['a', 'b', 'c']), 3)
    t.deepEqual(await texts(there, 4), ['both', 'a', 'b', 'c'])
    const first = await here.receive()
    t.deepEqual([first.text(), first.subject], ['nobody', 'line1.temp'])
    const message = await here.receive()
    t.deepEqual(
      [message.text(), message.subject, message.headers, message.missed],
      ['both', 'line1.temp', { traceparent: '00-1' }, 0],
    )
    t.true(Math.abs(message.publishedAt - Date.now()) < 60_000)
    message.release()
    t.throws(() => message.bytes, { code: 'ERR_MILLRACE_RELEASED' })
    t.deepEqual(await texts(here, 4), ['far alone', 'a', 'b', 'c'])
    t.is(here.missed, 0)
    t.is(far.messages, near.messages)
  })
}

test('a large message, a loan, values, and select', async (t) => {
  const { near, far } = await pair(t, { bytes: 8_388_608 })
  const here = await far.subscribe('>')
  const big = Buffer.alloc(3_000_000, 'x')
  await near.publish('big', big)
  const message = await here.receive()
  t.true(Buffer.from(message.bytes).equals(big))
  const loan = await far.loan('loaned', 5)
  t.is(await loan.fillFrom(Readable.from([Buffer.from('hel'), Buffer.from('lo')])), 5)
  t.is(await loan.publish(), 1)
  const [chosen] = [await within(patience, select([here]))]
  t.truthy(chosen)
  t.is((await here.receive()).text(), 'hello')
  const typed = topics<{ 'order.*': { readonly id: number } }>(far, { codec: json })
  const orders = await typed.subscribe('order.*')
  await typed.publish('order.new', { id: 7 })
  t.deepEqual((await orders.receive()).value, { id: 7 })
})

test('what cannot be had over a connection says so, and traits do', async (t) => {
  const { near, far } = await pair(t)
  const here = await far.subscribe('a')
  t.deepEqual([near.traits.immediate, far.traits.immediate], [true, false])
  const calls: readonly (() => unknown)[] = [
    () => far.tryPublish('a', 'x'),
    () => far.publishSync('a', 'x'),
    () => far.tryLoan('a', 1),
    () => far.stats(),
    () => here.receiveSync(),
  ]
  for (const call of calls) t.throws(call, { code: 'ERR_MILLRACE_UNSUPPORTED' }, String(call))
  await t.throwsAsync(far.publish('a b', 'x'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  await t.throwsAsync(far.publish('a', Buffer.alloc(2 ** 24)), { code: 'ERR_MILLRACE_TOO_LARGE' })
})

test('who stands still holds up publishers as far as it may lag behind, and nobody else', async (t) => {
  const { near, far } = await pair(t, { messages: 64 })
  const slow = await far.subscribe('slow')
  const other = await far.subscribe('other')
  let published = 0
  const control = new AbortController()
  const publishing = (async () => {
    for (;;) {
      await near.publish('slow', String(published), { signal: control.signal })
      published++
    }
  })().catch(() => undefined)
  let before = -1
  await until(async () => {
    const same = published === before
    before = published
    await new Promise((resolve) => setTimeout(resolve, 50))
    return same && published > 64
  })
  t.true(published < 5000, String(published))
  control.abort()
  await publishing
  t.deepEqual(
    await texts(slow, published),
    Array.from({ length: published }, (_, i) => String(i)),
  )
  await far.publish('other', 'still')
  t.deepEqual(await texts(other, 1), ['still'])
  t.is(slow.missed, 0)
})

test('overwritten messages are counted, over a connection as in the memory', async (t) => {
  const { near, far } = await pair(t, { messages: 64 })
  const here = await far.subscribe('a', { policy: 'overwrite-oldest' })
  for (let i = 0; i < 5000; i++) near.tryPublish('a', String(i))
  let received = 0
  let last = -1
  while (last !== 4999) {
    using message = await within(patience, here.receive())
    received++
    const now = Number(message.text())
    t.is(now, last + 1 + message.missed)
    last = now
  }
  t.is(received + here.missed, 5000)
})

test('a cut connection is subscribed anew from where it was; what the bus has not kept is counted', async (t) => {
  const { near, address } = await pair(t, { messages: 64 })
  const proxy = new Proxy(address)
  const far = Topics.open(await proxy.listen(t), {
    connection: { reconnect: { base: 5, cap: 20 } },
  })
  t.teardown(() => {
    far.close()
  })
  const here = await far.subscribe('a')
  await near.publish('a', 'before')
  t.deepEqual(await texts(here, 1), ['before'])
  proxy.refuses = true
  proxy.cut()
  await until(() => near.stats().subscriptions === 0)
  for (let i = 0; i < 10; i++) await near.publish('a', `meanwhile ${String(i)}`)
  proxy.refuses = false
  t.deepEqual(
    await texts(here, 10),
    Array.from({ length: 10 }, (_, i) => `meanwhile ${String(i)}`),
  )
  t.is(here.missed, 0)
  proxy.refuses = true
  proxy.cut()
  await until(() => near.stats().subscriptions === 0)
  for (let i = 0; i < 1000; i++) await near.publish('a', String(i))
  proxy.refuses = false
  using first = await within(patience, here.receive())
  t.true(first.missed > 0, 'it is not silent')
  t.true(here.missed > 0)
  t.is((await within(patience, here.receive())).missed, 0)
})

test('who subscribes where nobody shares is let go by its signal, and by the end of the bus', async (t) => {
  const far = Topics.open('tcp://127.0.0.1:1')
  const control = new AbortController()
  const aborted = far.subscribe('a', { signal: control.signal })
  const closed = far.subscribe('b')
  await new Promise((resolve) => setTimeout(resolve, 20))
  control.abort()
  await t.throwsAsync(within(patience, aborted), { code: 'ERR_MILLRACE_ABORTED' })
  far.close()
  await t.throwsAsync(within(patience, closed), { code: 'ERR_MILLRACE_CLOSED' })
})

test('the end of either side ends its subscriptions', async (t) => {
  const { near, far } = await pair(t)
  const here = await far.subscribe('a')
  const waiting = here.receive()
  far.close()
  await t.throwsAsync(within(patience, waiting), { code: 'ERR_MILLRACE_CLOSED' })
  await until(() => near.stats().subscriptions === 0)
  t.true(here.closed)
})
