// How tasks of one handle wait for messages and for room: in order, until they are served, aborted or closed out.

import test from 'ava'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { thread } from '../support/thread.js'
import { within } from '../support/until.js'
import { messages, open, subscribed, texts } from './open.js'

const soon = { timeout: 15_000 }
const aTurn = () => new Promise((resolve) => setImmediate(resolve))

for (const [how, tuning] of Object.entries({ asleep: { poll: 0, spin: 0 }, polling: {} })) {
  test(`calls of one subscription are served in the order they came (${how})`, async (t) => {
    const name = uniqueName(t)
    const bus = open(t, name)
    const own = open(t, name, tuning)
    const subscription = await own.subscribe('a')
    const order: string[] = []
    const loop = subscription.messages()
    const waits = [
      subscription.receive(soon).then((message) => order.push(`one ${message.text()}`)),
      loop.next().then(({ value }) => order.push(`loop ${value!.text()}`)),
      subscription
        .receiveBatch(1, soon)
        .then((batch) => order.push(`batch ${batch.map((one) => one.text()).join()}`)),
      subscription.receive(soon).then((message) => order.push(`last ${message.text()}`)),
    ]
    t.is(subscription.tryReceive(), undefined)
    for (let i = 0; i < 4; i++) {
      t.is(bus.tryPublish('a', String(i)), 1)
      await aTurn()
    }
    await Promise.all(waits)
    t.deepEqual(order, ['one 0', 'loop 1', 'batch 2', 'last 3'])
    await loop.return()
  })

  test(`many subscriptions of one handle wait at once, and each gets its own (${how})`, async (t) => {
    const name = uniqueName(t)
    const bus = open(t, name)
    const own = open(t, name, tuning)
    const all = await Promise.all(
      Array.from({ length: 40 }, (_, i) => own.subscribe(`s${i}`, { depth: 4 })),
    )
    const everything = await own.subscribe('>')
    for (let round = 0; round < 3; round++) {
      const waits = all.map((subscription) => subscription.receive(soon))
      await aTurn()
      for (const i of all.keys()) {
        // One after the other, so that they are woken one by one.
        const turn = (i * 7) % all.length
        t.is(bus.tryPublish(`s${turn}`, `${turn}`), 2)
        t.is((await waits[turn]!).text(), `${turn}`)
      }
      t.is(messages(everything).length, all.length)
    }
    for (const subscription of all) t.is(subscription.tryReceive(), undefined)
  })

  test(`a handle wakes its own subscriptions, and its own publishes (${how})`, async (t) => {
    const own = open(t, uniqueName(t), { messages: 8, ...tuning })
    const subscription = await own.subscribe('a')
    const first = subscription.receive(soon)
    await aTurn()
    await aTurn()
    t.is(own.tryPublish('a', 'x'), 1)
    t.is((await first).text(), 'x')
    let there = 0
    while (own.tryPublish('a', String(there)) !== undefined) there++
    const waits = own.publish('a', 'waited', soon)
    await aTurn()
    await aTurn()
    const found = texts(subscription)
    t.is(await within(15_000, waits), 1)
    found.push(...texts(subscription))
    t.is(found.length, there + 1)
    t.is(found.at(-1), 'waited')
  })

  test(`a publish waits for a slow subscriber, and for no other (${how})`, async (t) => {
    const name = uniqueName(t)
    const bus = open(t, name, { messages: 8, ...tuning })
    const slow = await open(t, name).subscribe('a')
    const other = await open(t, name).subscribe('b')
    const overwritten = await open(t, name).subscribe('>', { policy: 'overwrite-oldest' })
    let there = 0
    while (bus.tryPublish('a', String(there)) !== undefined) there++
    t.is(there, 8)
    await t.throwsAsync(bus.publish('a', 'x', { timeout: 5 }), {
      code: 'ERR_MILLRACE_TIMEOUT',
      message: /a subscriber with the policy 'wait'/,
    })
    const stop = new AbortController()
    const aborted = bus.publish('a', 'x', { signal: stop.signal })
    const waits = [bus.publish('a', 'first', soon), bus.publish('b', 'second', soon)]
    t.is(bus.tryPublish('b', 'x'), undefined, 'nobody overtakes them')
    t.throws(() => bus.publishSync('b', 'x'), { code: 'ERR_MILLRACE_BUSY' })
    stop.abort()
    await t.throwsAsync(aborted, { code: 'ERR_MILLRACE_ABORTED' })
    const found = texts(slow)
    t.deepEqual(await Promise.all(waits), [2, 2])
    found.push(...texts(slow))
    t.deepEqual(found, ['0', '1', '2', '3', '4', '5', '6', '7', 'first'])
    t.deepEqual(texts(other), ['second'])
    const seen = texts(overwritten)
    t.is(seen.at(-1), 'second')
    t.is(seen.length + overwritten.missed, 10)
    // Whoever leaves is waited for no more.
    while (bus.tryPublish('a', 'x') !== undefined);
    const last = bus.publish('a', 'last', soon)
    await aTurn()
    slow.close()
    t.is(await last, 1)
  })
}

test('nobody overtakes a publish that waits, although there is room for what is smaller', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { messages: 64, bytes: 4096 })
  const slow = await open(t, name).subscribe('a')
  const large = Buffer.alloc(1000, 'l')
  while (bus.tryPublish('a', large) !== undefined);
  t.is(bus.tryPublish('a', 'before'), 1, 'there is room for that')
  const waits = [bus.publish('a', large, soon), bus.publish('a', 'behind', soon)]
  t.is(bus.tryPublish('a', 'x'), undefined)
  t.is(bus.tryLoan('a', 10), undefined)
  t.throws(() => bus.publishSync('a', 'x', { timeout: 0 }), { code: 'ERR_MILLRACE_BUSY' })
  const found: string[] = []
  while (found.at(-1) !== 'behind') {
    using message = await slow.receive(soon)
    found.push(message.length === large.length ? 'large' : message.text())
  }
  t.deepEqual(await Promise.all(waits), [1, 1])
  t.deepEqual(found.slice(-3), ['before', 'large', 'behind'])
})

test('waits end by time, by signal and by close, each with its code, and take nothing', async (t) => {
  const { bus, own, subscription } = await subscribed(t, uniqueName(t))
  await t.throwsAsync(subscription.receive({ timeout: 5 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /a message of the subscription to > of topics/,
  })
  await t.throwsAsync(subscription.receive({ timeout: 0 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.throws(() => subscription.receiveSync({ timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await t.throwsAsync(subscription.receiveBatch(3, { timeout: 5 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
  })
  const stop = new AbortController()
  const aborted = subscription.receive({ signal: stop.signal })
  const loop = (async () => {
    for await (const _ of subscription.messages({ signal: stop.signal })) t.fail()
  })()
  t.throws(() => subscription.receiveSync({ timeout: 5 }), { code: 'ERR_MILLRACE_BUSY' })
  stop.abort(new Error('enough'))
  await t.throwsAsync(aborted, { code: 'ERR_MILLRACE_ABORTED' })
  await t.throwsAsync(loop, { code: 'ERR_MILLRACE_ABORTED' })
  const closed = [subscription.receive(), subscription.receiveBatch(1)]
  const ends = subscription.messages().next()
  subscription.close()
  for (const wait of closed) await t.throwsAsync(wait, { code: 'ERR_MILLRACE_CLOSED' })
  t.true((await ends).done)
  await t.throwsAsync(subscription.receive(), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => subscription.tryReceive(), { code: 'ERR_MILLRACE_CLOSED' })
  t.is(bus.tryPublish('a', 'x'), 0)
  t.false(own.closed)
  const next = await own.subscribe('a')
  const pending = next.receive()
  own.close()
  await t.throwsAsync(pending, { code: 'ERR_MILLRACE_CLOSED', message: /topics/ })
  t.true(next.closed)
  await t.throwsAsync(own.subscribe('a'), { code: 'ERR_MILLRACE_CLOSED' })
  await t.throwsAsync(own.publish('a', 'x'), { code: 'ERR_MILLRACE_CLOSED' })
})

test('the signal of a subscription ends it', async (t) => {
  const { bus, own } = await subscribed(t, uniqueName(t), 'other')
  const stop = new AbortController()
  const subscription = await own.subscribe('a', { signal: stop.signal })
  const pending = subscription.receive()
  const loop = (async () => {
    for await (const _ of subscription) t.fail()
  })()
  stop.abort()
  await t.throwsAsync(pending, { code: 'ERR_MILLRACE_CLOSED' })
  await loop
  t.true(subscription.closed)
  t.is(bus.tryPublish('a', 'x'), 0)
})

test('a publisher in another process wakes a sleeping subscriber, and a subscriber a sleeping publisher', async (t) => {
  const name = uniqueName(t)
  const { subscription } = await subscribed(t, name, 'a', { bus: { messages: 8, poll: 0 } })
  const publisher = actor(t)
  await publisher.do(async ({ Topics, own }, name) => {
    own.bus = Topics.open(name, { poll: 0 })
    own.pending = (async () => {
      for (let i = 0; i < 1000; i++) await own.bus.publish('a', String(i))
    })()
    await Promise.resolve()
  }, name)
  for (let i = 0; i < 1000; i++) t.is((await subscription.receive(soon)).text(), String(i))
  await publisher.do(async ({ own }) => {
    await own.pending
  })
})

test('a Worker receives and publishes, blocking its thread', async (t) => {
  // Two of them: who has to publish before it can read must not wait for itself.
  const [asks, tells] = [uniqueName(t), uniqueName(t)]
  const bus = open(t, asks, { messages: 8 })
  const answers = await open(t, tells, { messages: 8 }).subscribe('answer')
  const worker = thread(t, new URL('./fixtures/blocking.js', import.meta.url), {
    workerData: { asks, tells },
  })
  t.is(await worker.next(), 'ready')
  const asked = (async () => {
    for (let i = 0; i < 100; i++) await bus.publish('question', String(i), soon)
  })()
  for (let i = 0; i < 100; i++) t.is((await answers.receive(soon)).text(), `re ${i}`)
  await asked
  t.is(await worker.next(), 'done')
})
