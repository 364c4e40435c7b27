// Jobs that are pushed in one process, taken in another and completed there; and what becomes of them when a worker is killed.

import { spinningCores } from '../pinning.js'
import type { ServerName } from '../servers/servers.js'
import type { EngineName } from '../../side/engines/engine.js'
import type { Cores, Row } from '../row.js'
import { ofCase, ofProgram, row, size } from './making.js'

/** Jobs that are not done: so many are the most, whoever has them. */
const jobs = 1024
/** What calls that block spin before they sleep, unless they are told otherwise. */
const blockingSpinNs = 50_000

const zeromqConfirms = 'a push: nothing, it may be in the sender’s memory; taken is gone'

const ourConfirms = 'a push: in shared memory; taken is a lease, which ends with the worker’s life'

function unbrokered(bytes: number): Row[] {
  const name = (what: string) => `jobs of ${size(bytes)}: ${what}`
  const spinning = { unit: 'job', waiting: 'spinning', cores: spinningCores } as const
  return [
    row(name('C++ core'), ofProgram('work', 'spinning', bytes, jobs), {
      ...spinning,
      payload: bytes,
      confirms: ourConfirms,
    }),
    row(name('millrace'), ofCase('work-spinning', { bytes, jobs }), {
      ...spinning,
      confirms: ourConfirms,
    }),
    ...bothBlocking(bytes),
    row(
      name('millrace, event loop'),
      ofCase('work-throughput', { bytes, engine: 'millrace', jobs }),
      { unit: 'job', waiting: 'waiting', confirms: ourConfirms },
    ),
    row(
      name('zeromq PUSH and PULL'),
      ofCase('work-throughput', { bytes, engine: 'zeromq', jobs, block: 1024 }, 'zeromq'),
      { unit: 'job', waiting: 'waiting', confirms: zeromqConfirms },
    ),
  ]
}

/** Left alone, they share a core for a while and have one each for another: these are two measurements, not one. */
function bothBlocking(bytes: number): Row[] {
  const name = (what: string) => `jobs of ${size(bytes)}: ${what}`
  const ofCore = ofProgram('work', 'blocking', bytes, jobs, blockingSpinNs)
  const ofBoost = ofProgram('boost', 'throughput', bytes, jobs)
  const places: readonly Cores[] = [spinningCores, 'one core']
  return places.flatMap((cores) => {
    const facts = { unit: 'job', waiting: 'blocking', payload: bytes, cores } as const
    return [
      row(name('C++ core, blocking'), ofCore, { ...facts, confirms: ourConfirms }),
      row(name('boost message_queue'), ofBoost, {
        ...facts,
        confirms: 'a push: in shared memory; taken is gone',
      }),
    ]
  })
}

interface Broker {
  readonly what: string
  readonly engine: EngineName
  readonly server: ServerName
  readonly peers: readonly string[]
  readonly confirms: string
}
const redis: Broker = {
  what: 'BullMQ on Redis',
  engine: 'bullmq',
  server: 'redis',
  peers: ['bullmq', 'ioredis'],
  confirms:
    'a push, and that a job is done: in the memory of Redis, on disk within a second; who is silent for 30 s loses the job',
}
const brokers: readonly Broker[] = [
  redis,
  {
    what: 'RabbitMQ quorum queue',
    engine: 'rabbitmq',
    server: 'rabbitmq',
    peers: ['amqplib'],
    confirms: 'a push: in the log on disk of the only node; that a job is done: said, not answered',
  },
  {
    what: 'NATS JetStream',
    engine: 'jetstream',
    server: 'nats',
    peers: ['@nats-io/transport-node', '@nats-io/jetstream'],
    confirms:
      'a push: written by the server, on disk within two minutes; that a job is done: said, not answered',
  },
]

function brokered(bytes: number): Row[] {
  const ours = row(
    `jobs of ${size(bytes)}: millrace, event loop`,
    ofCase('work-throughput', { bytes, engine: 'millrace', jobs }),
    { unit: 'job', waiting: 'waiting', confirms: ourConfirms, slow: true },
  )
  const theirs = brokers.map(({ what, engine, server, peers, confirms }) => {
    // A server's times do not agree from slice to slice, so a number of jobs is measured, not a stretch of time.
    const parameters = {
      ...{ bytes, engine, window: jobs, inFlight: 256, ahead: 64 },
      ...{ block: 256, blocks: [8, 24] as const },
    }
    return row(
      `jobs of ${size(bytes)}: ${what}`,
      { ...ofCase('work-throughput', parameters, ...peers), server },
      { unit: 'job', waiting: 'waiting', confirms, slow: true },
    )
  })
  return [ours, ...theirs]
}

/**
 * Plain loops of an engine's own client, and the same from shared memory to shared memory through a gateway on each side. There are two
 * processes and the engine in a plain loop, and four and the engine between gateways. The plain loops know no ids again; between gateways
 * an id goes along with each job, and the far queue knows it. Both sides have as much under way. ZeroMQ's own client takes one message at a
 * time, and confirms none; nor is anything confirmed between its gateways, whose messages have up to 64 jobs. Over RabbitMQ and Redis each push is confirmed for itself on both sides; `acrossConfirms`
 * says what a job that is done costs. The mock brokers of Kafka answer who waits for news only when his time is over, so there more jobs
 * may be on their way than come in that time. What counts is the whole stretch, until the last job is done.
 */
function joined(bytes: number): Row[] {
  const engines = [
    { engine: 'jetstream', server: 'nats', peers: brokers[2]!.peers },
    { engine: 'rabbitmq', server: 'rabbitmq', peers: ['amqplib'] },
    { engine: 'redis', server: 'redis-tcp', peers: ['@redis/client'] },
    { engine: 'kafka', server: 'kafka', peers: ['kafkajs'] },
    { engine: 'zeromq', server: undefined, peers: ['zeromq'] },
  ] as const
  return engines.flatMap(({ engine, server: needed, peers }) => {
    const window = engine === 'kafka' ? 8 * jobs : jobs
    // Four processes are warm only after some ten thousand jobs.
    const blocks = engine === 'zeromq' ? [128, 512] : [48, 96]
    const common = {
      ...{ bytes, window, inFlight: 256, ahead: 256, block: 256, whole: true },
      blocks: blocks as [number, number],
    }
    const server = needed === undefined ? {} : { server: needed }
    const facts = { unit: 'job', waiting: 'waiting', slow: true } as const
    const limit = { limit: 150_000 }
    const its = engine === 'zeromq' ? { inFlight: 1 } : {}
    const plain = ofCase('work-throughput', { ...common, ...its, engine }, ...peers)
    const through = ofCase('work-throughput', {
      ...common,
      engine: 'gateway',
      through: engine,
      jobs: window,
    })
    const [own, gateways] = acrossConfirms[engine] ?? []
    const confirmsOwn = own === undefined ? {} : { confirms: own }
    const confirmsThrough = gateways === undefined ? {} : { confirms: gateways }
    return [
      row(
        `across: ${engine}, its own client`,
        { ...plain, ...server, ...limit },
        { ...facts, ...confirmsOwn },
      ),
      row(
        `across: ${engine}, two gateways`,
        { ...through, ...server, ...limit },
        { ...facts, ...confirmsThrough },
      ),
    ]
  })
}

/** Of an engine's own client, as its manual shows it: each job is acknowledged as soon as it is done. And of gateways. */
const acrossConfirms: Readonly<Partial<Record<string, readonly [string, string]>>> = {
  zeromq: [
    zeromqConfirms,
    'a push: in shared memory here; on the way nothing, many jobs in a message; that a job is done: in shared memory there',
  ],
  rabbitmq: [
    'a push: in the log on disk of the only node of a quorum queue; that a job is done: said for each, not answered',
    'a push: the same; that jobs are done: said together for those of one turn, and awaited until the server has read it',
  ],
  redis: [
    'a push: in memory, in the log on disk within a second; that a job is done: XACK and XDEL for each, answered',
    'a push: the same, its id known again; that jobs are done: one script for those of one turn, answered',
  ],
}

/** As many producers as workers, for the same queue. */
function many(): Row[] {
  return [0, 20].flatMap((workUs) => {
    const what = workUs === 0 ? 'empty jobs' : `jobs of ${String(workUs)} µs`
    // Whoever is awake can do all empty jobs alone: they are for information.
    const isSlow = workUs === 0 ? { slow: true } : {}
    const facts = { unit: 'job', waiting: 'waiting', checked: false, ...isSlow } as const
    return [1, 8].flatMap((count): Row[] => {
      const name = `${what}: ${String(count)} × ${String(count)} processes`
      const ofAll = ofCase('work-many', { bytes: 64, jobs, many: count, workUs })
      const all = row(name, ofAll, facts)
      if (count === 1) return [all]
      return [all, row(`${name}, the slowest worker`, ofAll, { ...facts, part: 'slowest' })]
    })
  })
}

function toDisk(bytes: number): Row[] {
  const name = (what: string) => `jobs of ${size(bytes)} to disk: ${what}`
  const facts = { unit: 'job', waiting: 'waiting', checked: false } as const
  const ofBoth = ofCase('work-disk', { bytes, jobs, inFlight: 256, block: 256 })
  return [
    row(name('millrace, 256 in flight'), ofBoth, {
      ...facts,
      confirms: 'a push: on the disk, after an fdatasync that others share',
    }),
    row(name('write and fdatasync each'), ofBoth, { ...facts, part: 'plain' }),
  ]
}

/** From stage to stage, in place. */
function hop(bytes: number): Row {
  return row(`pipeline: hop ${size(bytes)}`, ofCase('pipeline-hop', { bytes, jobs: 16 }), {
    unit: 'job',
    waiting: 'spinning',
    cores: spinningCores,
    confirms: ourConfirms,
  })
}

const idle = row('idle: 100 workers, waiting', ofCase('work-idle', { many: 100 }), {
  unit: 'second',
  waiting: 'waiting',
  checked: false,
  repetitions: 1,
})

function killed(tasks: number): Row[] {
  const name = (what: string) => `worker killed: ${what}`
  const facts = { unit: 'kill', waiting: 'waiting', checked: false, slow: true } as const
  const parameters = { bytes: 64, count: tasks, many: 2 }
  return [
    row(name('millrace'), ofCase('work-killed', { ...parameters, engine: 'millrace' }), {
      ...facts,
      confirms: ourConfirms,
    }),
    row(
      name('zeromq PUSH and PULL'),
      ofCase('work-killed', { ...parameters, engine: 'zeromq' }, 'zeromq'),
      { ...facts, confirms: zeromqConfirms },
    ),
    // Some notice a death by silence: a minute goes by.
    ...brokers.map(({ what, engine, server, peers, confirms }) => {
      const ofBroker = { ...parameters, engine, inFlight: 256, patience: 100_000 }
      return row(
        name(what),
        { ...ofCase('work-killed', ofBroker, ...peers), server, limit: 150_000 },
        { ...facts, confirms, repetitions: 1 },
      )
    }),
  ]
}

export const work: readonly Row[] = [
  ...unbrokered(64),
  ...brokered(1024),
  ...joined(1024),
  ...many(),
  ...toDisk(64),
  hop(64),
  hop(1024 * 1024),
  idle,
  ...killed(2000),
]
