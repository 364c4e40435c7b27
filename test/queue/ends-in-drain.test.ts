// Which messages the next consumer gets when the last one ended inside `drain`: docs/queue.md says it.

import test from 'ava'

import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { openConsumer, openProducer } from '../support/queues.js'
import { thread } from '../support/thread.js'

const fixture = new URL('./fixtures/ends-in-drain.js', import.meta.url)

const afterwards = {
  /** The call to process.exit() is not the callback's return. */
  exit: 'third',
  /** The message stays, as always when a callback throws; nobody catches it here. */
  throw: 'third',
  /** Whoever closes is done with the message. */
  close: 'fourth',
  abort: 'fourth',
}

for (const [how, next] of Object.entries(afterwards)) {
  for (const where of ['process', 'Worker']) {
    test.serial(`a ${where} that ends in a drain (${how}): what was done is read`, async (t) => {
      const name = uniqueName(t)
      const producer = openProducer(t, name)
      producer.tryPushBatch(['first', 'second', 'third', 'fourth'])
      if (where === 'process') {
        await run(t, fixture, [name, how]).ended()
      } else {
        await thread(t, fixture, { argv: [name, how] }).ended()
      }
      const consumer = openConsumer(t, name)
      t.is(consumer.tryPop()?.toString(), next)
      consumer.drain(() => undefined)
    })
  }
}

test.serial('a process that is killed in a drain has read what it gave back before', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  producer.tryPushBatch(['first', 'second', 'third', 'fourth'])
  t.is((await run(t, fixture, [name, 'kill']).ended()).signal, 'SIGKILL')
  const consumer = openConsumer(t, name)
  t.is(consumer.tryPop()?.toString(), 'first', 'nothing is lost; some come again')
  consumer.drain(() => undefined)
})
