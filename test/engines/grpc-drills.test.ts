// What goes wrong over gRPC, and who may come, beside what every engine goes through (drills-grpc.test.ts).

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect as connectSocket, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { call, connect, contract, serve, stream, type ConnectOptions } from 'millrace/rpc'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { selfSigned } from '../support/certificate.js'
import { until } from '../support/until.js'
import { freePort } from './support/server.js'

const calc = contract('calc', {
  add: call<readonly [number, number], number>({ idempotent: true }),
  wait: call<string, string>(),
  endless: stream<number, string>(),
})

function folder(t: ExecutionContext): string {
  const made = mkdtempSync(join(tmpdir(), `millrace-grpc-${String(process.pid)}-`))
  t.teardown(() => {
    rmSync(made, { recursive: true, force: true })
  })
  return made
}

/** A process that serves, until it is killed. */
async function serverProcess(t: ExecutionContext, address: string): Promise<ChildProcess> {
  const program = join(folder(t), 'serve.mjs')
  writeFileSync(
    program,
    `import { call, contract, serve, stream } from ${JSON.stringify(import.meta.resolve('millrace/rpc'))}
    const calc = contract('calc', { add: call({ idempotent: true }), wait: call(), endless: stream() })
    await serve(${JSON.stringify(address)}, calc, {
      add: ([a, b]) => a + b,
      wait: () => new Promise(() => undefined),
      async *endless(length) { for (;;) yield 'x'.repeat(length) },
    })
    console.log('serves')`,
  )
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child.stdout, 'data')
  return child
}

async function killed(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

const handlers = {
  add: ([a, b]: readonly [number, number]) => a + b,
  wait: () => new Promise<string>(() => undefined),
  async *endless(length: number) {
    for (;;) yield await Promise.resolve('x'.repeat(length))
  },
}

async function served(
  t: ExecutionContext,
  address: string,
  connection: object = {},
): Promise<string> {
  const server = await serve(address, calc, handlers, { connection, drainOnClose: 0 })
  t.teardown(() => server[Symbol.asyncDispose]())
  return server.name
}

async function sum(
  t: ExecutionContext,
  address: string,
  connection?: ConnectOptions['connection'],
): Promise<number> {
  const client = await connect(address, calc, { connection, waitForServer: 10_000 })
  t.teardown(() => {
    client.close()
  })
  return await client.add([1, 2])
}

test('a stream of a server that is killed ends with PEER_GONE', async (t) => {
  const address = `grpc://127.0.0.1:${String(await freePort())}/calc`
  const server = await serverProcess(t, address)
  const client = await connect(address, calc)
  t.teardown(() => {
    client.close()
  })
  const items = client.endless(100)[Symbol.asyncIterator]()
  await items.next()
  await killed(server)
  const broken = await t.throwsAsync<MillraceError>(async () => {
    for (;;) await items.next()
  })
  t.is(broken.code, 'ERR_MILLRACE_PEER_GONE')
})

test('a server that closes lets calls finish, and takes no more', async (t) => {
  let answer: ((text: string) => void) | undefined
  const server = await serve('grpc://127.0.0.1:0/calc', calc, {
    ...handlers,
    wait: () =>
      new Promise<string>((resolve) => {
        answer = resolve
      }),
  })
  const client = await connect(server.name, calc)
  t.teardown(() => {
    client.close()
  })
  const last = client.wait('x')
  await until(() => answer !== undefined)
  server.close()
  const refused = await t.throwsAsync<MillraceError>(client.add([1, 1]))
  t.deepEqual([refused.code, refused.executed], ['ERR_MILLRACE_NO_RESPONDER', 'no'])
  answer!('done')
  t.is(await last, 'done')
  await server[Symbol.asyncDispose]()
})

test('a server that closes at once tells who waits', async (t) => {
  const server = await serve('grpc://127.0.0.1:0/calc', calc, handlers, { drainOnClose: 0 })
  const client = await connect(server.name, calc)
  t.teardown(() => {
    client.close()
  })
  const waiting = client.wait('x')
  await until(() => server.atWork === 1)
  await server[Symbol.asyncDispose]()
  const gone = await t.throwsAsync<MillraceError>(waiting)
  t.deepEqual([gone.code, gone.executed], ['ERR_MILLRACE_PEER_GONE', 'unknown'])
})

test('a port that somebody has is refused, with its address', async (t) => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  const address = `grpc://127.0.0.1:${String(port)}/calc`
  await t.throwsAsync(served(t, address), {
    code: 'ERR_MILLRACE_EXISTS',
    message: new RegExp(`somebody listens at '${address}' already`),
  })
})

test('several things are served at one address, each until it is closed', async (t) => {
  const one = await serve('grpc://127.0.0.1:0/one', calc, handlers)
  t.teardown(() => one[Symbol.asyncDispose]())
  const there = one.name.replace('/one', '/two')
  const two = await serve(there, calc, handlers)
  t.is(await sum(t, one.name), 3)
  t.is(await sum(t, there), 3)
  await two[Symbol.asyncDispose]()
  t.is(await sum(t, one.name), 3)
  const late = await connect(there, calc)
  await t.throwsAsync(late.add([1, 2]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
  late.close()
  await t.throwsAsync(served(t, there, { maxBytes: 1000 }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /another tls or maxBytes/,
  })
})

test('a socket of this machine is its user’s alone, and one that was left is taken over', async (t) => {
  const path = join(folder(t), 'sock')
  const address = `grpc+unix://${path}/calc`
  const first = await serverProcess(t, address)
  t.is(statSync(path).mode & 0o777, 0o600)
  t.is(await sum(t, address), 3)
  await t.throwsAsync(served(t, address), { code: 'ERR_MILLRACE_EXISTS' })
  await killed(first)
  t.is(await served(t, address), address)
  t.is(await sum(t, address), 3)
})

test('a server needs a certificate, and wants to see one if it says so', async (t) => {
  const mine = selfSigned()
  const other = selfSigned()
  const refusal = async (address: string, tls: object): Promise<void> => {
    const client = await connect(address, calc, { connection: { tls } })
    t.teardown(() => {
      client.close()
    })
    await t.throwsAsync(client.add([1, 2]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
  }
  await t.throwsAsync(served(t, 'grpcs://127.0.0.1:0/calc'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /needs a certificate/,
  })
  const tls = { ...mine, ca: mine.cert, requestCert: true }
  const mutual = await served(t, 'grpcs://127.0.0.1:0/calc', { tls })
  t.is(await sum(t, mutual, { tls: { ...mine, ca: mine.cert } }), 3)
  await refusal(mutual, { ca: mine.cert })
  await refusal(mutual, { ...other, ca: mine.cert })
})

test('who sends garbage is turned away, and nobody else hears of it', async (t) => {
  const address = await served(t, 'grpc://127.0.0.1:0/calc')
  const port = Number(/:(\d+)\//.exec(address)![1])
  for (const garbage of [
    'GET / HTTP/1.1\r\n\r\n',
    '\0'.repeat(100),
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + 'x'.repeat(500),
  ]) {
    const socket = connectSocket(port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.resume()
    const closed = once(socket, 'close')
    socket.write(garbage)
    await closed
  }
  t.is(await sum(t, address), 3)
})

test('who does not speak gRPC is no server, and that is said', async (t) => {
  const other = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end('220 mail.example.com\r\n')
  }).listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const { port } = other.address() as { port: number }
  const client = await connect(`grpc://127.0.0.1:${String(port)}/calc`, calc)
  await t.throwsAsync(client.add([1, 2]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
  t.regex(client.connection!.lastError!.message, /see that a server of gRPC runs there/)
  client.close()
})

test('addresses that mean nothing are refused, and say why', async (t) => {
  const wrong = async (address: string, message: RegExp): Promise<void> => {
    await t.throwsAsync(connect(address, calc), { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message })
  }
  await wrong('grpc://127.0.0.1:5000', /must end with the name of what is served/)
  await wrong('grpc://127.0.0.1:5000/a/b', /must end with the name of what is served/)
  await wrong('grpc://127.0.0.1/calc', /port 0/)
  await wrong('grpc://127.0.0.1:5000/grpc.health.v1.Health', /meaning of their own/)
  await wrong('grpc://a.example:5000/calc', /leaves this machine/)
  await wrong('grpc+unix://sock/calc', /absolute path/)
})

test('work and topics are refused, with what has them', async (t) => {
  t.throws(() => WorkQueue.open('grpc://127.0.0.1:5000/jobs'), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /nats:\/\//,
  })
  t.throws(() => Topics.open('grpc://127.0.0.1:5000/plant'), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await Promise.resolve()
})

test('an open client keeps no process alive', async (t) => {
  const address = await served(t, 'grpc://127.0.0.1:0/calc')
  const program = join(folder(t), 'call.mjs')
  writeFileSync(
    program,
    `import { call, connect, contract, stream } from ${JSON.stringify(import.meta.resolve('millrace/rpc'))}
    const calc = contract('calc', { add: call({ idempotent: true }), wait: call(), endless: stream() })
    const client = await connect(${JSON.stringify(address)}, calc)
    console.log(await client.add([20, 3]))`,
  )
  const child = spawn(process.execPath, [program], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const [code] = (await once(child, 'exit')) as [number]
  t.deepEqual([code, said], [0, '23\n'])
})
