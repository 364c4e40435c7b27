// Calls of a gateway over gRPC, many in one message: they are as those that go one by one, and go so where a server takes none of these.

import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { Gateway, type CallsRoute } from 'millrace/gateway'
import {
  call,
  connect,
  contract,
  serve,
  type HandlerContext,
  type ServeOptions,
} from 'millrace/rpc'

import { ownDirectory } from '../support/directory.js'
import { until, within } from '../support/until.js'

const patience = 40_000
const bundled = '/millrace.Bundled/Calls'

const calc = contract('calc', {
  echo: call<string, string>(),
  wrong: call<string, null>(),
  long: call<number, string>(),
  wait: call<string, string>(),
  told: call<null, { left: number; traceparent: string | undefined }>(),
})

/** The library as a program uses it that has nothing of this package. */
interface Grpc {
  readonly Channel: { readonly prototype: { createCall(...given: readonly unknown[]): object } }
  readonly Server: new () => RawServer
  readonly ServerCredentials: { createInsecure(): object }
  readonly Metadata: new () => { set(name: string, value: string): void }
  readonly credentials: { createInsecure(): object }
  readonly makeGenericClientConstructor: (
    methods: object,
    name: string,
  ) => new (
    target: string,
    credentials: object,
  ) => { open(metadata: object): Duplex; close(): void }
}
interface RawServer {
  tryShutdown(done: (error?: Error) => void): void
  register(path: string, handler: unknown, to: unknown, from: unknown, type: string): void
  bindAsync(
    address: string,
    credentials: object,
    bound: (error: Error | null, port: number) => void,
  ): void
  forceShutdown(): void
}
const grpc = createRequire(import.meta.url)('@grpc/grpc-js') as Grpc

/** The paths of all calls of this process, in their order. */
const paths: string[] = []
const { prototype } = grpc.Channel
// eslint-disable-next-line @typescript-eslint/unbound-method -- it is called on the channel that it is of
const { createCall } = prototype
prototype.createCall = function (this: unknown, ...given: unknown[]) {
  paths.push(given[0] as string)
  return Reflect.apply<unknown, unknown[], object>(createCall, this, given)
}
const count = (path: string): number => paths.filter((one) => one === path).length

interface Seen {
  readonly address: string
  readonly waiting: Map<string, { answer: (text: string) => void; signal: AbortSignal }>
  readonly leave: () => Promise<void>
}

async function served(
  t: ExecutionContext,
  address = 'grpc://127.0.0.1:0/calc',
  options?: ServeOptions,
): Promise<Seen> {
  const waiting: Seen['waiting'] = new Map()
  const server = await serve(
    address,
    calc,
    {
      echo: (text) => text,
      wrong: (code) => {
        throw Object.assign(new RangeError('too far'), { code, data: { at: 7 } })
      },
      long: (length) => 'x'.repeat(length),
      wait: (text, { signal }) =>
        new Promise((answer) => {
          waiting.set(text, { answer, signal })
        }),
      told: (_nothing, { remaining, traceparent }: HandlerContext) => ({
        left: remaining,
        traceparent,
      }),
    },
    options,
  )
  const leave = (): Promise<void> => server[Symbol.asyncDispose]()
  t.teardown(async () => {
    for (const { answer } of waiting.values()) answer('')
    await leave()
  })
  return { address: server.name, waiting, leave }
}

/** A client of a gateway that calls there. */
async function through(t: ExecutionContext, to: string, more: Partial<CallsRoute> = {}) {
  const from = `unix://${join(ownDirectory(t), 'socket')}`
  const reconnect = { base: 5, cap: 20 }
  const { toConnection, ...rest } = more
  const gateway = await Gateway.start({
    host: 'here',
    routes: [{ kind: 'calls', from, to, toConnection: { reconnect, ...toConnection }, ...rest }],
  })
  t.teardown(async () => {
    gateway.close()
    await gateway.drain()
  })
  const near = await connect(from, calc, { waitForServer: patience })
  t.teardown(() => {
    near.close()
  })
  return { near, gateway }
}

/** Until calls go many in a message: one that does not makes a stream of its own. */
async function open(near: { echo(text: string): Promise<string> }): Promise<void> {
  await until(async () => {
    const before = count('/calc/echo')
    await near.echo('')
    return count('/calc/echo') === before
  }, patience)
}

test.serial('calls of a gateway go over one stream, once its server has said so', async (t) => {
  const { address } = await served(t)
  const before = count(bundled)
  const { near } = await through(t, address)
  await open(near)
  const single = count('/calc/echo')
  const texts = Array.from({ length: 1000 }, (_, at) => `${String(at)} ${'x'.repeat(at % 300)}`)
  t.deepEqual(await Promise.all(texts.map((text) => near.echo(text))), texts)
  t.is(count('/calc/echo'), single)
  t.is(count(bundled), before + 1)
})

test.serial(
  'a value that is long goes alone, and one that comes does not harm others',
  async (t) => {
    const { address } = await served(t)
    const { near } = await through(t, address)
    await open(near)
    const single = count('/calc/echo')
    const long = 'x'.repeat(40_000)
    const answers = [near.echo(long), near.echo('short'), near.long(200_000), near.long(3)]
    t.deepEqual(await Promise.all(answers), [long, 'short', 'x'.repeat(200_000), 'xxx'])
    t.is(count('/calc/echo'), single + 1)
  },
)

test.serial('what goes wrong with one call is told that one alone, as ever', async (t) => {
  const { address } = await served(t)
  const { near } = await through(t, address, { toConnection: { maxBytes: 16_384 } })
  await open(near)
  const [wrong, tooLong, good, most] = await Promise.allSettled([
    near.wrong('E_FAR'),
    near.long(20_000),
    near.echo('good'),
    near.long(16_382), // with the quotes of JSON as long as may be
  ])
  const error = (wrong as PromiseRejectedResult).reason as RangeError
  t.true(error instanceof RangeError, String(error))
  t.like(error, { message: 'too far', code: 'E_FAR', data: { at: 7 } })
  const other = (tooLong as PromiseRejectedResult).reason as MillraceError
  t.is(other.code, 'ERR_MILLRACE_TOO_LARGE')
  t.regex(other.message, /20002 vs 16384/)
  t.like(good, { value: 'good' })
  t.is((most as PromiseFulfilledResult<string>).value.length, 16_382)
})

test.serial('messages are as long as the other side takes', async (t) => {
  const maxBytes = 4096
  const { address } = await served(t, undefined, { connection: { maxBytes } })
  const { near } = await through(t, address, { toConnection: { maxBytes } })
  await open(near)
  const single = count('/calc/echo')
  const texts = Array.from({ length: 200 }, (_, at) => `${String(at)} ${'x'.repeat(400)}`)
  t.deepEqual(await Promise.all(texts.map((text) => near.echo(text))), texts)
  t.is(count('/calc/echo'), single)
})

test.serial('an end, a deadline and a trace go along', async (t) => {
  const { address, waiting } = await served(t)
  const { near } = await through(t, address)
  await open(near)
  const control = new AbortController()
  const [ended, given] = [near.wait('ended', { signal: control.signal }), near.wait('given')]
  await until(() => waiting.size === 2, patience)
  control.abort()
  await t.throwsAsync(ended, { code: 'ERR_MILLRACE_ABORTED' })
  await until(() => waiting.get('ended')!.signal.aborted, patience)
  t.like(waiting.get('ended')!.signal.reason, { code: 'ERR_MILLRACE_ABORTED' })
  t.false(waiting.get('given')!.signal.aborted)
  waiting.get('given')!.answer('late')
  t.is(await given, 'late')

  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
  const told = await near.told(null, { timeout: 600_000, traceparent })
  t.true(told.left > 500_000 && told.left <= 600_000, String(told.left))
  t.is(told.traceparent, traceparent)
  await t.throwsAsync(near.wait('short', { timeout: 300 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.is((await near.told(null)).traceparent, undefined)
})

test.serial('a server that closes answers what it has, and refuses the rest', async (t) => {
  const { address, waiting, leave } = await served(t)
  const { near } = await through(t, address)
  await open(near)
  const begun = near.wait('begun')
  await until(() => waiting.has('begun'), patience)
  const left = leave()
  const refused = await t.throwsAsync<MillraceError>(near.echo('late'), {
    code: 'ERR_MILLRACE_NO_RESPONDER',
  })
  t.is(refused.executed, 'no')
  waiting.get('begun')!.answer('in time')
  t.is(await within(patience, begun), 'in time')
  await left
})

test.serial('what is under way when the gateway closes ends at its handler', async (t) => {
  const { address, waiting } = await served(t)
  const { near, gateway } = await through(t, address)
  await open(near)
  const begun = near.wait('begun')
  await until(() => waiting.has('begun'), patience)
  const ended = begun.then(() => undefined)
  gateway.close()
  await t.throwsAsync(within(patience, ended))
  await until(() => waiting.get('begun')!.signal.aborted, patience)
})

/** A server of somebody else's, or an older one: what is called comes to `called`, and streams of many calls, if it takes them, to `opened`. */
async function rawServer(t: ExecutionContext, opened?: (stream: Duplex) => void) {
  const server = new grpc.Server()
  /** What ends the calls of wait() that have come. */
  const slow: (() => void)[] = []
  const same = (bytes: Buffer): Buffer => bytes
  const about = JSON.stringify({ fingerprint: String(calc.fingerprint), description: null })
  const answers: Readonly<Record<string, (input: Buffer) => Buffer>> = {
    'millrace-about': () => Buffer.from(about),
    echo: (input) => input,
  }
  for (const [name, answer] of Object.entries(answers)) {
    const handler = (
      { request }: { request: Buffer },
      done: (error: null, bytes: Buffer) => void,
    ): void => {
      done(null, answer(request))
    }
    server.register(`/calc/${name}`, handler, same, same, 'unary')
  }
  const wait = (
    { request }: { request: Buffer },
    done: (error: null, bytes: Buffer) => void,
  ): void => {
    slow.push(() => {
      done(null, request)
    })
  }
  server.register('/calc/wait', wait, same, same, 'unary')
  if (opened !== undefined) server.register(bundled, opened, same, same, 'bidi')
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure()
    server.bindAsync('127.0.0.1:0', credentials, (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  t.teardown(() => {
    server.forceShutdown()
  })
  return { address: `grpc://127.0.0.1:${String(port)}/calc`, server, slow }
}

test.serial('where a server does not take them so they go one by one', async (t) => {
  const before = count(bundled)
  const { address } = await rawServer(t)
  const { near } = await through(t, address, { contract: calc })
  const single = count('/calc/echo')
  for (const text of ['a', 'b', 'c']) t.is(await near.echo(text), text)
  t.deepEqual(await Promise.all([near.echo('d'), near.echo('e')]), ['d', 'e'])
  t.is(count('/calc/echo'), single + 5)
  t.is(count(bundled), before + 1, 'it is asked once')
})

test.serial(
  'a stream that is cut off ends what was sent over it, and another one comes',
  async (t) => {
    const streams: Duplex[] = []
    const { address } = await rawServer(t, (stream) => {
      stream.on('data', () => came++)
      stream.write(head(1_000_000, 4, '', Buffer.alloc(0)))
      streams.push(stream)
    })
    let came = 0
    const { near } = await through(t, address, { contract: calc })
    const { sent } = await unanswered(near, () => came)
    streams[0]!.emit('error', { code: 14, details: 'cut off' })
    await t.throwsAsync(within(patience, sent), {
      code: 'ERR_MILLRACE_PEER_GONE',
      message: /cut off/,
    })
    // What comes next goes by itself, and makes another stream.
    t.is(await within(patience, near.echo('next')), 'next')
    await until(() => streams.length === 2, patience)
    streams[1]!.write(Buffer.from('garbage that is no message of this'))
    // Those that went over it are told; then they go one by one.
    const again = (): Promise<string> => near.echo('still').catch(() => 'told')
    await until(async () => (await within(patience, again())) === 'still', patience)
  },
)

/** Until one goes over the stream of a server that answers none of those: its signal, and what it is. */
async function unanswered(
  near: { echo(text: string, options: { signal: AbortSignal }): Promise<string> },
  came: () => number,
) {
  const found: { control: AbortController; sent: Promise<string> }[] = []
  await until(async () => {
    const control = new AbortController()
    const sent = near.echo('', { signal: control.signal })
    const isAnswered = await Promise.race([
      sent.then(() => true),
      until(() => came() > 0, patience),
    ])
    if (isAnswered !== true) found.push({ control, sent })
    return found.length > 0
  }, patience)
  return found[0]!
}

test.serial(
  'calls that are aborted are without an answer until the server has said so',
  async (t) => {
    const answers: (() => void)[] = []
    const { address } = await rawServer(t, (stream) => {
      stream.on('data', (message: Buffer) => {
        for (let at = 0; at < message.length; at += lengthAt(message, at)) {
          const number = message.readUInt32LE(at)
          if (message[at + 4] !== 0) continue
          answers.push(() => stream.write(head(number, 0, '', Buffer.from('"late"'))))
        }
      })
      stream.write(head(1_000_000, 4, '', Buffer.alloc(0)))
    })
    const { near } = await through(t, address, { contract: calc, inFlight: 4096 })
    const first = await unanswered(near, () => answers.length)
    first.control.abort()
    await t.throwsAsync(first.sent, { code: 'ERR_MILLRACE_ABORTED' })
    for (const all of [512, 1024]) {
      const control = new AbortController()
      const calls = Array.from({ length: all - answers.length }, () =>
        near.echo('', { signal: control.signal }),
      )
      const ended = Promise.allSettled(calls)
      await until(() => answers.length === all, patience)
      control.abort()
      for (const { status } of await ended) t.is(status, 'rejected')
    }
    const single = count('/calc/echo')
    t.is(await within(patience, near.echo('by itself')), 'by itself')
    t.is(count('/calc/echo'), single + 1)
    // As soon as there is room, the next one goes with others again.
    for (const answer of answers.splice(0)) answer()
    await unanswered(near, () => answers.length)
    answers[0]!()
  },
)

test.serial(
  'of a server that leaves, what is under way ends well, and its stream then',
  async (t) => {
    const streams: Duplex[] = []
    const numbers: number[] = []
    const { address, server, slow } = await rawServer(t, (stream) => {
      streams.push(stream)
      stream.on('data', (message: Buffer) => numbers.push(message.readUInt32LE(0)))
      stream.write(head(1_000_000, 4, '', Buffer.alloc(0)))
    })
    const { near } = await through(t, address, { contract: calc })
    const { sent } = await unanswered(near, () => numbers.length)
    const long = 'x'.repeat(40_000)
    const alone = near.wait(long)
    await until(() => slow.length === 1, patience)
    const left = new Promise<void>((resolve) => {
      server.tryShutdown(() => {
        resolve()
      })
    })
    await until(() => isRefused(near), patience)
    slow[0]!()
    t.is(await within(patience, alone), long)
    t.is(streams.length, 1)
    streams[0]!.write(head(numbers[0]!, 0, '', Buffer.from('"in time"')))
    t.is(await within(patience, sent), 'in time')
    await within(patience, left)
  },
)

/** Is nobody there any more who takes one by itself? */
async function isRefused(near: {
  echo(text: string, options: { timeout: number }): Promise<string>
}): Promise<boolean> {
  return await near.echo('x'.repeat(40_000), { timeout: 500 }).then(
    () => false,
    () => true,
  )
}

test.serial('the first call may end after the server has left', async (t) => {
  const { address, server, slow } = await rawServer(t, () => undefined)
  const { near } = await through(t, address, { contract: calc })
  const alone = near.wait('alone')
  await until(() => slow.length === 1, patience)
  server.tryShutdown(() => undefined)
  await until(() => isRefused(near), patience)
  slow[0]!()
  t.is(await within(patience, alone), 'alone')
})

test.serial(
  'answers that nobody asked for harm nobody, and one that is too long ends its stream alone',
  async (t) => {
    const streams: Duplex[] = []
    const numbers: number[] = []
    const { address } = await rawServer(t, (stream) => {
      streams.push(stream)
      stream.on('data', (message: Buffer) => {
        for (let at = 0; at < message.length; at += lengthAt(message, at)) {
          numbers.push(message.readUInt32LE(at))
        }
      })
      stream.write(head(1_000_000, 4, '', Buffer.alloc(0)))
    })
    const toConnection = { maxBytes: 16_384 }
    const { near } = await through(t, address, { contract: calc, toConnection })
    const first = await unanswered(near, () => numbers.length)
    const second = near.echo('')
    await until(() => numbers.length === 2, patience)
    const [one, other] = numbers as [number, number]
    const text = (said: string): Buffer => Buffer.from(JSON.stringify(said))
    streams[0]!.write(
      Buffer.concat([
        head(one + 1000, 0, '', text('nobody')),
        head(1, 4, '', Buffer.alloc(0)), // once more what it takes
        head(one, 0, '', text('right')),
        head(one, 0, '', text('again')),
      ]),
    )
    t.is(await within(patience, first.sent), 'right')
    // Another one gets its own number, whatever was said of others.
    const third = near.echo('')
    await until(() => numbers.length === 3, patience)
    streams[0]!.write(head(numbers[2]!, 0, '', text('third')))
    t.is(await within(patience, third), 'third')
    streams[0]!.write(head(other, 0, '', Buffer.alloc(20_000, '1')))
    await t.throwsAsync(within(patience, second), {
      code: 'ERR_MILLRACE_TOO_LARGE',
      message: /larger maxBytes/,
    })
    t.is(await within(patience, near.echo('next')), 'next')
    await until(() => streams.length === 2, patience)
  },
)

const lengthAt = (message: Buffer, at: number): number =>
  16 + message[at + 5]! + message.readUInt16LE(at + 6) + message.readUInt32LE(at + 12)

const head = (number: number, kind: number, method: string, input: Buffer): Buffer => {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32LE(number, 0)
  bytes[4] = kind
  bytes.writeUInt16LE(method.length, 6)
  if (kind === 0) bytes.writeUInt32LE(0xffff_ffff, 8)
  bytes.writeUInt32LE(input.length, 12)
  return Buffer.concat([bytes, Buffer.from(method), input])
}

/** Opens a stream of many calls by hand. */
function opened(t: ExecutionContext, address: string) {
  const same = (bytes: Buffer): Buffer => bytes
  const open = {
    ...{ path: bundled, requestStream: true, responseStream: true },
    ...{ requestSerialize: same, requestDeserialize: same },
    ...{ responseSerialize: same, responseDeserialize: same },
  }
  const target = /127\.0\.0\.1:\d+/.exec(address)![0]
  const Client = grpc.makeGenericClientConstructor({ open }, 'raw')
  const client = new Client(target, grpc.credentials.createInsecure())
  t.teardown(() => {
    client.close()
  })
  return (service: string) => {
    const metadata = new grpc.Metadata()
    metadata.set('millrace-service', service)
    const stream = client.open(metadata)
    const messages: Buffer[] = []
    const ended = new Promise<{ code: number; details: string }>((resolve) => {
      stream.on('error', (error) => {
        resolve(error as unknown as { code: number; details: string })
      })
    })
    stream.on('data', (message: Buffer) => messages.push(message))
    return { stream, messages, ended }
  }
}

test.serial(
  'a server says what it takes, and ends a stream of what it does not know',
  async (t) => {
    const { address } = await served(t)
    const open = opened(t, address)
    const good = open('calc')
    await until(() => good.messages.length === 1, patience)
    t.deepEqual(good.messages[0], head(64 * 1024 * 1024, 4, '', Buffer.alloc(0)))
    const input = Buffer.from('"there"')
    good.stream.write(Buffer.concat([head(1, 0, 'echo', input), head(2, 0, 'nothing', input)]))
    const came = (): Buffer => Buffer.concat(good.messages.slice(1))
    await until(() => came().length > 16 * 2 + input.length, patience)
    const all = came()
    const refusedFirst = all.readUInt32LE(0) === 2
    const echoed = refusedFirst ? all.subarray(16 + all.readUInt32LE(12)) : all
    t.deepEqual([echoed.readUInt32LE(0), echoed[4]], [1, 0])
    t.is(echoed.subarray(16, 16 + input.length).toString(), '"there"')
    t.true(all.includes("nobody serves 'nothing' of 'calc' here"))

    t.is((await within(patience, open('other').ended)).code, 5)
    const bad: readonly [bytes: Buffer, why: RegExp][] = [
      [Buffer.from('what is that?'), /cut off/],
      [head(1, 0, 'echo', input).subarray(0, -1), /cut off/],
      [Buffer.concat([head(1, 0, 'wait', input), head(1, 0, 'wait', input)]), /the same number/],
      [
        Buffer.concat(Array.from({ length: 2049 }, (_, at) => head(at, 0, 'wait', input))),
        /2048 calls/,
      ],
    ]
    for (const [bytes, why] of bad) {
      const one = open('calc')
      one.stream.write(bytes)
      const { code, details } = await within(patience, one.ended)
      t.is(code, 3)
      t.regex(details, why)
    }
    // Nobody else hears of it.
    good.stream.write(head(3, 0, 'echo', input))
    const before = all.length
    await until(() => came().length >= before + 16 + input.length, patience)
    good.stream.destroy()
  },
)
