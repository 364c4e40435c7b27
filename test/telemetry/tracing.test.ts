// What tracing channels show of a program, what goes along with messages, and what spans and metrics are made of that.

import { subscribe, tracingChannel, unsubscribe } from 'node:diagnostics_channel'
import { join } from 'node:path'
import { MeterProvider, MetricReader } from '@opentelemetry/sdk-metrics'
import { context as contexts, trace } from '@opentelemetry/api'
import test, { type ExecutionContext } from 'ava'
import * as fc from 'fast-check'
import { SpscQueue } from 'millrace'
import { Gateway } from 'millrace/gateway'
import { listen, connect as connectTo } from 'millrace/net'
import { call, connect, contract, serve, stream } from 'millrace/rpc'
import {
  traceWith,
  type CallTrace,
  type ConnectTrace,
  type ProcessTrace,
  type ReceiveTrace,
  type SendTrace,
  type TraceOptions,
  type Tracing,
} from 'millrace/telemetry'
import { Topics } from 'millrace/topics'
import { WorkQueue, type Job } from 'millrace/work'

import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { open as openBus } from '../topics/open.js'
import { open } from '../work/open.js'
import { two } from '../work/pipelines.js'
import { activeSpan, during, Kind, Spans } from './spans.js'

const patience = 40_000
const other = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const calc = contract('calc', {
  add: call<readonly number[], number>(),
  fail: call(),
  ticks: stream<number, number>(),
})

// All that is subscribed to is there for the whole process: one test after the other.
const it = test.serial

const spans = new Spans()
test.after.always(() => spans.end())

function tracing(t: ExecutionContext, options?: TraceOptions): Tracing {
  spans.forget()
  const made = traceWith(options)
  t.teardown(() => {
    made.close()
  })
  return made
}

interface Shown<T> {
  readonly event: string
  readonly context: T
  /** As it was then. */
  readonly copy: T
}

/** The last job: what is done with it is done before its queue is closed. */
async function last(job: Job, queue: WorkQueue): Promise<void> {
  await job.complete()
  queue.close()
}

/** What a tracing channel shows until the test is over. */
function shown<T extends object>(t: ExecutionContext, point: string): Shown<T>[] {
  const seen: Shown<T>[] = []
  const channel = tracingChannel(`millrace:${point}`)
  const on = (event: string) => (context: unknown) => {
    seen.push({ event, context: context as T, copy: { ...(context as T) } })
  }
  const subscribers = {
    start: on('start'),
    end: on('end'),
    asyncStart: on('asyncStart'),
    asyncEnd: on('asyncEnd'),
    error: on('error'),
  }
  channel.subscribe(subscribers)
  t.teardown(() => {
    channel.unsubscribe(subscribers)
  })
  return seen
}

const ended = <T>(seen: readonly Shown<T>[]): T[] =>
  seen.filter(({ event }) => event === 'asyncEnd').map(({ copy }) => copy)

// What goes along

const digits = Array.from({ length: 16 }, (_, digit) => digit.toString(16))

const hex = (length: number) =>
  fc
    .array(fc.constantFrom(...digits), { minLength: length, maxLength: length })
    .map((some) => some.join(''))

it('whatever context is given, it is that, or refused', async (t) => {
  const queue = open(t, uniqueName(t))
  await fc.assert(
    fc.asyncProperty(hex(32), hex(16), hex(2), async (id, span, flags) => {
      const traceparent = `00-${id}-${span}-${flags}`
      if (/^0+$/.test(id) || /^0+$/.test(span)) {
        await t.throwsAsync(queue.push('x', { traceparent }))
        return
      }
      await queue.push('x', { traceparent })
      const job = await queue.takeOne()
      t.is(job.traceparent, traceparent)
      await job.complete()
    }),
    { numRuns: 50 },
  )
  // Of later versions what they share with this one.
  await queue.push('x', { traceparent: `01${other.slice(2)}-more` })
  const job = await queue.takeOne()
  t.is(job.traceparent, other)
  await job.complete()
})

it('a job has the context that it was pushed with, in its queue, in a batch, in a loan, and when it comes again', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const queue = open(t, name, { groups: 4, dedupWindow: 1000 })
  const facts = { traceparent: other, id: 'one', group: 'all', priority: 3 }
  await queue.push('x'.repeat(300), facts)
  const first = await queue.takeOne()
  t.is(first.traceparent, other)
  t.deepEqual([first.id, first.group, first.length], ['one', 'all', 300])
  await first.retry()
  const again = await queue.takeOne()
  t.deepEqual([again.attempt, again.traceparent], [2, other])
  await again.complete()
  t.true(queue.tryPush('small', { traceparent: other }))
  await queue.pushBatch(['b', 'c'], { traceparent: other })
  queue.pushSync('d', { traceparent: other })
  const loan = await queue.loan(100)
  loan.push({ traceparent: other })
  await queue.push('without')
  const jobs = await queue.takeBatch(10)
  t.deepEqual(
    jobs.map((job) => job.traceparent),
    [other, other, other, other, other, undefined],
  )
  for (const job of jobs) await job.complete()
})

it('what a job becomes belongs to the same trace, in another queue and in the next stage', async (t) => {
  const [from, to] = [open(t, uniqueName(t)), open(t, uniqueName(t))]
  await from.push('a', { traceparent: other })
  await (await from.takeOne()).complete({ to, bytes: 'b' })
  const forwarded = await to.takeOne()
  t.is(forwarded.traceparent, other)
  await forwarded.complete()
  const pipeline = two(t, uniqueName(t, { mayLeave: true }))
  await pipeline.push('a', { traceparent: other })
  const decoded = await pipeline.takeOne('decode')
  await decoded.become('y'.repeat(1000))
  const loaded = await pipeline.takeOne('load')
  t.deepEqual([loaded.traceparent, loaded.length], [other, 1000])
  await loaded.complete()
})

it('a context that is none is refused before anything is done', async (t) => {
  const queue = open(t, uniqueName(t))
  const zeros = `00-${'0'.repeat(32)}-${'1'.repeat(16)}-01`
  const wrong = ['', 'x', other.slice(1), `${other}-more`, `ff${other.slice(2)}`, zeros]
  for (const traceparent of [...wrong, other.toUpperCase(), 5 as never, null as never]) {
    const error = await t.throwsAsync(queue.push('x', { traceparent }))
    t.like(error, { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
    t.regex(error.message, /traceparent must be a context as W3C writes it/)
    t.throws(() => queue.tryPush('x', { traceparent }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
  t.is(queue.stats().ready, 0)
})

it('a context goes to a handler of a call, and with the calls that it makes', async (t) => {
  const name = uniqueName(t)
  const seen: (string | undefined)[] = []
  await using server = await serve(name, calc, {
    add: async (numbers, context) => {
      seen.push(context.traceparent)
      if (numbers.length === 3) await client.add([1], context)
      return numbers.length
    },
    fail: () => undefined,
    *ticks(count, context) {
      seen.push(context.traceparent)
      yield count
    },
  })
  t.is(server.name, name)
  using client = await connect(name, calc)
  await client.add([1, 2, 3], { traceparent: other })
  await client.add([1])
  // Longer than what lies with the call, and than what is copied.
  await client.add(Array<number>(100).fill(1), { traceparent: other })
  await client.add(Array<number>(4000).fill(1), { traceparent: other })
  for await (const one of client.ticks(5, { traceparent: other })) t.is(one, 5)
  for await (const one of client.ticks(6)) t.is(one, 6)
  t.deepEqual(seen, [other, other, undefined, other, other, other, undefined])
  await t.throwsAsync(client.add([1], { traceparent: 'x' }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
})

it('contexts go over connections, with jobs, messages, calls and streams', async (t) => {
  const folder = ownDirectory(t)
  const at = (what: string): string => `unix://${join(folder, what)}`
  const queue = open(t, uniqueName(t))
  await using _jobs = await queue.share(at('jobs'))
  using far = WorkQueue.open(at('jobs'))
  await far.push('there', { traceparent: other })
  const here = await queue.takeOne()
  t.is(here.traceparent, other)
  await here.release()
  const job = await within(patience, far.takeOne())
  t.is(job.traceparent, other)
  await job.complete()

  const bus = openBus(t, uniqueName(t))
  await using _messages = await bus.share(at('bus'))
  using farBus = Topics.open(at('bus'))
  using near = await bus.subscribe('a')
  using distant = await farBus.subscribe('a')
  await farBus.publish('a', 'x', { headers: { traceparent: other, more: 'yes' } })
  for (const subscription of [near, distant]) {
    using message = await within(patience, subscription.receive())
    t.deepEqual(message.headers, { traceparent: other, more: 'yes' })
  }

  const seen: (string | undefined)[] = []
  await using _server = await serve(at('calls'), calc, {
    add: (_numbers, context) => {
      seen.push(context.traceparent)
      return 0
    },
    fail: () => undefined,
    *ticks(count, context) {
      seen.push(context.traceparent)
      yield count
    },
  })
  using client = await connect(at('calls'), calc, { waitForServer: patience })
  await client.add([1], { traceparent: other })
  await client.add([1])
  await client.add(Array<number>(40_000).fill(1), { traceparent: other })
  for await (const one of client.ticks(1, { traceparent: other })) t.is(one, 1)
  t.deepEqual(seen, [other, undefined, other, other])
})

it('a gateway passes the context on, both ways', async (t) => {
  const ids = { dedupWindow: 600_000, dedupIds: 4096 }
  const remote = open(t, uniqueName(t, { mayLeave: true }), ids)
  const out = open(t, uniqueName(t))
  const back = open(t, uniqueName(t, { mayLeave: true }), ids)
  const address = `unix://${join(ownDirectory(t), 'socket')}`
  await using _share = await remote.share(address)
  const gateway = await Gateway.start({
    host: 'here',
    routes: [{ kind: 'work', name: 'out', from: out.name, to: address }],
  })
  t.teardown(async () => {
    gateway.close()
    await gateway.drain()
  })
  await out.push('x', { traceparent: other })
  const there = await within(patience, remote.takeOne())
  t.is(there.traceparent, other)
  await there.complete()
  gateway.close()
  await gateway.drain()
  const second = await Gateway.start({
    host: 'here',
    routes: [{ kind: 'work', name: 'back', from: address, to: back.name }],
  })
  t.teardown(async () => {
    second.close()
    await second.drain()
  })
  await remote.push('y', { traceparent: other })
  const home = await within(patience, back.takeOne())
  t.is(home.traceparent, other)
  await home.complete()
})

// What the channels show

it('with nobody looking on nothing is loaded for it, and nothing goes along', async (t) => {
  const queue = open(t, uniqueName(t))
  await queue.push('x')
  const job = await queue.takeOne()
  t.is(job.traceparent, undefined)
  await job.complete()
})

it('millrace:send and millrace:receive show jobs, and what is set at the start goes along', async (t) => {
  const sent = shown<SendTrace>(t, 'send')
  const received = shown<ReceiveTrace>(t, 'receive')
  const queue = open(t, uniqueName(t), { groups: 4 })
  const atStart = 'tracing:millrace:send:start'
  const put = (context: unknown): void => {
    ;(context as SendTrace).traceparent = other
  }
  subscribe(atStart, put)
  await queue.push('x'.repeat(7), { id: 'one', group: 'all' })
  unsubscribe(atStart, put)
  await queue.pushBatch(['ab', 'c'])
  const job = await queue.takeOne()
  t.is(job.traceparent, other)
  await job.complete()
  const jobs = await queue.takeBatch(5)
  for (const one of jobs) await one.complete()

  t.deepEqual(
    sent.map(({ event }) => event),
    ['start', 'end', 'asyncStart', 'asyncEnd', 'start', 'end', 'asyncStart', 'asyncEnd'],
  )
  const about = { kind: 'work', destination: queue.name, subject: undefined }
  t.deepEqual(ended(sent), [
    {
      ...{ operation: 'push', ...about, id: 'one', group: 'all', count: 1, bytes: 7 },
      ...{ traceparent: other, result: { duplicate: false } },
    },
    {
      ...{ operation: 'pushBatch', ...about, id: undefined, group: undefined, count: 2, bytes: 3 },
      ...{ traceparent: undefined, result: 2 },
    },
  ])
  t.deepEqual(
    ended(received).map(({ operation, messages }) => [operation, messages]),
    [
      ['take', [{ subject: undefined, id: 'one', bytes: 7, traceparent: other }]],
      [
        'takeBatch',
        [2, 1].map((bytes) => ({
          ...{ subject: undefined, id: undefined, bytes, traceparent: undefined },
        })),
      ],
    ],
  )
})

it('what fails is shown with its error, and all ends with asyncEnd', async (t) => {
  const sent = shown<SendTrace>(t, 'send')
  const received = shown<ReceiveTrace>(t, 'receive')
  const queue = open(t, uniqueName(t))
  const error = await t.throwsAsync(queue.push(new Uint8Array(queue.maxBytes + 1)))
  t.deepEqual(
    sent.map(({ event }) => event),
    ['start', 'end', 'error', 'asyncStart', 'asyncEnd'],
  )
  t.is(ended(sent)[0]!.error, error)
  await t.throwsAsync(queue.push('x', { priority: 99 }))
  t.like(ended(sent)[1]!.error, { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  await t.throwsAsync(queue.takeOne({ timeout: 1 }))
  t.like(ended(received)[0]!.error, { code: 'ERR_MILLRACE_TIMEOUT' })
  const pending = queue.takeOne()
  queue.close()
  await t.throwsAsync(pending, { code: 'ERR_MILLRACE_CLOSED' })
  t.like(ended(received)[1]!.error, { code: 'ERR_MILLRACE_CLOSED' })
})

it('millrace:process shows handlers, batches, and jobs in hand until they are settled', async (t) => {
  const seen = shown<ProcessTrace>(t, 'process')
  const queue = open(t, uniqueName(t))
  await queue.push('x', { traceparent: other })
  let attempts = 0
  const working = queue.work(async (job) => {
    attempts++
    if (attempts === 1) throw new Error('once more')
    if (attempts === 2) {
      await job.reject('never')
      return
    }
    queue.dead.purge()
    await last(job, queue)
  })
  await until(() => attempts === 2, patience)
  await queue.push('y')
  await working
  t.deepEqual(
    ended(seen).map(({ operation, attempt, settled, traceparent, error }) => [
      ...[operation, attempt, settled, traceparent, (error as Error | undefined)?.message],
    ]),
    [
      ['job', 1, 'retried', other, 'once more'],
      ['job', 2, 'rejected', other, undefined],
      ['job', 1, 'completed', undefined, undefined],
    ],
  )
  seen.length = 0
  const second = open(t, uniqueName(t))
  await second.pushBatch(['a', 'b', 'c'])
  const held = await second.takeBatch(3)
  t.is(ended(seen).length, 0)
  const [a, b, c] = held as [Job, Job, Job]
  await c.complete()
  await b.release()
  a[Symbol.dispose]()
  await until(() => ended(seen).length === 3)
  t.deepEqual(
    ended(seen).map(({ operation, settled, given }) => [
      operation,
      settled,
      held.indexOf(given as Job),
    ]),
    [
      ['held', 'completed', 2],
      ['held', 'released', 1],
      ['held', 'retried', 0],
    ],
  )
  for (const left of await second.takeBatch(3)) await left.complete()
})

it('millrace:send and millrace:receive show messages; what is set at the start is a header', async (t) => {
  const sent = shown<SendTrace>(t, 'send')
  const received = shown<ReceiveTrace>(t, 'receive')
  const bus = openBus(t, uniqueName(t))
  using subscription = await bus.subscribe('a.>')
  const atStart = 'tracing:millrace:send:start'
  const put = (context: unknown): void => {
    ;(context as SendTrace).traceparent = other
  }
  subscribe(atStart, put)
  t.is(await bus.publish('a.b', 'xyz', { headers: { more: 'yes', traceparent: 'old' } }), 1)
  t.is(await bus.publishBatch('a.c', ['p', 'q']), 2)
  unsubscribe(atStart, put)
  await bus.publish('a.d', 'without')
  const headers: object[] = []
  for await (const message of subscription) {
    headers.push(message.headers)
    message.release()
    if (headers.length === 4) break
  }
  t.deepEqual(headers, [
    { more: 'yes', traceparent: other },
    { traceparent: other },
    { traceparent: other },
    {},
  ])
  t.deepEqual(
    ended(sent).map(({ operation, kind, subject, count, bytes, traceparent }) => [
      ...[operation, kind, subject, count, bytes, traceparent],
    ]),
    [
      ['publish', 'topics', 'a.b', 1, 3, other],
      ['publishBatch', 'topics', 'a.c', 2, 2, other],
      ['publish', 'topics', 'a.d', 1, 7, undefined],
    ],
  )
  t.deepEqual(
    ended(received).map(({ operation, source, messages }) => [
      ...[operation, source, messages[0]?.subject, messages[0]?.traceparent],
    ]),
    [
      ['receive', 'a.>', 'a.b', other],
      ['receive', 'a.>', 'a.c', other],
      ['receive', 'a.>', 'a.c', other],
      ['receive', 'a.>', 'a.d', undefined],
    ],
  )
})

it('a group passes the context of its messages on with its jobs', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const bus = openBus(t, name)
  const group = await bus.subscribe('orders', { queue: 'billing' })
  t.teardown(() => {
    group.close()
    WorkQueue.unlink(`${name}.billing`)
  })
  await bus.publish('orders', 'x', { headers: { traceparent: other } })
  const received = shown<ReceiveTrace>(t, 'receive')
  const order = await within(patience, group.receive())
  t.is(order.headers['traceparent'], other)
  await order.complete()
  t.is(ended(received)[0]!.messages[0]!.traceparent, other)
})

it('millrace:call shows calls until their answer, and streams until their last item', async (t) => {
  const seen = shown<CallTrace>(t, 'call')
  const handled = shown<ProcessTrace>(t, 'process')
  const name = uniqueName(t)
  await using _server = await serve(name, calc, {
    add: ([a = 0, b = 0]) => a + b,
    fail: () => {
      throw new Error('as asked')
    },
    *ticks(count) {
      for (let i = 0; i < count; i++) yield i
    },
  })
  using client = await connect(name, calc)
  t.is(await client.add([1, 2]), 3)
  await t.throwsAsync(client.fail(), { message: 'as asked' })
  const items: number[] = []
  for await (const item of client.ticks(3)) items.push(item)
  for await (const item of client.ticks(3)) {
    items.push(item)
    break
  }
  t.deepEqual(items, [0, 1, 2, 0])
  await until(() => ended(seen).length === 4, patience)
  const about = { destination: name, contract: 'calc' }
  t.deepEqual(
    ended(seen).map(({ operation, destination, contract: of, method, error }) => [
      ...[operation, { destination, contract: of }, method],
      (error as Error | undefined)?.message,
    ]),
    [
      ['call', about, 'add', undefined],
      ['call', about, 'fail', 'as asked'],
      ['stream', about, 'ticks', undefined],
      ['stream', about, 'ticks', undefined],
    ],
  )
  await until(() => ended(handled).length === 4, patience)
  t.deepEqual(
    ended(handled).map(({ operation, kind, source }) => [operation, kind, source]),
    [
      ['call', 'calls', 'add'],
      ['call', 'calls', 'fail'],
      ['stream', 'calls', 'ticks'],
      ['stream', 'calls', 'ticks'],
    ],
  )
})

it('millrace:connect shows connections, and who listens', async (t) => {
  const seen = shown<ConnectTrace>(t, 'connect')
  const address = `unix://${join(ownDirectory(t), 'socket')}`
  await t.throwsAsync(connectTo(address))
  const listener = await listen(address)
  const channel = await connectTo(address)
  await channel.close()
  await listener.close()
  t.deepEqual(
    ended(seen).map(({ operation, address: of, error }) => [
      ...[operation, of === address, (error as { readonly code?: string } | undefined)?.code],
    ]),
    [
      ['connect', true, 'ERR_MILLRACE_UNREACHABLE'],
      ['listen', true, undefined],
      ['connect', true, undefined],
    ],
  )
})

it('of a ring only waits are shown', async (t) => {
  const [sent, received] = [shown<SendTrace>(t, 'send'), shown<ReceiveTrace>(t, 'receive')]
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using producer = SpscQueue.producer(name)
  await producer.push('no wait')
  t.is(String(await consumer.pop()), 'no wait')
  t.deepEqual([sent.length, received.length], [0, 0])
  const popped = consumer.pop()
  await producer.push('late')
  t.is(String(await popped), 'late')
  t.like(ended(received)[0], { operation: 'pop', kind: 'queue', destination: name })
  t.is(ended(received)[0]!.messages[0]!.bytes, 4)
  while (producer.tryPush(new Uint8Array(500))) {
    // Until it is full.
  }
  const pushed = producer.push(new Uint8Array(500))
  while (consumer.tryPop() !== undefined) {
    // Until it is empty.
  }
  await pushed
  t.like(ended(sent)[0], { operation: 'push', kind: 'queue', destination: name, bytes: 500 })
  consumer.drain(() => undefined)
})

// Spans

it('a job that comes again has links to who has pushed it, and no chain', async (t) => {
  tracing(t)
  const queue = open(t, uniqueName(t), { maxAttempts: 5 })
  await during('request', async () => {
    await queue.push('x')
  })
  let attempts = 0
  await queue.work(async (job) => {
    if (++attempts < 4) throw new Error('not yet')
    await last(job, queue)
  })
  const [request] = spans.named('request')
  const [sent] = spans.named(`send ${queue.name}`)
  const worked = spans.named(`process ${queue.name}`)
  t.is(sent!.parent, request!.id)
  t.is(sent!.kind, Kind.producer)
  t.deepEqual(
    worked.map(({ links, parent, kind, status }) => [links, parent, kind, status]),
    [2, 2, 2, 0].map((status) => [[sent!.id], undefined, Kind.consumer, status]),
  )
  t.is(new Set(worked.map((span) => span.trace)).size, 4, 'each attempt has a trace of its own')
  t.deepEqual(worked[0]!.attributes, {
    'messaging.system': 'millrace',
    'messaging.operation.name': 'process',
    'messaging.operation.type': 'process',
    'messaging.destination.name': queue.name,
    'messaging.message.body.size': 1,
    'millrace.kind': 'work',
    'millrace.attempt': 1,
    'millrace.settled': 'retried',
    'error.type': 'Error',
  })
})

it('with parent the first attempt is a child, and later ones are not', async (t) => {
  tracing(t, { parent: true })
  const queue = open(t, uniqueName(t))
  await queue.push('x')
  let attempts = 0
  await queue.work(async (job) => {
    if (++attempts < 2) throw new Error('not yet')
    await last(job, queue)
  })
  const [sent] = spans.named(`send ${queue.name}`)
  t.deepEqual(
    spans.named(`process ${queue.name}`).map(({ parent, links }) => [parent, links]),
    [
      [sent!.id, []],
      [undefined, [sent!.id]],
    ],
  )
})

it('the span of a handler is active in it, and in all that it awaits', async (t) => {
  tracing(t)
  const queue = open(t, uniqueName(t))
  const name = uniqueName(t)
  const active: (string | undefined)[] = []
  await using _server = await serve(name, calc, {
    add: async () => {
      active.push(activeSpan())
      await queue.push('x')
      active.push(activeSpan())
      return 0
    },
    fail: () => undefined,
    async *ticks() {
      active.push(activeSpan())
      yield 1
      await new Promise((resolve) => setImmediate(resolve))
      active.push(activeSpan())
      yield 2
    },
  })
  using client = await connect(name, calc)
  await during('request', async () => {
    await client.add([])
    for await (const _item of client.ticks(1)) active.push(activeSpan())
  })
  await queue.work(async (job) => {
    await Promise.resolve()
    active.push(activeSpan())
    await last(job, queue)
  })
  const served = spans.named('calc/add').find(({ kind }) => kind === Kind.server)!
  await until(() => spans.named('calc/ticks').length === 2, patience)
  const streamed = spans.named('calc/ticks').find(({ kind }) => kind === Kind.server)!
  const [request] = spans.named('request')
  const [worked] = spans.named(`process ${queue.name}`)
  t.deepEqual(active.slice(0, 2), [served.id, served.id])
  t.deepEqual(
    active.slice(2, -1).filter((id) => id === streamed.id || id === request!.id).length,
    4,
  )
  t.is(active.at(-1), worked!.id)
  t.is(spans.named(`send ${queue.name}`)[0]!.parent, served.id)
  t.is(trace.getSpan(contexts.active()), undefined, 'and nowhere else')
})

it('a handler that works for nobody in particular is no part of what began it', async (t) => {
  tracing(t)
  const queue = open(t, uniqueName(t))
  await queue.push('x')
  await during('start', async () => {
    await queue.work((job) => last(job, queue))
  })
  t.is(spans.named(`process ${queue.name}`)[0]!.parent, undefined)
})

it('calls are children across the way, and their errors are told by their codes', async (t) => {
  tracing(t)
  const name = uniqueName(t)
  using client = await connect(name, calc)
  await t.throwsAsync(client.add([]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
  const [alone] = spans.named('calc/add')
  t.like(alone, { kind: Kind.client, status: 2 })
  t.deepEqual(alone!.attributes, {
    'rpc.system.name': 'millrace',
    'rpc.method': 'calc/add',
    'server.address': name,
    'rpc.status_code': 'ERR_MILLRACE_NO_RESPONDER',
    'error.type': 'ERR_MILLRACE_NO_RESPONDER',
  })
})

it('what is taken by hand, or received, has a span for as long as it is worked on', async (t) => {
  const traced = tracing(t)
  const queue = open(t, uniqueName(t))
  await queue.push('x')
  const job = await queue.takeOne()
  const inside = traced.process(job, () => activeSpan())
  t.deepEqual(spans.named(`process ${queue.name}`), [], 'it is in hand')
  await job.complete()
  await until(() => spans.named(`process ${queue.name}`).length === 1)
  t.is(spans.named(`process ${queue.name}`)[0]!.id, inside!)

  const bus = openBus(t, uniqueName(t))
  using subscription = await bus.subscribe('a')
  await bus.publish('a', 'x')
  using message = await subscription.receive()
  const failing = traced.process(message, async () => {
    await Promise.resolve()
    throw Object.assign(new Error('no'), { code: 'E_NO' })
  })
  await t.throwsAsync(failing, { message: 'no' })
  const [worked] = spans.named('process a')
  t.like(worked, { status: 2, links: [spans.named(`send ${bus.name}`)[0]!.id] })
  t.is(worked!.attributes['error.type'], 'E_NO')
  t.throws(() => traced.process(5 as never, () => 0), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
})

it('two that trace make no span twice, and the second goes on when the first is closed', async (t) => {
  const first = tracing(t)
  const second = tracing(t)
  const queue = open(t, uniqueName(t))
  await queue.push('a')
  t.is(spans.named(`send ${queue.name}`).length, 1)
  first.close()
  first.close()
  t.true(first.closed)
  await queue.push('b')
  t.is(spans.named(`send ${queue.name}`).length, 2)
  // What has begun ends as it would.
  const job = await queue.takeOne()
  second.close()
  await job.complete()
  await until(() => spans.named(`process ${queue.name}`).length === 1)
  await queue.push('c')
  t.is(spans.named(`send ${queue.name}`).length, 2)
  t.false(tracingChannel('millrace:send').hasSubscribers)
  t.false(tracingChannel('millrace:process').hasSubscribers)
  for (const left of await queue.takeBatch(5)) await left.complete()
})

it('a payload that fits is not refused because somebody looks on', async (t) => {
  tracing(t)
  const queue = open(t, uniqueName(t), { bytes: 0 })
  await queue.push(new Uint8Array(queue.maxBytes))
  const job = await queue.takeOne()
  t.deepEqual([job.length, job.traceparent], [queue.maxBytes, undefined])
  await job.complete()
  await queue.push(new Uint8Array(8))
  const small = await queue.takeOne()
  t.not(small.traceparent, undefined)
  await small.complete()
  const bus = openBus(t, uniqueName(t))
  using subscription = await bus.subscribe('a')
  await bus.publish('a', new Uint8Array(bus.maxBytes))
  using message = await subscription.receive()
  t.deepEqual(message.headers, {})
})

it('metrics go to the meter, by the names of the conventions', async (t) => {
  class Reader extends MetricReader {
    protected override onShutdown = (): Promise<void> => Promise.resolve()
    protected override onForceFlush = (): Promise<void> => Promise.resolve()
  }
  const reader = new Reader()
  const meters = new MeterProvider({ readers: [reader] })
  tracing(t, { meter: meters.getMeter('test') })
  const queue = open(t, uniqueName(t))
  await queue.pushBatch(['a', 'b'])
  await t.throwsAsync(queue.push(new Uint8Array(queue.maxBytes + 1)))
  let count = 0
  await queue.work(async (job) => {
    if (++count === 2) await last(job, queue)
  })
  const { resourceMetrics } = await reader.collect()
  const found = resourceMetrics.scopeMetrics.flatMap(({ metrics }) => metrics)
  const pointsOf = (name: string) => found.find((one) => one.descriptor.name === name)!.dataPoints
  t.deepEqual(
    pointsOf('messaging.client.sent.messages').map(({ value, attributes }) => [
      ...[value, attributes['messaging.operation.name'], attributes['error.type']],
    ]),
    [
      [2, 'pushBatch', undefined],
      [1, 'push', 'ERR_MILLRACE_TOO_LARGE'],
    ],
  )
  const [processed] = pointsOf('messaging.process.duration')
  t.is((processed!.value as unknown as { readonly count: number }).count, 2)
  t.is(
    found.find((one) => one.descriptor.name === 'messaging.process.duration')!.descriptor.unit,
    's',
  )
  await meters.shutdown()
})

it('options are judged', (t) => {
  for (const options of [{ tracer: {} }, { meter: 5 }, { parent: 'yes' }, { more: 1 }]) {
    t.throws(() => traceWith(options as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
})
