// Going on after a restart: a reader outlives its writers, and a reader that was restarted goes on where the last one ended.

import test from 'ava'
import { FrameReader, FrameWriter, MillraceError, type FrameReaderOptions } from 'millrace'
import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

function publish(writer: FrameWriter, count: number): void {
  for (let i = 0; i < count; i++) writer.tryLoan()!.publish()
}

/** All frames that are there, as [sequence, missed]. */
function receiveAll(reader: FrameReader): [number, number][] {
  const received: [number, number][] = []
  for (let frame = reader.tryReceive(); frame !== undefined; frame = reader.tryReceive()) {
    received.push([frame.sequence, frame.missed])
    frame.release()
  }
  return received
}

test('waitForPeer resolves at once while there is a writer, and else when the next comes', async (t) => {
  const name = uniqueName(t)
  const geometry = { slotBytes: 8 }
  const first = FrameWriter.create(name, geometry)
  using reader = await FrameReader.open(name)
  await within(5000, reader.waitForPeer())
  first.close()
  t.is(await within(5000, reader.receive()), undefined)
  await t.throwsAsync(reader.waitForPeer({ timeout: 10 }), {
    instanceOf: MillraceError,
    code: 'ERR_MILLRACE_TIMEOUT',
    message: `a writer of frame channel '${name}' did not happen within 10 ms; start one, or allow more time`,
  })
  const aborted = { code: 'ERR_MILLRACE_ABORTED' }
  await t.throwsAsync(reader.waitForPeer({ signal: AbortSignal.abort() }), aborted)
  let there = false
  const waiting = reader.waitForPeer().then(() => (there = true))
  await new Promise((resolve) => setImmediate(resolve))
  t.false(there)
  using second = FrameWriter.create(name, geometry)
  await within(5000, waiting)
  publish(second, 1)
  t.is((await within(5000, reader.receive()))!.sequence, 1)
  reader.close()
  await t.throwsAsync(reader.waitForPeer(), { code: 'ERR_MILLRACE_CLOSED' })
})

test.serial(
  'a reader that waits for the next writer gets all frames of all, whether they close or die',
  async (t) => {
    const name = uniqueName(t)
    const sequences: number[] = []
    const ends: string[] = []
    const other = actor(t)
    await other.do(({ FrameWriter, own }, name) => {
      own.writer = FrameWriter.create(name, { slotBytes: 8 })
    }, name)
    using reader = await FrameReader.open(name)
    const reading = (async () => {
      while (sequences.length < 9) {
        try {
          for await (using frame of reader) {
            sequences.push(frame.sequence)
            if (sequences.length === 9) return
          }
          ends.push('closed')
        } catch (error) {
          ends.push((error as MillraceError).code)
        }
        await reader.waitForPeer()
      }
    })()
    await other.do(({ FrameWriter, own }, name) => {
      for (let i = 0; i < 3; i++) own.writer.tryLoan()!.publish()
      own.writer.close()
      own.writer = FrameWriter.create(name, { slotBytes: 8 })
      for (let i = 0; i < 3; i++) own.writer.tryLoan()!.publish()
    }, name)
    await other.kill()
    using last = FrameWriter.create(name, { slotBytes: 8 })
    publish(last, 3)
    await within(10_000, reading)
    t.deepEqual(sequences, [1, 2, 3, 4, 5, 6, 7, 8, 9])
    t.true(ends.length <= 2, `no more rounds than writers: ${ends.join(', ')}`)
  },
)

test.serial(
  'a reader that was killed goes on without a gap, as far as the history reaches',
  async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: 8, slots: 12, history: 8 })
    const other = actor(t)
    await other.do(
      async ({ FrameReader, own }, name) => void (own.reader = await FrameReader.open(name)),
      name,
    )
    publish(writer, 3)
    const after = await other.do(({ own }) => {
      own.reader.tryReceive()!.release()
      return own.reader.tryReceive()!.sequence
    })
    await other.kill()
    t.is(after, 2)
    publish(writer, 4)
    using next = await FrameReader.open(name, { after })
    publish(writer, 2)
    t.deepEqual(
      receiveAll(next),
      [3, 4, 5, 6, 7, 8, 9].map((sequence) => [sequence, 0]),
    )
    t.is(next.stats.lost, 0)
  },
)

const openings: readonly {
  readonly title: string
  readonly options: FrameReaderOptions
  readonly first: readonly [sequence: number, missed: number]
}[] = [
  { title: 'beyond the history, the gap is counted', options: { after: 2 }, first: [7, 4] },
  { title: 'at the end of the history there is no gap', options: { after: 6 }, first: [7, 0] },
  { title: 'within the history nothing comes twice', options: { after: 8 }, first: [9, 0] },
  { title: 'after the newest frame the next one is first', options: { after: 10 }, first: [11, 0] },
  { title: 'from the first frame on', options: { after: 0 }, first: [7, 6] },
  { title: 'a number of another channel means all of this', options: { after: 50 }, first: [7, 6] },
  { title: 'less history is wanted', options: { after: 2, history: 1 }, first: [10, 7] },
]
for (const { title, options, first } of openings) {
  test(`opened after a frame: ${title}`, async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: 8, slots: 12, history: 4 })
    publish(writer, 10)
    using reader = await FrameReader.open(name, options)
    publish(writer, 2)
    const received = receiveAll(reader)
    t.deepEqual(received[0], [...first])
    t.deepEqual(
      received.slice(1),
      received.slice(1).map((_, i) => [first[0] + 1 + i, 0]),
    )
    t.is(received.at(-1)![0], 12)
    t.is(reader.stats.joinedAfter, 10)
  })
}

test('opened after a frame of a channel without history: the gap is counted', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  publish(writer, 5)
  using reader = await FrameReader.open(name, { after: 3 })
  publish(writer, 1)
  t.deepEqual(receiveAll(reader), [[6, 2]])
})

test('a frame that nobody can have received last is refused', async (t) => {
  const name = uniqueName(t)
  using _writer = FrameWriter.create(name, { slotBytes: 8 })
  for (const after of [-1, 1.5, NaN, '3', 2 ** 53, null]) {
    await t.throwsAsync(FrameReader.open(name, { after: after as never }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /after/u,
    })
  }
})
