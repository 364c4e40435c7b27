// The files: what others read of what we write, what we read of what others wrote, and what is read of a file that was cut off.

import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { McapIndexedReader, McapStreamReader, McapWriter } from '@mcap/core'
import test from 'ava'
import fc from 'fast-check'
import lz4 from 'lz4js'
import { MillraceError } from 'millrace'
import { openRecording, record, type RecordedMessage } from 'millrace/recording'
import { ownDirectory as directory } from '../support/directory.js'
import { FakeSource } from './fake-source.js'
import { gathered } from './gathered.js'

const large = Buffer.from(Uint8Array.from({ length: 300_000 }, (_, index) => index % 251))

/** A recording of a bus with headers, a queue and frames; its path. */
async function recorded(folder: string): Promise<string> {
  const file = join(folder, 'all.mcap')
  const bus = new FakeSource('weather', 'topics', { messages: '1024' })
  const queue = new FakeSource('numbers', 'queue', { capacity: '65536' })
  const frames = new FakeSource('camera', 'frames', { slotBytes: '300000', slots: '4' })
  const recorder = await record([bus, queue, frames], {
    file,
    payloads: {
      numbers: {
        encoding: 'json',
        schema: { name: 'Number', encoding: 'jsonschema', data: Buffer.from('{"type":"number"}') },
      },
    },
  })
  bus.give('wet', { at: 1, subject: 'rain.north', headers: { traceparent: '00-1' } })
  queue.give('1', { at: 2 })
  frames.give(large, { at: 3, op: 'frame', header: Buffer.from([7]) })
  bus.give('dry', { at: 4, subject: 'rain.south' })
  queue.give('2', { at: 5, seen: 6 })
  queue.missed = 3n
  await recorder.stop()
  return file
}

async function all(file: string): Promise<RecordedMessage[]> {
  await using recording = await openRecording(file)
  return await gathered(recording.messages())
}

const brief = ({ channel, subject, bytes }: RecordedMessage) =>
  [channel, subject, bytes.length > 10 ? bytes.length : bytes.toString()] as const

const expected = [
  ['weather', 'rain.north', 'wet'],
  ['numbers', undefined, '1'],
  ['camera', undefined, 300_000],
  ['weather', 'rain.south', 'dry'],
  ['numbers', undefined, '2'],
]

async function indexed(file: string) {
  const handle = await open(file)
  const reader = await McapIndexedReader.Initialize({
    readable: {
      size: async () => BigInt((await handle.stat()).size),
      async read(offset, length) {
        const buffer = new Uint8Array(Number(length))
        await handle.read(buffer, 0, buffer.length, Number(offset))
        return buffer
      },
    },
  })
  return { reader, handle }
}

test('another reader finds all of it by its index', async (t) => {
  const file = await recorded(directory(t))
  const { reader, handle } = await indexed(file)
  try {
    t.is(reader.header.library, 'millrace')
    const topics = new Map([...reader.channelsById].map(([id, { topic }]) => [id, topic]))
    // In whatever order it gives two of one instant, which may stand in two chunks.
    const ofFacts = (channelId: number) => Number(topics.get(channelId)!.endsWith('#facts'))
    const messages = (await gathered(reader.readMessages())).toSorted(
      (a, b) => Number(a.logTime - b.logTime) || ofFacts(b.channelId) - ofFacts(a.channelId),
    )
    t.deepEqual(
      messages.map(({ channelId, data }) => [topics.get(channelId), data.length]),
      [
        ['weather#facts', 34],
        ['weather/rain.north', 3],
        ['numbers', 1],
        ['camera#facts', 17],
        ['camera', 300_000],
        ['weather/rain.south', 3],
        ['numbers', 1],
      ],
    )
    t.deepEqual(Buffer.from(messages[4]!.data), large)
    t.true(messages[6]!.publishTime < messages[6]!.logTime, 'it was published before it was seen')
    t.is(messages[6]!.logTime - messages[6]!.publishTime, 1_000_000n)
    const { statistics } = reader
    t.is(statistics?.messageCount, 7n)
    t.is(statistics?.messageEndTime, messages[6]!.logTime)
    const numbers = [...reader.channelsById.values()].find(({ topic }) => topic === 'numbers')!
    t.is(numbers.messageEncoding, 'json')
    t.is(numbers.metadata.get('millrace.capacity'), '65536')
    t.is(reader.schemasById.get(numbers.schemaId)?.encoding, 'jsonschema')
    const metadata = await gathered(reader.readMetadata({ name: 'millrace.dropped' }))
    t.deepEqual(
      [...metadata.at(-1)!.metadata],
      [
        ['topics/weather', '0'],
        ['queue/numbers', '3'],
        ['frames/camera', '0'],
      ],
    )
    t.is((await gathered(reader.readMetadata({ name: 'millrace' }))).length, 1)
    // By its times, and by a topic alone.
    const [first] = messages
    const later = reader.readMessages({
      topics: ['numbers'],
      startTime: first!.logTime + 2_000_000n,
    })
    t.is((await gathered(later)).length, 1)
  } finally {
    await handle.close()
  }
})

test('another reader finds it record by record, whole and cut off anywhere', async (t) => {
  const file = await recorded(directory(t))
  const bytes = readFileSync(file)
  const read = (part: Uint8Array) => {
    const reader = new McapStreamReader()
    reader.append(part)
    const records = []
    for (let one = reader.nextRecord(); one; one = reader.nextRecord()) records.push(one)
    return { messages: records.filter(({ type }) => type === 'Message').length, reader }
  }
  const whole = read(bytes)
  t.is(whole.messages, 7)
  t.true(whole.reader.done())
  t.is(read(bytes.subarray(0, bytes.length - 100)).messages, 7)
  const behindFrame = bytes.indexOf(large) + large.length
  t.is(read(bytes.subarray(0, behindFrame)).messages, 5)
  t.is(read(bytes.subarray(0, behindFrame - 1)).messages, 4, 'the frame is torn')
})

test('we read it by its index, with all there is to a message', async (t) => {
  const file = await recorded(directory(t))
  await using recording = await openRecording(file)
  t.true(recording.indexed)
  t.false(recording.cut)
  t.is(recording.library, 'millrace')
  t.deepEqual(recording.dropped, { 'topics/weather': 0, 'queue/numbers': 3, 'frames/camera': 0 })
  const messages = await gathered(recording.messages())
  t.deepEqual(messages.map(brief), expected)
  t.deepEqual(messages[0]!.headers, { traceparent: '00-1' })
  t.is(messages[3]!.headers, undefined)
  t.is(messages[2]!.kind, 'frames')
  t.is(messages[2]!.op, 'frame')
  t.deepEqual(messages[2]!.header, Buffer.from([7]))
  t.deepEqual(messages[2]!.bytes, large)
  t.is(messages[4]!.sequence, 2n)
  t.is(recording.first, messages[0]!.logTime)
  t.is(recording.last, messages[4]!.logTime)
  const camera = recording.channels.find(({ name }) => name === 'camera')
  t.deepEqual(camera?.facts, { slotBytes: '300000', slots: '4' })
  const some = recording.messages({ start: 1, end: 4, channels: ['weather', 'numbers'] })
  t.deepEqual((await gathered(some)).map(brief), [expected[1], expected[3]])
})

test('we read a file that was cut off up to its last whole record, wherever that was', async (t) => {
  const file = await recorded(directory(t))
  const bytes = readFileSync(file)
  const frame = bytes.indexOf(large)
  const cuts = [8, 40, frame - 100, frame - 1, frame + 1, frame + 299_999, frame + 300_000]
  let before = 0
  for (const at of [...cuts, bytes.length - 1]) {
    writeFileSync(file, bytes.subarray(0, at))
    await using recording = await openRecording(file)
    t.false(recording.indexed)
    const messages = await gathered(recording.messages())
    t.true(recording.cut || at === bytes.length - 1, String(at))
    t.deepEqual(messages.map(brief), expected.slice(0, messages.length), String(at))
    t.true(messages.length >= before)
    before = messages.length
    if (at >= frame + 300_000) t.true(messages.length >= 3)
  }
  t.is(before, 5)
  writeFileSync(file, Buffer.concat([bytes.subarray(0, frame + 300_000), Buffer.alloc(5000)]))
  t.is((await all(file)).length, 3, 'zeros are what a machine leaves that fell')
})

/** What another program wrote. */
async function foreign(
  file: string,
  options: Partial<ConstructorParameters<typeof McapWriter>[0]> = {},
): Promise<void> {
  const parts: Uint8Array[] = []
  let position = 0
  const writer = new McapWriter({
    writable: {
      write(bytes) {
        parts.push(Uint8Array.from(bytes))
        position += bytes.length
        return Promise.resolve()
      },
      position: () => BigInt(position),
    },
    chunkSize: 100,
    ...options,
  })
  await writer.start({ profile: 'ros2', library: 'another' })
  const schemaId = await writer.registerSchema({
    name: 'any',
    encoding: 'jsonschema',
    data: Buffer.from('{}'),
  })
  const channels = []
  for (const topic of ['/imu', '/text']) {
    channels.push(
      await writer.registerChannel({
        topic,
        schemaId,
        messageEncoding: 'json',
        metadata: new Map([['qos', 'best effort']]),
      }),
    )
  }
  // Out of order, over the borders of chunks.
  for (const time of [5, 1, 3, 2, 4, 9, 8, 7, 6, 0]) {
    await writer.addMessage({
      channelId: channels[time % 2]!,
      sequence: time,
      logTime: BigInt(time) * 1_000_000n + 1n,
      publishTime: BigInt(time) * 1_000_000n,
      data: Buffer.from(`{"time":${String(time)}}`.padEnd(40)),
    })
  }
  await writer.end()
  writeFileSync(file, Buffer.concat(parts))
}

test('we read what another writer wrote, in the order of time where it has an index', async (t) => {
  const file = join(directory(t), 'another.mcap')
  const sequences = async () => (await all(file)).map(({ sequence }) => Number(sequence))
  const ordered = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]
  const asWritten = [5, 1, 3, 2, 4, 9, 8, 7, 6, 0]
  await foreign(file)
  t.deepEqual(await sequences(), ordered)
  await using recording = await openRecording(file)
  t.deepEqual(
    recording.channels.map(({ name, kind, encoding, foreign: is }) => [name, kind, encoding, is]),
    [
      ['/imu', 'queue', 'json', true],
      ['/text', 'queue', 'json', true],
    ],
  )
  t.is(recording.library, 'another')
  await foreign(file, { useChunks: false })
  t.deepEqual(await sequences(), asWritten)
  await foreign(file, { useChunkIndex: false, repeatChannels: false, useStatistics: false })
  t.deepEqual(await sequences(), asWritten)
  const some = (await openRecording(file)).messages({ start: 0, end: 2 })
  t.deepEqual(
    (await gathered(some)).map(({ sequence }) => Number(sequence)),
    [5, 1, 3, 2, 4, 6, 0],
    'without an index times count from the first that is there, and nothing is passed over for having been recorded before',
  )
})

test('chunks that are compressed by lz4 are read by a package, and without it an error says which', async (t) => {
  const file = join(directory(t), 'another.mcap')
  await foreign(file, {
    compressChunk: (bytes) => ({ compression: 'lz4', compressedData: lz4.compress(bytes) }),
  })
  t.is((await all(file)).length, 10)
  const { Module } = await import('node:module')
  const loader = Module as unknown as { _load: (name: string, ...rest: unknown[]) => unknown }
  const load = loader._load
  loader._load = (name, ...rest) => {
    if (name === 'lz4js') throw Object.assign(new Error('not there'), { code: 'MODULE_NOT_FOUND' })
    return load(name, ...rest)
  }
  try {
    await t.throwsAsync(all(file), {
      code: 'ERR_MILLRACE_MISSING_PEER',
      message: /compressed by lz4 need the package lz4js.*npm install lz4js/,
    })
  } finally {
    loader._load = load
  }
})

/** A frame of zstd whose one block is as it was. */
function zstd(bytes: Uint8Array): Uint8Array {
  const head = Buffer.alloc(12)
  head.writeUInt32LE(0xfd2fb528, 0)
  head.writeUInt8(0xa0, 4) // one segment, its length in four bytes
  head.writeUInt32LE(bytes.length, 5)
  head.writeUIntLE((bytes.length << 3) | 1, 9, 3)
  return Buffer.concat([head, bytes])
}

test('chunks that are compressed by zstd are read', async (t) => {
  const file = join(directory(t), 'another.mcap')
  await foreign(file, {
    compressChunk: (bytes) => ({ compression: 'zstd', compressedData: zstd(bytes) }),
  })
  t.is((await all(file)).length, 10)
  await foreign(file, {
    compressChunk: () => ({ compression: 'zstd', compressedData: Buffer.from('nonsense') }),
  })
  await t.throwsAsync(all(file), { code: 'ERR_MILLRACE_CORRUPT', message: /decompressed by zstd/ })
  await foreign(file, {
    compressChunk: (bytes) => ({ compression: 'own', compressedData: bytes }),
  })
  await t.throwsAsync(all(file), { code: 'ERR_MILLRACE_UNSUPPORTED', message: /by 'own'/ })
})

test('what is no recording is refused, and so is one that was changed', async (t) => {
  const file = join(directory(t), 'some.mcap')
  await t.throwsAsync(openRecording(file), { code: 'ERR_MILLRACE_NOT_FOUND' })
  await t.throwsAsync(openRecording(''), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  writeFileSync(file, '')
  await t.throwsAsync(openRecording(file), {
    code: 'ERR_MILLRACE_CORRUPT',
    message: /no recording/,
  })
  await foreign(file)
  const bytes = readFileSync(file)
  bytes[bytes.indexOf('{"time":3}')]! ^= 1
  writeFileSync(file, bytes)
  await t.throwsAsync(all(file), {
    code: 'ERR_MILLRACE_CORRUPT',
    message: /not those that were written/,
  })
})

test('whatever stands in a file, it is read or refused', async (t) => {
  const folder = directory(t)
  const ours = readFileSync(await recorded(folder))
  // What the frame holds is of no interest.
  const frame = ours.indexOf(large)
  const small = Buffer.concat([ours.subarray(0, frame + 100), ours.subarray(frame + 300_000)])
  const file = join(folder, 'lie.mcap')
  await foreign(file)
  const theirs = readFileSync(file)
  const changes = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), {
    minLength: 1,
    maxLength: 4,
  })
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(ours, small, theirs),
      changes,
      fc.nat(),
      async (from, lies, cut) => {
        const bytes = Buffer.from(from)
        // Lengths and numbers lie in front of payloads and behind them.
        for (const [at, value] of lies) {
          const near =
            at % 2 === 0
              ? at % Math.min(bytes.length, 3000)
              : bytes.length - 1 - (at % Math.min(bytes.length, 3000))
          bytes[near] = value
        }
        writeFileSync(file, bytes)
        if (cut % 3 === 0) truncateSync(file, cut % statSync(file).size)
        try {
          await all(file)
        } catch (error) {
          if (!(error instanceof MillraceError)) throw error
        }
      },
    ),
    { numRuns: 300 },
  )
  t.pass()
})
