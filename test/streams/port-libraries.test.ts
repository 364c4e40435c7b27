// What people have runs over a port as it is: comlink, birpc, tRPC, from one process to another.

import { createTRPCClient, TRPCClientError, type TRPCLink } from '@trpc/client'
import { observable } from '@trpc/server/observable'
import test, { type ExecutionContext } from 'ava'
import { createBirpc } from 'birpc'
import * as comlink from 'comlink'
import { SpscQueue } from 'millrace'
import { toMessagePort, type ChannelPort } from 'millrace/streams'

import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { within } from '../support/until.js'
import type { Calculator, Router, TrpcAnswer } from './fixtures/port-server.js'

const patience = 15_000
const fixture = new URL('fixtures/port-server.js', import.meta.url)

async function portTo(t: ExecutionContext, library: string): Promise<ChannelPort> {
  // The server is ended with its queues open.
  const [calls, answers] = [uniqueName(t, { mayLeave: true }), uniqueName(t, { mayLeave: true })]
  const server = run(t, fixture, [calls, answers, library])
  const port = toMessagePort({
    producer: SpscQueue.producer(calls),
    consumer: SpscQueue.consumer(answers),
  })
  t.teardown(() => {
    port.close()
  })
  t.is(await server.next(), 'ready')
  return port
}

test('comlink', async (t) => {
  const port = await portTo(t, 'comlink')
  const calculator = comlink.wrap<Calculator>(port)
  t.is(await within(patience, calculator.add(1, 2)), 3)
  t.deepEqual(await Promise.all([1, 2, 3].map((n) => calculator.add(n, n))), [2, 4, 6])
  await t.throwsAsync(within(patience, Promise.resolve(calculator.fail())), {
    message: 'cannot do that',
  })
  const long = new Map([['long', new Uint8Array(1_000_000)]])
  t.deepEqual(await within(patience, calculator.sizes(long)), [1_000_000])
})

test('birpc', async (t) => {
  const port = await portTo(t, 'birpc')
  const calculator = createBirpc<Calculator>(
    {},
    {
      post: (message: unknown) => {
        port.postMessage(message)
      },
      on: (listener: (message: unknown) => void) => {
        port.on('message', listener)
      },
    },
  )
  t.is(await within(patience, calculator.add(1, 2)), 3)
  await t.throwsAsync(within(patience, calculator.fail()), { message: 'cannot do that' })
  t.deepEqual(await within(patience, calculator.sizes(new Map([['a', new Uint8Array(3)]]))), [3])
})

test('tRPC', async (t) => {
  const port = await portTo(t, 'trpc')
  const trpc = createTRPCClient<Router>({ links: [portLink(port)] })
  t.is(await within(patience, trpc.add.query([1, 2])), 3)
  await t.throwsAsync(within(patience, trpc.fail.mutate()), {
    instanceOf: TRPCClientError,
    message: 'cannot do that',
  })
})

/** A link of tRPC that ends in a port. */
function portLink(port: ChannelPort): TRPCLink<Router> {
  return () =>
    ({ op: { id, path, type, input } }) =>
      observable((observer) => {
        const listener = (message: unknown) => {
          const answer = message as TrpcAnswer
          if (answer.id !== id) return
          port.off('message', listener)
          if ('error' in answer) {
            observer.error(TRPCClientError.from(new Error(answer.error.message)))
            return
          }
          observer.next({ result: { type: 'data', data: answer.data } })
          observer.complete()
        }
        port.on('message', listener)
        port.postMessage({ id, path, type, input })
        return () => {
          port.off('message', listener)
        }
      })
}
