// Handing nameless segments over a socket, also to and from those who mean no good.

import test from 'ava'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import {
  NamelessSegment,
  offerSegments,
  receiveSegments,
  SharedMemory,
  SpscQueue,
  type PeerCredentials,
} from 'millrace'
import type { ExecutionContext } from 'ava'

import { actor } from '../support/actor.js'
import { ownDirectory } from '../support/directory.js'
import { until } from '../support/until.js'

const openFds = () => readdirSync('/proc/self/fd').length
const uid = process.getuid?.() ?? 0
const place = (t: ExecutionContext) => join(ownDirectory(t), 'socket')

/** A Python program that serves one packet, with descriptors, to whoever connects; for what no offer does. */
async function hostileServer(t: ExecutionContext, path: string, body: string): Promise<void> {
  const script = [
    'import array, os, socket, struct, sys, time',
    's = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)',
    's.bind(sys.argv[1]); s.listen(8); print("ready", flush=True)',
    'def head(refused, count, magic=0x52454646_4F4C494D, version=1):',
    '    return struct.pack("<QIIII", magic, version, refused, count, 0)',
    'def fds(list): return [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", list))]',
    'def memfd(): return os.memfd_create("x", os.MFD_ALLOW_SEALING)',
    'def name(text): return bytes([len(text)]) + text.encode()',
    'while True:',
    '    c, _ = s.accept()',
    ...body.split('\n').map((line) => `    ${line}`),
  ].join('\n')
  const server = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => server.kill('SIGKILL'))
  await once(server.stdout, 'data')
}

test.serial('an unrelated process gets the segments, by name', async (t) => {
  const path = place(t)
  using queue = NamelessSegment.create()
  using memory = NamelessSegment.create()
  using grid = SharedMemory.create(memory, 64)
  grid.view(Uint8Array)[5] = 9
  using offer = await offerSegments(path, { queue, memory })
  t.is(statSync(path).mode & 0o7777, 0o600)
  using consumer = SpscQueue.consumer(queue)

  const other = actor(t)
  const seen = await other.do(async ({ receiveSegments, SharedMemory, SpscQueue, own }, from) => {
    const segments = await receiveSegments(from)
    own.producer = SpscQueue.producer(segments['queue']!)
    await own.producer.push('hello')
    const theirs = SharedMemory.open(segments['memory']!)
    return [Object.keys(segments), theirs.view(Uint8Array)[5]]
  }, path)
  t.deepEqual(seen, [['queue', 'memory'], 9])
  t.is((await consumer.pop())?.toString(), 'hello')
  t.is(offer.served, 1)
  t.is(offer.refused, 0)
  const pending = consumer.pop({ timeout: 15_000 })
  await other.kill()
  await t.throwsAsync(pending, { code: 'ERR_MILLRACE_PEER_GONE' })
  offer.close()
  t.deepEqual(readdirSync(join(path, '..')), [])
})

test.serial('many at once are served, and no descriptor is left', async (t) => {
  const path = place(t)
  const round = async () => {
    using segment = NamelessSegment.create()
    using offer = await offerSegments(path, { segment })
    const received = await Promise.all(Array.from({ length: 20 }, () => receiveSegments(path)))
    for (const { segment: got } of received) {
      t.is(got?.name, segment.name)
      got?.close()
    }
    t.is(offer.served, 20)
  }
  await round()
  const before = openFds()
  for (let i = 0; i < 3; i++) await round()
  await until(() => openFds() === before)
  t.is(openFds(), before)
})

test.serial('the offering side turns strangers away, and both are told', async (t) => {
  const path = place(t)
  using segment = NamelessSegment.create()
  for (const allow of [{ uids: [uid + 1] }, { gids: [0xfffe] }, { uids: [uid], pids: [1] }]) {
    const refused: PeerCredentials[] = []
    using offer = await offerSegments(
      path,
      { segment },
      { allow, onRefused: (p) => refused.push(p) },
    )
    await t.throwsAsync(receiveSegments(path), {
      code: 'ERR_MILLRACE_PERMISSION',
      message: new RegExp(
        `refused this process \\(uid ${uid}, .*pid ${process.pid}\\); name it there in allow`,
      ),
    })
    await until(() => offer.refused === 1)
    t.is(offer.served, 0)
    t.deepEqual(refused, [{ uid, gid: process.getgid?.() ?? 0, pid: process.pid }])
  }
})

test.serial('the receiving side takes nothing from strangers', async (t) => {
  const path = place(t)
  using segment = NamelessSegment.create()
  using offer = await offerSegments(path, { segment })
  const before = openFds()
  for (const allow of [{ uids: [uid + 1] }, { gids: [0xfffe] }, { uids: [uid], pids: [1] }]) {
    await t.throwsAsync(receiveSegments(path, { allow }), {
      code: 'ERR_MILLRACE_NOT_OURS',
      message: new RegExp(`process ${process.pid} \\(uid ${uid}, .*not allowed here`),
    })
  }
  await until(() => openFds() === before)
  const got = await receiveSegments(path, { allow: { uids: [uid], pids: [process.pid] } })
  got['segment']?.close()
  t.true(offer.served >= 1)
})

test.serial('a receiver waits for the offer; it gives up, in time or on demand', async (t) => {
  const path = place(t)
  await t.throwsAsync(receiveSegments(path, { timeout: 20 }), {
    code: 'ERR_MILLRACE_NOT_FOUND',
    message: /nobody offered segments at .* within 20 ms: start the process that offers them/u,
  })
  const abort = new AbortController()
  const given = receiveSegments(path, { signal: abort.signal })
  abort.abort()
  await t.throwsAsync(given, { code: 'ERR_MILLRACE_ABORTED' })

  const waiting = receiveSegments(path, { timeout: 15_000 })
  using segment = NamelessSegment.create()
  using offer = await offerSegments(path, { segment })
  t.is((await waiting)['segment']?.name, segment.name)
  t.is(offer.path, path)
})

test.serial('what was needed to offer and to receive is garbage afterwards', async (t) => {
  const path = place(t)
  const handOver = async () => {
    using segment = NamelessSegment.create()
    const { signal } = new AbortController()
    using offer = await offerSegments(path, { segment })
    const got = await receiveSegments(path, { signal })
    got['segment']?.close()
    return [new WeakRef(offer), new WeakRef(signal)]
  }
  const used = await handOver()
  await until(() => {
    globalThis.gc?.()
    return used.every((one) => one.deref() === undefined)
  })
  t.pass()
})

test.serial('a server that never answers is given up', async (t) => {
  const path = place(t)
  await hostileServer(t, path, 'keep = globals().setdefault("kept", []); keep.append(c)')
  const before = openFds()
  await t.throwsAsync(receiveSegments(path, { timeout: 50 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: `an answer at '${path}' did not happen within 50 ms; somebody listens there and did not serve: see what it is and what takes so long, or allow more time`,
  })
  const abort = new AbortController()
  const given = receiveSegments(path, { signal: abort.signal })
  setImmediate(() => {
    abort.abort()
  })
  await t.throwsAsync(given, { code: 'ERR_MILLRACE_ABORTED' })
  t.is(openFds(), before)
})

test.serial('a server that closes at once is asked again, until the time is over', async (t) => {
  const path = place(t)
  await hostileServer(t, path, 'c.close()')
  const before = openFds()
  const began = performance.now()
  // On a busy machine the time may be over between its accepting and its closing.
  await t.throwsAsync(receiveSegments(path, { timeout: 300 }), {
    message: /closed before we were served|an answer at .* did not happen within 300 ms/,
  })
  t.true(performance.now() - began >= 290)
  t.is(openFds(), before)
})

for (const [what, body, code] of [
  ['sends garbage', 'c.send(b"x" * 1000)', 'CORRUPT'],
  ['sends too little', 'c.send(b"x")', 'CORRUPT'],
  ['sends no descriptor', 'c.send(head(0, 1) + name("a"))', 'CORRUPT'],
  [
    'sends more descriptors than names',
    'c.sendmsg([head(0, 1) + name("a")], fds([memfd(), memfd()]))',
    'CORRUPT',
  ],
  [
    'sends fewer descriptors than names',
    'c.sendmsg([head(0, 2) + name("a") + name("b")], fds([memfd()]))',
    'CORRUPT',
  ],
  [
    'sends descriptors of something else',
    'c.sendmsg([head(0, 1) + name("a")], fds([0]))',
    'CORRUPT',
  ],
  [
    'sends a name twice',
    'c.sendmsg([head(0, 2) + name("a") + name("a")], fds([memfd(), memfd()]))',
    'CORRUPT',
  ],
  [
    'sends a name that leads elsewhere',
    'c.sendmsg([head(0, 1) + name("../a")], fds([memfd()]))',
    'CORRUPT',
  ],
  ['cuts a name short', 'c.sendmsg([head(0, 1) + bytes([200]) + b"a"], fds([memfd()]))', 'CORRUPT'],
  ['sends a tail', 'c.sendmsg([head(0, 1) + name("a") + b"more"], fds([memfd()]))', 'CORRUPT'],
  ['sends very much', 'c.sendmsg([head(0, 1) + b"x" * 100000], fds([memfd()]))', 'CORRUPT'],
  [
    'speaks another version',
    'c.sendmsg([head(0, 1, version=9) + name("a")], fds([memfd()]))',
    'LAYOUT',
  ],
  [
    'sends 253 descriptors of nothing',
    'c.sendmsg([head(0, 4000000000)], fds([memfd()] * 253))',
    'CORRUPT',
  ],
] as const) {
  test.serial(`a server that ${what} is an error, and nothing stays open`, async (t) => {
    const path = place(t)
    await hostileServer(t, path, body)
    const before = openFds()
    for (let i = 0; i < 3; i++) {
      await t.throwsAsync(receiveSegments(path, { timeout: 10_000 }), {
        code: `ERR_MILLRACE_${code}`,
      })
    }
    t.is(openFds(), before)
  })
}

test.serial('memory that could be shrunk under us is handed over, but not mapped', async (t) => {
  const path = place(t)
  // It also holds the lock of a role, or the segment would be begun anew, and sealed.
  await hostileServer(
    t,
    path,
    [
      'import fcntl',
      'm = memfd(); os.ftruncate(m, 65536)',
      'mine = os.open("/proc/self/fd/%d" % m, os.O_RDWR)',
      'fcntl.fcntl(mine, 37, struct.pack("hhqqi4x", 1, 0, 1, 1, 0))',
      'c.sendmsg([head(0, 1) + name("a")], fds([m]))',
    ].join('\n'),
  )
  const { a } = await receiveSegments(path)
  t.truthy(a)
  for (const use of [() => SpscQueue.consumer(a!), () => SharedMemory.open(a!)]) {
    t.throws(use, { code: 'ERR_MILLRACE_NOT_OURS', message: /(not sealed|mode)/ })
  }
  a?.close()
})

test.serial('clients that come and go, say nothing or talk do not disturb an offer', async (t) => {
  const path = place(t)
  using segment = NamelessSegment.create()
  using offer = await offerSegments(path, { segment })
  const script = [
    'import socket, sys',
    'for i in range(50):',
    '    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1])',
    '    try:',
    '        if i % 2: s.send(b"x" * 1000)',
    '    except BrokenPipeError: pass # served already',
    '    if i % 3: s.close()',
    'print("done")',
  ].join('\n')
  const client = spawn('python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.teardown(() => client.kill('SIGKILL'))
  await once(client, 'close')
  const got = await receiveSegments(path)
  t.is(got['segment']?.name, segment.name)
  got['segment']?.close()
  await until(() => offer.served + offer.failed >= 51)
  t.is(offer.refused, 0)
})

test.serial('a path is offered at once, and again when its process is dead', async (t) => {
  const path = place(t)
  using segment = NamelessSegment.create()
  const other = actor(t)
  await other.do(async ({ NamelessSegment, offerSegments, own }, at) => {
    own['segment'] = NamelessSegment.create()
    own['offer'] = await offerSegments(at, { segment: own['segment'] as never })
  }, path)
  await t.throwsAsync(offerSegments(path, { segment }), {
    code: 'ERR_MILLRACE_EXISTS',
    message: /another process offers segments/,
  })
  await other.kill()
  t.true(existsSync(path))
  using offer = await offerSegments(path, { segment })
  t.is((await receiveSegments(path))['segment']?.name, segment.name)
  t.false(offer.closed)
})

test.serial('what lies at the path and is no socket of ours stays', async (t) => {
  const path = place(t)
  writeFileSync(path, 'precious')
  using segment = NamelessSegment.create()
  await t.throwsAsync(offerSegments(path, { segment }), { code: 'ERR_MILLRACE_EXISTS' })
  t.deepEqual(readdirSync(join(path, '..')), ['socket'])
})

test.serial('an offer ends with its signal, its scope, its process', async (t) => {
  const path = place(t)
  using segment = NamelessSegment.create()
  const abort = new AbortController()
  const offer = await offerSegments(path, { segment }, { signal: abort.signal, mode: 0o660 })
  t.is(statSync(path).mode & 0o7777, 0o660)
  abort.abort()
  t.true(offer.closed)
  t.false(existsSync(path))
  await t.throwsAsync(offerSegments(path, { segment }, { signal: abort.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  const program = (end: string) =>
    `const { NamelessSegment, offerSegments } = await import('millrace')
     const offer = await offerSegments(${JSON.stringify(path)}, { segment: NamelessSegment.create() })
     ${end}`
  for (const end of ['process.exit(0)', 'offer.unref()']) {
    execFileSync(process.execPath, ['--input-type=module', '-e', program(end)], { timeout: 20_000 })
    t.deepEqual(readdirSync(join(path, '..')), [])
  }
})

test.serial('an offer needs segments and a path that fits', async (t) => {
  const path = place(t)
  using segment = NamelessSegment.create()
  const closed = NamelessSegment.create()
  closed.close()
  const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' } as const
  await t.throwsAsync(offerSegments(path, {}), invalid)
  await t.throwsAsync(offerSegments(path, { a: 7 as never }), invalid)
  await t.throwsAsync(offerSegments('x'.repeat(200), { segment }), invalid)
  await t.throwsAsync(offerSegments('', { segment }), invalid)
  await t.throwsAsync(offerSegments(path, { segment }, { mode: 0o666 }), invalid)
  await t.throwsAsync(offerSegments(path, { segment }, { allow: { uids: [] } }), invalid)
  await t.throwsAsync(receiveSegments(path, { allow: { pids: ['1' as never] } }), invalid)
  await t.throwsAsync(offerSegments(path, { '../a': segment }), {
    code: 'ERR_MILLRACE_INVALID_NAME',
  })
  await t.throwsAsync(offerSegments(path, { closed }), { code: 'ERR_MILLRACE_CLOSED' })
  t.deepEqual(readdirSync(join(path, '..')), [])
})

test.serial('a server that is no packet socket is an error', async (t) => {
  const path = place(t)
  const server = createServer().listen(path)
  await once(server, 'listening')
  await t.throwsAsync(receiveSegments(path, { timeout: 100 }), {
    code: 'ERR_MILLRACE_SYSTEM',
    message: /connect/,
  })
  server.close()
})
