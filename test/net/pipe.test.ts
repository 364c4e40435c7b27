// FIFOs: one way, one writer at a time, and what becomes of both sides when the other one dies, leaves, or was never there.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import test, { type ExecutionContext } from 'ava'
import { select } from 'millrace'
import {
  connect,
  listen,
  type Channel,
  type ConnectOptions,
  type ListenOptions,
  type ReconnectingChannel,
} from 'millrace/net'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 20_000

function pipeAt(t: ExecutionContext): { readonly path: string; readonly address: string } {
  const path = join(tmpdir(), `millrace-${uniqueName(t)}.pipe`)
  t.teardown(() => {
    rmSync(path, { force: true, recursive: true })
  })
  return { path, address: `pipe://${path}` }
}

const mkfifo = (path: string) => execFileSync('mkfifo', ['-m', '600', path])

async function ends(
  t: ExecutionContext,
  listening: ListenOptions = {},
  connecting: ConnectOptions = {},
) {
  const { path, address } = pipeAt(t)
  const listener = await listen(address, listening)
  t.teardown(() => listener.close())
  const near = await connect(address, connecting)
  const far = (await within(patience, listener.accept()))!
  t.teardown(() => {
    near.destroy()
    far.destroy()
  })
  return { path, address, listener, near, far }
}

/** A process of its own; `say` lets it go on, `heard` has what it says, line by line. */
function other(t: ExecutionContext, program: string, ...args: string[]) {
  const child: ChildProcess = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `const { connect, listen } = await import('millrace/net')
       const [, ...args] = process.argv
       ${program}`,
      ...args,
    ],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  )
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  const lines = createInterface({ input: child.stdout! })[Symbol.asyncIterator]()
  const exit = once(child, 'exit')
  return {
    child,
    exit,
    heard: async () => (await within(patience, lines.next())).value as string | undefined,
  }
}

async function nextOf(listener: { accept(): Promise<Channel | undefined> }): Promise<Channel> {
  return (await within(patience, listener.accept()))!
}

const seeded = (length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + length) >>> 3
  return bytes
}

test('messages of any length arrive whole and in order, one way', async (t) => {
  const { near, far, listener } = await ends(t)
  t.is(near.traits.directions, 'send')
  t.is(far.traits.directions, 'receive')
  const lengths = [
    0, 1, 3, 4, 64, 4083, 4084, 4096, 4097, 65_531, 65_536, 1_000_000, 3, 3_000_000, 0,
  ]
  const sent = (async () => {
    for (const length of lengths) await near.send(seeded(length))
    await near.close()
  })()
  for (const length of lengths) {
    const message = await within(patience, far.receive())
    t.true(message?.equals(seeded(length)), String(length))
  }
  t.is(await within(patience, far.receive()), undefined)
  await sent
  await far.close()
  await until(() => listener.connections === 0)
})

test('calls that go the wrong way are refused', async (t) => {
  const { near, far } = await ends(t)
  const wrong = { code: 'ERR_MILLRACE_UNSUPPORTED' }
  await t.throwsAsync(near.receive(), wrong)
  await t.throwsAsync(near.receiveInto(Buffer.alloc(1)), wrong)
  t.throws(() => near.tryReceive(), wrong)
  await t.throwsAsync(near.messages().next(), wrong)
  await t.throwsAsync(far.send('x'), wrong)
  t.throws(() => far.trySend('x'), wrong)
  await t.throwsAsync(far.end(), wrong)
  await near.send('and goes on')
  t.is(String(await within(patience, far.receive())), 'and goes on')
})

test('select waits for a message that comes by a FIFO', async (t) => {
  const { near, far } = await ends(t)
  const found = select([far])
  await near.send('x')
  t.is((await within(patience, found)).index, 0)
})

test('a hundred thousand messages of another process come in order', async (t) => {
  const { address } = pipeAt(t)
  const listener = await listen(address)
  t.teardown(() => listener.close())
  const writer = other(
    t,
    `const channel = await connect(args[0])
     for (let i = 0; i < 100_000; i++) await channel.send('m' + i)
     await channel.close()`,
    address,
  )
  const far = await nextOf(listener)
  let count = 0
  for await (const message of far) {
    if (String(message) !== `m${String(count)}`) t.fail(`${String(message)} at ${String(count)}`)
    count++
  }
  t.is(count, 100_000)
  t.deepEqual(await within(patience, writer.exit), [0, null])
})

test('a writer that is killed has died, whatever it was writing; the next one is heard from its beginning', async (t) => {
  const { address } = pipeAt(t)
  const listener = await listen(address)
  t.teardown(() => listener.close())
  for (let round = 0; round < 5; round++) {
    const writer = other(
      t,
      `const channel = await connect(args[0])
       for (let i = 0; ; i++) {
         const message = Buffer.alloc(4 + (i * 7919) % 50_000, i)
         message.writeUInt32LE(i)
         await channel.send(message)
       }`,
      address,
    )
    const far = await nextOf(listener)
    const last = Math.floor(Math.random() * 60)
    let count = 0
    const error = await t.throwsAsync(
      within(
        patience,
        (async () => {
          for await (const message of far) {
            const isWhole = message.length === 4 + ((count * 7919) % 50_000)
            if (message.readUInt32LE() !== count || !isWhole)
              t.fail(`${String(count)} is not whole`)
            if (count === last) writer.child.kill('SIGKILL')
            count++
          }
        })(),
      ),
      { code: 'ERR_MILLRACE_PEER_GONE' },
    )
    t.truthy(error)
    t.true(count > last)
  }
})

test('an end is no death: end() ends the loop, and so does close()', async (t) => {
  const { near, far } = await ends(t)
  await near.send('one')
  await near.end()
  t.is(String(await within(patience, far.receive())), 'one')
  t.is(await within(patience, far.receive()), undefined)
  await t.throwsAsync(near.send('two'), { code: 'ERR_MILLRACE_CLOSED' })
  await near.close()
  t.is(await within(patience, far.receive()), undefined)
})

test('writers come one after the other, and one that comes before its turn is told', async (t) => {
  const { near, far, listener, address } = await ends(t)
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_ROLE_TAKEN' })
  await near.send('of the first')
  await near.close()
  const second = await connect(address)
  await second.send('of the second')
  // What the first one sent, and that it has left, is seen although the second one is there.
  t.is(String(await within(patience, far.receive())), 'of the first')
  t.is(await within(patience, far.receive()), undefined)
  await far.close()
  const next = await nextOf(listener)
  t.is(String(await within(patience, next.receive())), 'of the second')
  await second.close()
  t.is(await within(patience, next.receive()), undefined)
})

test('a connection that is given up while it is there already is none, and the next one writes', async (t) => {
  const { address } = pipeAt(t)
  const listener = await listen(address)
  t.teardown(() => listener.close())
  const control = new AbortController()
  const connecting = connect(address, { signal: control.signal })
  control.abort()
  await t.throwsAsync(connecting, { code: 'ERR_MILLRACE_ABORTED' })
  let near = await connect(address).catch(() => undefined)
  // The one that was given up may be leaving yet.
  await until(async () => (near ??= await connect(address).catch(() => undefined)) !== undefined)
  await near!.send('of the next')
  for (;;) {
    const far = await nextOf(listener)
    const message = await within(
      patience,
      far.receive().catch(() => undefined),
    )
    await far.close()
    if (message === undefined) continue
    t.is(String(message), 'of the next')
    break
  }
  near!.destroy()
})

test('there is one who listens', async (t) => {
  const { address } = pipeAt(t)
  const listener = await listen(address)
  t.teardown(() => listener.close())
  await t.throwsAsync(listen(address), { code: 'ERR_MILLRACE_EXISTS' })
})

test('nobody who listens, nothing there, a file of another kind, a path that is none', async (t) => {
  const { path, address } = pipeAt(t)
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_UNREACHABLE' })
  mkfifo(path)
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_UNREACHABLE' })
  rmSync(path)
  writeFileSync(path, 'mine')
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_EXISTS', message: /no FIFO/ })
  await t.throwsAsync(listen(address), { code: 'ERR_MILLRACE_EXISTS', message: /no FIFO/ })
  rmSync(path)
  mkdirSync(path)
  await t.throwsAsync(listen(address), { code: 'ERR_MILLRACE_EXISTS', message: /no FIFO/ })
  for (const wrong of ['pipe://relative', 'pipe://', 'pipe:///dir/', 'pipe:///x?y=1']) {
    await t.throwsAsync(connect(wrong), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }, wrong)
    await t.throwsAsync(listen(wrong), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }, wrong)
  }
  await t.throwsAsync(listen(`${address}/below/it`), { code: 'ERR_MILLRACE_NOT_FOUND' })
})

test('its rights are what mode says, and whose it is counts', async (t) => {
  const { path, address } = pipeAt(t)
  const listener = await listen(address, { mode: 0o660 })
  t.is(lstatSync(path).mode & 0o777, 0o660)
  const allow = { uids: [process.geteuid!() + 1] }
  await t.throwsAsync(connect(address, { allow }), { code: 'ERR_MILLRACE_PERMISSION' })
  await listener.close()
  t.false(existsSync(path))

  const plain = await listen(address)
  t.is(lstatSync(path).mode & 0o777, 0o600)
  await plain.close()

  mkfifo(path)
  chmodSync(path, 0o666)
  await t.throwsAsync(listen(address), { code: 'ERR_MILLRACE_PERMISSION' })
  await t.throwsAsync(listen(address, { allow }), { code: 'ERR_MILLRACE_PERMISSION' })
})

test('a FIFO that was there stays there', async (t) => {
  const { path, address } = pipeAt(t)
  mkfifo(path)
  const listener = await listen(address)
  const channel = await connect(address)
  const far = await nextOf(listener)
  await channel.send('x')
  t.is(String(await within(patience, far.receive())), 'x')
  await channel.close()
  await far.close()
  await listener.close()
  t.true(statSync(path).isFIFO())
})

test('what was accepted goes on when its listener is closed', async (t) => {
  const { near, far, listener, path } = await ends(t)
  await listener.close()
  t.false(existsSync(path))
  await near.send('still there')
  t.is(String(await within(patience, far.receive())), 'still there')
  await near.close()
  t.is(await within(patience, far.receive()), undefined)
})

test('whoever writes to one that has died is told, with one that waits for room as well', async (t) => {
  const { address } = pipeAt(t)
  const reader = other(
    t,
    `const listener = await listen(args[0])
     console.log('listens')
     const channel = await listener.accept()
     console.log(String(await channel.receive()))
     setInterval(() => {}, 1000)`,
    address,
  )
  t.is(await reader.heard(), 'listens')
  const channel = await connect(address, { highWaterMark: 1024 })
  t.teardown(() => {
    channel.destroy()
  })
  await channel.send('hello')
  t.is(await reader.heard(), 'hello')
  const filling = (async () => {
    for (;;) await channel.send(Buffer.alloc(100_000))
  })()
  filling.catch(() => undefined)
  reader.child.kill('SIGKILL')
  await t.throwsAsync(within(patience, filling), { code: 'ERR_MILLRACE_PEER_GONE' })
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_UNREACHABLE' })
})

test('a writer that is killed while it says nothing is gone at once, after all that it had sent', async (t) => {
  const { address } = pipeAt(t)
  const listener = await listen(address, { highWaterMark: 1024 })
  t.teardown(() => listener.close())
  const writer = other(
    t,
    `const channel = await connect(args[0])
     for (let i = 0; i < 20; i++) await channel.send(Buffer.alloc(1000, i))
     await channel.send('last words')
     // The channel has it then. In a later turn of the event loop it is in the FIFO.
     setTimeout(() => console.log('sent'), 20)
     setInterval(() => {}, 1000)`,
    address,
  )
  const far = await nextOf(listener)
  t.is(far.traits.death, 'exact')
  t.is(await writer.heard(), 'sent')
  // Most of it waits in the FIFO: the receiver has been taking nothing.
  writer.child.kill('SIGKILL')
  await within(patience, writer.exit)
  for (let i = 0; i < 20; i++) {
    t.true((await within(patience, far.receive()))!.equals(Buffer.alloc(1000, i)))
  }
  t.is(String(await within(patience, far.receive())), 'last words')
  const gone = { code: 'ERR_MILLRACE_PEER_GONE' }
  await t.throwsAsync(within(patience, far.receive()), gone)
  await t.throwsAsync(within(patience, far.messages().next()), gone)
  t.throws(() => far.tryReceive(), gone)
  await within(patience, far.close())
  await until(() => listener.connections === 0)
})

test('who waits for a message of a writer that is killed hears of it, and select does', async (t) => {
  const { address } = pipeAt(t)
  const listener = await listen(address)
  t.teardown(() => listener.close())
  const writer = other(
    t,
    `const channel = await connect(args[0])
     await channel.send('here')
     setInterval(() => {}, 1000)`,
    address,
  )
  const far = await nextOf(listener)
  t.is(String(await within(patience, far.receive())), 'here')
  const gone = { code: 'ERR_MILLRACE_PEER_GONE' }
  const waiting = [far.receive(), far.receiveInto(Buffer.alloc(9))]
  for (const one of waiting) one.catch(() => undefined)
  const selected = select([far])
  writer.child.kill('SIGKILL')
  for (const one of waiting) await t.throwsAsync(within<unknown>(patience, one), gone)
  t.is((await within(patience, selected)).state, 'failed')
})

/** A process that listens, has taken one message, and takes no more. */
async function idleReader(t: ExecutionContext, address: string, options: ConnectOptions = {}) {
  const reader = other(
    t,
    `const listener = await listen(args[0])
     console.log('listens')
     const channel = await listener.accept()
     console.log(String(await channel.receive()))
     setInterval(() => {}, 1000)`,
    address,
  )
  t.is(await reader.heard(), 'listens')
  const channel = await connect(address, options)
  t.teardown(() => {
    channel.destroy()
  })
  await channel.send('here')
  t.is(await reader.heard(), 'here')
  return { reader, channel }
}

/** What ends it: the messages that are sent until it does. */
async function sendUntilOver(channel: Channel): Promise<never> {
  for (;;) {
    await channel.send('to nobody')
    await new Promise(setImmediate)
  }
}

test('who writes to a reader that was killed while nothing was said is told by the next messages', async (t) => {
  const { address } = pipeAt(t)
  const { reader, channel } = await idleReader(t, address)
  t.is(channel.traits.death, 'exact')
  reader.child.kill('SIGKILL')
  await within(patience, reader.exit)
  const gone = { code: 'ERR_MILLRACE_PEER_GONE' }
  await t.throwsAsync(within(patience, sendUntilOver(channel)), gone)
  t.throws(() => channel.trySend('x'), gone)
  await t.throwsAsync(within(patience, channel.end()), gone)
  await within(patience, channel.close())
})

test('the end of a writer whose reader was killed is no success, and closing does not wait', async (t) => {
  const { address } = pipeAt(t)
  const { reader, channel } = await idleReader(t, address)
  reader.child.kill('SIGKILL')
  await within(patience, reader.exit)
  await t.throwsAsync(within(patience, channel.end()), { code: 'ERR_MILLRACE_PEER_GONE' })
  const before = performance.now()
  await channel.close({ timeout: patience })
  t.true(performance.now() - before < patience / 2)
})

test('a channel that comes back goes on with the next listener, when the first was killed', async (t) => {
  const { address } = pipeAt(t)
  const { reader, channel } = await idleReader(t, address, { reconnect: { base: 5, cap: 20 } })
  reader.child.kill('SIGKILL')
  await within(patience, reader.exit)
  const { connection } = channel as ReconnectingChannel
  await until(() => {
    channel.trySend('to nobody')
    return connection.state !== 'connected'
  })
  const waiting = channel.send('to somebody') // waits for the connection
  const listener = await listen(address)
  t.teardown(() => listener.close())
  await within(patience, waiting)
  const far = await nextOf(listener)
  t.is(String(await within(patience, far.receive())), 'to somebody')
})

test('a reader that is stopped holds up its writer, and little is kept for it', async (t) => {
  const { address } = pipeAt(t)
  const reader = other(
    t,
    `const listener = await listen(args[0], { highWaterMark: 65_536 })
     console.log('listens')
     const channel = await listener.accept()
     console.log('accepted')
     let bytes = 0
     for await (const message of channel) bytes += message.length
     console.log(bytes)
     await listener.close()`,
    address,
  )
  t.is(await reader.heard(), 'listens')
  const channel = await connect(address, { highWaterMark: 65_536 })
  t.is(await reader.heard(), 'accepted')
  reader.child.kill('SIGSTOP')
  let bytes = 0
  const message = Buffer.alloc(1000)
  const filling = (async () => {
    for (;;) {
      await channel.send(message, { timeout: 500 })
      bytes += message.length
      // The FIFO may take 1 MiB, where somebody has let it.
      if (bytes > 8 * 2 ** 20) throw new Error('there is no end of it')
    }
  })()
  await t.throwsAsync(within(patience, filling), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.false(channel.trySend(message))
  reader.child.kill('SIGCONT')
  await within(patience, channel.close())
  t.is(await reader.heard(), String(bytes))
  t.deepEqual(await within(patience, reader.exit), [0, null])
})

test('a channel that nobody receives from holds up its writer as well', async (t) => {
  const { near, far } = await ends(t, { highWaterMark: 10_000 }, { highWaterMark: 10_000 })
  let count = 0
  const filling = (async () => {
    for (; count < 10_000; count++) await near.send(Buffer.alloc(1000, count), { timeout: 500 })
  })()
  await t.throwsAsync(within(patience, filling), { code: 'ERR_MILLRACE_TIMEOUT' })
  const closed = near.close()
  let received = 0
  for await (const message of far) t.is(message[0], received++ & 255)
  t.is(received, count)
  await within(patience, closed)
})

for (const how of ['close', 'destroy'] as const) {
  test(`${how}() of who receives ends who sends, and the next one is heard`, async (t) => {
    const { near, far, listener, address } = await ends(t)
    await near.send('x')
    t.is(String(await within(patience, far.receive())), 'x')
    await far[how]()
    const error = await within(
      patience,
      (async () => {
        for (;;) {
          try {
            await near.send('y')
          } catch (error) {
            return error as NodeJS.ErrnoException
          }
          await new Promise(setImmediate)
        }
      })(),
    )
    t.is(error.code, 'ERR_MILLRACE_PEER_GONE')
    near.destroy()
    const next = await connect(address)
    await next.send('z')
    const another = await nextOf(listener)
    t.is(String(await within(patience, another.receive())), 'z')
    next.destroy()
    another.destroy()
  })
}

test('who wrote to one that listened before is told by one that listens now', async (t) => {
  const { path, address } = pipeAt(t)
  mkfifo(path) // that stays when the first one goes
  const first = other(
    t,
    `const listener = await listen(args[0])
     console.log('listens')
     await listener.accept()
     console.log('accepted')
     setInterval(() => {}, 1000)`,
    address,
  )
  t.is(await first.heard(), 'listens')
  const channel = await connect(address)
  t.teardown(() => {
    channel.destroy()
  })
  t.is(await first.heard(), 'accepted')
  first.child.kill('SIGKILL')
  await within(patience, first.exit)
  const listener = await listen(address)
  t.teardown(() => listener.close())
  await t.throwsAsync(
    within(
      patience,
      (async () => {
        for (;;) {
          await channel.send('into nothing')
          await new Promise(setImmediate)
        }
      })(),
    ),
    { code: 'ERR_MILLRACE_PEER_GONE' },
  )
  const next = await connect(address)
  await next.send('to somebody')
  t.is(String(await within(patience, (await nextOf(listener)).receive())), 'to somebody')
  next.destroy()
})

test('who writes something else is turned away, and others are heard after it', async (t) => {
  const { path, address } = pipeAt(t)
  const listener = await listen(address)
  t.teardown(() => listener.close())
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK)
  t.teardown(() => {
    closeSync(fd)
  })
  writeSync(fd, 'GET / HTTP/1.1\r\n\r\n')
  await until(() => listener.refused === 1)
  const channel = await connect(address)
  await channel.send('x')
  const far = await nextOf(listener)
  t.is(String(await within(patience, far.receive())), 'x')
  channel.destroy()
  await t.throwsAsync(within(patience, far.receive()), { code: 'ERR_MILLRACE_PEER_GONE' })
})

test('a message that is longer than the reader takes ends the channel at both sides', async (t) => {
  const { near, far } = await ends(t, { maxBytes: 1000 }, { maxBytes: 2000 })
  t.is(near.traits.maxBytes, 2000)
  await t.throwsAsync(near.send(Buffer.alloc(2001)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  await near.send(Buffer.alloc(1000))
  await near.send(Buffer.alloc(1001))
  t.is((await within(patience, far.receive()))!.length, 1000)
  await t.throwsAsync(within(patience, far.receive()), { code: 'ERR_MILLRACE_PROTOCOL' })
  await t.throwsAsync(
    within(
      patience,
      (async () => {
        for (;;) {
          await near.send('x')
          await new Promise(setImmediate)
        }
      })(),
    ),
    { code: 'ERR_MILLRACE_PEER_GONE' },
  )
})

test('a FIFO that somebody removes ends its listener with the reason', async (t) => {
  const { near, far, listener, path } = await ends(t)
  rmSync(path)
  await near.close()
  t.is(await within(patience, far.receive()), undefined)
  await t.throwsAsync(within(patience, listener.accept()), {
    code: 'ERR_MILLRACE_NOT_FOUND',
    message: /removed/,
  })
})

test('with timers and clocks that a test has put in the place of the real ones', async (t) => {
  const { address } = pipeAt(t)
  const program = other(
    t,
    `const { mock } = await import('node:test')
     mock.timers.enable()
     const listener = await listen(args[0])
     const channel = await connect(args[0])
     const far = await listener.accept()
     await channel.send('x')
     console.log(String(await far.receive()))
     const sent = channel.send(Buffer.alloc(500_000))
     console.log((await far.receive()).length)
     await sent
     await channel.close()
     await far.close()
     await listener.close()
     console.log('closed')`,
    address,
  )
  t.is(await program.heard(), 'x')
  t.is(await program.heard(), '500000')
  t.is(await program.heard(), 'closed')
  t.deepEqual(await within(patience, program.exit), [0, null])
})

test('a channel keeps its process alive until it is closed, or unref() was called', async (t) => {
  const { address } = pipeAt(t)
  const idle = other(
    t,
    `const listener = await listen(args[0])
     const channel = await connect(args[0])
     const far = await listener.accept()
     for (const one of [listener, channel, far]) one.unref()
     console.log('idle')`,
    address,
  )
  t.is(await idle.heard(), 'idle')
  t.deepEqual(await within(patience, idle.exit), [0, null])
  rmSync(address.slice('pipe://'.length), { force: true })
})
