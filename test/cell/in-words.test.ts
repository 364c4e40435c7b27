// Short values that the same bytes are written from, or read into, again and again: what JavaScript does by itself then has
// to be what the addon does. That it looks at a value is not to be seen from outside; so each case is made after a warm-up.

import test, { type ExecutionContext } from 'ava'
import { Cell, type CellReader, type CellWriter } from 'millrace'

import { actor } from '../support/actor.js'
import { openReader, openWriter } from '../support/cells.js'
import { countCalls } from '../support/meeting.js'
import { uniqueName } from '../support/names.js'
import { bytes } from '../support/queues.js'
import { peekWord, pokeWord } from '../support/segments.js'
import { until } from '../support/until.js'

// native/include/millrace/layout/cell.hpp
const published = 640
const waiting = 768
const needsFullFence = 776
const slotAt = (version: bigint, slots: number) => 15232 + Number(version % BigInt(slots)) * 64
const toLength = 8

const corrupt = { code: 'ERR_MILLRACE_CORRUPT' }

/** A writer and a reader that are at home in JavaScript by now, with a value and a target that are known. */
async function openWarm(t: ExecutionContext, maxBytes = 64, slots = 4) {
  const name = uniqueName(t)
  const writer = openWriter(t, name, { maxBytes, slots, timestamps: false })
  const reader = await openReader(t, name)
  const value = Buffer.from(new ArrayBuffer(maxBytes))
  const target = Buffer.from(new ArrayBuffer(maxBytes))
  bytes(maxBytes, 1).copy(value)
  await warm(writer, reader, value, target)
  return { name, writer, reader, value, target }
}

/** Past the registration for the light fence, until which the addon writes. */
async function warm(writer: CellWriter, reader: CellReader, value: Buffer, target: Buffer) {
  const end = performance.now() + 60
  while (performance.now() < end) {
    for (let i = 0; i < 50; i++) {
      writer.write(value)
      reader.readInto(target)
      if (reader.version === 0) throw new Error('nothing was written')
    }
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

test('values of every length, at every alignment, from and into bytes of any kind', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name, { maxBytes: 1100, timestamps: false })
  const reader = await openReader(t, name)
  const memory = new ArrayBuffer(4096)
  for (const offset of [0, 8, 4, 1]) {
    for (let length = 0; length <= 1100; length += length < 80 ? 1 : 61) {
      const value = Buffer.from(memory, offset, length)
      const target = Buffer.alloc(length + (offset % 3))
      for (let round = 0; round < 5; round++) {
        bytes(length, round).copy(value)
        target.fill(0xaa)
        writer.write(value)
        t.is(reader.readInto(target), length)
        if (!target.subarray(0, length).equals(value)) t.fail(`${length} bytes at ${offset}`)
        if (!target.subarray(length).every((byte) => byte === 0xaa)) t.fail(`beyond ${length}`)
        t.is(reader.seen, writer.version)
        t.is(reader.timestamp, 0n)
        if (!reader.read()!.bytes.equals(value)) t.fail(`read of ${length} bytes`)
      }
    }
  }
  for (const view of [new Float64Array(8), new DataView(memory, 16, 24), new Uint16Array(12)]) {
    for (let round = 0; round < 5; round++) {
      new Uint8Array(view.buffer, view.byteOffset, view.byteLength).fill(round)
      writer.write(view)
      t.deepEqual(reader.read()!.bytes, Buffer.alloc(view.byteLength, round))
      t.is(reader.readInto(view), view.byteLength)
    }
  }
  t.is(reader.retries, 0)
})

for (const slots of [2, 3, 4, 7, 1024]) {
  for (const start of [2n ** 31n, 2n ** 32n, 7n * 2n ** 32n, 2n ** 33n + 2n ** 31n, 2n ** 52n]) {
    test(`versions go on past ${start}, with ${slots} slots`, async (t) => {
      const name = uniqueName(t)
      const options = { maxBytes: 64, slots, timestamps: false }
      const first = openWriter(t, name, options)
      const value = Buffer.alloc(64)
      first.write(value)
      const reader = await openReader(t, name)
      first.close()
      const before = start - 40n
      for (let i = 0; i < slots; i++) {
        const version = before - BigInt(i)
        pokeWord('c', name, slotAt(version, slots), 2n * version)
        pokeWord('c', name, slotAt(version, slots) + toLength, 64n)
      }
      pokeWord('c', name, published, before)
      const writer = openWriter(t, name, options)
      const target = Buffer.alloc(64)
      const ofAddon = await openReader(t, name)
      for (let version = before + 1n; version < start + 2n * BigInt(slots) + 100n; version++) {
        value.writeBigUInt64LE(version)
        value.writeBigUInt64BE(version, 56)
        t.is(BigInt(writer.write(value)), version)
        t.is(reader.readInto(target), 64)
        if (!target.equals(value)) t.fail(`version ${version}`)
        t.is(BigInt(reader.seen), version)
        t.is(BigInt(reader.version), version)
        if (version % 8n === 0n) await new Promise((resolve) => setImmediate(resolve))
        t.is(ofAddon.readInto(Buffer.alloc(64)), 64)
        t.is(BigInt(ofAddon.seen), version)
        t.is(peekWord('c', name, published), version)
        t.is(peekWord('c', name, slotAt(version, slots)), 2n * version)
      }
      t.is(reader.retries, 0)
    })
  }
}

test('a writer without timestamps says 0, and the next one decides anew', async (t) => {
  const { name, writer, reader, value, target } = await openWarm(t)
  t.is(reader.timestamp, 0n)
  t.is(reader.read()!.timestamp, 0n)
  writer.update((view) => void view.fill(1))
  t.is(reader.read()!.timestamp, 0n)
  writer.write('text')
  t.is(reader.read()!.timestamp, 0n)
  writer.close()
  const timed = openWriter(t, name, { maxBytes: 64 })
  for (let i = 0; i < 5; i++) {
    timed.write(value)
    reader.readInto(target)
    const { timestamp } = reader
    t.true(timestamp > 0n)
    t.is(reader.read()!.timestamp, timestamp)
  }
  const { timestamp } = reader
  reader.close()
  t.is(reader.timestamp, timestamp, 'what was read stays read')
  t.throws(() => openWriter(t, uniqueName(t), { timestamps: 1 as never }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
})

test('update goes on from what was written, and write from what was updated', async (t) => {
  const { writer, reader, value, target } = await openWarm(t)
  for (let round = 1; round < 50; round++) {
    value.fill(round)
    const version = writer.write(value)
    t.is(
      writer.update((view) => void (view[0] = 0xff)),
      version + 1,
    )
    t.is(reader.readInto(target), 64)
    t.is(reader.seen, version + 1)
    t.is(target[0], 0xff)
    t.true(target.subarray(1).every((byte) => byte === round))
    t.is(writer.version, version + 1)
  }
})

test('a value whose memory has gone is refused, and a target, too', async (t) => {
  const { writer, reader, value, target } = await openWarm(t)
  const { version } = writer
  const gone = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /memory that is gone/ }
  const memory = [value.buffer, target.buffer] as ArrayBuffer[]
  structuredClone(memory, { transfer: memory })
  t.throws(() => writer.write(value), gone)
  t.throws(() => reader.readInto(target), gone)
  t.is(writer.version, version)
})

test('a value that becomes longer is written as long as it is', async (t) => {
  const resizable = ArrayBuffer as unknown as new (
    length: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(length: number): void }
  const name = uniqueName(t)
  const writer = openWriter(t, name, { maxBytes: 64, timestamps: false })
  const reader = await openReader(t, name)
  const buffer = new resizable(16, { maxByteLength: 64 })
  const value = new Uint8Array(buffer)
  for (const length of [16, 24, 40, 8, 64]) {
    buffer.resize(length)
    for (let round = 0; round < 4; round++) {
      writer.write(value)
      t.is(reader.readInto(value), length)
    }
  }
})

const transfers = 'transfer' in ArrayBuffer.prototype // from Node 22 on
const onTransfers = transfers ? test : test.skip
onTransfers('a cell whose memory somebody took away in an update goes on', async (t) => {
  const { writer, reader, value, target } = await openWarm(t)
  writer.update(({ buffer }) => void (buffer as unknown as { transfer(): unknown }).transfer())
  for (let round = 0; round < 5; round++) {
    value.fill(round)
    writer.write(value)
    t.is(reader.readInto(target), 64)
    t.deepEqual(target, value)
  }
})

test('closed sides refuse, with a value and a target that were in use', async (t) => {
  const { writer, reader, value, target } = await openWarm(t)
  writer.close()
  t.is(reader.readInto(target), 64)
  reader.close()
  const closed = { code: 'ERR_MILLRACE_CLOSED' }
  t.throws(() => writer.write(value), closed)
  t.throws(() => reader.readInto(target), closed)
  t.throws(() => reader.version, closed)
})

const readings: Record<string, (reader: CellReader, target: Buffer) => unknown> = {
  readInto: (reader, target) => reader.readInto(target),
  read: (reader) => reader.read(),
}
const lies: Record<string, (name: string, version: bigint) => void> = {
  'a length beyond its place': (name, version) => {
    pokeWord('c', name, slotAt(version, 4) + toLength, 65n)
  },
  'a length of four gigabytes and eight bytes': (name, version) => {
    pokeWord('c', name, slotAt(version, 4) + toLength, 2n ** 32n + 8n)
  },
  'a length below zero': (name, version) => {
    pokeWord('c', name, slotAt(version, 4) + toLength, 2n ** 64n - 1n)
  },
  'the sequence of another version': (name, version) => {
    pokeWord('c', name, slotAt(version, 4), 2n * version + 8n)
  },
  'a sequence with another upper half': (name, version) => {
    pokeWord('c', name, slotAt(version, 4), 2n * version + 2n ** 32n)
  },
  'an older version, which is whole': (name, version) => {
    pokeWord('c', name, published, version - 1n)
  },
  'a version that no number can say': (name, version) => {
    pokeWord('c', name, slotAt(version, 4), 2n * (version + 2n ** 54n))
    pokeWord('c', name, published, version + 2n ** 54n)
  },
}
for (const [what, lie] of Object.entries(lies)) {
  for (const [how, read] of Object.entries(readings)) {
    test(`${what} is found out by ${how}`, async (t) => {
      const { name, writer, reader } = await openWarm(t)
      const target = Buffer.alloc(200) // larger than any value
      for (let i = 0; i < 5; i++) reader.readInto(target)
      lie(name, BigInt(writer.version))
      t.throws(() => read(reader, target), corrupt)
      t.true(reader.closed)
    })
  }
}

test('what was scribbled into upper halves is written over in time', async (t) => {
  const { name, writer, value } = await openWarm(t)
  for (let slot = 0; slot < 4; slot++) {
    const word = 15232 + slot * 64
    pokeWord('c', name, word, peekWord('c', name, word) + 2n ** 40n)
    pokeWord('c', name, word + toLength, 64n + 2n ** 40n)
  }
  pokeWord('c', name, published, peekWord('c', name, published) + 2n ** 40n)
  for (let i = 0; i < 1100; i++) writer.write(value)
  const reader = await Cell.reader(name)
  t.deepEqual(reader.read()!.bytes, value)
  t.is(reader.seen, writer.version)
  reader.close()
})

test.serial('a reader that sleeps is woken by a writer in JavaScript', async (t) => {
  const { name, writer, value } = await openWarm(t)
  const other = actor(t)
  await other.do(async ({ Cell, own }, cell) => {
    const reader = await Cell.reader(cell, { poll: 0 })
    reader.read()
    own['cell'] = reader
  }, name)
  for (let round = 0; round < 50; round++) {
    const seen = other.do(async ({ own }) => {
      const reader = own['cell'] as import('millrace').CellReader
      await reader.changed({ timeout: 15_000 })
      return reader.read()?.version
    })
    await until(() => peekWord('c', name, waiting) !== 0n)
    const version = writer.write(value)
    t.is(await seen, version)
  }
})

/** Elsewhere the addon writes. */
const here = process.platform === 'linux' && process.arch === 'x64' ? test : test.skip
here(
  'a writer calls the addon while some reader needs full fences, and otherwise not',
  async (t) => {
    const { name, writer, value } = await openWarm(t)
    const writes = countCalls(writer, 'write')
    const wakes = countCalls(writer, 'wake')
    for (let i = 0; i < 1000; i++) writer.write(value)
    t.true(writes() < 20, `${writes()} of 1000 values were written by the addon`)
    t.is(wakes(), 0, 'nobody sleeps, and nobody needs it')
    pokeWord('c', name, needsFullFence, 1n)
    const before = writes()
    for (let i = 0; i < 1000; i++) writer.write(value)
    t.is(wakes() + writes() - before, 1000)
    pokeWord('c', name, needsFullFence, 0n)
  },
)
