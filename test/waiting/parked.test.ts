// A sleeper is always seen: after each publish the ring looks whether the peer is parked, by ordinary loads. An optimiser that
// took one look for the next would be noticed here: loops of nothing but pushes, or pops, run beside a thread that parks in
// the middle of them, and no loop may end long after that without having woken it.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { SpscQueue } from 'millrace'
import { uniqueName } from '../support/names.js'
import { lookInto, nowhere, recordBytes, sign, type Task } from '../support/parking.js'

const capacity = 1 << 20
const perLoop = Math.floor(capacity / recordBytes) - 1
/** Stores on their way. */
const slackBytes = 64 * recordBytes
/** So many loops first, in which nobody parks, so that they are optimised. */
const quiet = 200
/** Parkings that fell into a loop, early enough to be seen. */
const enough = 30
const patienceMs = 30_000

/** Runs the loop until enough parkings have fallen into it. How many of these were overlooked to the end. */
async function overlooked(
  t: ExecutionContext,
  name: string,
  role: Task['role'],
  loop: () => void,
): Promise<number> {
  const { control, parked, theirs: position } = lookInto(name, role)
  const signs = new Int32Array(new SharedArrayBuffer(4 * sign.words))
  const workerData: Task = { name, role, signs: signs.buffer }
  const worker = new Worker(new URL('fixtures/parks.js', import.meta.url), { workerData })
  await once(worker, 'message')
  let judged = 0
  let missed = 0
  const end = performance.now() + patienceMs
  for (let i = 0; judged < enough && performance.now() < end; i++) {
    Atomics.store(signs, sign.order, sign.turn)
    while (Atomics.load(signs, sign.order) !== 0);
    Atomics.store(control, parked, 0) // woken, at the latest now
    const before = Atomics.load(signs, sign.rounds)
    Atomics.store(signs, sign.looping, i < quiet ? 0 : 1)
    loop()
    Atomics.store(signs, sign.looping, 0)
    // In this order: what is parked now stays so, and says where.
    const stillParked = Atomics.load(control, parked) !== 0
    const visibleAt = Atomics.load(signs, sign.visibleAt)
    const passed = (Atomics.load(control, position) - visibleAt) | 0
    if (Atomics.load(signs, sign.rounds) === before) continue
    if (stillParked && (visibleAt === nowhere || passed <= slackBytes)) continue
    judged++
    if (stillParked) missed++
  }
  Atomics.store(signs, sign.order, sign.end)
  await once(worker, 'exit')
  t.true(judged > 0, 'no parking fell into a loop')
  return missed
}

test.serial('a consumer that parks is seen by the next pushes of a loop', async (t) => {
  const name = uniqueName(t)
  const producer = SpscQueue.producer(name, { capacity })
  const message = new Uint8Array(recordBytes - 8)
  const loop = () => {
    for (let i = 0; i < perLoop; i++) producer.tryPush(message)
  }
  t.is(await overlooked(t, name, 'consumer', loop), 0)
  producer.close()
  SpscQueue.unlink(name)
})

test.serial('a producer that parks is seen by the next pops of a loop', async (t) => {
  const name = uniqueName(t)
  const consumer = SpscQueue.consumer(name, { capacity })
  const target = new Uint8Array(recordBytes - 8)
  const loop = () => {
    while (consumer.tryPopInto(target) >= 0);
  }
  t.is(await overlooked(t, name, 'producer', loop), 0)
  consumer.close()
  SpscQueue.unlink(name)
})

test.serial('a loop of pushes that do not look is noticed', async (t) => {
  const name = uniqueName(t)
  const producer = SpscQueue.producer(name, { capacity })
  const { control, theirs: position } = lookInto(name, 'consumer')
  const loop = () => {
    for (let i = 0; i < perLoop; i++) control[position] = control[position]! + recordBytes
  }
  t.true((await overlooked(t, name, 'consumer', loop)) > 0)
  producer.close()
  SpscQueue.unlink(name)
})
