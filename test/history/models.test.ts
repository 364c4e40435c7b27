// Each model accepts what its primitive does, and catches the ways in which one could be broken.

import test from 'ava'

import { linearizable, type Model } from '../support/history/linearizable.js'
import {
  autoEventModel,
  cellModel,
  counterModel,
  manualEventModel,
  mutexModel,
  queueModel,
  rwLockModel,
  semaphoreModel,
} from '../support/history/models.js'
import type { Operation } from '../support/history/operation.js'

/** One call after the other, `'process name input' -> output`; an input is read as JSON, bigints end in n. */
type Call = readonly [call: string, output?: unknown]

function inTurn(calls: readonly Call[]): Operation[] {
  return calls.map(([call, output], i) => {
    const [process = '', name = '', input] = call.split(' ')
    return {
      process,
      name,
      input: input?.endsWith('n') === true ? BigInt(input.slice(0, -1)) : input,
      output,
      start: BigInt(2 * i),
      end: BigInt(2 * i + 1),
    }
  })
}

/** The last call was cut off and the rest came after it. */
function cutOff(call: string, after: readonly Call[]): Operation[] {
  const [first, ...rest] = inTurn([[call], ...after])
  return [{ ...first!, end: undefined }, ...rest]
}

function accepts<State>(title: string, model: Model<State>, calls: readonly Call[]): void {
  test(`${title}: accepted`, (t) => {
    const verdict = linearizable(inTurn(calls), model)
    t.true(verdict.ok, verdict.ok ? '' : verdict.explanation)
  })
}

/** What came before the last call is fine. */
function refuses<State>(title: string, model: Model<State>, calls: readonly Call[]): void {
  test(`${title}: caught`, (t) => {
    t.true(linearizable(inTurn(calls.slice(0, -1)), model).ok)
    t.false(linearizable(inTurn(calls), model).ok)
  })
}

const counter = counterModel(5n)
accepts('counter: every call', counter, [
  ['a get', 5n],
  ['b add 2n', 7n],
  ['a exchange 1n', 7n],
  ['a set 9223372036854775807n'],
  ['b add 1n', -9223372036854775808n],
])
refuses('counter: a lost step', counter, [
  ['a add 1n', 6n],
  ['b add 1n', 6n],
])
refuses('counter: a lost set', counter, [['a set 1n'], ['b get', 5n]])
test('counter: compareExchange that replaced although the value was another: caught', (t) => {
  const [swap, get] = inTurn([
    ['a compareExchange', 5n],
    ['a get', 9n],
  ])
  const both = (expected: bigint) => [{ ...swap!, input: [expected, 9n] }, get!]
  t.true(linearizable(both(5n), counter).ok)
  t.false(linearizable(both(4n), counter).ok)
})

accepts('mutex: taken, refused, abandoned, mended', mutexModel, [
  ['a lock', 'held'],
  ['b tryLock', 'refused'],
  ['b lock', 'timeout'],
  ['a release'],
  ['b tryLock', 'held'],
  ['b die'],
  ['a lock', 'abandoned'],
  ['a abandon'],
  ['c lock', 'abandoned'],
  ['c release'],
  ['a lock', 'held'],
])
refuses('mutex: two inside', mutexModel, [
  ['a lock', 'held'],
  ['b lock', 'held'],
])
refuses('mutex: refused although it is free', mutexModel, [
  ['a lock', 'held'],
  ['a release'],
  ['b tryLock', 'refused'],
])
refuses('mutex: a death inside that nobody is told of', mutexModel, [
  ['a lock', 'held'],
  ['a die'],
  ['b lock', 'held'],
])
refuses('mutex: told of a death outside', mutexModel, [
  ['a lock', 'held'],
  ['a release'],
  ['a die'],
  ['b lock', 'abandoned'],
])
refuses('mutex: wedged by a death', mutexModel, [
  ['a lock', 'held'],
  ['a die'],
  ['b tryLock', 'refused'],
])
test('mutex: killed in the middle of locking, it may have had it, but not for ever', (t) => {
  const after = (...calls: Call[]) => linearizable(cutOff('a lock', calls), mutexModel).ok
  t.true(after(['b tryLock', 'refused'], ['a die'], ['b lock', 'abandoned']))
  t.true(after(['b tryLock', 'refused'], ['a die'], ['b lock', 'held']))
  t.true(after(['a die'], ['b lock', 'held']))
  t.false(after(['a die'], ['b tryLock', 'refused']))
  t.false(after(['b lock', 'abandoned'], ['a die']))
})
test('mutex: killed in the middle of releasing, it is abandoned or not, but nobody else is inside', (t) => {
  const releasing: Operation = { process: 'a', name: 'release', start: 2n, end: undefined }
  const after = (...calls: Call[]) => {
    const [lock, , ...rest] = inTurn([['a lock', 'held'], ['a release'], ...calls])
    return linearizable([lock!, releasing, ...rest], mutexModel).ok
  }
  t.true(after(['a die'], ['b lock', 'abandoned']))
  t.true(after(['a die'], ['b lock', 'held']))
  t.false(after(['a die'], ['b lock', 'held'], ['c lock', 'held']))
})

accepts('rwlock: readers together, a writer alone', rwLockModel, [
  ['a readLock', 'held'],
  ['b readLock', 'held'],
  ['c tryWriteLock', 'refused'],
  ['c tryReadLock', 'refused'],
  ['a release'],
  ['b die'],
  ['c writeLock', 'held'],
  ['c die'],
  ['a readLock', 'abandoned'],
  ['a release'],
  ['a writeLock', 'abandoned'],
  ['a release'],
  ['b2 tryReadLock', 'held'],
])
refuses('rwlock: a writer beside a reader', rwLockModel, [
  ['a readLock', 'held'],
  ['b writeLock', 'held'],
])
refuses('rwlock: a reader beside a writer', rwLockModel, [
  ['a writeLock', 'held'],
  ['b readLock', 'held'],
])
refuses('rwlock: two writers', rwLockModel, [
  ['a writeLock', 'held'],
  ['b writeLock', 'held'],
])
refuses('rwlock: the death of a reader is no abandonment', rwLockModel, [
  ['a readLock', 'held'],
  ['a die'],
  ['b writeLock', 'abandoned'],
])
refuses('rwlock: a reader that died is still waited for', rwLockModel, [
  ['a readLock', 'held'],
  ['a die'],
  ['b tryWriteLock', 'refused'],
])

const semaphore = semaphoreModel(1)
accepts('semaphore: taken and posted', semaphore, [
  ['a wait', true],
  ['b tryWait', false],
  ['b wait', 'timeout'],
  ['a post'],
  ['b tryWait', true],
])
refuses('semaphore: one permit taken twice', semaphore, [
  ['a wait', true],
  ['b tryWait', true],
])
refuses('semaphore: a post that is lost', semaphore, [
  ['a wait', true],
  ['a post'],
  ['b tryWait', false],
])
test('semaphore: killed while it waited, a permit is lost or not, but never two', (t) => {
  const after = (...calls: Call[]) => linearizable(cutOff('a wait', calls), semaphore).ok
  t.true(after(['b tryWait', false]))
  t.true(after(['b tryWait', true]))
  t.false(after(['b post'], ['b tryWait', false]))
})

accepts('cell: the newest value', cellModel, [
  ['r read', undefined],
  ['w write x', 1],
  ['r read', { version: 1, value: 'x' }],
  ['w write y', 2],
  ['r read', { version: 2, value: 'y' }],
])
refuses('cell: an older value', cellModel, [
  ['w write x', 1],
  ['w write y', 2],
  ['r read', { version: 1, value: 'x' }],
])
refuses('cell: a torn value', cellModel, [
  ['w write xx', 1],
  ['w write yy', 2],
  ['r read', { version: 2, value: 'xy' }],
])
refuses('cell: back to the one before', cellModel, [
  ['w write x', 1],
  ['w write y', 2],
  ['r read', { version: 2, value: 'y' }],
  ['r read', { version: 1, value: 'x' }],
])
test('cell: killed while it wrote, the value is there or not, for all and for good', (t) => {
  const after = (...calls: Call[]) => linearizable(cutOff('w write x', calls), cellModel).ok
  const x = { version: 1, value: 'x' }
  t.true(after(['r read', undefined], ['w2 write y', 1]))
  t.true(after(['r read', x], ['w2 write y', 2]))
  t.true(after(['r read', undefined], ['r read', x]))
  t.false(after(['r read', x], ['s read', undefined]))
  t.false(after(['r read', x], ['w2 write y', 1]))
})

accepts('manual event: passes until it is reset', manualEventModel, [
  ['a wait', 'timeout'],
  ['b set'],
  ['a wait', true],
  ['c tryWait', true],
  ['b reset'],
  ['a isSet', false],
])
refuses('manual event: passes without a signal', manualEventModel, [['a wait', true]])
refuses('manual event: a lost signal', manualEventModel, [['a set'], ['b tryWait', false]])
refuses('manual event: passes after a reset', manualEventModel, [
  ['a set'],
  ['a reset'],
  ['b wait', true],
])

accepts('auto event: one signal, one pass; bursts may coalesce or not', autoEventModel, [
  ['a set'],
  ['b tryWait', true],
  ['b tryWait', false],
  ['a set'],
  ['a set'],
  ['b wait', true],
  ['b isSet', false],
  ['a set'],
  ['a set'],
  ['b wait', true],
  ['b wait', true],
])
refuses('auto event: one signal lets two pass', autoEventModel, [
  ['a set'],
  ['b wait', true],
  ['c wait', true],
])
refuses('auto event: a lost signal', autoEventModel, [['a set'], ['b tryWait', false]])

accepts('queue: in order, empty, full', queueModel, [
  ['p push 1'],
  ['p tryPush 2', true],
  ['p tryPush 3', false],
  ['c pop', '1'],
  ['c tryPop', '2'],
  ['c tryPop', undefined],
])
refuses('queue: out of order', queueModel, [['p push 1'], ['p push 2'], ['c pop', '2']])
refuses('queue: a message twice', queueModel, [['p push 1'], ['c pop', '1'], ['c pop', '1']])
refuses('queue: a lost message', queueModel, [['p push 1'], ['c tryPop', undefined]])
refuses('queue: what was refused arrives', queueModel, [
  ['p tryPush 1', false],
  ['c pop', '1'],
])
test('queue: killed while it pushed, the message is there once or never', (t) => {
  const after = (...calls: Call[]) => linearizable(cutOff('p push 1', calls), queueModel).ok
  t.true(after(['c pop', '1'], ['c pop', undefined]))
  t.true(after(['q push 2'], ['c pop', '2'], ['c pop', undefined]))
  t.false(after(['c pop', '1'], ['c pop', '1']))
})

test('a call that a model does not know is an error of the test', (t) => {
  t.throws(() => linearizable(inTurn([['a steal']]), queueModel), { message: /has no 'steal'/ })
})
