// Frames between TypeScript and Python, both ways; either side is killed in the middle.

import test from 'ava'
import { FrameReader, FrameWriter } from 'millrace'

import { uniqueName } from '../support/names.js'
import { Random } from '../support/random.js'
import { until } from '../support/until.js'
import { numbersOf, patience, python, upTo } from './peer.js'

const words = 100_000
const options = { slotBytes: words * 4 }

async function publish(writer: FrameWriter): Promise<void> {
  using loan = await writer.loan({ timeout: patience })
  const sequence = writer.sequence + 1
  loan.view(Uint32Array).fill(sequence)
  new DataView(loan.header.buffer, loan.header.byteOffset).setBigUint64(0, BigInt(sequence), true)
  loan.publish()
}

for (const role of ['read_frames', 'read_frames_async']) {
  test(`Python looks at the frames of TypeScript: ${role}`, async (t) => {
    const name = uniqueName(t)
    const writer = FrameWriter.create(name, options)
    const run = python(t, role, name)
    await writer.waitForReaders(1, { timeout: patience })
    for (let i = 0; i < 200; i++) await publish(writer)
    writer.close()
    await run.printed('end', patience)
    t.like(await run.ended(patience), { code: 0 }, run.stderr)
    t.deepEqual(numbersOf(run), upTo(200, 1))
  })
}

test('TypeScript looks at the frames of Python', async (t) => {
  const name = uniqueName(t)
  const run = python(t, 'write_frames', name, 200)
  const reader = await FrameReader.open(name, { timeout: patience })
  const got: number[] = []
  for await (const frame of reader) {
    using held = frame
    got.push(held.sequence)
    t.true(held.view(Uint32Array).every((word) => word === held.sequence))
    t.is(new DataView(held.header.buffer, held.header.byteOffset).getUint32(0, true), held.sequence)
  }
  reader.close()
  t.like(await run.ended(patience), { code: 0 }, run.stderr)
  t.deepEqual(got, upTo(200, 1))
})

test('a Python reader that is killed gives back what it held', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const writer = FrameWriter.create(name, options)
  const chance = new Random(21)
  for (let round = 0; round < 5; round++) {
    const run = python(t, 'read_frames', name)
    await writer.waitForReaders(1, { timeout: patience })
    const enough = 1 + chance.below(60)
    const before = writer.sequence
    while (numbersOf(run).length < enough) await publish(writer)
    await run.kill()
    const got = numbersOf(run)
    t.deepEqual(got, upTo(got.length, got[0]))
    t.true(got[0]! > before)
    for (let i = 0; i < 20; i++) await publish(writer) // all slots, twice
    await until(() => writer.readers === 0, patience)
  }
  writer.close()
})

test('a Python writer that is killed leaves whole frames, and its successor goes on', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const chance = new Random(22)
  let run = python(t, 'write_frames', name, 1_000_000)
  const reader = await FrameReader.open(name, { timeout: patience })
  let sequence = 0
  const look = async (): Promise<void> => {
    using frame = (await reader.receive({ timeout: patience }))!
    t.is(frame.sequence, ++sequence)
    t.true(frame.view(Uint32Array).every((word) => word === sequence))
  }
  for (let round = 0; round < 5; round++) {
    const enough = sequence + 1 + chance.below(60)
    while (sequence < enough) await look()
    run.signal('SIGKILL')
    const error = await t.throwsAsync(async () => {
      for (;;) await look()
    })
    t.is((error as { code?: string }).code, 'ERR_MILLRACE_PEER_GONE')
    await run.ended(patience)
    run = python(t, 'write_frames', name, 1_000_000)
    await reader.waitForPeer({ timeout: patience })
  }
  reader.close()
  await run.kill()
})
