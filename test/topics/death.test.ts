// What killed, stopped and ending processes leave: nobody waits for them, and nothing is half.

import { setTimeout as pause } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'

import { actor, type Actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { messages, open, subscribed, texts } from './open.js'

const soon = { timeout: 15_000 }

/** A subscriber in another process that reads nothing. */
async function idler(t: ExecutionContext, name: string): Promise<Actor> {
  const one = actor(t)
  await one.do(async ({ Topics, own }, name) => {
    own.bus = Topics.open(name)
    own.subscription = await own.bus.subscribe('a')
  }, name)
  return one
}

for (const [how, tuning] of Object.entries({ asleep: { poll: 0 }, polling: { poll: 20_000 } })) {
  test(`a killed subscriber is waited for no more by a publisher that waits (${how})`, async (t) => {
    const name = uniqueName(t)
    const bus = open(t, name, { messages: 8, ...tuning })
    const idle = await idler(t, name)
    while (bus.tryPublish('a', 'x') !== undefined);
    const published = bus.publish('a', 'last', soon)
    await pause(10)
    const start = performance.now()
    await idle.kill()
    t.is(await published, 0)
    t.log(`${(performance.now() - start).toFixed(0)} ms after the order to kill`)
    const { deaths, subscriptions } = bus.stats()
    t.deepEqual([deaths, subscriptions], [1, 0])
  })
}

test('a publishSync goes on when a subscriber is killed', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { messages: 8 })
  const idle = await idler(t, name)
  while (bus.tryPublish('a', 'x') !== undefined);
  await idle.kill()
  t.is(bus.publishSync('a', 'last', soon), 0)
})

test('publishers killed at random: nothing half, nothing twice, the order of each kept, and others go on', async (t) => {
  const name = uniqueName(t)
  const { bus, subscription } = await subscribed(t, name, '>', { bus: { messages: 256 } })
  let last = 0
  const seen = new Map<string, number>()
  const received = (async () => {
    for (;;) {
      const message = await subscription.receive({ timeout: 60_000 })
      t.is(message.index, last++)
      const [number, filling] = message.text().split(' ')
      if (message.subject === 'end') break
      t.is(Number(number), (seen.get(message.subject) ?? -1) + 1, message.subject)
      seen.set(message.subject, Number(number))
      t.is(filling!.length, (Number(number) % 40) * 20)
      message.release()
    }
  })()
  for (let round = 0; round < 8; round++) {
    const publisher = actor(t)
    await publisher.do(
      async ({ Topics, own }, name, who) => {
        own.bus = Topics.open(name)
        own.pending = (async () => {
          for (let i = 0; ; i++) {
            await own.bus.publish(`p${who}`, `${i} ${'x'.repeat((i % 40) * 20)}`)
          }
        })()
        await Promise.resolve()
      },
      name,
      round,
    )
    await pause(10 + Math.random() * 30)
    await publisher.kill()
  }
  await bus.publish('end', ' ', soon)
  await received
  // The messages have no gaps, as their indices say. One that was there when its publisher died may not have been counted.
  const uncounted = last - bus.stats().published
  t.true(uncounted >= 0 && uncounted <= 8, `${uncounted} were not counted`)
  t.is(seen.size, 8)
})

test('a subscriber that is killed while it reads in place gives the memory back', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { messages: 8, bytes: 16_384 })
  const reader = await idler(t, name)
  for (let i = 0; i < 3; i++) bus.tryPublish('a', Buffer.alloc(4096, i))
  await reader.do(({ own }) => {
    own['held'] = [1, 2, 3].map(() => own.subscription.tryReceive()!.bytes.length)
  })
  await reader.kill()
  t.is(await bus.publish('a', Buffer.alloc(bus.maxBytes), soon), 0)
})

test('what is published while somebody subscribes is seen, from the first that comes after', async (t) => {
  const name = uniqueName(t)
  const { bus, own } = await subscribed(t, name, 'other', { bus: { messages: 1024 } })
  const publisher = actor(t)
  await publisher.do(async ({ Topics, own }, name) => {
    own.bus = Topics.open(name)
    own['on'] = true
    own.pending = (async () => {
      for (let i = 0; own['on']; i++) {
        await own.bus.publish(`a.${i % 100}`, String(i))
        if (i % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    await Promise.resolve()
  }, name)
  for (let round = 0; round < 300; round++) {
    const subscription = await own.subscribe('a.*', { policy: 'overwrite-oldest' })
    // Everything that is published from here on is to come, and what comes has no gaps.
    const index = bus.stats().published
    const mark = await bus.publish(`a.mark`, 'mark', soon)
    t.is(mark, 1)
    let next: number | undefined
    let marked = false
    while (!marked) {
      const message = await subscription.receive(soon)
      if (next !== undefined) t.is(message.index, next + message.missed)
      else t.true(message.index <= index + 1 || message.missed > 0)
      next = message.index + 1
      marked = message.text() === 'mark' || subscription.missed > 0
    }
    subscription.close()
  }
  await publisher.do(async ({ own }) => {
    own['on'] = false
    await own.pending
  })
})

test('a stopped subscriber with overwrite-oldest holds nobody up, and knows afterwards what it has missed', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { messages: 16 })
  const slow = actor(t)
  await slow.do(async ({ Topics, own }, name) => {
    own.bus = Topics.open(name)
    own.subscription = await own.bus.subscribe('a', { policy: 'overwrite-oldest' })
  }, name)
  slow.run.signal('SIGSTOP')
  for (let i = 0; i < 1000; i++) t.is(bus.tryPublish('a', String(i)), 1)
  slow.run.signal('SIGCONT')
  const { missed, received } = await slow.do(({ own }) => {
    let received = 0
    while (own.subscription.tryReceive() !== undefined) received++
    return { missed: own.subscription.missed, received }
  })
  t.is(missed + received, 1000)
  t.is(received, 16)
})

test("in 'exit' listeners all is closed already, and nothing is left behind", async (t) => {
  const name = uniqueName(t)
  const { bus, subscription } = await subscribed(t, name, 'a')
  const child = run(t, new URL('./fixtures/at-exit.js', import.meta.url), [name])
  t.deepEqual(await child.ended(), { code: 0, signal: null }, child.stderr)
  const closed = 'ERR_MILLRACE_CLOSED'
  t.deepEqual(JSON.parse(child.lines[0]!), [true, true, closed, closed, closed, closed])
  t.deepEqual(texts(subscription), ['before'])
  const { subscriptions, handles, deaths } = bus.stats()
  t.deepEqual([subscriptions, handles, deaths], [1, 2, 0])
})

test('waits keep the process alive, or do not', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name)
  const fixture = new URL('./fixtures/alive.js', import.meta.url)
  const unref = run(t, fixture, [name, 'unref'])
  t.deepEqual(await unref.ended(), { code: 0, signal: null }, unref.stderr)
  const ref = run(t, fixture, [name, 'ref'])
  await ref.printed('waiting')
  await bus.publish('a', 'message')
  await ref.printed('message')
  t.deepEqual(await ref.ended(), { code: 0, signal: null }, ref.stderr)
})

test('a handle that was forgotten is collected, and one more can take its place', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { seats: 3 })
  for (let i = 0; i < 5; i++) {
    const other = open(t, name)
    const subscription = await other.subscribe('a')
    bus.tryPublish('a', 'x')
    t.is(messages(subscription).length, 1)
    other.close()
  }
  t.is(bus.stats().handles, 1)
})
