// One of the servers of call-servers.

import { once } from 'node:events'

import { call, contract, serve } from 'millrace/rpc'

import type { Parameters } from '../side/parameters.js'

export const working = contract('bench', { work: call<number, number>() })

export async function follow({ name, workUs = 0 }: Parameters): Promise<void> {
  const server = await serve(
    name,
    working,
    {
      work(number) {
        const end = performance.now() + workUs / 1000
        while (performance.now() < end);
        return number + 1
      },
    },
    { concurrency: 1 },
  )
  process.send?.('ready')
  await once(process, 'message')
  server.close()
}
