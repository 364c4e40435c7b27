// Somebody at the other side who does not keep to the protocol: costs bounded memory and time, and disturbs nobody else.

import { connect as connectSocket, createServer, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import test, { type ExecutionContext } from 'ava'
import { connect, listen, type Channel, type Listener, type ListenOptions } from 'millrace/net'

import { Random } from '../support/random.js'
import { until, within } from '../support/until.js'

const patience = 20_000

/** As framing.ts describes it. */
function hello({ magic = 'MLRC', first = 1, last = 1, maxBytes = 65_536, heartbeat = 0 } = {}) {
  const bytes = Buffer.alloc(24)
  bytes.write(magic)
  bytes[4] = first
  bytes[5] = last
  bytes.writeUInt32LE(maxBytes, 8)
  bytes.writeUInt32LE(heartbeat, 12)
  return bytes
}

const kinds = { message: 0, end: 1, bye: 2, ping: 3, pong: 4 }

function frame(kind: number, length: number, body = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(4)
  head.writeUInt32LE(((kind << 28) | length) >>> 0)
  return Buffer.concat([head, body])
}

const message = (text: string) => frame(kinds.message, text.length, Buffer.from(text))

async function target(t: ExecutionContext, options: ListenOptions = {}): Promise<Listener> {
  const listener = await listen('tcp://127.0.0.1:0', { heartbeat: 0, ...options })
  t.teardown(() => listener.close())
  return listener
}

async function attacker(t: ExecutionContext, { address }: Listener): Promise<Socket> {
  const port = Number(address.split(':').at(-1))
  const socket = connectSocket({ port, host: '127.0.0.1' })
  socket.on('error', () => undefined)
  t.teardown(() => {
    socket.destroy()
  })
  await within(patience, once(socket, 'connect'))
  return socket
}

/** Somebody who keeps to the protocol is served as ever. */
async function serves(t: ExecutionContext, listener: Listener): Promise<void> {
  const near = await connect(listener.address)
  const far = (await within(patience, listener.accept()))!
  await near.send('ping')
  t.is(String(await within(patience, far.receive())), 'ping')
  const closed = near.close()
  t.is(await far.receive(), undefined)
  await closed
  await far.close()
}

async function accepted(listener: Listener): Promise<Channel> {
  return (await within(patience, listener.accept()))!
}

const strangers: readonly (readonly [string, Buffer])[] = [
  ['an HTTP client', Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')],
  ['a short word', Buffer.from('HELO\n')],
  ['random bytes', Buffer.from(Array.from({ length: 64 }, (_, i) => (i * 167 + 13) & 0xff))],
  ['a later version', hello({ first: 2, last: 9 })],
  ['version 0', hello({ first: 0, last: 0 })],
]

for (const [who, bytes] of strangers) {
  test(`${who} is turned away at once`, async (t) => {
    const listener = await target(t, { helloTimeout: patience })
    const socket = await attacker(t, listener)
    const closed = once(socket.resume(), 'close')
    socket.write(bytes)
    await within(patience / 2, closed)
    t.is(listener.refused, 1)
    t.is(listener.refusals.hello, 1)
    await until(() => listener.connections === 0, patience)
    await serves(t, listener)
  })
}

test('who connects to something else hears what that is not', async (t) => {
  for (const answer of [
    'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n',
    hello({ first: 3, last: 4 }),
  ]) {
    const server = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.write(answer)
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    const { port } = server.address() as AddressInfo
    await t.throwsAsync(connect(`tcp://127.0.0.1:${String(port)}`), {
      code: 'ERR_MILLRACE_PROTOCOL',
    })
    server.close()
  }
})

test('a hello that never comes, or drips, ends after helloTimeout', async (t) => {
  const listener = await target(t, { helloTimeout: 400 })
  const silent = await attacker(t, listener)
  const dripping = await attacker(t, listener)
  // A byte that comes too late is answered by a reset, which ends it as well.
  const closed = [silent, dripping].map(
    (socket) => new Promise((resolve) => socket.resume().once('close', resolve)),
  )
  const bytes = hello()
  let at = 0
  const drip = setInterval(() => {
    dripping.write(bytes.subarray(at, ++at))
  }, 100)
  await within(patience, Promise.all(closed))
  clearInterval(drip)
  t.true(at < bytes.length)
  t.is(listener.refused, 2)
  await serves(t, listener)
})

test('a server that says nothing is not waited for longer than timeout', async (t) => {
  const server = createServer((socket) => {
    t.teardown(() => {
      socket.destroy()
    })
  })
  t.teardown(() => {
    server.close()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  await t.throwsAsync(connect(`tcp://127.0.0.1:${String(port)}`, { timeout: 200 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
  })
})

test('connections, and those that have not said hello, are bounded', async (t) => {
  const listener = await target(t, { maxConnections: 4, maxPending: 2, helloTimeout: patience })
  const flood = await Promise.all(Array.from({ length: 20 }, () => attacker(t, listener)))
  for (const socket of flood) socket.resume()
  await until(() => listener.refused === 18, patience)
  t.is(listener.connections, 2)
  t.is(listener.refusals.pending, 18)
  for (const socket of flood) socket.destroy()
  await until(() => listener.connections === 0, patience)
  const channels = await Promise.all([1, 2].map(() => connect(listener.address)))
  channels.push(...(await Promise.all([3, 4].map(() => connect(listener.address)))))
  await t.throwsAsync(connect(listener.address))
  t.is(listener.connections, 4)
  const { pending, hello: unsaid, connections } = listener.refusals
  t.deepEqual([pending, unsaid, connections], [18, 2, 1])
  t.is(listener.refused, 21)
  for (const channel of channels) channel.destroy()
  await until(() => listener.connections === 0, patience)
})

test('a length that lies takes no memory, and one that is too long ends the channel', async (t) => {
  const listener = await target(t, { maxBytes: 2 ** 28 - 1 })
  const before = process.memoryUsage.rss()
  const liars = await Promise.all(Array.from({ length: 20 }, () => attacker(t, listener)))
  for (const liar of liars) liar.write(Buffer.concat([hello(), frame(kinds.message, 2 ** 28 - 1)]))
  const channels = await Promise.all(liars.map(() => accepted(listener)))
  for (const liar of liars) liar.write('x')
  const witness = await attacker(t, listener)
  witness.write(Buffer.concat([hello(), message('all is well')]))
  t.is(String(await within(patience, (await accepted(listener)).receive())), 'all is well')
  t.true(process.memoryUsage.rss() - before < 64 * 2 ** 20)
  t.true(
    process.memoryUsage().arrayBuffers < 64 * 2 ** 20,
    String(process.memoryUsage().arrayBuffers),
  )
  for (const channel of channels) channel.destroy()

  const strict = await target(t, { maxBytes: 1000 })
  const socket = await attacker(t, strict)
  socket.write(Buffer.concat([hello(), message('fits'), frame(kinds.message, 1001)]))
  const channel = await accepted(strict)
  t.is(String(await channel.receive()), 'fits')
  await t.throwsAsync(within(patience, channel.receive()), { code: 'ERR_MILLRACE_PROTOCOL' })
})

test('frames of a kind that there is not, and ends that have bytes, end the channel', async (t) => {
  const listener = await target(t)
  for (const lie of [frame(7, 0), frame(15, 3), frame(kinds.end, 1), frame(kinds.ping, 9)]) {
    const socket = await attacker(t, listener)
    socket.write(Buffer.concat([hello(), lie]))
    await t.throwsAsync(within(patience, (await accepted(listener)).receive()), {
      code: 'ERR_MILLRACE_PROTOCOL',
    })
  }
  await serves(t, listener)
})

test('a stream that is cut at every byte is understood; one that ends at any is a death', async (t) => {
  const listener = await target(t)
  const whole = Buffer.concat([
    hello(),
    message('one'),
    frame(kinds.ping, 0),
    message(''),
    message('three'),
  ])
  const expected = (bytes: number) => [31, 39, 48].filter((end) => bytes >= end).length
  for (let cut = 24; cut <= whole.length; cut++) {
    const socket = await attacker(t, listener)
    socket.setNoDelay(true)
    socket.write(whole.subarray(0, cut - 1))
    await new Promise<void>((resolve) => setImmediate(resolve))
    socket.end(whole.subarray(cut - 1, cut))
    const channel = await accepted(listener)
    let count = 0
    const failure = await t.throwsAsync(
      (async () => {
        for await (const one of channel) t.is(String(one), ['one', '', 'three'][count++]!)
      })(),
      { code: 'ERR_MILLRACE_PEER_GONE' },
      String(cut),
    )
    t.truthy(failure)
    t.is(count, expected(cut), String(cut))
  }
  for (let cut = 1; cut < 24; cut++) {
    const socket = await attacker(t, listener)
    socket.end(whole.subarray(0, cut))
    await until(() => listener.refused === cut, patience)
  }
})

test('one byte at a time is enough', async (t) => {
  const listener = await target(t)
  const socket = await attacker(t, listener)
  socket.setNoDelay(true)
  const receiving = accepted(listener).then((channel) => channel.receive())
  for (const byte of Buffer.concat([hello(), message('drop by drop')])) {
    socket.write(Buffer.of(byte))
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  t.is(String(await within(patience, receiving)), 'drop by drop')
})

test('who asks for signs of life and does not read them costs no memory', async (t) => {
  const listener = await target(t)
  const socket = await attacker(t, listener)
  socket.pause()
  socket.write(hello())
  const channel = await accepted(listener)
  const pings = Buffer.alloc(4 * 65_536)
  for (let at = 0; at < pings.length; at += 4) frame(kinds.ping, 0).copy(pings, at)
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < 40; i++) {
    if (!socket.write(pings)) await within(patience, once(socket, 'drain'))
  }
  socket.write(message('after all'))
  t.is(String(await within(patience, channel.receive())), 'after all')
  global.gc?.()
  t.true(process.memoryUsage().heapUsed - before < 32 * 2 ** 20)
})

test('empty messages without end fill no memory: nothing more is read', async (t) => {
  const listener = await target(t, { highWaterMark: 65_536 })
  const socket = await attacker(t, listener)
  socket.write(hello())
  const channel = await accepted(listener)
  global.gc?.()
  const before = process.memoryUsage().heapUsed
  const empty = Buffer.alloc(4 * 65_536)
  let written = 0
  for (let i = 0; i < 200; i++) {
    if (socket.write(empty)) written++
    else if (!(await drains(socket))) break
  }
  t.true(written < 200)
  global.gc?.()
  t.true(process.memoryUsage().heapUsed - before < 48 * 2 ** 20)
  t.is((await channel.receive())!.length, 0)
  channel.destroy()
})

async function drains(socket: Socket): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, 500, false)
  })
  const drained = once(socket, 'drain').then(() => true as const)
  const result = await Promise.race([drained, late])
  clearTimeout(timer)
  return result
}

test('more messages a second than maxRate wait, and none is lost', async (t) => {
  const listener = await target(t, { maxRate: 200 })
  const socket = await attacker(t, listener)
  socket.write(hello())
  const channel = await accepted(listener)
  const began = performance.now()
  for (let i = 0; i < 300; i++) socket.write(message(String(i)))
  socket.write(message('last'))
  for (let i = 0; i < 300; i++) t.is(String(await within(patience, channel.receive())), String(i))
  // What one read brought counts for the time after it.
  socket.write(message('later'))
  t.is(String(await within(patience, channel.receive())), 'last')
  t.is(String(await within(patience, channel.receive())), 'later')
  t.true(performance.now() - began >= 400)
})

test('whose silence is longer than heartbeat is dead; who pings and is not received is not', async (t) => {
  const heartbeat = 1500
  const listener = await target(t, { heartbeat })
  const silent = await attacker(t, listener)
  silent.resume()
  silent.write(hello())
  await t.throwsAsync(within(patience, (await accepted(listener)).receive()), {
    code: 'ERR_MILLRACE_PEER_GONE',
  })
  const near = await connect(listener.address, { heartbeat })
  const far = await accepted(listener)
  await new Promise((resolve) => setTimeout(resolve, 3 * heartbeat))
  await near.send('I live')
  t.is(String(await within(patience, far.receive())), 'I live')
  near.destroy()
})

test('who wants a sign of life every millisecond does not get it', async (t) => {
  const listener = await target(t)
  const socket = await attacker(t, listener)
  let bytes = 0
  socket.on('data', (chunk: Buffer) => {
    bytes += chunk.length
  })
  socket.write(hello({ heartbeat: 1 }))
  await accepted(listener)
  await new Promise((resolve) => setTimeout(resolve, 600))
  t.true(bytes - 24 <= 4 * 20, String(bytes))
})

test('whatever comes, each connection ends in order or with a code, and others are served', async (t) => {
  const listener = await target(t, { maxBytes: 4096, highWaterMark: 4096 })
  const known = ['ERR_MILLRACE_PEER_GONE', 'ERR_MILLRACE_PROTOCOL']
  const served = new Set<Promise<void>>()
  const ends = { end: 0, broken: 0 }
  const accepting = (async () => {
    for await (const channel of listener) {
      const serving = (async () => {
        try {
          for await (const one of channel) t.true(one.length <= 4096)
          ends.end++
          await channel.close({ timeout: 500 })
        } catch (error) {
          t.true(known.includes((error as { code?: string }).code!), String(error))
          ends.broken++
        }
      })()
      served.add(serving)
    }
  })()
  const rounds = 400
  for (let seed = 1; seed <= rounds; seed++) {
    const random = new Random(seed)
    const below = (bound: number) => random.below(bound)
    const parts: Buffer[] = [hello({ maxBytes: below(3) === 0 ? below(2 ** 31) : 65_536 })]
    for (let i = below(12); i > 0; i--) {
      if (below(3) === 0) parts.push(frame(below(16), below(3) === 0 ? below(9) : 0))
      else parts.push(message('x'.repeat(below(5000))))
    }
    if (below(3) === 0) parts.push(frame(below(2) === 0 ? kinds.end : kinds.bye, 0))
    const bytes = Buffer.concat(parts)
    for (let i = below(4); i > 0; i--) bytes[below(bytes.length)] = below(256)
    const socket = await attacker(t, listener)
    socket.resume().setNoDelay(true)
    const closed = new Promise((resolve) => socket.once('close', resolve)) // also after an error
    for (let at = 0; at < bytes.length;) {
      const to = at + 1 + below(bytes.length)
      socket.write(bytes.subarray(at, to))
      at = to
      if (below(2) === 0) await new Promise<void>((resolve) => setImmediate(resolve))
    }
    socket.end()
    await within(patience, closed)
  }
  await until(() => listener.connections === 0, patience)
  await serves(t, await target(t))
  await listener.close()
  await accepting
  await within(patience, Promise.all(served))
  t.true(ends.end > 20, String(ends.end))
  t.true(ends.broken > 20, String(ends.broken))
  t.true(listener.refused > 5, String(listener.refused))
})
