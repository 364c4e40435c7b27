// The drills of work.

import type { ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { selfSigned } from '../../../support/certificate.js'
import { run } from '../../../support/process.js'
import { until } from '../../../support/until.js'
import {
  awayFor,
  broken,
  certificates,
  passwords,
  patience,
  reconnect,
  slowMs,
  slowServer,
  type CommonDrill,
  type DrilledEngine,
  type Drills,
} from './engine.js'

const gone = { code: 'ERR_MILLRACE_LEASE_LOST' }
const noTime = { code: 'ERR_MILLRACE_TIMEOUT' }

export const textOf = (job: Job): string => job.copy().toString()

export function openQueue(
  t: ExecutionContext,
  { work }: DrilledEngine,
  address: string,
  { connection, ...options }: WorkQueueOptions = {},
): WorkQueue {
  const { connection: usual, ...others } = work?.options ?? {}
  const queue = WorkQueue.open(address, {
    ...others,
    ...options,
    connection: { reconnect, ...usual, ...connection },
  })
  t.teardown(() => {
    queue.close()
  })
  return queue
}

/** A take brings what is there, which may be less. */
export async function taken(queue: WorkQueue, count: number): Promise<Job[]> {
  const jobs: Job[] = []
  while (jobs.length < count) jobs.push(...(await queue.takeBatch(count - jobs.length, patience)))
  return jobs
}

/** What jobs say that were completed, until `last` is among them. What was lost on the way there comes again. */
export async function finished(
  queue: WorkQueue,
  isLast: (texts: readonly string[]) => boolean,
): Promise<string[]> {
  const texts: string[] = []
  while (!isLast(texts)) {
    const job = await queue.takeOne(patience)
    const text = textOf(job)
    try {
      await job.complete()
      texts.push(text)
    } catch (error) {
      if ((error as MillraceError).code !== gone.code) throw error
    }
  }
  return texts
}

const has =
  (...wanted: readonly string[]) =>
  (texts: readonly string[]) =>
    wanted.every((text) => texts.includes(text))

async function none(t: ExecutionContext, queue: WorkQueue): Promise<void> {
  await t.throwsAsync(queue.takeOne({ timeout: 200 }), noTime)
}

const away: CommonDrill = async (t, engine) => {
  const server = await engine.server(t, { keeps: true })
  const address = server.address(engine.newName())
  const { kept, delays = true } = engine.work!
  const options = { ...kept, ...leases(engine) }
  const queue = openQueue(t, engine, address, options)
  const later = { delay: 1500, ...patience }
  if (delays) {
    // RabbitMQ needs half a second until it has written down that a queue is there, one of delays among them.
    await queue.push('soon', later)
    t.deepEqual(await finished(queue, has('soon')), ['soon'])
  }
  for (const text of ['a', 'b']) await queue.push(text, patience)
  const held = await taken(queue, 2)
  t.deepEqual(held.map(textOf), ['a', 'b'])
  const late = delays ? ['late'] : []
  for (const text of late) await queue.push(text, later)
  const all = ['a', 'b', 'c', ...late]
  const waiting = finished(queue, has(...all))
  await server.end()
  await broken(queue)
  for (const job of held) {
    t.true(job.signal.aborted)
    await t.throwsAsync(Promise.resolve(job.complete()), gone)
  }
  const early = openQueue(t, engine, address, options)
  const pushing = early.push('c', { timeout: 2 ** 31 - 1 })
  await awayFor(queue, early)
  await t.throwsAsync(queue.push('never', { timeout: 100 }), { ...noTime, message: engine.cure })
  await server.start()
  await pushing
  t.deepEqual((await waiting).sort(), all)
  await none(t, queue)
}

const empty: CommonDrill = async (t, engine) => {
  const server = await engine.server(t, { keeps: true })
  const address = server.address(engine.newName())
  const options = { maxAttempts: 3, ...engine.work!.kept, ...leases(engine) }
  const queue = openQueue(t, engine, address, options)
  await queue.push('old', patience)
  const held = await queue.takeOne(patience)
  await queue.push('older', patience)
  const [older] = await taken(queue, 1)
  t.is(textOf(older!), 'older')
  await older!.release()
  t.is(textOf(await queue.takeOne(patience)), 'older')
  const waiting = queue.takeOne({ timeout: 2 ** 31 - 1 })
  await server.end()
  await broken(queue)
  await server.forget()
  await server.start()
  await openQueue(t, engine, address, options).push('new', patience)
  const job = await waiting
  t.deepEqual([textOf(job), job.attempt], ['new', 1])
  await job.complete()
  t.true(held.signal.aborted)
  await t.throwsAsync(Promise.resolve(held.complete()), gone)
  await none(t, queue)
  t.is(queue.maxAttempts, 3)
}

/** The time of a lease, where it is silence that ends one. */
function leases({ work }: DrilledEngine): WorkQueueOptions {
  const { leaseMs } = work!
  return leaseMs === undefined ? {} : { leaseTimeout: leaseMs }
}

const still: CommonDrill = async (t, engine) => {
  const { heartbeat } = engine.work!
  const server = await engine.server(t, { keeps: true })
  const options = { connection: { heartbeat }, ...engine.work!.kept, ...leases(engine) }
  const address = server.address(engine.newName())
  const queue = openQueue(t, engine, address, options)
  for (const text of ['a', 'b']) await queue.push(text, patience)
  const [held] = await taken(queue, 1)
  t.teardown(() => {
    server.resume()
  })
  server.pause()
  const pushing = queue.push('c', patience).then(
    () => undefined,
    (error: unknown) => error as MillraceError,
  )
  await broken(queue)
  t.regex(queue.connection!.lastError!.message, /no sign of life|timed out/)
  t.true(held!.signal.aborted)
  await t.throwsAsync(Promise.resolve(held!.complete()), gone)
  server.resume()
  const why = await pushing
  if (why !== undefined) t.is(why.executed, 'unknown', why.message)
  await queue.push('d', patience)
  const texts = await finished(queue, has('a', 'b', 'd'))
  t.deepEqual(texts.filter((text) => text !== 'c').sort(), ['a', 'b', 'd'])
  // What nobody was told is in doubt; what was confirmed is there.
  if (why === undefined && !texts.includes('c')) {
    t.deepEqual(await finished(queue, has('c')), ['c'])
  }
  t.true(queue.connection!.made > 1)
}

export const workDrills = {
  absent: async (t, engine) => {
    const server = await engine.server(t, { started: false })
    const address = server.address(engine.newName())
    const [queue, taking] = [openQueue(t, engine, address), openQueue(t, engine, address)]
    const pushed = queue.push('x', patience)
    const waiting = taking.takeOne(patience)
    await awayFor(queue, taking)
    await t.throwsAsync(queue.push('never', { timeout: 100 }), { ...noTime, message: engine.cure })
    await server.start()
    t.deepEqual(await pushed, { duplicate: false })
    const job = await waiting
    t.is(textOf(job), 'x')
    await job.complete()
    await none(t, taking)
  },

  away,
  empty,

  slow: async (t, engine) => {
    const { proxy, address } = await slowServer(t, engine, engine.newName())
    const queue = openQueue(t, engine, address)
    await queue.push('first', patience)
    t.deepEqual(await finished(queue, has('first')), ['first'])
    proxy.delay = slowMs
    const from = performance.now()
    await queue.push('a', patience)
    t.true(performance.now() - from >= 2 * slowMs - 10)
    // Who does not wait for as long as that takes gives up, and what came too late is not lost.
    await t.throwsAsync(queue.takeOne({ timeout: 100 }), noTime)
    await t.throwsAsync(queue.push('in doubt', { timeout: 100 }), noTime)
    const texts = await finished(queue, has('a'))
    proxy.delay = 0
    await queue.push('last', patience)
    texts.push(...(await finished(queue, has('last'))))
    t.deepEqual(
      texts.filter((text) => text !== 'in doubt'),
      ['a', 'last'],
    )
    t.is(queue.connection!.made, 1)
  },

  still,

  full: async (t, engine) => {
    const server = await engine.server(t, {})
    const queue = openQueue(t, engine, server.address(engine.newName()), { jobs: 2 })
    for (const text of ['a', 'b']) await queue.push(text, patience)
    await t.throwsAsync(queue.push('never', { timeout: 200 }), noTime)
    const pushed = queue.push('d', patience)
    const job = await queue.takeOne(patience)
    t.is(textOf(job), 'a')
    await job.complete()
    t.deepEqual(await pushed, { duplicate: false })
    t.deepEqual(await finished(queue, has('d')), ['b', 'd'])
    await none(t, queue)
    t.is(queue.connection!.made, 1)
  },

  password: async (t, engine) => {
    const server = await engine.server(t, { password: true })
    const open = (address: string): WorkQueue => openQueue(t, engine, address)
    await passwords(t, engine, server, engine.newName(), open, (queue) => queue.push('x', patience))
  },

  certificate: async (t, engine) => {
    const open = (address: string, tls: object | undefined): WorkQueue =>
      openQueue(t, engine, address, { connection: tls === undefined ? {} : { tls } })
    await certificates(t, engine, engine.newName(), open, async (queue) => {
      await queue.push('secret', patience)
      t.deepEqual(await finished(queue, has('secret')), ['secret'])
    })
    const plain = await engine.server(t, {})
    const queue = open(plain.address(engine.newName()), { ca: selfSigned().cert })
    queue.push('x', patience).catch(() => undefined) // it waits until the handle is closed
    await until(() => queue.connection!.lastError !== undefined, 60_000)
    const { code, message } = queue.connection!.lastError as MillraceError
    // A server that takes the greeting for the beginning of a command waits for its end.
    t.true(code === 'ERR_MILLRACE_UNREACHABLE' || code === 'ERR_MILLRACE_TIMEOUT', code)
    t.regex(message, /TLS/i)
    queue.close()
  },

  unknown: async (t, engine) => {
    const { occupy, occupied, remove } = engine.work!
    const server = await engine.server(t, {})
    const theirs = engine.newName()
    await occupy!(t, server, theirs)
    const refused = openQueue(t, engine, server.address(theirs))
    await t.throwsAsync(refused.push('x', patience), {
      code: 'ERR_MILLRACE_GEOMETRY',
      message: occupied!,
    })
    t.true(refused.closed)
    // One that is removed is made again, also while somebody waits there, as it was.
    const name = engine.newName()
    const [queue, other] = [0, 1].map(() =>
      openQueue(t, engine, server.address(name), { maxAttempts: 3 }),
    ) as [WorkQueue, WorkQueue]
    await queue.push('lost', patience)
    // Of what is made while it is removed nats-server 2.9.10 keeps half.
    await other.connected(patience)
    await remove!(t, server, name)
    await queue.push('x', patience)
    t.deepEqual(await finished(queue, has('x')), ['x'])
    const waiting = other.takeOne(patience)
    await other.connected(patience)
    await remove!(t, server, name)
    await queue.push('y', patience)
    const job = await waiting
    t.is(textOf(job), 'y')
    await job.complete()
    t.is(queue.maxAttempts, 3)
  },

  large: async (t, engine) => {
    const server = await engine.server(t, { small: true })
    const queue = openQueue(t, engine, server.address(engine.newName()))
    await queue.connected(patience)
    const { most, tells = true, counts = false, refuse } = engine.work!
    if (tells) t.is(queue.maxBytes, most)
    for (const [length, options] of [
      [most + 1, {}],
      [counts ? most : most + 1, { id: 'with an id' }],
    ] as const) {
      await refuse?.(server)
      await t.throwsAsync(queue.push(Buffer.alloc(length), { ...options, ...patience }), {
        code: 'ERR_MILLRACE_TOO_LARGE',
        message: engine.tooLarge!,
      })
    }
    await queue.push(Buffer.alloc(most, 7), patience)
    const job = await queue.takeOne(patience)
    t.deepEqual([job.length, job.bytes[12]], [most, 7])
    await job.complete()
    t.is(queue.connection!.made, 1)
  },

  poison: async (t, engine) => {
    const { leaseMs = 0, buries = true } = engine.work!
    const server = await engine.server(t, {})
    const address = server.address(engine.newName())
    const options = { maxAttempts: 2, ...leases(engine) }
    const queue = openQueue(t, engine, address, options)
    for (const text of ['poison', 'good', 'better']) await queue.push(text, patience)
    const seen: string[] = []
    const working = queue.work((job) => {
      const text = textOf(job)
      seen.push(`${text} ${String(job.attempt)}`)
      if (text === 'poison') throw new Error('it cannot be done')
    })
    const dead = openQueue(t, engine, `${address}-dead`)
    const letter = await dead.takeOne(patience)
    t.is(textOf(letter), 'poison')
    await letter.complete()
    await until(() => seen.length >= 4, 60_000)
    t.deepEqual([...seen].sort(), ['better 1', 'good 1', 'poison 1', 'poison 2'])
    queue.close()
    await working
    if (!buries) return
    // And one that kills whoever has it in hand.
    const other = openQueue(t, engine, address, options)
    await other.push('deadly', patience)
    const fixture = new URL('../../fixtures/worker.js', import.meta.url)
    for (const _ of [1, 2]) {
      const worker = run(t, fixture, [address, String(leaseMs)])
      await worker.printed('deadly', 60_000)
      await worker.kill()
    }
    const nobody = other.takeOne(patience)
    const deadly = await dead.takeOne(patience)
    t.is(textOf(deadly), 'deadly')
    await deadly.complete()
    await other.push('next', patience)
    const next = await nobody
    t.is(textOf(next), 'next')
    await next.complete()
  },

  rebalance: async (t, engine) => {
    const server = await engine.server(t, { workers: 4 })
    const address = server.address(engine.newName())
    const pushing = openQueue(t, engine, address)
    await pushing.connected(patience)
    const groups = pushing.traits.groups ? 6 : 0
    const count = 60
    for (let at = 0; at < count; at++) {
      const group = groups === 0 ? {} : { group: `g${String(at % groups)}` }
      await pushing.push(String(at), { ...group, ...patience })
    }
    const seen: number[] = []
    const worker = (): WorkQueue => {
      const queue = openQueue(t, engine, address)
      void queue.work(async (job) => {
        seen.push(Number(textOf(job)))
        await new Promise((resolve) => setTimeout(resolve, 5))
      })
      return queue
    }
    const first = worker()
    await until(() => seen.length >= 10, 60_000)
    await engine.work!.disturb?.(server)
    worker()
    await until(() => seen.length >= 20, 60_000)
    first.close()
    worker()
    await until(() => new Set(seen).size === count, 120_000)
    // Of a group they come in order, as far as the engine knows groups: what comes once more has come before.
    for (let group = 0; group < groups; group++) {
      const own = [...new Set(seen.filter((at) => at % groups === group))]
      t.deepEqual(
        own,
        own.toSorted((a, b) => a - b),
      )
    }
    t.true(seen.length < 2 * count, String(seen.length))
  },
} as const satisfies Drills
