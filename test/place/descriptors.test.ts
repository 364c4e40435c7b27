// A segment that is closed while something is still being opened on it: the number of its descriptor belongs to
// somebody else then.

import { closeSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import {
  Cell,
  FrameReader,
  FrameWriter,
  NamelessSegment,
  receiveSegments,
  SpscQueue,
} from 'millrace'
import { actor } from '../support/actor.js'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const patience = 20_000
const descriptors = () => readdirSync('/proc/self/fd').length

test.serial(
  'a frame reader opens on the segment it was given, whatever becomes of its number',
  async (t) => {
    SpscQueue.producer(uniqueName(t)).close() // the doorbell stays open with the process
    const before = descriptors()
    {
      const one = NamelessSegment.create()
      const kept = NamelessSegment.fromFd(one.fd)
      const opening = FrameReader.open(one, { timeout: patience })
      const number = one.fd
      one.close()
      using two = NamelessSegment.create()
      t.is(two.fd, number)
      using stranger = FrameWriter.create(two, { slotBytes: 64 })
      await new Promise((resolve) => setTimeout(resolve, 100)) // several attempts
      t.is(stranger.readers, 0)
      using writer = FrameWriter.create(kept, { slotBytes: 64 })
      kept.close()
      using reader = await within(patience, opening)
      t.is(writer.readers, 1)
      t.is(stranger.readers, 0)
      t.is(reader.name, one.name)
    }
    t.is(descriptors(), before)
  },
)

test.serial(
  'a cell reader opens on the segment it was given, whatever becomes of its number',
  async (t) => {
    SpscQueue.producer(uniqueName(t)).close() // the doorbell stays open with the process
    const before = descriptors()
    {
      const one = NamelessSegment.create()
      const opening = Cell.reader(one, { timeout: 200 })
      const number = one.fd
      one.close()
      using two = NamelessSegment.create()
      t.is(two.fd, number)
      using stranger = Cell.writer(two, { maxBytes: 8 })
      stranger.write(new Uint8Array(8))
      await t.throwsAsync(within(patience, opening), { code: 'ERR_MILLRACE_NOT_FOUND' })
    }
    t.is(descriptors(), before)
  },
)

test.serial('a file in the place of a closed segment is not opened for one', async (t) => {
  const path = join(ownDirectory(t), 'precious')
  const one = NamelessSegment.create()
  const opening = FrameReader.open(one, { timeout: 200 })
  const number = one.fd
  one.close()
  const file = openSync(path, 'w+')
  t.is(file, number)
  await t.throwsAsync(within(patience, opening), { code: 'ERR_MILLRACE_NOT_FOUND' })
  t.is(readFileSync(path).length, 0)
  closeSync(file)
  rmSync(path)
})

test.serial('what is opened on a closed segment, and only then, is refused', async (t) => {
  const one = NamelessSegment.create()
  one.close()
  await t.throwsAsync(FrameReader.open(one), { code: 'ERR_MILLRACE_CLOSED' })
  await t.throwsAsync(Cell.reader(one), { code: 'ERR_MILLRACE_CLOSED' })
})

for (const timeout of [2 ** 31 - 1, 2 ** 31, 3_000_000_000, Number.MAX_SAFE_INTEGER, Infinity]) {
  test.serial(`a time-out of ${String(timeout)} ms is not over at once`, async (t) => {
    const warnings: Error[] = []
    const warned = (warning: Error) => void warnings.push(warning)
    process.on('warning', warned)
    const name = uniqueName(t)
    const socket = join(ownDirectory(t), 'socket')
    const silent = actor(t)
    await silent.do(async ({ NamelessSegment, offerSegments, own }, at) => {
      own['offer'] = await offerSegments(at, { segment: NamelessSegment.create() })
    }, `${socket}.silent`)
    silent.run.signal('SIGSTOP')
    const ended = new AbortController()
    const { signal } = ended
    const waits: Promise<unknown>[] = [
      receiveSegments(socket, { timeout, signal }),
      receiveSegments(`${socket}.silent`, { timeout, signal }),
      FrameReader.open(name, { timeout, signal }),
      Cell.reader(name, { timeout, signal }),
    ]
    using writer = FrameWriter.create(`${name}.w`, { slotBytes: 64 })
    waits.push(writer.waitForReaders(1, { timeout, signal }))
    const settled: unknown[] = []
    for (const wait of waits) wait.catch((error: unknown) => settled.push(error))
    await new Promise((resolve) => setTimeout(resolve, 200))
    t.deepEqual(settled, [])
    t.deepEqual(warnings, [])
    ended.abort()
    for (const wait of waits) await t.throwsAsync(wait, { code: 'ERR_MILLRACE_ABORTED' })
    process.off('warning', warned)
  })
}
