// The failure drills of work over PUSH and PULL. There is no server, and nobody who confirms anything: what is lost then is shown, and told in the table.

import { setTimeout as pause } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { run, type Run } from '../../support/process.js'
import { until } from '../../support/until.js'
import type { ServingServer } from './drills/calls.js'
import { patience, slowMs, type WorkPart } from './drills/engine.js'
import { taken, textOf } from './drills/work.js'
import { proxyTo } from './proxy.js'
import { foreign, library, tcpAddress, type ZmqAddress } from './zeromq.js'

const noTime = { code: 'ERR_MILLRACE_TIMEOUT' }
const peer = new URL('../fixtures/zeromq-peer.js', import.meta.url)

function open(t: ExecutionContext, address: string, options?: WorkQueueOptions): WorkQueue {
  const queue = WorkQueue.open(address, options)
  t.teardown(() => {
    queue.close()
  })
  return queue
}

const worker = (t: ExecutionContext, how: 'take' | 'hold', ...args: readonly string[]): Run =>
  run(t, peer, [how, ...args])

/** Pushes until nobody is connected any more. What has gone to who is not there is lost, as these jobs are. */
async function nobodyIsThere(queue: WorkQueue): Promise<void> {
  await until(async () => {
    const pushed = queue.push('nobody', { timeout: 300 })
    const error = await pushed.catch((thrown: unknown) => thrown as MillraceError)
    return 'code' in error && error.code === noTime.code
  }, patience.timeout)
}

/** Pushes numbers until a worker has been given two of them, one behind the other: then nobody else is given any. */
async function alone(queue: WorkQueue, seen: readonly number[], from: number): Promise<void> {
  let next = from
  await until(async () => {
    await queue.push(String(++next), patience)
    const [before = 0, last = 0] = seen.slice(-2)
    return before > from && last === before + 1
  }, patience.timeout)
  const wanted = next
  await until(() => seen.includes(wanted), patience.timeout)
}

export const workPart: WorkPart<ServingServer> = {
  heartbeat: 1000,
  most: 1000,
  own: {
    absent: {
      told: 'yes',
      drill: async (t) => {
        for (const [pushes, takes] of [
          ['', '?bind'],
          ['?bind', ''],
        ] as const) {
          const address = await tcpAddress()
          const queue = open(t, address.at(pushes))
          await t.throwsAsync(queue.push('never', { timeout: 150 }), noTime)
          const control = new AbortController()
          const given = queue.push('never', { signal: control.signal })
          control.abort()
          await t.throwsAsync(given, { code: 'ERR_MILLRACE_ABORTED' })
          const pushed = queue.push('x', patience)
          const taking = open(t, address.at(takes))
          // One that was given up may still be sent, for the library cannot be told to stop.
          let job: Job
          do job = await taking.takeOne(patience)
          while (textOf(job) === 'never')
          t.is(textOf(job), 'x')
          t.deepEqual(await pushed, { duplicate: false })
          // And who takes may be there first.
          const other = await tcpAddress()
          const waiting = open(t, other.at(takes)).takeOne(patience)
          await open(t, other.at(pushes)).push('y', patience)
          t.is(textOf(await waiting), 'y')
        }
      },
    },

    away: {
      told: 'all but what was on its way, or in hand',
      drill: async (t) => {
        await Promise.all(
          (
            [
              ['?bind', ''],
              ['', '?bind'],
            ] as const
          ).map(async ([pushes, takes]) => {
            const address = await tcpAddress()
            const queue = open(t, address.at(pushes))
            const first = worker(t, 'hold', address.at(takes))
            for (const text of ['in hand', 'read ahead']) await queue.push(text, patience)
            await first.printed('in hand', patience.timeout)
            await first.kill()
            await nobodyIsThere(queue)
            const pushed = queue.push('for the next', patience)
            const next = worker(t, 'take', address.at(takes))
            await pushed
            await next.printed('for the next', patience.timeout)
            await queue.push('last', patience)
            await next.printed('last', patience.timeout)
            t.deepEqual(
              next.lines.filter((line) => line !== 'nobody'),
              ['for the next', 'last'],
            )
          }),
        )
      },
    },

    empty: null,

    slow: {
      told: 'yes',
      drill: async (t) => {
        const address = await tcpAddress()
        const taking = open(t, address.at('?bind'))
        const waiting = taking.takeOne(patience)
        const { port, proxy } = await slowed(t, address)
        const queue = open(t, `zmq+tcp://127.0.0.1:${String(port)}`)
        await queue.push('first', patience)
        t.is(textOf(await waiting), 'first')
        proxy.delay = slowMs
        const from = performance.now()
        // The library has it at once, and nobody tells when it has come.
        for (const text of ['a', 'b', 'c']) await queue.push(text, patience)
        t.deepEqual((await taken(taking, 3)).map(textOf), ['a', 'b', 'c'])
        t.true(performance.now() - from >= slowMs - 10)
      },
    },

    still: {
      told: 'yes, and what it was sent waits for it',
      drill: async (t) => {
        const address = await tcpAddress()
        const queue = open(t, address.at('?bind'), { connection: { heartbeat: 500 } })
        const stopped = worker(t, 'take', address.at(), '1000')
        await queue.push('before', patience)
        await stopped.printed('before', patience.timeout)
        t.teardown(() => {
          stopped.signal('SIGCONT')
        })
        stopped.signal('SIGSTOP')
        for (const text of ['one', 'two']) await queue.push(text, patience)
        // Who is only slow is not taken for dead.
        await pause(2000)
        stopped.signal('SIGCONT')
        await queue.push('after', patience)
        await stopped.printed('after', patience.timeout)
        t.deepEqual(stopped.lines, ['before', 'one', 'two', 'after'])
      },
    },

    full: {
      told: 'yes',
      drill: async (t) => {
        const address = await tcpAddress()
        const queue = open(t, address.at('?bind'), { jobs: 2 })
        const slow = foreign(t, 'Pull', { receiveHighWaterMark: 1, receiveTimeout: 60_000 })
        slow.connect(address.endpoint)
        const big = Buffer.alloc(1_000_000, 'x')
        let pushed = 0
        await t.throwsAsync(
          async () => {
            for (; pushed < 200; pushed++) await queue.push(big, { timeout: 500 })
          },
          noTime,
          'what is between both sides is bounded',
        )
        t.true(pushed < 50, String(pushed))
        const next = queue.push(big, patience)
        for (let count = 0; count < pushed; count++) await slow.receive()
        t.deepEqual(await next, { duplicate: false })
      },
    },

    password: {
      told: 'no passwords: keys instead',
      drill: async (t) => {
        await Promise.resolve()
        t.throws(() => open(t, 'zmq+tcp://user:word@127.0.0.1:5000'), {
          code: 'ERR_MILLRACE_INVALID_ARGUMENT',
        })
      },
    },

    certificate: {
      told: 'the same of keys',
      drill: async (t) => {
        const address = await tcpAddress()
        const [server, allowed, other] = [
          library.curveKeyPair(),
          library.curveKeyPair(),
          library.curveKeyPair(),
        ]
        const serverKey = server.publicKey
        const bound = open(t, address.at('?bind'), {
          connection: { curve: { secretKey: server.secretKey, allowed: [allowed.publicKey] } },
        })
        const waiting = bound.takeOne(patience)
        await Promise.all(
          [{ ...other, serverKey }, { ...allowed, serverKey: other.publicKey }, undefined].map(
            async (curve) => {
              const refused = open(t, address.at(), { connection: { curve } })
              const error = await t.throwsAsync<MillraceError>(
                refused.push('in', { timeout: 700 }),
                noTime,
              )
              t.regex(error.message, curve === undefined ? /wants no keys/ : /allows them/)
            },
          ),
        )
        const curve = { ...allowed, serverKey }
        await open(t, address.at(), { connection: { curve } }).push('right', patience)
        t.is(textOf(await waiting), 'right')
        const theirs = foreign(t, 'Push', {
          curvePublicKey: allowed.publicKey,
          curveSecretKey: allowed.secretKey,
          curveServerKey: serverKey,
        })
        theirs.connect(address.endpoint)
        await theirs.send('also right')
        t.is(textOf(await bound.takeOne(patience)), 'also right')
        // Who is allowed later goes on with the handle that was refused.
        const late = open(t, address.at(), { connection: { curve: { ...other, serverKey } } })
        await t.throwsAsync(late.push('early', { timeout: 700 }), noTime)
        theirs.close()
        bound.close()
        const more = [allowed.publicKey, other.publicKey]
        const again = open(t, address.at('?bind'), {
          connection: { curve: { secretKey: server.secretKey, allowed: more } },
        })
        const first = again.takeOne(patience)
        await late.push('allowed', patience)
        t.is(textOf(await first), 'allowed')
      },
    },

    unknown: {
      told: 'no names, and a socket of another kind is given nothing',
      drill: async (t) => {
        const address = await tcpAddress()
        const theirs = foreign(t, 'Publisher')
        await theirs.bind(address.endpoint)
        const early = open(t, address.at())
        await t.throwsAsync(early.push('never', { timeout: 1000 }), noTime)
        theirs.close()
        // Until the port is free, the handle tries again.
        const taking = open(t, address.at('?bind'))
        const waiting = taking.takeOne(patience)
        // The library has given up that connection for good, and may do so once more while the other socket is still going.
        await early.push('x', patience)
        t.is(textOf(await waiting), 'x')
      },
    },

    large: {
      told: 'yes',
      drill: async (t) => {
        const address = await tcpAddress()
        const connection = { maxBytes: 1000 }
        const taking = open(t, address.at('?bind'), { connection })
        const queue = open(t, address.at(), { connection })
        await t.throwsAsync(queue.push(Buffer.alloc(1001), patience), {
          code: 'ERR_MILLRACE_TOO_LARGE',
        })
        const waiting = taking.takeOne(patience)
        // Of somebody else it ends that connection.
        const push = foreign(t, 'Push')
        push.connect(address.endpoint)
        await push.send(Buffer.alloc(200_000))
        await queue.push(Buffer.alloc(1000, 7), patience)
        const job = await waiting
        t.deepEqual([job.length, job.bytes[999]], [1000, 7])
      },
    },

    poison: {
      told: 'dropped after its attempts, or lost with a worker that it kills',
      drill: async (t) => {
        const address = await tcpAddress()
        const queue = open(t, address.at('?bind'))
        const taking = open(t, address.at(), { maxAttempts: 2 })
        const seen: string[] = []
        const working = taking.work((job) => {
          const text = textOf(job)
          seen.push(`${text} ${String(job.attempt)}`)
          if (text === 'poison') throw new Error('it cannot be done')
        })
        for (const text of ['poison', 'good', 'better']) await queue.push(text, patience)
        await until(() => seen.length >= 4, patience.timeout)
        // Nobody is given it a third time before what comes behind it.
        await queue.push('last', patience)
        await until(() => seen.includes('last 1'), patience.timeout)
        t.deepEqual([...seen].sort(), ['better 1', 'good 1', 'last 1', 'poison 1', 'poison 2'])
        taking.close()
        await working
        await nobodyIsThere(queue)
        const deadly = worker(t, 'hold', address.at())
        await queue.push('deadly', patience)
        await deadly.printed('deadly', patience.timeout)
        await deadly.kill()
        await nobodyIsThere(queue)
        const next = worker(t, 'take', address.at())
        await queue.push('next', patience)
        await next.printed('next', patience.timeout)
        t.false(next.lines.includes('deadly'))
      },
    },

    rebalance: {
      told: 'at most once: what a worker has read ahead ends with it',
      drill: async (t) => {
        const address = await tcpAddress()
        const queue = open(t, address.at('?bind'))
        const all: number[] = []
        const join = (): { readonly queue: WorkQueue; readonly seen: number[] } => {
          const seen: number[] = []
          const taking = open(t, address.at())
          void taking.work((job) => {
            seen.push(Number(textOf(job)))
            all.push(Number(textOf(job)))
          })
          return { queue: taking, seen }
        }
        let next = 1000
        const pushUntil = (isSo: () => boolean): Promise<void> =>
          until(async () => {
            await queue.push(String(next++), patience)
            return isSo()
          }, patience.timeout)
        const first = join()
        const second = join()
        await pushUntil(() => first.seen.length > 0 && second.seen.length > 0)
        // Nobody comes or goes: all are done.
        const from = next
        for (; next < from + 60; next++) await queue.push(String(next), patience)
        const stays = Array.from({ length: 60 }, (_none, at) => from + at)
        await until(() => stays.every((at) => all.includes(at)), patience.timeout)
        first.queue.close()
        const third = join()
        await pushUntil(() => third.seen.length > 0)
        third.queue.close()
        // Until it is noticed that one has gone, every second job goes to it, and is lost.
        await alone(queue, second.seen, next)
        t.is(new Set(all).size, all.length)
      },
    },
  },
}

async function slowed(
  t: ExecutionContext,
  { endpoint }: ZmqAddress,
): Promise<{ readonly port: number; readonly proxy: Awaited<ReturnType<typeof proxyTo>> }> {
  const proxy = await proxyTo(t, Number(endpoint.split(':')[2]))
  return { port: proxy.port, proxy }
}
