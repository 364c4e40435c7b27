// Queue groups: one of a group gets each message, as a job.

import { readdirSync, truncateSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { list, select } from 'millrace'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { actor, type Actor } from '../support/actor.js'
import { cut } from '../support/cut.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open, texts } from './open.js'

const soon = { timeout: 15_000 }

/** The name of a bus whose group `g` leaves its work queue for as long as its ids are remembered. */
function busWithGroup(t: ExecutionContext): string {
  const name = uniqueName(t)
  uniqueName(t, { mayLeave: true })
  t.teardown(() => {
    WorkQueue.unlink(`${name}.g`)
  })
  return name
}

test('each message goes to one of the group, and to all others', async (t) => {
  const name = busWithGroup(t)
  const bus = open(t, name)
  const all = await bus.subscribe('a.*')
  const members = await Promise.all(
    [open(t, name), open(t, name), bus].map((one) => one.subscribe('a.*', { queue: 'g' })),
  )
  for (let i = 0; i < 30; i++) {
    t.is(await bus.publish('a.b', String(i), { headers: { n: String(i) } }), 2)
  }
  const found: string[] = []
  for (let i = 0; i < 30; i++) {
    const job = await members[i % members.length]!.receive(soon)
    t.deepEqual(
      [job.subject, job.length, job.attempt, job.headers],
      ['a.b', job.text().length, 1, { n: job.text() }],
    )
    t.true(Math.abs(job.publishedAt - Date.now()) < 60_000)
    found.push(`${job.index} ${job.copy().toString()}`)
    job.complete()
    t.is(job.settled, 'completed')
  }
  t.deepEqual(
    found,
    Array.from({ length: 30 }, (_, i) => `${i} ${i}`),
  )
  t.is(members[0]!.tryReceive(), undefined)
  t.is(texts(all).length, 30)
})

test('select waits for members of a group', async (t) => {
  const name = busWithGroup(t)
  const publisher = open(t, name)
  const bus = open(t, name)
  const member = await bus.subscribe('a', { queue: 'g' })
  const other = await bus.subscribe('b')
  await t.throwsAsync(select([other, member], { timeout: 1 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  for (const text of ['while it waits', 'before']) {
    const early = text === 'before' ? await publisher.publish('a', text) : 0
    const selected = select([other, member], soon)
    if (early === 0) await publisher.publish('a', text)
    const { source, state } = await selected
    t.deepEqual([source === member, state], [true, 'ready'])
    const job = member.tryReceive()!
    t.is(job.text(), text)
    job.complete()
  }
  bus.close()
  t.is((await select([member])).state, 'failed')
})

test('a message that nobody settles comes again; one that is rejected is a dead letter', async (t) => {
  const name = busWithGroup(t)
  const bus = open(t, name)
  const member = await bus.subscribe('a', { queue: 'g' })
  await bus.publish('a', 'first')
  await bus.publish('a', 'second')
  const attempts: (readonly [string, number])[] = []
  for await (using job of member) {
    attempts.push([job.text(), job.attempt])
    if (job.attempt < 2 && job.text() === 'first') continue
    if (job.text() === 'second') job.reject(new Error('no good'))
    else job.complete()
    if (attempts.length === 3) break
  }
  t.deepEqual(attempts.sort(), [
    ['first', 1],
    ['first', 2],
    ['second', 1],
  ])
  t.is(member.queue.dead.peek()[0]?.error, 'no good')
  member.queue.dead.purge()
})

test('a group goes on as long as it has members, and ends with the last one', async (t) => {
  const name = busWithGroup(t)
  const bus = open(t, name)
  const first = await bus.subscribe('a', { queue: 'g' })
  const second = await open(t, name).subscribe('a', { queue: 'g' })
  first.close()
  t.is(await bus.publish('a', 'x'), 1)
  const job = await second.receive(soon)
  t.is(job.text(), 'x')
  job.complete()
  const pending = second.receive()
  second.close()
  await t.throwsAsync(pending, { code: 'ERR_MILLRACE_CLOSED' })
  t.true(second.closed)
  t.is(await bus.publish('a', 'x'), 0)
})

test('large messages, and more than the work queue has room for, go to the group as well', async (t) => {
  const name = busWithGroup(t)
  const bus = open(t, name, { messages: 64, bytes: 2 ** 20 })
  const member = await bus.subscribe('a', { queue: 'g' })
  const sizes = [1, 100, 5000, 200_000, 60_000, bus.maxBytes, 9]
  const published = (async () => {
    for (let i = 0; i < 5; i++) {
      for (const size of sizes) await bus.publish('a', Buffer.alloc(size, size), soon)
    }
  })()
  for (let i = 0; i < 5; i++) {
    for (const size of sizes) {
      const job = await member.receive(soon)
      t.is(job.length, size)
      t.true(Buffer.from(job.bytes).equals(Buffer.alloc(size, size)))
      job.complete()
    }
  }
  await published
})

test('a job that is no message becomes a dead letter, and is told once', async (t) => {
  const name = busWithGroup(t)
  const bus = open(t, name)
  const member = await bus.subscribe('a', { queue: 'g' })
  const corrupt = { code: 'ERR_MILLRACE_CORRUPT' }
  member.queue.tryPush(Buffer.from('no message'))
  await t.throwsAsync(member.receive(soon), corrupt)
  member.queue.tryPush(Buffer.from('no message'))
  t.throws(() => member.tryReceive(), corrupt)
  t.is(member.queue.stats().leased, 0)
  t.is(member.queue.dead.peek().length, 2)
  member.queue.dead.purge()
  await bus.publish('a', 'x')
  const job = await member.receive(soon)
  t.is(job.text(), 'x')
  job.complete()
})

for (const [how, end, code] of [
  [
    'closed',
    (queue: WorkQueue) => {
      queue.close()
    },
    'ERR_MILLRACE_CLOSED',
  ],
  [
    'shortened',
    (queue: WorkQueue) => {
      cut(queue.path, 4096)
    },
    'ERR_MILLRACE_CORRUPT',
  ],
] as const) {
  test(`a member whose work queue was ${how} leaves the group, and no publisher waits for it`, async (t) => {
    const name = busWithGroup(t)
    const bus = open(t, name, { messages: 8 })
    // Asleep: memory that was shortened is not for who polls.
    const own = open(t, name, { poll: 0, spin: 0 })
    const member = await own.subscribe('a', { queue: 'g' })
    const refused = t.throwsAsync(member.receive(), { code })
    await pause(20)
    end(member.queue)
    await refused
    for (let i = 0; i < 20; i++) await bus.publish('a', 'x', soon)
    t.is(await bus.publish('a', 'x', soon), 0)
    t.true(member.closed)
    t.false(own.closed)
    t.is(bus.stats().subscriptions, 0)
    await t.throwsAsync(member.receive(), { code: 'ERR_MILLRACE_CLOSED' })
  })
}

test('a group wants a bus that has a name', async (t) => {
  const { NamelessSegment } = await import('millrace')
  using segment = NamelessSegment.create()
  using bus = Topics.open(segment)
  await t.throwsAsync(bus.subscribe('a', { queue: 'g' }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /has a name/,
  })
})

/** A member in another process that completes what it gets, and tells each. */
async function member(t: ExecutionContext, name: string): Promise<Actor> {
  const one = actor(t)
  await one.do(async ({ Topics, own }, name) => {
    own.bus = Topics.open(name)
    const subscription = await own.bus.subscribe('a', { queue: 'g' })
    void (async () => {
      for await (const job of subscription) {
        // The ledger is the test's: what is written there was done.
        console.log(job.text())
        job.complete()
      }
    })()
  }, name)
  return one
}

test('members killed at random: every message is done, twice only if its worker was killed', async (t) => {
  const name = busWithGroup(t)
  const bus = open(t, name, { messages: 64 })
  const count = 1500
  let members = await Promise.all([1, 2, 3].map(() => member(t, name)))
  const all = [...members]
  let killed = 0
  const published = (async () => {
    for (let i = 0; i < count; i++) {
      await bus.publish('a', String(i), soon)
      if (i % 300 === 299) await pause(1)
    }
  })()
  for (let round = 0; round < 4; round++) {
    await pause(20 + 10 * round)
    const [victim, ...rest] = members
    await victim!.kill()
    killed++
    members = [...rest, await member(t, name)]
    all.push(members.at(-1)!)
  }
  await published
  const done = () => all.flatMap(({ run }) => run.lines)
  await until(() => new Set(done()).size === count)
  const counts = new Map<string, number>()
  for (const line of done()) counts.set(line, (counts.get(line) ?? 0) + 1)
  const twice = [...counts.values()].filter((times) => times > 1).length
  t.true(twice <= killed, `${twice} were done twice, and ${killed} killed`)
  for (const one of members) {
    await one.do(({ own }) => {
      own.bus.close()
    })
    await one.leave()
  }
})

test('an empty queue of a group goes ten seconds after the last member, and with the last handle of the bus', async (t) => {
  const name = uniqueName(t)
  const queueName = `${name}.g`
  const there = (): boolean => list({ prefix: queueName }).length === 1
  t.teardown(() => {
    WorkQueue.unlink(queueName)
  })
  const bus = open(t, name)
  const worked = async (): Promise<void> => {
    using member = await bus.subscribe('a', { queue: 'g' })
    await bus.publish('a', 'x')
    const job = await member.receive(soon)
    job.complete()
  }
  await worked()
  t.like(list({ prefix: queueName })[0], { state: 'in-use' })
  await until(() => !there(), 30_000)
  await worked()
  t.true(there())
  bus.close()
  t.false(there())
})

test('a queue of a group that has jobs stays for members to come', async (t) => {
  const name = uniqueName(t)
  t.teardown(() => {
    WorkQueue.unlink(`${name}.g`)
  })
  const bus = open(t, name)
  const member = await bus.subscribe('a', { queue: 'g' })
  await bus.publish('a', 'x')
  t.is((await member.receive(soon)).text(), 'x')
  bus.close()
  t.is(list({ prefix: `${name}.g` }).length, 1)
  const again = await open(t, name).subscribe('a', { queue: 'g' })
  t.is((await again.receive(soon)).text(), 'x')
})

test('a bus whose memory was damaged, and that of its group, closes without throwing', async (t) => {
  const bus = open(t, uniqueName(t))
  const member = await bus.subscribe('a', { queue: 'g' })
  await bus.publish('a', 'x')
  const job = await member.receive()
  await job.complete()
  member.close()
  if (process.platform !== 'linux') {
    t.pass('elsewhere memory has no names to be found by')
    return
  }
  const its = readdirSync('/dev/shm').filter((file) => file.includes(bus.name))
  t.true(its.length >= 2, its.join())
  for (const file of its) truncateSync(`/dev/shm/${file}`, 0)
  t.notThrows(() => {
    bus.close()
  })
  t.true(bus.closed)
})
