// A queue does what an array of messages and a count of free bytes do, whatever the order of calls.

import test from 'ava'
import fc from 'fast-check'
import { SpscQueue, type HeldMessage, type QueueConsumer, type QueueProducer } from 'millrace'

import { uniqueName } from '../support/names.js'
import { bytes, onePage, recordBytes } from '../support/queues.js'

interface Real {
  producer: QueueProducer
  consumer: QueueConsumer
  readonly name: string
}

/** What was taken, and has its room still: held, or behind what is held. */
interface Taken {
  readonly bytes: Buffer
  readonly held: HeldMessage | undefined
}

class Model {
  readonly messages: Buffer[] = []
  readonly taken: Taken[] = []
  get free(): number {
    const all = [...this.taken.map(({ bytes: message }) => message), ...this.messages]
    return onePage - all.reduce((sum, message) => sum + recordBytes(message.length), 0)
  }
  /** The next message, which is held, or read at once. */
  take(held?: HeldMessage): Buffer | undefined {
    const message = this.messages.shift()
    if (message !== undefined) this.taken.push({ bytes: message, held })
    this.giveBack()
    return message
  }
  giveBack(): void {
    while (this.taken[0]?.held?.released ?? this.taken.length > 0) this.taken.shift()
  }
  /** Somebody else comes: what was not given back is there again. */
  restart(): void {
    this.messages.unshift(...this.taken.splice(0).map(({ bytes: message }) => message))
  }
  /** How many of these fit, from the first on. */
  fitting(lengths: readonly number[]): number {
    let room = this.free
    const end = lengths.findIndex((length) => (room -= recordBytes(length)) < 0)
    return end < 0 ? lengths.length : end
  }
}

type Command = fc.Command<Model, Real>

/** How often steps of each kind did as the model does. */
const done = new Map<string, number>()

abstract class Step implements Command {
  check(): boolean {
    return true
  }
  abstract run(model: Model, real: Real): void
  abstract toString(): string
}

function step(text: string, run: (model: Model, real: Real) => void): Command {
  return new (class extends Step {
    override run(model: Model, real: Real): void {
      run(model, real)
      same(real.producer.freeBytes, model.free, 'free bytes')
      same(real.consumer.nextLength, model.messages[0]?.length ?? -1, 'next length')
      for (const { bytes: expected, held } of model.taken) {
        if (held?.released === false) sameBytes(held.bytes, expected)
      }
      const kind = text.replace(/\(.*/, '')
      done.set(kind, (done.get(kind) ?? 0) + 1)
    }
    override toString(): string {
      return text
    }
  })()
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (actual === expected) return
  throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`)
}

function sameBytes(actual: Uint8Array | undefined, expected: Buffer | undefined): void {
  if (actual === undefined || expected === undefined) same(actual, expected, 'message')
  else if (!expected.equals(actual)) throw new Error('the message is damaged')
}

const length = fc.oneof(
  { weight: 4, arbitrary: fc.nat(40) },
  { weight: 3, arbitrary: fc.nat(onePage - 8) },
  { weight: 1, arbitrary: fc.constantFrom(onePage - 8, onePage - 9, onePage - 16, 2040) },
)
const seed = fc.nat(255)

const push = fc.tuple(length, seed).map(([size, salt]) =>
  step(`push(${size})`, (model, { producer }) => {
    const fits = model.free >= recordBytes(size)
    same(producer.tryPush(bytes(size, salt)), fits, 'pushed')
    if (fits) model.messages.push(bytes(size, salt))
  }),
)

const pushBatch = fc.tuple(fc.array(length, { maxLength: 12 }), seed).map(([sizes, salt]) =>
  step(`pushBatch(${sizes.join()})`, (model, { producer }) => {
    const count = model.fitting(sizes)
    const messages = sizes.map((size, i) => bytes(size, salt + i))
    same(producer.tryPushBatch(messages), count, 'sent of the batch')
    model.messages.push(...messages.slice(0, count))
  }),
)

const pushPacked = fc.tuple(fc.array(length, { maxLength: 12 }), seed).map(([sizes, salt]) =>
  step(`pushPacked(${sizes.join()})`, (model, { producer }) => {
    const count = model.fitting(sizes)
    const messages = sizes.map((size, i) => bytes(size, salt + i))
    same(
      producer.tryPushPacked(Buffer.concat(messages), new Uint32Array(sizes)),
      count,
      'sent of the packed batch',
    )
    model.messages.push(...messages.slice(0, count))
  }),
)

const reserve = fc
  .tuple(length, seed, fc.option(fc.double({ min: 0, max: 1, noNaN: true })))
  .map(([size, salt, part]) =>
    step(`reserve(${size}, use ${String(part)})`, (model, { producer }) => {
      const reservation = producer.reserve(size)
      same(reservation !== undefined, model.free >= recordBytes(size), 'reserved')
      if (reservation === undefined) return
      reservation.bytes.set(bytes(size, salt))
      if (part === null) {
        reservation.abort()
        return
      }
      const used = Math.floor(size * part)
      reservation.commit(used)
      model.messages.push(bytes(size, salt).subarray(0, used))
    }),
  )

const pop = fc.constant(
  step('pop()', (model, { consumer }) => {
    sameBytes(consumer.tryPop(), model.take())
  }),
)

const take = fc.constant(
  step('take()', (model, { consumer }) => {
    const held = consumer.tryTake()
    const expected = model.take(held)
    same(held?.length, expected?.length, 'length of what is held')
  }),
)

const release = fc.nat(8).map((which) =>
  step(`release(${which})`, (model) => {
    model.taken.filter(({ held }) => held?.released === false)[which]?.held?.release()
    model.giveBack()
  }),
)

const popInto = length.map((room) =>
  step(`popInto(${room})`, (model, { consumer }) => {
    const target = Buffer.alloc(room)
    const [next] = model.messages
    if (next !== undefined && next.length > room) {
      try {
        consumer.tryPopInto(target)
      } catch {
        return // too large: it stays
      }
      throw new Error('a message larger than its target was taken')
    }
    const got = consumer.tryPopInto(target)
    same(got, next?.length ?? -1, 'length')
    if (next !== undefined) sameBytes(target.subarray(0, got), model.take())
  }),
)

const popPacked = fc.tuple(length, fc.nat(12)).map(([room, most]) =>
  step(`popPacked(${room}, ${most})`, (model, { consumer }) => {
    // A byte and a length behind what may be written to.
    const target = Buffer.alloc(room + 1, 0xee)
    const lengths = new Uint32Array(most + 1).fill(0xeeee)
    const call = () => consumer.tryPopPacked(target.subarray(0, room), lengths.subarray(0, most))
    const refused = (code: string, why: string) => {
      try {
        call()
      } catch (error) {
        same((error as { code?: string }).code, code, why)
        return
      }
      throw new Error(`${why}: no error`)
    }
    if (model.taken.length > 0) {
      refused('ERR_MILLRACE_BUSY', 'packed behind messages that are held')
      return
    }
    const [next] = model.messages
    if (next !== undefined && most > 0 && next.length > room) {
      refused('ERR_MILLRACE_TOO_LARGE', 'a target too small for the first')
      return
    }
    const count = call()
    let at = 0
    for (let i = 0; i < count; i++) {
      const length = lengths[i]!
      sameBytes(target.subarray(at, at + length), model.take())
      at += length
    }
    const left = model.messages[0]
    if (left !== undefined && count < most && at + left.length <= room) {
      throw new Error('one more would have fitted')
    }
    same(target[room], 0xee, 'what lies behind the target')
    same(lengths[most], 0xeeee, 'what lies behind the lengths')
  }),
)

const drain = fc.tuple(fc.nat(8), fc.boolean()).map(([max, fail]) =>
  step(`drain(${max}, ${fail ? 'failing' : 'whole'})`, (model, { consumer }) => {
    const there = model.messages.length
    let seen = 0
    const take = (message: Uint8Array) => {
      sameBytes(message, model.messages[0])
      if (fail && seen === 2) throw new RangeError('enough')
      model.take()
      seen++
    }
    try {
      same(consumer.drain(take, max), Math.min(max, there), 'drained')
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
    }
  }),
)

const replaceProducer = fc.constant(
  step('replace the producer', (_, real) => {
    real.producer.close()
    real.producer = SpscQueue.producer(real.name)
  }),
)

const replaceConsumer = fc.constant(
  step('replace the consumer', (model, real) => {
    real.consumer.close()
    model.restart()
    real.consumer = SpscQueue.consumer(real.name)
  }),
)

const restart = fc.constant(
  step('close both, open both', (model, real) => {
    real.producer.close()
    real.consumer.close()
    model.restart()
    real.consumer = SpscQueue.consumer(real.name, { capacity: onePage })
    real.producer = SpscQueue.producer(real.name)
  }),
)

/** A slow machine ends sooner, but not before it has shown something. */
const fewestRuns = 20
const fewestOfAKind = 5
const kinds = [
  'push',
  'pushBatch',
  'pushPacked',
  'reserve',
  'pop',
  'take',
  'release',
  'popInto',
  'popPacked',
  'drain',
  'replace the producer',
  'replace the consumer',
  'close both, open both',
]

test('any sequence of calls does what the model does', (t) => {
  const name = uniqueName(t)
  let runs = 0
  const commands = fc.commands(
    [
      push,
      push,
      pushBatch,
      pushPacked,
      reserve,
      pop,
      pop,
      popInto,
      popPacked,
      drain,
      take,
      take,
      release,
      replaceProducer,
      replaceConsumer,
      restart,
    ],
    { maxCommands: 120 },
  )
  fc.assert(
    fc.property(commands, (steps) => {
      const real: Real = {
        name,
        consumer: SpscQueue.consumer(name, { capacity: onePage }),
        producer: SpscQueue.producer(name),
      }
      try {
        fc.modelRun(() => ({ model: new Model(), real }), steps)
        runs++
      } finally {
        real.consumer.close({ discard: true })
        real.producer.close({ discard: true })
      }
    }),
    { numRuns: 200, interruptAfterTimeLimit: 8000, markInterruptAsFailure: false },
  )
  t.true(runs >= fewestRuns, `${runs} runs`)
  const rare = [...done].filter(([, count]) => count < fewestOfAKind)
  t.deepEqual(rare, [])
  t.deepEqual([...done.keys()].toSorted(), kinds.toSorted())
})
