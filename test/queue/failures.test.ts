// A side that gives up says so, and why; the other one learns of it where it would learn of an end.

import test from 'ava'
import { runInNewContext } from 'node:vm'
import { MillraceError, SpscQueue, type QueueConsumer, type QueueProducer } from 'millrace'

import { uniqueName } from '../support/names.js'
import { onePage, openConsumer, openPair, openProducer } from '../support/queues.js'
import { overwrite } from '../support/queue-words.js'

const soon = { timeout: 15_000 }
const code = 'ERR_MILLRACE_PEER_FAILED'

// native/include/millrace/layout: who failed, and why.
const producerEpoch = 516
const producerFailed = 524
const producerReason = 640
const reasonBytes = 200

/** What the consumer is told. */
function reasonAt(consumer: QueueConsumer): string {
  try {
    consumer.popSync(soon)
  } catch (error) {
    if (error instanceof MillraceError && error.code === code) {
      return (error.cause as Error | undefined)?.message ?? ''
    }
    throw error
  }
  throw new Error('there was no failure')
}

const ways: Record<string, (consumer: QueueConsumer, got: string[]) => Promise<void>> = {
  'for await': async (consumer, got) => {
    for await (const message of consumer) got.push(message.toString())
  },
  'messages()': async (consumer, got) => {
    const messages = consumer.messages()
    for (let i = 0; i < 3; i++) got.push((await messages.next()).value!.toString())
  },
  pop: async (consumer, got) => {
    for (let i = 0; i < 3; i++) got.push((await consumer.pop(soon))!.toString())
  },
  popSync: (consumer, got) =>
    new Promise(() => {
      for (let i = 0; i < 3; i++) got.push(consumer.popSync(soon)!.toString())
    }),
  readable: async (consumer, got) => {
    while (await consumer.readable(soon)) {
      consumer.drain((message) => got.push(Buffer.from(message).toString()))
    }
  },
}

for (const [how, receive] of Object.entries(ways)) {
  for (const when of ['before', 'while it waits'] as const) {
    if (how === 'popSync' && when === 'while it waits') continue // nobody could abort meanwhile
    test(`${how} rejects after everything that was published (${when})`, async (t) => {
      const { name, producer, consumer } = openPair(t)
      producer.tryPush('one')
      producer.tryPush('two')
      if (when === 'before') producer.abort(new Error('the disk is full'))
      const got: string[] = []
      const rejected = t.throwsAsync(receive(consumer, got), { code, instanceOf: MillraceError })
      if (when !== 'before') {
        while (got.length < 2) await new Promise(setImmediate)
        producer.abort(new Error('the disk is full'))
      }
      const error = await rejected
      t.deepEqual(got, ['one', 'two'])
      t.is(
        error.message,
        `the producer of queue '${name}' (pid ${process.pid}) failed: the disk is full; everything it sent has been ` +
          'read: wait for another with waitForPeer(), or close',
      )
      t.is((error.cause as Error).message, 'the disk is full')
      await t.throwsAsync(consumer.pop(soon), { code }, 'again')
      t.false(consumer.closed)
    })
  }
}

test('calls that do not wait say only that there is nothing', (t) => {
  const { producer, consumer } = openPair(t)
  producer.abort('why')
  t.is(consumer.tryPop(), undefined)
  t.is(consumer.tryPopInto(Buffer.alloc(8)), -1)
  t.is(consumer.nextLength, -1)
  t.is(
    consumer.drain(() => true),
    0,
  )
  t.is(consumer.peer, 'failed')
})

test('the next producer takes the mark away, and may end in good order', async (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.abort('why')
  t.is(consumer.peer, 'failed')
  const came = consumer.waitForPeer(soon)
  const next = openProducer(t, name)
  await came
  t.is(consumer.peer, 'attached')
  next.tryPush('whole')
  next.close()
  t.is(consumer.peer, 'closed')
  const got: string[] = []
  for await (const message of consumer) got.push(message.toString())
  t.deepEqual(got, ['whole'])
})

test('with messages that nobody has read, the failure waits for the next consumer', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  producer.tryPush('half')
  producer.abort('why')
  const consumer = openConsumer(t, name)
  t.is((await consumer.pop(soon))?.toString(), 'half')
  t.is(reasonAt(consumer), 'why')
})

test('who begins fresh hears of no earlier failure', (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  producer.tryPush('half')
  producer.abort('why')
  const consumer = openConsumer(t, name, { fresh: true })
  t.is(consumer.peer, 'absent')
  t.is(consumer.tryPop(), undefined)
})

test('a consumer that gives up: where the producer would learn that it closed', async (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage })
  while (producer.tryPush('x'.repeat(1000)));
  const failing = {
    code,
    message: /^the consumer of queue '.*' \(pid \d+\) failed: no such table; /,
  }
  const waiting = t.throwsAsync(producer.push('y'.repeat(1000), soon), failing)
  await new Promise(setImmediate)
  consumer.abort('no such table')
  await waiting
  t.is(producer.peer, 'failed')
  t.throws(() => {
    producer.pushSync('y'.repeat(1000), soon)
  }, failing)
  await t.throwsAsync(producer.pushBatch(['y'.repeat(1000)], soon), failing)
  await t.throwsAsync(producer.reserveWhenFree(1000, soon), failing)
  await t.throwsAsync(producer.end(soon), failing)
  t.false(producer.closed)
  const next = openConsumer(t, name)
  t.is(producer.peer, 'attached')
  t.is(next.tryPop()?.length, 1000)
})

test('for this side it is a close', async (t) => {
  const { producer, consumer } = openPair(t)
  const waiting = t.throwsAsync(consumer.pop(soon), { code: 'ERR_MILLRACE_CLOSED' })
  await new Promise(setImmediate)
  consumer.abort()
  await waiting
  t.true(consumer.closed)
  consumer.abort('once more')
  consumer.close()
  const view = producer.reserve(8)
  producer.abort('with a reservation')
  t.is(view?.bytes.length, 0)
  t.throws(() => producer.tryPush('x'), { code: 'ERR_MILLRACE_CLOSED' })
})

test('a close before or after decides nothing anew', (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.close()
  producer.abort('too late')
  t.is(consumer.peer, 'closed')
  {
    using next = SpscQueue.producer(name)
    next.abort('in time') // and then leaves the block
  }
  t.is(consumer.peer, 'failed')
  t.is(reasonAt(consumer), 'in time')
})

test('abort in a callback of drain: what it was given counts as taken', (t) => {
  const { name, producer, consumer } = openPair(t)
  for (const message of ['one', 'two', 'three']) producer.tryPush(message)
  let seen = 0
  consumer.drain(() => {
    if (++seen === 2) consumer.abort('enough')
  })
  t.is(seen, 2)
  t.is(openConsumer(t, name).tryPop()?.toString(), 'three')
})

const unseeable = {
  get message(): string {
    throw new Error('not even that')
  },
}

for (const [what, reason, expected] of [
  ['text', 'out of paper', 'out of paper'],
  ['nothing', undefined, ''],
  ['empty text', '', ''],
  ['an error', new TypeError('not a function'), 'not a function'],
  ['an error without a message', new RangeError(), 'RangeError'],
  [
    'an error of another realm',
    runInNewContext('new Error("from elsewhere")') as Error,
    'from elsewhere',
  ],
  ['null', null, 'null'],
  ['a number', 404, '404'],
  ['a symbol', Symbol('odd'), 'Symbol(odd)'],
  ['an object', { status: 500 }, '{ status: 500 }'],
  ['what does not let itself be looked at', unseeable, ''],
  ['200 bytes', 'x'.repeat(200), 'x'.repeat(200)],
  ['more', 'x'.repeat(201), 'x'.repeat(200)],
  ['very much more', 'x'.repeat(10_000_000), 'x'.repeat(200)],
  ['a character of two bytes that just fits', `${'x'.repeat(198)}äz`, `${'x'.repeat(198)}ä`],
  ['one that does not', `${'x'.repeat(199)}ä`, 'x'.repeat(199)],
  ['one of two UTF-16 units that does not', `${'x'.repeat(199)}💩`, 'x'.repeat(199)],
  ['half of one', '\ud83d!', '\ufffd!'],
  ['several lines', 'first\nsecond\r\n\tthird', 'first second   third'],
  [
    'what a terminal would obey',
    '\u001b]0;title\u0007\u001b[2J\u009b1m\u202e',
    ' ]0;title  [2J 1m ',
  ],
] as const) {
  test(`a reason is made of whatever was thrown: ${what}`, (t) => {
    const { producer, consumer } = openPair(t)
    producer.abort(reason)
    t.is(consumer.peer, 'failed')
    t.is(reasonAt(consumer), expected)
    t.throws(() => consumer.popSync(soon), {
      message:
        expected === '' ? /\(pid \d+\) failed, and gave no reason; / : /\(pid \d+\) failed: .+; /,
    })
  })
}

test('promise: lies – rubbish where the reason belongs is text, or no reason', (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.abort('true')
  let state = 1
  const random = () => (state = Math.imul(state, 1103515245) + 12345) >>> 0
  for (let round = 0; round < 200; round++) {
    for (let at = 0; at < reasonBytes; at += 8) {
      overwrite(name, producerReason + at, (BigInt(random()) << 32n) | BigInt(random()))
    }
    // eslint-disable-next-line no-control-regex
    t.notRegex(reasonAt(consumer), /[\u0000-\u001f\u007f-\u009f]/)
  }
  for (let at = 0; at < reasonBytes; at += 8)
    overwrite(name, producerReason + at, -1n & 0xffff_ffff_ffff_ffffn)
  t.is(reasonAt(consumer), '\ufffd'.repeat(reasonBytes), 'no zero that would end it')
})

test('promise: lies – a mark that nobody made is none', async (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.close()
  // The pid lies before it, in the same word.
  for (const mark of [2n, 0xffff_ffffn]) {
    overwrite(name, producerFailed - 4, (mark << 32n) | BigInt(process.pid))
    t.is(consumer.peer, 'closed')
    t.is(await consumer.pop(soon), undefined)
  }
  overwrite(name, producerFailed - 4, (1n << 32n) | BigInt(process.pid))
  t.is(consumer.peer, 'failed', 'the epoch of who left is believed')
  t.is(reasonAt(consumer), '')
  overwrite(name, producerEpoch - 4, 2n) // state and epoch: closed, of nobody
  t.is(consumer.peer, 'closed')
})

test('whoever gives up in the catch block is not taken for one that is done', async (t) => {
  const { producer, consumer } = openPair(t)
  async function produce(to: QueueProducer): Promise<void> {
    try {
      await to.push('one')
      throw new Error('the source is broken')
    } catch (error) {
      to.abort(error)
    }
  }
  await produce(producer)
  const got: string[] = []
  const error = await t.throwsAsync(async () => {
    for await (const message of consumer) got.push(message.toString())
  })
  t.deepEqual(got, ['one'])
  t.regex(error.message, /failed: the source is broken;/)
})
