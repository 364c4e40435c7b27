// However long somebody wants to spin or poll: deaths, time-outs, signals and the end of a Worker do not wait.

import { Worker } from 'node:worker_threads'
import test from 'ava'
import { Cell, FrameReader, FrameWriter, SpscQueue } from 'millrace'
import { Barrier, Mutex, Semaphore, SharedEvent } from 'millrace/sync'
import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { openConsumer, openPair } from '../support/queues.js'
import { until, within } from '../support/until.js'

const long = 3000
/** Far below what is spun for, far above what a machine under load takes. */
const inTime = 1500
const patience = 20_000
const time = () => performance.timeOrigin + performance.now()

for (const spin of [Infinity, NaN, -1, 60_001, 2 ** 40, Number.MAX_VALUE]) {
  test(`a spin of ${String(spin)} is refused before anything is done`, async (t) => {
    const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /spin/ }
    const name = uniqueName(t)
    t.throws(() => SpscQueue.producer(name, { spin }), refused)
    t.throws(() => SpscQueue.consumer(name, { spin }), refused)
    t.false(SpscQueue.unlink(name))
    t.throws(() => FrameWriter.create(name, { slotBytes: 64, spin }), refused)
    await t.throwsAsync(FrameReader.open(name, { spin }), refused)
    await t.throwsAsync(Cell.reader(name, { spin }), refused)
    t.throws(() => Mutex.open(name, { spin }), refused)
    const { consumer, producer } = openPair(t)
    t.throws(() => consumer.popSync({ spin }), refused)
    producer.tryPush('stays')
    t.throws(() => consumer.popSync({ spin }), refused)
    t.is(consumer.tryPop()?.toString(), 'stays')
    t.throws(() => {
      producer.pushSync('x', { spin })
    }, refused)
    t.is(consumer.tryPop(), undefined)
    using writer = FrameWriter.create(name, { slotBytes: 64 })
    using reader = await FrameReader.open(name)
    t.throws(() => writer.loanSync({ spin }), refused)
    t.throws(() => reader.receiveSync({ spin }), refused)
    using holder = Mutex.open(name)
    using guard = holder.lockSync()
    using mutex = Mutex.open(name)
    t.throws(() => mutex.lockSync({ spin }), refused)
    using event = SharedEvent.open(name)
    t.throws(() => event.waitSync({ spin }), refused)
    using barrier = Barrier.open(name, { parties: 1 })
    t.throws(() => barrier.waitSync({ spin }), refused)
    using semaphore = Semaphore.openOrCreate(`${name}.s`, 0)
    t.throws(() => semaphore.waitSync({ spin }), refused)
    semaphore.unlink()
    t.false(guard.released)
  })
}

for (const [what, options, sync] of [
  ['blocking, spinning', { spin: long }, true],
  ['in the event loop, spinning', { spin: long }, false],
  ['in the event loop, polling', { poll: long, spin: 0 }, false],
] as const) {
  test.serial(`promise: death – of a peer it is heard in time, ${what}`, async (t) => {
    const name = uniqueName(t)
    const dying = actor(t)
    await dying.do(
      ({ SpscQueue, own }, name) => void (own.producer = SpscQueue.producer(name)),
      name,
    )
    const waiting = actor(t)
    const heard = waiting.do(
      async ({ SpscQueue }, name, options, sync) => {
        const consumer = SpscQueue.consumer(name, sync ? {} : options)
        try {
          if (sync) consumer.popSync(options)
          else await consumer.pop()
          return { code: 'none', at: 0 }
        } catch (error) {
          const at = performance.timeOrigin + performance.now()
          return { code: (error as { code: string }).code, at }
        } finally {
          consumer.close({ discard: true })
        }
      },
      name,
      options,
      sync,
    )
    await dying.do(({ own }) => own.producer.waitForPeer())
    await new Promise((resolve) => setTimeout(resolve, 100)) // into the spin
    const killed = time()
    await dying.kill()
    const { code, at } = await within(patience, heard)
    t.is(code, 'ERR_MILLRACE_PEER_GONE')
    t.true(at - killed < inTime, `${String(at - killed)} ms`)
    await waiting.leave()
  })
}

test.serial('a spin ends in time, and with its signal', async (t) => {
  const consumer = openConsumer(t, uniqueName(t), { spin: long })
  let start = performance.now()
  await t.throwsAsync(consumer.pop({ timeout: 100 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.true(performance.now() - start < inTime)
  start = performance.now()
  const aborted = consumer.pop({ signal: AbortSignal.timeout(100) })
  t.true(performance.now() - start < inTime, 'the call itself must return')
  await t.throwsAsync(aborted, { code: 'ERR_MILLRACE_ABORTED' })
  t.true(performance.now() - start < inTime)
})

test.serial('a spin leaves the event loop its turns, and finds what comes', async (t) => {
  const { producer, consumer } = openPair(t, { spin: long })
  const popped = consumer.pop()
  const start = performance.now()
  setTimeout(() => producer.tryPush('x'), 100)
  t.is((await popped)?.toString(), 'x')
  t.true(performance.now() - start < inTime)
})

test.serial('frames: a long spin ends in time, and sleeps when it is spent', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 64, slots: 2 })
  using reader = await FrameReader.open(name)
  for (const [call, timeout] of [
    [() => reader.receiveSync({ spin: long, timeout: 100 }), 100],
    [() => reader.receiveSync({ spin: 30, timeout: 400 }), 400],
  ] as const) {
    const start = performance.now()
    const before = process.cpuUsage()
    t.throws(call, { code: 'ERR_MILLRACE_TIMEOUT' })
    const spent = process.cpuUsage(before)
    const busy = (spent.user + spent.system) / 1000
    t.true(performance.now() - start < timeout + inTime)
    if (timeout === 400) t.true(busy < 200, `${String(busy)} ms of processor time for a spin of 30`)
  }
  t.false(writer.closed)
})

test.serial('a Worker in the middle of a long spin is terminated', async (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name)
  const worker = new Worker(
    `const { SpscQueue } = require('millrace')
     SpscQueue.consumer(${JSON.stringify(name)}).popSync({ spin: 60_000 })`,
    { eval: true },
  )
  await until(() => producer.peer === 'attached')
  await new Promise((resolve) => setTimeout(resolve, 100)) // into the spin
  const start = performance.now()
  await within(patience, worker.terminate())
  t.true(performance.now() - start < inTime)
  await until(() => producer.peer !== 'attached')
})
