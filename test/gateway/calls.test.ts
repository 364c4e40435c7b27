// Routes of calls: who calls at one side is answered by who serves at the other one.

import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Gateway, type CallsRoute } from 'millrace/gateway'
import {
  call,
  connect,
  contract,
  contractAt,
  duplex,
  serve,
  stream,
  upload,
  type Contract,
  type HandlerContext,
  type ServeOptions,
} from 'millrace/rpc'

import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 20_000

const calc = contract('calc', {
  add: call<readonly [number, number], number>(),
  wrong: call<string, null>(),
  wait: call<null, null>(),
  left: call<null, number>(),
  count: stream<number, number>(),
  sum: upload<number, number>(),
  double: duplex<number, number>(),
})

interface Seen {
  begun: number
  ended: number
}

async function backend(t: ExecutionContext, address: string, seen: Seen, options?: ServeOptions) {
  const server = await serve(
    address,
    calc,
    {
      add: ([a, b]) => a + b,
      wrong: (code) => {
        throw Object.assign(new RangeError('too far'), { code, data: { at: 7 } })
      },
      wait: async (_nothing: unknown, { signal }: HandlerContext) => {
        seen.begun++
        await new Promise<void>((resolve) => {
          signal.addEventListener('abort', () => {
            seen.ended++
            resolve()
          })
        })
        return null
      },
      left: (_nothing: unknown, { remaining }: HandlerContext) => remaining,
      *count(to) {
        for (let at = 0; at < to; at++) yield at
      },
      sum: async (items) => {
        let sum = 0
        for await (const item of items) sum += item
        return sum
      },
      async *double(items) {
        for await (const item of items) yield 2 * item
      },
    },
    options,
  )
  t.teardown(() => {
    server.close()
  })
  return server
}

const socketOf = (t: ExecutionContext): string => `unix://${join(ownDirectory(t), 'socket')}`

async function gatewayOf(t: ExecutionContext, route: Omit<CallsRoute, 'kind'>): Promise<Gateway> {
  const gateway = await Gateway.start({ host: 'here', routes: [{ kind: 'calls', ...route }] })
  t.teardown(async () => {
    gateway.close()
    await gateway.drain()
  })
  return gateway
}

const running = (gateway: Gateway) => until(() => gateway.routes[0]!.state === 'running')

async function client<C extends Contract>(t: ExecutionContext, address: string, what: C) {
  const made = await connect(address, what, { waitForServer: patience })
  t.teardown(() => {
    made.close()
  })
  return made
}

test.serial(
  'calls through shared memory are answered by who serves at an address, of all kinds',
  async (t) => {
    const [name, address] = [uniqueName(t), socketOf(t)]
    await backend(t, address, { begun: 0, ended: 0 })
    const gateway = await gatewayOf(t, { from: name, to: address })
    const near = await client(t, name, calc)
    t.is(await near.add([1, 2]), 3)
    const items: number[] = []
    for await (const item of near.count(3)) items.push(item)
    t.deepEqual(items, [0, 1, 2])
    t.is(await near.sum([1, 2, 3]), 6)
    const doubled: number[] = []
    for await (const item of near.double([1, 2])) doubled.push(item)
    t.deepEqual(doubled, [2, 4])
    const { state, delivered, inFlight, guarantee } = gateway.routes[0]!
    t.deepEqual(
      { state, delivered, inFlight, guarantee },
      { state: 'running', delivered: 4, inFlight: 0, guarantee: 'at-most-once' },
    )
  },
)

test.serial(
  'what a handler throws, the time that is left, and the end of a call go along',
  async (t) => {
    const [name, address] = [uniqueName(t), socketOf(t)]
    const seen = { begun: 0, ended: 0 }
    await backend(t, address, seen)
    await gatewayOf(t, { from: name, to: address })
    const near = await client(t, name, calc)
    const error = await t.throwsAsync(near.wrong('E_FAR'), {
      instanceOf: RangeError,
      message: 'too far',
    })
    t.like(error, { code: 'E_FAR', data: { at: 7 } })
    const left = await near.left(null, { timeout: 5000 })
    t.true(left > 0 && left <= 5000, String(left))
    const control = new AbortController()
    const waiting = near.wait(null, { signal: control.signal })
    await until(() => seen.begun === 1)
    control.abort()
    await t.throwsAsync(waiting, { code: 'ERR_MILLRACE_ABORTED' })
    await until(() => seen.ended === 1)
  },
)

test.serial(
  'calls of an address are answered out of shared memory, whose contract the program gives',
  async (t) => {
    const [name, address] = [uniqueName(t), socketOf(t)]
    await backend(t, name, { begun: 0, ended: 0 })
    await t.throwsAsync(gatewayOf(t, { from: address, to: name }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /contract/,
    })
    await running(await gatewayOf(t, { from: address, to: name, contract: calc }))
    const far = await client(t, address, calc)
    t.is(await far.add([1, 2]), 3)
    // Who asks the gateway is told what it would be told there.
    t.is((await contractAt(address)).fingerprint, calc.fingerprint)
  },
)

test.serial(
  'without anybody who serves, a call says so, and that it was not begun with',
  async (t) => {
    const [name, address] = [uniqueName(t), socketOf(t)]
    const gateway = await gatewayOf(t, { from: address, to: name, contract: calc })
    await running(gateway)
    const far = await client(t, address, calc)
    const error = await t.throwsAsync(within(patience, far.add([1, 2])), {
      code: 'ERR_MILLRACE_NO_RESPONDER',
    })
    t.like(error, { executed: 'no' })
    t.is(gateway.routes[0]!.dropped, 1)
  },
)

test.serial('who serves may come later, and come again', async (t) => {
  const [name, address] = [uniqueName(t), socketOf(t)]
  const reconnect = { base: 5, cap: 20 }
  const gateway = await gatewayOf(t, { from: name, to: address, toConnection: { reconnect } })
  await until(() => gateway.routes[0]!.error !== undefined)
  t.is(gateway.routes[0]!.state, 'connecting')
  const first = await backend(t, address, { begun: 0, ended: 0 })
  const near = await client(t, name, calc)
  t.is(await near.add([1, 2]), 3)
  first.close()
  await until(() => gateway.routes[0]!.state !== 'running')
  await backend(t, address, { begun: 0, ended: 0 })
  await running(gateway)
  t.is(await near.add([3, 4]), 7)
})

test.serial('a gateway that drains answers what it has begun with', async (t) => {
  const [name, address] = [uniqueName(t), socketOf(t)]
  const seen = { begun: 0, ended: 0 }
  await backend(t, address, seen)
  const gateway = await gatewayOf(t, { from: name, to: address })
  const near = await client(t, name, calc)
  const waiting = near.count(2000)[Symbol.asyncIterator]()
  t.is((await waiting.next()).value, 0)
  const drained = gateway.drain()
  let count = 1
  while ((await within(patience, waiting.next())).done !== true) count++
  t.is(count, 2000)
  await within(patience, drained)
  t.is(gateway.routes[0]!.state, 'closed')
})
