// Topics within one process: many tasks of one handle, Workers that are terminated in the middle, and processes that are stopped.

import test from 'ava'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { thread } from '../support/thread.js'
import { until, within } from '../support/until.js'
import { open, subscribed } from './open.js'

const soon = { timeout: 15_000 }
const aTurn = () => new Promise((resolve) => setImmediate(resolve))
const closed = { code: 'ERR_MILLRACE_CLOSED' }

test('many tasks publish and read by one handle, and each message is read once, in the order of the bus', async (t) => {
  const own = open(t, uniqueName(t), { messages: 16, bytes: 65_536 })
  const readers = await Promise.all(['>', 'a.*', 'b.*', 'a.1'].map((one) => own.subscribe(one)))
  const publishers = 12
  const each = 40
  const expected = [
    publishers * each,
    (publishers / 2) * each,
    (publishers / 2) * each,
    (publishers / 6) * each,
  ]
  const found = readers.map(() => [] as number[])
  const seen = new Map<string, number>()
  const reading = readers.flatMap((reader, which) =>
    // Three tasks share each subscription.
    [0, 1, 2].map(async () => {
      while (found[which]!.length < expected[which]!) {
        const [message] = await reader.receiveBatch(1, soon).catch((error: unknown) => {
          if (found[which]!.length < expected[which]!) throw error
          return []
        })
        if (message === undefined) return
        found[which]!.push(message.index)
        if (which === 0) {
          const [from, number] = message.text().split(' ')
          t.is(Number(number), (seen.get(from!) ?? -1) + 1)
          seen.set(from!, Number(number))
        }
        message.release()
        // What waits beside when the last has come would wait for ever.
        if (found[which]!.length === expected[which]) reader.close()
      }
    }),
  )
  const publishing = Array.from({ length: publishers }, async (_, from) => {
    const subject = `${from % 2 === 0 ? 'a' : 'b'}.${(from >> 1) % 3}`
    for (let i = 0; i < each; i++) {
      await own.publish(subject, `${from} ${i} ${'x'.repeat((i % 5) * 200)}`, soon)
    }
  })
  await within(60_000, Promise.all([...publishing, ...reading]))
  for (const [which, indices] of found.entries()) {
    t.is(indices.length, expected[which]!)
    t.true(indices.every((index, i) => i === 0 || indices[i - 1]! < index))
  }
})

test('a handle that is closed while everything waits ends all of it with CLOSED, and leaves nothing', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { messages: 8, bytes: 8192 })
  const own = open(t, name)
  const full = await bus.subscribe('a')
  const [waiting, batching] = [await own.subscribe('b'), await own.subscribe('b')]
  const looping = await own.subscribe('b')
  const held = await own.subscribe('a', { policy: 'overwrite-oldest' })
  bus.tryPublish('a', Buffer.alloc(600, 'h'))
  const message = held.tryReceive()!
  const loan = own.tryLoan('a', 1000)!
  while (own.tryPublish('a', 'x') !== undefined);
  const waits: Promise<unknown>[] = [
    own.publish('a', 'x'),
    own.publish('b', 'x', { timeout: 60_000 }),
    own.publishBatch('a', ['x', 'y']),
    own.loan('a', 2000),
    loan.publish(),
    waiting.receive(),
    waiting.receive({ signal: new AbortController().signal }),
    batching.receiveBatch(5),
  ]
  const ends = [looping.messages().next(), looping[Symbol.asyncIterator]().next()]
  await aTurn()
  await aTurn()
  own.close()
  for (const wait of waits) await t.throwsAsync(within(15_000, wait), closed)
  for (const end of ends) t.true((await within(15_000, end)).done)
  for (const one of [waiting, batching, looping, held]) t.true(one.closed)
  t.throws(() => message.bytes, closed)
  t.notThrows(() => {
    message.release()
    loan.cancel()
    own.close()
  })
  const { subscriptions, handles, deaths } = bus.stats()
  t.deepEqual([subscriptions, handles, deaths], [1, 1, 0])
  // What it had on loan and in its hands is free again.
  full.close()
  t.is(await bus.publish('a', Buffer.alloc(bus.maxBytes), soon), 0)
})

test('a subscription that is closed gives back what it has read in place and not handed out', async (t) => {
  const opening = { bus: { messages: 64, bytes: 16_384 } }
  const { bus, own, subscription } = await subscribed(t, uniqueName(t), 'a', opening)
  for (let i = 0; i < 10; i++) bus.tryPublish('a', Buffer.alloc(1000, i))
  subscription.tryReceive()!.release()
  subscription.close()
  t.false(own.closed)
  t.is(await bus.publish('a', Buffer.alloc(bus.maxBytes), soon), 0)
})

test('a task closes the handle in the middle of what a message is used for, and the loop ends', async (t) => {
  const { bus, own, subscription } = await subscribed(t, uniqueName(t))
  for (let i = 0; i < 10; i++) bus.tryPublish('a', Buffer.alloc(600, i))
  let seen = 0
  for await (const message of subscription) {
    seen++
    t.is(message.bytes[0], message.index)
    if (seen === 3) {
      own.close()
      t.throws(() => message.bytes, closed)
    } else {
      message.release()
    }
  }
  t.is(seen, 3)
  t.is(bus.stats().handles, 1)
})

for (const what of [
  'publishes',
  'publishes blocking',
  'reads',
  'reads blocking',
  'comes and goes',
] as const) {
  test(`Workers that are terminated while each ${what} hold up nobody, and leave nothing`, async (t) => {
    const name = uniqueName(t)
    const { bus, subscription } = await subscribed(t, name, '>', { bus: { messages: 32 } })
    let last = 0
    const seen = new Map<string, number>()
    const received = (async () => {
      for (;;) {
        using message = await subscription.receive({ timeout: 30_000 })
        t.is(message.index, last++)
        if (message.subject === 'end') return
        const [number, filling] = message.text().split(' ')
        t.is(Number(number), (seen.get(message.subject) ?? -1) + 1, message.subject)
        t.is(filling!.length, (Number(number) % 40) * 20)
        seen.set(message.subject, Number(number))
      }
    })()
    let own = 0
    for (let round = 0; round < 6; round++) {
      const fixture = new URL('./fixtures/terminated.js', import.meta.url)
      const worker = thread(t, fixture, { workerData: { name, what, round } })
      t.is(await worker.next(), 'at it')
      for (let i = 0; i < 50; i++)
        await bus.publish('own', `${own} ${'x'.repeat((own++ % 40) * 20)}`, soon)
      await worker.terminate()
    }
    await bus.publish('end', ' ', soon)
    await received
    t.is(seen.get('own'), own - 1)
    t.is([...seen.keys()].length, what.startsWith('publishes') ? 7 : 1)
    const { subscriptions, handles } = bus.stats()
    t.deepEqual([subscriptions, handles], [1, 2])
  })
}

test('a stopped subscriber that waits is not taken for dead: publishers wait for it, and it misses nothing', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { messages: 16 })
  const slow = actor(t)
  await slow.do(async ({ Topics, own }, name) => {
    own.bus = Topics.open(name)
    own.subscription = await own.bus.subscribe('a')
  }, name)
  slow.run.signal('SIGSTOP')
  let sent = 0
  while (bus.tryPublish('a', String(sent)) !== undefined) sent++
  // Longer than it takes to bury the dead.
  await t.throwsAsync(bus.publish('a', 'x', { timeout: 400 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.is(bus.stats().deaths, 0)
  const waits = bus.publish('a', String(sent), soon)
  slow.run.signal('SIGCONT')
  const texts = slow.do(async ({ own }, count) => {
    const texts: string[] = []
    while (texts.length < count) {
      texts.push((await own.subscription.receive({ timeout: 15_000 })).text())
    }
    return [...texts, own.subscription.missed]
  }, sent + 1)
  t.is(await waits, 1)
  t.deepEqual(await texts, [...Array.from({ length: sent + 1 }, (_, i) => String(i)), 0])
})

test('publishers that are stopped anywhere hold up nobody, and go on where they were', async (t) => {
  const name = uniqueName(t)
  const { bus, subscription } = await subscribed(t, name, '>', { bus: { messages: 32 } })
  const publisher = actor(t)
  await publisher.do(async ({ Topics, own }, name) => {
    own.bus = Topics.open(name)
    own['on'] = true
    own.pending = (async () => {
      for (let i = 0; own['on']; i++) await own.bus.publish(`new.${i % 200}`, `${i}`)
    })()
    await Promise.resolve()
  }, name)
  let [theirs, index] = [0, 0]
  const drain = (): void => {
    for (let one = subscription.tryReceive(); one !== undefined; one = subscription.tryReceive()) {
      t.is(one.index, index++)
      if (one.subject !== 'mine') t.is(one.text(), String(theirs++))
      one.release()
    }
  }
  for (let round = 0; round < 30; round++) {
    const before = theirs
    await until(() => {
      drain()
      return theirs >= before + 20 * round
    })
    publisher.run.signal('SIGSTOP')
    // More than there is room for in the log, so all that it may have in hand is passed.
    for (let i = 0; i < 100; i++) {
      await until(() => {
        drain()
        return bus.tryPublish('mine', `${i}`) === 1
      })
    }
    publisher.run.signal('SIGCONT')
  }
  const stopping = publisher.do(async ({ own }) => {
    own['on'] = false
    await own.pending
  })
  let over = false
  void stopping.then(() => (over = true))
  await until(() => {
    drain()
    return over
  })
  await stopping
  t.is(bus.stats().deaths, 0)
})
