import test from 'ava'
import { MillraceError, SpscQueue, type ErrorCode } from 'millrace'
import { statSync } from 'node:fs'

import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { onePage, openConsumer, openProducer } from '../support/queues.js'

const sides = [SpscQueue.producer, SpscQueue.consumer]

test('wrong options are named, with what was expected', (t) => {
  const name = uniqueName(t)
  const wrong: [object, RegExp][] = [
    [{ capacity: 0 }, /capacity must be a whole number from 1 to 1073741824, not 0/],
    [{ capacity: 2 ** 30 + 1 }, /capacity must be a whole number from 1 to 1073741824/],
    [{ capacity: 1.5 }, /capacity must be/],
    [{ capacity: '4096' }, /capacity must be .* not "4096"/],
    [{ keep: 1 }, /keep must be true or false, not 1/],
    [{ fresh: 1 }, /fresh must be true or false, not 1/],
    [{ mode: '0600' }, /mode must be a whole number/],
    [{ mode: 0o666 }, /mode 0666 is refused; use 0600, or 0640 or 0660/],
    [{ mode: 0o604 }, /mode 0604 is refused/],
    [{ mode: 0o400 }, /mode 0400 is refused/],
    [{ owner: -1 }, /owner must be a whole number/],
    [{ poll: -1 }, /poll must be a number of milliseconds, not -1/],
    [{ poll: NaN }, /poll must be a number of milliseconds, not NaN/],
    [{ spin: '1' }, /spin must be a number of milliseconds, not "1"/],
  ]
  for (const open of sides) {
    for (const [options, message] of wrong) {
      t.throws(() => open(name, options), { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message })
    }
    for (const options of [null, 7, 'fast']) {
      t.throws(() => open(name, options as never), {
        code: 'ERR_MILLRACE_INVALID_ARGUMENT',
        message: /options must be an object, not/,
      })
    }
  }
  t.deepEqual(objectsOf(name), [], 'nothing half-made is left behind')
})

test('wrong names are refused', (t) => {
  const invalid: [unknown, ErrorCode][] = [
    [undefined, 'ERR_MILLRACE_INVALID_ARGUMENT'],
    [7, 'ERR_MILLRACE_INVALID_ARGUMENT'],
    ['', 'ERR_MILLRACE_INVALID_NAME'],
    ['a/b', 'ERR_MILLRACE_INVALID_NAME'],
    ['../a', 'ERR_MILLRACE_INVALID_NAME'],
    ['.a', 'ERR_MILLRACE_INVALID_NAME'],
    ['a b', 'ERR_MILLRACE_INVALID_NAME'],
    ['a\0b', 'ERR_MILLRACE_INVALID_NAME'],
    ['ö', 'ERR_MILLRACE_INVALID_NAME'],
    ['x'.repeat(241), 'ERR_MILLRACE_NAME_TOO_LONG'],
  ]
  for (const [name, code] of invalid) {
    for (const open of [...sides, SpscQueue.unlink]) {
      const error = t.throws(() => open(name as never), { instanceOf: MillraceError })
      t.is(error.code, code, String(name))
    }
  }
})

test('the longest name is as good as any', (t) => {
  const name = uniqueName(t)
  const long = name + '-'.repeat(240 - name.length)
  const producer = openProducer(t, long)
  const consumer = openConsumer(t, long)
  producer.tryPush('x')
  t.is(consumer.tryPop()?.toString(), 'x')
})

test('a capacity other than the one there is is refused, and both are named', (t) => {
  const name = uniqueName(t)
  openConsumer(t, name, { capacity: onePage })
  t.throws(() => SpscQueue.producer(name, { capacity: 2 * onePage }), {
    code: 'ERR_MILLRACE_GEOMETRY',
    message: /capacity 4096, not 8192/,
  })
  t.is(openProducer(t, name).capacity, onePage, 'left out, it is whatever there is')
})

test('the same between processes, and for messages that wait for a consumer', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(
    ({ SpscQueue, own }, queue, capacity) => {
      own.producer = SpscQueue.producer(queue, { capacity })
      own.producer.tryPush('waits')
    },
    name,
    onePage,
  )
  const expected = { code: 'ERR_MILLRACE_GEOMETRY', message: /capacity 4096, not 65536/ }
  t.throws(() => SpscQueue.consumer(name, { capacity: 65_536 }), expected)
  await other.leave()
  t.throws(() => SpscQueue.consumer(name, { capacity: 65_536 }), expected)
  const consumer = openConsumer(t, name, { capacity: onePage })
  t.is(consumer.tryPop()?.toString(), 'waits')
})

test('a refused opener does not disturb those who are there', (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name, { capacity: onePage })
  t.throws(() => SpscQueue.producer(name, { capacity: 2 * onePage }))
  t.throws(() => SpscQueue.consumer(name))
  const producer = openProducer(t, name)
  producer.tryPush('x')
  t.is(consumer.tryPop()?.toString(), 'x')
})

test('a queue is private to its user, whatever the umask', async (t) => {
  for (const umask of [0o000, 0o077, 0o777]) {
    const name = uniqueName(t)
    const other = actor(t)
    await other.do(
      ({ SpscQueue, own }, queue, mask) => {
        process.umask(mask)
        own.producer = SpscQueue.producer(queue)
      },
      name,
      umask,
    )
    t.is(statSync(`/dev/shm/millrace.q.${name}`).mode & 0o7777, 0o600)
    const consumer = openConsumer(t, name)
    await other.do(({ own }) => own.producer.push('x'))
    t.is((await consumer.pop({ timeout: 15_000 }))?.toString(), 'x')
    await other.leave()
  }
})

test('a queue open to its group is that on both sides, or refused', async (t) => {
  for (const mode of [0o640, 0o660]) {
    const name = uniqueName(t)
    const consumer = openConsumer(t, name, { mode, poll: 0 })
    t.is(statSync(`/dev/shm/millrace.q.${name}`).mode & 0o7777, mode)
    t.throws(() => SpscQueue.producer(name), {
      code: 'ERR_MILLRACE_NOT_OURS',
      message: new RegExp(`has mode 0${mode.toString(8)}, wider than the expected 0600`),
    })
    const popped = consumer.pop({ timeout: 5000 })
    const producer = openProducer(t, name, { mode })
    producer.tryPush('x')
    t.is((await popped)?.toString(), 'x')
  }
})

test("another user's queue is not opened by accident", (t) => {
  const name = uniqueName(t)
  openProducer(t, name)
  t.throws(() => SpscQueue.consumer(name, { owner: process.getuid!() + 1 }), {
    code: 'ERR_MILLRACE_NOT_OURS',
    message: /belongs to user \d+, not to \d+/,
  })
  t.is(openConsumer(t, name, { owner: process.getuid!() }).peer, 'attached')
})
