// Ten million messages between two processes, at full speed, every one of them checked; and meanwhile
// both event loops stay alive.

import test from 'ava'

import { actor, type Actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { openConsumer } from '../support/queues.js'
import { within } from '../support/until.js'

const deadline = 60_000

/** The longest time that a 10 ms timer was late, in this process, while `work` ran. */
async function longestStall(work: Promise<unknown>): Promise<{ stall: number; ticks: number }> {
  let last = performance.now()
  let stall = 0
  let ticks = 0
  const timer = setInterval(() => {
    const now = performance.now()
    stall = Math.max(stall, now - last - 10)
    last = now
    ticks++
  }, 10)
  await work
  clearInterval(timer)
  return { stall, ticks }
}

/** Every message is 8 to 40 bytes: its number, a filling, and at the end the sum of all of that. */
function produceIn(other: Actor, name: string, count: number, way: 'single' | 'batch') {
  return other.do(
    async ({ SpscQueue }, queue, total, how) => {
      const producer = SpscQueue.producer(queue, { capacity: 2 ** 20 })
      let ticks = 0
      const timer = setInterval(() => ticks++, 10)
      const start = performance.now()
      // One of each length, often enough that none is reused within a batch.
      const messages = Array.from({ length: 256 * 9 }, (_, i) => new Uint32Array(2 + (i % 9)))
      const make = (i: number): Uint32Array => {
        const message = messages[i % messages.length]!
        const last = message.length - 1
        let sum = (message[0] = i)
        for (let at = 1; at < last; at++) sum = (sum + (message[at] = i * at)) | 0
        message[last] = sum
        return message
      }
      if (how === 'single') {
        for (let i = 0; i < total; i++) await producer.push(make(i))
      } else {
        for (let i = 0; i < total;) {
          const batch: Uint32Array[] = []
          for (; batch.length < 256 && i < total; i++) batch.push(make(i))
          await producer.pushBatch(batch)
        }
      }
      await producer.end({ timeout: 30_000 })
      clearInterval(timer)
      return { ticks, elapsed: performance.now() - start }
    },
    name,
    count,
    way,
  )
}

/** Does the message say that it is the `i`-th, and is it whole? */
function isMessage(i: number, message: Uint8Array): boolean {
  const last = 4 + (i % 9) * 4
  if (message.length !== last + 4 || wordAt(message, 0) !== i) return false
  let sum = i
  for (let at = 4; at < last; at += 4) sum = (sum + wordAt(message, at)) | 0
  return wordAt(message, last) === sum
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
}

test.serial('nine and a half million messages in batches arrive in order and whole', async (t) => {
  t.timeout(2 * deadline)
  const count = 9_500_000
  const name = uniqueName(t)
  const consumer = openConsumer(t, name, { capacity: 2 ** 20 })
  const other = actor(t)
  const start = performance.now()
  const sent = produceIn(other, name, count, 'batch')
  let i = 0
  let damaged = -1
  const consume = (async () => {
    await consumer.waitForPeer({ timeout: 10_000 })
    while (await consumer.readable({ timeout: 10_000 })) {
      consumer.drain((message) => {
        if (!isMessage(i, message) && damaged < 0) damaged = i
        i++
      }, 10_000)
    }
  })()
  const { stall, ticks } = await longestStall(within(deadline, consume))
  const elapsed = performance.now() - start
  t.log(`${(count / elapsed / 1000).toFixed(1)} million a second, stall ${stall.toFixed(0)} ms`)
  t.is(damaged, -1)
  t.is(i, count)
  const there = await sent
  // A timer that is starved fires once or twice; a noisy machine may halve what it should do.
  t.true(ticks > elapsed / 40, `${ticks} ticks of 10 ms in ${elapsed} ms here`)
  t.true(there.ticks > there.elapsed / 40, `${there.ticks} in ${there.elapsed} ms there`)
})

test.serial('half a million messages one by one arrive in order and whole', async (t) => {
  t.timeout(2 * deadline)
  const count = 500_000
  const name = uniqueName(t)
  const consumer = openConsumer(t, name, { capacity: 2 ** 20 })
  const other = actor(t)
  const start = performance.now()
  const sent = produceIn(other, name, count, 'single')
  let i = 0
  let damaged = -1
  const consume = (async () => {
    await consumer.waitForPeer({ timeout: 10_000 })
    for await (const message of consumer) {
      if (!isMessage(i, message) && damaged < 0) damaged = i
      i++
    }
  })()
  const { stall, ticks } = await longestStall(within(deadline, consume))
  const elapsed = performance.now() - start
  t.log(`${(count / elapsed / 1000).toFixed(1)} million a second, stall ${stall.toFixed(0)} ms`)
  t.is(damaged, -1)
  t.is(i, count)
  const there = await sent
  t.true(ticks > elapsed / 40, `${ticks} ticks of 10 ms in ${elapsed} ms here`)
  t.true(there.ticks > there.elapsed / 40, `${there.ticks} in ${there.elapsed} ms there`)
})
