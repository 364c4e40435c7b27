// A stream of Redis and a consumer group: a job is pushed when Redis has it in memory, and done when Redis says so. By the client that
// Redis recommends, in the older protocol, as ours: what it reads is a list in it.

import type { Parameters } from '../parameters.js'
import { peer } from '../peer.js'
import type { Engine } from './engine.js'

interface Client {
  connect(): Promise<unknown>
  sendCommand(args: readonly (string | Buffer)[], options?: object): Promise<unknown>
  destroy(): void
}
interface Redis {
  createClient(options: object): Client
  readonly RESP_TYPES: { readonly BLOB_STRING: number }
}
type Entries = [id: Buffer, fields: Buffer[]][]

const stream = 'jobs'
const group = 'workers'

async function connected({ server }: Parameters): Promise<Client> {
  const client = (peer('@redis/client') as Redis).createClient({ url: server, RESP: 2 })
  await client.connect()
  return client
}

export const redis: Engine = {
  async pusher(parameters) {
    const client = await connected(parameters)
    await client.sendCommand(['XGROUP', 'CREATE', stream, group, '$', 'MKSTREAM'])
    return {
      push: (job) => client.sendCommand(['XADD', stream, '*', 'data', job]),
      close() {
        client.destroy()
        return Promise.resolve()
      },
    }
  },

  async work(parameters, handle) {
    const client = await connected(parameters)
    const reader = await connected(parameters)
    const { RESP_TYPES } = peer('@redis/client') as Redis
    const bytes = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } }
    const count = String(parameters.ahead ?? 1)
    const ask = ['XREADGROUP', 'GROUP', group, 'one', 'COUNT', count, 'BLOCK', '100', 'STREAMS']
    const closing = new AbortController()
    const ended = (async () => {
      while (!closing.signal.aborted) {
        const found = await reader.sendCommand([...ask, stream, '>'], bytes)
        const entries = (found as [Buffer, Entries][] | null)?.[0]?.[1] ?? []
        await Promise.all(
          entries.map(async ([id, [, data]]) => {
            await handle(data!)
            const done = client.sendCommand(['XACK', stream, group, id])
            await Promise.all([done, client.sendCommand(['XDEL', stream, id])])
          }),
        )
      }
    })()
    return {
      async close() {
        closing.abort()
        await ended
        client.destroy()
        reader.destroy()
      },
    }
  },
}
