// Frames between TypeScript and Python, both ways, blocking and in the event loop. Either side is killed in test/interop/matrix.

import test from 'ava'
import { FrameReader, FrameWriter } from 'millrace'

import { uniqueName } from '../support/names.js'
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
