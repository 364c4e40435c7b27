// What a channel promises, over each kind of socket: order, borders, back-pressure, ends, and who is at the other side.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { select, type MillraceError } from 'millrace'
import {
  connect,
  listen,
  type Channel,
  type ConnectOptions,
  type Listener,
  type ListenOptions,
} from 'millrace/net'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 40_000

interface Ends {
  readonly listener: Listener
  /** Who has connected. */
  readonly near: Channel
  /** Who has listened. */
  readonly far: Channel
}

const kinds: readonly (readonly [string, (t: ExecutionContext) => string])[] = [
  ['unix://', socketAddress],
  [
    'unix://@',
    (t) => (process.platform === 'linux' ? `unix://@${uniqueName(t)}` : socketAddress(t)),
  ],
  ['tcp://', () => 'tcp://127.0.0.1:0'],
]

function socketAddress(t: ExecutionContext): string {
  const path = join(tmpdir(), `millrace-${uniqueName(t)}.sock`)
  t.teardown(() => {
    rmSync(path, { force: true })
  })
  return `unix://${path}`
}

async function ends(
  t: ExecutionContext,
  address: string,
  listening: ListenOptions = {},
  connecting: ConnectOptions = {},
): Promise<Ends> {
  const listener = await listen(address, listening)
  t.teardown(() => listener.close())
  const [near, far] = await within(
    patience,
    Promise.all([connect(listener.address, connecting), listener.accept()]),
  )
  t.teardown(() => {
    near.destroy()
    far!.destroy()
  })
  return { listener, near, far: far! }
}

const seeded = (length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + length) >>> 3
  return bytes
}

for (const [kind, addressOf] of kinds) {
  test(`${kind}: messages of any length arrive whole, in order, both ways`, async (t) => {
    const { near, far } = await ends(t, addressOf(t))
    const lengths = [0, 1, 3, 4, 64, 4095, 4096, 4097, 65_531, 65_536, 1_000_000, 3, 3_000_000, 0]
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      const sent = (async () => {
        for (const length of lengths) await from.send(seeded(length))
      })()
      for (const length of lengths) {
        const message = await within(patience, to.receive())
        t.true(message!.equals(seeded(length)), String(length))
        t.is(message!.buffer.byteLength, length, 'memory of its own')
      }
      await sent
    }
  })

  test(`${kind}: many tasks send and receive at once, each in the order of its calls`, async (t) => {
    const { near, far } = await ends(t, addressOf(t), { highWaterMark: 4096 })
    const count = 2000
    const received: number[] = []
    const receivers = Array.from({ length: 8 }, async () => {
      let last = -1
      for (;;) {
        const message = await far.receive()
        if (message === undefined) return
        const number = message.readUInt32LE(0)
        // Which task goes on first is for the event loop to say; what each gets comes in order.
        t.true(number > last, `${String(number)} after ${String(last)}`)
        last = number
        received.push(number)
      }
    })
    const sent = Array.from({ length: count }, (_, i) => {
      const message = Buffer.alloc(i % 17 === 0 ? 5000 : 40)
      message.writeUInt32LE(i)
      return near.send(message)
    })
    await within(patience, Promise.all(sent))
    await near.end()
    await within(patience, Promise.all(receivers))
    t.deepEqual(
      received.toSorted((a, b) => a - b),
      Array.from({ length: count }, (_, i) => i),
    )
  })

  test(`${kind}: a receiver that stands still lets the sender wait, and costs bounded memory`, async (t) => {
    const { near, far } = await ends(
      t,
      addressOf(t),
      { highWaterMark: 65_536 },
      { highWaterMark: 65_536 },
    )
    let sent = 0
    const message = Buffer.alloc(1000)
    while (near.trySend(message) || (await settles(near.send(message, { timeout: 300 })))) sent++
    t.true(sent * 1000 < 16 * 2 ** 20, `${String(sent)} messages`)
    const waiting = near.send('last')
    let got = 0
    for (;;) {
      const one = await within(patience, far.receive())
      if (String(one) === 'last') break
      got++
    }
    await waiting
    t.is(got, sent, 'what ran out of time was not sent')
  })

  test(`${kind}: end() is heard after all that was sent, and the other direction goes on`, async (t) => {
    const { near, far } = await ends(t, addressOf(t))
    for (let i = 0; i < 100; i++) void near.send(String(i))
    await near.end()
    await t.throwsAsync(near.send('more'), { code: 'ERR_MILLRACE_CLOSED' })
    let count = 0
    for await (const message of far) t.is(String(message), String(count++))
    t.is(count, 100)
    await far.send('answer')
    t.is(String(await near.receive()), 'answer')
    await far.end()
    t.is(await near.receive(), undefined)
    t.is(await near.receive(), undefined)
  })

  test(`${kind}: close() loses nothing that was sent; who waits to receive hears CLOSED`, async (t) => {
    const { near, far } = await ends(t, addressOf(t))
    const waiting = t.throwsAsync(near.receive(), { code: 'ERR_MILLRACE_CLOSED' })
    const large = seeded(2_000_000)
    void near.send('first')
    void near.send(large)
    void near.send('last')
    const closed = near.close({ timeout: patience })
    t.is(String(await far.receive()), 'first')
    t.true((await within(patience, far.receive()))!.equals(large))
    t.is(String(await far.receive()), 'last')
    t.is(await far.receive(), undefined)
    await within(patience, closed)
    await waiting
    await t.throwsAsync(far.send('to nobody'), { code: 'ERR_MILLRACE_PEER_GONE' })
    t.throws(() => near.trySend('after'), { code: 'ERR_MILLRACE_CLOSED' })
    await near.close()
  })

  test(`${kind}: destroy() is a death to the other side, after what came`, async (t) => {
    const { near, far } = await ends(t, addressOf(t))
    await near.send('one')
    t.is(String(await far.receive()), 'one')
    const pending = t.throwsAsync(far.receive(), { code: 'ERR_MILLRACE_PEER_GONE' })
    near.destroy(new Error('enough'))
    await within(patience, pending)
    await t.throwsAsync(far.send('two'), { code: 'ERR_MILLRACE_PEER_GONE' })
  })

  test(`${kind}: receiveInto writes where it is told; what does not fit stays`, async (t) => {
    const { near, far } = await ends(t, addressOf(t), { highWaterMark: 4096 })
    const long = seeded(2_000_000)
    const sent = [near.send(long), near.send('short')]
    await t.throwsAsync(within(patience, far.receiveInto(Buffer.alloc(10))), {
      code: 'ERR_MILLRACE_TOO_LARGE',
    })
    const asked: number[] = []
    const target = Buffer.alloc(long.length)
    const length = await within(
      patience,
      far.receiveInto((bytes) => {
        asked.push(bytes)
        return target
      }),
    )
    t.is(length, long.length)
    t.true(target.equals(long))
    t.deepEqual([...new Set(asked)], [long.length])
    const room = new Uint8Array(16)
    t.is(await far.receiveInto(room), 5)
    t.is(Buffer.from(room.subarray(0, 5)).toString(), 'short')
    await Promise.all(sent)
    await near.close()
    t.is(await far.receiveInto(room), undefined)
  })

  test(`${kind}: a receiveInto that is aborted in the middle leaves the message whole`, async (t) => {
    const { near, far } = await ends(t, addressOf(t))
    const long = seeded(40_000_000)
    const control = new AbortController()
    const refused = t.throwsAsync(
      far.receiveInto(
        (bytes) => {
          setImmediate(() => {
            control.abort()
          })
          return Buffer.alloc(bytes)
        },
        { signal: control.signal },
      ),
      { code: 'ERR_MILLRACE_ABORTED' },
    )
    const sent = near.send(long)
    await within(patience, refused)
    t.true((await within(patience, far.receive()))!.equals(long))
    await sent
  })

  test(`${kind}: select tells of messages, of their end, and of connections`, async (t) => {
    const { near, far, listener } = await ends(t, addressOf(t))
    const waiting = select([far, listener], { timeout: patience })
    await near.send('one')
    t.like(await waiting, { index: 0, state: 'ready' })
    t.is(String(far.tryReceive()), 'one')
    const next = select([far, listener], { timeout: patience })
    const another = await connect(listener.address)
    t.like(await next, { index: 1, state: 'ready' })
    const accepted = await listener.accept()
    await another.close()
    t.like(await select([accepted!], { timeout: patience }), { state: 'ended' })
    await listener.close()
    t.like(await select([listener], { timeout: patience }), { state: 'ended' })
  })

  test(`${kind}: a process that exits after close() has lost nothing, one that is killed is missed at once`, async (t) => {
    const listener = await listen(addressOf(t))
    t.teardown(() => listener.close())
    const run = (end: string) =>
      spawn(
        process.execPath,
        [
          '--input-type=module',
          '--eval',
          `import { connect } from 'millrace/net'
           const channel = await connect(process.argv[1])
           for (let i = 0; i < 50; i++) void channel.send(Buffer.alloc(10_000, i))
           ${end}`,
          listener.address,
        ],
        { stdio: ['ignore', 'inherit', 'inherit'] },
      )
    const leaver = run('await channel.close(); process.exit()')
    const far = (await within(patience, listener.accept()))!
    let count = 0
    for await (const message of far) t.is(message[0], count++)
    t.is(count, 50)
    if (leaver.exitCode === null) await once(leaver, 'exit')
    const victim = run('setInterval(() => undefined, 1000)')
    const other = (await within(patience, listener.accept()))!
    for (let i = 0; i < 50; i++) await other.receive()
    victim.kill('SIGKILL')
    await t.throwsAsync(within(patience, other.receive()), { code: 'ERR_MILLRACE_PEER_GONE' })
  })

  test(`${kind}: who is unreferenced lets the process end`, async (t) => {
    const address = addressOf(t)
    const child = spawn(
      process.execPath,
      [
        '--input-type=module',
        '--eval',
        `import { connect, listen } from 'millrace/net'
         const listener = await listen(process.argv[1])
         const [near, far] = await Promise.all([connect(listener.address), listener.accept()])
         listener.unref(); near.unref(); far.unref()
         void far.receive().catch(() => undefined)`,
        address,
      ],
      { stdio: ['ignore', 'inherit', 'inherit'] },
    )
    const [code] = (await within(patience, once(child, 'exit'))) as [number]
    t.is(code, 0)
  })
}

async function settles(sending: Promise<void>): Promise<boolean> {
  try {
    await sending
    return true
  } catch {
    return false
  }
}

test('of a Unix socket the kernel says who is at the other side, and allow is asked first', async (t) => {
  const address = socketAddress(t)
  const { near, far, listener } = await ends(t, address)
  const self = { pid: process.pid, uid: process.getuid!(), gid: process.getgid!() }
  if (process.platform === 'linux') {
    t.like(near.peer, self)
    t.like(far.peer, self)
  }
  t.is(near.traits.death, 'exact')
  t.is(statSync(address.slice('unix://'.length)).mode & 0o777, 0o600)
  const stranger = { uids: [self.uid + 1] }
  await t.throwsAsync(connect(address, { allow: stranger }), { code: 'ERR_MILLRACE_PERMISSION' })
  await until(() => listener.connections === 1, patience)
  await listener.close()
  const strict = await listen(address, { allow: stranger })
  t.teardown(() => strict.close())
  await t.throwsAsync(connect(address))
  await until(() => strict.refused === 1, patience)
  t.is(strict.connections, 0)
})

test('a socket that a killed listener left is replaced; that of a living one is not', async (t) => {
  const address = socketAddress(t)
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `import { listen } from 'millrace/net'
       await listen(process.argv[1])
       console.log('listens')`,
      address,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  await within(patience, once(child.stdout, 'data'))
  await t.throwsAsync(listen(address), { code: 'ERR_MILLRACE_EXISTS' })
  child.kill('SIGKILL')
  await once(child, 'exit')
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_UNREACHABLE' })
  const listeners = await Promise.allSettled([listen(address), listen(address), listen(address)])
  const listening = listeners.filter(({ status }) => status === 'fulfilled')
  t.is(listening.length, 1, 'one of those who come at once')
  const [{ value: listener }] = listening as [PromiseFulfilledResult<Listener>]
  t.teardown(() => listener.close())
  const channel = await connect(address)
  await channel.close()
})

test('tcp:// does not leave this host unless it is said', async (t) => {
  await t.throwsAsync(connect('tcp://192.0.2.1:7'), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /insecure/,
  })
  await t.throwsAsync(listen('tcp://0.0.0.0:0'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  const listener = await listen('tcp://0.0.0.0:0', { insecure: true })
  t.regex(listener.address, /^tcp:\/\/0\.0\.0\.0:[1-9]\d*$/)
  await listener.close()
  await t.throwsAsync(connect(listener.address, { insecure: true }), {
    code: 'ERR_MILLRACE_UNREACHABLE',
  })
})

test('a signal and a time end connecting; a wrong option is named first', async (t) => {
  const listener = await listen('tcp://127.0.0.1:0')
  t.teardown(() => listener.close())
  const aborted = AbortSignal.abort(new Error('not now'))
  await t.throwsAsync(connect(listener.address, { signal: aborted }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  await t.throwsAsync(connect(listener.address, { timeuot: 1 } as never), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
  t.is(listener.connections, 0)
})

test('those who wait for room go one by one: no more than highWaterMark is kept for them', async (t) => {
  const { near, far } = await ends(t, 'tcp://127.0.0.1:0', { highWaterMark: 65_536 })
  const bytes = Buffer.alloc(65_536)
  const sends = Array.from({ length: 1000 }, () => near.send(bytes))
  await within(patience, sends[0]!)
  const settled = Promise.allSettled(sends)
  far.destroy()
  const failures = (await within(patience, settled)).flatMap((one) =>
    one.status === 'rejected' ? [one.reason as MillraceError] : [],
  )
  t.true(failures.every(({ code }) => code === 'ERR_MILLRACE_PEER_GONE'))
  // Those that waited were not sent, and say so; the others are what was kept.
  const kept = failures.filter(({ executed }) => executed !== 'no').length
  t.true(kept < 40, String(kept))
  t.true(failures.length > 500, String(failures.length))
})
