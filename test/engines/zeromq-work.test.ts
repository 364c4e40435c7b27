// Work over PUSH and PULL of ZeroMQ.

import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { run } from '../support/process.js'
import { until, within } from '../support/until.js'
import { foreign, ipcAddress, library, python, tcpAddress } from './support/zeromq.js'

const patience = { timeout: 5000 }

function open(t: ExecutionContext, address: string, options?: WorkQueueOptions): WorkQueue {
  const queue = WorkQueue.open(address, options)
  t.teardown(() => {
    queue.close()
  })
  return queue
}

const textOf = (job: Job) => job.copy().toString()

for (const [kind, addressOf] of [
  ['zmq+tcp', tcpAddress],
  ['zmq+ipc', () => Promise.resolve(ipcAddress())],
] as const) {
  test(`${kind}: jobs go from who pushes to who takes, in their order, whichever of them binds`, async (t) => {
    for (const [pushes, takes] of [
      ['?bind', ''],
      ['', '?bind'],
    ] as const) {
      const address = await addressOf()
      const [pushing, taking] = [open(t, address.at(pushes)), open(t, address.at(takes))]
      const pushed = pushing.pushBatch(['a', 'b', 'c'], patience)
      const texts: string[] = []
      while (texts.length < 3) {
        for (const job of await taking.takeBatch(10, patience)) {
          texts.push(textOf(job))
          t.is(job.attempt, 1)
          await job.complete()
        }
      }
      t.deepEqual(texts, ['a', 'b', 'c'])
      t.is(await pushed, 3)
    }
  })
}

test('who is full for longer than a heartbeat loses nothing', async (t) => {
  const address = await tcpAddress()
  const connection = { heartbeat: 300 }
  const pushing = open(t, address.at('?bind'), { jobs: 10, connection })
  const taking = open(t, address.at(), { jobs: 10, connection })
  const [first] = await Promise.all([
    taking.takeBatch(1, patience),
    pushing.push(Buffer.alloc(100_000), patience),
  ])
  await first[0]!.complete()
  let sent = 1
  while (sent < 10_000) {
    const told = await pushing.push(Buffer.alloc(100_000, sent % 251), { timeout: 500 }).then(
      () => true,
      () => false,
    )
    if (!told) break
    sent++
  }
  t.true(sent > 10 && sent < 10_000)
  // Ten times as long as who shows no sign of life is waited for.
  await pause(3000)
  for (let next = 1; next < sent;) {
    for (const job of await taking.takeBatch(10, patience)) {
      t.is(job.bytes[0], next++ % 251)
      await job.complete()
    }
  }
})

test('who is full survives that who pushes is killed', async (t) => {
  const address = await tcpAddress()
  const connection = { heartbeat: 300 }
  const taking = open(t, address.at('?bind'), { jobs: 10, connection })
  await taking.connected(patience)
  const waiting = taking.takeBatch(1, patience)
  const pusher = python(
    t,
    `
push = context.socket(zmq.PUSH); push.setsockopt(zmq.SNDTIMEO, 500); push.setsockopt(zmq.SNDHWM, 10)
push.connect(args[0])
try:
    while True:
        push.send(bytes(100_000))
except zmq.Again:
    print('full', flush=True)
context.destroy(linger=-1)
`,
    [address.endpoint],
  )
  await (await waiting)[0]!.complete()
  await pusher.printed('full', 60_000)
  await pusher.kill()
  await pause(2000)
  t.true((await taking.takeBatch(5, patience)).length > 0)
})

test('traits say that nothing is promised but an order', async (t) => {
  const queue = open(t, (await tcpAddress()).at())
  const { local, dedups, priorities, groups, redelivers } = queue.traits
  t.deepEqual([local, dedups, priorities, groups, redelivers], [false, false, false, false, false])
  await queue.connected(patience)
  t.deepEqual([queue.jobs, queue.maxAttempts, queue.durability], [1000, 5, 'memory'])
})

test("Python's PULL takes what is pushed here, and its PUSH gives jobs to here", async (t) => {
  const [there, back] = [await tcpAddress(), await tcpAddress()]
  const worker = python(
    t,
    `
pull = context.socket(zmq.PULL); pull.connect(args[0])
push = context.socket(zmq.PUSH); push.connect(args[1])
while True:
    frames = pull.recv_multipart()
    push.send(b'done ' + b'|'.join(frames))
`,
    [there.endpoint, back.endpoint],
  )
  t.true(worker.pid > 0)
  const pushing = open(t, there.at('?bind'))
  const taking = open(t, back.at('?bind'))
  await pushing.push('plain', patience)
  t.is(textOf(await taking.takeOne(patience)), 'done plain')
  await pushing.push('more', { id: 'i', group: 'g', ...patience })
  t.is(textOf(await taking.takeOne(patience)), 'done more|{"id":"i","group":"g"}')
})

test('what a job says of itself goes along; what somebody else sends that is none is left out', async (t) => {
  const address = await tcpAddress()
  const [pushing, taking] = [open(t, address.at('?bind')), open(t, address.at())]
  const waiting = taking.takeOne(patience)
  await pushing.push('x', { id: 'order 7', group: 'g', ...patience })
  const job = await waiting
  t.deepEqual([job.id, job.group, job.priority], ['order 7', 'g', 0])

  const other = await tcpAddress()
  const push = foreign(t, 'Push')
  push.connect(other.endpoint)
  const queue = open(t, other.at('?bind'))
  const sent: readonly (readonly string[])[] = [
    ['a', '{"id":"theirs","priority":3,"headers":{"millrace-origin":"h"}}'],
    ['b', '{"id":7,"priority":-1,"headers":{"a":1}}'],
    ['c', '{ not JSON'],
    ['d', 'x'.repeat(100_000), 'y'],
    [''],
  ]
  for (const frames of sent) await push.send(frames)
  const jobs: Job[] = []
  while (jobs.length < sent.length) jobs.push(...(await queue.takeBatch(10, patience)))
  t.deepEqual(
    jobs.map((one) => [textOf(one), one.id, one.priority]),
    [
      ['a', 'theirs', 3],
      ['b', undefined, 0],
      ['c', undefined, 0],
      ['d', undefined, 0],
      ['', undefined, 0],
    ],
  )
})

test('several who take share the jobs', async (t) => {
  const address = await tcpAddress()
  const pushing = open(t, address.at('?bind'))
  const seen = [0, 0]
  const working = seen.map(async (_none, at) => {
    const queue = open(t, address.at())
    await queue.work(() => {
      seen[at]!++
    })
  })
  await until(async () => {
    await pushing.push('x', patience)
    return seen.every((count) => count > 0)
  })
  t.is(working.length, 2)
})

test('what is released, or failed, comes again to the same handle, and not for ever', async (t) => {
  const address = await tcpAddress()
  const [pushing, taking] = [
    open(t, address.at('?bind')),
    open(t, address.at(), { maxAttempts: 2 }),
  ]
  const waiting = taking.takeOne(patience)
  await pushing.push('x', patience)
  const first = await waiting
  await first.release()
  const second = await taking.takeOne(patience)
  t.deepEqual([textOf(second), second.attempt, second.acquired], ['x', 1, 2])
  const from = performance.now()
  await second.retry({ delay: 200, error: 'later' })
  const third = await taking.takeOne(patience)
  t.true(performance.now() - from >= 190)
  t.is(third.attempt, 2)
  await third.retry({ error: 'no' })
  await pushing.push('poison', patience)
  await (await taking.takeOne(patience)).reject(new Error('never'))
  await t.throwsAsync(taking.takeOne({ timeout: 300 }), { code: 'ERR_MILLRACE_TIMEOUT' })
})

test('a job whose time is over when it comes is not given to anybody', async (t) => {
  const address = await tcpAddress()
  const pushing = open(t, address.at('?bind'))
  const taking = open(t, address.at())
  const waiting = taking.takeOne(patience)
  await pushing.push('first', { ttl: 60_000, ...patience })
  t.is(textOf(await waiting), 'first')
  await pushing.push('late', { ttl: 1, ...patience })
  await new Promise((resolve) => setTimeout(resolve, 20))
  await pushing.push('in time', { ttl: 60_000, ...patience })
  t.is(textOf(await taking.takeOne(patience)), 'in time')
})

test('what ZeroMQ cannot do is refused before anything is done', async (t) => {
  const address = await tcpAddress()
  const wanted: readonly WorkQueueOptions[] = [
    { durability: 'file' },
    { durability: 'disk' },
    { leaseTimeout: 1000 },
    { bytes: 1000 },
  ]
  for (const options of wanted) {
    t.throws(
      () => open(t, address.at(), options),
      { code: 'ERR_MILLRACE_UNSUPPORTED' },
      JSON.stringify(options),
    )
  }
  const queue = open(t, address.at('?bind'))
  await t.throwsAsync(queue.push('x', { delay: 10 }), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /keeps nothing for later/,
  })
  await t.throwsAsync(queue.takeOne({ timeout: 100 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await t.throwsAsync(queue.push('x', patience), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /is a Pull already/,
  })
})

test('addresses are judged when they are opened', (t) => {
  for (const [address, why] of [
    ['zmq+tcp://192.0.2.1:5555', /leaves this machine/],
    ['zmq+tcp://0.0.0.0:5555?bind', /leaves this machine/],
    ['zmq+tcp://127.0.0.1', /a host and a port/],
    ['zmq+tcp://127.0.0.1:0?bind', /port 0/],
    ['zmq+tcp://127.0.0.1:5555/jobs', /must not name a queue/],
    ['zmq+tcp://127.0.0.1:5555?bound', /no 'bound'/],
    ['zmq+ipc://relative', /absolute path/],
    [`zmq+ipc:///${'x'.repeat(107)}`, /the system takes 107/],
    ['zmq+ipc://@abstract', /every user of this machine/],
  ] as const) {
    t.throws(
      () => WorkQueue.open(address),
      { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: why },
      address,
    )
  }
  t.throws(() => WorkQueue.open('zmq+tcp://127.0.0.1:5555', { connection: { tls: {} } }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /CURVE/,
  })
})

async function hasFailed(queue: WorkQueue): Promise<void> {
  queue.takeOne().catch(() => undefined) // it waits until the handle is closed
  await until(() => queue.connection!.lastError !== undefined, 40_000)
}

test('a path that somebody else has is left alone, and the socket is for its user', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), `millrace-zmq-${String(process.pid)}-`))
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  const [file, socket] = [join(folder, 'file'), join(folder, 'socket')]
  writeFileSync(file, 'kept')
  const refused = open(t, `zmq+ipc://${file}?bind`)
  await hasFailed(refused)
  await t.throwsAsync(refused.takeOne({ timeout: 300 }), { message: /no socket is at that path/ })
  t.true(existsSync(file))

  const pull = foreign(t, 'Pull')
  await pull.bind(`ipc://${socket}`)
  const second = open(t, `zmq+ipc://${socket}?bind`)
  await hasFailed(second)
  await t.throwsAsync(second.takeOne({ timeout: 300 }), { message: /bound there already/ })
  pull.close()
  // The handle tries again, until it is the one who is bound.
  await until(
    () => (statSync(socket, { throwIfNoEntry: false })?.mode ?? 0) % 0o1000 === 0o600,
    40_000,
  )
  second.close()
  await until(() => !existsSync(socket))
})

test('an open queue does not keep its process alive, nor does what nobody has taken', async (t) => {
  const [there, back] = [await tcpAddress(), await tcpAddress()]
  const pull = foreign(t, 'Pull')
  await pull.bind(there.endpoint)
  const push = foreign(t, 'Push')
  await push.bind(back.endpoint)
  const ending = run(t, new URL('./fixtures/zeromq-ends.js', import.meta.url), [
    there.at(),
    back.at(),
  ])
  t.deepEqual((await pull.receive()).map(String), ['from here'])
  await push.send('from there')
  await ending.printed('from there')
  t.deepEqual(await within(10_000, ending.ended()), { code: 0, signal: null })
})

test('a thread has sockets of its own, and ends with one open', async (t) => {
  const address = await tcpAddress()
  const fixture = new URL('./fixtures/zeromq-thread.js', import.meta.url)
  const running = run(t, fixture, [address.at()])
  await running.printed('to a thread 0')
  t.deepEqual(await within(10_000, running.ended()), { code: 0, signal: null })
})

test('garbage, half a greeting and many connections at the port crash nothing', async (t) => {
  const address = await tcpAddress()
  const taking = open(t, address.at('?bind'), { connection: { maxBytes: 1000 } })
  const waiting = taking.takeOne(patience)
  const port = Number(address.endpoint.split(':')[2])
  const greeting = Buffer.from([0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0])
  const lies = [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(100_000, 0xff),
    greeting,
    Buffer.concat([greeting, Buffer.from('NULL'), Buffer.alloc(48), Buffer.from([0x02, 0xff])]),
    Buffer.concat([
      greeting,
      Buffer.from('NULL'),
      Buffer.alloc(48),
      Buffer.from([0x06, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    ]),
    Buffer.alloc(0),
  ]
  const sockets = await Promise.all(
    Array.from({ length: 120 }, async (_none, at) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('error', () => undefined) // it was turned away
      await until(() => !socket.connecting)
      socket.write(lies[at % lies.length]!)
      return socket
    }),
  )
  const pushing = open(t, address.at())
  await pushing.push('honest', patience)
  t.is(textOf(await waiting), 'honest')
  for (const socket of sockets) socket.destroy()
})

test('CURVE: an empty list lets nobody in, and each socket has a list of its own', async (t) => {
  const [closed, opened] = [await tcpAddress(), await tcpAddress()]
  const [server, client] = [library.curveKeyPair(), library.curveKeyPair()]
  const { secretKey, publicKey: serverKey } = server
  const nobody = open(t, closed.at('?bind'), { connection: { curve: { secretKey, allowed: [] } } })
  const somebody = open(t, opened.at('?bind'), {
    connection: { curve: { secretKey, allowed: [client.publicKey] } },
  })
  const connection = { curve: { ...client, serverKey } }
  const empty = nobody.takeOne({ timeout: 900 })
  const waiting = somebody.takeOne(patience)
  await t.throwsAsync(open(t, closed.at(), { connection }).push('x', { timeout: 700 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
  })
  await t.throwsAsync(empty, { code: 'ERR_MILLRACE_TIMEOUT' })
  await open(t, opened.at(), { connection }).push('y', patience)
  t.is(textOf(await waiting), 'y')
})

test('CURVE: keys are judged when the address is opened, and never shown', (t) => {
  const { publicKey, secretKey } = library.curveKeyPair()
  const address = 'zmq+tcp://192.0.2.1:5555'
  for (const [curve, where, why] of [
    [{ secretKey: 'short' }, address, /curve.secretKey must be a key of 40 characters/],
    [{ secretKey }, address, /publicKey, and the serverKey/],
    [{ secretKey, publicKey }, `${address}?bind`, /allowed, the public keys/],
    [{ secretKey, allowed: ['x'] }, `${address}?bind`, /curve.allowed\[0\]/],
  ] as const) {
    const error = t.throws(() => WorkQueue.open(where, { connection: { curve } }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: why,
    })
    t.false(error.message.includes(secretKey))
  }
})
