// Calls over DEALER and ROUTER of ZeroMQ.

import test, { type ExecutionContext } from 'ava'
import type { CurveOptions } from 'millrace/net'
import {
  call,
  connect,
  contract,
  contractAt,
  serve,
  type CallServer,
  type Connected,
  type Handlers,
} from 'millrace/rpc'

import { until, within } from '../support/until.js'
import { foreign, ipcAddress, library, python, tcpAddress } from './support/zeromq.js'

const calc = contract('calc', {
  add: call<readonly [number, number], number>({ idempotent: true }),
  fail: call<string>(),
  wait: call<string, string>(),
  echo: call<string, string>(),
})
type Calc = typeof calc

interface Seen {
  readonly server: CallServer
  readonly waiting: Map<string, { answer: (text: string) => void; signal: AbortSignal }>
  readonly remaining: number[]
}

async function served(t: ExecutionContext, address: string, curve?: CurveOptions): Promise<Seen> {
  const waiting: Seen['waiting'] = new Map()
  const remaining: number[] = []
  const handlers: Handlers<Calc> = {
    add: ([a, b], context) => {
      remaining.push(context.remaining)
      return a + b
    },
    fail: (text) => {
      throw Object.assign(new RangeError(text), { code: 'E_MINE', data: { at: 7 } })
    },
    wait: (text, { signal }) =>
      new Promise((answer) => {
        waiting.set(text, { answer, signal })
      }),
    echo: (text) => text,
  }
  const server = await serve(address, calc, handlers, { connection: { curve } })
  t.teardown(async () => {
    for (const { answer } of waiting.values()) answer('')
    await server[Symbol.asyncDispose]()
  })
  return { server, waiting, remaining }
}

async function connected(
  t: ExecutionContext,
  address: string,
  curve?: CurveOptions,
): Promise<Connected<Calc>> {
  const client = await connect(address, calc, { connection: { curve } })
  t.teardown(() => {
    client.close()
  })
  return client
}

for (const [kind, addressOf] of [
  ['zmq+tcp', tcpAddress],
  ['zmq+ipc', () => Promise.resolve(ipcAddress())],
] as const) {
  test(`${kind}: calls are answered, also many at a time, and what is thrown keeps what it says`, async (t) => {
    const address = await addressOf()
    const { remaining } = await served(t, address.at())
    const client = await connected(t, address.at())
    t.is(await client.add([1, 2], { timeout: 10_000 }), 3)
    t.true(remaining[0]! > 0 && remaining[0]! <= 10_000)
    const texts = Array.from({ length: 200 }, (_none, at) => `text ${String(at)}`)
    t.deepEqual(await Promise.all(texts.map((text) => client.echo(text))), texts)
    const error: unknown = await client.fail('out of it').catch((thrown: unknown) => thrown)
    t.true(error instanceof RangeError)
    const { message, code, data } = error as Error & { code: string; data: unknown }
    t.deepEqual([message, code, data], ['out of it', 'E_MINE', { at: 7 }])
  })
}

test('who waits for a server gets one', async (t) => {
  const address = await tcpAddress()
  const waiting = connect(address.at(), calc, { waitForServer: 40_000 })
  await served(t, address.at())
  const client = await within(40_000, waiting)
  t.is(await client.add([2, 3]), 5)
  client.close()
})

test('who closes has answered: the result of what was at work arrives, each time', async (t) => {
  for (let round = 0; round < 10; round++) {
    const address = await tcpAddress()
    const { server, waiting } = await served(t, address.at())
    // Silence would tell sooner than the test ends.
    const client = await connect(address.at(), calc, { connection: { heartbeat: 2000 } })
    const given = client.wait('last')
    await until(() => waiting.size === 1)
    const closed = server[Symbol.asyncDispose]()
    waiting.get('last')!.answer('said')
    await closed
    t.is(await given, 'said')
    client.close()
  }
})

test('one server can be bound to an address', async (t) => {
  const address = await tcpAddress()
  await served(t, address.at())
  await t.throwsAsync(served(t, address.at()), { code: 'ERR_MILLRACE_EXISTS' })
})

test('a deadline ends a call, and so does aborting it; its handler is told', async (t) => {
  const address = await tcpAddress()
  const { waiting } = await served(t, address.at())
  const client = await connected(t, address.at())
  await t.throwsAsync(client.wait('late', { timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await until(() => waiting.get('late')?.signal.aborted === true)
  const control = new AbortController()
  const given = client.wait('given up', { signal: control.signal })
  await until(() => waiting.has('given up'))
  control.abort()
  await t.throwsAsync(given, { code: 'ERR_MILLRACE_ABORTED' })
  await until(() => waiting.get('given up')?.signal.aborted === true)
})

test('who is at work and shows no sign of life is taken for dead', async (t) => {
  const address = await tcpAddress()
  const dead = foreign(t, 'Router')
  await dead.bind(address.endpoint)
  const connecting = connect(address.at(), calc, { connection: { heartbeat: 2000 } })
  const [who, call, empty] = await dead.receive()
  const about = { fingerprint: String(calc.fingerprint), description: {} }
  await dead.send([who!, call!, empty!, JSON.stringify(about)])
  const client = await connecting
  t.teardown(() => {
    client.close()
  })
  const gone = client.wait('x')
  await dead.receive()
  await t.throwsAsync(gone, { code: 'ERR_MILLRACE_PEER_GONE', message: /no sign of life for 2000/ })
})

test("Python's REQ calls, and is told what went wrong; its REP can be called", async (t) => {
  const [here, there] = [await tcpAddress(), await tcpAddress()]
  await served(t, here.at('/math'))
  const caller = python(
    t,
    `
import json
req = context.socket(zmq.REQ); req.connect(args[0])
for frames in ([b'math.add', b'[40,2]'], [b'math.fail', b'"no"'], [b'math.none', b'']):
    req.send_multipart(frames)
    answer = req.recv_multipart()
    print(json.loads(answer[0]) if len(answer) == 1 else answer[1].decode() + ' ' + json.loads(answer[0]).get('code', ''))
`,
    [here.endpoint],
  )
  await caller.ended()
  t.deepEqual(caller.lines, ['42', 'error E_MINE', 'nobody ERR_MILLRACE_NO_RESPONDER'])

  python(
    t,
    `
rep = context.socket(zmq.REP); rep.bind(args[0])
while True:
    name, given = rep.recv_multipart()[:2]
    rep.send(args[1].encode() if name == b'millrace-about' else given)
`,
    [there.endpoint, JSON.stringify({ fingerprint: String(calc.fingerprint), description: {} })],
  )
  const client = await connect(there.at(), calc, { waitForServer: 10_000 })
  t.is(await client.echo('as it was'), 'as it was')
  client.close()
})

test('the contract is told to who asks, and another one is refused', async (t) => {
  const address = await tcpAddress()
  await served(t, address.at())
  const found = await contractAt(address.at())
  t.is(found.name, 'calc')
  const other = contract('calc', { add: call<number, number>() })
  await t.throwsAsync(connect(address.at(), other), { code: 'ERR_MILLRACE_SCHEMA' })
})

test('what does not call as anybody does is left out, and calls go on', async (t) => {
  const address = await tcpAddress()
  await served(t, address.at())
  const liar = foreign(t, 'Dealer')
  liar.connect(address.endpoint)
  for (const frames of [
    ['x'],
    ['', ''],
    ['', 'add', '{'],
    ['', 'add'],
    ['a', '', '', ''],
    Array.from({ length: 1000 }, () => 'x'),
    ['a', '', 'wait', '"w"', '{"contract":7,"timeout":-1}'],
    ['a', '', 'wait', '"w"', '{"contract":7}'],
    ['a', '', '__proto__', ''],
  ]) {
    await liar.send(frames)
  }
  const client = await connected(t, address.at())
  t.is(await client.add([1, 2]), 3)
})

test('CURVE: who serves has the keys of who binds', async (t) => {
  const { publicKey, secretKey } = library.curveKeyPair()
  const connecting = { publicKey, secretKey, serverKey: publicKey }
  await t.throwsAsync(served(t, (await tcpAddress()).at(), connecting), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
})
