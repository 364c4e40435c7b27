// A peer that does its last work between our look at the channel and our look at the peer: the work is found, although
// the peer has left by then. Whoever looked only once would take the stream for ended, and lose its end.

import test from 'ava'
import { FrameReader, FrameWriter } from 'millrace'
import { openReader, openWriter } from '../support/cells.js'
import { beforeAnswer } from '../support/meeting.js'
import { uniqueName } from '../support/names.js'
import { openPair } from '../support/queues.js'
import { within } from '../support/until.js'

test('pop gets the message that came just before its producer left, then the end', async (t) => {
  const { consumer, producer } = openPair(t)
  beforeAnswer(t, consumer, 'peer', () => {
    t.true(producer.tryPush('last'))
    producer.close()
  })
  t.is(String(await within(5000, consumer.pop())), 'last')
  t.is(await within(5000, consumer.pop()), undefined)
})

test('popSync gets it, too', (t) => {
  const { consumer, producer } = openPair(t)
  beforeAnswer(t, consumer, 'peer', () => {
    t.true(producer.tryPush('last'))
    producer.close()
  })
  t.is(String(consumer.popSync({ timeout: 5000 })), 'last')
  t.is(consumer.popSync({ timeout: 5000 }), undefined)
})

test('readable tells of it', async (t) => {
  const { consumer, producer } = openPair(t)
  beforeAnswer(t, consumer, 'peer', () => {
    t.true(producer.tryPush('last'))
    producer.close()
  })
  t.true(await within(5000, consumer.readable()))
  t.is(String(consumer.tryPop()), 'last')
  t.false(await within(5000, consumer.readable()))
})

test('a loop over all messages ends with it, not before it', async (t) => {
  const { consumer, producer } = openPair(t)
  beforeAnswer(t, consumer, 'peer', () => {
    t.true(producer.tryPush('last'))
    producer.close()
  })
  const all: string[] = []
  await within(
    5000,
    (async () => {
      for await (const message of consumer) all.push(String(message))
    })(),
  )
  t.deepEqual(all, ['last'])
})

test('end succeeds if the consumer read everything just before it left', async (t) => {
  const { consumer, producer } = openPair(t)
  t.true(producer.tryPush('only'))
  beforeAnswer(t, producer, 'peer', () => {
    t.is(String(consumer.tryPop()), 'only')
    consumer.close()
  })
  await t.notThrowsAsync(within(5000, producer.end()))
  t.true(producer.closed)
})

test('receive gets the frame that came just before its writer left, then the end', async (t) => {
  const name = uniqueName(t)
  const writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  beforeAnswer(t, reader, 'peer', () => {
    writer.tryLoan()!.publish()
    writer.close()
  })
  const frame = await within(5000, reader.receive())
  t.is(frame?.sequence, 1)
  frame?.release()
  t.is(await within(5000, reader.receive()), undefined)
})

test('changed tells of the value that came just before its writer left', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const reader = await openReader(t, name)
  beforeAnswer(t, reader, 'peer', () => {
    writer.write('last')
    writer.close()
  })
  t.true(await within(5000, reader.changed()))
  t.is(String(reader.read()?.bytes), 'last')
  t.false(await within(5000, reader.changed()))
})
