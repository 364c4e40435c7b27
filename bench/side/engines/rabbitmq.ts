// A quorum queue of RabbitMQ: a job is pushed when it is in the log on disk. That a job is done is said to the server, which does
// not answer.

import { peer } from '../peer.js'
import type { Engine } from './engine.js'

interface Message {
  readonly content: Buffer
}
interface Channel {
  assertQueue(name: string, options: object): Promise<unknown>
  prefetch(count: number): Promise<unknown>
  sendToQueue(
    name: string,
    content: Buffer,
    options: object,
    confirmed: (error: Error | null) => void,
  ): boolean
  consume(
    name: string,
    onMessage: (message: Message | null) => void,
  ): Promise<{ consumerTag: string }>
  cancel(tag: string): Promise<unknown>
  ack(message: Message): void
}
interface Amqplib {
  connect(url: string): Promise<{
    createConfirmChannel(): Promise<Channel>
    close(): Promise<void>
  }>
}

const queueName = 'jobs'

async function connected(url: string | undefined) {
  const connection = await (peer('amqplib') as Amqplib).connect(url ?? '')
  const channel = await connection.createConfirmChannel()
  const kind = { durable: true, arguments: { 'x-queue-type': 'quorum' } }
  await channel.assertQueue(queueName, kind)
  return { connection, channel }
}

export const rabbitmq: Engine = {
  async pusher({ server }) {
    const { connection, channel } = await connected(server)
    return {
      push: (job) =>
        new Promise<void>((resolve, reject) => {
          channel.sendToQueue(queueName, job, { persistent: true }, (error) => {
            if (error === null) resolve()
            else reject(error)
          })
        }),
      close: () => connection.close(),
    }
  },

  async work({ server, ahead = 1 }, handle) {
    const { connection, channel } = await connected(server)
    await channel.prefetch(ahead)
    const { consumerTag } = await channel.consume(queueName, (message) => {
      if (message === null) throw new Error('the server took the queue away')
      void Promise.resolve(handle(message.content)).then(() => {
        channel.ack(message)
      })
    })
    return {
      async close() {
        await channel.cancel(consumerTag)
        await connection.close()
      },
    }
  },
}
