// A way that becomes a hole, of which the system tells neither side: noticed by silence alone, and what is said of what was on its way.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { connect, listen, type Channel, type Listener } from 'millrace/net'

import { Proxy } from '../remote/proxy.js'
import { until, within } from '../support/until.js'

const patience = 30_000
/** Milliseconds of silence that are a death: longer than a busy machine lets a process stand still. */
const heartbeat = 1500

const silent = { code: 'ERR_MILLRACE_PEER_GONE', message: /1500 ms \(heartbeat\)/ } as const

async function listening(t: ExecutionContext, options = {}): Promise<Listener> {
  const listener = await listen('tcp://127.0.0.1:0', { heartbeat, ...options })
  t.teardown(() => listener.close())
  return listener
}

function isOver(channel: Channel): boolean {
  try {
    channel.trySend('')
    return false
  } catch {
    return true
  }
}

async function accepted(t: ExecutionContext, listener: Listener): Promise<Channel> {
  const far = (await within(patience, listener.accept()))!
  t.teardown(() => {
    far.destroy()
  })
  return far
}

test('a hole is a death at both sides: nothing that waits hangs, and the channel is closed', async (t) => {
  const listener = await listening(t, { highWaterMark: 4096 })
  const proxy = new Proxy(listener.address)
  const near = await connect(await proxy.listen(t), { heartbeat, highWaterMark: 4096 })
  t.teardown(() => {
    near.destroy()
  })
  const far = await accepted(t, listener)
  await near.send('there')
  t.is(String(await within(patience, far.receive())), 'there')
  proxy.hole()
  const filling = (async () => {
    for (;;) await near.send(Buffer.alloc(65_536))
  })()
  const waiting: Promise<unknown>[] = [
    near.receive(),
    near.messages().next(),
    filling,
    far.receive(),
  ]
  for (const one of waiting) await t.throwsAsync(within(patience, one), silent)
  for (const channel of [near, far]) {
    t.throws(() => channel.trySend('more'), silent)
    await t.throwsAsync(channel.send('more'), { code: 'ERR_MILLRACE_PEER_GONE' })
    await within(patience, channel.close())
  }
  // It is over for good: what comes out of the hole later is nobody's.
  proxy.heal()
  await until(() => proxy.sockets.size === 0, patience)
  t.is(listener.connections, 0)
})

test('what came before the hole is received, and then the death', async (t) => {
  const listener = await listening(t)
  const proxy = new Proxy(listener.address)
  const near = await connect(await proxy.listen(t), { heartbeat })
  t.teardown(() => {
    near.destroy()
  })
  const far = await accepted(t, listener)
  for (const one of ['one', 'two']) await far.send(one)
  t.is(String(await within(patience, near.receive())), 'one')
  await within(patience, near.send('answer'))
  t.is(String(await within(patience, far.receive())), 'answer') // so the second one has come as well
  proxy.hole()
  await until(() => isOver(near), patience)
  t.is(String(await near.receive()), 'two')
  await t.throwsAsync(near.receive(), silent)
})

test('a hole that is shorter than the silence is no death, and everything comes once and in order', async (t) => {
  const patient = { heartbeat: 60_000 }
  const listener = await listening(t, patient)
  const proxy = new Proxy(listener.address)
  const near = await connect(await proxy.listen(t), { ...patient, reconnect: true })
  t.teardown(() => {
    near.destroy()
  })
  const far = await accepted(t, listener)
  await near.send('0')
  const sends: Promise<void>[] = []
  for (let i = 1; i < 300; i++) {
    if (i % 50 === 10) proxy.hole()
    if (i % 50 === 30) proxy.heal()
    sends.push(near.send(String(i)))
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  for (let i = 0; i < 300; i++) t.is(String(await within(patience, far.receive())), String(i))
  await within(patience, Promise.all(sends))
  t.is(far.tryReceive(), undefined)
  t.is(near.connection.made, 1)
})

test('a channel that comes back says what may not have come, and sends nothing twice', async (t) => {
  const listener = await listening(t)
  const proxy = new Proxy(listener.address)
  const near = await connect(await proxy.listen(t), {
    heartbeat,
    timeout: 500, // of an attempt: into a hole as well
    reconnect: { base: 1, cap: 20 },
  })
  t.teardown(() => {
    near.destroy()
  })
  const heard: string[] = []
  for (const name of ['connecting', 'connected', 'lost', 'waiting', 'closed'] as const) {
    near.on(name, () => heard.push(name))
  }
  const far = await accepted(t, listener)
  await near.send('known')
  const lost = once(near as unknown as EventTarget & NodeJS.EventEmitter, 'lost') as Promise<
    [{ readonly reason: Error; readonly unknown: number }]
  >
  proxy.hole()
  const onTheirWay = [near.send('a'), near.send('b')]
  t.true(near.trySend('c'))
  const ends = Promise.allSettled(onTheirWay)
  const [loss] = await within(patience, lost)
  t.like(loss.reason, { code: silent.code })
  t.is(loss.unknown, 3)
  for (const end of await within(patience, ends)) {
    t.is(end.status, 'rejected')
    t.like((end as PromiseRejectedResult).reason as MillraceError, {
      code: silent.code,
      executed: 'unknown',
    })
  }
  // Attempts into the hole end as well, each after its time.
  await until(() => near.connection.attempts >= 2, patience)
  t.not(near.state, 'connected')
  t.false(near.trySend('not now'))
  await t.throwsAsync(near.send('not now', { timeout: 1 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const later = near.send('later')
  proxy.heal()
  await within(patience, later)
  await near.send('last')
  const came: string[] = []
  // Also of connections that were made of what came out of the hole, and of the first one: nobody receives twice.
  const receive = async (channel: Channel): Promise<void> => {
    for (;;) {
      const message = await channel.receive().catch(() => undefined)
      if (message === undefined) return
      came.push(String(message))
    }
  }
  void receive(far)
  void (async () => {
    for await (const channel of listener) {
      t.teardown(() => {
        channel.destroy()
      })
      void receive(channel)
    }
  })()
  await until(() => came.includes('last'), patience)
  t.is(came[0], 'known')
  t.deepEqual(
    came.filter((one) => !['a', 'b', 'c'].includes(one)),
    ['known', 'later', 'last'],
  )
  t.is(new Set(came).size, came.length)
  t.deepEqual(heard.slice(0, 3), ['lost', 'waiting', 'connecting'])
  t.is(heard.at(-1), 'connected')
  t.deepEqual(heard.filter((name) => name === 'connected').length, 1)
})

test('who connects into a hole is told after its time, and whoever listens keeps nothing of it', async (t) => {
  const listener = await listening(t)
  const proxy = new Proxy(listener.address)
  const address = await proxy.listen(t)
  proxy.hole()
  await t.throwsAsync(within(patience, connect(address, { timeout: 50 })), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /stopped|reach/,
  })
  await t.throwsAsync(within(patience, connect(address, { helloTimeout: 50 })), {
    code: 'ERR_MILLRACE_PROTOCOL',
    message: /in time/,
  })
  proxy.heal()
  await until(() => proxy.sockets.size === 0 && listener.connections === 0, patience)
})

test('a side that stood still does not take the other one for dead: its answer has come meanwhile', async (t) => {
  const pings = new Int32Array(new SharedArrayBuffer(4))
  // It answers while the thread here stands still.
  const source = `
    const { parentPort, workerData } = require('node:worker_threads')
    require('node:net').createServer((socket) => {
      const hello = Buffer.alloc(24)
      hello.write('MLRC')
      hello[4] = hello[5] = 1
      hello.writeUInt32LE(65536, 8)
      socket.write(hello)
      socket.on('error', () => {})
      let skip = 24
      socket.on('data', (bytes) => {
        const own = Math.min(skip, bytes.length)
        skip -= own
        for (let i = own; i < bytes.length; i += 4) {
          Atomics.add(workerData, 0, 1)
          setTimeout(() => socket.write(Buffer.from([0, 0, 0, 0x40])), 20)
        }
      })
    }).listen(0, '127.0.0.1', function () { parentPort.postMessage(this.address().port) })`
  const worker = new Worker(source, { eval: true, workerData: pings })
  t.teardown(() => worker.terminate())
  const [port] = (await within(patience, once(worker, 'message'))) as [number]
  const near = await connect(`tcp://127.0.0.1:${String(port)}`, { heartbeat })
  t.teardown(() => {
    near.destroy()
  })
  let death: unknown
  near.receive().catch((error: unknown) => (death = error))
  while (Atomics.load(pings, 0) === 0) await new Promise((resolve) => setImmediate(resolve))
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, heartbeat)
  const asked = Atomics.load(pings, 0)
  await until(() => death !== undefined || Atomics.load(pings, 0) > asked + 1, patience)
  t.is(death, undefined)
})
