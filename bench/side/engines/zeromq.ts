// zeromq's PUSH and PULL: jobs go round to the workers that are connected, into their memory, and nobody hears whether they
// were done.

import { peer } from '../peer.js'
import { removeZeromqSocket, zeromqAddress } from '../zeromq-address.js'
import type { Engine } from './engine.js'

interface Zeromq {
  readonly Push: new (options?: object) => {
    bind(address: string): Promise<void>
    send(message: Uint8Array): Promise<void>
    close(): void
  }
  readonly Pull: new (options?: object) => AsyncIterable<[Buffer]> & {
    connect(address: string): void
    close(): void
  }
}

/** Of more bytes than that the library makes no copy: they must not change any more. */
const mostCopied = 128

const load = () => peer('zeromq') as Zeromq

export const zeromq: Engine = {
  async pusher(parameters) {
    const { jobs } = parameters
    const socket = new (load().Push)(jobs === undefined ? {} : { sendHighWaterMark: jobs })
    await socket.bind(zeromqAddress(parameters))
    return {
      push: (job) => socket.send(job.length > mostCopied ? Buffer.from(job) : job),
      close() {
        socket.close()
        removeZeromqSocket(parameters)
        return Promise.resolve()
      },
    }
  },

  work(parameters, handle) {
    const { jobs } = parameters
    const socket = new (load().Pull)(jobs === undefined ? {} : { receiveHighWaterMark: jobs })
    socket.connect(zeromqAddress(parameters))
    const ended = (async () => {
      for await (const [job] of socket) await handle(job)
    })()
    return Promise.resolve({
      async close() {
        socket.close()
        await ended
      },
    })
  },
}
