// What console.log shows of our objects: class, name and state; in no state of theirs does it fail.

import { readFileSync } from 'node:fs'
import { inspect } from 'node:util'
import test from 'ava'
import { SharedMemory, SpscQueue } from 'millrace'
import { array, f64, struct, u32 } from 'millrace/struct'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { openOneOfEach } from '../support/one-of-each.js'
import { overwrite, producerPosition } from '../support/queue-words.js'
import { onePage, openPair } from '../support/queues.js'

test('everything shows its class and its state, and nothing from within', async (t) => {
  const { handles, others } = await openOneOfEach(t, uniqueName(t))
  for (const [title, one] of Object.entries({ ...handles, ...others })) {
    const text = inspect(one)
    t.true(text.startsWith(`${title} {`), text)
    t.notRegex(text, /native|waits|\[Function|Symbol|undefined/i)
    t.true(text.length < 600, text)
    t.is(inspect(one, { depth: -1 }), `[${title}]`)
    t.is(inspect({ one }, { depth: 0, colors: true }), `{ one: \x1b[36m[${title}]\x1b[39m }`)
  }
})

test('what is closed says so, and tells no more of what changes', async (t) => {
  const { handles, others } = await openOneOfEach(t, uniqueName(t))
  const all = [...Object.values(handles), ...Object.values(others)]
  for (const handle of Object.values(handles)) handle.close()
  for (const [title, one] of Object.entries(handles)) {
    t.regex(inspect(one), new RegExp(`^${title} \\{[^]*closed: true`))
    t.notRegex(inspect(one), /peer|ERR_/)
  }
  t.regex(inspect(others.LoanedFrame), /state: 'void'/)
  t.regex(inspect(others.Frame), /state: 'void'/)
  t.regex(inspect(others.HeldMessage), /length: 5, state: 'void'/)
  t.regex(inspect(others.LockGuard), /released: true/)
  t.notThrows(() => inspect(all))
})

test('a handle tells its name, its size and who is at the other side', (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush('12345')
  const pid = process.pid
  t.is(
    inspect(consumer, { breakLength: Infinity }),
    `QueueConsumer { name: '${name}', capacity: ${onePage}, closed: false, peer: 'attached', peerPid: ${pid}, nextLength: 5 }`,
  )
  t.regex(inspect(producer), new RegExp(`freeBytes: ${onePage - 16}`))
})

test('of a peer that died: gone, and which it was', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
  }, name)
  using consumer = SpscQueue.consumer(name)
  await other.kill()
  t.regex(inspect(consumer), new RegExp(`peer: 'gone',\\s+peerPid: ${other.pid},`))
})

test('looking at a damaged queue closes nothing: the program is told by its own calls', (t) => {
  const { name, consumer, producer } = openPair(t, { capacity: onePage })
  overwrite(name, producerPosition, 12n)
  t.regex(inspect(consumer), /^QueueConsumer \{[^]*closed: false/)
  t.notRegex(inspect(consumer), /nextLength/)
  t.regex(inspect(producer), /^QueueProducer \{/)
  t.false(consumer.closed)
  t.throws(() => consumer.tryPop(), { code: 'ERR_MILLRACE_CORRUPT' })
})

test('an object that only inherits from a handle is no reason to fail', (t) => {
  const { producer } = openPair(t)
  t.regex(inspect(Object.create(producer)), /^QueueProducer \[.+\]$/)
})

test('a method called by hand needs no arguments', (t) => {
  const { producer } = openPair(t)
  const show = Reflect.get(producer, inspect.custom) as () => string
  t.is(show.call(producer), inspect(producer))
})

const Trade = struct({ price: f64, levels: array(u32, 1000) }, { name: 'Trade' })

test('views show the name and the values of their structure', (t) => {
  const view = Trade.view(new ArrayBuffer(Trade.size))
  view.price = 101.5
  const text = inspect(view, { breakLength: Infinity })
  t.regex(text, /^Trade \{\s*price: 101\.5,\s*levels: ArrayView\(1000\) \[\s*0, 0/)
  t.regex(text, /\.\.\. 900 more items/)
  const Anonymous = struct({ a: f64 })
  t.is(inspect(Anonymous.view(new ArrayBuffer(8))), 'StructView { a: 0 }')
  t.is(inspect({ a: { b: { c: view } } }, { depth: 2 }).includes('[Trade]'), true)
})

test('an array shows its beginning and leaves its accessor where it is', (t) => {
  const Point = struct({ x: u32 })
  const points = Point.array(new Uint32Array([1, 2, 3]))
  const second = points.at(1)
  t.is(
    inspect(points),
    'StructArray(3) [ StructView { x: 1 }, StructView { x: 2 }, StructView { x: 3 } ]',
  )
  t.is(second.x, 2)
  t.regex(
    inspect(points, { maxArrayLength: 1 }),
    /^StructArray\(3\) \[ StructView \{ x: 1 \}, \.\.\. 2 more items \]$/,
  )
  t.is(inspect(points.field('x'), { maxArrayLength: null }), 'ArrayView(3) [ 1, 2, 3 ]')
})

test.serial('what is not shown is not read', (t) => {
  // eslint-disable-next-line @typescript-eslint/unbound-method
  const { getUint32 } = DataView.prototype
  let reads = 0
  DataView.prototype.getUint32 = function (...at) {
    reads++
    return getUint32.apply(this, at)
  }
  t.teardown(() => {
    DataView.prototype.getUint32 = getUint32
  })
  const Point = struct({ x: u32, inside: array(u32, 1000) })
  const points = Point.array(new ArrayBuffer(Point.size * 1000))
  inspect(points, { maxArrayLength: 10 })
  t.is(reads, 10 + 10 * 10)
})

test('a view whose memory is gone says so', (t) => {
  const memory = SharedMemory.create(uniqueName(t), Trade.size)
  const view = Trade.view(memory.buffer)
  const trades = Trade.array(memory.buffer)
  memory.close()
  t.regex(inspect(view), /^Trade \[.*detached.*\]$/)
  t.regex(inspect(trades), /Trade \[.*detached.*\]/)
})

test('an error shows its code, its cause and no more than Node shows of its own', (t) => {
  const error = t.throws(() => SharedMemory.open('test-never-there'))
  const text = inspect(error)
  t.regex(text, /^MillraceError: shared memory 'test-never-there' does not exist/)
  t.regex(text, /code: 'ERR_MILLRACE_NOT_FOUND',\s+syscall: 'shm_open',\s+errno: 2/)
})

test('the documentation shows what is shown', (t) => {
  const queue = readFileSync(new URL('../../../docs/queue.md', import.meta.url), 'utf8')
  const { name, consumer } = openPair(t, { capacity: 65536 })
  const shown = inspect(consumer).replace(name, 'ticks').replace(String(process.pid), '4711')
  t.true(queue.includes(shown), shown)
})
