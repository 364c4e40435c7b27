// The types of topics as a user's compiler sees them.
import { expectAssignable, expectError, expectNotAssignable, expectType } from 'tsd'
import { select, type Iteration } from 'millrace'
import { f64, struct, u32 } from 'millrace/struct'
import type { Settling } from 'millrace/work'
import {
  json,
  topics,
  Topics,
  type Codec,
  type GivenHeaders,
  type GroupSubscription,
  type Headers,
  type MessageOptions,
  type Policy,
  type PublishOptions,
  type SubscribeOptions,
  type Subscription,
  type TopicJob,
  type TopicLoan,
  type TopicMessage,
  type TopicsOptions,
  type TopicsStats,
  type TypedMessage,
  type TypedSubscription,
  type TypedTopics,
} from 'millrace/topics'

const { signal } = new AbortController()

// Opening.
const bus = Topics.open('shm://plant', {
  messages: 64,
  bytes: 0,
  subjects: 10,
  subscriptions: 4,
  seats: 2,
  memory: { lock: true },
  mode: 0o660,
  poll: 0,
})
expectType<Topics>(bus)
expectType<boolean>(Topics.unlink('plant'))
expectAssignable<TopicsOptions>({ messages: undefined })
expectError(Topics.open())
expectError(Topics.open('plant', { messages: '64' }))
expectError(Topics.open('plant', { depth: 4 }))

// Publishing bytes.
expectType<Promise<number>>(bus.publish('a', 'text'))
expectType<Promise<number>>(
  bus.publish('a', Buffer.of(1), { headers: { a: 'b' }, signal, timeout: 1 }),
)
expectType<number | undefined>(bus.tryPublish('a', new ArrayBuffer(1), { headers: [['a', 'b']] }))
expectType<number>(bus.publishSync('a', new Float64Array(1), { timeout: 1, spin: 0 }))
expectType<Promise<number>>(
  bus.publishBatch('a', ['x', Buffer.of(1)], { signal, headers: new Map() }),
)
expectAssignable<GivenHeaders>({ traceparent: undefined })
expectAssignable<PublishOptions>({ timeout: undefined, signal: undefined, headers: undefined })
expectNotAssignable<MessageOptions>({ headers: { a: 5 } })
expectError(bus.publish('a', 5))
expectError(bus.publish('a'))
expectError(bus.publish(['a'], 'text'))
expectError(bus.publish('a', 'text', { retain: true }))
// What never waits has no time and no signal; what blocks its thread has no signal.
expectError(bus.tryPublish('a', 'text', { timeout: 1 }))
expectError(bus.publishSync('a', 'text', { signal }))
expectError(bus.publishBatch('a', 'text'))

// Loans.
expectType<TopicLoan | undefined>(bus.tryLoan('a', 10, { headers: {} }))
expectType<Promise<TopicLoan>>(bus.loan('a', 10, { timeout: 1, signal }))
declare const loan: TopicLoan
expectAssignable<Uint8Array<ArrayBuffer>>(loan.bytes)
expectType<Promise<number>>(loan.publish(5, { timeout: 1 }))
expectType<number | undefined>(loan.tryPublish())
expectType<Promise<number>>(loan.fillFrom(0, { signal }))
expectType<void>(loan.cancel())
expectAssignable<Disposable>(loan)
expectError(bus.loan('a'))

// Subscribing: by a filter or several, and by a group, whose messages are jobs.
expectType<Promise<Subscription>>(bus.subscribe('line1.*'))
expectType<Promise<Subscription>>(
  bus.subscribe(['line1.*', 'orders.>'], {
    policy: 'overwrite-oldest',
    replay: 'last',
    depth: 8,
    signal,
  }),
)
expectType<Promise<Subscription>>(bus.subscribe('a', { replay: 5 }))
expectType<Promise<GroupSubscription>>(
  bus.subscribe('a', { queue: 'workers', policy: 'wait', replay: 5, depth: 8, signal }),
)
expectAssignable<SubscribeOptions>({ policy: undefined, replay: undefined, depth: undefined })
expectAssignable<Policy>('wait')
expectError(bus.subscribe())
expectError(bus.subscribe(/a/))
expectError(bus.subscribe('a', { policy: 'drop' }))
expectError(bus.subscribe('a', { replay: 'first' }))
expectError(bus.subscribe('a', { replay: true }))
expectError(bus.subscribe('a', { depth: '8' }))
expectError(bus.subscribe('a', { timeout: '5' }))
expectError(bus.subscribe('a', { queue: 5 }))
expectError(bus.subscribe('a', { queue: 'workers', replay: 'last' }))

declare const subscription: Subscription
expectType<readonly string[]>(subscription.filters)
expectType<Policy>(subscription.policy)
expectType<number>(subscription.depth)
expectType<number>(subscription.missed)
expectType<boolean>(subscription.closed)
expectType<Promise<TopicMessage>>(subscription.receive({ signal, timeout: 1 }))
expectType<TopicMessage | undefined>(subscription.tryReceive())
expectType<TopicMessage>(subscription.receiveSync({ timeout: 1, spin: 0 }))
expectType<Promise<TopicMessage[]>>(subscription.receiveBatch(64, { signal }))
expectType<Iteration<TopicMessage>>(subscription.messages({ signal }))
expectType<Subscription>(subscription.ref().unref())
expectType<void>(subscription.close())
expectAssignable<AsyncIterable<TopicMessage>>(subscription)
expectAssignable<Disposable>(subscription)
expectNotAssignable<AsyncDisposable>(subscription)
expectError(subscription.receiveBatch())
expectError(subscription.receiveSync({ signal }))
expectError(subscription.messages({ timeout: 1 }))
expectError((subscription.missed = 0))

for await (const message of subscription) expectType<TopicMessage>(message)
for await (using message of subscription) {
  expectType<string>(message.subject)
  expectType<number>(message.index)
  expectType<number>(message.length)
  expectType<number>(message.missed)
  expectType<number>(message.publishedAt)
  expectType<Headers>(message.headers)
  expectType<string | undefined>(message.headers['traceparent'])
  expectAssignable<Uint8Array<ArrayBuffer>>(message.bytes)
  expectAssignable<Buffer>(message.copy())
  expectType<string>(message.text())
  expectType<boolean>(message.released)
  expectType<void>(message.release())
  expectError((message.index = 0))
  expectError((message.headers['a'] = 'b'))
  // It is no Buffer: what only those have must not be taken for there.
  expectError(message.bytes.readUInt8(0))
}
{
  using open = Topics.open('plant')
  using one = await open.subscribe('a')
  await using all = one.messages()
  expectType<IteratorResult<TopicMessage, undefined>>(await all.next())
}

declare const group: GroupSubscription
for await (using job of group) {
  expectType<TopicJob>(job)
  expectType<string>(job.subject)
  expectType<string>(job.text())
  expectType<Headers>(job.headers)
  expectType<Settling>(job.complete())
}
expectType<Promise<TopicJob>>(group.receive({ timeout: 1 }))
expectType<TopicJob | undefined>(group.tryReceive())
expectAssignable<Disposable>(group)
// A job is for one member: it is settled by that, not taken with others.
expectError(group.receiveBatch(5))

expectType<TopicsStats>(bus.stats())
expectType<number>(bus.stats().published)
expectType<Topics>(bus.ref().unref())
expectAssignable<Disposable>(bus)

// Values: by structs, codecs, and names of codecs.
const Temp = struct({ celsius: f64, sensor: u32 })
interface Temperature {
  celsius: number
  sensor: number
}
interface Order {
  item: string
}
declare const orders: Codec<Order>
const plant = topics(bus, {
  subjects: { 'line1.temp': Temp, 'line2.*.temp': Temp, 'orders.>': orders, raw: 'bytes' },
})
expectType<Topics>(plant.bus)
expectType<Promise<number>>(plant.publish('line1.temp', { celsius: 1, sensor: 2 }, { signal }))
expectType<number | undefined>(plant.tryPublish('line2.hall.temp', { celsius: 1, sensor: 2 }))
expectType<number>(plant.publishSync('orders.eu.north', { item: 'bolt' }, { timeout: 1 }))
expectType<Promise<number>>(plant.publish('raw', 'text'))
expectError(plant.publish('line1.temp', { celsius: 'warm', sensor: 2 }))
expectError(plant.publish('line1.temp', { celsius: 1 }))
expectError(plant.tryPublish('line1.temp', 'text'))
expectError(plant.publishSync('orders.eu', { celsius: 1, sensor: 2 }))
expectError(plant.publish('raw', { item: 'bolt' }))
// A subject that nothing is said of has no values.
expectError(plant.publish('line3.temp', { celsius: 1, sensor: 2 }))
expectError(plant.tryPublish('line1.temp', { celsius: 1, sensor: 2 }, { timeout: 1 }))

const temps = await plant.subscribe('line1.temp', { policy: 'overwrite-oldest', replay: 'last' })
expectType<TypedSubscription<Temperature>>(temps)
expectType<TypedMessage<Temperature>>(await temps.receive({ timeout: 1, signal }))
expectType<TypedMessage<Temperature> | undefined>(temps.tryReceive())
expectType<TypedMessage<Temperature>>(temps.receiveSync({ timeout: 1 }))
expectType<Iteration<TypedMessage<Temperature>>>(temps.messages({ signal }))
expectAssignable<Disposable>(temps)
for await (const { value, subject, index, missed, publishedAt, headers } of temps) {
  expectType<Temperature>(value)
  expectType<string>(subject)
  expectType<number>(index)
  expectType<number>(missed)
  expectType<number>(publishedAt)
  expectType<Readonly<Record<string, string>>>(headers)
}
// Wildcards: of what is subscribed to, and of what is known.
expectType<TypedSubscription<Temperature>>(await plant.subscribe('*.temp'))
expectType<TypedSubscription<Temperature>>(await plant.subscribe('line2.hall.temp'))
expectType<TypedSubscription<Temperature>>(await plant.subscribe('line2.>'))
expectType<TypedSubscription<Order>>(await plant.subscribe('orders.*'))
expectType<TypedSubscription<Temperature | Order>>(await plant.subscribe(['line1.*', 'orders.>']))
expectType<TypedSubscription<Temperature | Order | Buffer>>(await plant.subscribe('>'))
// Jobs are no values.
expectError(plant.subscribe('line1.temp', { queue: 'workers' }))
expectError(plant.subscribe('line1.temp', { policy: 'drop' }))

// By types alone, with one codec for all.
const shop = topics<{ 'orders.>': Order; 'line1.temp': typeof Temp; closed: boolean }>(bus, {
  codec: json,
})
expectType<TypedTopics<{ 'orders.>': Order; 'line1.temp': typeof Temp; closed: boolean }>>(shop)
expectType<Promise<number>>(shop.publish('orders.eu', { item: 'bolt' }))
expectType<Promise<number>>(shop.publish('closed', true))
expectType<Promise<number>>(shop.publish('line1.temp', { celsius: 1, sensor: 2 }))
expectType<TypedSubscription<boolean>>(await shop.subscribe('closed'))
expectType<TypedSubscription<Temperature>>(await shop.subscribe('line1.temp'))
expectError(shop.publish('closed', 'true'))
expectError(shop.publish('orders.eu', { item: 5 }))
expectError(topics(bus))
expectError(topics(bus, { codec: 'xml' }))
expectError(topics(bus, { codec: { encode: String, decode: String } }))

// Several are waited for by `select`, which says which one it was.
const selected = await select([subscription, temps])
if (selected.source === temps) expectType<TypedSubscription<Temperature>>(selected.source)
