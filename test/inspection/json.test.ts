// What JSON.stringify says of our objects: what console.log shows, and no content; in no state of theirs does it fail.

import { readFileSync } from 'node:fs'
import test from 'ava'
import { Cell, SpscQueue } from 'millrace'
import { f64, struct, u64 } from 'millrace/struct'
import { Counter } from 'millrace/sync'

import { uniqueName } from '../support/names.js'
import { openOneOfEach } from '../support/one-of-each.js'
import { overwrite, producerPosition } from '../support/queue-words.js'
import { onePage, openPair } from '../support/queues.js'

function parsed(one: unknown): unknown {
  return JSON.parse(JSON.stringify(one))
}

test('of everything it says a little, in every state', async (t) => {
  const { handles, others } = await openOneOfEach(t, uniqueName(t))
  const all = Object.entries({ ...handles, ...others })
  for (const [title, one] of all) {
    const text = JSON.stringify(one)
    t.true(text.length > 10 && text.length < 600, `${title}: ${text}`)
    t.notRegex(text, /native|waits|title|ring|error/i, title)
  }
  for (const handle of Object.values(handles)) handle.close()
  for (const [title, one] of all) {
    const text = JSON.stringify(one)
    t.true(text.length > 10 && text.length < 600, `${title}: ${text}`)
    if (title in handles) t.like(JSON.parse(text), { closed: true }, title)
  }
})

test('the sides of a queue that was used say how things stand, and nothing of messages', (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush('secret')
  consumer.drain(() => false)
  consumer.drainRaw(() => false)
  producer.tryPush('secret')
  const peer = { closed: false, peer: 'attached', peerPid: process.pid }
  t.deepEqual(parsed(producer), { name, capacity: onePage, ...peer, freeBytes: onePage - 16 })
  t.deepEqual(parsed({ consumer }), {
    consumer: { name, capacity: onePage, ...peer, nextLength: 6 },
  })
})

test('to say something of a new queue does not decide how large it is', (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name)
  t.false('capacity' in (parsed(consumer) as object))
  using producer = SpscQueue.producer(name, { capacity: onePage })
  t.like(parsed(producer), { capacity: onePage })
})

test('a value tells how long it is, and when it was written as text', async (t) => {
  const name = uniqueName(t)
  using writer = Cell.writer(name, { maxBytes: 64 })
  using reader = await Cell.reader(name)
  writer.write('secret')
  const value = reader.read()!
  const timestamp = String(value.timestamp)
  t.deepEqual(parsed(value), { cell: name, version: 1, timestamp, byteLength: 6 })
  t.like(parsed(reader), { name, timestamp, version: 1 })
})

test('bigints are decimal text, whatever their size', (t) => {
  using counter = Counter.open(uniqueName(t))
  counter.add(7n)
  t.like(parsed(counter), { value: '7' })
  counter.add(2n ** 62n)
  t.like(parsed(counter), { value: String(2n ** 62n + 7n) })
})

test('a structure tells its layout', (t) => {
  const Point = struct({ x: f64, n: u64 }, { name: 'Point' })
  const told = parsed(Point)
  const fields = [
    { name: 'x', type: 'f64', offset: 0, size: 8 },
    { name: 'n', type: 'u64', offset: 8, size: 8 },
  ]
  t.like(told, { name: 'Point', size: 16, fingerprint: String(Point.fingerprint), fields })
})

test('saying closes nothing that is damaged', (t) => {
  const { name, consumer } = openPair(t, { capacity: onePage })
  overwrite(name, producerPosition, 12n)
  t.like(parsed(consumer), { name, closed: false })
  t.false(consumer.closed)
})

test('of what only inherits from a handle it says why nothing can be told', (t) => {
  const { producer } = openPair(t)
  t.regex(JSON.stringify(Object.create(producer)), /^\{"error":"QueueProducer \[.+\]"\}$/)
})

test('the documentation says what is said', (t) => {
  const queue = readFileSync(new URL('../../../docs/queue.md', import.meta.url), 'utf8')
  const { name, consumer } = openPair(t, { capacity: 65536 })
  const said = JSON.stringify(consumer).replace(name, 'ticks').replace(String(process.pid), '4711')
  t.true(queue.includes(said), said)
})
