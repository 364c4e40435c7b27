// A work queue stream of NATS JetStream, in files: a job is pushed when the server has written it, which it syncs to disk every
// two minutes unless told otherwise. That a job is done is said to the server, which does not answer.

import { peer } from '../peer.js'
import type { Engine } from './engine.js'

interface Connection {
  close(): Promise<void>
}
interface Message {
  readonly data: Uint8Array
  ack(): void
}
interface Messages extends AsyncIterable<Message> {
  close(): Promise<unknown>
}
interface Transport {
  connect(options: { servers: string | undefined }): Promise<Connection>
}
interface JetStream {
  jetstream(connection: Connection): {
    publish(subject: string, job: Uint8Array): Promise<unknown>
    consumers: {
      get(
        stream: string,
        consumer: string,
      ): Promise<{ consume(options: { max_messages: number }): Promise<Messages> }>
    }
  }
  jetstreamManager(connection: Connection): Promise<{
    streams: { add(stream: object): Promise<unknown> }
    consumers: { add(stream: string, consumer: object): Promise<unknown> }
  }>
}

const stream = 'jobs'
const consumer = 'workers'
const connect = (servers: string | undefined) =>
  (peer('@nats-io/transport-node') as Transport).connect({ servers })
const load = () => peer('@nats-io/jetstream') as JetStream

export const jetstream: Engine = {
  async pusher({ server }) {
    const connection = await connect(server)
    const { streams, consumers } = await load().jetstreamManager(connection)
    await streams.add({
      name: stream,
      subjects: [stream],
      retention: 'workqueue',
      storage: 'file',
    })
    await consumers.add(stream, { durable_name: consumer, ack_policy: 'explicit' })
    const client = load().jetstream(connection)
    return { push: (job) => client.publish(stream, job), close: () => connection.close() }
  },

  async work({ server, ahead = 1 }, handle) {
    const connection = await connect(server)
    const from = await load().jetstream(connection).consumers.get(stream, consumer)
    const messages = await from.consume({ max_messages: ahead })
    const ended = (async () => {
      for await (const message of messages) {
        await handle(message.data)
        message.ack()
      }
    })()
    return {
      async close() {
        await messages.close()
        await ended
        await connection.close()
      },
    }
  },
}
