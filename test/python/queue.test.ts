// Queues between TypeScript and Python, both ways; either side is killed in the middle.

import test from 'ava'
import { SpscQueue } from 'millrace'

import { uniqueName } from '../support/names.js'
import { Random } from '../support/random.js'
import { until, within } from '../support/until.js'
import { content, numberOf, numbersOf, patience, python, upTo } from './peer.js'

for (const role of ['pop', 'pop_async']) {
  test(`Python receives what TypeScript sends: ${role}`, async (t) => {
    const name = uniqueName(t)
    const run = python(t, role, name)
    const producer = SpscQueue.producer(name)
    for (const i of upTo(1000)) await producer.push(content(i), { timeout: patience })
    await producer.end({ timeout: patience })
    await run.printed('end', patience)
    t.like(await run.ended(patience), { code: 0 }, run.stderr)
    t.deepEqual(numbersOf(run), upTo(1000))
  })
}

for (const role of ['push', 'push_async']) {
  test(`TypeScript receives what Python sends: ${role}`, async (t) => {
    const name = uniqueName(t)
    const consumer = SpscQueue.consumer(name)
    const run = python(t, role, name, 0, 1000)
    const got: number[] = []
    await within(
      patience,
      (async () => {
        for await (const message of consumer) got.push(numberOf(message))
      })(),
    )
    t.like(await run.ended(patience), { code: 0 }, run.stderr)
    consumer.close()
    t.deepEqual(got, upTo(1000))
  })
}

test('a Python consumer that is killed is replaced, and no message comes twice', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const producer = SpscQueue.producer(name)
  const chance = new Random(11)
  const got: number[] = []
  let next = 0
  for (let round = 0; round < 5; round++) {
    const run = python(t, 'pop', name)
    await run.printed('ready', patience)
    const enough = 1 + chance.below(300)
    await until(() => {
      while (producer.tryPush(content(next))) next++
      return numbersOf(run).length >= enough
    }, patience)
    await run.kill()
    got.push(...numbersOf(run))
  }
  const last = python(t, 'pop', name)
  await last.printed('ready', patience)
  await producer.end({ timeout: patience })
  await last.printed('end', patience)
  got.push(...numbersOf(last))
  t.true(
    got.every((number, i) => i === 0 || number > got[i - 1]!),
    'in order, each once',
  )
  // A killed consumer may have taken one message that it did not get to print.
  t.true(next - got.length <= 5)
  t.is(got.at(-1), next - 1)
})

test('a Python producer that is killed leaves whole messages, and its successor goes on', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const consumer = SpscQueue.consumer(name)
  const chance = new Random(12)
  let next = 0
  for (let round = 0; round < 5; round++) {
    const run = python(t, 'push', name, next, 1_000_000)
    await consumer.waitForPeer({ timeout: patience })
    const enough = next + 1 + chance.below(500)
    while (next < enough) {
      t.is(numberOf((await consumer.pop({ timeout: patience }))!), next)
      next++
    }
    run.signal('SIGKILL')
    const error = await t.throwsAsync(async () => {
      for (;;) {
        t.is(numberOf((await consumer.pop({ timeout: patience }))!), next)
        next++
      }
    })
    t.is((error as { code?: string }).code, 'ERR_MILLRACE_PEER_GONE')
    await run.ended(patience)
  }
  consumer.close()
})
