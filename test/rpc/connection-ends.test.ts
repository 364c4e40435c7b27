// How a connection ends that nobody closes: the other side is killed, or lies.

import test, { type ExecutionContext } from 'ava'
import { SpscQueue, type MillraceError } from 'millrace'
import {
  call,
  channelPair,
  connectOver,
  contract,
  duplex,
  queueChannel,
  serveOver,
  stream,
  upload,
  type FrameChannel,
} from 'millrace/rpc'

import { uniqueName } from '../support/names.js'
import { start } from '../support/process.js'
import { until, within } from '../support/until.js'
import { endless } from './fixtures/stream-server.js'

const fixture = new URL('fixtures/stream-server.js', import.meta.url)
const patience = 15_000

async function serveElsewhere(t: ExecutionContext) {
  const [to, from] = [uniqueName(t), uniqueName(t)]
  const server = start(fixture, [to, from])
  t.teardown(async () => {
    await server.end()
  })
  t.is(await server.next(), 'serving')
  const channel = queueChannel({
    producer: SpscQueue.producer(to),
    consumer: SpscQueue.consumer(from),
  })
  const client = connectOver(channel, endless)
  t.teardown(() => {
    client.close()
  })
  return { server, client }
}

test('a server that is killed ends all its streams, long before sleepers look for themselves, with what is not known', async (t) => {
  const { server, client } = await serveElsewhere(t)
  t.is(await client.pid(), server.pid)
  const streams = Array.from({ length: 20 }, () => client.numbers())
  for (const one of streams) await one.next()
  let killed = 0
  const read = async (numbers: AsyncIterable<number>) => {
    try {
      for await (const _ of numbers);
    } catch (error) {
      return { error: error as MillraceError, after: performance.now() - killed }
    }
    return t.fail('a stream without end has ended')
  }
  const waiting = function* () {
    yield new Promise<number>(() => undefined) as unknown as number
  }
  const upload = client.swallow(waiting()).catch((error: unknown) => error as MillraceError)
  const reads = streams.map(read)
  await client.pid()
  killed = performance.now()
  server.signal('SIGKILL')
  let last = 0
  for (const { error, after } of await within(patience, Promise.all(reads))) {
    t.is(error.code, 'ERR_MILLRACE_PEER_GONE')
    t.is(error.executed, 'unknown')
    last = Math.max(last, after)
  }
  t.log(`${last.toFixed(0)} ms after the order to kill`)
  // How long the system takes to end a process is not ours; every sleeper looks after 2 s, and this is not that look.
  t.true(last < 1500)
  t.is(((await upload) as MillraceError).code, 'ERR_MILLRACE_PEER_GONE')
  t.is((await client.ended)?.code, 'ERR_MILLRACE_PEER_GONE')
  const late = await t.throwsAsync<MillraceError>(client.pid())
  t.is(late.executed, 'no')
})

test('break in another process returns the generator there; closing ends the server', async (t) => {
  const { server, client } = await serveElsewhere(t)
  for await (const number of client.numbers()) if (number === 100) break
  t.deepEqual([await server.next(), await server.next()].sort(), ['aborted', 'returned'])
  t.is(await client.swallow(Array.from({ length: 300 }, (_, i) => i)), 300)
  client.close()
  t.is(await server.next(), 'closed')
  t.deepEqual(await server.ended(), { code: 0, signal: null })
})

const calc = contract('calc', {
  add: call<number, number>(),
  chat: duplex<string, string>(),
  sum: upload<number, number>(),
  ticks: stream<number, number>(),
})

/** Method numbers are those of the names in their order. */
const [chat, ticks] = [1, 3]

function frame(id: number, kind: number, ...rest: readonly number[]): Uint8Array {
  const bytes = Buffer.alloc(5 + rest.length)
  bytes.writeUInt32LE(id)
  bytes.set([kind, ...rest], 4)
  return bytes
}

function opening(id: number, method: number, { items = 16, bytes = 65_536, input = '' } = {}) {
  const rest = Buffer.alloc(19)
  rest.writeUInt16LE(method, 0)
  rest[2] = input === '' ? 0 : 1
  rest.writeDoubleLE(Infinity, 3)
  rest.writeUInt32LE(items, 11)
  rest.writeUInt32LE(bytes, 15)
  return frame(id, 1, ...rest, ...Buffer.from(input))
}

const amount = (items: number, bytes: number) => {
  const rest = Buffer.alloc(8)
  rest.writeUInt32LE(items, 0)
  rest.writeUInt32LE(bytes, 4)
  return [...rest]
}

async function sendAll(channel: FrameChannel, frames: Iterable<Uint8Array>): Promise<void> {
  for (const one of frames) await channel.send(one)
}

const Kind = { input: 2, window: 3, item: 4, part: 5, credit: 6, result: 8 } as const

const liars: Readonly<Record<string, readonly Uint8Array[]>> = {
  'a frame that is none': [Buffer.from([1, 2])],
  'a kind that there is not': [frame(1, 99)],
  'a stream that never was': [frame(7, Kind.credit, ...amount(1, 1))],
  'an opening that is cut off': [frame(1, 1, 0, 0)],
  'a function that the contract has not': [opening(1, 99, { input: '1' })],
  'a stream opened twice': [opening(1, chat), opening(1, chat)],
  'a window of nothing': [opening(1, chat, { items: 0 })],
  'more items than there is room for': [
    opening(1, chat),
    ...Array.from({ length: 18 }, () => frame(1, Kind.item, ...Buffer.from('"x"'))),
  ],
  'pieces without end': [
    opening(1, chat),
    ...Array.from({ length: 100 }, () => frame(1, Kind.part, ...Buffer.alloc(50_000))),
  ],
  'more in pieces than it may': [1, 2, 3, 4, 5].flatMap((id) => [
    opening(id, chat),
    frame(id, Kind.part, 1, 2, 3),
  ]),
  'credit for what was never sent': [opening(1, chat), frame(1, Kind.credit, ...amount(5, 5))],
  'an amount that is none': [opening(1, chat), frame(1, Kind.credit, 1, 2)],
  'items where there are none': [
    opening(1, ticks, { input: '1' }),
    frame(1, Kind.item, ...Buffer.from('5')),
  ],
  'what only servers send': [opening(1, chat), frame(1, Kind.result, 49)],
}

for (const [lie, frames] of Object.entries(liars)) {
  test(`a client that sends ${lie} is left, and the handlers with it`, async (t) => {
    const [here, there] = channelPair()
    const never = () => new Promise<never>(() => undefined)
    const server = serveOver(
      there,
      calc,
      {
        add: (n) => n,
        sum: never,
        async *chat() {
          yield await never()
        },
        async *ticks() {
          yield await never()
        },
      },
      { maxBytes: 1_000_000 },
    )
    t.teardown(() => {
      here.close()
    })
    // The other side may have hung up in the middle.
    sendAll(here, frames).catch(() => undefined)
    const reason = await within(patience, server.ended)
    t.is(reason?.code, 'ERR_MILLRACE_CORRUPT')
    t.true(server.closed)
  })
}

const lyingServers: Readonly<Record<string, readonly Uint8Array[]>> = {
  'a stream that it opens itself': [opening(1, chat)],
  'a result of a stream': [frame(1, Kind.result, 49)],
  'an answer to what was not asked': [frame(9, Kind.result, 49)],
  'more items than there is room for': Array.from({ length: 17 }, () =>
    frame(1, Kind.item, ...Buffer.from('1')),
  ),
  'a window for items that there are not': [frame(1, Kind.window, ...amount(1, 1))],
}

for (const [lie, frames] of Object.entries(lyingServers)) {
  test(`a server that sends ${lie} is left, and every stream ends with an error`, async (t) => {
    const [here, there] = channelPair()
    const client = connectOver(here, calc)
    t.teardown(() => {
      client.close()
    })
    const numbers = client.ticks(1)
    const first = numbers.next()
    let asked = 0
    void there.receive(() => asked++).catch(() => undefined)
    await until(() => asked > 0)
    sendAll(there, frames).catch(() => undefined)
    t.is((await within(patience, client.ended))?.code, 'ERR_MILLRACE_CORRUPT')
    const error = await t.throwsAsync<MillraceError>(async () => {
      if ((await first).done === true) return
      while ((await numbers.next()).done !== true);
    })
    t.is(error.code, 'ERR_MILLRACE_CORRUPT')
  })
}
