// What is kept of jobs that cannot be done.

import test from 'ava'

import { uniqueName } from '../support/names.js'
import { open, text, texts } from './open.js'

test('a dead letter tells all that was known of the job', (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush(Buffer.alloc(3000, 'p'), { id: 'i', group: 'g', priority: 9 })
  const before = Date.now()
  queue.tryTake()!.reject(new TypeError('no such thing'))
  const letters = queue.dead.peek()
  t.is(letters.length, 1)
  const [letter] = letters
  t.like(letter, {
    id: 'i',
    group: 'g',
    priority: 9,
    reason: 'rejected',
    error: 'no such thing',
    attempts: 1,
    acquired: 1,
  })
  t.deepEqual(letter!.bytes, Buffer.alloc(3000, 'p'))
  t.true(letter!.diedAt.getTime() >= letter!.pushedAt.getTime())
  t.true(Math.abs(letter!.diedAt.getTime() - before) < 5_000)
  t.is(queue.dead.length, 1)
  t.is(queue.dead.purge(), 1)
  t.is(queue.dead.length, 0)
  t.is(queue.stats().free, queue.jobs)
})

test('redrive sends them round again with no attempt behind them; limit and filter choose', (t) => {
  const queue = open(t, uniqueName(t), { maxAttempts: 1 })
  for (const payload of ['a', 'b', 'c', 'd']) {
    queue.tryPush(payload)
    queue.tryTake()!.retry({ error: `no ${payload}` })
  }
  const letters = queue.dead.peek().map(({ bytes }) => text(bytes))
  t.deepEqual(letters.slice().sort(), ['a', 'b', 'c', 'd'])
  t.deepEqual(
    queue.dead.peek({ limit: 2 }).map(({ bytes }) => text(bytes)),
    letters.slice(0, 2),
  )
  t.is(queue.dead.redrive({ filter: ({ error }) => error !== 'no b', limit: 2 }), 2)
  const first = queue.tryTake()!
  t.is(first.attempt, 1)
  const sent = [text(first.bytes), ...(first.complete(), texts(queue))]
  t.deepEqual(sent, letters.filter((letter) => letter !== 'b').slice(0, 2))
  t.is(queue.dead.purge({ limit: 1, filter: ({ bytes }) => text(bytes) === 'b' }), 1)
  t.is(queue.dead.redrive(), 1)
  t.deepEqual(
    texts(queue),
    letters.filter((letter) => letter !== 'b' && !sent.includes(letter)),
  )
  t.is(queue.dead.redrive(), 0)
  const { redriven, purged, deadLettered } = queue.stats()
  t.deepEqual([redriven, purged, deadLettered], [3, 1, 4])
})

test('dead letters have a quota of their own: they take no room from jobs, and what is too much is counted', (t) => {
  const queue = open(t, uniqueName(t), { jobs: 2, deadLetters: { jobs: 3 } })
  for (let i = 0; i < 5; i++) {
    t.true(queue.tryPush(String(i)))
    queue.tryTake()!.reject()
  }
  t.is(queue.dead.length, 3)
  t.is(queue.stats().deadDropped, 2)
  t.true(queue.tryPush('x'))
  t.true(queue.tryPush('y'))
  t.deepEqual(texts(queue), ['x', 'y'])
})

test('what is wrong with the options, or thrown by the filter, changes nothing', (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush('a')
  queue.tryTake()!.reject()
  const error = new Error('filter')
  t.throws(
    () =>
      queue.dead.redrive({
        filter: () => {
          throw error
        },
      }),
    { is: error },
  )
  for (const options of [{ limit: -1 }, { limit: 'all' }, { filter: 5 }, { some: 1 }]) {
    t.throws(() => queue.dead.purge(options as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
  t.is(queue.dead.length, 1)
  t.is(queue.dead.purge({ limit: 0 }), 0)
  t.is(queue.dead.purge(), 1)
  queue.close()
  t.throws(() => queue.dead.peek(), { code: 'ERR_MILLRACE_CLOSED' })
})
