// What programs do that nobody should: every wrong option, subject and filter is refused by name before anything is done.

import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import {
  Topics,
  type SubscribeOptions,
  type Subscription,
  type TopicsOptions,
} from 'millrace/topics'

import { cut } from '../support/cut.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { warningsOf } from '../work/open.js'
import { messages, open, subscribed, texts } from './open.js'

const invalid = 'ERR_MILLRACE_INVALID_ARGUMENT'

/** Characters that look alike make different titles. */
const escape = (text: unknown): string =>
  inspect(text).replaceAll(/[^ -~]/g, (one) => `\\u${one.codePointAt(0)!.toString(16)}`)

const badSubjects: readonly (readonly [unknown, RegExp])[] = [
  ['', /none of them is empty/],
  ['.', /none of them is empty/],
  ['a..b', /none of them is empty/],
  ['.a', /none of them is empty/],
  ['a.', /none of them is empty/],
  ['a b', /spaces/],
  ['a\n', /spaces/],
  ['a\u00a0b', /spaces/],
  ['a\0', /printed/],
  ['\ud800', /printed/],
  ['*', /belong to filters/],
  ['a.>', /belong to filters/],
  ['a*b', /belong to filters/],
  ['é'.repeat(128), /255 bytes/],
  [undefined, /must be text/],
  [7, /must be text/],
  [null, /must be text/],
  [['a'], /must be text/],
]
for (const [subject, message] of badSubjects) {
  test(`${escape(subject)} is no subject`, async (t) => {
    const bus = open(t, uniqueName(t))
    const of = subject as string
    const refused = { code: invalid, message }
    await t.throwsAsync(bus.publish(of, 'x'), refused)
    await t.throwsAsync(bus.publish(of, Buffer.from('x')), refused)
    await t.throwsAsync(bus.publish(of, 'x', { timeout: 5 }), refused)
    await t.throwsAsync(bus.publishBatch(of, ['x']), refused)
    await t.throwsAsync(bus.loan(of, 5), refused)
    t.throws(() => bus.tryPublish(of, 'x'), refused)
    t.throws(() => bus.publishSync(of, 'x'), refused)
    t.throws(() => bus.tryLoan(of, 5), refused)
    t.is(bus.stats().subjects, 0)
  })
}

test('what reads like a subject that was published to is none, either', async (t) => {
  const bus = open(t, uniqueName(t))
  await bus.publish('7', 'x')
  for (const alike of [7, ['7'], { toString: () => '7' }, new String('7')]) {
    const of = alike as string
    const refused = { code: invalid, message: /must be text/ }
    await t.throwsAsync(bus.publish(of, Buffer.from('x')), refused)
    t.throws(() => bus.tryPublish(of, 'x'), refused)
  }
  t.is(bus.stats().published, 1)
})

test('names of what all objects have are subjects like others', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t))
  const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '0']
  for (const round of ['first', 'again']) {
    for (const name of names) t.is(bus.tryPublish(name, round), 1)
  }
  const found = messages(subscription).map(({ subject }) => subject)
  t.deepEqual(found, [...names, ...names])
  t.is(bus.stats().subjects, names.length)
})

const badFilters: readonly (readonly [unknown, RegExp])[] = [
  ['', /none of them is empty/],
  ['a..b', /none of them is empty/],
  ['>.a', /> is the last one/],
  ['a.>.b', /> is the last one/],
  ['a*', /\* is a whole token/],
  ['a.b>', /\* is a whole token/],
  ['**', /\* is a whole token/],
  ['a b', /spaces/],
  [['a', 'b c'], /spaces/],
  [[], /1 to 16 filters/],
  [Array.from({ length: 17 }, (_, i) => String(i)), /1 to 16 filters/],
  [Array.from({ length: 16 }, () => 'x'.repeat(100)), /1024 bytes/],
  [undefined, /must be text/],
  [[7], /must be text/],
]
for (const [filter, message] of badFilters) {
  test(`${escape(filter)} is no filter`, async (t) => {
    const bus = open(t, uniqueName(t))
    await t.throwsAsync(bus.subscribe(filter as string), { code: invalid, message })
    t.is(bus.stats().subscriptions, 0)
  })
}

const badOpenings: readonly (readonly [object, RegExp])[] = [
  [{ messages: 0 }, /messages must be/],
  [{ messages: 1.5 }, /messages must be/],
  [{ messages: 2 ** 20 }, /messages must be/],
  [{ bytes: -1 }, /bytes must be/],
  [{ bytes: '1' }, /bytes must be/],
  [{ subjects: 0 }, /subjects must be/],
  [{ subjects: 65_537 }, /subjects must be/],
  [{ subscriptions: 0 }, /subscriptions must be/],
  [{ subscriptions: 513 }, /subscriptions must be/],
  [{ seats: 0 }, /seats must be/],
  [{ seats: 513 }, /seats must be/],
  [{ keep: true }, /no option 'keep'/],
  [{ poll: -1 }, /poll must be/],
  [{ mode: 'x' }, /mode must be/],
  [{ memory: 7 }, /options must be an object/],
  [{ size: 7 }, /no option 'size'/],
  [7 as unknown as object, /options must be an object/],
]
for (const [options, message] of badOpenings) {
  test(`a bus cannot be opened with ${JSON.stringify(options)}`, (t) => {
    const name = uniqueName(t)
    t.throws(() => Topics.open(name, options as TopicsOptions), { code: invalid, message })
  })
}

const badSubscriptions: readonly (readonly [object, RegExp])[] = [
  [{ policy: 'drop' }, /policy must be one of wait, overwrite-oldest/],
  [{ replay: 'first' }, /replay must be/],
  [{ replay: -1 }, /replay must be/],
  [{ replay: 1.5 }, /replay must be/],
  [{ replay: 1025 }, /replay must be .* 1024/],
  [{ depth: 0 }, /depth must be/],
  [{ depth: 1025 }, /depth must be/],
  [{ signal: {} }, /signal must be/],
  [{ queue: '' }, /queue must be/],
  [{ queue: 7 }, /queue must be/],
  [{ queue: 'x'.repeat(64) }, /queue must be/],
  [
    { queue: 'q', replay: 'last' },
    /replay must be a whole number .* a queue group cannot begin with/,
  ],
  [{ queue: 'q', replay: 1025 }, /replay must be .* 1024/],
  [{ timeout: -7 }, /timeout must be/],
]
for (const [options, message] of badSubscriptions) {
  test(`nobody subscribes with ${JSON.stringify(options)}`, async (t) => {
    const bus = open(t, uniqueName(t))
    await t.throwsAsync(bus.subscribe('a', options as SubscribeOptions), { code: invalid, message })
    t.is(bus.stats().subscriptions, 0)
  })
}

const badMessages: readonly (readonly [object, RegExp])[] = [
  [{ headers: 'a' }, /headers must be an object/],
  [{ headers: ['a'] }, /headers must be an object .* is no pair/],
  [{ headers: [['a', 7]] }, /headers\.a must be text/],
  [{ headers: [['a']] }, /is no pair of a name and a text/],
  [{ headers: new Set(['ab']) }, /is no pair of a name and a text/],
  [{ headers: [['a', '1'], ['a', '2']] }, /there are two of "a"/], // prettier-ignore
  [{ headers: new WeakMap() }, /headers must be an object/],
  [{ headers: new Date(5) }, /headers must be an object/],
  [{ headers: Promise.resolve({ a: 'b' }) }, /headers must be an object/],
  [{ headers: null }, /headers must be an object/],
  [{ headers: { a: 7 } }, /headers\.a must be text/],
  [{ headers: { '': 'a' } }, /the name of a header/],
  [{ headers: { ['x'.repeat(256)]: 'a' } }, /the name of a header/],
  [{ headers: { a: 'x'.repeat(1021) } }, /1024 bytes/],
  [{ header: {} }, /no option 'header'/],
  [7 as unknown as object, /options must be an object/],
]
for (const [options, message] of badMessages) {
  test(`nothing is published with ${escape(options).slice(0, 60)}`, async (t) => {
    const { bus, subscription } = await subscribed(t, uniqueName(t))
    const refused = { code: invalid, message }
    await t.throwsAsync(bus.publish('a', 'x', options), refused)
    await t.throwsAsync(bus.publishBatch('a', ['x'], options), refused)
    await t.throwsAsync(bus.loan('a', 1, options), refused)
    t.throws(() => bus.tryPublish('a', 'x', options), refused)
    t.throws(() => bus.publishSync('a', 'x', options), refused)
    t.throws(() => bus.tryLoan('a', 1, options), refused)
    t.deepEqual(texts(subscription), [])
  })
}

test('an argument that was left out is refused at once', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t))
  const nothing = undefined as unknown as never
  const calls: readonly (() => unknown)[] = [
    () => bus.publish('a', nothing),
    () => bus.tryPublish('a', nothing),
    () => bus.publishSync('a', nothing),
    () => bus.publishBatch('a', nothing),
    () => bus.loan('a', nothing),
    () => bus.tryLoan('a', nothing),
    () => subscription.receiveBatch(nothing),
    () => subscription.receiveBatch(0),
    () => subscription.receive(7 as unknown as object),
    () => subscription.receive({ timeout: -1 }),
    () => subscription.receiveSync({ spin: Infinity }),
    () => subscription.messages({ timeout: 1 } as object),
  ]
  for (const call of calls) {
    await t.throwsAsync(async () => await call(), { code: invalid }, call.toString())
  }
  t.deepEqual(texts(subscription), [])
})

test('a signal that is aborted already takes and publishes nothing', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t))
  const signal = AbortSignal.abort()
  const aborted = { code: 'ERR_MILLRACE_ABORTED' }
  await t.throwsAsync(bus.publish('a', 'x', { signal }), aborted)
  await t.throwsAsync(bus.publishBatch('a', ['x'], { signal }), aborted)
  await t.throwsAsync(bus.subscribe('a', { signal }), aborted)
  bus.tryPublish('a', 'there')
  await t.throwsAsync(subscription.receive({ signal }), aborted)
  t.deepEqual(texts(subscription), ['there'])
  t.is(bus.stats().subscriptions, 1)
})

test('a payload whose memory goes away while its publish waits is refused, not published empty', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t), '>', { bus: { messages: 8 } })
  const soon = { timeout: 15_000 }
  const publishes = [
    (bytes: Uint8Array) => bus.publish('a', bytes, soon),
    (bytes: Uint8Array) => bus.publishBatch('a', [bytes], soon),
  ]
  for (const publish of publishes) {
    let there = 0
    while (bus.tryPublish('a', 'there') !== undefined) there++
    const bytes = Buffer.from(new ArrayBuffer(8))
    const published = publish(bytes)
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
    const refused = t.throwsAsync(published, { code: invalid, message: /a payload is .* gone/ })
    t.is(texts(subscription).length, there)
    await refused
    t.deepEqual(texts(subscription), [])
  }
})

test('memory that was shortened ends the bus with an error, and no process', async (t) => {
  const corrupt = { code: 'ERR_MILLRACE_CORRUPT' }
  const shortened = async (act: (own: Topics, subscription: Subscription) => unknown) => {
    const name = uniqueName(t, { mayLeave: true })
    const bus = open(t, name)
    const own = open(t, name, { poll: 0, spin: 0 })
    const subscription = await own.subscribe('a')
    // Asleep, and nobody wakes it.
    const refused = t.throwsAsync(subscription.receive(), corrupt)
    await pause(20)
    cut(own.path, 4096)
    act(own, subscription)
    await refused
    t.true(own.closed)
    t.true(subscription.closed)
    t.throws(() => bus.stats(), corrupt)
  }
  await shortened(() => undefined)
  await shortened((own) => t.throws(() => own.stats(), corrupt))
  await shortened((_, subscription) => {
    subscription.close()
  })
})

test('loans and messages that the program lost give their memory back, with a warning', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const { bus, own, subscription } = await subscribed(t, uniqueName(t), '>', {
    bus: { messages: 8, bytes: 16_384 },
  })
  const loans = warningsOf(t, 'MILLRACE_LOAN_FORGOTTEN', bus)
  const forgotten = warningsOf(t, 'MILLRACE_MESSAGE_FORGOTTEN', own)
  ;(() => {
    bus.tryLoan('a', 8000)
  })()
  await until(() => {
    collect()
    return loans.length > 0
  })
  bus.tryPublish('a', Buffer.alloc(5000))
  ;(() => {
    subscription.tryReceive()
  })()
  await until(() => {
    collect()
    return forgotten.length > 0
  })
  t.is(bus.tryPublish('a', Buffer.alloc(bus.maxBytes)), 1, 'all of it is free')
})
