// Queues between TypeScript and Python, both ways, blocking and in the event loop. Either side is killed in test/interop/matrix.

import test from 'ava'
import { SpscQueue } from 'millrace'

import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'
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
