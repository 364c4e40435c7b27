// A writer that gives up says so, and why; its readers learn of it where they would learn of an end.

import test from 'ava'
import { FrameReader, FrameWriter, MillraceError, type Frame } from 'millrace'

import { uniqueName } from '../support/names.js'
import { pokeWord } from '../support/segments.js'

const soon = { timeout: 15_000 }
const code = 'ERR_MILLRACE_PEER_FAILED'

function publish(writer: FrameWriter, count: number): void {
  for (let i = 0; i < count; i++) writer.tryLoan()!.publish()
}

const ways: Record<string, (reader: FrameReader, got: number[]) => Promise<void>> = {
  'for await': async (reader, got) => {
    for await (const frame of reader) take(frame, got)
  },
  'frames()': async (reader, got) => {
    const frames = reader.frames()
    for (let i = 0; i < 3; i++) take((await frames.next()).value, got)
  },
  receive: async (reader, got) => {
    for (let i = 0; i < 3; i++) take(await reader.receive(soon), got)
  },
  receiveLatest: async (reader, got) => {
    for (let i = 0; i < 3; i++) take(await reader.receiveLatest(soon), got)
  },
  receiveSync: (reader, got) =>
    new Promise(() => {
      for (let i = 0; i < 3; i++) take(reader.receiveSync(soon), got)
    }),
}
function take(frame: Frame | undefined, got: number[]): void {
  got.push(frame!.sequence)
  frame!.release()
}

for (const [how, receive] of Object.entries(ways)) {
  test(`${how} rejects after everything that was published, for every reader`, async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: 64 })
    using reader = await FrameReader.open(name)
    using other = await FrameReader.open(name, { policy: 'overwrite-oldest' })
    publish(writer, 2)
    writer.abort(new Error('the camera is unplugged'))
    t.true(writer.closed)
    for (const each of [reader, other]) {
      const got: number[] = []
      const error = await t.throwsAsync(receive(each, got), { code, instanceOf: MillraceError })
      t.deepEqual(got, how === 'receiveLatest' ? [2] : [1, 2])
      t.is(
        error.message,
        `the writer of frame channel '${name}' (pid ${process.pid}) failed: the camera is unplugged; everything it ` +
          'published has been received: wait for another writer with waitForPeer(), or close',
      )
      t.is((error.cause as Error).message, 'the camera is unplugged')
      t.is(each.peer, 'failed')
      t.is(each.tryReceive(), undefined)
      t.is(each.latest(), undefined)
    }
  })
}

test('a wait that sleeps rejects, and the next writer takes the mark away', async (t) => {
  const name = uniqueName(t)
  const options = { slotBytes: 64 }
  const writer = FrameWriter.create(name, options)
  using reader = await FrameReader.open(name)
  const waiting = t.throwsAsync(reader.receive(soon), {
    code,
    message: /failed, and gave no reason;/,
  })
  await new Promise(setImmediate)
  writer.abort()
  await waiting
  const came = reader.waitForPeer(soon)
  const next = FrameWriter.create(name, options)
  await came
  t.is(reader.peer, 'attached')
  publish(next, 1)
  next.close()
  using frame = await reader.receive(soon)
  t.is(frame?.sequence, 1)
  t.is(await reader.receive(soon), undefined)
  t.is(reader.peer, 'closed')
})

test('for the writer it is a close: loans and waits are over', async (t) => {
  const name = uniqueName(t)
  const writer = FrameWriter.create(name, { slotBytes: 64, slots: 2 })
  const [first, second] = [writer.tryLoan()!, writer.tryLoan()!]
  const waiting = t.throwsAsync(writer.loan(soon), { code: 'ERR_MILLRACE_CLOSED' })
  writer.abort('why')
  await waiting
  t.throws(() => first.publish(), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => second.bytes, { code: 'ERR_MILLRACE_CLOSED' })
  writer.abort('again')
  writer.close()
})

test('a reason uses all of its bytes, in both of the places it lies in', async (t) => {
  const name = uniqueName(t)
  const writer = FrameWriter.create(name, { slotBytes: 64 })
  using reader = await FrameReader.open(name)
  const reason = Array.from({ length: 200 }, (_, i) => String.fromCharCode(97 + (i % 26))).join('')
  writer.abort(`${reason}!`)
  const error = await t.throwsAsync(reader.receive(soon), { code })
  t.is((error.cause as Error).message, reason)
})

test('with keep, a reader to come gets the history, and then hears of the failure', async (t) => {
  const name = uniqueName(t)
  const options = { slotBytes: 64, history: 1, keep: true }
  const writer = FrameWriter.create(name, options)
  using reader = await FrameReader.open(name)
  publish(writer, 3)
  writer.abort('why')
  reader.close()
  // A reader comes to a writer only; it finds the next one, which has failed in nothing.
  using next = FrameWriter.create(name, options)
  using late = await FrameReader.open(name, { history: 1 })
  using frame = await late.receive(soon)
  t.is(frame?.sequence, 3)
  t.is(late.peer, 'attached')
  next.close()
  t.is(await late.receive(soon), undefined)
  FrameWriter.unlink(name)
})

test('promise: lies – rubbish where the reason of a writer belongs is text, or no reason', async (t) => {
  const name = uniqueName(t)
  const writer = FrameWriter.create(name, { slotBytes: 64 })
  using reader = await FrameReader.open(name)
  writer.abort('true')
  let state = 1
  const random = () => BigInt((state = Math.imul(state, 1103515245) + 12345) >>> 0)
  for (let round = 0; round < 100; round++) {
    // native/include/millrace/layout/frames.hpp: the rest of the writer's two lines.
    for (let at = 664; at < 768; at += 8) pokeWord('f', name, at, (random() << 32n) | random())
    for (let at = 776; at < 872; at += 8) pokeWord('f', name, at, (random() << 32n) | random())
    const error = t.throws(() => reader.receiveSync(soon), { code })
    // eslint-disable-next-line no-control-regex
    t.notRegex(error.message, /[\u0000-\u001f\u007f-\u009f]/)
  }
})
