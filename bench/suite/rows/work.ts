// Jobs that are pushed in one process, taken in another and completed there; and what becomes of them when a worker is killed.

import type { ServerName } from '../servers/servers.js'
import type { EngineName } from '../../side/engines/engine.js'
import type { Row } from '../row.js'
import { ofCase, ofProgram, row, size } from './making.js'

/** Jobs that are not done: so many are the most, whoever has them. */
const jobs = 1024

const zeromqConfirms = 'a push: nothing, it may be in the sender’s memory; taken is gone'

function unbrokered(bytes: number): Row[] {
  const name = (what: string) => `jobs of ${size(bytes)}: ${what}`
  return [
    row(name('boost message_queue'), ofProgram('boost', 'throughput', bytes, jobs), {
      unit: 'job',
      waiting: 'blocking',
      payload: bytes,
      confirms: 'a push: in shared memory; taken is gone',
    }),
    row(
      name('zeromq PUSH and PULL'),
      ofCase('work-throughput', { bytes, engine: 'zeromq', jobs, block: 1024 }, 'zeromq'),
      { unit: 'job', waiting: 'waiting', confirms: zeromqConfirms },
    ),
  ]
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
  return brokers.map(({ what, engine, server, peers, confirms }) => {
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
}

function killed(tasks: number): Row[] {
  const name = (what: string) => `worker killed: ${what}`
  const facts = { unit: 'kill', waiting: 'waiting', checked: false, slow: true } as const
  const parameters = { bytes: 64, count: tasks, many: 2 }
  return [
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

export const work: readonly Row[] = [...unbrokered(64), ...brokered(1024), ...killed(2000)]
