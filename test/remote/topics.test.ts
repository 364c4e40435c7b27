// A bus by an address: what only a connection has, or has not. What both promise the suite asks for (lib/conformance/patterns/topics.ts).

import { Readable } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import { select } from 'millrace'
import { Topics, topics, json, type TopicsOptions } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const patience = 15_000

async function pair(t: ExecutionContext, options: TopicsOptions = {}) {
  const near = Topics.open(uniqueName(t), options)
  t.teardown(() => {
    near.close()
  })
  const share = await near.share('tcp://127.0.0.1:0')
  t.teardown(() => share.close())
  const far = Topics.open(share.address)
  t.teardown(() => {
    far.close()
  })
  return { near, far }
}

test('a large message, a loan, values, and select', async (t) => {
  const { near, far } = await pair(t, { bytes: 8_388_608 })
  const here = await far.subscribe('>')
  const big = Buffer.alloc(3_000_000, 'x')
  await near.publish('big', big)
  const message = await here.receive()
  t.true(Buffer.from(message.bytes).equals(big))
  t.true(Math.abs(message.publishedAt - Date.now()) < 60_000)
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
  t.true(far instanceof Topics)
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
