// A work queue over a server of RabbitMQ.

import { setTimeout as pause } from 'node:timers/promises'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { Gateway } from 'millrace/gateway'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { selfSigned } from '../support/certificate.js'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { until, within } from '../support/until.js'
import { mostBytes, rabbitClient, sharedRabbit } from './support/rabbit.js'

const patience = { timeout: 20_000 }
const mine = selfSigned()
const server = sharedRabbit(test, mine)

let queues = 0

/** A queue of this test's own. */
function newName(): string {
  return `jobs-${String(process.pid)}-${String(++queues)}`
}

function open(
  t: ExecutionContext,
  name: string,
  options?: WorkQueueOptions,
  secret = '',
): WorkQueue {
  const queue = WorkQueue.open(server().address(name, secret), options)
  t.teardown(() => {
    queue.close()
  })
  return queue
}

const textOf = (job: Job) => job.copy().toString()

test('jobs go from handle to handle, in their order, and are gone when they are complete', async (t) => {
  const name = newName()
  const [pushing, taking] = [open(t, name), open(t, name)]
  t.true(pushing instanceof WorkQueue)
  t.is(await pushing.pushBatch(['a', 'b', 'c']), 3)
  const jobs = await taking.takeBatch(10, patience)
  t.deepEqual(jobs.map(textOf), ['a', 'b', 'c'])
  t.deepEqual(
    jobs.map(({ attempt }) => attempt),
    [1, 1, 1],
  )
  t.true(Math.abs(jobs[0]!.pushedAt.getTime() - Date.now()) < 60_000)
  for (const job of jobs) await job.complete()
  t.throws(() => jobs[0]!.complete(), { code: 'ERR_MILLRACE_RELEASED' })
  await t.throwsAsync(taking.takeOne({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const { traits } = taking
  t.deepEqual(
    [traits.local, traits.leases, traits.death, traits.dedups, traits.priorities, traits.groups],
    [false, 'connection', 'exact', false, false, false],
  )
  t.deepEqual([taking.durability, taking.maxAttempts, taking.priorities], ['disk', 5, 1])
})

test('of many that are done in one turn, in any order, each is done, and none that is beside it', async (t) => {
  const name = newName()
  const queue = open(t, name)
  const numbers = Array.from({ length: 24 }, (_, at) => String(at))
  t.is(await queue.pushBatch(numbers), 24)
  const jobs = await queue.takeBatch(24, patience)
  t.deepEqual(jobs.map(textOf), numbers)
  const done = (...which: number[]) => which.map((at) => Promise.resolve(jobs[at]!.complete()))
  // First those in front, with gaps; then what closes a gap; some go back between them, and some stay in hand.
  await Promise.all([...done(2, 0, 1, 5, 7), jobs[3]!.release(), ...done(9, 12)])
  await Promise.all([...done(4), jobs[10]!.release(), ...done(14, 13)])
  await Promise.all(done(6, 8, 11, 16))
  await t.throwsAsync(
    Promise.resolve().then(() => jobs[5]!.complete()),
    {
      code: 'ERR_MILLRACE_RELEASED',
    },
  )
  const back = await queue.takeBatch(2, patience)
  t.deepEqual(back.map(textOf).toSorted(), ['10', '3'])
  for (const job of back) await job.complete()
  queue.close()
  const left = open(t, name)
  const again: string[] = []
  while (again.length < 8) {
    const job = await left.takeOne(patience)
    again.push(textOf(job))
    await job.complete()
  }
  const inHand = ['15', '17', '18', '19', '20', '21', '22', '23']
  t.deepEqual(again.toSorted(), inHand)
  await t.throwsAsync(left.takeOne({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
})

test('who waits is told of a job that comes later; nobody has one in hand that nobody waits for', async (t) => {
  const queue = open(t, newName(), { maxAttempts: 1 })
  const control = new AbortController()
  const given = [
    queue.takeOne({ signal: control.signal }),
    queue.takeBatch(9, { signal: control.signal }),
  ]
  await until(() => queue.connection?.state === 'connected')
  const waiting = queue.takeOne(patience)
  control.abort()
  for (const one of given) await t.throwsAsync(one, { code: 'ERR_MILLRACE_ABORTED' })
  await queue.pushBatch(['late', 'later'])
  const job = await waiting
  t.deepEqual([textOf(job), job.attempt], ['late', 1])
  await job.complete()
  const other = await open(t, queue.name.split('/').at(-1)!).takeOne(patience)
  t.deepEqual([textOf(other), other.attempt], ['later', 1])
})

test('work() hands each job to its handler, also several at a time, and tries again what has failed', async (t) => {
  const name = newName()
  const queue = open(t, name)
  const seen: string[] = []
  const working = queue.work(
    async (job) => {
      await Promise.resolve()
      seen.push(`${textOf(job)}${String(job.attempt)}`)
      if (job.attempt === 1 && textOf(job) === 'b') throw new Error('not yet')
    },
    { concurrency: 3 },
  )
  const pushing = open(t, name)
  for (const text of ['a', 'b', 'c', 'd']) await pushing.push(text)
  await until(() => seen.length === 5)
  t.deepEqual([...seen].sort(), ['a1', 'b1', 'b2', 'c1', 'd1'])
  queue.close()
  await within(15_000, working)
})

test('the id of a job goes with it, and is not known again', async (t) => {
  const queue = open(t, newName())
  for (const _ of [1, 2]) {
    t.deepEqual(await queue.push('twice', { id: 'order 7' }), { duplicate: false })
  }
  const jobs = [await queue.takeOne(patience), await queue.takeOne(patience)]
  t.deepEqual(
    jobs.map(({ id }) => id),
    ['order 7', 'order 7'],
  )
})

test('what is released, and what failed, comes again, later if that was asked', async (t) => {
  const queue = open(t, newName())
  await queue.push('x', { id: 'y' })
  const first = await queue.takeOne(patience)
  await first.release()
  const second = await queue.takeOne(patience)
  t.is(second.acquired, 2)
  t.true(second.token > first.token)
  const from = performance.now()
  await second.retry({ delay: 300, error: 'later' })
  const third = await queue.takeOne(patience)
  t.true(performance.now() - from >= 290)
  t.deepEqual([textOf(third), third.id, third.attempt], ['x', 'y', 3])
  t.is(third.pushedAt.getTime(), first.pushedAt.getTime())
  await third.complete()
})

test('a job with a delay is due later, and its attempts begin then', async (t) => {
  const queue = open(t, newName())
  const from = performance.now()
  await queue.push('later', { delay: 400 })
  await queue.push('now')
  t.is(textOf(await queue.takeOne(patience)), 'now')
  const job = await queue.takeOne(patience)
  t.true(performance.now() - from >= 390)
  t.deepEqual([textOf(job), job.attempt], ['later', 1])
})

test('dead letters are jobs of a queue of their own: rejected, out of attempts, out of time', async (t) => {
  const name = newName()
  const queue = open(t, name, { maxAttempts: 2 })
  await queue.connected()
  const dead = open(t, `${name}-dead`)
  await queue.push('rejected', { id: 'r' })
  await (await queue.takeOne(patience)).reject(new Error('two\nlines'))
  const rejected = await dead.takeOne(patience)
  t.deepEqual([textOf(rejected), rejected.id], ['rejected', 'r'])
  await rejected.complete()

  await queue.push('poison')
  for (const delay of [50, 0]) {
    const job = await queue.takeOne(patience)
    t.is(job.attempt, delay > 0 ? 1 : 2)
    await job.retry({ error: 'no', delay })
  }
  const poison = await dead.takeOne(patience)
  t.is(textOf(poison), 'poison')
  await poison.complete()

  await queue.push('expired', { ttl: 1 })
  await queue.push('expired later', { ttl: 1, delay: 20 })
  const expired = [await dead.takeOne(patience)]
  await t.throwsAsync(queue.takeOne({ timeout: 500 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  expired.push(await dead.takeOne(patience))
  t.deepEqual(expired.map(textOf), ['expired', 'expired later'])
})

test('why a job is a dead letter stands in its headers', async (t) => {
  const name = newName()
  const queue = open(t, name)
  await queue.push('bad')
  await (await queue.takeOne(patience)).reject(new Error('no good'))
  const channel = await rabbitClient(t, server())
  const message = await channel.get(`${name}-dead`)
  t.truthy(message)
  const { headers } = (message as Exclude<typeof message, false>).properties
  t.deepEqual([headers['Millrace-Reason'], headers['Millrace-Attempts']], ['rejected', '1'])
  t.regex(String(headers['Millrace-Error']), /no good/)
})

test('a full queue has what it may have, and makes a push wait, and end in time', async (t) => {
  const name = newName()
  const queue = open(t, name, { jobs: 3 })
  await queue.push('x', patience)
  const control = new AbortController()
  const pushes = Array.from({ length: 40 }, () => queue.push('x', { signal: control.signal }))
  let pushed = 0
  const ended = pushes.map((push) =>
    push.then(
      () => pushed++,
      (error: unknown) => error as MillraceError,
    ),
  )
  await until(() => pushed === 2)
  await t.throwsAsync(queue.push('x', { timeout: 300 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  control.abort()
  const codes = (await Promise.all(ended)).filter((end) => typeof end !== 'number')
  t.deepEqual([codes.length, codes[0]!.code], [38, 'ERR_MILLRACE_ABORTED'])
  const channel = await rabbitClient(t, server())
  t.is((await channel.checkQueue(name)).messageCount, 3)
  const waiting = queue.push('y', patience)
  for (const text of ['x', 'x', 'x', 'y']) {
    const job = await queue.takeOne(patience)
    t.is(textOf(job), text)
    await job.complete()
  }
  t.deepEqual(await waiting, { duplicate: false })
})

test('of a queue that has a limit of bytes, a part is on its way at a time', async (t) => {
  const name = newName()
  const queue = open(t, name, { bytes: 64_000 })
  const pushes = Array.from({ length: 100 }, () => queue.push(Buffer.alloc(4000), patience))
  let pushed = 0
  for (const push of pushes) push.then(() => pushed++).catch(() => undefined)
  const channel = await rabbitClient(t, server())
  await t.throwsAsync(queue.push('x', { timeout: 1000 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const { messageCount } = await channel.checkQueue(name)
  t.true(messageCount >= 16 && messageCount <= 18, String(messageCount))
  t.is(pushed, messageCount)
  queue.close()
  await Promise.allSettled(pushes)
})

test('who asks for jobs again and again, and gives up in between, sees each of them the first time', async (t) => {
  const name = newName()
  const [pushing, queue] = [open(t, name, { maxAttempts: 1 }), open(t, name, { maxAttempts: 1 })]
  await pushing.connected()
  const wanted = Array.from({ length: 50 }, (_, at) => String(at))
  const seen: string[] = []
  const taking = (async () => {
    while (seen.length < wanted.length) {
      try {
        const job = await queue.takeOne({ timeout: 3 })
        seen.push(textOf(job))
        await job.complete()
      } catch (error) {
        if ((error as MillraceError).code !== 'ERR_MILLRACE_TIMEOUT') throw error
      }
    }
  })()
  for (const text of wanted) {
    await pushing.push(text, patience)
    await new Promise((resolve) => setTimeout(resolve, 7))
  }
  await within(15_000, taking)
  t.deepEqual(seen, wanted)
})

test('what a quorum queue cannot do is refused before anything is done', async (t) => {
  const name = newName()
  const queue = open(t, name)
  for (const options of [{ priority: 1 }, { group: 'g' }, { id: 'x'.repeat(256) }]) {
    await t.throwsAsync(queue.push('x', options), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  }
  t.throws(() => open(t, name, { durability: 'memory' }), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  t.throws(() => open(t, name, { dedupWindow: 5 }), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  for (const wrong of ['a.b', '', 'x'.repeat(101), `${name}?nothing`]) {
    t.throws(() => open(t, wrong), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }, wrong)
  }
  t.throws(() => queue.size, { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await t.throwsAsync(queue.takeOne({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
})

test('a queue that is another one than was said is refused, and so is one of somebody else', async (t) => {
  const name = newName()
  await open(t, name, { jobs: 5, maxAttempts: 3, deadLetters: { jobs: 7 } }).push('x')
  const wrong: readonly WorkQueueOptions[] = [
    { jobs: 6 },
    { maxAttempts: 9 },
    { maxAttempts: Infinity },
    { bytes: 2 ** 20 },
    { deadLetters: { jobs: 8 } },
    { priorities: 4 },
  ]
  for (const options of wrong) {
    await t.throwsAsync(
      open(t, name, options).push('x'),
      { code: 'ERR_MILLRACE_GEOMETRY' },
      JSON.stringify(options),
    )
  }
  const knows = open(t, name)
  await knows.connected()
  t.deepEqual([knows.maxAttempts, knows.durability], [3, 'disk'])
  const channel = await rabbitClient(t, server())
  await channel.assertQueue(`${name}-theirs`)
  await t.throwsAsync(open(t, `${name}-theirs`).push('x'), {
    code: 'ERR_MILLRACE_GEOMETRY',
    message: /not as millrace makes it/,
  })
})

test('what has no limit and no dead letters is opened again by who says nothing of that', async (t) => {
  const name = newName()
  await open(t, name, { maxAttempts: Infinity, deadLetters: { jobs: 0 } }).push('x')
  const queue = open(t, name)
  await (await queue.takeOne(patience)).reject('gone')
  t.is(queue.maxAttempts, Infinity)
  await t.throwsAsync(queue.takeOne({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await t.throwsAsync(open(t, name, { deadLetters: { jobs: 3 } }).push('x'), {
    code: 'ERR_MILLRACE_GEOMETRY',
  })
})

test("a job of Python's client is one, and Python's client reads what is pushed", async (t) => {
  const name = newName()
  const queue = open(t, name)
  await queue.connected()
  await queue.push('to outside', { id: 'i' })
  const program = `
import pika, sys
connection = pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', int(sys.argv[1])))
channel = connection.channel()
method, properties, body = channel.basic_get(sys.argv[2])
channel.basic_ack(method.delivery_tag)
print(body.decode(), properties.message_id)
channel.confirm_delivery()
channel.basic_publish('', sys.argv[2], b'from outside', pika.BasicProperties(message_id='p'))
connection.close()
`
  const args = ['-c', program, String(server().port), name]
  const { stdout } = await promisify(execFile)('/usr/bin/python3', args)
  t.is(stdout, 'to outside i\n')
  const job = await queue.takeOne(patience)
  t.deepEqual([textOf(job), job.id, job.attempt], ['from outside', 'p', 1])
  await job.complete()
})

test('what a gateway sends along is read by Python, and what Python sends along by a gateway', async (t) => {
  const name = newName()
  const [near, far] = [1, 2].map(() => {
    const queue = WorkQueue.open(uniqueName(t, { mayLeave: true }), { dedupWindow: 60_000 })
    t.teardown(() => {
      queue.close()
      WorkQueue.unlink(queue.name)
    })
    return queue
  }) as [WorkQueue, WorkQueue]
  const away = await Gateway.start({
    host: 'a',
    routes: [{ kind: 'work', from: near.name, to: server().address(name) }],
  })
  t.teardown(() => away.drain())
  await near.push('out', { id: 'i', group: 'g', priority: 3 })
  await until(() => near.stats().completed === 1)
  const program = `
import pika, sys
connection = pika.BlockingConnection(pika.ConnectionParameters('127.0.0.1', int(sys.argv[1])))
channel = connection.channel()
method, properties, body = channel.basic_get(sys.argv[2])
channel.basic_ack(method.delivery_tag)
names = ['millrace-group', 'millrace-priority', 'millrace-origin', 'millrace-hops']
print(body.decode(), properties.message_id, *[properties.headers[name] for name in names])
channel.confirm_delivery()
headers = {'millrace-group': properties.headers['millrace-group'], 'millrace-priority': '2'}
channel.basic_publish('', sys.argv[2], b'in', pika.BasicProperties(message_id='j', headers=headers))
connection.close()
`
  const args = ['-c', program, String(server().port), name]
  const { stdout } = await promisify(execFile)('/usr/bin/python3', args)
  t.is(stdout, 'out i g 3 a a\n')
  const home = await Gateway.start({
    host: 'b',
    routes: [{ kind: 'work', from: server().address(name), to: far.name }],
  })
  t.teardown(() => home.drain())
  const job = await far.takeOne(patience)
  t.deepEqual([textOf(job), job.id, job.group, job.priority], ['in', 'j', 'g', 2])
  job.complete()
})

test('a gateway is given jobs ahead, in their order; what it has not passed on when it ends is still there', async (t) => {
  const name = newName()
  const [there, count] = [open(t, name), 200]
  const near = WorkQueue.open(uniqueName(t, { mayLeave: true }), {
    dedupWindow: 60_000,
    jobs: 60,
  })
  t.teardown(() => {
    near.close()
    WorkQueue.unlink(near.name)
  })
  await there.pushBatch(Array.from({ length: count }, (_, i) => String(i)))
  const gateway = await Gateway.start({
    routes: [{ kind: 'work', from: server().address(name), to: near.name, inFlight: 50 }],
  })
  t.teardown(() => gateway.drain())
  const came: string[] = []
  const receive = (): void => {
    for (let job = near.tryTake(); job !== undefined; job = near.tryTake()) {
      came.push(textOf(job))
      job.complete()
    }
  }
  // The queue is full, and what the gateway has in hand waits for room there.
  await until(() => near.stats().ready === 60)
  const drained = { is: false }
  const draining = gateway.drain().then(() => (drained.is = true))
  await until(() => {
    receive()
    return drained.is
  })
  await draining
  receive()
  t.true(came.length >= 60)
  t.deepEqual(
    came,
    came.map((_, i) => String(i)),
  )
  // Somebody else gets the others.
  const others: string[] = []
  while (others.length < count - came.length) {
    const job = await there.takeOne(patience)
    others.push(textOf(job))
    await job.complete()
  }
  t.deepEqual(
    others.toSorted((a, b) => Number(a) - Number(b)),
    Array.from({ length: count - came.length }, (_, i) => String(came.length + i)),
  )
  await t.throwsAsync(there.takeOne({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
})

test('a job without an id is called the same each time that it is in hand, and a dead letter of it, too', async (t) => {
  const name = newName()
  const queue = open(t, name)
  const originOf = (job: Job) => (job as unknown as { readonly origin?: string }).origin
  await queue.pushBatch(['a', 'b'])
  const [a, b] = (await queue.takeBatch(2, patience)) as [Job, Job]
  const called = originOf(a)
  t.regex(called!, /^[\w-]{36,}$/)
  t.not(called, originOf(b))
  t.is(a.id, undefined)
  await a.release()
  const again = await queue.takeOne(patience)
  t.deepEqual([textOf(again), originOf(again)], ['a', called])
  await again.retry({ delay: 20 })
  const later = await queue.takeOne(patience)
  t.deepEqual([textOf(later), originOf(later)], ['a', called])
  await later.reject(new Error('no good'))
  const dead = await open(t, `${name}-dead`).takeOne(patience)
  t.deepEqual([textOf(dead), originOf(dead), dead.id], ['a', called, undefined])
  const channel = await rabbitClient(t, server())
  channel.publish('', name, Buffer.from('theirs'))
  const theirs = await queue.takeOne(patience)
  t.deepEqual([textOf(theirs), originOf(theirs)], ['theirs', undefined])
})

test('a worker that is killed holds nothing: somebody else has its job at once', async (t) => {
  const name = newName()
  const queue = open(t, name)
  await queue.push('survives')
  const fixture = new URL('./fixtures/worker.js', import.meta.url)
  const worker = run(t, fixture, [server().address(name), '0'])
  await worker.printed('survives')
  const from = performance.now()
  await worker.kill()
  const job = await queue.takeOne(patience)
  t.deepEqual([textOf(job), job.attempt], ['survives', 2])
  t.true(performance.now() - from < 5000)
  await job.complete()
})

test('a lease that is over is lost to its worker, and one that is made longer is not', async (t) => {
  const name = newName()
  const queue = open(t, name, { leaseTimeout: 400 })
  const other = open(t, name)
  await queue.push('slow')
  const job = await queue.takeOne(patience)
  await job.extend(1500)
  await t.throwsAsync(other.takeOne({ timeout: 1000 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const again = await other.takeOne(patience)
  t.is(again.attempt, 2)
  await until(() => job.signal.aborted)
  await t.throwsAsync(Promise.resolve(job.complete()), { code: 'ERR_MILLRACE_LEASE_LOST' })
  await again.complete()
})

test('a payload that is longer than the server takes is refused, and the connection stays', async (t) => {
  const queue = open(t, newName())
  await queue.connected()
  const [long, other] = await Promise.allSettled([
    queue.push(Buffer.alloc(mostBytes + 1)),
    queue.push(Buffer.alloc(mostBytes, 7)),
  ])
  const why = (long as PromiseRejectedResult).reason as MillraceError
  t.is(why.code, 'ERR_MILLRACE_TOO_LARGE')
  t.regex(why.message, /max_message_size/)
  // What was on its way with it was taken, or is told to be in doubt.
  if (other.status === 'rejected') t.is((other.reason as MillraceError).executed, 'unknown')
  await queue.push(Buffer.alloc(mostBytes, 7))
  const job = await queue.takeOne(patience)
  t.deepEqual([job.length, job.bytes[12]], [mostBytes, 7])
  await job.complete()
  t.is(queue.connection?.made, 1)
})

test('a queue that somebody removes is made again', async (t) => {
  const name = newName()
  const queue = open(t, name)
  await queue.push('lost')
  const channel = await rabbitClient(t, server())
  await channel.deleteQueue(name)
  await queue.push('x', patience)
  const job = await queue.takeOne(patience)
  t.is(textOf(job), 'x')
  await job.complete()
  // Whether it is made again at once or not, who waits at the time is told.
  for (const text of ['y', 'z', 'u', 'v', 'w']) {
    const waiting = queue.takeOne(patience)
    await until(async () => (await channel.checkQueue(name)).consumerCount === 1)
    // Who has just begun to wait is not told yet by a server of version 3 (docs/engine-amqp.md).
    await pause(100)
    await channel.deleteQueue(name)
    await open(t, name).push(text, patience)
    const next = await waiting
    t.is(textOf(next), text)
    await next.complete()
  }
})

test('an open queue does not keep its process alive, and a wait does', async (t) => {
  const fixture = new URL('./fixtures/ends.js', import.meta.url)
  const ending = run(t, fixture, [server().address(newName())])
  await ending.printed('x')
  t.deepEqual(await ending.ended(), { code: 0, signal: null })
})

test('a vhost that is not there may come, and a certificate is judged', async (t) => {
  await t.throwsAsync(open(t, 'jobs?vhost=nowhere').push('x', { timeout: 500 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /see that it has one of that name/,
  })
  const secure = server().secureAddress(newName())
  t.throws(() => WorkQueue.open(secure, { connection: { tls: { rejectUnauthorized: false } } }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
  const queue = WorkQueue.open(secure.replace('amqps:', 'amqp:'))
  t.teardown(() => {
    queue.close()
  })
  await t.throwsAsync(queue.push('x', { timeout: 1000 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /with TLS where the server wants it/,
  })
})
