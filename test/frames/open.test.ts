// Coming to a channel: who may, when, and what is said to those who may not.

import { spawnSync } from 'node:child_process'
import test from 'ava'
import { FrameReader, FrameWriter, MillraceError, type FrameReaderOptions } from 'millrace'
import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const invalid = { instanceOf: MillraceError, code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
const notFound = { instanceOf: MillraceError, code: 'ERR_MILLRACE_NOT_FOUND' }

test('both sides know the geometry', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 1000, slots: 5, maxReaders: 3, history: 2 })
  using reader = await FrameReader.open(name)
  t.like(writer, { name, slotBytes: 1000, slots: 5, maxReaders: 3, history: 2, closed: false })
  t.like(reader, { name, slotBytes: 1000, slots: 5, maxHeld: 3, closed: false })
  t.is(reader.peer, 'attached')
  t.is(reader.peerPid, process.pid)
})

test('slots, readers and history have defaults', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 1 })
  t.like(writer, { slots: 8, maxReaders: 8, history: 0, sequence: 0, readers: 0 })
})

test('open waits for the writer to come', async (t) => {
  const name = uniqueName(t)
  const opening = FrameReader.open(name)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await within(5000, opening)
  writer.tryLoan()!.publish()
  t.is(reader.tryReceive()!.sequence, 1)
})

test('open gives up after its timeout', async (t) => {
  const name = uniqueName(t)
  const start = performance.now()
  await t.throwsAsync(FrameReader.open(name, { timeout: 50 }), {
    ...notFound,
    message: `no writer appeared on frame channel '${name}' within 50 ms: start it, or allow more time`,
  })
  t.true(performance.now() - start >= 49)
  await t.throwsAsync(FrameReader.open(name, { timeout: 0 }), notFound)
  t.deepEqual(objectsOf(name), [])
})

test('a channel whose writer has closed is as if there were none', async (t) => {
  const name = uniqueName(t)
  const writer = FrameWriter.create(name, { slotBytes: 8 })
  using _reader = await FrameReader.open(name)
  writer.close()
  await t.throwsAsync(FrameReader.open(name, { timeout: 0 }), {
    ...notFound,
    message: /no writer appeared .* \(yet\): start it/u,
  })
})

test('open ends with its signal', async (t) => {
  const name = uniqueName(t)
  const aborted = { code: 'ERR_MILLRACE_ABORTED', name: 'AbortError' }
  const abort = new AbortController()
  const opening = t.throwsAsync(FrameReader.open(name, { signal: abort.signal }), aborted)
  setImmediate(() => abort.abort(new Error('enough')))
  const error = await within(5000, opening)
  t.is((error.cause as Error).message, 'enough')
  await t.throwsAsync(FrameReader.open(name, { signal: AbortSignal.abort() }), aborted)
})

test('there is one writer, and a second is told who it is', async (t) => {
  const name = uniqueName(t)
  using _writer = FrameWriter.create(name, { slotBytes: 8 })
  const taken = { code: 'ERR_MILLRACE_ROLE_TAKEN', message: RegExp(`process ${process.pid}\\b`) }
  t.throws(() => FrameWriter.create(name, { slotBytes: 8 }), taken)
  t.throws(() => FrameWriter.create(name, { slotBytes: 8, replace: true }), taken)
  const other = actor(t)
  await t.throwsAsync(
    other.do(({ FrameWriter }, name) => void FrameWriter.create(name, { slotBytes: 8 }), name),
    taken,
  )
})

test('a new writer must state the geometry its readers live with, or is told it', async (t) => {
  const name = uniqueName(t)
  const geometry = { slotBytes: 8, slots: 4, maxReaders: 2, history: 1, alignment: 64 }
  FrameWriter.create(name, geometry).close()
  const first = FrameWriter.create(name, geometry)
  using reader = await FrameReader.open(name)
  first.close()
  const mismatch = (options: Partial<typeof geometry>, ...values: string[]): void => {
    const error = t.throws(() => FrameWriter.create(name, { ...geometry, ...options }), {
      instanceOf: MillraceError,
      code: 'ERR_MILLRACE_GEOMETRY',
    })
    for (const value of values) t.true(error.message.includes(value), error.message)
  }
  mismatch({ slotBytes: 16 }, 'slotBytes 8 (not 16)')
  mismatch({ slots: 5 }, 'slots 4 (not 5)')
  mismatch({ maxReaders: 3 }, '2 (not 3)')
  mismatch({ history: 2 }, 'history 1 (not 2)')
  mismatch({ alignment: 128 }, 'alignment 64 (not 128)')
  mismatch({ slotBytes: 9, slots: 6 }, 'slotBytes 8 (not 9)', 'slots 4 (not 6)', 'replace')
  using second = FrameWriter.create(name, geometry)
  second.tryLoan()!.publish()
  t.is(reader.tryReceive()!.sequence, 1)
})

test('without readers, a new writer may choose another geometry', (t) => {
  const name = uniqueName(t)
  FrameWriter.create(name, { slotBytes: 8 }).close()
  using writer = FrameWriter.create(name, { slotBytes: 16, slots: 3 })
  t.is(writer.slotBytes, 16)
})

test('replace leaves the old channel to its readers and starts a new one', async (t) => {
  const name = uniqueName(t)
  const first = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
  using old = await FrameReader.open(name)
  first.tryLoan()!.publish()
  first.close()
  using second = FrameWriter.create(name, { slotBytes: 32, slots: 4, replace: true })
  using fresh = await FrameReader.open(name)
  second.tryLoan()!.publish()
  t.is(fresh.tryReceive()!.byteLength, 32)
  t.is(old.tryReceive()!.byteLength, 8)
  t.is(await within(5000, old.receive()), undefined)
  old.close()
  t.not(objectsOf(name).length, 0, 'the last of the old channel must not remove the new one')
})

test('a place for a reader is free again when its reader closes', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, maxReaders: 2 })
  using first = await FrameReader.open(name)
  using _second = await FrameReader.open(name)
  const noLane = { code: 'ERR_MILLRACE_NO_LANE', message: /all 2 reader places/ }
  await t.throwsAsync(FrameReader.open(name), noLane)
  first.close()
  using third = await FrameReader.open(name)
  await t.throwsAsync(FrameReader.open(name), noLane)
  writer.tryLoan()!.publish()
  t.is(third.tryReceive()!.sequence, 1)
})

test('whoever finds all places taken is told to make more, as long as there can be more', async (t) => {
  const name = uniqueName(t)
  const fill = async (maxReaders: number): Promise<string> => {
    using _writer = FrameWriter.create(name, { slotBytes: 8, maxReaders })
    const readers: FrameReader[] = []
    try {
      for (let i = 0; i < maxReaders; i++) readers.push(await FrameReader.open(name))
      return (await t.throwsAsync(FrameReader.open(name), { code: 'ERR_MILLRACE_NO_LANE' })).message
    } finally {
      for (const reader of readers) reader.close()
    }
  }
  t.regex(await fill(2), /larger maxReaders/u)
  const most = await fill(62)
  t.regex(most, /all 62 reader places/u)
  t.notRegex(most, /larger/u)
})

test('a reader gets nothing that was meant for its predecessor on the same place', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 4, maxReaders: 1 })
  for (let round = 0; round < 20; round++) {
    using reader = await FrameReader.open(name, { policy: 'overwrite-oldest', depth: 4 })
    t.is(reader.tryReceive(), undefined)
    const { joinedAfter } = reader.stats
    t.is(joinedAfter, writer.sequence)
    for (let i = 0; i < 3; i++) writer.tryLoan()!.publish()
    t.is(reader.tryReceive()!.sequence, joinedAfter + 1)
    t.is(reader.stats.lost, 0)
  }
})

test('unlink removes the name; who is on the channel stays on it', async (t) => {
  const name = uniqueName(t)
  t.false(FrameWriter.unlink(name))
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  t.true(FrameWriter.unlink(name))
  t.deepEqual(objectsOf(name), [])
  writer.tryLoan()!.publish()
  t.is(reader.tryReceive()!.sequence, 1)
  using second = FrameWriter.create(name, { slotBytes: 16 })
  t.is(second.slotBytes, 16)
})

test('the channel is removed when the writer and all readers have left, in any order', async (t) => {
  const name = uniqueName(t)
  for (const order of [0, 1, 2]) {
    const sides = [
      FrameWriter.create(name, { slotBytes: 8 }),
      await FrameReader.open(name),
      await FrameReader.open(name),
    ]
    for (let i = 0; i < 3; i++) {
      t.not(objectsOf(name).length, 0)
      sides[(order + i) % 3]!.close()
    }
    t.deepEqual(objectsOf(name), [])
  }
})

test('the object is private to the user unless another mode is asked for', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  const { stdout } = spawnSync('stat', ['-c', '%a', `/dev/shm/millrace.f.${name}`])
  t.is(stdout.toString().trim(), '600')
  writer.close()
  using shared = FrameWriter.create(name, { slotBytes: 8, mode: 0o660 })
  const again = spawnSync('stat', ['-c', '%a', `/dev/shm/millrace.f.${name}`])
  t.is(again.stdout.toString().trim(), '660')
  await t.throwsAsync(FrameReader.open(name, { timeout: 0 }), { code: 'ERR_MILLRACE_NOT_OURS' })
  using reader = await FrameReader.open(name, { mode: 0o660 })
  shared.tryLoan()!.publish()
  t.is((await within(5000, reader.receive()))!.sequence, 1)
})

const wrongWriters: readonly (readonly [string, unknown])[] = [
  ['options', undefined],
  ['slotBytes', {}],
  ['slotBytes', { slotBytes: 0 }],
  ['slotBytes', { slotBytes: 1.5 }],
  ['slotBytes', { slotBytes: '8' }],
  ['slotBytes', { slotBytes: 2 ** 33 }],
  ['slots', { slotBytes: 8, slots: 1 }],
  ['slots', { slotBytes: 8, slots: 4097 }],
  ['slots', { slotBytes: 2 ** 30, slots: 5 }],
  ['maxReaders', { slotBytes: 8, maxReaders: 0 }],
  ['maxReaders', { slotBytes: 8, maxReaders: 63 }],
  ['history', { slotBytes: 8, slots: 4, history: 3 }],
  ['history', { slotBytes: 8, history: -1 }],
  ['alignment', { slotBytes: 8, alignment: 32 }],
  ['alignment', { slotBytes: 8, alignment: 96 }],
  ['alignment', { slotBytes: 8, alignment: 8192 }],
  ['mode', { slotBytes: 8, mode: 0o666 }],
  ['replace', { slotBytes: 8, replace: 1 }],
  ['poll', { slotBytes: 8, poll: -1 }],
  ['spin', { slotBytes: 8, spin: 'x' }],
]
for (const [index, [word, options]] of wrongWriters.entries()) {
  test(`a wrong ${word} of a writer is named (${index})`, (t) => {
    const name = uniqueName(t)
    t.throws(() => FrameWriter.create(name, options as never), {
      ...invalid,
      message: word === 'options' ? /slotBytes|options/ : RegExp(word),
    })
    t.deepEqual(objectsOf(name), [], 'nothing is left of the attempt')
  })
}

const wrongReaders: readonly (readonly [string, unknown])[] = [
  ['options', 5],
  ['policy', { policy: 'none' }],
  ['depth', { depth: 0 }],
  ['history', { history: -1 }],
  ['maxHeld', { maxHeld: 0 }],
  ['timeout', { timeout: -1 }],
  ['timeout', { timeout: '1' }],
  ['signal', { signal: {} }],
  ['detachOnRelease', { detachOnRelease: 'yes' }],
  ['mode', { mode: 0o777 }],
  ['owner', { owner: -1 }],
  ['poll', { poll: NaN }],
]
for (const [index, [word, options]] of wrongReaders.entries()) {
  test(`a wrong ${word} of a reader is named (${index})`, async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: 8 })
    const given = options as FrameReaderOptions
    await t.throwsAsync(FrameReader.open(name, given), { ...invalid, message: RegExp(word) })
    t.is(writer.readers, 0)
  })
}

test('names are checked on both sides', async (t) => {
  for (const [name, code] of [
    ['', 'ERR_MILLRACE_INVALID_NAME'],
    ['a/b', 'ERR_MILLRACE_INVALID_NAME'],
    ['.hidden', 'ERR_MILLRACE_INVALID_NAME'],
    ['x'.repeat(241), 'ERR_MILLRACE_NAME_TOO_LONG'],
  ] as const) {
    t.throws(() => FrameWriter.create(name, { slotBytes: 8 }), { code })
    await t.throwsAsync(FrameReader.open(name), { code })
    t.throws(() => FrameWriter.unlink(name), { code })
  }
  t.throws(() => FrameWriter.create(5 as never, { slotBytes: 8 }), invalid)
  await t.throwsAsync(FrameReader.open(undefined as never), invalid)
})
