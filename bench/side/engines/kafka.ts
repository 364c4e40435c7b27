// A topic of Kafka and a consumer group, by kafkajs: a job is pushed when all replicas in sync have it; what has been worked on is
// committed batch by batch. Jobs that are pushed in one turn go in one request: of records that came one by one the mock brokers give
// out one at a time. Sockets send at once, as ours do.

import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Parameters } from '../parameters.js'
import { peer } from '../peer.js'
import type { Engine } from './engine.js'

interface Kafka {
  producer(): {
    connect(): Promise<void>
    send(batch: object): Promise<unknown>
    disconnect(): Promise<void>
  }
  consumer(options: object): {
    readonly events: { readonly GROUP_JOIN: string }
    on(event: string, told: () => void): void
    connect(): Promise<void>
    subscribe(options: object): Promise<void>
    run(options: object): Promise<void>
    disconnect(): Promise<void>
  }
}
interface Kafkajs {
  readonly Kafka: new (options: object) => Kafka
}

const topic = 'jobs'
/** For which a broker may wait for something new, as ours lets it. */
const newsMs = 500
/** For closing, in which the library has hung. */
const closeMs = 3000

interface SocketWanted {
  readonly host: string
  readonly port: number
  readonly onConnect: () => void
}

const connected = ({ server = '' }: Parameters) =>
  new (peer('kafkajs') as Kafkajs).Kafka({
    brokers: server.split(','),
    logLevel: 0,
    socketFactory: ({ host, port, onConnect }: SocketWanted) =>
      connect({ host, port, noDelay: true }, onConnect),
  })

export const kafka: Engine = {
  async pusher(parameters) {
    const producer = connected(parameters).producer()
    await producer.connect()
    let messages: { readonly value: Buffer }[] = []
    let sent: Promise<unknown> | undefined
    const send = async (): Promise<void> => {
      await new Promise(setImmediate)
      const batch = messages
      messages = []
      sent = undefined
      await producer.send({ topic, acks: -1, messages: batch })
    }
    return {
      push: (job) => {
        messages.push({ value: job })
        return (sent ??= send())
      },
      close: () => Promise.race([producer.disconnect(), sleep(closeMs)]),
    }
  },

  async work(parameters, handle) {
    const consumer = connected(parameters).consumer({
      groupId: 'workers',
      maxWaitTimeInMs: newsMs,
    })
    await consumer.connect()
    await consumer.subscribe({ topic, fromBeginning: true })
    const joined = new Promise<void>((resolve) => {
      consumer.on(consumer.events.GROUP_JOIN, resolve)
    })
    await consumer.run({
      partitionsConsumedConcurrently: 4,
      eachMessage: async ({ message }: { readonly message: { readonly value: Buffer } }) => {
        await handle(message.value)
      },
    })
    await joined
    return { close: () => Promise.race([consumer.disconnect(), sleep(closeMs)]) }
  },
}
