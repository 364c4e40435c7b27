// What becomes of channels is told to a logger of the application's: by pino itself, of two processes, one of which is killed.

import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mock } from 'node:test'
import { context, ROOT_CONTEXT, trace, type Context, type ContextManager } from '@opentelemetry/api'
import test, { type ExecutionContext } from 'ava'
import { Cell, FrameReader, FrameWriter, SharedMemory, SpscQueue, sweep } from 'millrace'
import { connect, listen } from 'millrace/net'
import { contract, call, serve } from 'millrace/rpc'
import { Counter, Mutex, RwLock, Semaphore } from 'millrace/sync'
import { SharedRateLimiter } from 'millrace/resilience'
import {
  lifeEvents,
  lineLogger,
  logTo,
  type Logger,
  type LogOptions,
  type LogRecord,
} from 'millrace/telemetry'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'
import { pino } from 'pino'

import { Proxy } from '../remote/proxy.js'
import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open } from '../work/open.js'

const patience = 40_000

interface Line extends LogRecord {
  readonly level: number
  readonly msg: string
}

/** What pino has written, of these channels. */
function pinoOf(t: ExecutionContext, options?: LogOptions) {
  const lines: Line[] = []
  const logger = pino({ level: 'trace' }, { write: (line) => lines.push(JSON.parse(line) as Line) })
  const logging = logTo(logger, options)
  t.teardown(() => {
    logging.close()
  })
  const of = (name: string): readonly Line[] => lines.filter((line) => line.channel === name)
  /** The first record of that event, once it is there. */
  const told = async (name: string, event: string): Promise<Line> => {
    const found = (): Line | undefined => of(name).find((line) => line.event === event)
    await until(() => found() !== undefined, patience)
    return found()!
  }
  return { lines, logger, logging, of, told }
}

/** What is told now is told when what runs now has run. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('a killed peer is told of: its death, and who took its place', async (t) => {
  const name = uniqueName(t)
  const { told, of } = pinoOf(t, { level: 'debug' })
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
    own.producer.tryPush('last')
  }, name)
  using consumer = SpscQueue.consumer(name)
  await other.kill('SIGKILL')
  t.is(String(await consumer.pop()), 'last')
  const code = 'ERR_MILLRACE_PEER_GONE'
  await Promise.all([
    t.throwsAsync(consumer.pop(), { code }),
    t.throwsAsync(consumer.pop(), { code }),
  ])
  const gone = await told(name, 'peer-gone')
  t.like(gone, { level: 40, kind: 'queue', role: 'consumer', pid: process.pid, peer: other.pid })
  t.is(gone.msg, `queue '${name}': the other side died (process ${String(other.pid)})`)
  SpscQueue.producer(name).close()
  const taken = await told(name, 'taken-over')
  t.like(taken, { level: 40, kind: 'queue', pid: process.pid, peer: other.pid })
  t.is(
    taken.msg,
    `queue '${name}': the place of process ${String(other.pid)}, which died, was taken over`,
  )
  await turn()
  // Two waited, and one death is told.
  t.deepEqual(
    of(name).map(({ event, role, level }) => [event, role, level]),
    [
      ['opened', 'consumer', 20],
      ['peer-gone', 'consumer', 40],
      ['taken-over', undefined, 40],
      ['opened', 'producer', 20],
      ['closed', 'producer', 20],
    ],
  )
})

test('a killed worker is buried, its job redelivered and then given up', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const { told, of } = pinoOf(t)
  const queue = open(t, name, { maxAttempts: 3 })
  const other = actor(t)
  await queue.push('job')
  await other.do(async ({ WorkQueue, own }, jobs) => {
    own.jobs = WorkQueue.open(jobs)
    own['job'] = await own.jobs.takeOne()
  }, name)
  await other.kill('SIGKILL')
  const job = await queue.takeOne({ timeout: patience })
  t.like(await told(name, 'buried'), { kind: 'work', peer: other.pid, pid: process.pid, level: 40 })
  const again = await told(name, 'redelivered')
  t.like(again, { kind: 'work', attempt: 2, acquired: 2, level: 40 })
  t.is(again.msg, `work '${name}': a job was taken for the 2nd time`)
  job.reject(new Error('no'))
  const dead = await told(name, 'dead-lettered')
  t.like(dead, { kind: 'work', reason: 'rejected', attempts: 2, level: 50 })
  t.is(dead.msg, `work '${name}': a job was given up (rejected) after 2 attempts`)
  t.is(of(name).length, 3)
})

test('a job that comes again by an address is told of where it is taken', async (t) => {
  const { told, of } = pinoOf(t, { only: ['redelivered'] })
  const queue = open(t, uniqueName(t), { maxAttempts: 3 })
  const share = await queue.share('tcp://127.0.0.1:0')
  t.teardown(() => share.close())
  const far = WorkQueue.open(share.address)
  t.teardown(() => {
    far.close()
  })
  await far.push('job')
  await (await far.takeOne()).retry()
  const job = await far.takeOne({ timeout: patience })
  const again = await told(share.address, 'redelivered')
  t.like(again, { kind: 'work', attempt: 2, acquired: 2, level: 40 })
  t.is(again.msg, `work '${share.address}': a job was taken for the 2nd time`)
  await job.complete()
  t.is(of(share.address).length, 1)
})

test('a job that kills its last worker, and one whose time is over, are given up', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const { lines, told, of } = pinoOf(t, { only: ['dead-lettered'] })
  const queue = open(t, name, { maxAttempts: 1 })
  const other = actor(t)
  await queue.push('killer')
  await other.do(async ({ WorkQueue, own }, jobs) => {
    own.jobs = WorkQueue.open(jobs)
    own['job'] = await own.jobs.takeOne()
  }, name)
  await other.kill('SIGKILL')
  const waiting = queue.takeOne({ timeout: patience })
  t.like(await told(name, 'dead-lettered'), { reason: 'died', attempts: 1 })
  await queue.push('next')
  const next = await waiting
  await next.complete()
  await queue.push('late', { ttl: 1 })
  const over = performance.now() + 2
  await until(() => performance.now() > over)
  const waitingAgain = queue.takeOne({ timeout: patience })
  await until(() => of(name).some(({ reason }) => reason === 'expired'), patience)
  await queue.push('last')
  await (await waitingAgain).complete()
  t.true(lines.every(({ event }) => event === 'dead-lettered'))
})

test('a killed reader of frames is buried by the writer that waits for its slot', async (t) => {
  const name = uniqueName(t)
  const { told } = pinoOf(t, { only: ['buried'] })
  using writer = FrameWriter.create(name, { slotBytes: 64, slots: 2 })
  const other = actor(t)
  await other.do(async ({ FrameReader, own }, frames) => {
    own.reader = await FrameReader.open(frames, { policy: 'wait', depth: 2 })
  }, name)
  ;(await writer.loan()).publish()
  ;(await writer.loan()).publish()
  const third = writer.loan()
  await other.kill('SIGKILL')
  ;(await third).publish()
  t.like(await told(name, 'buried'), { kind: 'frames', peer: other.pid })
})

test('what was swept is told of, with what it was', async (t) => {
  const name = uniqueName(t)
  const { told, of } = pinoOf(t)
  const other = actor(t)
  await other.do(({ Mutex, own }, mutex) => {
    own.mutex = Mutex.open(mutex)
  }, name)
  await other.kill('SIGKILL')
  sweep({ prefix: name, dryRun: true })
  await turn()
  t.is(of(name).length, 0)
  const { removed } = sweep({ prefix: name })
  t.is(removed.length, 1)
  const { size, path } = removed[0]!
  const swept = await told(name, 'swept')
  t.like(swept, { level: 30, kind: 'mutex', state: 'abandoned', size, path })
  t.is(swept.msg, `mutex '${name}': was removed: it was abandoned`)
})

test('a connection that breaks and comes back is told of, without the secrets of its address', async (t) => {
  const { lines } = pinoOf(t)
  const listener = await listen('tcp://127.0.0.1:0')
  t.teardown(() => listener.close())
  const proxy = new Proxy(listener.address)
  const address = await proxy.listen(t)
  const near = await connect(address, { reconnect: { base: 1, cap: 20 } })
  t.teardown(() => {
    near.destroy()
  })
  const events = (): readonly string[] =>
    lines.filter((line) => line.channel === address).map(({ event }) => event)
  await until(() => events().includes('connected'), patience)
  proxy.cut()
  await until(() => events().includes('reconnected'), patience)
  t.deepEqual(events().slice(0, 3), ['connected', 'disconnected', 'reconnected'])
  const lost = lines.find(({ event, channel: of }) => event === 'disconnected' && of === address)!
  t.like(lost, { level: 40, kind: 'connection' })
  t.is(lost.error!.code, 'ERR_MILLRACE_PEER_GONE')
  t.true(lost.error!.message.length > 0)
})

test('each kind of handle says what it is when it is opened and closed', async (t) => {
  const name = uniqueName(t)
  const { of } = pinoOf(t, { level: 'debug', only: ['opened', 'closed', 'drained'] })
  const echo = contract('echo', { echo: call<string, string>() })
  Cell.writer(name, { maxBytes: 8 }).close()
  {
    using writer = FrameWriter.create(name, { slotBytes: 8 })
    ;(await FrameReader.open(name)).close()
    t.false(writer.closed)
  }
  Counter.open(name).close()
  Mutex.open(name).close()
  RwLock.open(name).close()
  Semaphore.create(name, 1).close()
  Semaphore.unlink(name)
  SharedMemory.create(`${name}-m`, 8).close()
  SharedRateLimiter.open(name, { rate: 1000, burst: 1 }).close()
  Topics.open(name).close()
  open(t, name).close()
  const server = await serve(name, echo, { echo: (said) => said })
  server.close()
  await turn()
  const told = [...of(name), ...of(`${name}-m`)].map(({ event, kind, role }) =>
    [event, kind, ...(typeof role === 'string' ? [role] : [])].join(' '),
  )
  const pair = (what: string): string[] => [`opened ${what}`, `closed ${what}`]
  t.deepEqual(
    told.filter((line) => !line.includes('frames')),
    [
      ...[
        'cell writer',
        'counter',
        'mutex',
        'rwlock',
        'semaphore',
        'rate-limiter',
        'topics',
        'work',
      ],
      ...['calls server', 'memory'],
    ].flatMap(pair),
  )
  t.deepEqual(
    told.filter((line) => line.includes('frames')),
    [
      'opened frames writer',
      'opened frames reader',
      'closed frames reader',
      'closed frames writer',
    ],
  )
})

test('what is less important than was asked for, and other events, are not logged; nor anything once it is closed', async (t) => {
  const name = uniqueName(t)
  const info = pinoOf(t)
  const some = pinoOf(t, { level: 'debug', only: ['closed'] })
  Mutex.open(name).close()
  await turn()
  t.deepEqual(info.of(name), [])
  t.deepEqual(
    some.of(name).map(({ event }) => event),
    ['closed'],
  )
  // The same logger once more: what is asked for last is what counts.
  const again = logTo(some.logger, { level: 'debug', only: ['opened'] })
  some.logging.close()
  Mutex.open(name).close()
  await turn()
  t.deepEqual(
    some.of(name).map(({ event }) => event),
    ['closed', 'opened'],
  )
  again.close()
  again[Symbol.dispose]()
  Mutex.open(name).close()
  await turn()
  t.is(some.of(name).length, 2)
})

test('a logger that throws breaks no channel, and is told of once', async (t) => {
  const name = uniqueName(t)
  const warnings: string[] = []
  const onWarning = (warning: Error & { readonly code?: string }): void => {
    if (warning.code === 'MILLRACE_LOGGER_THREW') warnings.push(warning.message)
  }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  const throws = (): never => {
    throw new Error(`no room for ${name}`)
  }
  using _ = logTo({ debug: throws, info: throws, warn: throws, error: throws }, { level: 'debug' })
  using mutex = Mutex.open(name)
  const other = Mutex.open(name)
  using guard = await mutex.lock()
  other.close()
  t.false(guard.released)
  await until(() => warnings.length > 0, patience)
  await turn()
  const ours = warnings.filter((message) => message.includes(name))
  t.deepEqual(ours, [
    `a logger threw: what becomes of channels may be missing in it (Error: no room for ${name})`,
  ])
})

test('what is no logger, level or event is refused, with what there is', (t) => {
  const logger = pino({ level: 'silent' })
  const refused = (run: () => unknown, message: RegExp): void => {
    t.throws(run, { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message })
  }
  refused(() => logTo(undefined as unknown as Logger), /debug, info, warn, error.*not undefined/)
  refused(() => logTo({ info: () => 0 } as unknown as Logger), /a logger has the methods/)
  refused(() => logTo(logger, { level: 'loud' as 'info' }), /level must be one of debug, .*"loud"/)
  refused(
    () => logTo(logger, { only: ['born' as 'opened'] }),
    /only must be a list of opened, .*"born"/,
  )
  refused(() => logTo(logger, { only: 'opened' as unknown as [] }), /only must be a list/)
  refused(() => logTo(logger, { levels: 'info' } as LogOptions), /levels/)
  refused(
    () => lineLogger(process.stderr, { format: 'xml' as 'json' }),
    /format must be 'json' or 'text'/,
  )
})

test('plain subscribers get the facts, when what runs now has run; under fake timers, too', async (t) => {
  const name = uniqueName(t)
  const facts: { readonly channel: string; readonly event: string; readonly time: number }[] = []
  const onFact = (fact: unknown): void => {
    facts.push(fact as (typeof facts)[number])
  }
  for (const event of lifeEvents) subscribe(`millrace:${event}`, onFact)
  t.teardown(() => {
    for (const event of lifeEvents) unsubscribe(`millrace:${event}`, onFact)
  })
  const before = Date.now()
  Counter.open(name).close()
  t.false(facts.some((fact) => fact.channel === name))
  await turn()
  const ours = facts.filter((fact) => fact.channel === name)
  t.deepEqual(
    ours.map(({ event }) => event),
    ['opened', 'closed'],
  )
  t.true(ours.every(({ time }) => time >= before && time <= Date.now()))
  mock.timers.enable()
  t.teardown(() => {
    mock.timers.reset()
  })
  Counter.open(name).close()
  await new Promise((resolve) => process.nextTick(resolve))
  t.is(facts.filter((fact) => fact.channel === name).length, 4)
})

/** As that of the SDK: the context is that of the asynchronous flow. */
class Flow implements ContextManager {
  readonly #storage = new AsyncLocalStorage<Context>()
  active(): Context {
    return this.#storage.getStore() ?? ROOT_CONTEXT
  }
  with<A extends unknown[], F extends (...args: A) => ReturnType<F>>(
    active: Context,
    run: F,
    self?: ThisParameterType<F>,
    ...args: A
  ): ReturnType<F> {
    return this.#storage.run(active, () => run.call(self, ...args))
  }
  bind<T>(_: Context, target: T): T {
    return target
  }
  enable(): this {
    return this
  }
  disable(): this {
    return this
  }
}

test('under a span, records have its trace', async (t) => {
  const name = uniqueName(t)
  context.setGlobalContextManager(new Flow())
  t.teardown(() => {
    context.disable()
  })
  const { of } = pinoOf(t, { level: 'debug' })
  const span = {
    traceId: '0af7651916cd43dd8448eb211c80319c',
    spanId: 'b7ad6b7169203331',
    traceFlags: 1,
  }
  context.with(trace.setSpanContext(ROOT_CONTEXT, span), () => {
    Counter.open(name)[Symbol.dispose]()
  })
  Counter.open(name).close()
  await turn()
  t.deepEqual(
    of(name).map(({ event, trace_id, span_id }) => [event, trace_id, span_id]),
    [
      ['opened', span.traceId, span.spanId],
      ['closed', span.traceId, span.spanId],
      ['opened', undefined, undefined],
      ['closed', undefined, undefined],
    ],
  )
})

test('lines for tools: JSON with fixed fields, text for people, and no secrets', (t) => {
  const written: string[] = []
  const target = { write: (text: string) => written.push(text) }
  const json = lineLogger(target)
  json.debug({ event: 'opened' }, 'not this one')
  const error = { code: 'X', message: 'nats://me:key@host is away' }
  json.error({ event: 'down', channel: 'c', error }, 'nats://me:key@host: lost')
  const record = JSON.parse(written[0]!) as Record<string, unknown>
  t.deepEqual(Object.keys(record), ['time', 'level', 'event', 'msg', 'channel', 'error', 'pid'])
  t.like(record, { level: 'error', event: 'down', msg: 'nats://…@host: lost', pid: process.pid })
  t.is(new Date(String(record['time'])).toISOString(), String(record['time']))
  const text = lineLogger(target, { format: 'text', level: 'debug' })
  text.warn({ event: 'x' }, 'one\ntwo')
  text.error({ event: 'x', error: { code: 'E', message: 'why' } }, 'three')
  t.regex(written[1]!, /^\d\d:\d\d:\d\d ▲ one\n {11}two\n$/)
  t.regex(written[2]!, /^\d\d:\d\d:\d\d ✖ three: why \(E\)\n$/)
  t.is(written.length, 3)
})
