// The transport of examples/transport against who speaks WebSockets and nothing of this package; conformance.test.ts puts it through the
// suite.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectSocket, createServer, type AddressInfo, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { connect as connectTls } from 'node:tls'
import test, { type ExecutionContext } from 'ava'
import { connect, listen, registerTransport, type Channel, type Listener } from 'millrace/net'
import { conformance } from 'millrace/net/conformance'
import { WebSocket, WebSocketServer } from 'ws'

import { secureWebSockets, webSockets } from '../../examples/transport/websocket.js'
import { Proxy } from '../remote/proxy.js'
import { selfSigned } from '../support/certificate.js'

registerTransport(webSockets)
registerTransport(secureWebSockets)

const any = 'ws://127.0.0.1:0/live'

async function listening(
  t: ExecutionContext,
  options: Parameters<typeof listen>[1] = {},
  address = any,
): Promise<Listener> {
  const listener = await listen(address, options)
  t.teardown(() => listener.close())
  return listener
}

/** What any program would connect with; of the options those that WebSockets have. */
function plain(t: ExecutionContext, listener: Listener, options: object = {}): WebSocket {
  const socket = new WebSocket(listener.address.replace(/\?.*/, ''), options)
  socket.on('error', () => undefined)
  t.teardown(() => socket.terminate())
  return socket
}

/** The channel of who comes next. */
async function accepted(t: ExecutionContext, listener: Listener): Promise<Channel> {
  const channel = (await listener.accept({ timeout: 20_000 }))!
  t.teardown(() => channel.destroy())
  return channel
}

async function opened(socket: WebSocket): Promise<void> {
  if (socket.readyState === WebSocket.CONNECTING) await once(socket, 'open')
}

async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + 20_000
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not in time: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

test('text and bytes come from any WebSocket, and go to it as bytes', async (t) => {
  const listener = await listening(t)
  const socket = plain(t, listener)
  const channel = await accepted(t, listener)
  t.regex(channel.peer.address!, /^127\.0\.0\.1:\d+$/)
  await opened(socket)
  socket.send('grüß dich')
  socket.send(Uint8Array.of(1, 2, 3))
  t.is(String(await channel.receive()), 'grüß dich')
  t.deepEqual([...(await channel.receive())!], [1, 2, 3])
  const heard = once(socket, 'message')
  await channel.send('hello')
  const [bytes, isBinary] = (await heard) as [Buffer, boolean]
  t.is(bytes.toString(), 'hello')
  t.true(isBinary)
})

test('each side says the longest message that it takes', async (t) => {
  const listener = await listening(t, { maxBytes: 1000 })
  const near = await connect(listener.address, { maxBytes: 2000 })
  t.teardown(() => near.destroy())
  const far = await accepted(t, listener)
  t.is(near.traits.maxBytes, 1000)
  t.is(far.traits.maxBytes, 2000)
})

test('a message that is too long is judged by its head, after what came before it', async (t) => {
  const listener = await listening(t, { maxBytes: 1000, highWaterMark: 1024 })
  const socket = plain(t, listener)
  const channel = await accepted(t, listener)
  await opened(socket)
  // Nothing of the long one is there but what it says of its length: 8 GB.
  const raw = (socket as unknown as { _socket: Socket })._socket
  // In one piece with more than the channel takes at a time.
  raw.cork()
  for (let i = 0; i < 10; i++) socket.send(Buffer.alloc(500, i))
  raw.write(Buffer.from([0x82, 0xff, 0, 0, 0, 2, 0, 0, 0, 0, 1, 2, 3, 4]))
  process.nextTick(() => raw.uncork())
  const [code] = (await once(socket, 'close')) as [number]
  t.is(code, 1009)
  for (let i = 0; i < 10; i++) {
    t.true((await channel.receive())!.equals(Buffer.alloc(500, i)))
  }
  await t.throwsAsync(channel.receive(), { code: 'ERR_MILLRACE_PROTOCOL' })
})

test('only origins that are named may come; who is no browser has none', async (t) => {
  const page = 'http://127.0.0.1:8080'
  const listener = await listening(t, {}, `${any}?origins=${page},http://localhost:8080`)
  for (const origin of ['http://evil.example', 'null', `${page}/`]) {
    const socket = plain(t, listener, { origin })
    const [, { statusCode }] = (await once(socket, 'unexpected-response')) as [
      unknown,
      { statusCode: number },
    ]
    t.is(statusCode, 403, origin)
  }
  t.is(listener.refused, 3)
  for (const origin of [page, 'http://localhost:8080', undefined]) {
    plain(t, listener, { origin })
    await accepted(t, listener)
  }
  const closed = await listening(t)
  await once(plain(t, closed, { origin: page }), 'unexpected-response')
  t.is(closed.refused, 1)
})

test('another path, no WebSocket, and rubbish are turned away', async (t) => {
  const listener = await listening(t, { helloTimeout: 10_000 })
  const other = listener.address.replace('/live', '/other')
  await t.throwsAsync(connect(other), { code: 'ERR_MILLRACE_UNREACHABLE' })
  const page = await fetch(listener.address.replace('ws:', 'http:'))
  t.is(page.status, 426)
  await page.text()
  const port = Number(new URL(listener.address).port)
  for (const text of [
    'rubbish\r\n\r\n',
    'GET /live HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n',
  ]) {
    const raw = connectSocket(port, '127.0.0.1')
    t.teardown(() => raw.destroy())
    raw.on('error', () => undefined)
    raw.end(text)
    raw.resume()
    await once(raw, 'close')
  }
  t.true(listener.refused >= 3)
  t.is(listener.connections, 0)
})

test('who says nothing has a place for helloTimeout only, and there are maxPending of them', async (t) => {
  const listener = await listening(t, { helloTimeout: 300, maxPending: 2 })
  const port = Number(new URL(listener.address).port)
  const silent = Array.from({ length: 4 }, () => {
    const raw = connectSocket(port, '127.0.0.1')
    t.teardown(() => raw.destroy())
    raw.on('error', () => undefined)
    raw.resume()
    return once(raw, 'close')
  })
  await Promise.all(silent)
  await until(() => listener.refused === 4, 'they are counted')
  plain(t, listener)
  t.false((await accepted(t, listener)).closed)
})

test('more than maxConnections are turned away', async (t) => {
  const listener = await listening(t, { maxConnections: 1 })
  plain(t, listener)
  await accepted(t, listener)
  await t.throwsAsync(connect(listener.address), { code: 'ERR_MILLRACE_UNREACHABLE' })
  t.is(listener.refused, 1)
})

for (const [code, error] of [
  [1000, undefined],
  [1001, undefined],
  [undefined, undefined],
  [1002, 'ERR_MILLRACE_PROTOCOL'],
  [1003, 'ERR_MILLRACE_PROTOCOL'],
  [1007, 'ERR_MILLRACE_PROTOCOL'],
  [1008, 'ERR_MILLRACE_PERMISSION'],
  [1009, 'ERR_MILLRACE_TOO_LARGE'],
  [1011, 'ERR_MILLRACE_PEER_FAILED'],
  [1012, 'ERR_MILLRACE_PEER_GONE'],
  [4001, 'ERR_MILLRACE_PEER_FAILED'],
] as const) {
  test(`close code ${code ?? 'none'} is ${error ?? 'the end'}, after what came before`, async (t) => {
    const listener = await listening(t, { highWaterMark: 1024 })
    const socket = plain(t, listener)
    const channel = await accepted(t, listener)
    await opened(socket)
    // More than the channel takes at a time: the end comes while some of it waits.
    for (let i = 0; i < 20; i++) socket.send(Buffer.alloc(1000))
    socket.send('last words')
    socket.close(code, code === undefined ? undefined : 'why')
    for (let i = 0; i < 20; i++) t.is((await channel.receive())!.length, 1000)
    t.is(String(await channel.receive()), 'last words')
    if (error === undefined) t.is(await channel.receive(), undefined)
    else await t.throwsAsync(channel.receive(), { code: error })
  })
}

test('close() is close code 1000; destroy() is a death', async (t) => {
  const listener = await listening(t)
  for (const [how, expected] of [
    ['close', 1000],
    ['destroy', 1006],
  ] as const) {
    const socket = plain(t, listener)
    const channel = await accepted(t, listener)
    await opened(socket)
    const closed = once(socket, 'close') as Promise<[number]>
    await channel[how]()
    t.is((await closed)[0], expected)
  }
})

// Alone, so that nothing else makes this process late.
test.serial(
  'who answers no ping is dead; who answers lives on, though it says nothing',
  async (t) => {
    const listener = await listening(t, { heartbeat: 1000 })
    const alive = plain(t, listener)
    const living = await accepted(t, listener)
    plain(t, listener, { autoPong: false })
    const dying = await accepted(t, listener)
    const pings = { count: 0 }
    alive.on('ping', () => pings.count++)
    await t.throwsAsync(dying.receive({ timeout: 20_000 }), { code: 'ERR_MILLRACE_PEER_GONE' })
    await until(() => pings.count > 3, 'it is asked')
    await opened(alive)
    alive.send('here')
    t.is(String(await living.receive()), 'here')
  },
)

/** A process of its own, with the transport; `heard` has what it says, line by line. */
function other(t: ExecutionContext, program: string, ...args: string[]) {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `const { connect, listen, registerTransport } = await import('millrace/net')
       const [, transport, ...args] = process.argv
       registerTransport((await import(transport)).webSockets)
       ${program}`,
      new URL('../../examples/transport/websocket.js', import.meta.url).href,
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return { child, heard: async () => (await lines.next()).value as string }
}

const gone = { code: 'ERR_MILLRACE_PEER_GONE' } as const

/** Nothing that waits hangs, nothing more can be sent, and closing it does not wait for anybody. */
async function ended(t: ExecutionContext, channel: Channel, waiting: Promise<unknown>) {
  await t.throwsAsync(waiting, gone)
  await t.throwsAsync(channel.receive({ timeout: 20_000 }), gone)
  await t.throwsAsync(channel.send('to nobody', { timeout: 20_000 }), gone)
  await channel.close({ timeout: 20_000 })
}

// No heartbeat: the system tells of it.
test('who listens and is killed is gone, after all that it had sent', async (t) => {
  const peer = other(
    t,
    `const listener = await listen('ws://127.0.0.1:0/live', { heartbeat: 0 })
     console.log(listener.address)
     const channel = await listener.accept()
     for (let i = 0; i < 3; i++) await channel.send(String(i))
     console.log(String(await channel.receive()))
     setInterval(() => {}, 1000)`,
  )
  const channel = await connect(await peer.heard(), { heartbeat: 0 })
  t.teardown(() => channel.destroy())
  await channel.send('all of it')
  t.is(await peer.heard(), 'all of it')
  peer.child.kill('SIGKILL')
  for (let i = 0; i < 3; i++) t.is(String(await channel.receive()), String(i))
  await ended(t, channel, channel.receive({ timeout: 20_000 }))
})

test('who connected and is killed is gone, with one that waits for room as well', async (t) => {
  const listener = await listening(t, { heartbeat: 0, highWaterMark: 4096 })
  const peer = other(
    t,
    `const channel = await connect(args[0], { heartbeat: 0, highWaterMark: 4096 })
     await channel.send('here')
     setInterval(() => {}, 1000)`,
    listener.address,
  )
  const channel = await accepted(t, listener)
  t.is(String(await channel.receive()), 'here')
  // The other side reads nothing: this one is held up.
  const filling = (async () => {
    for (;;) await channel.send(Buffer.alloc(65_536))
  })()
  filling.catch(() => undefined)
  await until(() => !channel.trySend('x'), 'there is no more room')
  peer.child.kill('SIGKILL')
  await ended(t, channel, filling)
  await until(() => listener.connections === 0, 'its place is free')
})

test('a way that is cut without a close frame is a death at both sides, at once', async (t) => {
  const listener = await listening(t, { heartbeat: 0 })
  const proxy = new Proxy(listener.address.replace('ws:', 'tcp:').replace('/live', ''))
  const way = await proxy.listen(t)
  const near = await connect(`${way.replace('tcp:', 'ws:')}/live`, { heartbeat: 0 })
  t.teardown(() => near.destroy())
  const far = await accepted(t, listener)
  await near.send('there')
  t.is(String(await far.receive()), 'there')
  const waiting = [near.receive({ timeout: 20_000 }), far.receive({ timeout: 20_000 })]
  for (const one of waiting) one.catch(() => undefined)
  proxy.cut()
  await ended(t, near, waiting[0]!)
  await ended(t, far, waiting[1]!)
  await until(() => listener.connections === 0, 'its place is free')
})

test.serial('a way that becomes a hole is a death at both sides, by the heartbeat', async (t) => {
  const heartbeat = 1000
  const listener = await listening(t, { heartbeat })
  const proxy = new Proxy(listener.address.replace('ws:', 'tcp:').replace('/live', ''))
  const way = await proxy.listen(t)
  const near = await connect(`${way.replace('tcp:', 'ws:')}/live`, { heartbeat })
  t.teardown(() => near.destroy())
  const far = await accepted(t, listener)
  await near.send('there')
  t.is(String(await far.receive()), 'there')
  const waiting = [near.receive({ timeout: 20_000 }), far.receive({ timeout: 20_000 })]
  for (const one of waiting) one.catch(() => undefined)
  proxy.hole()
  for (const [i, channel] of [near, far].entries()) {
    await t.throwsAsync(waiting[i]!, { ...gone, message: /1000 ms \(heartbeat\)/ })
    await ended(t, channel, waiting[i]!)
  }
  await until(() => listener.connections === 0, 'its place is free')
})

test('who reads nothing holds the sender up, and bufferedAmount stays small', async (t) => {
  const listener = await listening(t, { highWaterMark: 65_536 })
  const socket = plain(t, listener)
  const channel = await accepted(t, listener)
  await opened(socket)
  socket.pause()
  const message = Buffer.alloc(16_384)
  let sent = 0
  for (;;) {
    try {
      await channel.send(message, { timeout: 200 })
      sent++
    } catch (error) {
      t.is((error as { code: string }).code, 'ERR_MILLRACE_TIMEOUT')
      break
    }
    if (sent * message.length > 64 * 2 ** 20) return t.fail('no back-pressure')
  }
  let got = 0
  socket.on('message', () => got++)
  socket.resume()
  await until(() => got === sent, 'all of it comes')
  t.pass()
})

test('a channel that nobody reads holds up who sends to it', async (t) => {
  const listener = await listening(t, { highWaterMark: 65_536 })
  const socket = plain(t, listener)
  const channel = await accepted(t, listener)
  await opened(socket)
  const message = Buffer.alloc(2 ** 20)
  for (let i = 0; i < 32; i++) socket.send(message)
  // Less is under way than was sent, and it stays so.
  let last = -1
  while (socket.bufferedAmount !== last) {
    last = socket.bufferedAmount
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  t.true(last > 2 ** 20, `${last} bytes wait at the sender`)
  for (let i = 0; i < 32; i++) t.is((await channel.receive())!.length, message.length)
  await until(() => socket.bufferedAmount === 0, 'nothing waits any more')
})

test('connecting to what is no millrace, or nothing, says so', async (t) => {
  const foreign = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end('SSH-2.0-nobody\r\n'))
  })
  foreign.listen(0, '127.0.0.1')
  await once(foreign, 'listening')
  t.teardown(() => foreign.close())
  const { port } = foreign.address() as AddressInfo
  await t.throwsAsync(connect(`ws://127.0.0.1:${port}/`), { code: 'ERR_MILLRACE_PROTOCOL' })

  // Any server of WebSockets is one to connect to.
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  t.teardown(() => server.close())
  server.on('connection', (socket) => socket.on('message', (data) => socket.send(data as Buffer)))
  const channel = await connect(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/echo`)
  await channel.send('there and back')
  t.is(String(await channel.receive()), 'there and back')
  t.is(channel.traits.maxBytes, 2 ** 26)
  await channel.close()
})

test('what leaves this machine must be said', async (t) => {
  for (const address of ['ws://example.org:80/live', 'ws://0.0.0.0:0/live']) {
    await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
    await t.throwsAsync(listen(address), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
  const listener = await listening(t, {}, 'ws://0.0.0.0:0/live?insecure')
  t.regex(listener.address, /^ws:\/\/0\.0\.0\.0:[1-9]\d*\/live\?insecure$/)
})

// By TLS

test('wss:// holds what the suite asks for', async (t) => {
  const { key, cert } = selfSigned()
  const findings = await conformance('wss://127.0.0.1:0/live', {
    listening: { tls: { key, cert } },
    connecting: { tls: { ca: cert } },
    wrong: ['wss://', 'wss://127.0.0.1', 'wss://127.0.0.1:70000/'],
  }).run()
  t.deepEqual(
    findings.filter(({ outcome }) => outcome === 'fails'),
    [],
  )
  t.true(findings.filter(({ outcome }) => outcome === 'holds').length > 25)
})

test('wss:// knows by certificates who is at the other side, and takes nobody else', async (t) => {
  const server = selfSigned()
  const client = selfSigned()
  const address = 'wss://127.0.0.1:0/live'
  const listener = await listening(
    t,
    { tls: { ...server, ca: client.cert, requestCert: true } },
    address,
  )
  const near = await connect(listener.address, { tls: { ...client, ca: server.cert } })
  t.teardown(() => near.destroy())
  const far = await accepted(t, listener)
  for (const { peer } of [near, far]) t.is(peer.certificate?.commonName, 'localhost')
  t.regex(far.peer.address!, /^127\.0\.0\.1:\d+$/)
  await near.send('hello')
  t.is(String(await far.receive()), 'hello')

  await t.throwsAsync(connect(listener.address, { tls: client }), {
    code: 'ERR_MILLRACE_UNREACHABLE',
    message: /certificate of who listens at .* was not taken .*: give that of its authority/,
  })
  for (const nobody of [{}, selfSigned()]) {
    const refused = listener.refused
    await t.throwsAsync(
      (async () => {
        const channel = await connect(listener.address, { tls: { ...nobody, ca: server.cert } })
        t.teardown(() => channel.destroy())
        await channel.receive({ timeout: 20_000 })
      })(),
    )
    await until(() => listener.refused > refused, 'it is counted')
  }
  t.is(listener.connections, 1)
})

test('wss:// without a certificate, and with anybody for the other side, is refused', async (t) => {
  await t.throwsAsync(listen('wss://127.0.0.1:0/live'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /needs a certificate: give tls/,
  })
  await t.throwsAsync(connect('wss://127.0.0.1:1/live', { tls: { rejectUnauthorized: false } }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /tls\.ca/,
  })
})

test('over wss:// who says nothing has a place for helloTimeout only', async (t) => {
  const { key, cert } = selfSigned()
  // Long enough for a handshake on a machine that has other things to do.
  const options = { helloTimeout: 2000, maxPending: 2, tls: { key, cert } }
  const listener = await listening(t, options, 'wss://127.0.0.1:0/live')
  const { port } = new URL(listener.address)
  const said = [
    connectSocket(Number(port), '127.0.0.1'),
    connectTls({ port: Number(port), host: '127.0.0.1', ca: cert }),
  ]
  for (const socket of said) {
    t.teardown(() => socket.destroy())
    socket.on('error', () => undefined)
    socket.resume()
  }
  await Promise.all(said.map((socket) => once(socket, 'close')))
  await until(() => listener.refused === 2, 'they are counted')
  // Who has said what it wants stays, however long.
  const near = await connect(listener.address, { tls: { ca: cert } })
  t.teardown(() => near.destroy())
  const far = await accepted(t, listener)
  await new Promise((resolve) => setTimeout(resolve, 2 * options.helloTimeout))
  await near.send('still here')
  t.is(String(await far.receive()), 'still here')
})
