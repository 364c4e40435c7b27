// zeromq's PUB and SUB on ipc://, without limits, so that nothing is thrown away; all messages are of one subject, which costs
// least.

import { peer } from '../peer.js'
import { removeZeromqSocket, zeromqAddress } from '../zeromq-address.js'
import { hello, type Bus } from './bus.js'

interface Zeromq {
  readonly Publisher: new (options: object) => {
    bind(address: string): Promise<void>
    send(message: Uint8Array): Promise<void>
    close(): void
  }
  readonly Subscriber: new (options: object) => AsyncIterable<[Buffer]> & {
    connect(address: string): void
    subscribe(prefix: string): void
    close(): void
  }
}

const load = () => peer('zeromq') as Zeromq

export const zeromq: Bus = {
  async publisher(parameters) {
    const socket = new (load().Publisher)({ sendHighWaterMark: 0 })
    await socket.bind(zeromqAddress(parameters))
    return {
      // It copies small ones, and sends larger ones from where they are.
      publish: (message) => socket.send(message.length > 64 ? Buffer.from(message) : message),
      hello: () => socket.send(hello),
      close() {
        socket.close()
        removeZeromqSocket(parameters)
        return Promise.resolve()
      },
    }
  },

  async subscribe(parameters, handle) {
    const socket = new (load().Subscriber)({ receiveHighWaterMark: 0 })
    socket.connect(zeromqAddress(parameters))
    socket.subscribe('')
    let joined: () => void = () => undefined
    const hasJoined = new Promise<void>((resolve) => {
      joined = resolve
    })
    const ended = (async () => {
      for await (const [message] of socket) {
        if (message.length === hello.length) joined()
        else handle(message)
      }
    })()
    await hasJoined
    return {
      async close() {
        socket.close()
        await ended
      },
    }
  },
}
