// Topics: who gets what is published, in which order, what is kept for whom, and what a subscription is after its connection broke.

import type { Subscription } from '../../topics/subscription.js'
import { assert, hushed, numbered, pause, rejects, same, until } from '../scene.js'
import type { Asked } from '../suite.js'
import type { PatternScene } from './scene.js'

async function texts(subscription: Subscription, count: number): Promise<string[]> {
  const found: string[] = []
  while (found.length < count) {
    using message = await subscription.receive()
    found.push(message.text())
  }
  return found
}

const upTo = (count: number): string[] => Array.from({ length: count }, (_, i) => String(i))

export const topics: readonly Asked<PatternScene>[] = [
  {
    name: 'topics: published and received as where the bus is',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.bus()
      same(await far.publish('line1.temp', 'nobody'), 0)
      const there = await near.subscribe('line1.*')
      const here = await far.subscribe(['line1.>', 'other'])
      same(await far.publish('line1.temp', 'both', { headers: { traceparent: '00-1' } }), 2)
      same(await near.publish('other', 'far alone'), 1)
      same(await far.publishBatch('line1.speed', ['a', 'b', 'c']), 3)
      assert.deepEqual(await texts(there, 4), ['both', 'a', 'b', 'c'])
      const message = await here.receive()
      assert.deepEqual(
        [message.text(), message.subject, message.headers, message.missed],
        ['both', 'line1.temp', { traceparent: '00-1' }, 0],
      )
      assert.ok(message.publishedAt > 0, 'it says when it was published')
      message.release()
      assert.throws(() => message.bytes, { code: 'ERR_MILLRACE_RELEASED' })
      assert.deepEqual(await texts(here, 4), ['far alone', 'a', 'b', 'c'])
      same(here.missed, 0)
      same(far.messages, near.messages)
    },
  },
  {
    name: 'topics: who has subscribed gets what is published from then on',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.bus()
      for (const round of upTo(10)) {
        const here = await far.subscribe('a')
        same(near.tryPublish('a', round), 1, 'publishing counts it at once')
        assert.deepEqual(await texts(here, 1), [round])
        here.close()
        await until(() => near.stats().subscriptions === 0, 'who has closed is gone')
      }
    },
  },
  {
    name: 'topics: all subscriptions see one order',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far, another } = await scene.bus()
      const other = another()
      const subscriptions = [await near.subscribe('>'), await far.subscribe('>')]
      subscriptions.push(await other.subscribe('>'))
      const publishers = [near, far, other].map(async (bus, which) => {
        for (const number of upTo(20))
          await bus.publish(`p${String(which)}`, `${String(which)}.${number}`)
      })
      const [first, ...others] = await Promise.all([
        ...subscriptions.map((subscription) => texts(subscription, 60)),
        Promise.all(publishers).then(() => undefined),
      ])
      others.pop()
      for (const one of others) assert.deepEqual(one, first)
      for (const which of ['0', '1', '2']) {
        assert.deepEqual(
          first!.filter((one) => one.startsWith(which)),
          upTo(20).map((number) => `${which}.${number}`),
          'what one publishes is in its order',
        )
      }
    },
  },
  {
    name: 'topics: messages of every length arrive whole',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.bus({ bytes: 2 ** 20 })
      const here = await far.subscribe('>')
      for (const length of [4, 128, 129, 65_536, 300_000]) {
        const sent = numbered(length, length)
        await (length % 2 === 0 ? near : far).publish('a', sent)
        using message = await here.receive()
        assert.ok(sent.equals(message.bytes), `${String(length)} bytes, as they were published`)
      }
      await rejects(far.publish('a', Buffer.alloc(2 ** 24)), 'ERR_MILLRACE_TOO_LARGE')
      await rejects(far.publish('a b', 'x'), 'ERR_MILLRACE_INVALID_ARGUMENT')
    },
  },
  {
    name: 'topics: who comes late is given the last of each subject, or so many',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.bus()
      for (const text of ['a1', 'a2']) await near.publish('a', text)
      for (const text of ['b1', 'b2']) await far.publish('b', text)
      const last = await far.subscribe('>', { replay: 'last' })
      const three = await far.subscribe('>', { replay: 3 })
      const none = await far.subscribe('>')
      await near.publish('c', 'c1')
      assert.deepEqual(await texts(last, 3), ['a2', 'b2', 'c1'])
      assert.deepEqual(await texts(three, 4), ['a2', 'b1', 'b2', 'c1'])
      assert.deepEqual(await texts(none, 1), ['c1'])
    },
  },
  {
    name: 'topics: who stands still holds publishers up as far as it may lag behind, and nobody else',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.bus({ messages: 64 })
      const slow = await far.subscribe('slow')
      const other = await far.subscribe('other')
      let published = 0
      let wasHeld = 0
      // Held twice, since some of it may have gone on its way meanwhile.
      while (wasHeld < 2) {
        assert.ok(published < 10_000, 'publish() waits before 10 000 messages wait')
        const error: unknown = await near
          .publish('slow', String(published), { timeout: 30 })
          .then(() => undefined)
          .catch((reason: unknown) => reason)
        if (error === undefined) published++
        else {
          same((error as { readonly code?: unknown }).code, 'ERR_MILLRACE_TIMEOUT')
          wasHeld++
        }
      }
      assert.deepEqual(await texts(slow, published), upTo(published))
      await far.publish('other', 'still')
      assert.deepEqual(await texts(other, 1), ['still'])
      same(slow.missed, 0)
    },
  },
  {
    name: 'topics: what was overwritten is counted',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.bus({ messages: 64 })
      const here = await far.subscribe('a', { policy: 'overwrite-oldest' })
      const count = 2000
      for (const number of upTo(count)) near.tryPublish('a', number)
      let received = 0
      let last = -1
      while (last !== count - 1) {
        using message = await here.receive()
        received++
        const number = Number(message.text())
        same(number, last + 1 + message.missed, 'as many as were missed are not there')
        last = number
      }
      same(received + here.missed, count)
    },
  },
  {
    name: 'topics: of a group one has each message',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far, another } = await scene.bus()
      scene.goesWithIt(() => {
        scene.unlinkQueue(`${near.name}.g`)
      })
      const buses = [near, far, another()]
      const members = await Promise.all(
        buses.map((bus) => bus.subscribe(['orders.*', 'returns'], { queue: 'g' })),
      )
      same(near.stats().subscriptions, 1)
      const found: string[] = []
      const taking = members.map(async (member) => {
        for await (const job of member) {
          found.push(job.text())
          await job.complete()
        }
      })
      for (const one of taking) void hushed(one)
      const sent = upTo(30)
      for (const [at, text] of sent.entries()) {
        same(await buses[at % 3]!.publish('orders.a', text), 1)
      }
      await until(() => found.length >= sent.length, 'all are received')
      for (const member of members) member.close()
      await Promise.allSettled(taking)
      assert.deepEqual(
        found.toSorted((a, b) => Number(a) - Number(b)),
        sent,
      )
      await until(() => near.stats().subscriptions === 0, 'a group that all have left is gone')
    },
  },
  {
    name: 'topics: closing ends subscriptions, with CLOSED',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.bus()
      const here = await far.subscribe('a')
      const waiting = hushed(here.receive())
      await pause()
      far.close()
      await rejects(waiting, 'ERR_MILLRACE_CLOSED')
      same(here.closed, true)
      await until(() => near.stats().subscriptions === 0, 'the bus knows that it is gone')
    },
  },
  {
    name: 'topics: a subscription goes on after its connection broke, and counts what was missed',
    async judge(scene: PatternScene): Promise<void> {
      const { near, far } = await scene.bus({ messages: 64 })
      const { connection } = scene
      const here = await far.subscribe('a')
      await near.publish('a', 'before')
      assert.deepEqual(await texts(here, 1), ['before'])
      const apart = async (count: number): Promise<void> => {
        connection.refuses = true
        connection.cut()
        await until(() => near.stats().subscriptions === 0, 'the bus knows that it is gone')
        for (const number of upTo(count)) await near.publish('a', number)
        connection.refuses = false
      }
      await apart(10)
      assert.deepEqual(await texts(here, 10), upTo(10), 'what the bus still has comes')
      same(here.missed, 0)
      await apart(1000)
      using first = await here.receive()
      assert.ok(first.missed > 0, 'it is not silent')
      assert.ok(here.missed > 0, 'not so: here.missed > 0')
      using second = await here.receive()
      same(second.missed, 0)
    },
  },
]
