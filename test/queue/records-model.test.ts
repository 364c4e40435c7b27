// A queue of records does what an array of messages and a count of free bytes do, whatever the order of calls, whatever the
// size of a record; the other side is a queue of bytes now and then.

import test from 'ava'
import fc from 'fast-check'
import { RecordQueue, SpscQueue, type RecordConsumer, type RecordProducer } from 'millrace'
import { array, f64, struct, u16, u32, u8 } from 'millrace/struct'

import { uniqueName } from '../support/names.js'
import { onePage, recordBytes } from '../support/queues.js'

const definitions = {
  '3 bytes': struct({ id: u16, rest: array(u8, 1) }, { packed: true }),
  '8 bytes': struct({ id: u32, rest: array(u8, 4) }),
  '20 bytes': struct({ id: u32, rest: array(u8, 16) }),
  '64 bytes': struct({ at: f64, id: u32, rest: array(u8, 52) }),
  '1000 bytes': struct({ id: u32, rest: array(u8, 996) }),
}
type Definition = (typeof definitions)['8 bytes']

interface Real {
  producer: RecordProducer<Definition>
  consumer: RecordConsumer<Definition>
  readonly open: {
    producer: () => RecordProducer<Definition>
    consumer: () => RecordConsumer<Definition>
  }
  readonly name: string
  readonly record: Definition
}

/** Numbers of the records of each message. */
class Model {
  readonly messages: number[][] = []
  claimed = 0
  next = 0
  readonly size: number
  constructor(size: number) {
    this.size = size
  }
  get free(): number {
    return onePage - this.messages.reduce((sum, { length }) => sum + this.bytesOf(length), 0)
  }
  bytesOf(records: number): number {
    return recordBytes(records * this.size)
  }
  /** How many records there is room for. */
  get fitting(): number {
    return Math.max(0, Math.floor((this.free - 8) / this.size))
  }
  /** Numbers for so many records more, small enough for each definition. */
  numbers(count: number): number[] {
    return Array.from({ length: count }, () => (this.next = (this.next + 1) & 0xffff))
  }
}

type Command = fc.Command<Model, Real>

function step(text: string, run: (model: Model, real: Real) => void): Command {
  return {
    check: () => true,
    run(model, real) {
      run(model, real)
      same(real.producer.freeBytes, model.free, 'free bytes')
      same(real.producer.records.length, model.claimed, 'records claimed')
      const [next] = model.messages
      same(real.consumer.nextLength, next === undefined ? -1 : next.length * model.size, 'length')
    },
    toString: () => text,
  }
}

function same(actual: unknown, expected: unknown, what: string): void {
  if (actual === expected) return
  throw new Error(`${what}: ${String(actual)} instead of ${String(expected)}`)
}

/** The last byte of a record tells as well whether it is whole. */
const mark = (id: number) => (id * 7) & 255

function refused(call: () => unknown, code: string): void {
  try {
    call()
  } catch (error) {
    same((error as { code?: string }).code, code, 'code')
    return
  }
  throw new Error(`was not refused with ${code}`)
}

interface Seen {
  readonly id: number
  readonly rest: { readonly length: number; at?: (index: number) => number }
}

function sameRecords(actual: Iterable<Seen>, expected: readonly number[]): void {
  let i = 0
  for (const { id, rest } of actual) {
    same(id, expected[i++], 'id')
    const last = Array.isArray(rest) ? (rest as number[]).at(-1) : rest.at!(rest.length - 1)
    same(last, mark(id), 'last byte')
  }
  same(i, expected.length, 'records')
}

const count = fc.oneof(
  { weight: 3, arbitrary: fc.integer({ min: 1, max: 6 }) },
  { weight: 2, arbitrary: fc.integer({ min: 1, max: 1400 }) },
)

const claim = count.map((wanted) =>
  step(`claim(${wanted})`, (model, { producer }) => {
    if (model.claimed > 0) {
      refused(() => producer.claim(wanted), 'ERR_MILLRACE_BUSY')
      return
    }
    model.claimed = Math.min(wanted, model.fitting)
    same(producer.claim(wanted), model.claimed, 'claimed')
  }),
)

const commit = fc.double({ min: 0, max: 1, noNaN: true }).map((part) =>
  step(`commit(${part})`, (model, { producer }) => {
    if (model.claimed === 0) {
      refused(() => {
        producer.commit()
      }, 'ERR_MILLRACE_RELEASED')
      return
    }
    const used = Math.round(model.claimed * part)
    const ids = model.numbers(used)
    ids.forEach((id, i) => {
      const record = producer.records.at(i)
      record.id = id
      record.rest.set(record.rest.length - 1, mark(id))
    })
    producer.commit(used)
    model.claimed = 0
    if (used > 0) model.messages.push(ids)
  }),
)

const push = count.map((wanted) =>
  step(`push(${wanted})`, (model, { producer, record }) => {
    const send = (ids: readonly number[]) => {
      const { length } = record.read(new Uint8Array(record.size)).rest
      const rest = Array.from({ length }, () => 0)
      const at = 'at' in record.read(new Uint8Array(record.size)) ? { at: 0.5 } : {}
      return producer.tryPush(ids.map((id) => ({ ...at, id, rest: [...rest.slice(1), mark(id)] })))
    }
    if (model.claimed > 0) {
      refused(() => send([1]), 'ERR_MILLRACE_BUSY')
      return
    }
    const all = Math.min(wanted, producer.maxBatch)
    const fits = model.bytesOf(all) <= model.free
    const ids = Array.from({ length: all }, (_, i) => i)
    same(send(ids), fits, 'pushed')
    if (fits) model.messages.push(ids)
  }),
)

const drain = fc.tuple(fc.integer({ min: 0, max: 5 }), fc.boolean()).map(([max, fail]) =>
  step(`drain(${max}, ${fail ? 'failing' : 'whole'})`, (model, { consumer }) => {
    const there = model.messages.length
    let seen = 0
    try {
      const taken = consumer.drain((records) => {
        sameRecords(records, model.messages[0]!)
        if (fail && seen === 2) throw new RangeError('enough')
        model.messages.shift()
        seen++
      }, max)
      same(taken, Math.min(max, there), 'drained')
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
    }
  }),
)

const pop = fc.constant(
  step('pop()', (model, { consumer }) => {
    const popped = consumer.tryPop()
    const expected = model.messages.shift()
    if (popped === undefined) same(expected, undefined, 'popped')
    else sameRecords(popped as unknown as Iterable<Seen>, expected!)
  }),
)

const replaceProducer = fc.constant(
  step('replace the producer', (model, real) => {
    real.producer.close()
    model.claimed = 0
    real.producer = real.open.producer()
  }),
)

const replaceConsumer = fc.constant(
  step('replace the consumer', (_, real) => {
    real.consumer.close()
    real.consumer = real.open.consumer()
  }),
)

const asBytes = fc.constant(
  step('read one as bytes', (model, real) => {
    real.consumer.close()
    const raw = SpscQueue.consumer(real.name, { schema: { fingerprint: real.record.fingerprint } })
    const message = raw.tryPop()
    raw.close()
    real.consumer = real.open.consumer()
    const expected = model.messages.shift()
    same(message?.length, expected && expected.length * model.size, 'bytes')
    if (message === undefined) return
    sameRecords(real.record.array(message), expected!)
  }),
)

for (const [title, definition] of Object.entries(definitions)) {
  test(`any sequence of calls does what the model does: records of ${title}`, (t) => {
    const name = uniqueName(t)
    const record = definition as unknown as Definition
    t.is(`${record.size} bytes`, title)
    const options = { record, capacity: onePage }
    const open = {
      producer: () => RecordQueue.producer(name, options),
      consumer: () => RecordQueue.consumer(name, options),
    }
    const all = [claim, claim, commit, commit, push, drain, drain, pop, asBytes]
    const commands = fc.commands([...all, replaceProducer, replaceConsumer], { maxCommands: 120 })
    fc.assert(
      fc.property(commands, (steps) => {
        const real: Real = {
          name,
          record,
          open,
          consumer: open.consumer(),
          producer: open.producer(),
        }
        try {
          fc.modelRun(() => ({ model: new Model(record.size), real }), steps)
        } finally {
          real.consumer.close({ discard: true })
          real.producer.close({ discard: true })
        }
      }),
      { numRuns: 200 },
    )
    t.pass()
  })
}
