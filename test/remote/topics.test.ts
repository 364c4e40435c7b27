// A bus by an address: what only a connection has, or has not. What both promise the suite asks for (lib/conformance/patterns/topics.ts).

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import { select } from 'millrace'
import { Topics, topics, json, type TopicsOptions } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

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

test('who subscribes where nobody shares waits as long as its timeout, and not in silence about why', async (t) => {
  const far = Topics.open('tcp://127.0.0.1:1')
  t.teardown(() => {
    far.close()
  })
  await until(() => far.connection?.lastError !== undefined)
  await t.throwsAsync(within(patience, far.subscribe('a', { timeout: 50 })), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /within 50 ms.*nobody listens at 'tcp:/,
  })
  await t.throwsAsync(within(patience, far.subscribe('a', { timeout: 50, queue: 'g' })), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /within 50 ms/,
  })
  await t.throwsAsync(far.subscribe('a', { timeout: -1 }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /timeout/,
  })
  t.false(far.closed)
})

test('a timeout of subscribing bounds the joining alone, here and elsewhere', async (t) => {
  const { near, far } = await pair(t)
  for (const bus of [near, far]) {
    const subscription = await bus.subscribe('a', { timeout: 10_000 })
    await near.publish('a', 'x')
    t.is((await within(patience, subscription.receive())).text(), 'x')
    await t.throwsAsync(bus.subscribe('a', { timeout: -1 }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    })
    subscription.close()
  }
})

test('who gives up a subscription where nobody shares does not stay alive for it', async (t) => {
  const script = `
    import { Topics } from 'millrace/topics'
    const far = Topics.open('tcp://127.0.0.1:1')
    await far.subscribe('a', { timeout: 20 }).catch(({ code }) => console.log(code))`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script])
  t.teardown(() => child.kill('SIGKILL'))
  const out: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  const [code] = (await within(patience, once(child, 'close'))) as [number]
  t.deepEqual([code, Buffer.concat(out).toString()], [0, 'ERR_MILLRACE_TIMEOUT\n'])
})
