// Recorders, by sources that a test gives messages: files that follow one another, the last seconds in memory, what was missed, a full disk.

import { execFileSync } from 'node:child_process'
import {
  lstatSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { openRecording, record, type RecorderOptions } from 'millrace/recording'
import { ownDirectory } from '../support/directory.js'
import { until } from '../support/until.js'
import { FakeSource } from './fake-source.js'
import { gathered } from './gathered.js'

const patience = 40_000

/** The payloads of a file, as text. */
async function texts(file: string): Promise<string[]> {
  await using recording = await openRecording(file)
  return (await gathered(recording.messages())).map(({ bytes }) => bytes.toString())
}

function folderAnd(t: ExecutionContext): { readonly folder: string; readonly file: string } {
  const folder = ownDirectory(t)
  return { folder, file: join(folder, 'some.mcap') }
}

test('options are judged before anything is done, and sources are let go of in the end', async (t) => {
  const { folder, file } = folderAnd(t)
  const source = new FakeSource('some', 'queue')
  const wrong: readonly (readonly [Partial<RecorderOptions>, RegExp])[] = [
    [{ file: '' }, /a path/],
    [{ file, maxBytes: 1 }, /maxBytes must be a whole number from 65536/],
    [{ file, maxTime: -1 }, /maxTime must be a number of milliseconds/],
    [{ file, last: Number.NaN }, /last must be a number of milliseconds/],
    [{ file, interval: '1' as never }, /interval/],
    [{ file, payloads: { some: { schema: {} as never } } }, /the schema of 'some'/],
    [{ file, colour: 'red' } as never, /colour/],
  ]
  for (const [options, message] of wrong) {
    await t.throwsAsync(record([source], options as RecorderOptions), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message,
    })
  }
  await t.throwsAsync(record([], { file }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.deepEqual(readdirSync(folder), [])
  writeFileSync(file, 'precious')
  await t.throwsAsync(record([source], { file }), {
    code: 'ERR_MILLRACE_EXISTS',
    message: /there already/,
  })
  t.is(readFileSync(file, 'utf8'), 'precious')
  await t.throwsAsync(record([source], { file: join(folder, 'no', 'file') }), {
    code: 'ERR_MILLRACE_NOT_FOUND',
    message: /a folder that is not there/,
  })
  const recorder = await record([source], { file, overwrite: true })
  await recorder.stop()
  t.true(source.closed)
  t.deepEqual(await texts(file), [])
  const fresh = join(folder, 'fresh.mcap')
  await (await record([source], { file: fresh })).stop()
  t.is((statSync(fresh).mode & 0o777).toString(8), '600', 'payloads are nobody else’s')
})

test('stop takes what is there, may be called by many, and resolves with what became of each channel', async (t) => {
  const { file } = folderAnd(t)
  const [one, two] = [new FakeSource('one', 'queue'), new FakeSource('two', 'work')]
  const recorder = await record([one, two], { file })
  for (let at = 0; at < 1000; at++) (at % 2 === 0 ? one : two).give(String(at), { at })
  two.missed = 5n
  await until(() => recorder.stats.recorded === 1000, patience)
  const [stats, again] = await Promise.all([recorder.stop(), recorder.stop()])
  t.deepEqual(stats, again)
  t.deepEqual(
    stats.channels.map(({ name, kind, recorded, dropped }) => [name, kind, recorded, dropped]),
    [
      ['one', 'queue', 500, 0],
      ['two', 'work', 500, 5],
    ],
  )
  t.is(stats.recorded, 1000)
  t.is(stats.dropped, 5)
  t.deepEqual(stats.files, [file])
  t.is(stats.fileBytes, statSync(file).size)
  const messages = await texts(file)
  t.is(messages.length, 1000)
  t.deepEqual(
    messages,
    messages.toSorted((a, b) => Number(a) - Number(b)),
    'as they were published',
  )
  await t.throwsAsync(recorder.trigger(), { code: 'ERR_MILLRACE_UNSUPPORTED' })
})

test('what is recorded is in the file soon, while the recording goes on, and so is what was missed', async (t) => {
  const { file } = folderAnd(t)
  const source = new FakeSource('some', 'queue')
  await using recorder = await record([source], { file })
  source.give('early')
  const seen = async () => (await texts(file)).includes('early')
  await until(seen, patience)
  source.missed = 7n
  await until(async () => {
    await using recording = await openRecording(file)
    await gathered(recording.messages())
    return recording.dropped['queue/some'] === 7
  }, patience)
  t.is(recorder.stats.dropped, 7)
  t.is(recorder.stats.channels[0]!.dropped, 7)
})

test('files follow one another by their size, each whole in itself', async (t) => {
  const { folder, file } = folderAnd(t)
  const source = new FakeSource('some', 'frames')
  const recorder = await record([source], { file, maxBytes: 250_000 })
  for (let at = 0; at < 10; at++) source.give(Buffer.alloc(100_000, at), { at, op: 'frame' })
  await until(() => recorder.stats.recorded === 10, patience)
  const { files } = await recorder.stop()
  t.deepEqual(
    files,
    [1, 2, 3, 4, 5].map((number) => join(folder, `some-000${String(number)}.mcap`)),
  )
  const firsts: number[] = []
  for (const one of files) {
    t.true(statSync(one).size <= 250_000, one)
    await using recording = await openRecording(one)
    t.true(recording.indexed)
    for (const { bytes } of await gathered(recording.messages())) {
      t.is(bytes.length, 100_000)
      firsts.push(bytes[0]!)
    }
  }
  t.deepEqual(firsts, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('none is larger than it may be, however small messages are, and of however many channels', async (t) => {
  const { file } = folderAnd(t)
  const sources = ['a', 'b', 'c', 'd', 'e'].map((name) => new FakeSource(name, 'topics'))
  const recorder = await record(sources, { file, maxBytes: 100_000 })
  for (let at = 0; at < 6000; at++) {
    const subject = `of.${String(at % 20)}`
    sources[at % 5]!.give('x', { at, subject, headers: { of: 'it' } })
  }
  await until(() => recorder.stats.recorded === 6000, patience)
  const { files } = await recorder.stop()
  const sizes = files.map((one) => statSync(one).size)
  t.true(files.length > 2)
  t.true(Math.max(...sizes) <= 100_000, sizes.join())
  t.true(sizes[0]! > 80_000, sizes.join())
})

test('and by their time', async (t) => {
  const { file } = folderAnd(t)
  const source = new FakeSource('some', 'queue')
  const recorder = await record([source], { file, maxTime: 1000 })
  for (const at of [0, 400, 999, 1000, 1500, 5000]) source.give(String(at), { at })
  const { files } = await recorder.stop()
  t.deepEqual(await Promise.all(files.map(texts)), [
    ['0', '400', '999'],
    ['1000', '1500'],
    ['5000'],
  ])
})

test('the last seconds stay in memory until they are asked for', async (t) => {
  const { folder, file } = folderAnd(t)
  const source = new FakeSource('some', 'queue')
  const long = 3_600_000 // no machine stands still for an hour
  const recorder = await record([source], { file, last: long, interval: 1 })
  source.give('too old', { at: -long - 1000 })
  source.give('one', { at: -1000 })
  source.give('two')
  await until(() => recorder.stats.recorded === 3, patience)
  t.is(recorder.stats.held, 2)
  t.deepEqual(readdirSync(folder), [])
  const first = await recorder.trigger()
  t.is(first, join(folder, 'some-0001.mcap'))
  t.deepEqual(await texts(first!), ['one', 'two'])
  t.is(recorder.stats.held, 0)
  t.is(await recorder.trigger(), undefined, 'there is nothing')
  source.give('three')
  const second = await recorder.trigger()
  t.deepEqual(await texts(second!), ['three'])
  source.give('four')
  const stats = await recorder.stop()
  t.deepEqual(stats.files, [first, second])
  await t.throwsAsync(recorder.trigger(), { code: 'ERR_MILLRACE_CLOSED' })
})

test('the last seconds take no more memory than they may', async (t) => {
  const { file } = folderAnd(t)
  const source = new FakeSource('some', 'queue')
  const recorder = await record([source], { file, last: Infinity, lastBytes: 100_000, interval: 1 })
  for (let at = 0; at < 5000; at++) source.give(String(at).padStart(600), { at })
  await until(() => recorder.stats.recorded === 5000, patience)
  const { held, heldBytes, heldTime } = recorder.stats
  t.is(held, 100)
  t.is(heldBytes, 100_000)
  t.is(heldTime, 99)
  source.give(Buffer.alloc(200_000))
  await until(() => recorder.stats.recorded === 5001, patience)
  t.is(recorder.stats.held, 0, 'one that is larger than all that there may be')
  source.give('last', { at: 5001 })
  t.deepEqual(await texts((await recorder.trigger())!), ['last'])
  await recorder.stop()
})

test('a signal stops it, and one that was aborted before has it look once', async (t) => {
  const { file } = folderAnd(t)
  const source = new FakeSource('some', 'queue')
  const stop = new AbortController()
  const recorder = await record([source], { file, signal: stop.signal, interval: 1e6 })
  source.give('one')
  stop.abort()
  await recorder.finished
  t.deepEqual(await texts(file), ['one'])
  const again = new FakeSource('some', 'queue')
  again.give('two')
  const { finished } = await record([again], { file, overwrite: true, signal: stop.signal })
  await finished
  t.deepEqual(await texts(file), ['two'])
})

test('bytes that lie in shared memory are let go of when they are written, and also when that fails', async (t) => {
  const { file } = folderAnd(t)
  const source = new FakeSource('some', 'frames')
  let held = 0
  const give = () => {
    held++
    source.give(Buffer.alloc(100_000), { op: 'frame', release: () => held-- })
  }
  const recorder = await record([source], { file })
  for (let count = 0; count < 10; count++) give()
  await until(() => recorder.stats.recorded === 10 && held === 0, patience)
  await recorder.stop()
  const full = await record([source], { file: '/dev/full', overwrite: true })
  for (let count = 0; count < 10; count++) give()
  await t.throwsAsync(full.finished, { code: 'ERR_MILLRACE_NO_SPACE' })
  t.is(held, source.waiting, 'what it has not looked at is not its own')
  t.true(source.closed)
})

test('a source that fails ends the recording, and what was recorded before is in a file that is whole', async (t) => {
  const { file } = folderAnd(t)
  const source = new FakeSource('some', 'queue')
  const recorder = await record([source], { file })
  source.give('one')
  await until(() => recorder.stats.recorded === 1, patience)
  source.read = () => {
    throw new Error('it is damaged')
  }
  await t.throwsAsync(recorder.finished, { message: 'it is damaged' })
  await t.throwsAsync(recorder.stop(), { message: 'it is damaged' })
  await using recording = await openRecording(file)
  t.true(recording.indexed)
  t.deepEqual(await texts(file), ['one'])
})

test('a file that was removed, or that another recorder has replaced, ends the recording: nobody would find it', async (t) => {
  const { file } = folderAnd(t)
  const [first, second] = [new FakeSource('some', 'queue'), new FakeSource('some', 'queue')]
  const before = await record([first], { file })
  first.give('one')
  await until(async () => (await texts(file).catch(() => [])).length === 1, patience)
  await using other = await record([second], { file, overwrite: true })
  second.give('two')
  first.give('three')
  await t.throwsAsync(before.finished, {
    code: 'ERR_MILLRACE_NOT_FOUND',
    message: /some\.mcap' was removed, or replaced by another recording/,
  })
  await other.stop()
  t.deepEqual(await texts(file), ['two'])

  const link = `${file}.link`
  symlinkSync(file, link)
  const through = await record([new FakeSource('some', 'queue')], { file: link, overwrite: true })
  t.true(lstatSync(link).isSymbolicLink())
  rmSync(file)
  await t.throwsAsync(through.stop(), { code: 'ERR_MILLRACE_NOT_FOUND' })
})

test('subjects beyond ten thousand share a channel, and keep their names', async (t) => {
  const { file } = folderAnd(t)
  const source = new FakeSource('bus', 'topics')
  const recorder = await record([source], { file })
  for (let at = 0; at < 10_010; at++)
    source.give(String(at), { at: at / 100, subject: `a.${String(at)}` })
  await until(() => recorder.stats.recorded === 10_010, patience)
  await recorder.stop()
  await using recording = await openRecording(file)
  t.is(recording.channels.length, 10_001)
  const messages = await gathered(recording.messages())
  t.is(messages.length, 10_010)
  for (const { subject, bytes } of messages)
    if (subject !== `a.${bytes.toString()}`) t.fail(subject)
})

/** Writes frames of 100,000 bytes until it is told that there is no more room; says how the error is called. */
const program = `
  import { record } from 'millrace/recording'
  let sequence = 0n
  const source = {
    name: 'some', kind: 'frames', missed: 0n, close() {},
    read: () => [{ op: 'frame', sequence: ++sequence, seenAt: sequence, bytes: Buffer.alloc(100_000, Number(sequence)) }],
  }
  const recorder = await record([source], { file: process.argv[1] })
  const error = await recorder.finished.catch((error) => error)
  console.log(JSON.stringify([error.code, error.path]))`

test('where no more fits, the error says so, and what was written is a whole file', async (t) => {
  const { file } = folderAnd(t)
  const root = new URL('../../../', import.meta.url)
  // The limit of a process is as a full disk.
  const said = execFileSync(
    'bash',
    [
      '-c',
      `ulimit -f 1000; exec "$0" --input-type=module --eval "$1" "$2"`,
      process.execPath,
      program,
      file,
    ],
    { cwd: root, encoding: 'utf8' },
  )
  t.deepEqual(JSON.parse(said), ['ERR_MILLRACE_NO_SPACE', file])
  await using recording = await openRecording(file)
  const messages = await gathered(recording.messages())
  t.is(messages.length, 10)
  t.true(messages.every(({ bytes }, at) => bytes.every((byte) => byte === at + 1)))
  t.true(recording.indexed, 'there was room for the index where the last frame did not fit')
})
