// Core NATS: subjects without storage, through a server on the loopback. A publisher that is awaited now and then lets its
// client write.

import { peer } from '../peer.js'
import type { Bus } from './bus.js'

interface Message {
  readonly data: Uint8Array
}
interface Connection {
  publish(subject: string, message: Uint8Array): void
  subscribe(subject: string): AsyncIterable<Message> & { unsubscribe(): void }
  flush(): Promise<void>
  close(): Promise<void>
}
interface Transport {
  connect(options: { servers: string | undefined }): Promise<Connection>
}

const subject = 'prices.euro'
const connect = (servers: string | undefined) =>
  (peer('@nats-io/transport-node') as Transport).connect({ servers })

export const nats: Bus = {
  async publisher({ server }) {
    const connection = await connect(server)
    return {
      publish(message) {
        // It is sent from where it is, later.
        connection.publish(subject, Buffer.from(message))
        return undefined
      },
      close: () => connection.close(),
    }
  },

  async subscribe({ server }, handle) {
    const connection = await connect(server)
    const subscription = connection.subscribe('prices.*')
    await connection.flush()
    const ended = (async () => {
      for await (const { data } of subscription) handle(data)
    })()
    return {
      async close() {
        subscription.unsubscribe()
        await ended
        await connection.close()
      },
    }
  },
}
