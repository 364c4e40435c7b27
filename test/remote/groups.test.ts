// Queue groups of a bus by an address: what a member gets, and what a connection does when it ends. That one of them gets each message
// the suite asks for (lib/conformance/patterns/topics.ts).

import test, { type ExecutionContext } from 'ava'
import { select } from 'millrace'
import { Topics, type GroupSubscription, type TopicJob } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { Proxy } from './proxy.js'

const patience = 15_000

async function shared(t: ExecutionContext) {
  const near = Topics.open(uniqueName(t))
  t.teardown(() => {
    near.close()
    WorkQueue.unlink(`${near.name}.g`)
  })
  const share = await near.share('tcp://127.0.0.1:0')
  t.teardown(() => share.close())
  return { near, address: share.address }
}

function open(t: ExecutionContext, address: string): Topics {
  const far = Topics.open(address, { connection: { reconnect: { base: 5, cap: 20 } } })
  t.teardown(() => {
    far.close()
  })
  return far
}

async function next(member: GroupSubscription): Promise<TopicJob> {
  return await within(patience, member.receive())
}

/** Where the bus is it is done when the call returns; elsewhere a promise says when. */
async function settled(done: unknown): Promise<void> {
  await done
}

test('a member gets what a message is, and settles it as a job', async (t) => {
  const { near, address } = await shared(t)
  const far = open(t, address)
  t.true(far.traits.groups)
  using member = await far.subscribe('a', { queue: 'g' })
  t.is(member.group, 'g')
  await near.publish('a', 'hello', { headers: { traceparent: '00-1' } })
  const job = await next(member)
  t.deepEqual(
    [job.subject, job.text(), job.headers, job.length, job.attempt],
    ['a', 'hello', { traceparent: '00-1' }, 5, 1],
  )
  t.true(Math.abs(job.publishedAt - Date.now()) < 60_000)
  await settled(job.retry())
  const again = await next(member)
  t.deepEqual([again.text(), again.attempt], ['hello', 2])
  await settled(again.reject(new Error('enough')))
  using here = WorkQueue.open(`${near.name}.g`)
  t.is([...here.dead.peek()].length, 1)
  // What is no message of a bus is a dead letter as well.
  await here.push('not one')
  await t.throwsAsync(next(member), { code: 'ERR_MILLRACE_CORRUPT' })
  await until(() => [...here.dead.peek()].length === 2)
})

test('what a connection cannot carry, and what the bus refuses', async (t) => {
  const { near, address } = await shared(t)
  const far = open(t, address)
  using member = await far.subscribe('a', { queue: 'g' })
  t.throws(() => member.tryReceive(), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await t.throwsAsync(async () => select([member]), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await t.throwsAsync(within(patience, far.subscribe('b', { queue: 'g' })), {
    code: 'ERR_MILLRACE_GEOMETRY',
  })
  await near.publish('a', 'still')
  t.is((await next(member)).text(), 'still')
  const nobody = open(t, 'tcp://127.0.0.1:1')
  const control = new AbortController()
  const aborted = nobody.subscribe('a', { queue: 'g', signal: control.signal })
  const closed = nobody.subscribe('b', { queue: 'g' })
  control.abort()
  await t.throwsAsync(within(patience, aborted), { code: 'ERR_MILLRACE_ABORTED' })
  nobody.close()
  await t.throwsAsync(within(patience, closed), { code: 'ERR_MILLRACE_CLOSED' })
})

test('who leaves gives back what is in hand, and the signal and the end of the bus end a member', async (t) => {
  const { near, address } = await shared(t)
  const far = open(t, address)
  const control = new AbortController()
  const first = await far.subscribe('a', { queue: 'g', signal: control.signal })
  const second = await open(t, address).subscribe('a', { queue: 'g' })
  await near.publish('a', 'once')
  const job = await next(first)
  t.is(job.text(), 'once')
  control.abort()
  t.true(first.closed)
  const again = await next(second)
  t.deepEqual([again.text(), again.attempt], ['once', 2])
  await settled(again.complete())
  const third = await far.subscribe('a', { queue: 'g' })
  const waiting = third.receive()
  far.close()
  await t.throwsAsync(within(patience, waiting), { code: 'ERR_MILLRACE_CLOSED' })
  t.true(third.closed)
})

test('a member whose connection broke comes back, and has what was published meanwhile', async (t) => {
  const { near, address } = await shared(t)
  const proxy = new Proxy(address)
  const member = await open(t, await proxy.listen(t)).subscribe('a', { queue: 'g' })
  await near.publish('a', 'in hand')
  const job = await next(member)
  t.is(job.text(), 'in hand')
  const lost = new Promise((resolve) => {
    job.signal.addEventListener('abort', resolve)
  })
  const waiting = member.receive()
  proxy.refuses = true
  proxy.cut()
  await within(patience, lost)
  await t.throwsAsync(settled(job.complete()), { code: 'ERR_MILLRACE_LEASE_LOST' })
  t.is(await near.publish('a', 'meanwhile'), 1, 'it is a member still')
  proxy.refuses = false
  const found = [await within(patience, waiting), await next(member)]
  t.deepEqual(found.map((one) => one.text()).sort(), ['in hand', 'meanwhile'])
  for (const one of found) await settled(one.complete())
  member.close()
  await until(() => near.stats().subscriptions === 0)
})
