// Callbacks whose view is only valid during the call must not be asynchronous: they would go on with what lies there later.

import test from 'ava'
import { Cell, MillraceError, SpscQueue } from 'millrace'
import { struct, u32 } from 'millrace/struct'

import { uniqueName } from '../support/names.js'
import { onePage, openPair } from '../support/queues.js'

const refused = {
  instanceOf: MillraceError,
  code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  message: /has returned a promise, but what it was given is valid only during the call; take\(\) /,
}

const Point = struct({ x: u32 })

test('drain refuses an async callback, and the message it was given stays', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['first', 'second', 'third'])
  const seen: string[] = []
  const callback = (message: Uint8Array): unknown => {
    seen.push(Buffer.from(message).toString())
    return seen.length === 2 ? Promise.resolve() : undefined
  }
  t.throws(() => consumer.drain(callback), refused)
  t.deepEqual(seen, ['first', 'second'])
  t.is(consumer.tryPop()?.toString(), 'second')
  t.is(consumer.tryPop()?.toString(), 'third')
})

test('so does drainRaw, with max, too', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['first', 'second'])
  t.throws(() => consumer.drainRaw(async () => Promise.resolve(), 1), refused)
  t.throws(() => consumer.drainRaw(() => ({ then: () => undefined })), refused)
  t.is(consumer.tryPop()?.toString(), 'first')
})

test('and drain of a queue with a schema', (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { schema: Point })
  using consumer = SpscQueue.consumer(name, { schema: Point })
  producer.tryPush({ x: 7 })
  t.throws(() => consumer.drain(async () => Promise.resolve()), refused)
  t.deepEqual(consumer.tryPop(), { x: 7 })
})

test('what is refused is given back before: a queue goes on where it was', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  for (let round = 0; round < 100; round++) {
    while (producer.tryPush(Buffer.alloc(500)));
    let calls = 0
    const callback = () => (++calls === 5 ? Promise.resolve() : undefined)
    t.throws(() => consumer.drain(callback), refused)
    const left = consumer.drain(() => undefined)
    t.is(left, 4, 'of eight')
  }
})

test('other objects are no promises', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', '2', '3', '4'])
  const results = [{}, null, { then: true }, []]
  const drained = consumer.drain(() => results.pop())
  t.is(drained, 4)
})

test('an error that a callback throws is still its own', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('1')
  const callback = (): never => {
    throw new RangeError('mine')
  }
  t.throws(() => consumer.drain(callback), { instanceOf: RangeError, message: 'mine' })
  t.is(consumer.tryPop()?.toString(), '1')
})

test('update of a cell refuses an async function, and nothing has happened', async (t) => {
  const name = uniqueName(t)
  using writer = Cell.writer(name, { maxBytes: 8 })
  using reader = await Cell.reader(name)
  writer.write('before')
  const fill = (async () => Promise.resolve(3)) as unknown as () => number
  t.throws(() => writer.update(fill), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /no promise: .*; await first, then update$/,
  })
  t.is(reader.read()?.text(), 'before')
  t.is(writer.write('after'), 2)
})
