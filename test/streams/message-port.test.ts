// Two queues as a port: what values arrive as, what is refused, and how ends and deaths are told.

import { once, type EventEmitter } from 'node:events'
import { serialize } from 'node:v8'
import test, { type ExecutionContext } from 'ava'
import { SpscQueue, type QueueOptions } from 'millrace'
import { toMessagePort, type ChannelPort, type PortOptions } from 'millrace/streams'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { onePage } from '../support/queues.js'
import { until, within } from '../support/until.js'

const patience = 15_000

interface Ports {
  readonly here: ChannelPort
  readonly there: ChannelPort
}

function openPorts(t: ExecutionContext, options?: QueueOptions, port?: PortOptions): Ports {
  const [to, from] = [uniqueName(t), uniqueName(t)]
  const open = (send: string, receive: string) => {
    const pair = {
      producer: SpscQueue.producer(send, options),
      consumer: SpscQueue.consumer(receive, options),
    }
    t.teardown(() => {
      pair.producer.close({ discard: true })
      pair.consumer.close({ discard: true })
    })
    return toMessagePort(pair, port)
  }
  return { here: open(to, from), there: open(from, to) }
}

function next(port: ChannelPort): Promise<unknown> {
  return within(
    patience,
    new Promise((resolve) => {
      port.once('message', resolve)
    }),
  )
}

function closing(port: ChannelPort): Promise<unknown> {
  return within(
    patience,
    new Promise((resolve) => {
      port.once('close', resolve)
    }),
  )
}

test('values arrive as structured clones', async (t) => {
  const { here, there } = openPorts(t)
  const cycle: Record<string, unknown> = { name: 'cycle' }
  cycle['self'] = cycle
  const values = [
    undefined,
    null,
    -0,
    12n,
    'text 🦀',
    new Date(12),
    new Map([[{ a: 1 }, new Set([1, 2])]]),
    /x+/gi,
    [1, , 3], // eslint-disable-line no-sparse-arrays
    new Float64Array([1.5, NaN]),
    Buffer.from('bytes'),
    cycle,
  ]
  for (const value of values) {
    here.postMessage(value)
    t.deepEqual(await next(there), value)
  }
  here.postMessage(new RangeError('too far', { cause: 'because' }))
  const error = await next(there)
  t.true(error instanceof RangeError)
  t.is((error as RangeError).message, 'too far')
})

test('what is changed after it was posted does not travel', async (t) => {
  const { here, there } = openPorts(t)
  const value = { bytes: new Uint8Array([1, 2, 3]) }
  here.postMessage(value)
  value.bytes[0] = 9
  t.deepEqual(await next(there), { bytes: new Uint8Array([1, 2, 3]) })
})

test('values longer than the ring arrive whole, in order', async (t) => {
  const { here, there } = openPorts(t, { capacity: onePage })
  const lengths = [100_000, 1, 5000, 0, 1_000_000, 2]
  const arrived: number[] = []
  const all = new Promise<void>((resolve) => {
    there.on('message', (value) => {
      const { length, bytes } = value as { length: number; bytes: Buffer }
      t.true(bytes.equals(Buffer.alloc(length, length % 251)))
      arrived.push(length)
      if (arrived.length === lengths.length) resolve()
    })
  })
  for (const length of lengths) {
    here.postMessage({ length, bytes: Buffer.alloc(length, length % 251) })
  }
  t.true(here.bufferedAmount > 1_000_000)
  await within(patience, all)
  t.deepEqual(arrived, lengths)
  await until(() => here.bufferedAmount === 0)
})

test('ArrayBuffers that are transferred are empty here, and whole there', async (t) => {
  const { here, there } = openPorts(t)
  const bytes = new Uint8Array([1, 2, 3])
  here.postMessage({ bytes }, [bytes.buffer])
  t.is(bytes.length, 0)
  t.deepEqual(await next(there), { bytes: new Uint8Array([1, 2, 3]) })
  const again = new Uint8Array([4])
  here.postMessage(again, { transfer: [again.buffer] })
  t.is(again.length, 0)
  t.deepEqual(await next(there), new Uint8Array([4]))
})

test('what cannot be cloned or transferred is refused, and nothing is sent', async (t) => {
  const { here, there } = openPorts(t)
  const refused = (post: () => void) => {
    t.like(t.throws(post, { any: true, instanceOf: DOMException }), { name: 'DataCloneError' })
  }
  const whole = new ArrayBuffer(8)
  const gone = new ArrayBuffer(8)
  structuredClone(gone, { transfer: [gone] })
  refused(() => {
    here.postMessage(() => 1)
  })
  refused(() => {
    here.postMessage(Symbol('s'))
  })
  refused(() => {
    here.postMessage(new SharedArrayBuffer(8))
  })
  refused(() => {
    here.postMessage(1, [new MessageChannel().port1])
  })
  refused(() => {
    here.postMessage(1, [whole, whole])
  })
  refused(() => {
    here.postMessage(1, [gone])
  })
  t.is(whole.byteLength, 8)
  t.throws(
    () => {
      here.postMessage(1, { transfer: 1 } as never)
    },
    { code: 'ERR_MILLRACE_INVALID_ARGUMENT' },
  )
  here.postMessage('the first')
  t.is(await next(there), 'the first')
})

test('a value that is too long, and one too many that wait, are refused', (t) => {
  const { here } = openPorts(t, { capacity: onePage }, { maxBytes: 20_000, maxBuffered: 5000 })
  t.throws(
    () => {
      here.postMessage(Buffer.alloc(20_001))
    },
    { code: 'ERR_MILLRACE_TOO_LARGE', message: /maxBytes/ },
  )
  here.postMessage(Buffer.alloc(15_000))
  t.throws(
    () => {
      here.postMessage('more')
    },
    { code: 'ERR_MILLRACE_BUSY', message: /maxBuffered/ },
  )
})

test('values wait until somebody listens', async (t) => {
  const { here, there } = openPorts(t)
  here.postMessage(1)
  here.postMessage(2)
  await new Promise((resolve) => setTimeout(resolve, 20))
  const got: unknown[] = []
  there.on('message', (value) => got.push(value))
  await until(() => got.length === 2)
  t.deepEqual(got, [1, 2])
})

test('listeners as the web has them get events', async (t) => {
  const { here, there } = openPorts(t)
  here.postMessage({ a: 1 })
  t.deepEqual(await within(patience, once(there as unknown as EventEmitter, 'message')), [{ a: 1 }])
  const got: unknown[] = []
  there.onmessage = ({ data }) => got.push(data)
  here.postMessage(2)
  await until(() => got.length === 1)
  there.onmessage = null
  const counted: unknown[] = []
  const count = (value: unknown) => counted.push(value)
  there.on('message', count)
  here.postMessage(3)
  await until(() => counted.length === 1)
  t.deepEqual(got, [2])
  there.off('message', count)
})

test('`once` listens once, and can be taken away before', async (t) => {
  const { here, there } = openPorts(t)
  const got: unknown[] = []
  const first = (value: unknown) => got.push(['first', value])
  const never = (value: unknown) => got.push(['never', value])
  there.once('message', never)
  there.off('message', never)
  there.once('message', first)
  there.on('message', (value) => got.push(value))
  here.postMessage(1)
  here.postMessage(2)
  await until(() => got.length === 3)
  t.deepEqual(got, [['first', 1], 1, 2])
})

test('closing sends what was posted, and both ends hear of it', async (t) => {
  const { here, there } = openPorts(t, { capacity: onePage })
  const got: unknown[] = []
  const ended = [closing(here), closing(there)]
  for (let i = 0; i < 2000; i++) here.postMessage(i)
  here.close()
  t.true(here.closed)
  here.postMessage('too late')
  there.on('message', (value) => got.push(value))
  t.deepEqual(await Promise.all(ended), [undefined, undefined])
  t.deepEqual(got, [...Array(2000).keys()])
  t.true(there.closed)
  there.postMessage('to nobody')
})

test('bytes that are no value are told as such, and the port goes on', async (t) => {
  const [to, from] = [uniqueName(t), uniqueName(t)]
  using producer = SpscQueue.producer(to)
  const port = toMessagePort({
    producer: SpscQueue.producer(from),
    consumer: SpscQueue.consumer(to),
  })
  t.teardown(() => {
    port.close()
  })
  const errors: Error[] = []
  port.on('messageerror', (error) => errors.push(error))
  port.on('message', (value) => {
    t.fail(String(value))
  })
  for (const bytes of ['', '\x00no value', '\x07', '\x02', '\x03abc']) await producer.push(bytes)
  await until(() => errors.length === 4)
  await producer.push('\x09') // instead of the rest
  await until(() => errors.length === 5)
  t.true(errors.every((error) => error.message !== ''))
  t.false(port.closed)
})

test('an error in a listener is nobody else’s', async (t) => {
  const other = actor(t)
  const name = uniqueName(t)
  const told = await other.do(async ({ SpscQueue, toMessagePort }, own) => {
    const a = toMessagePort({
      producer: SpscQueue.producer(`${own}-a`),
      consumer: SpscQueue.consumer(`${own}-b`),
    })
    const b = toMessagePort({
      producer: SpscQueue.producer(`${own}-b`),
      consumer: SpscQueue.consumer(`${own}-a`),
    })
    const uncaught: string[] = []
    process.on('uncaughtException', (error) => uncaught.push(error.message))
    const got: unknown[] = []
    b.on('message', () => {
      throw new Error('of the first listener')
    })
    b.on('message', (value) => got.push(value))
    a.postMessage(1)
    a.postMessage(2)
    while (got.length < 2 || uncaught.length < 2) {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    a.close()
    b.close()
    return { got, uncaught }
  }, name)
  t.deepEqual(told, { got: [1, 2], uncaught: Array(2).fill('of the first listener') })
})

test('a port whose other end is killed closes, and says why', async (t) => {
  const other = actor(t)
  const name = uniqueName(t)
  const port = toMessagePort({
    producer: SpscQueue.producer(`${name}-a`),
    consumer: SpscQueue.consumer(`${name}-b`),
  })
  t.teardown(() => {
    port.close()
  })
  await other.do(({ SpscQueue, toMessagePort, own }, base) => {
    const there = toMessagePort({
      producer: SpscQueue.producer(`${base}-b`),
      consumer: SpscQueue.consumer(`${base}-a`),
    })
    own['port'] = there
    there.on('message', (value) => {
      there.postMessage({ echo: value })
    })
  }, name)
  port.postMessage('hello')
  t.deepEqual(await next(port), { echo: 'hello' })
  const ended = closing(port)
  port.start()
  await other.kill('SIGKILL')
  t.like(await ended, { code: 'ERR_MILLRACE_PEER_GONE' })
  SpscQueue.unlink(`${name}-a`)
  SpscQueue.unlink(`${name}-b`)
})

test('what is no pair, no listener and no event is refused', (t) => {
  const { here } = openPorts(t)
  const code = 'ERR_MILLRACE_INVALID_ARGUMENT'
  t.throws(() => toMessagePort(undefined as never), { code })
  t.throws(() => toMessagePort({} as never), { code })
  t.throws(() => here.on('message', 1 as never), { code })
  t.throws(() => toMessagePort({} as never, { maxBytes: -1 }), { code })
})

/** A port, and whoever speaks to it without being one. */
function openLiar(t: ExecutionContext, options?: PortOptions) {
  const [to, from] = [uniqueName(t), uniqueName(t)]
  const queue = { capacity: onePage }
  const liar = SpscQueue.producer(to, queue)
  const consumer = SpscQueue.consumer(to, queue)
  const answers = SpscQueue.producer(from, queue)
  t.teardown(() => {
    for (const side of [liar, consumer, answers]) side.close({ discard: true })
  })
  const port = toMessagePort({ producer: answers, consumer }, options)
  const values: unknown[] = []
  const errors: string[] = []
  port.on('messageerror', ({ message }) => errors.push(message))
  port.on('message', (value) => values.push(value))
  const says = (kind: number, bytes: Uint8Array = Buffer.alloc(0)) =>
    liar.push(Buffer.concat([Buffer.from([kind]), bytes]))
  return { says, values, errors }
}

test('once is once, beside on and twice the same', async (t) => {
  const { here, there } = openPorts(t)
  const [found, all]: [unknown[], unknown[]] = [[], []]
  const listener = (value: unknown) => found.push(value)
  there.once('message', listener).once('message', listener)
  there.on('message', (value) => all.push(value))
  here.postMessage(1)
  here.postMessage(2)
  await until(() => all.length === 2)
  t.deepEqual(found, [1])
  there.on('message', listener).once('message', listener)
  here.postMessage(3)
  here.postMessage(4)
  await until(() => all.length === 4)
  t.deepEqual(found, [1, 3, 3, 4])
  there.once('message', listener).off('message', listener)
  here.postMessage(5)
  await until(() => all.length === 5)
  t.deepEqual(found, [1, 3, 3, 4])
})

test('of a value that is refused, or whose beginning nobody has here, the rest is never taken for one', async (t) => {
  const hidden = serialize('never sent')
  const { says, values, errors } = openLiar(t, { maxBytes: 100 })
  await says(2, hidden)
  await says(1, hidden.subarray(0, 4))
  await says(2, hidden.subarray(4))
  await says(3, Buffer.alloc(80))
  await says(1, Buffer.alloc(80))
  await says(1, Buffer.alloc(80))
  await says(2, hidden)
  await says(0, Buffer.alloc(101))
  await says(3, hidden.subarray(0, 4))
  await says(0, serialize('sent'))
  await says(3, serialize('in pieces').subarray(0, 4))
  await says(2, serialize('in pieces').subarray(4))
  await says(9)
  await says(0, serialize('the last'))
  await until(() => values.at(-1) === 'the last')
  t.deepEqual(values, ['sent', 'in pieces', 'the last'])
  t.deepEqual(
    errors.map((message) => /rest|more than|broke off|not sent/.exec(message)?.[0]),
    ['rest', 'rest', 'more than', 'more than', 'broke off', 'not sent'],
  )
})
