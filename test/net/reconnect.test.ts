// A channel that comes back: what is known of each message, what its user hears of the connection, and how it ends.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { mock } from 'node:test'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { select, type MillraceError } from 'millrace'
import {
  connect,
  listen,
  type Channel,
  type ConnectionEvents,
  type ConnectOptions,
  type Listener,
  type ReconnectingChannel,
  type ReconnectOptions,
} from 'millrace/net'
import { WorkQueue } from 'millrace/work'

import { Proxy } from '../remote/proxy.js'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 15_000
const reconnect: ReconnectOptions = { base: 1, cap: 20 }

interface Scene {
  readonly listener: Listener
  readonly proxy: Proxy
  readonly near: ReconnectingChannel
  /** The other side of the connection that there is now. */
  readonly far: Channel
  /** The names of the events so far. */
  readonly heard: string[]
}

async function reconnecting(
  t: ExecutionContext,
  address: string,
  options: Omit<ConnectOptions, 'reconnect'> = {},
): Promise<ReconnectingChannel> {
  const near = await connect(address, { ...options, reconnect })
  t.teardown(() => {
    near.destroy()
  })
  return near
}

async function scene(
  t: ExecutionContext,
  options: Omit<ConnectOptions, 'reconnect'> = {},
): Promise<Scene> {
  const listener = await listen('tcp://127.0.0.1:0', { highWaterMark: 65_536 })
  t.teardown(() => listener.close())
  const proxy = new Proxy(listener.address)
  const near = await reconnecting(t, await proxy.listen(t), options)
  const heard: string[] = []
  for (const name of ['connecting', 'connected', 'lost', 'waiting', 'closed'] as const) {
    near.on(name, () => heard.push(name))
  }
  return { listener, proxy, near, far: await accepted(t, listener), heard }
}

async function accepted(t: ExecutionContext, listener: Listener): Promise<Channel> {
  const far = (await within(patience, listener.accept()))!
  t.teardown(() => {
    far.destroy()
  })
  return far
}

function next<Name extends keyof ConnectionEvents>(
  near: ReconnectingChannel,
  name: Name,
): Promise<ConnectionEvents[Name]> {
  return within(
    patience,
    new Promise<ConnectionEvents[Name]>((resolve) => {
      near.once(name, (...args) => {
        resolve(args)
      })
    }),
  )
}

const gone = { code: 'ERR_MILLRACE_PEER_GONE' } as const
const closed = { code: 'ERR_MILLRACE_CLOSED' } as const

test('a loop goes on over the next connection, and events say what is between', async (t) => {
  const { listener, proxy, near, far, heard } = await scene(t)
  t.is(near.state, 'connected')
  const messages = near[Symbol.asyncIterator]()
  await far.send('one')
  t.is(String((await within(patience, messages.next())).value), 'one')
  const receiving = messages.next()
  const [lost, waiting, connected] = [
    next(near, 'lost'),
    next(near, 'waiting'),
    next(near, 'connected'),
  ]
  near.once('lost', () => {
    t.is(near.state, 'waiting')
  })
  proxy.cut()
  const [loss] = await lost
  t.like(loss.reason, gone)
  t.is(loss.unknown, 0)
  t.is(loss.dropped, 0)
  const [delay, reason] = await waiting
  t.true(delay >= 0 && delay < 20)
  t.is(reason, loss.reason)
  const [gap] = await connected
  t.is(gap?.reason, loss.reason)
  t.true(gap!.milliseconds >= 0)
  const again = await accepted(t, listener)
  await again.send('two')
  t.is(String((await within(patience, receiving)).value), 'two')
  await near.send('three')
  t.is(String(await within(patience, again.receive())), 'three')
  t.is(near.connection.made, 2)
  t.is(near.connection.attempts, 0)
  t.deepEqual(heard, ['lost', 'waiting', 'connecting', 'connected'])
  await near.close()
  t.is(heard.at(-1), 'closed')
  t.is(near.state, 'closed')
  t.true((await messages.next()).done)
})

test('a send resolves when the message has come; one that was cut off is unknown, and is not sent again', async (t) => {
  const { listener, proxy, near } = await scene(t)
  await within(patience, near.send('known'))
  // More than the system holds on the way, so that some wait for room when it breaks; nobody receives.
  const length = 65_536
  const bytes = Buffer.alloc(length)
  const sends = Array.from({ length: 1000 }, () => near.send(bytes))
  const ends = Promise.allSettled(sends)
  const lost = next(near, 'lost')
  proxy.refuses = true
  proxy.cut()
  const [{ unknown }] = await lost
  t.true(unknown! > 0)
  proxy.refuses = false
  const again = await accepted(t, listener)
  let came = 0
  const receiving = (async () => {
    for await (const one of again) {
      if (one.length !== length) return
      came++
    }
  })()
  const settled = await within(patience, ends)
  await near.send('last')
  await within(patience, receiving)
  const failures = settled.filter((one) => one.status === 'rejected')
  for (const { reason } of failures) {
    t.is((reason as MillraceError).code, gone.code)
    t.is((reason as MillraceError).executed, 'unknown')
  }
  t.is(failures.length, unknown!)
  // Those that had waited for room, and no other.
  t.is(came, settled.length - failures.length)
  t.true(came > 0)
})

test('calls wait for the connection, each as long as it likes; trySend says false', async (t) => {
  const { listener, proxy, near, heard } = await scene(t)
  proxy.refuses = true
  proxy.cut()
  await next(near, 'waiting')
  t.false(near.trySend('not now'))
  t.is(near.tryReceive(), undefined)
  await t.throwsAsync(near.send('x', { timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await t.throwsAsync(near.receive({ timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await t.throwsAsync(near.receive({ signal: AbortSignal.timeout(20) }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  await until(() => near.connection.attempts >= 3, patience)
  t.is((near.connection.lastError as MillraceError | undefined)?.code, gone.code)
  const sending = near.send('later')
  const selected = select([near])
  proxy.refuses = false
  const far = await accepted(t, listener)
  await within(patience, sending)
  t.is(String(await within(patience, far.receive())), 'later')
  await far.send('ready')
  t.is((await within(patience, selected)).index, 0)
  t.is(String(near.tryReceive()), 'ready')
  t.true(near.trySend('now'))
  t.is(heard.filter((name) => name === 'connected').length, 1)
})

test('what came before the end of a connection is received first', async (t) => {
  const { listener, near, far } = await scene(t)
  for (const one of ['one', 'two', 'three']) await far.send(one)
  await until(() => near.tryReceive() !== undefined, patience)
  const lost = next(near, 'lost')
  await far.close()
  await lost
  const again = await accepted(t, listener)
  await again.send('four')
  const into = Buffer.alloc(3)
  t.is(await near.receiveInto(into), 3)
  t.is(String(into), 'two')
  for (const one of ['three', 'four']) t.is(String(await within(patience, near.receive())), one)
})

test('what nobody receives over many connections is bounded, and what is dropped is said', async (t) => {
  const { listener, near, far } = await scene(t, { highWaterMark: 1024 })
  const send = async (channel: Channel): Promise<number> => {
    const lost = next(near, 'lost')
    for (let i = 0; i < 4; i++) await channel.send(Buffer.alloc(600))
    await channel.close()
    return (await lost)[0].dropped!
  }
  t.is(await send(far), 0)
  const dropped = await send(await accepted(t, listener))
  t.true(dropped > 0)
  t.is((await near.receive())!.length, 600)
})

test('a listener of connected sends first', async (t) => {
  const { listener, proxy, near } = await scene(t)
  near.on('connected', () => void near.send('I am back'))
  proxy.refuses = true
  proxy.cut()
  await next(near, 'waiting')
  const waiting = near.send('what waited')
  proxy.refuses = false
  const far = await accepted(t, listener)
  t.is(String(await within(patience, far.receive())), 'I am back')
  t.is(String(await within(patience, far.receive())), 'what waited')
  await waiting
})

test('nobody there is no failure; something else there is one for good', async (t) => {
  const listener = await listen('tcp://127.0.0.1:0')
  const { address } = listener
  await listener.close()
  const near = await reconnecting(t, address)
  t.not(near.state, 'connected')
  t.is((near.connection.lastError as MillraceError).code, 'ERR_MILLRACE_UNREACHABLE')
  t.deepEqual(near.peer, {})
  const late = await listen(address)
  t.teardown(() => late.close())
  await within(patience, near.connected())
  t.is(near.state, 'connected')

  const stranger = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
  })
  await once(stranger.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => stranger.close())
  const { port } = stranger.address() as AddressInfo
  await t.throwsAsync(connect(`tcp://127.0.0.1:${String(port)}`, { reconnect }), {
    code: 'ERR_MILLRACE_PROTOCOL',
  })
})

test('close, destroy and a signal end it, whatever it is at', async (t) => {
  const here = await scene(t)
  const pending = [here.near.receive(), here.near.messages().next()] as const
  await within(patience, here.near.close())
  await t.throwsAsync(pending[0], closed)
  t.true((await pending[1]).done)
  t.is(await within(patience, here.far.receive()), undefined)
  t.throws(() => here.near.trySend('x'), closed)
  await t.throwsAsync(here.near.send('x'), closed)

  const control = new AbortController()
  const away = await scene(t, { signal: control.signal })
  away.proxy.refuses = true
  away.proxy.cut()
  await next(away.near, 'waiting')
  const calls = [away.near.send('x'), away.near.receive(), away.near.connected()]
  control.abort()
  for (const call of calls) await t.throwsAsync(call, { code: 'ERR_MILLRACE_ABORTED' })
  t.is(away.near.state, 'closed')
  t.true(away.near.closed)
  t.is(away.heard.at(-1), 'closed')
  await away.near.close()

  const why = new Error('enough')
  const third = await scene(t)
  const receiving = third.near.receive()
  third.near.destroy(why)
  t.is(await t.throwsAsync(receiving), why)
})

test('with a signal that was aborted before, nobody is connected to', async (t) => {
  const listener = await listen('tcp://127.0.0.1:0')
  t.teardown(() => listener.close())
  const signal = AbortSignal.abort()
  await t.throwsAsync(connect(listener.address, { reconnect, signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  t.is(listener.connections, 0)
})

test('end is for good: what the other side still says is received, and then the loop ends', async (t) => {
  const { listener, near, far } = await scene(t)
  await near.send('question')
  await near.end()
  await t.throwsAsync(near.send('more'), closed)
  t.is(String(await far.receive()), 'question')
  t.is(await within(patience, far.receive()), undefined)
  await far.send('answer')
  const heard: string[] = []
  const ended = next(near, 'closed')
  const loop = (async () => {
    for await (const one of near) heard.push(String(one))
  })()
  await far.close()
  await within(patience, loop)
  await ended
  t.deepEqual(heard, ['answer'])
  t.is(near.state, 'closed')
  t.is(listener.connections, 0)
})

test('where there is nothing to connect to again, it says so', async (t) => {
  for (const address of ['file:///tmp/millrace-none.log', 'fd://63']) {
    await t.throwsAsync(connect(address, { reconnect: true }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /reconnect/,
    })
  }
  for (const wrong of [{ base: 0 }, { base: 5, cap: 1 }, 'yes', { bass: 1 }]) {
    await t.throwsAsync(connect('tcp://127.0.0.1:9', { reconnect: wrong as never }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    })
  }
})

if (process.platform === 'linux') {
  test('over shared memory as well', async (t) => {
    const address = `shm://${uniqueName(t)}`
    const listener = await listen(address)
    t.teardown(() => listener.close())
    const near = await reconnecting(t, address)
    const far = await accepted(t, listener)
    await far.send('one')
    await until(() => near.tryReceive() !== undefined, patience)
    const [lost, receiving] = [next(near, 'lost'), near.receive()]
    far.destroy()
    t.is((await lost)[0].unknown, undefined)
    const again = await accepted(t, listener)
    await near.send('two')
    t.is(String(await within(patience, again.receive())), 'two')
    await again.send('three')
    t.is(String(await within(patience, receiving)), 'three')
  })
}

test.serial('timers that a test has put in the place of the real ones do not matter', async (t) => {
  const { listener, proxy, near, heard } = await scene(t)
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'setImmediate', 'Date'] })
  try {
    proxy.cut()
    await accepted(t, listener).catch(() => undefined)
    await near.connected()
    t.deepEqual(heard, ['lost', 'waiting', 'connecting', 'connected'])
  } finally {
    mock.timers.reset()
  }
})

const program = `
  const { connect, listen } = await import(${JSON.stringify(import.meta.resolve('millrace/net'))})
  const listener = await listen('tcp://127.0.0.1:0')
  const near = await connect(listener.address, { reconnect: { base: 1, cap: 10 } })
  const first = await listener.accept()
  first.destroy()
  const second = await listener.accept()
  await near.send('hello')
  const said = String(await second.receive())
`

test('in a worker thread, and where that is terminated while it waits', async (t) => {
  const source = `
    const run = async () => {
      const { parentPort } = await import('node:worker_threads')
      ${program}
      parentPort.postMessage(said)
      await listener.close()
      second.destroy()
      near.once('waiting', () => parentPort.postMessage('waiting'))
      await near.receive()
    }
    run().catch((error) => setImmediate(() => { throw error }))`
  const worker = new Worker(source, { eval: true })
  const heard: unknown[] = []
  worker.on('message', (one) => heard.push(one))
  const failed = once(worker, 'error').then(([error]) => {
    throw error as Error
  })
  failed.catch(() => undefined)
  await Promise.race([until(() => heard.length === 2, patience), failed])
  t.deepEqual(heard, ['hello', 'waiting'])
  await within(patience, worker.terminate())
})

test('a process ends with it: by unref while it waits, and in a listener of exit nothing hangs', async (t) => {
  const source = `${program}
    process.on('exit', () => {
      let code
      try { code = String(near.trySend('too late')) } catch (error) { code = error.code }
      near.send('too late').catch(() => undefined)
      near.destroy()
      console.log(said, near.state, code)
    })
    near.once('waiting', () => near.unref())
    await listener.close()
    second.destroy()`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  const [out, err, [code]] = await within(
    patience,
    Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close') as Promise<[number]>,
    ]),
  )
  t.is(err, '')
  t.is(code, 0)
  t.regex(out, /^hello closed /)
})

test('handles of the patterns have a connection, with the same events', async (t) => {
  const queue = WorkQueue.open(uniqueName(t))
  t.teardown(() => {
    queue.close()
  })
  t.is(queue.connection, undefined)
  const share = await queue.share('tcp://127.0.0.1:0')
  t.teardown(() => share.close())
  const proxy = new Proxy(share.address)
  const far = WorkQueue.open(await proxy.listen(t), { connection: { reconnect } })
  t.teardown(() => {
    far.close()
  })
  const { connection } = far
  const heard: string[] = []
  for (const name of ['connecting', 'connected', 'lost', 'waiting', 'closed'] as const) {
    connection!.on(name, () => heard.push(name))
  }
  await within(patience, far.push('x'))
  t.is(connection!.state, 'connected')
  proxy.cut()
  await until(() => heard.includes('lost'), patience)
  await within(patience, far.push('y'))
  t.is(connection!.made, 2)
  t.is((connection!.lastError as MillraceError).code, gone.code)
  far.close()
  await until(() => connection!.state === 'closed', patience)
  t.deepEqual(heard, ['connected', 'lost', 'waiting', 'connecting', 'connected', 'closed'])
  while (queue.tryReceive() !== undefined);
})

test.serial('an error of a listener is uncaught, and the connection goes on', async (t) => {
  const { listener, proxy, near } = await scene(t)
  const uncaught: unknown[] = []
  const source = new Error('of the listener')
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.once('uncaughtException', (error) => uncaught.push(error))
  try {
    near.once('lost', () => {
      throw source
    })
    proxy.cut()
    await accepted(t, listener)
    await within(patience, near.connected())
    await until(() => uncaught.length === 1, patience)
  } finally {
    process.removeAllListeners('uncaughtException')
    for (const one of before) process.on('uncaughtException', one)
  }
  t.is(uncaught[0], source)
})

test('a peer that does not answer marks is sent to as ever', async (t) => {
  const came: Buffer[] = []
  const server = createServer((socket: Socket) => {
    socket.on('error', () => undefined)
    const hello = Buffer.alloc(24)
    hello.write('MLRC')
    hello[4] = hello[5] = 1
    hello.writeUInt32LE(65_536, 8)
    socket.write(hello)
    socket.on('data', (bytes: Buffer) => came.push(bytes))
    t.teardown(() => {
      socket.destroy()
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  const near = await reconnecting(t, `tcp://127.0.0.1:${String(port)}`, { heartbeat: 0 })
  await within(patience, near.send('hi'))
  await until(() => Buffer.concat(came).length >= 30, patience)
  t.is(Buffer.concat(came).length, 30)
})
