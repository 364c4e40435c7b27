// What `for await`, streams and whoever else asks one by one may rely on: an iteration ends at once, and swallows nothing.

import { once } from 'node:events'
import { Readable } from 'node:stream'
import test from 'ava'
import { Cell, FrameReader, FrameWriter } from 'millrace'

import { uniqueName } from '../support/names.js'
import { openPair } from '../support/queues.js'
import { within } from '../support/until.js'

const done = { done: true, value: undefined }

test('return() ends a pending next() at once, and the message that comes then stays', async (t) => {
  const { producer, consumer } = openPair(t)
  const messages = consumer.messages()
  const pending = [messages.next(), messages.next()]
  t.deepEqual(await within(5000, messages.return()), done as never)
  for (const next of pending) t.deepEqual(await within(5000, next), done as never)
  producer.tryPush('still here')
  t.deepEqual(await messages.next(), done as never)
  t.is(consumer.tryPop()?.toString(), 'still here')
})

test('what was taken before return() reaches whoever asked for it', async (t) => {
  const { producer, consumer } = openPair(t)
  const messages = consumer.messages()
  producer.tryPush('mine')
  const next = messages.next()
  await messages.return()
  const { value } = await next
  t.is(String(value), 'mine')
  t.is(consumer.tryPop(), undefined)
})

test('a loop that is left, and begun again, goes on where it stopped', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', '2', '3'])
  for await (const message of consumer) {
    t.is(message.toString(), '1')
    break
  }
  const rest: string[] = []
  for await (const message of consumer) if (rest.push(message.toString()) === 2) break
  t.deepEqual(rest, ['2', '3'])
})

test('a loop ends, and does not reject, when its own side is closed', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('one')
  const got: string[] = []
  const loop = (async () => {
    for await (const message of consumer) got.push(message.toString())
  })()
  setImmediate(() => {
    consumer.close()
  })
  await within(5000, loop)
  t.deepEqual(got, ['one'])
})

test('a stream that is destroyed while it waits is closed at once', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = Readable.from(consumer)
  stream.resume()
  await new Promise((resolve) => setImmediate(resolve))
  const closed = once(stream, 'close')
  stream.destroy()
  await within(5000, closed)
  producer.tryPush('for others')
  t.is((await consumer.pop())?.toString(), 'for others')
})

test('a signal ends an iteration with its reason; one that is aborted already takes nothing', async (t) => {
  const { producer, consumer } = openPair(t)
  const controller = new AbortController()
  const next = consumer.messages({ signal: controller.signal }).next()
  controller.abort(new Error('enough'))
  const aborted = { code: 'ERR_MILLRACE_ABORTED' }
  const error = await t.throwsAsync(within(5000, next), aborted)
  t.is((error.cause as Error).message, 'enough')
  producer.tryPush('stays')
  await t.throwsAsync(consumer.messages({ signal: controller.signal }).next(), aborted)
  t.is(consumer.tryPop()?.toString(), 'stays')
  for (const wrong of [{ signal: 5 }, { timeout: 1 }, 5]) {
    t.throws(() => consumer.messages(wrong as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
})

test('frames and cells keep to the same', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  const frames = reader.frames()
  const frame = frames.next()
  await frames.return()
  t.deepEqual(await within(5000, frame), done as never)
  writer.tryLoan()!.publish()
  using next = reader.tryReceive()
  t.is(next!.sequence, 1)

  using cell = Cell.writer(name, { maxBytes: 8 })
  using values = await Cell.reader(name)
  const changes = values.changes()
  const change = changes.next()
  await changes.return()
  t.deepEqual(await within(5000, change), done as never)
  cell.write('new')
  t.true(await values.changed())
})
