// The first of several that has something: which one is told, that nothing is taken, and how each ends.

import { getEventListeners } from 'node:events'
import test, { type ExecutionContext } from 'ava'
import {
  Cell,
  FrameReader,
  FrameWriter,
  MillraceError,
  NamelessSegment,
  RecordQueue,
  select,
  selectable,
  selectEach,
  SpscQueue,
  type Readiness,
  type Selectable,
  type Selected,
} from 'millrace'
import { Mutex, Semaphore, SharedEvent } from 'millrace/sync'
import { struct, u32 } from 'millrace/struct'
import { WorkQueue } from 'millrace/work'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { openPair, type Pair } from '../support/queues.js'
import { within } from '../support/until.js'

const patience = 15_000
const invalid = { instanceOf: MillraceError, code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
const timeout = { instanceOf: MillraceError, code: 'ERR_MILLRACE_TIMEOUT' }

function pairs(t: ExecutionContext, count: number): Pair[] {
  return Array.from({ length: count }, () => openPair(t))
}

const consumersOf = (all: readonly Pair[]) => all.map(({ consumer }) => consumer)

/** Until others have had their turns, and whoever waits sleeps. */
const asleep = () => new Promise((resolve) => setTimeout(resolve, 20))

interface Kind {
  readonly source: Selectable
  /** Makes it have something. */
  readonly give: () => void
  /** Takes it, by a call that does not wait. */
  readonly take: () => boolean
}

/** A source of each kind, closed with the test. */
const kinds: Readonly<Record<string, (t: ExecutionContext, name: string) => Kind | Promise<Kind>>> =
  {
    queue: (t) => {
      const { producer, consumer } = openPair(t)
      return {
        source: consumer,
        give: () => producer.tryPush('x'),
        take: () => consumer.tryPop() !== undefined,
      }
    },
    records: (t, name) => {
      const Tick = struct({ size: u32 })
      const producer = RecordQueue.producer(name, { record: Tick })
      const consumer = RecordQueue.consumer(name, { record: Tick })
      closeLater(t, producer, consumer)
      return {
        source: consumer,
        give: () => {
          producer.claim(1)
          producer.commit(1)
        },
        take: () => consumer.drain(() => undefined) > 0,
      }
    },
    frames: async (t, name) => {
      const writer = FrameWriter.create(name, { slotBytes: 64 })
      const reader = await FrameReader.open(name)
      closeLater(t, writer, reader)
      return {
        source: reader,
        give: () => {
          writer.tryLoan()!.publish()
        },
        take: () => {
          const frame = reader.tryReceive()
          frame?.release()
          return frame !== undefined
        },
      }
    },
    cell: async (t, name) => {
      const writer = Cell.writer(name, { maxBytes: 64 })
      writer.write(Buffer.from('first'))
      const reader = await Cell.reader(name)
      closeLater(t, writer, reader)
      reader.read()
      let version = reader.version
      return {
        source: reader,
        give: () => {
          writer.write(Buffer.from('x'))
        },
        take: () => {
          const isNew = reader.version > version
          version = reader.version
          reader.read()
          return isNew
        },
      }
    },
    event: (t, name) => {
      const event = SharedEvent.open(name)
      closeLater(t, event)
      return {
        source: event,
        give: () => {
          event.set()
        },
        take: () => event.tryWait(),
      }
    },
    'event with manual reset': (t, name) => {
      const event = SharedEvent.open(name, { reset: 'manual' })
      closeLater(t, event)
      return {
        source: event,
        give: () => {
          event.set()
        },
        take: () => {
          const was = event.isSet
          event.reset()
          return was
        },
      }
    },
    'work queue': (t, name) => {
      const jobs = WorkQueue.open(name)
      closeLater(t, jobs)
      return {
        source: jobs,
        give: () => {
          if (!jobs.tryPush('x')) throw new Error('there is room')
        },
        take: () => {
          const job = jobs.tryTake()
          job?.complete()
          return job !== undefined
        },
      }
    },
  }

function closeLater(t: ExecutionContext, ...handles: readonly { close(): void }[]): void {
  t.teardown(() => {
    for (const handle of handles) handle.close()
  })
}

for (const [kind, open] of Object.entries(kinds)) {
  test(`${kind}: what is there is told, what comes is told, and nothing is taken`, async (t) => {
    const { source, give, take } = await open(t, uniqueName(t))
    const silent = openPair(t).consumer
    await t.throwsAsync(within(patience, select([silent, source], { timeout: 5 })), timeout)
    for (let turn = 0; turn < 3; turn++) {
      const waiting = select([silent, source])
      if (turn > 0) await asleep()
      give()
      const found = await within(patience, waiting)
      t.is(found.source, source)
      t.is(found.index, 1)
      t.is(found.state, 'ready')
      // It is still there, for who selects, too.
      t.is((await within(patience, select([source]))).state, 'ready')
      t.true(take())
      t.false(take())
    }
    await t.throwsAsync(within(patience, select([silent, source], { timeout: 5 })), timeout)
  })

  test(`${kind}: closed by its own side while somebody waits is told of as failed`, async (t) => {
    const { source } = await open(t, uniqueName(t))
    const silent = openPair(t).consumer
    const waiting = select([silent, source])
    await asleep()
    ;(source as unknown as { close(): void }).close()
    const found = await within(patience, waiting)
    t.is(found.source, source)
    t.is(found.state, 'failed')
    t.is((found.error as MillraceError).code, 'ERR_MILLRACE_CLOSED')
    const again = await within(patience, select([silent, source]))
    t.is((again.error as MillraceError).code, 'ERR_MILLRACE_CLOSED')
  })

  test(`${kind}: a call that has given up leaves nothing behind`, async (t) => {
    const { source, give, take } = await open(t, uniqueName(t))
    const controller = new AbortController()
    for (let i = 0; i < 50; i++) {
      const waiting = select([source], { signal: controller.signal })
      if (i % 10 === 0) await asleep()
      if (i === 49) controller.abort(new Error('enough'))
      else give()
      if (i < 49) {
        t.is((await within(patience, waiting)).state, 'ready')
        t.true(take(), `${i}`)
      } else {
        const error = await t.throwsAsync(within(patience, waiting), {
          code: 'ERR_MILLRACE_ABORTED',
        })
        t.is((error.cause as Error).message, 'enough')
      }
    }
    t.is(getEventListeners(controller.signal, 'abort').length, 0)
    give()
    t.true(take(), 'nobody stands before us')
  })
}

test('of several that always have something each has its turn', async (t) => {
  const all = pairs(t, 5)
  for (const { producer } of all) for (let i = 0; i < 3; i++) producer.tryPush('x')
  const turns: number[] = []
  for (let i = 0; i < 15; i++) turns.push((await within(patience, select(consumersOf(all)))).index)
  for (const from of [0, 5, 10]) {
    t.deepEqual([...turns.slice(from, from + 5)].sort(), [0, 1, 2, 3, 4], turns.join())
  }
})

test('one that is flooded keeps no other waiting, whatever lists they are in', async (t) => {
  const [flooded, seldom, third] = pairs(t, 3) as [Pair, Pair, Pair]
  for (let i = 0; i < 1000; i++) flooded.producer.tryPush('x')
  for (let i = 0; i < 100; i++) {
    seldom.producer.tryPush('y')
    third.producer.tryPush('z')
    const orders = [
      [flooded, seldom, third],
      [seldom, flooded, third],
      [flooded, third, seldom],
      [third, flooded, seldom],
    ]
    const seen: unknown[] = []
    for (let turn = 0; turn < 3; turn++) {
      const found = await within(patience, select(consumersOf(orders[(i + turn) % 4]!)))
      found.source.tryPop()
      seen.push(found.source)
    }
    t.is(new Set(seen).size, 3)
  }
})

test('the end of one is told of while another always has something', async (t) => {
  const [busy, ending] = pairs(t, 2) as [Pair, Pair]
  busy.producer.tryPush('x') // never taken
  await select(consumersOf([busy, ending]))
  ending.producer.close()
  let found: Selected<unknown>
  do found = await within(patience, select(consumersOf([busy, ending])))
  while (found.index === 0)
  t.is(found.state, 'ended')
})

test('the end comes after the last message, and a producer that gives up is told of with its error', async (t) => {
  const [ends, fails] = pairs(t, 2) as [Pair, Pair]
  ends.producer.tryPush('the last')
  ends.producer.close()
  const first = await within(patience, select([ends.consumer]))
  t.is(first.state, 'ready')
  t.is(String(ends.consumer.tryPop()), 'the last')
  t.is((await within(patience, select([ends.consumer]))).state, 'ended')
  const waiting = select([fails.consumer])
  await asleep()
  fails.producer.abort(new Error('the sensor is broken'))
  const { state, error } = await within(patience, waiting)
  t.is(state, 'failed')
  t.is((error as MillraceError).code, 'ERR_MILLRACE_PEER_FAILED')
  t.regex((error as MillraceError).message, /the sensor is broken/)
})

test('a process that is killed is told of, by which; the others go on', async (t) => {
  const [names, silent] = [[uniqueName(t), uniqueName(t)], openPair(t)]
  const consumers = names.map((name) => SpscQueue.consumer(name))
  closeLater(t, ...consumers)
  const actors = names.map(() => actor(t))
  for (const [i, other] of actors.entries()) {
    await other.do(({ SpscQueue, own }, name) => {
      own.producer = SpscQueue.producer(name)
    }, names[i]!)
  }
  const waiting = select([silent.consumer, ...consumers])
  await asleep()
  await actors[1]!.kill()
  const { index, state, error } = await within(patience, waiting)
  t.is(index, 2)
  t.is(state, 'failed')
  t.is((error as MillraceError).code, 'ERR_MILLRACE_PEER_GONE')
  const rest = select([silent.consumer, consumers[0]!])
  await actors[0]!.do(({ own }) => {
    own.producer.tryPush('x')
  })
  t.is((await within(patience, rest)).state, 'ready')
  consumers[0]!.tryPop()
})

test('many calls may wait for the same sources: each is told', async (t) => {
  const all = pairs(t, 3)
  const waiting = Array.from({ length: 20 }, (_, i) =>
    select(i % 2 === 0 ? consumersOf(all) : consumersOf(all.slice(1))),
  )
  await asleep()
  all[1]!.producer.tryPush('x')
  for (const found of await within(patience, Promise.all(waiting))) t.is(found.index <= 1, true)
  const pop = all[1]!.consumer.pop({ timeout: patience })
  t.is(String(await pop), 'x')
})

test('who waits for a message goes before who selects, and is not held up by it', async (t) => {
  const { producer, consumer } = openPair(t)
  const silent = openPair(t).consumer
  const selected = select([consumer, silent])
  const popped = consumer.pop({ timeout: patience })
  await asleep()
  producer.tryPush('one')
  t.is(String(await popped), 'one')
  producer.tryPush('two')
  t.is((await within(patience, selected)).source, consumer)
  using jobs = WorkQueue.open(uniqueName(t))
  const waiting = select([jobs, silent])
  await asleep()
  await jobs.push('x')
  jobs.tryTake()!.complete()
  await jobs.push('y')
  t.is((await within(patience, waiting)).source, jobs)
  jobs.tryTake()!.complete()
})

test('a job that nobody took after select is taken by whoever waits elsewhere', async (t) => {
  const name = uniqueName(t)
  using jobs = WorkQueue.open(name)
  using pusher = WorkQueue.open(name)
  const other = actor(t)
  const silent = openPair(t).consumer
  for (let i = 0; i < 10; i++) {
    const selecting = select([jobs, silent])
    await asleep()
    const taken = other.do(async (_stage, queue) => {
      const { WorkQueue } = await import('millrace/work')
      const jobs = WorkQueue.open(queue)
      const job = await jobs.takeOne({ timeout: 10_000 })
      const length = job.bytes.length
      job.complete()
      jobs.close()
      return length
    }, name)
    await asleep()
    await pusher.push('job')
    t.is(await within(patience, taken), 3)
    silentlyEnd(selecting)
  }
  jobs.close()
})

function silentlyEnd(waiting: Promise<unknown>): void {
  waiting.catch(() => undefined)
}

test('selectEach: one after the other; what has ended or failed is told of once; then it is over', async (t) => {
  const [a, b, c] = pairs(t, 3) as [Pair, Pair, Pair]
  const told: string[] = []
  a.producer.tryPush('1')
  b.producer.tryPush('2')
  for await (const { source, index, state } of selectEach(consumersOf([a, b, c]))) {
    told.push(`${index} ${state}`)
    if (state !== 'ready') continue
    source.tryPop()
    if (index === 1) b.producer.close()
    if (index === 0) setTimeout(() => (c.producer.tryPush('3'), a.producer.abort('enough')), 20)
    if (index === 2) c.consumer.close()
  }
  t.deepEqual(told.sort(), ['0 failed', '0 ready', '1 ended', '1 ready', '2 failed', '2 ready'])
})

test('selectEach: leaving the loop, and its signal, end the wait and close nothing', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('x')
  for await (const { source } of selectEach([consumer])) {
    source.tryPop()
    break
  }
  const controller = new AbortController()
  const each = selectEach([consumer], { signal: controller.signal })
  const next = each.next()
  await asleep()
  controller.abort()
  await t.throwsAsync(within(patience, next), { code: 'ERR_MILLRACE_ABORTED' })
  const other = selectEach([consumer])
  const pending = other.next()
  await other.return()
  t.true((await within(patience, pending)).done)
  t.false(consumer.closed)
  producer.tryPush('y')
  t.is(String(consumer.tryPop()), 'y')
})

/** One of a class of the user's own. */
class Flag implements Selectable {
  isSet = false
  error: Error | undefined
  asked = 0
  watched = 0
  stopped = 0
  #told = new Set<() => void>();

  [selectable](): Readiness {
    this.asked++
    const look = () => {
      if (this.error !== undefined) throw this.error
      return this.isSet ? ('ready' as const) : undefined
    }
    return {
      look,
      watch: (told, failed) => {
        this.watched++
        const again = () => {
          try {
            if (look() !== undefined) told('ready')
          } catch (error) {
            failed(error)
          }
        }
        this.#told.add(again)
        again()
        return () => {
          this.stopped++
          this.#told.delete(again)
        }
      },
    }
  }

  set(error?: Error): void {
    this.error = error
    this.isSet = true
    for (const again of [...this.#told]) again()
  }
}

test('a class of the user’s own takes part by the symbol', async (t) => {
  t.is(Symbol.keyFor(selectable), 'millrace.selectable')
  const [flag, broken, silent] = [new Flag(), new Flag(), openPair(t).consumer]
  const waiting = [select([silent, flag, broken]), select([flag])]
  await asleep()
  flag.set()
  for (const found of await within(patience, Promise.all(waiting))) t.is(found.source, flag)
  broken.set(new Error('broken'))
  t.is((await select([broken, silent])).error, broken.error)
  t.is(flag.asked, 1)
  t.is(flag.watched, flag.stopped)
  t.is(broken.watched, broken.stopped)
  // It says nothing at the first look, and tells at once when it is watched.
  let isFirst = true
  const late: Selectable = {
    [selectable]: () => ({
      look: () => (isFirst ? void (isFirst = false) : 'ended'),
      watch: (told) => {
        told('ended')
        told('ready')
        return () => undefined
      },
    }),
  }
  t.is((await within(patience, select([late, flag].slice(0, 1)))).state, 'ended')
})

test('what cannot be selected is refused, whatever else has something', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('x')
  const name = uniqueName(t)
  using semaphore = Semaphore.create(name, 1)
  using mutex = Mutex.open(uniqueName(t))
  for (const wrong of [undefined, null, 7, {}, producer, semaphore, mutex]) {
    await t.throwsAsync(select([consumer, wrong] as never), invalid)
    t.throws(() => selectEach([consumer, wrong] as never), invalid)
  }
  for (const wrong of [undefined, [], {}, consumer]) {
    await t.throwsAsync(select(wrong as never), invalid)
    t.throws(() => selectEach(wrong as never), invalid)
  }
  for (const options of [null, 7, { timeout: -1 }, { timeout: 'x' }, { signal: {} }, { wait: 1 }]) {
    await t.throwsAsync(select([consumer], options as never), invalid)
  }
  await t.throwsAsync(select([consumer], { signal: AbortSignal.abort() }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  semaphore.unlink()
})

test.serial('fifty that are silent cost a process nothing while it waits', async (t) => {
  const consumers = consumersOf(pairs(t, 50))
  const controller = new AbortController()
  const waiting = select(consumers, { signal: controller.signal })
  await new Promise((resolve) => setTimeout(resolve, 200))
  const before = process.cpuUsage()
  await new Promise((resolve) => setTimeout(resolve, 1500))
  const { user, system } = process.cpuUsage(before)
  controller.abort()
  await t.throwsAsync(waiting)
  const milliseconds = (user + system) / 1000
  t.log(`${milliseconds} ms of processor time in 1.5 s`)
  t.true(milliseconds < 100)
})

test('memory that was never given a name takes part', async (t) => {
  const segment = NamelessSegment.create()
  using producer = SpscQueue.producer(segment)
  using consumer = SpscQueue.consumer(segment)
  const waiting = select([consumer])
  await asleep()
  producer.tryPush('x')
  t.is((await within(patience, waiting)).state, 'ready')
  consumer.tryPop()
})
