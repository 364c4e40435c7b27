// Either may start first, whatever the options: two parties open the same thing, in both orders, and the outcome is
// the same. Where it cannot be, the reason stands beside it.

import test from 'ava'
import {
  Cell,
  FrameReader,
  FrameWriter,
  SharedMemory,
  SpscQueue,
  type FrameReaderOptions,
  type FrameWriterOptions,
  type QueueOptions,
} from 'millrace'
import { SharedBreaker, SharedRateLimiter } from 'millrace/resilience'
import { Barrier, Counter, Mutex, RwLock, Semaphore, SharedEvent } from 'millrace/sync'
import { WorkQueue } from 'millrace/work'

import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'

interface Closable {
  close(): void
}
type Open = (name: string) => Closable | Promise<Closable>
/** `works`, or the code of the error without its prefix. */
type Outcome = string

interface Row {
  readonly what: string
  readonly one: Open
  readonly other: Open
  readonly outcome: Outcome
  /** Of the other order, where it has to be another one. */
  readonly turned?: Outcome
}

const me = process.getuid!()
const somebodyElse = me + 1
const schema = { fingerprint: 0xa11n }
const otherSchema = { fingerprint: 0xb22n }
const patience = { timeout: 15_000 }

/** What both sides find, once both are there. */
async function outcomeOf(name: string, openings: readonly Open[]): Promise<Outcome> {
  const opened: Closable[] = []
  // Not one after the other: a reader of frames waits for its writer.
  const results = await Promise.allSettled(
    openings.map(async (open) => {
      opened.push(await open(name))
    }),
  )
  for (const one of opened) one.close()
  const codes = results.flatMap((result) =>
    result.status === 'rejected' ? [(result.reason as { code?: string }).code ?? 'no code'] : [],
  )
  return codes.join(' and ').replaceAll('ERR_MILLRACE_', '') || 'works'
}

const producer = (options?: QueueOptions) => (name: string) => SpscQueue.producer(name, options)
const consumer = (options?: QueueOptions) => (name: string) => SpscQueue.consumer(name, options)

/** Whichever side it is that says so. */
function queue(
  what: string,
  one: QueueOptions | undefined,
  other: QueueOptions | undefined,
  outcome: Outcome,
  turned = outcome,
): Row[] {
  return [
    { what: `${what}, the producer`, one: producer(one), other: consumer(other), outcome, turned },
    { what: `${what}, the consumer`, one: consumer(one), other: producer(other), outcome, turned },
  ]
}

const writer = (options?: Partial<FrameWriterOptions>) => (name: string) =>
  FrameWriter.create(name, { slotBytes: 64, ...options })
const reader = (options?: FrameReaderOptions) => (name: string) =>
  FrameReader.open(name, { ...patience, ...options })

/** Shared memory of macOS has one size for life. */
const later = process.platform === 'darwin' ? 'GEOMETRY' : 'works'
const rights = 'who creates it decides the rights: what was made private stays so'

/** What any number of parties open in the same way. */
const kinds: [string, (name: string, options?: object) => Closable][] = [
  ['mutex', (name, options) => Mutex.open(name, options)],
  ['rwlock', (name, options) => RwLock.open(name, options)],
  ['counter', (name, options) => Counter.open(name, options)],
  ['event', (name, options) => SharedEvent.open(name, options)],
  ['rate limiter', (name, options) => SharedRateLimiter.open(name, { rate: 10, ...options })],
  ['breaker', (name, options) => SharedBreaker.open(name, options)],
  ['barrier', (name, options) => Barrier.open(name, { parties: 2, ...options })],
  ['work queue', (name, options) => WorkQueue.open(name, options)],
  ['semaphore', (name, options) => semaphore(name, 1, options)],
  ['memory', (name, options) => SharedMemory.openOrCreate(name, 64, options)],
]

/** A semaphore that is removed with its first user. */
function semaphore(name: string, initial: number, options?: object): Closable {
  const opened = Semaphore.openOrCreate(name, initial, options)
  return {
    close: () => {
      opened.close()
      Semaphore.unlink(name)
    },
  }
}

const rows: Row[] = [
  ...queue('nothing said', undefined, undefined, 'works'),
  ...queue('the same capacity', { capacity: 8192 }, { capacity: 8192 }, 'works'),
  ...queue('a capacity at one side', { capacity: 1 << 20 }, undefined, 'works', later),
  ...queue('a small capacity at one side', { capacity: 4096 }, undefined, 'works', later),
  ...queue('two capacities', { capacity: 4096 }, { capacity: 8192 }, 'GEOMETRY'),
  ...queue('the same schema', { schema }, { schema }, 'works'),
  ...queue('a schema at one side', { schema }, undefined, 'works'),
  ...queue('two schemas', { schema }, { schema: otherSchema }, 'SCHEMA'),
  ...queue('keep at one side', { keep: true }, undefined, 'works'),
  ...queue('fresh at one side', { fresh: true }, undefined, 'works'),
  ...queue('fresh at both', { fresh: true }, { fresh: true }, 'works'),
  ...queue('the same mode', { mode: 0o660 }, { mode: 0o660 }, 'works'),
  ...queue(`a wider mode at one side (${rights})`, { mode: 0o660 }, {}, 'NOT_OURS', 'works'),
  ...queue('our own user as owner', { owner: me }, undefined, 'works'),
  ...queue(
    'another user as owner (who alone can create it)',
    { owner: somebodyElse },
    {},
    'NOT_FOUND',
    'NOT_OURS',
  ),
  ...queue('wiping at one side', { memory: { zeroOnClose: true } }, undefined, 'works'),
  ...queue('prefaulting at one side', { memory: { prefault: true } }, undefined, 'works'),
  ...queue('tuning at one side', { poll: 0, spin: 0 }, undefined, 'works'),

  { what: 'frames, nothing said', one: writer(), other: reader(), outcome: 'works' },
  // A reader has no say in how the channel is cut up: nothing of the writer's has a counterpart.
  {
    what: 'frames, cut up by the writer alone',
    one: writer({ slotBytes: 100, slots: 5, maxReaders: 3, history: 2, alignment: 4096 }),
    other: reader(),
    outcome: 'works',
  },
  {
    what: 'frames, more asked for by the reader than there is',
    one: writer({ slots: 4, history: 1 }),
    other: reader({ depth: 100, history: 100, after: 7, maxHeld: 100, policy: 'drop-newest' }),
    outcome: 'works',
  },
  {
    what: 'frames, the same schema',
    one: writer({ schema }),
    other: reader({ schema }),
    outcome: 'works',
  },
  {
    what: 'frames, a schema at the writer',
    one: writer({ schema }),
    other: reader(),
    outcome: 'works',
  },
  {
    what: 'frames, a schema at the reader',
    one: writer(),
    other: reader({ schema }),
    outcome: 'works',
  },
  {
    what: 'frames, two schemas',
    one: writer({ schema }),
    other: reader({ schema: otherSchema }),
    outcome: 'SCHEMA',
  },
  {
    what: 'frames, a wide mode at the writer (only the writer creates)',
    one: writer({ mode: 0o660 }),
    other: reader(),
    outcome: 'NOT_OURS',
  },
  {
    what: 'frames, a wide mode at the reader',
    one: writer(),
    other: reader({ mode: 0o660 }),
    outcome: 'works',
  },
  {
    what: 'frames, another user as owner',
    one: writer(),
    other: reader({ owner: somebodyElse }),
    outcome: 'NOT_OURS',
  },

  ...(
    [
      ['nothing said', {}, {}, 'works'],
      ['slots at the writer', { slots: 9 }, {}, 'works'],
      ['a schema at the writer', { schema }, {}, 'works'],
      ['a schema at the reader', {}, { schema }, 'works'],
      ['the same schema', { schema }, { schema }, 'works'],
      ['two schemas', { schema }, { schema: otherSchema }, 'SCHEMA'],
      ['a wide mode at the writer', { mode: 0o660 }, {}, 'NOT_OURS'],
      ['a wide mode at the reader', {}, { mode: 0o660 }, 'works'],
      ['another user as owner', {}, { owner: somebodyElse }, 'NOT_OURS'],
    ] as const
  ).map(([what, ofWriter, ofReader, outcome]) => ({
    what: `cell, ${what}`,
    one: (name: string) => Cell.writer(name, { maxBytes: 8, ...ofWriter }),
    other: (name: string) => Cell.reader(name, { ...patience, ...ofReader }),
    outcome,
  })),

  ...kinds.flatMap(([kind, open]): Row[] => {
    const by = (options?: object) => (name: string) => open(name, options)
    return [
      { what: `${kind}, nothing said`, one: by(), other: by(), outcome: 'works' },
      {
        what: `${kind}, the same mode`,
        one: by({ mode: 0o660 }),
        other: by({ mode: 0o660 }),
        outcome: 'works',
      },
      {
        what: `${kind}, a wider mode at one side (${rights})`,
        one: by({ mode: 0o660 }),
        other: by(),
        outcome: 'NOT_OURS',
        turned: 'works',
      },
      {
        what: `${kind}, our own user as owner`,
        one: by({ owner: me }),
        other: by(),
        outcome: 'works',
      },
      {
        what: `${kind}, another user as owner (who alone can create it)`,
        one: by({ owner: somebodyElse }),
        other: by(),
        outcome: 'NOT_FOUND',
        turned: 'NOT_OURS',
      },
    ]
  }),

  {
    what: 'counter, an initial value at one side',
    one: (name) => Counter.open(name, { initial: 5 }),
    other: (name) => Counter.open(name),
    outcome: 'works',
  },
  {
    what: 'event, the default kind of reset said at one side',
    one: (name) => SharedEvent.open(name, { reset: 'auto' }),
    other: (name) => SharedEvent.open(name),
    outcome: 'works',
  },
  {
    what: 'event, two kinds of reset',
    one: (name) => SharedEvent.open(name, { reset: 'auto' }),
    other: (name) => SharedEvent.open(name, { reset: 'manual' }),
    outcome: 'GEOMETRY',
  },
  {
    what: 'event, the other kind of reset said at one side (signals may have been given by the default)',
    one: (name) => SharedEvent.open(name, { reset: 'manual' }),
    other: (name) => SharedEvent.open(name),
    outcome: 'works',
    turned: 'GEOMETRY',
  },
  {
    what: 'barrier, two numbers of parties',
    one: (name) => Barrier.open(name, { parties: 2 }),
    other: (name) => Barrier.open(name, { parties: 3 }),
    outcome: 'GEOMETRY',
  },
  {
    what: 'rate limiter, two rates',
    one: (name) => SharedRateLimiter.open(name, { rate: 10 }),
    other: (name) => SharedRateLimiter.open(name, { rate: 11 }),
    outcome: 'GEOMETRY',
  },
  {
    what: 'rate limiter, two bursts',
    one: (name) => SharedRateLimiter.open(name, { rate: 10, burst: 10 }),
    other: (name) => SharedRateLimiter.open(name, { rate: 10, burst: 11 }),
    outcome: 'GEOMETRY',
  },
  {
    what: 'rate limiter, the rate said at one side (which must come first)',
    one: (name) => SharedRateLimiter.open(name, { rate: 10 }),
    other: (name) => SharedRateLimiter.open(name),
    outcome: 'works',
    turned: 'NOT_FOUND',
  },
  {
    what: 'breaker, the default rules said at one side',
    one: (name) => SharedBreaker.open(name, { failures: 5 }),
    other: (name) => SharedBreaker.open(name),
    outcome: 'works',
  },
  {
    what: 'breaker, two rules',
    one: (name) => SharedBreaker.open(name, { failures: 5 }),
    other: (name) => SharedBreaker.open(name, { failures: 5, window: 1000 }),
    outcome: 'GEOMETRY',
  },
  {
    what: 'semaphore, two initial values',
    one: (name) => semaphore(name, 1),
    other: (name) => semaphore(name, 2),
    outcome: 'works',
  },
  {
    what: 'memory, two sizes',
    one: (name) => SharedMemory.openOrCreate(name, 64),
    other: (name) => SharedMemory.openOrCreate(name, 128),
    outcome: 'GEOMETRY',
  },
  {
    what: 'memory, two schemas',
    one: (name) => SharedMemory.openOrCreate(name, 64, { schema }),
    other: (name) => SharedMemory.openOrCreate(name, 64, { schema: otherSchema }),
    outcome: 'SCHEMA',
  },
]

for (const { what, one, other, outcome, turned = outcome } of rows) {
  test(`${what}: ${outcome}`, async (t) => {
    t.is(await outcomeOf(uniqueName(t), [one, other]), outcome)
    t.is(await outcomeOf(uniqueName(t), [other, one]), turned, 'the other way round')
  })
}

// What is kept is kept, whoever said so.
for (const [kind, open, unlink] of [
  ['counter', (name, options) => Counter.open(name, options), (name) => Counter.unlink(name)],
  ['event', (name, options) => SharedEvent.open(name, options), (name) => SharedEvent.unlink(name)],
] satisfies [string, (name: string, options: object) => Closable, (name: string) => boolean][]) {
  for (const order of ['first', 'second']) {
    test(`keep said by the ${order} to open a ${kind} keeps it`, (t) => {
      const name = uniqueName(t)
      const one = open(name, { keep: order === 'first' })
      const other = open(name, { keep: order === 'second' })
      other.close()
      one.close()
      t.true(unlink(name))
    })
  }
}

for (const keeper of ['producer', 'consumer'] as const) {
  for (const first of ['producer', 'consumer'] as const) {
    test(`the ${first} of a queue first, the ${keeper} says keep: what was sent outlives both`, async (t) => {
      const name = uniqueName(t)
      const other = actor(t)
      await other.do(
        ({ SpscQueue, own }, queue, who, early) => {
          const open = {
            producer: () =>
              (own.producer = SpscQueue.producer(queue, { keep: who === 'producer' })),
            consumer: () =>
              (own.consumer = SpscQueue.consumer(queue, { keep: who === 'consumer' })),
          }
          open[early]()
          open[early === 'producer' ? 'consumer' : 'producer']()
          own.producer.tryPush('kept')
        },
        name,
        keeper,
        first,
      )
      await other.kill('SIGKILL')
      const consumer = SpscQueue.consumer(name)
      t.is(consumer.tryPop()?.toString(), 'kept')
      consumer.close()
    })
  }
}

for (const [kind, open] of kinds) {
  test(`who waits for another user's ${kind} is not in its way`, async (t) => {
    const name = uniqueName(t)
    t.is(await outcomeOf(name, [(own) => open(own, { owner: somebodyElse })]), 'NOT_FOUND')
    t.deepEqual(objectsOf(name), [])
  })
}
