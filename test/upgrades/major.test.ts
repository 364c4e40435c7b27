// Layout major versions do not: who meets the other is told both, and harms nothing that is in use.

import test from 'ava'
import { FrameReader, FrameWriter, list, SpscQueue, sweep } from 'millrace'
import { readFileSync } from 'node:fs'

import { occupy, offsets, plant } from './segments.js'

const soon = { timeout: 15_000 }
const frame = { slotBytes: 64, slots: 6, maxReaders: 2 }

for (const [which, major] of [
  ['an older', 0],
  ['a newer', 2],
] as const) {
  const change = (bytes: Buffer) => void bytes.writeUInt16LE(major, offsets.major)
  const refused = {
    code: 'ERR_MILLRACE_LAYOUT',
    message: new RegExp(
      `has layout version ${major}\\.0, this process has 1\\.\\d+; use the same major`,
    ),
  }

  test(`promise: upgrades – a living queue of ${which} major is refused with both versions, and not touched`, async (t) => {
    const { name, path } = plant(t, '1.0', 'queue', change)
    await occupy(t, path, 0)
    const before = readFileSync(path)
    t.throws(() => SpscQueue.producer(name), refused)
    t.throws(() => SpscQueue.consumer(name, { capacity: 4096 }), refused)
    t.true(readFileSync(path).equals(before))
  })

  test(`promise: upgrades – living frames of ${which} major are refused with both versions, and not touched`, async (t) => {
    const { name, path } = plant(t, '1.0', 'frames', change)
    await occupy(t, path, 0)
    const before = readFileSync(path)
    await t.throwsAsync(FrameReader.open(name, soon), refused)
    t.throws(() => FrameWriter.create(name, frame), refused)
    t.true(readFileSync(path).equals(before))
  })

  test(`promise: upgrades – what ${which} major left behind is replaced`, async (t) => {
    const { name, path } = plant(t, '1.0', 'frames', change)
    using writer = FrameWriter.create(name, frame)
    using reader = await FrameReader.open(name, soon)
    writer.tryLoan()!.publish()
    using received = await reader.receive(soon)
    t.is(received?.sequence, 1)
    t.is(readFileSync(path).readUInt16LE(offsets.major), 1)
  })

  test(`promise: upgrades – what is listed of ${which} major says its version, and sweeping spares it while it is held`, async (t) => {
    const { name, path } = plant(t, '1.0', 'frames', change)
    const die = await occupy(t, path, 0)
    const prefix = { prefix: name }
    const layout = major === 0 ? undefined : `${major}.0` // 0 stands for none: layouts began with 1
    t.like(list(prefix), [{ kind: 'frames', name, layout, path }])
    t.is(list(prefix).length, 1)
    t.deepEqual(sweep(prefix).removed, [])
    await die()
    t.like(sweep(prefix).removed, [{ name, layout }])
    t.deepEqual(list(prefix), [])
  })
}
