// Channels over shared memory: what they promise, and what is left of those that die.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { NamelessSegment, offerSegments, select, SpscQueue } from 'millrace'
import { connect, listen, type Channel, type ListenOptions } from 'millrace/net'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 15_000
const onLinux = process.platform === 'linux' ? test : test.skip

function ownAddress(t: ExecutionContext): string {
  const name = uniqueName(t)
  t.teardown(() => {
    const left = readdirSync('/dev/shm').filter((file) => file.includes(`${name}~`))
    if (left.length > 0) throw new Error(`left behind: ${left.join(', ')}`)
  })
  return `shm://${name}`
}

async function ends(
  t: ExecutionContext,
  options: ListenOptions = {},
): Promise<{ near: Channel; far: Channel; address: string }> {
  const address = ownAddress(t)
  const listener = await listen(address, options)
  t.teardown(() => listener.close())
  const [near, far] = await within(patience, Promise.all([connect(address), listener.accept()]))
  t.teardown(() => {
    near.destroy()
    far!.destroy()
  })
  return { near, far: far!, address }
}

/** A process that has `millrace/net`, and says when it has come somewhere. */
function start(t: ExecutionContext, code: string): ChildProcess {
  const program = `const { connect, listen } = require('millrace/net'); (async () => { ${code} })()`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  return child
}

const said = async (child: ChildProcess): Promise<string> =>
  String((await within(patience, once(child.stdout!, 'data')))[0])

const seeded = (length: number): Buffer => {
  const bytes = Buffer.alloc(length)
  for (let i = 0; i < length; i++) bytes[i] = (i * 31 + length) >>> 3
  return bytes
}

/** What a mark begins with: see lib/net/shm/marks.ts. */
const likeMark = Buffer.from('9f4d4c524ec3b1e7010000000a000000', 'hex')

onLinux('more than maxConnections are turned away at once, and told why', async (t) => {
  const { near, address } = await ends(t, { maxConnections: 1 })
  await t.throwsAsync(within(patience, connect(address, { timeout: 2 * patience })), {
    code: 'ERR_MILLRACE_PEER_GONE',
    message: /maxConnections/,
  })
  await near.close()
})

onLinux('messages of any length arrive whole, in order, both ways', async (t) => {
  const { near, far } = await ends(t, { highWaterMark: 65_536 })
  const lengths = [0, 1, 8, 16, 64, 16_383, 16_384, 16_385, 65_536, 1_000_000, 3, 5_000_000, 0]
  for (const [from, to] of [
    [near, far],
    [far, near],
  ] as const) {
    const sent = (async () => {
      for (const length of lengths) await from.send(seeded(length))
      await from.send(likeMark)
    })()
    for (const length of lengths) {
      const message = await within(patience, to.receive())
      t.true(message!.equals(seeded(length)), String(length))
    }
    t.true((await within(patience, to.receive()))!.equals(likeMark))
    await sent
  }
})

onLinux('who is at the other side, and what the channel gives', async (t) => {
  const { near, far } = await ends(t, { maxBytes: 1000 })
  for (const { peer, traits } of [near, far]) {
    t.deepEqual(peer, { uid: process.getuid!(), gid: process.getgid!(), pid: process.pid })
    t.like(traits, { reliable: true, ordered: true, death: 'exact', directions: 'both' })
  }
  t.is(near.traits.maxBytes, 1000)
  t.is(far.traits.maxBytes, 2 ** 26)
  await t.throwsAsync(near.send(Buffer.alloc(1001)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  t.throws(() => near.trySend(Buffer.alloc(1001)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  await near.send(Buffer.alloc(1000))
  t.is((await far.receive())!.length, 1000)
})

onLinux('many tasks send long and short ones at once: each arrives whole', async (t) => {
  const { near, far } = await ends(t, { highWaterMark: 8192 })
  const count = 300
  const got: number[] = []
  const receivers = Array.from({ length: 4 }, async () => {
    for (;;) {
      const message = await far.receive()
      if (message === undefined) return
      t.true(message.subarray(4).every((byte) => byte === message[0]))
      got.push(message.readUInt32LE(0))
    }
  })
  const sent = Array.from({ length: count }, (_, i) => {
    const message = Buffer.alloc(i % 3 === 0 ? 40_000 : 40, i & 255)
    message.writeUInt32LE(i)
    return near.send(message)
  })
  await within(patience, Promise.all(sent))
  await near.end()
  await within(patience, Promise.all(receivers))
  t.deepEqual(
    got.sort((a, b) => a - b),
    Array.from({ length: count }, (_, i) => i),
  )
})

onLinux('a target takes a long message, and one that is too small leaves it', async (t) => {
  const { near, far } = await ends(t, { highWaterMark: 8192 })
  for (const message of [seeded(100_000), seeded(100), seeded(16), likeMark]) {
    const sent = near.send(message)
    await t.throwsAsync(far.receiveInto(Buffer.alloc(4)), { code: 'ERR_MILLRACE_TOO_LARGE' })
    const target = Buffer.alloc(message.length + 1)
    t.is(await within(patience, far.receiveInto(target)), message.length)
    t.true(target.subarray(0, -1).equals(message))
    await sent
  }
  const aborted = AbortSignal.timeout(20)
  await t.throwsAsync(far.receiveInto(Buffer.alloc(4), { signal: aborted }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
})

onLinux(
  'a receiver that stands still lets the sender wait; what waited in vain is not sent',
  async (t) => {
    const { near, far } = await ends(t, { highWaterMark: 8192 })
    let sent = 0
    while (near.trySend(Buffer.alloc(1000))) sent++
    t.true(sent < 9)
    await t.throwsAsync(near.send(Buffer.alloc(1000), { timeout: 20 }), {
      code: 'ERR_MILLRACE_TIMEOUT',
    })
    for (let i = 0; i < sent; i++) t.is((await far.receive())!.length, 1000)
    await near.send('yes')
    t.is(String(await far.receive()), 'yes')
  },
)

onLinux('end() and close(): what was sent arrives, and then loops end', async (t) => {
  const { near, far } = await ends(t)
  for (let i = 0; i < 10; i++) void near.send(String(i))
  await near.end()
  await t.throwsAsync(near.send('more'), { code: 'ERR_MILLRACE_CLOSED' })
  let count = 0
  for await (const message of far) t.is(String(message), String(count++))
  t.is(count, 10)
  await far.send('answer')
  const { source } = (await within(patience, select([near]))) as { source: Channel }
  t.is(source, near)
  t.is(String(near.tryReceive()), 'answer')
  await far.send('last')
  await far.close()
  t.is(String(await near.receive()), 'last')
  t.is(await near.receive(), undefined)
  const pending = near.receive()
  t.is(await pending, undefined)
  await near.close()
  await t.throwsAsync(near.receive(), { code: 'ERR_MILLRACE_CLOSED' })
})

onLinux('who only sends hears that the other side has closed', async (t) => {
  const { near, far } = await ends(t)
  await far.close()
  await until(() => {
    try {
      near.trySend('x')
      return false
    } catch (error) {
      t.is((error as { code?: string }).code, 'ERR_MILLRACE_PEER_GONE')
      return true
    }
  })
})

onLinux('a peer that is killed is gone at once, to who receives and who sends', async (t) => {
  const address = ownAddress(t)
  const listener = await listen(address)
  t.teardown(() => listener.close())
  const child = start(
    t,
    `const c = await connect('${address}'); await c.send('here'); for await (const m of c);`,
  )
  const far = (await within(patience, listener.accept()))!
  t.is(far.peer.pid, child.pid)
  t.is(String(await within(patience, far.receive())), 'here')
  const receiving = far.receive()
  child.kill('SIGKILL')
  await t.throwsAsync(within(patience, receiving), { code: 'ERR_MILLRACE_PEER_GONE' })
  await t.throwsAsync(far.send('x'), { code: 'ERR_MILLRACE_PEER_GONE' })
  await far.close()
  t.is(listener.connections, 0)
})

onLinux('a listener that is killed leaves a socket that the next one takes over', async (t) => {
  const address = ownAddress(t)
  const child = start(
    t,
    `const l = await listen('${address}'); console.log('listens'); const c = await l.accept(); for await (const m of c);`,
  )
  await said(child)
  const channel = await within(patience, connect(address))
  t.teardown(() => {
    channel.destroy()
  })
  await t.throwsAsync(listen(address), { code: 'ERR_MILLRACE_EXISTS' })
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await t.throwsAsync(within(patience, channel.receive()), { code: 'ERR_MILLRACE_PEER_GONE' })
  await ended
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_UNREACHABLE' })
  const listener = await listen(address)
  t.teardown(() => listener.close())
  const [near, far] = await within(patience, Promise.all([connect(address), listener.accept()]))
  await near.close()
  await far!.close()
})

onLinux(
  'what was sent before process.exit() arrives, and the socket goes with the process',
  async (t) => {
    const address = ownAddress(t)
    const child = start(
      t,
      `const l = await listen('${address}'); console.log('listens'); const c = await l.accept();
     for (let i = 0; i < 100; i++) await c.send('m' + i); await c.close(); process.exit(0)`,
    )
    await said(child)
    const channel = await within(patience, connect(address))
    const got: string[] = []
    for await (const message of channel) got.push(String(message))
    t.is(got.length, 100)
    await channel.close()
    await until(() => !existsSync(`/dev/shm/millrace.l.${address.slice(6)}~`))
  },
)

onLinux('nobody, somebody who is not allowed, and names that cannot be', async (t) => {
  const address = ownAddress(t)
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_UNREACHABLE' })
  const listener = await listen(address, { allow: { uids: [process.getuid!() + 1] } })
  t.teardown(() => listener.close())
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_PERMISSION' })
  t.is(listener.refused, 1)
  await t.throwsAsync(connect(address, { allow: { uids: [process.getuid!() + 1] } }), {
    code: 'ERR_MILLRACE_PERMISSION',
  })
  await t.throwsAsync(listen('shm://a/b'), { code: 'ERR_MILLRACE_INVALID_NAME' })
  await t.throwsAsync(listen(`shm://${'a'.repeat(100)}`), { code: 'ERR_MILLRACE_NAME_TOO_LONG' })
})

onLinux('hundreds connect at once, though few may be pending', async (t) => {
  const address = ownAddress(t)
  const listener = await listen(address, { maxPending: 4, highWaterMark: 4096 })
  t.teardown(() => listener.close())
  const count = 200
  const accepted: Channel[] = []
  const all = (async () => {
    while (accepted.length < count) accepted.push((await listener.accept())!)
  })()
  const channels = await within(
    60_000,
    Promise.all(Array.from({ length: count }, () => connect(address, { timeout: 30_000 }))),
  )
  await within(patience, all)
  t.is(listener.connections, count)
  await Promise.all([...channels, ...accepted].map((channel) => channel.close()))
  t.is(listener.connections, 0)
})

onLinux('something else that offers segments there is no listener', async (t) => {
  const address = ownAddress(t)
  const segment = NamelessSegment.create()
  const path = `/dev/shm/millrace.l.${address.slice(6)}~`
  const offer = await offerSegments(path, { other: segment })
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_PROTOCOL' })
  offer.close()
  segment.close()
})

for (const [what, lies] of [
  ['a hello twice', ['9f4d4c524ec3b1e70200000000010000']],
  ['a length that was not allowed', ['9f4d4c524ec3b1e701000000ffffff0f']],
  ['more than it had said', ['9f4d4c524ec3b1e70100000004000000', '0102030405060708']],
  ['a piece of nothing', ['9f4d4c524ec3b1e70100000004000000', '']],
] as const) {
  onLinux(`a peer that lies is found out: ${what}`, async (t) => {
    const address = ownAddress(t)
    const path = `/dev/shm/millrace.l.${address.slice(6)}~`
    const toListener = NamelessSegment.create()
    const fromListener = NamelessSegment.create()
    const liar = SpscQueue.producer(fromListener)
    const ear = SpscQueue.consumer(toListener)
    liar.tryPush(Buffer.from('9f4d4c524ec3b1e70200000000000100', 'hex'))
    const offer = await offerSegments(path, { toListener, fromListener })
    const channel = await within(patience, connect(address))
    offer.close()
    for (const lie of lies) liar.tryPush(Buffer.from(lie, 'hex'))
    await t.throwsAsync(within(patience, channel.receive()), { code: 'ERR_MILLRACE_PROTOCOL' })
    t.true(channel.closed)
    liar.close()
    ear.close({ discard: true })
    toListener.close()
    fromListener.close()
  })
}
