// Doorbells whose names somebody else removes while their owners sleep.

import { existsSync, lstatSync, rmSync, writeFileSync } from 'node:fs'
import test from 'ava'
import { Cell, FrameReader, SpscQueue } from 'millrace'
import { Semaphore } from 'millrace/sync'
import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { doorbellsOf } from '../support/process.js'
import { until, within } from '../support/until.js'

/** Long enough for a machine under load. */
const patience = 10_000

const asleep = { poll: 0 }

/** This process's; it keeps its name, whoever removes it. */
const ownDoorbell = () => doorbellsOf(process.pid)[0]!.replace(' (deleted)', '')
const yes = () => true
const no = () => false
const parked = () => new Promise((resolve) => setImmediate(resolve))

for (const [how, options] of Object.entries({
  'by its event loop': {},
  'by a thread': {
    execArgv: [
      '--expose-gc',
      '--import',
      new URL('../support/without-uv.js', import.meta.url).href,
    ],
  },
})) {
  test.serial(
    `promise: strangers – who lost its doorbell is woken at once, watching ${how}`,
    async (t) => {
      const name = uniqueName(t)
      const sleeper = actor(t, options)
      const pid = await sleeper.do(({ SpscQueue, own }, name) => {
        own.consumer = SpscQueue.consumer(name, { poll: 0 })
        return process.pid
      }, name)
      using producer = SpscQueue.producer(name)
      const bell = doorbellsOf(pid)[0]!
      const elapsed: number[] = []
      let renewed = 0
      for (let round = 0; round < 5; round++) {
        await sleeper.do(({ own }) => {
          own.pending = own.consumer.pop().then((message) => message?.toString())
          return new Promise((parked) => setTimeout(parked, 50))
        })
        rmSync(bell, { force: true })
        const start = performance.now()
        producer.tryPush(String(round))
        t.is(
          await within(
            patience,
            sleeper.do(({ own }) => own.pending),
          ),
          String(round),
        )
        elapsed.push(performance.now() - start)
        // Its owner makes it anew, unless it happened to be awake when the message came.
        if (await until(() => existsSync(bell), 1000).then(yes, no)) renewed++
      }
      // One of them must have had the processor in time. Without a wake-up it takes two seconds.
      t.true(Math.min(...elapsed) < 500, elapsed.join(' '))
      t.true(renewed > 0)
      t.true(lstatSync(bell).isFIFO())
      t.is(lstatSync(bell).mode & 0o7777, 0o600)
      await sleeper.leave()
    },
  )
}

test.serial(
  'promise: strangers – what lies in place of a doorbell is not taken for one',
  async (t) => {
    const name = uniqueName(t)
    const other = actor(t)
    await other.do(
      ({ SpscQueue, own }, name) => void (own.producer = SpscQueue.producer(name)),
      name,
    )
    using consumer = SpscQueue.consumer(name, asleep)
    const mine = ownDoorbell()
    const popped = consumer.pop()
    await parked()
    rmSync(mine, { force: true })
    writeFileSync(mine, 'a plain file')
    await other.do(({ own }) => void own.producer.tryPush('x'))
    t.is((await within(patience, popped))?.toString(), 'x')
    await until(() => lstatSync(mine).isFIFO())
    await other.leave()
  },
)

test.serial(
  'promise: strangers – an end is heard without a doorbell, and so is a death',
  async (t) => {
    for (const how of ['close', 'kill'] as const) {
      const name = uniqueName(t)
      const other = actor(t)
      await other.do(
        ({ SpscQueue, own }, name) => void (own.producer = SpscQueue.producer(name)),
        name,
      )
      using consumer = SpscQueue.consumer(name, asleep)
      const popped = consumer.pop()
      await parked()
      rmSync(ownDoorbell(), { force: true })
      if (how === 'kill') {
        const ended = other.kill()
        await within(patience, t.throwsAsync(popped, { code: 'ERR_MILLRACE_PEER_GONE' }))
        await ended
      } else {
        await other.do(({ own }) => {
          own.producer.close()
        })
        t.is(await within(patience, popped), undefined)
        await other.leave()
      }
    }
  },
)

test.serial(
  'promise: strangers – frames, cells and semaphores wake whose doorbell was removed',
  async (t) => {
    const name = uniqueName(t)
    const other = actor(t)
    await other.do(({ FrameWriter, Cell, Semaphore, own }, name) => {
      own.writer = FrameWriter.create(name, { slotBytes: 8 })
      own['cell'] = Cell.writer(name, { maxBytes: 8 })
      own.semaphore = Semaphore.create(name, 0)
    }, name)
    const mine = ownDoorbell()
    {
      using reader = await FrameReader.open(name, asleep)
      const frame = reader.receive()
      await parked()
      rmSync(mine, { force: true })
      await other.do(({ own }) => void own.writer.tryLoan()!.publish())
      ;(await within(patience, frame))?.release()
    }
    {
      using reader = await Cell.reader(name, asleep)
      const changed = reader.changed()
      await parked()
      rmSync(mine, { force: true })
      await other.do(({ own }) => {
        ;(own['cell'] as { write(value: Uint8Array): void }).write(new Uint8Array(8))
      })
      await within(patience, changed)
    }
    {
      using semaphore = Semaphore.open(name, asleep)
      const waited = semaphore.wait()
      await parked()
      rmSync(mine, { force: true })
      await other.do(({ own }) => {
        own.semaphore.post()
      })
      await within(patience, waited)
      semaphore.unlink()
    }
    t.pass()
    await other.leave()
  },
)

test.serial('promise: rubbish – no doorbell outlives its process', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  const pid = await other.do(({ SpscQueue, own }, name) => {
    own.producer = SpscQueue.producer(name)
    return process.pid
  }, name)
  const [theirs] = doorbellsOf(pid)
  using consumer = SpscQueue.consumer(name, asleep)
  const gone = t.throwsAsync(consumer.pop(), { code: 'ERR_MILLRACE_PEER_GONE' })
  await other.kill()
  await gone
  await until(() => !existsSync(theirs!))
  t.pass()
})

test.serial(
  'promise: strangers – who sleeps finds out by itself that its doorbell has lost its name',
  async (t) => {
    const name = uniqueName(t)
    const sleeper = actor(t)
    const pid = await sleeper.do(({ SpscQueue, own }, name) => {
      own.consumer = SpscQueue.consumer(name, { poll: 0, spin: 0 })
      own.pending = own.consumer.pop().then((message) => message?.toString())
      return process.pid
    }, name)
    const bell = doorbellsOf(pid)[0]!
    // Twice in a row: the second time it may not be made anew at once.
    for (let round = 0; round < 2; round++) {
      rmSync(bell)
      await until(() => existsSync(bell), patience)
    }
    using producer = SpscQueue.producer(name)
    const start = performance.now()
    producer.tryPush('x')
    t.is(
      await within(
        patience,
        sleeper.do(({ own }) => own.pending),
      ),
      'x',
    )
    t.true(performance.now() - start < 1500)
    await sleeper.leave()
  },
)
