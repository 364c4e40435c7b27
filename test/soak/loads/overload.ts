// A producer that offers at least ten times what its consumer takes, on every kind of channel at once. What was sent is
// what was received and what was reported lost; neither side's memory grows, and both keep the beat of a timer.

import { Cell, FrameReader, FrameWriter, SpscQueue, type Policy } from 'millrace'
import { Counter, Semaphore, SharedEvent } from 'millrace/sync'

import { beatMs, startBeat } from '../../support/beat.js'
import { none, patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'
import { isNumbered, numbered } from './queue.js'

const policies: readonly Policy[] = ['wait', 'drop-newest', 'overwrite-oldest']
const promisedMs = 50

export const overload: Load = {
  parts: { fast: produce, slow: consume },
  judge: ({ fast, slow }) => [
    ...some('messages received', slow?.['pushed']),
    ...same('messages pushed and received', fast?.['pushed'], slow?.['pushed']),
    ...same('messages accepted and received', fast?.['accepted'], slow?.['accepted']),
    ...none('messages out of order or damaged', slow?.['damaged']),
    ...tenTimes(
      'messages',
      (fast?.['accepted'] ?? 0) + (fast?.['refused'] ?? 0),
      slow?.['accepted'],
    ),
    ...policies.flatMap((policy) =>
      same(`frames sent and accounted for (${policy})`, fast?.[policy], slow?.[policy]),
    ),
    ...tenTimes('frames', fast?.['drop-newest'], slow?.['drop-newest received']),
    ...same('newest version written and seen', fast?.['versions'], slow?.['versions']),
    ...tenTimes('values', fast?.['versions'], slow?.['values']),
    ...same('last signal and last pass', fast?.['signals'], slow?.['signals']),
    ...same('permits posted and taken or left', fast?.['permits'], slow?.['permits']),
    ...[fast, slow].flatMap((side, i) => {
      const p99 = side?.['beatP99'] ?? Infinity
      const which = i === 0 ? 'fast' : 'slow'
      return p99 <= beatMs + promisedMs ? [] : [`beat of the ${which} side: p99 of ${p99} ms`]
    }),
  ],
}

function tenTimes(what: string, offered: number | undefined, taken: number | undefined): string[] {
  return (offered ?? 0) >= 10 * (taken ?? Infinity)
    ? []
    : [`${what}: only ${String(offered)} offered for ${String(taken)} taken, that is no overload`]
}

/** What a slow side does after each thing it took. */
const restMs = 4

async function produce(shift: Shift): Promise<Counts> {
  const beat = startBeat()
  const counts = await together([push, tryPush, ...policies.map(publish), write, set, post], shift)
  return { ...counts, beatP99: Math.round(beat.stop().p99) }
}

async function consume(shift: Shift): Promise<Counts> {
  const beat = startBeat()
  const counts = await together(
    [popPushed, popAccepted, ...policies.map(receive), watch, pass, takePermits],
    shift,
  )
  return { ...counts, beatP99: Math.round(beat.stop().p99) }
}

async function together(tasks: ((shift: Shift) => Promise<Counts>)[], shift: Shift) {
  const parts = await Promise.all(tasks.map((task) => task(shift)))
  const counts: Counts = {}
  for (const part of parts) {
    for (const [key, value] of Object.entries(part)) counts[key] = (counts[key] ?? 0) + value
  }
  return counts
}

/** Lets the other tasks of this process have their share; the loops between are at full speed. */
const turn = () => new Promise((resolve) => setImmediate(resolve))

// Back-pressure: push waits.

async function push({ name, over }: Shift): Promise<Counts> {
  const producer = SpscQueue.producer(name('pushed'), { capacity: 2 ** 16 })
  await producer.waitForPeer(patience)
  let pushed = 0
  while (!over()) await producer.push(numbered(pushed++), patience)
  await producer.end(patience)
  return { pushed }
}

async function popPushed({ name, over }: Shift): Promise<Counts> {
  using consumer = SpscQueue.consumer(name('pushed'), { capacity: 2 ** 16 })
  await consumer.waitForPeer(patience)
  let pushed = 0
  let damaged = 0
  for await (const message of consumer) {
    if (!isNumbered(message, pushed++)) damaged++
    if (pushed % 10 === 0 && !over()) await pause(restMs)
  }
  return { pushed, damaged }
}

// Refusal: tryPush says no.

async function tryPush({ name, over }: Shift): Promise<Counts> {
  const producer = SpscQueue.producer(name('accepted'), { capacity: 2 ** 12 })
  await producer.waitForPeer(patience)
  let accepted = 0
  let refused = 0
  let message = numbered(0)
  while (!over()) {
    for (let i = 0; i < 100; i++) {
      if (producer.tryPush(message)) message = numbered(++accepted)
      else refused++
    }
    await turn()
  }
  await producer.end(patience)
  return { accepted, refused }
}

async function popAccepted({ name }: Shift): Promise<Counts> {
  using consumer = SpscQueue.consumer(name('accepted'), { capacity: 2 ** 12 })
  await consumer.waitForPeer(patience)
  let accepted = 0
  let damaged = 0
  while (await consumer.readable()) {
    consumer.drain((message) => {
      if (!isNumbered(message, accepted++)) damaged++
    }, 10)
    await pause(restMs)
  }
  return { accepted, damaged }
}

// Frames: each policy on a channel of its own, for a reader that makes the writer wait makes everybody wait.

function publish(policy: Policy) {
  return async ({ name, over }: Shift): Promise<Counts> => {
    const writer = FrameWriter.create(name(policy), { slotBytes: 1000, slots: 8 })
    await writer.waitForReaders(1, patience)
    while (!over()) {
      for (let i = 0; i < 10 && !over(); i++) {
        const frame = await writer.loan(patience)
        frame.bytes.fill((writer.sequence + 1) & 0xff)
        frame.publish()
      }
      if (policy !== 'wait') await turn()
    }
    const published = writer.sequence
    writer.close()
    return { [policy]: published }
  }
}

function receive(policy: Policy) {
  return async ({ name }: Shift): Promise<Counts> => {
    using reader = await FrameReader.open(name(policy), { policy, ...patience })
    let damaged = 0
    let last = reader.stats.joinedAfter
    for await (using frame of reader) {
      const number = frame.sequence & 0xff
      if (frame.bytes[0] !== number || frame.bytes[999] !== number) damaged++
      if (frame.sequence !== last + 1 + frame.missed) damaged++
      last = frame.sequence
      await pause(restMs)
    }
    const { received, lost, joinedAfter } = reader.stats
    return { [policy]: received + lost + joinedAfter, [`${policy} received`]: received, damaged }
  }
}

// Only the newest counts.

async function write({ name, over }: Shift): Promise<Counts> {
  using writer = Cell.writer(name('versions'), { maxBytes: 1000 })
  let versions = 0
  const value = Buffer.alloc(1000)
  while (!over()) {
    for (let i = 0; i < 50; i++) versions = writer.write(value.fill((versions + 1) & 0xff))
    await turn()
  }
  return { versions }
}

async function watch({ name }: Shift): Promise<Counts> {
  using reader = await Cell.reader(name('versions'), patience)
  let versions = 0
  let values = 0
  let damaged = 0
  for await (const { bytes, version } of reader.changes()) {
    if (version <= versions || bytes[0] !== (version & 0xff) || bytes[999] !== bytes[0]) damaged++
    versions = version
    values++
    await pause(restMs)
  }
  return { versions, values, damaged }
}

// Signals that find nobody waiting are one, but the last is never lost.

async function set({ name, over }: Shift): Promise<Counts> {
  using event = SharedEvent.open(name('event'))
  using counter = Counter.open(name('signals'))
  using final = Counter.open(name('last-signal'))
  let signals = 0
  while (!over()) {
    for (let i = 0; i < 50; i++) {
      signals = Number(counter.add())
      event.set()
    }
    await turn()
  }
  final.set(signals)
  event.set()
  await until(() => final.get() === 0n) // the other side has seen it
  return { signals }
}

async function pass({ name }: Shift): Promise<Counts> {
  using event = SharedEvent.open(name('event'))
  using counter = Counter.open(name('signals'))
  using final = Counter.open(name('last-signal'))
  for (;;) {
    await event.wait(patience)
    const signals = Number(counter.get())
    if (final.get() === BigInt(signals) && signals > 0) {
      final.set(0)
      return { signals }
    }
    await pause(restMs)
  }
}

// Permits add up.

async function post({ name, over }: Shift): Promise<Counts> {
  using semaphore = Semaphore.openOrCreate(name('permits'), 0)
  using final = Counter.open(name('last-permit'))
  let permits = 0
  while (!over()) {
    semaphore.post(10)
    permits += 10
    await turn()
  }
  final.set(permits)
  await until(() => final.get() === 0n)
  return { permits }
}

async function takePermits({ name }: Shift): Promise<Counts> {
  using semaphore = Semaphore.openOrCreate(name('permits'), 0)
  using final = Counter.open(name('last-permit'))
  let taken = 0
  while (final.get() === 0n) {
    await semaphore.wait(patience)
    taken++
    await pause(restMs)
  }
  const permits = taken + semaphore.value
  semaphore.unlink()
  final.set(0)
  return { permits }
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + patience.timeout
  while (!condition()) {
    if (performance.now() > end) throw new Error('the other side never answered')
    await pause(5)
  }
}
