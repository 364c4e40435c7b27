// The C interface: its own programs, and each family with C at one side and TypeScript at the other. test/capi/peer.c takes the
// part that it is told, through its descriptor in an event loop, as these tests do theirs.

import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

import test, { type ExecutionContext } from 'ava'
import { Cell, FrameReader, FrameWriter, SharedMemory, SpscQueue } from 'millrace'
import { Counter, Mutex, Semaphore, SharedEvent } from 'millrace/sync'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { runProgram } from '../support/cxx.js'
import { programOf, startNode } from '../support/documented.js'
import { sharedMemory, uniqueName } from '../support/names.js'
import { run, type Run } from '../support/process.js'
import { message } from './messages.js'
import { buildLibrary, exportedSymbols, program, type Language } from './support.js'

const patience = 60_000
const side = new URL('./fixtures/side.js', import.meta.url)
const made: string[] = []
let peerProgram = ''

test.before(async (t) => {
  t.timeout(1_200_000, 'the library is built')
  await buildLibrary()
  peerProgram = await program('peer.c')
  made.push(peerProgram)
})
test.after.always(() => {
  for (const file of made) rmSync(file, { force: true })
})

async function peer(t: ExecutionContext, role: string, name: string, count = 0): Promise<Run> {
  const running = runProgram(t, peerProgram, [role, name, String(count)])
  if (!role.endsWith('-hold')) await running.printed('ready', patience)
  return running
}

/** What a program that failed has left: its names carry its pid. */
function removeNamesOf(pid: number): void {
  const mine = new RegExp(`\\bcapi-\\w+-${String(pid)}\\b`)
  for (const object of readdirSync(sharedMemory)) {
    if (mine.test(object)) rmSync(`${sharedMemory}/${object}`, { force: true })
  }
}

async function ends(t: ExecutionContext, running: Run, ...lines: string[]): Promise<void> {
  const { code } = await running.ended(patience)
  t.is(code, 0, running.stderr)
  for (const line of lines) t.true(running.lines.includes(line), running.lines.join('\n'))
}

// --- the library by itself ---

for (const language of ['c', 'cxx'] satisfies Language[]) {
  // Pointers from and to void need casts in C++: the programs are C, and the header is both.
  const sources = language === 'c' ? ['first.c', 'families.c', 'threads.c'] : ['header.c']
  for (const source of sources) {
    test.serial(`${source} as ${language === 'c' ? 'C99' : 'C++'}`, async (t) => {
      t.timeout(120_000)
      const file = await program(source, language)
      made.push(file)
      const running = runProgram(t, file)
      t.teardown(() => removeNamesOf(running.pid))
      const { code } = await running.ended(patience)
      t.is(code, 0, running.stderr)
    })
  }
}

const onLinux = process.platform === 'linux' ? test.serial : test.serial.skip

onLinux('nothing but the names of the header is to be seen', async (t) => {
  const header = readFileSync(
    fileURLToPath(new URL('../../../native/capi/millrace.h', import.meta.url)),
    'utf8',
  )
  const declared = new Set([...header.matchAll(/\b(millrace_\w+)\(/g)].map(([, name]) => name!))
  // In comments functions stand with their parentheses as well: those with arguments are no other ones.
  const offered = (await exportedSymbols()).filter((name) => name !== 'MILLRACE_1.0')
  t.deepEqual([...declared].sort(), offered.map((name) => name.split('@')[0]!).sort())
  t.true(offered.every((name) => name.endsWith('@@MILLRACE_1.0')))
})

test.serial('docs/from-c.md: a program in C receives what one in TypeScript sends', async (t) => {
  const name = uniqueName(t)
  const file = await program(programOf(t, 'from-c.md', 'ticks.c', { ticks: name }))
  made.push(file)
  const receiver = runProgram(t, file)
  const sender = await startNode(t, programOf(t, 'from-c.md', 'ticks.ts', { ticks: name }))
  t.deepEqual(await sender.ended(patience), { code: 0, signal: null }, sender.stderr)
  t.deepEqual(await receiver.ended(patience), { code: 0, signal: null }, receiver.stderr)
  t.deepEqual(
    receiver.lines,
    [1, 2, 3, 4, 5].map((i) => `tick ${String(i)}`),
  )
})

// --- queues ---

test.serial('a queue from TypeScript to C', async (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { capacity: 4096 })
  const running = await peer(t, 'queue-in', name, 3000)
  for (let i = 0; i < 3000; i++) await producer.push(message(i))
  await producer.end()
  await ends(t, running, 'END', 'received 3000')
})

test.serial('a queue from C to TypeScript', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  const running = await peer(t, 'queue-out', name, 3000)
  let got = 0
  for await (const bytes of consumer) t.is(bytes.toString(), message(got++))
  t.is(got, 3000)
  await ends(t, running, 'ended')
})

test.serial('a producer in C is killed in the middle', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  const running = await peer(t, 'queue-out', name, 1e9)
  let got = 0
  const error = await t.throwsAsync(async () => {
    for await (const bytes of consumer) {
      t.is(bytes.toString(), message(got++))
      if (got === 500) running.signal('SIGKILL')
    }
  })
  t.is((error as NodeJS.ErrnoException).code, 'ERR_MILLRACE_PEER_GONE')
  t.true(got >= 500)
  t.is((await running.ended(patience)).signal, 'SIGKILL')
})

test.serial('a producer in TypeScript is killed in the middle', async (t) => {
  const name = uniqueName(t)
  const running = await peer(t, 'queue-in', name)
  const victim = run(t, side, ['queue-out', name])
  t.is(await victim.next(patience), 'sent')
  await victim.kill()
  await ends(t, running, 'PEER_GONE')
  const received = /^received (\d+)$/m.exec(running.lines.join('\n'))?.[1]
  t.true(Number(received) >= 1000, running.lines.join('\n'))
})

test.serial('a consumer in C is killed while the producer waits for room', async (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { capacity: 4096 })
  const running = await peer(t, 'queue-in', name)
  const error = await t.throwsAsync(async () => {
    for (let i = 0; ; i++) {
      await producer.push(message(i))
      if (i === 500) running.signal('SIGKILL')
    }
  })
  t.is((error as NodeJS.ErrnoException).code, 'ERR_MILLRACE_PEER_GONE')
  producer.close({ discard: true })
})

test.serial('a reason goes from TypeScript to C', async (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name)
  const running = await peer(t, 'queue-in', name)
  await producer.push(message(0))
  producer.abort('the disk is full')
  await ends(t, running, 'PEER_FAILED', 'received 1')
})

// --- frames ---

test.serial('frames from TypeScript to C', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 512, slots: 4 })
  const running = await peer(t, 'frames-in', name, 1000)
  await writer.waitForReaders()
  for (let i = 1; i <= 1000; i++) {
    const frame = await writer.loan()
    const text = Buffer.from(message(i))
    frame.write(text)
    t.is(
      frame.publish({ byteLength: text.length, header: new Uint8Array(Uint32Array.of(i).buffer) }),
      i,
    )
  }
  writer.close()
  await ends(t, running, 'END', 'received 1000')
})

test.serial('frames from C to TypeScript, and the writer is killed in between', async (t) => {
  const name = uniqueName(t)
  const running = await peer(t, 'frames-out', name, 1e9)
  using reader = await FrameReader.open(name)
  let got = 0
  const error = await t.throwsAsync(async () => {
    for await (using frame of reader.frames()) {
      got++
      t.is(frame.sequence, got)
      t.is(Buffer.from(frame.bytes).toString(), message(got))
      const { buffer, byteOffset } = frame.header
      t.is(new DataView(buffer, byteOffset).getUint32(0, true), got)
      if (got === 300) running.signal('SIGKILL')
    }
  })
  t.is((error as NodeJS.ErrnoException).code, 'ERR_MILLRACE_PEER_GONE')
  t.true(got >= 300)
})

// --- cells ---

test.serial('a cell from TypeScript to C', async (t) => {
  const name = uniqueName(t)
  using writer = Cell.writer(name, { maxBytes: 512 })
  const running = await peer(t, 'cell-in', name, 200)
  for (let i = 1; i <= 200; i++) {
    writer.write(message(i))
    if (i % 10 === 0) await new Promise(setImmediate)
  }
  await ends(t, running, 'version 200')
})

test.serial('a cell from C to TypeScript', async (t) => {
  const name = uniqueName(t)
  const running = await peer(t, 'cell-out', name, 5)
  using reader = await Cell.reader(name)
  const value = reader.read()
  t.is(value?.version, 5)
  t.is(Buffer.from(value!.bytes).toString(), message(5))
  await running.kill()
})

// --- locks, events, semaphores, counters, memory ---

test.serial('a mutex excludes C and TypeScript from one number', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  t.teardown(() => Mutex.unlink(name))
  using memory = SharedMemory.create(name, 4096)
  using mutex = Mutex.open(name)
  const number = new Int32Array(memory.buffer, 0, 1)
  const running = await peer(t, 'lock-add', name, 1000)
  for (let i = 0; i < 1000; i++) {
    using guard = await mutex.lock()
    t.false(guard.abandoned)
    const before = number[0]!
    if (i % 64 === 0) await new Promise(setImmediate)
    number[0] = before + 1
  }
  await ends(t, running, 'ended')
  t.is(number[0], 2000)
})

test.serial('a holder in C dies, and TypeScript is told', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  t.teardown(() => Mutex.unlink(name))
  using mutex = Mutex.open(name)
  const running = await peer(t, 'lock-hold', name)
  await running.printed('held', patience)
  t.is(mutex.tryLock(), undefined)
  const locked = mutex.lock()
  await running.kill()
  using guard = await locked
  t.true(guard.abandoned)
})

test.serial('a holder in TypeScript dies, and C is told', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  t.teardown(() => Mutex.unlink(name))
  const victim = run(t, side, ['lock-hold', name])
  t.is(await victim.next(patience), 'held')
  const running = runProgram(t, peerProgram, ['lock-hold', name, '1'])
  await victim.kill()
  await ends(t, running, 'abandoned')
})

test.serial('an event, a semaphore and a counter go to and fro', async (t) => {
  const name = uniqueName(t)
  using ping = SharedEvent.open(name)
  using counter = Counter.open(name, { initial: 100 })
  using back = Semaphore.create(`${name}-back`, 0)
  t.teardown(() => Semaphore.unlink(`${name}-back`))
  const running = await peer(t, 'pong', name, 100)
  for (let i = 0; i < 100; i++) {
    ping.set()
    await back.wait()
  }
  t.is(counter.get(), 0n)
  await ends(t, running, 'ended')
})

// --- work ---

test.serial('jobs from TypeScript to C', async (t) => {
  const name = uniqueName(t, { mayLeave: true }) // ids outlive the jobs
  using work = WorkQueue.open(name, { jobs: 16, dedupWindow: 60_000 })
  const running = await peer(t, 'work-in', name, 500)
  for (let i = 0; i < 500; i++) {
    await work.push(message(i), { id: `id-${String(i)}`, priority: 3 })
  }
  await ends(t, running, 'done 500')
  t.is(work.stats().completed, 500)
})

test.serial('jobs from C to TypeScript', async (t) => {
  const name = uniqueName(t, { mayLeave: true }) // ids outlive the jobs
  using work = WorkQueue.open(name, { jobs: 16, dedupWindow: 60_000 })
  const running = await peer(t, 'work-out', name, 500)
  for (let i = 0; i < 500; i++) {
    const job = await work.takeOne()
    t.is(Buffer.from(job.bytes).toString(), message(i))
    t.is(job.id, `id-${String(i)}`)
    t.is(job.group, 'group')
    t.is(job.priority, 3)
    t.is(job.traceparent, '00-0123456789abcdef0123456789abcdef-0123456789abcdef-01')
    await job.complete()
  }
  await ends(t, running, 'ended')
})

test.serial('a job whose worker dies comes again, in either language', async (t) => {
  const name = uniqueName(t)
  using work = WorkQueue.open(name)
  await work.push('precious')
  const first = await peer(t, 'work-hold', name)
  await first.printed('attempt 1', patience)
  await first.kill()
  const second = run(t, side, ['work-hold', name])
  t.is(await second.next(patience), 'attempt 2')
  await second.kill()
  const third = await peer(t, 'work-hold', name, 1)
  await ends(t, third, 'attempt 3')
})

// --- topics ---

test.serial('topics from TypeScript to C', async (t) => {
  const name = uniqueName(t)
  using topics = Topics.open(name, { messages: 16 })
  const running = await peer(t, 'topics-in', name, 500)
  for (let i = 0; i < 500; i++) {
    const subject = i % 2 === 0 ? 'numbers.even' : 'numbers.odd'
    t.is(await topics.publish(subject, message(i), { headers: { number: String(i) } }), 1)
  }
  await ends(t, running, 'received 500')
})

test.serial('topics from C to TypeScript', async (t) => {
  const name = uniqueName(t)
  using topics = Topics.open(name, { messages: 16 })
  const subscription = await topics.subscribe('numbers.*')
  const running = await peer(t, 'topics-out', name, 500)
  for (let i = 0; i < 500; i++) {
    const received = await subscription.receive()
    t.is(Buffer.from(received.bytes).toString(), message(i))
    t.is(received.subject, i % 2 === 0 ? 'numbers.even' : 'numbers.odd')
    t.deepEqual({ ...received.headers }, { number: String(i) })
    received.release()
  }
  await ends(t, running, 'ended')
})
