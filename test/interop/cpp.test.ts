// The programs of examples/cpp, built as their README says, against Node: every side of queues and frames
// in either language, who starts first, who is slow, who dies.

import { cp, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises'
import { closeSync, openSync, readSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { FrameReader, FrameWriter } from 'millrace'

import { actor } from '../support/actor.js'
import { runProgram, tool } from '../support/cxx.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { run, type Run } from '../support/process.js'
import { bytes, onePage, openConsumer, openProducer } from '../support/queues.js'
import { until, within } from '../support/until.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const examples = join(root, 'examples/cpp')
const install = 'on Debian: apt-get install cmake ninja-build; on macOS: brew install cmake ninja'

/** Noticing a dead peer takes 50 ms at most; the rest is for a busy machine. */
const soonMs = 5000
const patience = 90_000

type Program = 'queue_producer' | 'queue_consumer' | 'frame_writer' | 'frame_reader'

let built = ''

// With the warnings that examples/cpp/CMakeLists.txt asks for, in the headers as well.
test.before('the examples build without a warning', async (t) => {
  t.timeout(300_000)
  const generator = await found('ninja', 'make')
  built = join(root, `build-native/examples-${generator}`)
  const name = { ninja: 'Ninja', make: 'Unix Makefiles' }[generator]
  const flags = ['-G', name, '-D', 'CMAKE_CXX_FLAGS=-Werror']
  await tool('cmake', ['-S', examples, '-B', built, ...flags], install)
  await tool('cmake', ['--build', built, '--parallel', String(availableParallelism())], install)
  t.pass()
})

/** The first of the build tools that is there. */
async function found<Name extends string>(...names: readonly Name[]): Promise<Name> {
  for (const name of names) {
    const there = await tool(name, ['--version'], install).then(
      () => true,
      () => false,
    )
    if (there) return name
  }
  throw new Error(`this test needs ${names.join(' or ')}: ${install}`)
}

function native(t: ExecutionContext, program: Program, ...args: readonly (string | number)[]): Run {
  return runProgram(t, join(built, program), args.map(String))
}

/** The counterpart in TypeScript, which lies beside the programs. */
function node(t: ExecutionContext, ...args: readonly (string | number)[]): Run {
  return run(t, new URL('../../examples/cpp/peer.js', import.meta.url), args.map(String))
}

/** Its last line, once it has ended well. */
async function result(t: ExecutionContext, running: Run): Promise<string> {
  const ending = await running.ended(patience)
  t.deepEqual(ending, { code: 0, signal: null }, running.stderr)
  return running.lines.at(-1) ?? ''
}

const opened = (name: string) => until(() => objectsOf(name).length > 0, 30_000)

for (const [from, to] of [
  ['TypeScript', 'C++'],
  ['C++', 'TypeScript'],
] as const) {
  for (const first of ['producer', 'consumer'] as const) {
    test.serial(`queue, ${from} to ${to}, the ${first} starts first`, async (t) => {
      t.timeout(200_000)
      const name = uniqueName(t)
      const count = 120_000
      const capacity = 65_536
      const produce = () =>
        from === 'C++'
          ? native(t, 'queue_producer', name, count, capacity)
          : node(t, 'produce', name, count, capacity)
      const consume = () =>
        to === 'C++'
          ? native(t, 'queue_consumer', name, count * 2, capacity)
          : node(t, 'consume', name, count * 2, capacity)
      const one = first === 'producer' ? produce() : consume()
      await opened(name)
      const other = first === 'producer' ? consume() : produce()
      const [producer, consumer] = first === 'producer' ? [one, other] : [other, one]
      const sent = await result(t, producer)
      t.regex(sent, /^sent 120000 messages, 25578360 bytes, checksum [0-9a-f]{8}$/)
      t.is(await result(t, consumer), sent.replace('sent', 'received'))
    })
  }

  for (const policy of ['wait', 'drop-newest', 'overwrite-oldest'] as const) {
    test.serial(`frames, ${from} to ${to}, ${policy}`, async (t) => {
      t.timeout(200_000)
      const name = uniqueName(t)
      const count = 10_000
      const reader =
        to === 'C++' ? native(t, 'frame_reader', name, policy) : node(t, 'read', name, policy)
      const writer =
        from === 'C++' ? native(t, 'frame_writer', name, count) : node(t, 'write', name, count)
      t.is(await result(t, writer), `published ${count} frames`)
      const line = await result(t, reader)
      const [received, lost, last] = [...line.matchAll(/\d+/g)].map(Number)
      t.is(received! + lost!, count, line)
      if (policy === 'wait') t.is(received, count)
      if (policy !== 'drop-newest') t.is(last, count)
    })
  }
}

test.serial(
  'frames to readers of both languages at once, the slow ones as each policy says',
  async (t) => {
    t.timeout(200_000)
    const name = uniqueName(t)
    const count = 400
    const writer = native(t, 'frame_writer', name, count, 4)
    const [thorough, newest] = [
      native(t, 'frame_reader', name, 'wait', count, 500),
      native(t, 'frame_reader', name, 'overwrite-oldest', count, 5000),
    ]
    const [slow, dropping] = [
      node(t, 'read', name, 'wait', count, 1),
      node(t, 'read', name, 'drop-newest', count, 5),
    ]
    t.is(await result(t, writer), `published ${count} frames`)
    for (const reader of [thorough, slow]) {
      t.is(await result(t, reader), `received ${count} frames, lost 0, last ${count}`)
    }
    for (const reader of [newest, dropping]) {
      const [received, lost] = [...(await result(t, reader)).matchAll(/\d+/g)].map(Number)
      t.is(received! + lost!, count)
      t.true(lost! > 0)
    }
  },
)

/** A wait line of a queue's control page, as layout/header.hpp draws it. */
function waitLine(t: ExecutionContext, name: string, side: 'consumer' | 'producer') {
  const fd = openSync(`/dev/shm/millrace.q.${name}`, 'r')
  t.teardown(() => {
    closeSync(fd)
  })
  const page = 4096
  const offset = page + { consumer: 2, producer: 3 }[side] * 128
  const line = Buffer.alloc(128)
  const read = () => (readSync(fd, line, 0, line.length, offset), line)
  return {
    /** 1: on a futex, 2: in an event loop. */
    parked: () => read().readUInt32LE(0),
    wakes: () => Number(read().readBigUInt64LE(24)),
  }
}

test.serial('a C++ consumer that sleeps is woken by each message of a Node producer', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  const consumer = native(t, 'queue_consumer', name)
  const line = waitLine(t, name, 'consumer')
  const count = 200
  for (let i = 0; i < count; i++) {
    await until(() => line.parked() === 1)
    t.true(producer.tryPush(bytes(i)))
  }
  await producer.end({ timeout: patience })
  t.regex(await result(t, consumer), new RegExp(`^received ${count} messages, 19900 bytes`))
  // Now and then it looks by itself just before it is woken.
  t.true(line.wakes() > count / 2, `${line.wakes()} wakes`)
})

test.serial('a C++ producer that sleeps is woken when a Node consumer makes room', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name, { capacity: onePage })
  const count = 200
  const producer = native(t, 'queue_producer', name, count, onePage)
  const line = waitLine(t, name, 'producer')
  let received = 0
  while (received < count) {
    const full = line.parked() === 1
    if (full || consumer.peer === 'closed') received += consumer.tryPop() === undefined ? 0 : 1
    else await new Promise((resolve) => setImmediate(resolve))
  }
  await result(t, producer)
  t.is(await consumer.pop(), undefined)
  t.true(line.wakes() > 10, `${line.wakes()} wakes`)
})

test.serial(
  'a Node consumer that waits in its event loop is woken by a slow C++ producer',
  async (t) => {
    const name = uniqueName(t)
    const consumer = openConsumer(t, name, { poll: 0 })
    const line = waitLine(t, name, 'consumer')
    const count = 200
    const producer = native(t, 'queue_producer', name, count, 0, 2000)
    const wasParked = new Set<number>()
    let received = 0
    for (;;) {
      const next = consumer.pop({ timeout: patience })
      await new Promise(setImmediate) // it parks when all has run that could
      wasParked.add(line.parked())
      if ((await next) === undefined) break
      received++
    }
    t.is(received, count)
    t.true(wasParked.has(2))
    t.true(line.wakes() > count / 2, `${line.wakes()} wakes`)
    await result(t, producer)
  },
)

test.serial(
  'a Node producer that waits in its event loop is woken by a slow C++ consumer',
  async (t) => {
    const name = uniqueName(t)
    const producer = openProducer(t, name, { capacity: onePage, poll: 0 })
    const line = waitLine(t, name, 'producer')
    const count = 200
    const consumer = native(t, 'queue_consumer', name, count, onePage, 2000)
    for (let i = 0; i < count; i++) await producer.push(bytes(1000, i), { timeout: patience })
    await producer.end({ timeout: patience })
    t.regex(await result(t, consumer), /^received 200 messages, 200000 bytes/)
    t.true(line.wakes() > count / 2, `${line.wakes()} wakes`)
  },
)

/** How many milliseconds pass until `promise` rejects with that code. */
async function fails(
  t: ExecutionContext,
  promise: Promise<unknown>,
  code: string,
): Promise<number> {
  const start = performance.now()
  await t.throwsAsync(within(patience, promise), { code })
  return performance.now() - start
}

test.serial(
  'a killed C++ producer is noticed by a waiting Node consumer, and replaced',
  async (t) => {
    t.timeout(patience)
    const name = uniqueName(t)
    const consumer = openConsumer(t, name, { capacity: onePage })
    for (let round = 0; round < 5; round++) {
      const producer = native(t, 'queue_producer', name, 1000, onePage, 1_000_000)
      await consumer.waitForPeer({ timeout: patience })
      t.is((await consumer.pop({ timeout: patience }))?.length, 0)
      t.is(consumer.peer, 'attached')
      const next = consumer.pop()
      const failing = fails(t, next, 'ERR_MILLRACE_PEER_GONE')
      await producer.kill()
      const elapsed = await failing
      t.true(elapsed < soonMs, `${elapsed.toFixed(0)} ms`)
      t.is(consumer.peer, 'gone')
    }
    const successor = native(t, 'queue_producer', name, 9, onePage)
    await consumer.waitForPeer({ timeout: patience })
    let received = 0
    while ((await consumer.pop({ timeout: patience })) !== undefined) received++
    t.is(received, 9)
    await result(t, successor)
  },
)

test.serial(
  'a killed C++ consumer is noticed by a waiting Node producer, and replaced',
  async (t) => {
    t.timeout(patience)
    const name = uniqueName(t)
    const producer = openProducer(t, name, { capacity: onePage })
    for (let round = 0; round < 5; round++) {
      const consumer = native(t, 'queue_consumer', name, 1000, onePage, 3_600_000_000)
      await producer.waitForPeer({ timeout: patience })
      while (producer.tryPush(bytes(500)));
      const stuck = (async () => {
        for (;;) await producer.push(bytes(500))
      })()
      const failing = fails(t, stuck, 'ERR_MILLRACE_PEER_GONE')
      await consumer.kill()
      const elapsed = await failing
      t.true(elapsed < soonMs, `${elapsed.toFixed(0)} ms`)
      t.is(producer.peer, 'gone')
    }
    const successor = native(t, 'queue_consumer', name, 100_000, onePage)
    await producer.waitForPeer({ timeout: patience })
    await producer.push(bytes(500), { timeout: patience })
    await producer.end({ timeout: patience })
    t.regex(await result(t, successor), /^received \d+ messages/)
  },
)

test.serial('a killed C++ writer is noticed by a waiting Node reader, and replaced', async (t) => {
  t.timeout(patience)
  const name = uniqueName(t)
  const opening = FrameReader.open(name, { timeout: patience })
  const writer = native(t, 'frame_writer', name, 1000, 1, 3_600_000_000)
  using reader = await opening
  ;(await within(patience, reader.receive()))!.release()
  const failing = fails(t, reader.receive(), 'ERR_MILLRACE_PEER_GONE')
  await writer.kill()
  const elapsed = await failing
  t.true(elapsed < soonMs, `${elapsed.toFixed(0)} ms`)
  const successor = native(t, 'frame_writer', name, 5)
  await until(() => reader.peer !== 'gone', patience)
  let last = 0
  for (;;) {
    using frame = await within(patience, reader.receive())
    if (frame === undefined) break
    last = frame.sequence
  }
  t.is(last, 6, 'the successor counts on')
  await result(t, successor)
})

test.serial('what a killed C++ reader held goes back to a waiting Node writer', async (t) => {
  t.timeout(patience)
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 10_000, slots: 4 })
  // It holds a frame, or thinks about one that is damaged, and never comes back.
  const reader = native(t, 'frame_reader', name, 'wait', 1000, 3_600_000_000)
  await writer.waitForReaders(1, { timeout: patience })
  const header = new Uint8Array(12)
  new DataView(header.buffer).setBigUint64(0, 1n, true)
  new DataView(header.buffer).setUint32(8, 2_166_136_261, true) // of no bytes
  ;(await writer.loan({ timeout: patience })).publish({ byteLength: 0, header })
  for (let loan = writer.tryLoan(); loan !== undefined; loan = writer.tryLoan()) {
    loan.publish({ byteLength: 0 })
  }
  t.is(writer.readers, 1)
  const next = writer.loan({ timeout: patience })
  await reader.kill()
  const start = performance.now()
  ;(await next).publish()
  t.true(performance.now() - start < soonMs)
  t.is(writer.readers, 0)
})

test.serial(
  'C++ consumers and producers notice that the Node process at the other side died',
  async (t) => {
    t.timeout(patience)
    for (const [side, program] of [
      ['producer', 'queue_consumer'],
      ['consumer', 'queue_producer'],
    ] as const) {
      const name = uniqueName(t, { mayLeave: true }) // the C++ program ends with unread messages
      const other = actor(t)
      await other.do(
        ({ SpscQueue, own }, name, side) =>
          void (own['side'] = SpscQueue[side](name, { capacity: 4096 })),
        name,
        side,
      )
      const peer = native(t, program, name, 100_000, onePage)
      const line = waitLine(t, name, side === 'producer' ? 'consumer' : 'producer')
      await until(() => line.parked() === 1)
      await other.kill()
      t.deepEqual(await peer.ended(soonMs), { code: 1, signal: null })
      t.regex(peer.stderr, new RegExp(`^PEER_GONE: the ${side} of queue '${name}'.* died`))
    }
  },
)

test.serial(
  'a C++ reader notices that the Node writer died, a C++ writer goes on without a reader',
  async (t) => {
    t.timeout(patience)
    const name = uniqueName(t)
    const other = actor(t)
    await other.do(
      ({ FrameWriter, own }, name) =>
        void (own.writer = FrameWriter.create(name, { slotBytes: 10_000 })),
      name,
    )
    const reader = native(t, 'frame_reader', name)
    await other.do(({ own }) => own.writer.waitForReaders())
    await other.kill()
    t.deepEqual(await reader.ended(soonMs), { code: 1, signal: null })
    t.regex(reader.stderr, /^PEER_GONE: the writer of frame channel/)

    const holder = actor(t)
    const holding = holder.do(async ({ FrameReader, own }, name) => {
      own.reader = await FrameReader.open(name, { timeout: 60_000 })
      own['frame'] = await own.reader.receive()
    }, name)
    const writer = native(t, 'frame_writer', name, 1000)
    await holding
    t.is(writer.lines.length, 0, 'it waits for the reader')
    await holder.kill()
    t.is(await result(t, writer), 'published 1000 frames')
  },
)

test.serial('a taken role, a wrong name and a wrong argument are told in words', async (t) => {
  const name = uniqueName(t)
  openProducer(t, name)
  const second = native(t, 'queue_producer', name)
  t.is((await second.ended()).code, 1)
  t.regex(second.stderr, new RegExp(`^ROLE_TAKEN: .*process ${process.pid}`))
  const wrong = native(t, 'queue_consumer', 'a/b')
  t.is((await wrong.ended()).code, 1)
  t.regex(wrong.stderr, /^INVALID_NAME: /)
  const confused = native(t, 'frame_reader', name, 'sometimes')
  t.is((await confused.ended()).code, 2)
  t.regex(confused.stderr, /^usage: /)
})

test.serial('a copy of the examples finds the headers in node_modules', async (t) => {
  t.timeout(patience)
  const copy = await mkdtemp(join(tmpdir(), 'millrace-cpp-'))
  t.teardown(() => rm(copy, { recursive: true, force: true }))
  await cp(examples, join(copy, 'native'), { recursive: true })
  const configure = () =>
    tool('cmake', ['-S', join(copy, 'native'), '-B', join(copy, 'build')], install)
  const error = await t.throwsAsync(configure())
  t.regex(error.message, /run 'npm install millrace'/)
  await mkdir(join(copy, 'node_modules'))
  await symlink(root, join(copy, 'node_modules/millrace'))
  await configure()
  const cache = await readFile(join(copy, 'build/CMakeCache.txt'), 'utf8')
  t.regex(cache, /^MILLRACE_INCLUDE_DIR:PATH=.*node_modules\/millrace\/native\/include$/m)
})
