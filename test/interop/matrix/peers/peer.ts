// The peer of these tests in TypeScript: peer.js ROLE NAME [ARGUMENT ...]. ../roles.ts says what the roles are and what they print.

import { setTimeout as pause } from 'node:timers/promises'
import { Cell, FrameReader, FrameWriter, SharedMemory, SpscQueue } from 'millrace'
import { Counter, Mutex, RwLock, Semaphore, SharedEvent, type LockGuard } from 'millrace/sync'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { bytesOf, content, numberOf, patience, sizes } from '../content.js'

const [role = '', name = '', ...rest] = process.argv.slice(2)
const number = (at: number): number => Number(rest[at])

/** Each line ends with a point, so that half a line of one that was killed is told from a whole one. */
const say = (...words: readonly (string | number)[]): void => {
  process.stdout.write(`${words.join(' ')} .\n`)
}
/** So that others get the processor, and deaths come here as well. */
const nap = (): Promise<void> => pause(1)
function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what)
}
const codeOf = (error: unknown): string =>
  String((error as { code?: unknown }).code).replace('ERR_MILLRACE_', '')

async function push(): Promise<void> {
  const producer = SpscQueue.producer(name, { capacity: sizes.queue })
  const first = number(0)
  for (let n = first; n < first + number(1); n++) {
    for (;;) {
      try {
        await producer.push(content(n), { timeout: patience })
        break
      } catch (error) {
        check(['PEER_GONE', 'CLOSED'].includes(codeOf(error)), String(error))
        await producer.waitForPeer({ timeout: patience })
      }
    }
    say(n)
  }
  await producer.end({ timeout: patience })
  say('end')
}

async function pop(): Promise<void> {
  const consumer = SpscQueue.consumer(name, { capacity: sizes.queue })
  say('ready')
  for (;;) {
    try {
      const message = await consumer.pop({ timeout: patience })
      if (message === undefined) break
      say(numberOf(message))
    } catch (error) {
      check(codeOf(error) === 'PEER_GONE', String(error))
      say('gone')
      await consumer.waitForPeer({ timeout: patience })
    }
  }
  consumer.close()
  say('end')
}

async function writeFrames(): Promise<void> {
  const writer = FrameWriter.create(name, { slotBytes: sizes.slot, slots: 8, maxReaders: 8 })
  await writer.waitForReaders(number(0), { timeout: patience })
  for (let i = 0; i < number(1); i++) {
    const loan = await writer.loan({ timeout: patience })
    const sequence = writer.sequence + 1
    const bytes = content(sequence)
    loan.write(bytes)
    const header = new Uint8Array(8)
    new DataView(header.buffer).setBigUint64(0, BigInt(sequence), true)
    check(loan.publish({ byteLength: bytes.length, header }) === sequence, 'another sequence')
    say(sequence)
  }
  writer.close()
  say('end')
}

async function readFrames(): Promise<void> {
  const reader = await FrameReader.open(name, { timeout: patience })
  say('ready')
  for (;;) {
    try {
      const frame = await reader.receive({ timeout: patience })
      if (frame === undefined) break
      const { sequence, header } = frame
      check(numberOf(frame.bytes) === sequence, `frame ${sequence} has the content of another`)
      const facts = new DataView(header.buffer, header.byteOffset)
      check(Number(facts.getBigUint64(0, true)) === sequence, `frame ${sequence} has other facts`)
      frame.release()
      say(sequence)
    } catch (error) {
      check(codeOf(error) === 'PEER_GONE', String(error))
      say('gone')
      await reader.waitForPeer({ timeout: patience })
    }
  }
  reader.close()
  say('end')
}

async function writeCell(): Promise<void> {
  const writer = Cell.writer(name, { maxBytes: sizes.slot })
  for (let i = 0; i < number(0); i++) {
    const version = writer.version + 1
    check(writer.write(content(version)) === version, 'another version')
    say(version)
    await nap()
  }
  writer.close()
  say('end')
}

async function readCell(): Promise<void> {
  const reader = await Cell.reader(name, { timeout: patience })
  say('ready')
  for (;;) {
    try {
      if (!(await reader.changed({ timeout: patience }))) break
      const value = reader.read()
      if (value === undefined) continue
      check(numberOf(value.bytes) === value.version, `value ${value.version} is another`)
      say(value.version)
    } catch (error) {
      check(codeOf(error) === 'PEER_GONE', String(error))
      say('gone')
      await reader.waitForPeer({ timeout: patience })
    }
  }
  reader.close()
  say('end')
}

async function pushJobs(): Promise<void> {
  const work = WorkQueue.open(name)
  const first = number(0)
  for (let n = first; n < first + number(1); n++) {
    const group = n % 4 === 0 ? `group-${n % 3}` : undefined
    await work.push(content(n), { id: `job-${n}`, priority: n % 3, group, timeout: patience })
    say(n)
    await nap()
  }
  say('end')
}

async function doWork(): Promise<void> {
  const work = WorkQueue.open(name)
  say('ready')
  for (;;) {
    const job = await work.takeOne({ timeout: patience })
    const n = numberOf(job.bytes)
    const whole =
      job.id === `job-${n}` &&
      job.priority === n % 3 &&
      job.group === (n % 4 === 0 ? `group-${n % 3}` : undefined)
    check(whole, `job ${n} has the facts of another`)
    say('took', n, job.attempt)
    await nap()
    if (n % 5 === 0 && job.attempt === 1) {
      await job.retry({ error: 'once more' })
      say('retried', n)
    } else {
      await job.complete()
      say('done', n)
    }
  }
}

async function publish(): Promise<void> {
  const topics = Topics.open(name)
  const [who, first] = [number(0), number(1)]
  for (let n = first; n < first + number(2); n++) {
    const headers = { number: String(n) }
    const subject = `m.${who}.${n % 2 === 0 ? 'even' : 'odd'}`
    await topics.publish(subject, content(n), { headers, timeout: patience })
    say(n)
    await nap()
  }
  say('end')
}

async function subscribe(): Promise<void> {
  const topics = Topics.open(name)
  const policy = rest[0] === 'wait' ? 'wait' : 'overwrite-oldest'
  const subscription = await topics.subscribe(rest[2]!, { policy, depth: number(1) })
  say('ready')
  for (;;) {
    const message = await subscription.receive({ timeout: patience })
    const { subject, index, missed } = message
    const n = numberOf(message.bytes)
    const headers = { ...message.headers } as { number?: string }
    check(subject.startsWith('m.3.') || headers.number === String(n), `${n} has other headers`)
    message.release()
    say(subject, n, index, missed)
    if (policy !== 'wait') await nap()
  }
}

/** Two words that are equal unless somebody is inside; changed with the lock held. */
class Halves {
  readonly #words: BigUint64Array

  constructor(memory: SharedMemory) {
    this.#words = memory.view(BigUint64Array)
  }

  check(guard: LockGuard): void {
    check(this.#words[0] === this.#words[1] || guard.abandoned, 'half done, and nobody is told')
  }

  async change(guard: LockGuard): Promise<void> {
    this.check(guard)
    if (guard.abandoned) say('abandoned')
    this.#words[1] = this.#words[0]!
    this.#words[0]! += 1n
    await nap()
    this.#words[1] += 1n
  }
}

async function takeMutex(): Promise<void> {
  const mutex = Mutex.open(name)
  const halves = new Halves(SharedMemory.open(name))
  for (;;) {
    const guard = await mutex.lock({ timeout: patience })
    await halves.change(guard)
    guard.release()
    say('turn')
    await nap()
  }
}

async function takeRwLock(): Promise<void> {
  const lock = RwLock.open(name)
  const halves = new Halves(SharedMemory.open(name))
  for (;;) {
    const reading = await lock.readLock({ timeout: patience })
    halves.check(reading)
    reading.release()
    const writing = await lock.writeLock({ timeout: patience })
    await halves.change(writing)
    writing.release()
    say('turn')
    await nap()
  }
}

async function hold(): Promise<void> {
  const guard =
    role === 'hold-mutex'
      ? await Mutex.open(name).lock({ timeout: patience })
      : await RwLock.open(name).writeLock({ timeout: patience })
  say(guard.abandoned ? 'abandoned' : 'held')
  await pause(patience)
  guard.release()
}

async function relay(): Promise<void> {
  const [me, route] = [number(0), rest[1]!]
  const counter = Counter.open(name)
  const by = [0, 1, 2, 3].map((at) => {
    const own = `${name}-${at}`
    if (role === 'relay-event') {
      const event = SharedEvent.open(own)
      return { wait: () => event.wait({ timeout: patience }), send: () => event.set() }
    }
    const semaphore = Semaphore.open(own)
    return { wait: () => semaphore.wait({ timeout: patience }), send: () => semaphore.post() }
  })
  say('ready')
  for (;;) {
    await by[me]!.wait()
    const count = Number(counter.add())
    const next = Number(route[count % route.length])
    by[next]!.send()
    say(count, next)
  }
}

async function ownMemory(): Promise<void> {
  const memory = SharedMemory.create(name, sizes.memory)
  memory.view(Uint8Array).set(bytesOf(number(0), sizes.memory))
  say('made')
  await pause(patience)
  memory.close()
}

async function useMemory(): Promise<void> {
  const memory = SharedMemory.open(name)
  const seed = number(0)
  const view = memory.view(Uint8Array)
  check(bytesOf(seed, sizes.memory).equals(view), 'other bytes')
  view.set(bytesOf(seed + 1, sizes.memory))
  say('seen')
  await pause(patience)
  memory.close()
}

const roles: Readonly<Record<string, () => Promise<void>>> = {
  push,
  pop,
  'write-frames': writeFrames,
  'read-frames': readFrames,
  'write-cell': writeCell,
  'read-cell': readCell,
  'push-jobs': pushJobs,
  work: doWork,
  publish,
  subscribe,
  mutex: takeMutex,
  rwlock: takeRwLock,
  'hold-mutex': hold,
  'hold-rwlock': hold,
  'relay-event': relay,
  'relay-semaphore': relay,
  'own-memory': ownMemory,
  'use-memory': useMemory,
}

await roles[role]!()
