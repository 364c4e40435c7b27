// Health is judged by facts, of two processes, one of which is killed; pages tell it as orchestrators ask for it.

import test from 'ava'
import { FrameReader, FrameWriter, SpscQueue } from 'millrace'
import { SharedBreaker } from 'millrace/resilience'
import { Mutex } from 'millrace/sync'
import {
  health,
  healthPages,
  servePages,
  type HealthCheck,
  type HealthOptions,
  type HealthReason,
} from 'millrace/telemetry'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open } from '../work/open.js'

const patience = 40_000

/** What is said of that name. */
function checkOf(name: string, options: HealthOptions = { names: [name] }): HealthCheck {
  const found = health(options).checks.filter((check) => check.name.endsWith(`:${name}`))
  if (found.length !== 1) throw new Error(`${name}: ${JSON.stringify(found)}`)
  return found[0]!
}

const said = (reasons: readonly HealthReason[]) =>
  reasons.map(({ code, status }) => `${status} ${code}`)

test('a channel that is as it should be passes; one that is not there fails', (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  const { status, checks } = health({ names: [name, `${name}-none`] })
  t.is(status, 'fail')
  t.deepEqual(checks, [
    { name: `queue:${name}`, status: 'pass', reasons: [] },
    {
      name: `channel:${name}-none`,
      status: 'fail',
      reasons: [
        { code: 'missing', status: 'fail', message: 'it is not there: start who makes it' },
      ],
    },
  ])
  t.is(consumer.name, name)
})

test('of this process, of the host, by prefix: what is looked at is what was asked for', async (t) => {
  const name = uniqueName(t)
  using mine = Mutex.open(name)
  const other = actor(t)
  const theirs = `${name}-b`
  await other.do(({ Mutex, own }, mutex) => {
    own.mutex = Mutex.open(mutex)
  }, theirs)
  const names = (options: HealthOptions): string[] =>
    health(options)
      .checks.map((check) => check.name)
      .filter((found) => found.includes(name))
      .sort()
  const all = [`mutex:${name}`, `mutex:${theirs}`]
  t.deepEqual(names({}), [`mutex:${name}`])
  t.deepEqual(names({ of: 'process', prefix: name }), [`mutex:${name}`])
  t.deepEqual(names({ of: 'process', names: [theirs] }), all)
  t.deepEqual(names({ of: 'host' }), all)
  t.deepEqual(names({ prefix: name }), all)
  t.deepEqual(names({ names: [theirs] }), [`mutex:${theirs}`])
  t.deepEqual(names({ of: 'none' }), [])
  await other.do(({ own }) => {
    own.mutex.close()
  })
  t.false(mine.closed)
})

test('a dead peer is told of until somebody takes its place; all dead is abandoned', async (t) => {
  const name = uniqueName(t)
  const consumer = SpscQueue.consumer(name, { capacity: 4096 })
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
  }, name)
  t.is(checkOf(name).status, 'pass')
  await other.kill('SIGKILL')
  const [reason] = checkOf(name).reasons
  t.like(reason, { code: 'dead-peer', status: 'warn', value: 0 })
  t.is(reason!.message, `producer ${String(other.pid)} died: start it again`)
  // It is still so, and by now for too long.
  await until(() => checkOf(name).reasons[0]!.value! > 0)
  const strict = { names: [name], limits: { deadPeer: 1 } }
  await until(() => checkOf(name, strict).status === 'fail')
  SpscQueue.producer(name).close()
  t.is(checkOf(name).status, 'pass')
  consumer.close()

  const alone = uniqueName(t)
  const last = actor(t)
  await last.do(({ Mutex, own }, mutex) => {
    own.mutex = Mutex.open(mutex)
  }, alone)
  await last.kill('SIGKILL')
  t.deepEqual(said(checkOf(alone).reasons), ['warn abandoned'])
  Mutex.open(alone).close()
})

test('a queue without room, and one of which nothing is taken, are told of for as long as that is so', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using producer = SpscQueue.producer(name)
  const options = { names: [name], limits: { full: { warn: 0, fail: 1 }, oldest: { warn: 1 } } }
  producer.tryPush('one')
  t.deepEqual(said(checkOf(name, options).reasons), [])
  await until(() => said(checkOf(name, options).reasons).includes('warn oldest'))
  while (producer.tryPush(new Uint8Array(1000)));
  const full = producer.push(new Uint8Array(1000))
  await until(() => said(checkOf(name, options).reasons).includes('fail full'))
  const worst = checkOf(name, options)
  t.is(worst.status, 'fail')
  // The worst first.
  t.deepEqual(said(worst.reasons), ['fail full', 'warn oldest'])
  t.regex(worst.reasons[0]!.message, /^there was no room for \d+\.\d s$/)
  consumer.drain(() => undefined)
  await full
  consumer.drain(() => undefined)
  t.is(checkOf(name, options).status, 'pass')
})

test('jobs that wait for long, and dead letters, are told of', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const queue = open(t, name)
  await queue.push('one')
  await until(() => {
    const { reasons } = checkOf(name, { names: [name], limits: { oldest: { fail: 5 } } })
    return said(reasons).includes('fail oldest')
  })
  t.is(checkOf(name).status, 'pass')
  ;(await queue.takeOne()).reject('no')
  const { reasons } = checkOf(name)
  t.like(reasons[0], { code: 'dead-letters', status: 'warn', value: 1, message: '1 dead letters' })
  t.is(checkOf(name, { names: [name], limits: { deadLetters: { warn: 2 } } }).status, 'pass')
  t.is(checkOf(name, { names: [name], limits: { deadLetters: 1 } }).status, 'fail')
})

test('frames for which the writer waits, and a breaker that is open, are told of', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 2 })
  using reader = await FrameReader.open(name, { policy: 'wait', depth: 2 })
  for (let i = 0; i < 2; i++) (await writer.loan()).publish()
  const options = { names: [name], limits: { full: { warn: 0 } } }
  const third = writer.loan()
  await until(() => said(checkOf(name, options).reasons).includes('warn full'))
  ;(await reader.receive())!.release()
  ;(await third).publish()
  t.is(checkOf(name, options).status, 'pass')

  const open = uniqueName(t, { mayLeave: true })
  using breaker = SharedBreaker.open(open, { failures: 1, halfOpenAfter: 60_000 })
  await t.throwsAsync(
    breaker.execute(() => {
      throw new Error('no')
    }),
  )
  t.deepEqual(said(checkOf(open).reasons), ['warn open'])
})

test('routes of a gateway, and what the application asks for, count as well', (t) => {
  const routes = [
    { name: 'a', state: 'running' },
    { name: 'b', state: 'connecting', error: new Error('nats://me:key@host is away') },
  ]
  const checks = {
    disk: () => true as const,
    licence: () => 'it has expired',
    broken: (): true => {
      throw new Error('no answer')
    },
  }
  const { status, checks: found } = health({ of: 'none', routes, checks })
  t.is(status, 'fail')
  t.deepEqual(
    found.map(({ name, reasons }) => [name, ...reasons.map(({ message }) => message)]),
    [
      ['route:a'],
      ['route:b', 'connecting (nats://…@host is away)'],
      ['disk'],
      ['licence', 'it has expired'],
      ['broken', 'no answer'],
    ],
  )
})

test('what cannot be understood is refused, before anything is looked at', (t) => {
  const refused = (options: unknown, message: RegExp): void => {
    t.throws(() => health(options as HealthOptions), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message,
    })
  }
  refused({ name: 'x' }, /name/)
  refused({ names: 'x' }, /names must be a list of names/)
  refused({ of: 'world' }, /of must be 'process', 'host' or 'none'/)
  refused({ limits: { old: 1 } }, /old/)
  refused({ limits: { oldest: -1 } }, /limits.oldest must have numbers from 0 on, not -1/)
  refused({ limits: { oldest: { warn: 'x' } } }, /limits.oldest must have numbers/)
  refused({ checks: { disk: true } }, /checks.disk must be a function/)
  refused({ routes: {} }, /routes must be a list/)
  t.throws(() => healthPages({ of: 'world' as 'host' }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
})

test('/livez, /readyz and /health say it as orchestrators ask', async (t) => {
  const name = uniqueName(t)
  const consumer = SpscQueue.consumer(name, { capacity: 4096 })
  const server = await servePages({ host: '127.0.0.1', port: 0 }, healthPages({ names: [name] }))
  t.teardown(() => {
    server.close()
  })
  const get = async (path: string): Promise<readonly [number, string, string | null]> => {
    const answer = await fetch(server.url + path)
    return [answer.status, await answer.text(), answer.headers.get('content-type')]
  }
  const text = 'text/plain; charset=utf-8'
  t.deepEqual(await get('/livez'), [200, 'ok\n', text])
  t.deepEqual(await get('/livez?verbose'), [200, 'livez check passed\n', text])
  t.deepEqual(await get('/readyz'), [200, 'ok\n', text])
  t.deepEqual(await get('/readyz?verbose'), [
    200,
    `[+]queue:${name} ok\nreadyz check passed\n`,
    text,
  ])
  consumer.close()
  const failed = `[-]channel:${name} failed: it is not there: start who makes it\nreadyz check failed\n`
  await until(async () => (await get('/readyz'))[0] === 503, patience)
  t.deepEqual(await get('/readyz'), [503, failed, text])
  t.deepEqual(await get(`/readyz?exclude=channel:${name}&verbose`), [
    200,
    'readyz check passed\n',
    text,
  ])
  t.is((await get('/livez'))[0], 200)
  const [status, body, type] = await get('/health')
  t.deepEqual([status, type], [503, 'application/health+json; charset=utf-8'])
  t.like(JSON.parse(body), {
    status: 'fail',
    checks: {
      [`channel:${name}`]: [{ status: 'fail', output: 'it is not there: start who makes it' }],
    },
  })
})
