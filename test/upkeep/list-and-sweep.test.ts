// What list() tells and sweep() removes.

import { execFileSync } from 'node:child_process'
import { closeSync, openSync, statSync, utimesSync } from 'node:fs'
import test from 'ava'
import { FrameReader, FrameWriter, list, SpscQueue, sweep, type ObjectEntry } from 'millrace'
import { Semaphore } from 'millrace/sync'

import { actor } from '../support/actor.js'
import { everything } from '../support/everything.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until } from '../support/until.js'

/** Not every kernel does, of what is in /dev/shm. */
const tellsBirth = (file: string) =>
  execFileSync('stat', ['-c', '%W', file], { encoding: 'utf8' }).trim() !== '0'

const facts = ({ kind, name, state, holders }: ObjectEntry) => ({ kind, name, state, holders })

test.serial(
  'promise: rubbish – every kind is listed while it is used, and its user with it',
  (t) => {
    const name = uniqueName(t, { mayLeave: true })
    const before = Date.now()
    for (const { kind, file, create } of everything) {
      const handle = create(name)
      const [entry, ...others] = list({ prefix: name })
      t.deepEqual(others, [])
      t.like(entry, {
        kind,
        name,
        state: 'in-use',
        path: file(name),
        owner: process.getuid!(),
        mode: 0o600,
      } as ObjectEntry)
      t.true(entry!.size > 0)
      const created = entry!.created?.getTime()
      if (tellsBirth(file(name))) t.true(Math.abs(created! - before) < 60_000)
      else t.is(created, undefined)
      if (kind !== 'semaphore') {
        t.is(entry!.layout, '1.2')
        t.is(entry!.creator, process.pid)
        const [holder] = entry!.holders
        t.true(holder!.alive)
        if (kind !== 'counter' && kind !== 'rate-limiter') t.is(holder!.pid, process.pid)
      }
      t.deepEqual(sweep({ prefix: name, kept: true, semaphores: true }).removed, [])
      handle.close()
      if (kind === 'semaphore') t.is(sweep({ prefix: name, semaphores: true }).removed.length, 1)
      t.deepEqual(list({ prefix: name }), [], kind)
    }
  },
)

test.serial(
  'promise: rubbish – what a killed process left is removed, and nothing else',
  async (t) => {
    const name = uniqueName(t, { mayLeave: true })
    const victim = actor(t)
    const pid = await victim.do(
      async ({ SpscQueue, FrameWriter, SharedMemory, Cell, own, ...rest }, name) => {
        own['all'] = [
          SpscQueue.producer(`${name}.lost`),
          SpscQueue.producer(`${name}.kept`, { keep: true }),
          SpscQueue.producer(`${name}.used`),
          FrameWriter.create(`${name}.frames`, { slotBytes: 64 }),
          SharedMemory.create(`${name}.memory`, 64),
          Cell.writer(`${name}.cell`, { maxBytes: 8 }),
          rest.Mutex.open(`${name}.free`),
          await rest.Mutex.open(`${name}.held`).lock(),
          rest.Semaphore.create(`${name}.semaphore`, 1),
          rest.WorkQueue.open(`${name}.idle`, { jobs: 10 }),
          rest.WorkQueue.open(`${name}.jobs`, { jobs: 10 }).tryPush(Buffer.from('do')),
        ]
        return process.pid
      },
      name,
    )
    using consumer = SpscQueue.consumer(`${name}.used`)
    t.deepEqual(sweep({ prefix: name, kept: true, semaphores: true }).removed, [])
    await victim.kill()
    const dead = (role: string) => [{ role, pid, alive: false }]
    const expected = [
      { kind: 'cell', name: `${name}.cell`, state: 'abandoned', holders: dead('writer') },
      { kind: 'frames', name: `${name}.frames`, state: 'abandoned', holders: dead('writer') },
      { kind: 'memory', name: `${name}.memory`, state: 'abandoned', holders: dead('owner') },
      { kind: 'mutex', name: `${name}.free`, state: 'abandoned', holders: dead('party') },
      { kind: 'mutex', name: `${name}.held`, state: 'kept', holders: dead('party') },
      { kind: 'queue', name: `${name}.kept`, state: 'kept', holders: dead('producer') },
      { kind: 'queue', name: `${name}.lost`, state: 'abandoned', holders: dead('producer') },
      {
        kind: 'queue',
        name: `${name}.used`,
        state: 'in-use',
        holders: [...dead('producer'), { role: 'consumer', pid: process.pid, alive: true }],
      },
      { kind: 'semaphore', name: `${name}.semaphore`, state: 'kept', holders: [] },
      { kind: 'work', name: `${name}.idle`, state: 'abandoned', holders: dead('user') },
      { kind: 'work', name: `${name}.jobs`, state: 'kept', holders: dead('user') },
    ] as const
    t.deepEqual(list({ prefix: name }).map(facts), expected as never)

    const names = (entries: readonly ObjectEntry[]) =>
      entries.map((entry) => entry.name.slice(name.length + 1)).sort()
    const rubbish = ['cell', 'frames', 'free', 'idle', 'lost', 'memory']
    const dry = sweep({ prefix: name, dryRun: true })
    t.deepEqual(names(dry.removed), rubbish)
    t.is(list({ prefix: name }).length, expected.length)
    const swept = sweep({ prefix: name })
    t.deepEqual(names(swept.removed), rubbish)
    t.deepEqual(names(swept.left), ['held', 'jobs', 'kept', 'used'])
    t.deepEqual(names(sweep({ prefix: name, kept: true }).removed), ['held', 'jobs', 'kept'])
    t.deepEqual(names(sweep({ prefix: name, semaphores: true }).removed), ['semaphore'])
    t.deepEqual(names(list({ prefix: name })), ['used'])
    consumer.close()
    t.deepEqual(list({ prefix: name }), [])
  },
)

test.serial(
  'an object keeps the time at which it was made, whoever comes and writes',
  async (t) => {
    const name = uniqueName(t)
    const consumer = SpscQueue.consumer(name)
    const semaphore = Semaphore.create(name, 1)
    t.teardown(() => {
      consumer.close()
      semaphore.unlink()
    })
    const times = () =>
      list({ prefix: name }).map(({ kind, created }) => [kind, created?.getTime()] as const)
    const made = times()
    t.deepEqual(made.map(([kind]) => kind).toSorted(), ['queue', 'semaphore'])
    const files = [`/dev/shm/millrace.q.${name}`, `/dev/shm/sem.${name}`]
    for (const [, time] of made) t.is(time !== undefined, tellsBirth(files[0]!))
    for (let i = 0; i < 3; i++) {
      // Each map that is written to moves the file's own times; wait until a clock tick would show.
      const before = statSync(files[0]!).mtimeMs
      await until(() => Date.now() > before + 20)
      const producer = SpscQueue.producer(name)
      producer.tryPush('x')
      consumer.tryPop()
      producer.close()
      Semaphore.open(name).post()
      t.true(statSync(files[0]!).mtimeMs > before, 'otherwise this shows nothing')
      for (const file of files) utimesSync(file, new Date(), new Date())
      t.deepEqual(times(), made)
    }
  },
)

test.serial('promise: rubbish – a half-created object is removed after a moment', async (t) => {
  const name = uniqueName(t)
  closeSync(openSync(`/dev/shm/millrace.q.${name}`, 'wx', 0o600))
  t.is(list({ prefix: name })[0]?.state, 'in-use') // its creator may be on its way
  await until(() => list({ prefix: name })[0]?.state === 'half-created')
  t.is(sweep({ prefix: name }).removed[0]?.state, 'half-created')
  t.deepEqual(objectsOf(name), [])
})

test.serial('promise: rubbish – a stopped process is not taken for dead', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ SpscQueue, own }, name) => void (own.producer = SpscQueue.producer(name)), name)
  other.run.signal('SIGSTOP')
  t.is(list({ prefix: name })[0]?.state, 'in-use')
  t.deepEqual(sweep({ prefix: name, kept: true }).removed, [])
  other.run.signal('SIGCONT')
  await other.do(({ own }) => void own.producer.tryPush('still here'))
  using consumer = SpscQueue.consumer(name)
  t.is(consumer.tryPop()?.toString(), 'still here')
  await other.leave()
})

test.serial(
  'promise: death – messages to be kept survive both sides, whichever asked for it',
  async (t) => {
    for (const [producerKeeps, consumerKeeps] of [
      [true, false],
      [false, true],
    ] as const) {
      const name = uniqueName(t)
      const [one, other] = [actor(t), actor(t)]
      await one.do(
        ({ SpscQueue, own }, name, keep) => {
          own.producer = SpscQueue.producer(name, { keep })
          own.producer.tryPush('kept')
        },
        name,
        producerKeeps,
      )
      await other.do(
        ({ SpscQueue, own }, name, keep) =>
          void (own.consumer = SpscQueue.consumer(name, { keep })),
        name,
        consumerKeeps,
      )
      await Promise.all([one.kill(), other.kill()])
      t.is(sweep({ prefix: name }).left[0]?.state, 'kept')
      using consumer = SpscQueue.consumer(name)
      t.is(consumer.tryPop()?.toString(), 'kept')
    }
  },
)

test.serial('promise: death – frames to be kept survive writer and readers', async (t) => {
  const name = uniqueName(t)
  const options = { slotBytes: 8, slots: 6, history: 3, keep: true }
  const [writing, reading] = [actor(t), actor(t)]
  await writing.do(
    ({ FrameWriter, own }, name, options) => {
      own.writer = FrameWriter.create(name, options)
      for (let i = 1; i <= 5; i++) {
        const frame = own.writer.tryLoan()!
        frame.bytes.fill(i)
        frame.publish()
      }
    },
    name,
    options,
  )
  await reading.do(async ({ FrameReader, own }, name) => {
    own.reader = await FrameReader.open(name, { history: 3 })
    own['held'] = own.reader.tryReceive()
  }, name)
  await Promise.all([writing.kill(), reading.kill()])
  t.is(sweep({ prefix: name }).left[0]?.state, 'kept')
  {
    using writer = FrameWriter.create(name, options)
    using reader = await FrameReader.open(name, { history: 3 })
    const received: (readonly [sequence: number, byte: number | undefined])[] = []
    for (let frame = reader.tryReceive(); frame !== undefined; frame = reader.tryReceive()) {
      received.push([frame.sequence, frame.bytes[0]])
      frame.release()
    }
    t.deepEqual(received, [
      [3, 3],
      [4, 4],
      [5, 5],
    ])
    t.is(writer.tryLoan()!.publish(), 6)
  }
  // Also an orderly end leaves it.
  t.is(list({ prefix: name })[0]?.state, 'kept')
  t.true(FrameWriter.unlink(name))
})

test('options of list and sweep are checked', (t) => {
  const wrong = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  t.throws(() => list({ prefix: 1 as never }), wrong)
  t.throws(() => list('x' as never), wrong)
  t.throws(() => sweep({ kept: 'yes' as never }), wrong)
  t.throws(() => sweep({ prefix: null as never }), wrong)
})
