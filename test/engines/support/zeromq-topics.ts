// The failure drills of topics over PUB and SUB. There is no server, and who publishes does not know who hears it: what is missed then is shown, and told in
// the table.

import type { ExecutionContext } from 'ava'
import type { CurveOptions } from 'millrace/net'
import { Topics, type Subscription } from 'millrace/topics'

import { run } from '../../support/process.js'
import { until } from '../../support/until.js'
import type { ServingServer } from './drills/calls.js'
import { patience, slowMs, type TopicsPart } from './drills/engine.js'
import { received } from './drills/topics.js'
import { proxyTo } from './proxy.js'
import { foreign, library, tcpAddress } from './zeromq.js'

const peer = new URL('../fixtures/zeromq-peer.js', import.meta.url)

export function openBus(t: ExecutionContext, address: string, curve?: CurveOptions): Topics {
  const bus = Topics.open(address, { connection: { curve } })
  t.teardown(() => {
    bus.close()
  })
  return bus
}

/** Publishes until the subscription has heard of it, for a publisher does not know who has come; then all of that is received. */
export async function joined(
  bus: Topics,
  subject: string,
  subscription: Subscription,
): Promise<void> {
  let heard: string[] = []
  await until(async () => {
    await bus.publish(subject, 'are you there?')
    const message = subscription.tryReceive()
    if (message !== undefined) heard = [message.text()]
    return heard.length > 0
  }, patience.timeout)
  await bus.publish(subject, 'last')
  while (heard.at(-1) !== 'last') {
    using message = await subscription.receive(patience)
    heard.push(message.text())
  }
}

/** Of what a process publishes: whose it is, and its number. */
async function numberOf(subscription: Subscription): Promise<readonly [number, number]> {
  using message = await subscription.receive(patience)
  const [pid, number] = message.text().split(' ').map(Number)
  return [pid!, number!]
}

export const topicsPart: TopicsPart<ServingServer> = {
  heartbeat: 1000,
  most: 1000,
  fits: 1000,
  own: {
    absent: {
      told: 'what is published to nobody is gone',
      drill: async (t) => {
        const address = await tcpAddress()
        const subscription = await openBus(t, address.at()).subscribe('>', patience)
        const bus = openBus(t, address.at('?bind'))
        // Nobody is connected when the first of them is published, for until then nobody was bound.
        t.is(await bus.publish('x', 'gone', patience), NaN)
        const late = await openBus(t, address.at()).subscribe('>', patience)
        await joined(bus, 'x', late)
        await bus.publish('y', 'z', patience)
        t.deepEqual(await received(late, 1), ['y z'])
        await joined(bus, 'x', subscription)
        t.deepEqual([subscription.missed, late.missed], [0, 0])
      },
    },

    away: {
      told: 'goes on, and nobody counts what is missed',
      drill: async (t) => {
        const address = await tcpAddress()
        const subscription = await openBus(t, address.at()).subscribe('n', patience)
        for (let life = 0; life < 3; life++) {
          const publishing = run(t, peer, ['publish', address.at('?bind')])
          let [pid, number] = await numberOf(subscription)
          while (pid !== publishing.pid) [pid, number] = await numberOf(subscription)
          const [same, next] = await numberOf(subscription)
          t.deepEqual([same, next], [pid, number + 1])
          await publishing.kill()
        }
        t.is(subscription.missed, 0)
      },
    },

    empty: null,

    slow: {
      told: 'yes',
      drill: async (t) => {
        const address = await tcpAddress()
        const bus = openBus(t, address.at('?bind'))
        const proxy = await proxyTo(t, Number(address.endpoint.split(':')[2]))
        const there = openBus(t, `zmq+tcp://127.0.0.1:${String(proxy.port)}`)
        const subscription = await there.subscribe('>', patience)
        await joined(bus, 'x', subscription)
        proxy.delay = slowMs
        const from = performance.now()
        for (const text of ['a', 'b', 'c']) await bus.publish('x', text, patience)
        t.deepEqual(await received(subscription, 3), ['x a', 'x b', 'x c'])
        t.true(performance.now() - from >= slowMs - 10)
        t.is(subscription.missed, 0)
      },
    },

    still: {
      told: 'goes on, and nobody counts what is missed',
      drill: async (t) => {
        const address = await tcpAddress()
        const bus = Topics.open(address.at(), { connection: { heartbeat: 1000 } })
        t.teardown(() => {
          bus.close()
        })
        const subscription = await bus.subscribe('n', patience)
        const publishing = run(t, peer, ['publish', address.at('?bind'), '1000'])
        await numberOf(subscription)
        t.teardown(() => {
          publishing.signal('SIGCONT')
        })
        publishing.signal('SIGSTOP')
        // What was on its way comes; then nothing.
        let last = 0
        for (;;) {
          const found = await subscription.receive({ timeout: 1500 }).catch(() => undefined)
          if (found === undefined) break
          last = Number(found.text().split(' ')[1])
          found.release()
        }
        publishing.signal('SIGCONT')
        for (let count = 0; count < 3; count++) {
          const [pid, number] = await numberOf(subscription)
          t.is(pid, publishing.pid)
          t.true(number > last)
          last = number
        }
        t.is(subscription.missed, 0)
      },
    },

    full: {
      told: 'beyond 10,000 on their way the newest are dropped, which nobody counts',
      drill: async (t) => {
        const address = await tcpAddress()
        const bus = openBus(t, address.at('?bind'))
        // A subscription here has a depth of its own, and counts.
        const there = openBus(t, address.at())
        const subscription = await there.subscribe('n', { depth: 10 })
        const end = await there.subscribe('end')
        await joined(bus, 'end', end)
        const count = 1000
        for (let n = 0; n < count; n++) await bus.publish('n', String(n))
        await bus.publish('end', '', patience)
        t.deepEqual(await received(end, 1), ['end '])
        let [seen, last] = [0, -1]
        while (last < count - 1) {
          using message = await subscription.receive(patience)
          seen++
          t.is(Number(message.text()), last + 1 + message.missed)
          last = Number(message.text())
        }
        t.true(subscription.missed > 0)
        t.is(seen + subscription.missed, count)
        // And who reads nothing makes nobody wait.
        const slow = foreign(t, 'Subscriber', { receiveHighWaterMark: 1, receiveTimeout: 60_000 })
        slow.connect(address.endpoint)
        slow.subscribe('')
        await until(async () => {
          await bus.publish('first', '', patience)
          return slow.readable
        }, patience.timeout)
        const many = 25_000
        const payload = Buffer.alloc(4000)
        for (let n = 0; n < many; n++) {
          payload.writeUInt32LE(n)
          await bus.publish('n', payload, patience)
        }
        const numbers: number[] = []
        const isOver = until(async () => {
          await bus.publish('end', '', patience)
          return numbers.at(-1) === Infinity
        }, patience.timeout)
        while (numbers.at(-1) !== Infinity) {
          const [subject, bytes] = await slow.receive()
          if (String(subject) === 'n') numbers.push(bytes!.readUInt32LE())
          else if (String(subject) === 'end') numbers.push(Infinity)
        }
        await isOver
        numbers.pop()
        t.true(numbers.length >= 9000 && numbers.length < many, String(numbers.length))
        // The oldest are there, without a gap.
        t.deepEqual(
          numbers.slice(0, 9000),
          Array.from({ length: 9000 }, (_none, at) => at),
        )
      },
    },

    password: {
      told: 'no passwords: keys instead',
      drill: async (t) => {
        await Promise.resolve()
        t.throws(() => openBus(t, 'zmq+tcp://user:word@127.0.0.1:5000'), {
          code: 'ERR_MILLRACE_INVALID_ARGUMENT',
        })
      },
    },

    certificate: {
      told: 'the same of keys',
      drill: async (t) => {
        const address = await tcpAddress()
        const [server, client, stranger] = [
          library.curveKeyPair(),
          library.curveKeyPair(),
          library.curveKeyPair(),
        ]
        const serverKey = server.publicKey
        const bus = openBus(t, address.at('?bind'), {
          secretKey: server.secretKey,
          allowed: [client.publicKey],
        })
        const heard = await openBus(t, address.at(), { ...client, serverKey }).subscribe('>')
        const unheard = await Promise.all(
          [{ ...stranger, serverKey }, { ...client, serverKey: stranger.publicKey }, undefined].map(
            (curve) => openBus(t, address.at(), curve).subscribe('>'),
          ),
        )
        await joined(bus, 'x', heard)
        await bus.publish('x', 'secret')
        t.deepEqual(await received(heard, 1), ['x secret'])
        for (const subscription of unheard) {
          await t.throwsAsync(subscription.receive({ timeout: 200 }), {
            code: 'ERR_MILLRACE_TIMEOUT',
          })
        }
      },
    },

    unknown: {
      told: 'yes',
      drill: async (t) => {
        const address = await tcpAddress()
        const bus = openBus(t, address.at('?bind'))
        t.is(await bus.publish('nobody.has.made.this', 'x', patience), NaN)
        const subscription = await openBus(t, address.at()).subscribe('nor.*', patience)
        await joined(bus, 'nor.that', subscription)
        await bus.publish('nobody.has.made.this', 'x', patience)
        await bus.publish('nor.this', 'y', patience)
        t.deepEqual(await received(subscription, 1), ['nor.this y'])
      },
    },

    large: {
      told: 'yes',
      drill: async (t) => {
        const address = await tcpAddress()
        const connection = { maxBytes: 1000 }
        const [bus, there] = [address.at('?bind'), address.at()].map((one) => {
          const opened = Topics.open(one, { connection })
          t.teardown(() => {
            opened.close()
          })
          return opened
        }) as [Topics, Topics]
        const subscription = await there.subscribe('>', patience)
        await joined(bus, 'x', subscription)
        await t.throwsAsync(bus.publish('x', Buffer.alloc(1001), patience), {
          code: 'ERR_MILLRACE_TOO_LARGE',
        })
        await bus.publish('x', Buffer.alloc(1000, 7), patience)
        const message = await subscription.receive(patience)
        t.deepEqual([message.length, message.bytes[999]], [1000, 7])
      },
    },

    poison: {
      told: 'no queue groups, so nothing comes twice',
      drill: async (t) => {
        const bus = openBus(t, (await tcpAddress()).at('?bind'))
        await t.throwsAsync(bus.subscribe('x', { queue: 'workers' }), {
          code: 'ERR_MILLRACE_UNSUPPORTED',
          message: /no queue groups/,
        })
      },
    },
  },
}
