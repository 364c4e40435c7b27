// Options are judged before anything is done, and a drain is nobody else's business.

import test from 'ava'
import { SpscQueue, type WaitOptions } from 'millrace'
import { uniqueName } from '../support/names.js'

const wrong: readonly (readonly [string, unknown, string])[] = [
  ['an aborted signal', { signal: AbortSignal.abort() }, 'ERR_MILLRACE_ABORTED'],
  ['a negative timeout', { timeout: -1 }, 'ERR_MILLRACE_INVALID_ARGUMENT'],
  ['NaN', { timeout: NaN }, 'ERR_MILLRACE_INVALID_ARGUMENT'],
  ['a text', { timeout: '5' }, 'ERR_MILLRACE_INVALID_ARGUMENT'],
  ['a signal that is none', { signal: {} }, 'ERR_MILLRACE_INVALID_ARGUMENT'],
  ['an unknown name', { timeOut: 5 }, 'ERR_MILLRACE_INVALID_ARGUMENT'],
  ['a number in its place', 50, 'ERR_MILLRACE_INVALID_ARGUMENT'],
  ['null', null, 'ERR_MILLRACE_INVALID_ARGUMENT'],
]

for (const [title, options, code] of wrong) {
  test(`${title}: nothing is sent, nothing is taken`, async (t) => {
    const name = uniqueName(t)
    using producer = SpscQueue.producer(name)
    using consumer = SpscQueue.consumer(name)
    const given = options as WaitOptions
    await t.throwsAsync(producer.push('x', given), { code })
    await t.throwsAsync(producer.pushBatch(['x'], given), { code })
    await t.throwsAsync(producer.reserveWhenFree(8, given), { code })
    await t.throwsAsync(producer.waitForPeer(given), { code })
    await t.throwsAsync(producer.end(given), { code })
    t.false(producer.closed)
    t.is(consumer.nextLength, -1)
    t.true(producer.tryPush('there'))
    await t.throwsAsync(consumer.pop(given), { code })
    await t.throwsAsync(consumer.readable(given), { code })
    if (code === 'ERR_MILLRACE_INVALID_ARGUMENT') {
      t.throws(() => consumer.popSync(given), { code })
      t.throws(
        () => {
          producer.pushSync('x', given)
        },
        { code },
      )
    }
    t.is(consumer.tryPop()?.toString(), 'there')
    t.is(consumer.tryPop(), undefined)
  })
}

test('a pop that is aborted inside a drain does not fail the one behind it', async (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name)
  using consumer = SpscQueue.consumer(name)
  const abort = new AbortController()
  const first = consumer.pop({ signal: abort.signal })
  const second = consumer.pop()
  producer.tryPush('x')
  producer.tryPush('y')
  const taken: string[] = []
  consumer.drain((message) => {
    taken.push(Buffer.from(message).toString())
    abort.abort()
    return false
  })
  await t.throwsAsync(first, { code: 'ERR_MILLRACE_ABORTED' })
  t.is((await second)?.toString(), 'y')
  t.deepEqual(taken, ['x'])
})
