// Queues of records between processes: every record arrives once, in order and whole, whoever is killed at whatever moment;
// and whoever lies gets a typed error, and no record that is not one.

import test, { type ExecutionContext } from 'ava'
import { MillraceError, RecordQueue, SpscQueue } from 'millrace'
import { array, struct, u32 } from 'millrace/struct'

import { actor, type Actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { consumerPosition, overwrite, peek, ring } from '../support/queue-words.js'
import { onePage } from '../support/queues.js'
import { Random } from '../support/random.js'
import { until } from '../support/until.js'

/** 20 bytes: records lie at odd words, and messages end between two of the ring's. */
const Item = struct({ id: u32, copies: array(u32, 4) }, { name: 'Item' })
const soon = { timeout: 20_000 }

/** Sends records for ever, in claims of random length, of which it commits a random part. */
async function startSending(other: Actor, name: string, first: number, seed: number) {
  await other.do(
    ({ RecordQueue, struct, array, u32, own }, queue, from, seed) => {
      const record = struct({ id: u32, copies: array(u32, 4) }, { name: 'Item' })
      const producer = RecordQueue.producer(queue, { record, capacity: 4096 })
      own['records'] = producer
      let state = seed
      const random = (below: number) => {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0
        return Math.floor((state / 2 ** 32) * below)
      }
      let next = from
      own.pending = (async () => {
        for (;;) {
          const wanted = 1 + random(random(4) === 0 ? producer.maxBatch : 20)
          const claimed = producer.claim(wanted) || (await producer.claimWhenFree(wanted))
          const used = random(claimed + 1)
          for (let i = 0; i < claimed; i++) {
            const item = producer.records.at(i)
            item.id = i < used ? next + i : 0xdead_beef // what is not committed must not arrive
            for (let copy = 0; copy < 4; copy++) item.copies.set(copy, (item.id ^ copy) >>> 0)
          }
          producer.commit(used)
          next += used
        }
      })()
    },
    name,
    first,
    seed,
  )
}

function openConsumer(t: ExecutionContext, name: string) {
  const consumer = RecordQueue.consumer(name, { record: Item, capacity: onePage })
  t.teardown(() => {
    consumer.close({ discard: true })
  })
  return consumer
}

/** Checks what has come against the number that is due; returns the next one. */
function check(consumer: ReturnType<typeof openConsumer>, due: number): number {
  let next = due
  consumer.drain((records) => {
    for (const { id, copies } of records) {
      if (id !== next) throw new Error(`${id} instead of ${next}`)
      for (let copy = 0; copy < 4; copy++) {
        if (copies.at(copy) !== (id ^ copy) >>> 0) throw new Error(`${id} is not whole`)
      }
      next++
    }
  })
  return next
}

test.serial(
  'producers that are killed at any moment: each record once, in order, none that was claimed only',
  async (t) => {
    t.timeout(120_000)
    const name = uniqueName(t)
    const consumer = openConsumer(t, name)
    const random = new Random(3)
    let next = 0
    for (let life = 0; life < 6; life++) {
      const before = next
      const other = actor(t)
      await startSending(other, name, next, life + 1)
      const enough = next + 2_000 + random.below(20_000)
      while (next < enough && (await consumer.readable(soon))) next = check(consumer, next)
      await other.kill()
      await t.throwsAsync(
        (async () => {
          while (await consumer.readable(soon)) next = check(consumer, next)
        })(),
        { code: 'ERR_MILLRACE_PEER_GONE' },
      )
      t.true(next >= enough && next > before)
    }
  },
)

test.serial('consumers that are killed at any moment lose no record', async (t) => {
  t.timeout(120_000)
  const name = uniqueName(t)
  const producer = RecordQueue.producer(name, { record: Item, capacity: onePage })
  t.teardown(() => {
    producer.close({ discard: true })
  })
  let next = 0
  /** Fills the ring. */
  const fill = () => {
    for (let room; (room = producer.claim(1 + (next % 50))) > 0;) {
      for (let i = 0; i < room; i++) {
        const item = producer.records.at(i)
        item.id = next++
        for (let copy = 0; copy < 4; copy++) item.copies.set(copy, (item.id ^ copy) >>> 0)
      }
      producer.commit()
    }
  }
  for (let life = 0; life < 4; life++) {
    const other = actor(t)
    fill()
    // The ring is full, and it stops in the callback of its third message: all of them come again.
    other.start(async ({ RecordQueue, struct, array, u32 }, queue) => {
      const record = struct({ id: u32, copies: array(u32, 4) }, { name: 'Item' })
      const consumer = RecordQueue.consumer(queue, { record, capacity: 4096 })
      let taken = 0
      await consumer.readable()
      consumer.drain((records) => {
        if (++taken < 3) return
        process.send!({ result: records.at(0).id })
        for (;;); // until it is killed
      })
    }, name)
    const third = (await other.run.next()) as { readonly result: number }
    await other.kill()
    await until(() => producer.peer === 'gone')
    const consumer = openConsumer(t, name)
    let first: number | undefined
    consumer.drain((records) => {
      first ??= records.at(0).id
      return false
    })
    t.true(first! <= third.result, 'nothing that was not given back is lost')
    consumer.drain(() => undefined, Infinity)
    consumer.close()
  }
})

for (const how of ['SIGKILL', 'process.exit', 'abort', 'close'] as const) {
  test.serial(
    `a claim that is open when its process ends (${how}) is never seen, and its room is free`,
    async (t) => {
      const name = uniqueName(t)
      const consumer = openConsumer(t, name)
      const other = actor(t)
      await other.do(({ RecordQueue, struct, array, u32, own }, queue) => {
        const record = struct({ id: u32, copies: array(u32, 4) }, { name: 'Item' })
        const producer = RecordQueue.producer(queue, { record, capacity: 4096 })
        own['records'] = producer
        producer.tryPush([{ id: 7, copies: [7, 6, 5, 4] }])
        const claimed = producer.claim(1000)
        for (let i = 0; i < claimed; i++) producer.records.at(i).id = 666
      }, name)
      if (how === 'SIGKILL') {
        await other.kill()
      } else {
        other.start(({ own }, how) => {
          const producer = own['records'] as { abort(): void; close(): void }
          if (how !== 'process.exit') producer[how]()
          process.exit(0)
        }, how)
        await other.run.ended()
      }
      t.is(check(consumer, 7), 8)
      const ends = { SIGKILL: 'GONE', abort: 'FAILED', close: undefined, 'process.exit': undefined }
      const code = ends[how]
      if (code === undefined) t.false(await consumer.readable(soon))
      else await t.throwsAsync(consumer.readable(soon), { code: `ERR_MILLRACE_PEER_${code}` })
      using next = RecordQueue.producer(name, { record: Item })
      t.is(next.freeBytes, onePage)
      t.is(next.claim(next.maxBatch), next.maxBatch)
    },
  )
}

test.serial('waits for room end when the consumer is killed', async (t) => {
  const name = uniqueName(t)
  using producer = RecordQueue.producer(name, { record: Item, capacity: onePage })
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.consumer = SpscQueue.consumer(queue)
  }, name)
  producer.claim(producer.maxBatch)
  producer.commit(producer.maxBatch)
  const waiting = producer.claimWhenFree(1, soon)
  await other.kill()
  await t.throwsAsync(waiting, { code: 'ERR_MILLRACE_PEER_GONE' })
  producer.close({ discard: true })
  SpscQueue.unlink(name)
})

test.serial(
  'lengths that somebody writes over are no records, or the ring is corrupt; nothing else happens',
  (t) => {
    const random = new Random(11)
    const lengths = [0, 1, 8, 19, 20, 21, 40, 100, 4080, 4088, 4089, 2 ** 31, 2 ** 32 - 1, 2 ** 32]
    const outcomes = new Map<string, number>()
    const count = (what: string) => outcomes.set(what, (outcomes.get(what) ?? 0) + 1)
    for (let round = 0; round < 300; round++) {
      const name = uniqueName(t)
      const producer = RecordQueue.producer(name, { record: Item, capacity: onePage })
      const consumer = RecordQueue.consumer(name, { record: Item, capacity: onePage })
      try {
        const sent = 1 + random.below(40)
        producer.claim(sent)
        producer.commit(sent)
        producer.claim(10)
        producer.commit(10)
        const at = Number(peek(name, consumerPosition) & 4095n)
        const length = lengths[random.below(lengths.length)]!
        overwrite(name, ring + at, BigInt(length))
        try {
          consumer.drain((records) => {
            if (records.length > Math.floor(onePage / Item.size)) t.fail('more than there can be')
            for (const { id } of records) if (id >>> 0 !== id) t.fail()
            count('records')
          })
          count('read')
        } catch (error) {
          if (!(error instanceof MillraceError)) throw error
          count(error.code)
          t.is(consumer.closed, error.code === 'ERR_MILLRACE_CORRUPT')
          if (error.code === 'ERR_MILLRACE_SCHEMA') {
            t.throws(() => consumer.tryPop(), { code: 'ERR_MILLRACE_SCHEMA' })
            t.is(consumer.tryPopInto(Buffer.alloc(onePage)), length)
          }
        }
      } finally {
        producer.close({ discard: true })
        consumer.close({ discard: true })
        SpscQueue.unlink(name)
      }
    }
    for (const what of ['records', 'ERR_MILLRACE_SCHEMA', 'ERR_MILLRACE_CORRUPT']) {
      t.true((outcomes.get(what) ?? 0) > 10, `${what}: ${JSON.stringify([...outcomes])}`)
    }
  },
)
