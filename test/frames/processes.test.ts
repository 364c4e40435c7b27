// Frames between real processes.

import { readFileSync } from 'node:fs'
import test from 'ava'
import { FrameReader, FrameWriter, monotonicNow } from 'millrace'
import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const mebibyte = 1024 * 1024

/** Fills a frame so that every byte depends on the frame and on its place. */
function fill(bytes: Uint8Array, seed: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + seed, 0x9e3779b1)
}

for (const [size, count] of [
  [mebibyte, 24],
  [8 * mebibyte, 6],
] as const) {
  test.serial(
    `every byte of frames of ${size / mebibyte} MiB arrives in another process`,
    async (t) => {
      const name = uniqueName(t)
      const other = actor(t)
      using writer = FrameWriter.create(name, { slotBytes: size, slots: 3 })
      await other.do(
        async ({ FrameReader, own }, name) => void (own.reader = await FrameReader.open(name)),
        name,
      )
      const reading = other.do(async ({ own }) => {
        const wrong: string[] = []
        let frames = 0
        for await (const frame of own.reader) {
          frames++
          if (frame.sequence !== frames) wrong.push(`frame ${frame.sequence} as number ${frames}`)
          const words = frame.view(Uint32Array)
          const first = words.findIndex((w, i) => w !== Math.imul(i + frames, 0x9e3779b1) >>> 0)
          if (first >= 0) wrong.push(`frame ${frame.sequence} at word ${first}`)
          frame.release()
        }
        return { frames, wrong }
      })
      for (let sequence = 1; sequence <= count; sequence++) {
        const loan = await within(10_000, writer.loan())
        fill(loan.bytes, sequence)
        t.is(loan.publish(), sequence)
      }
      writer.close()
      t.deepEqual(await reading, { frames: count, wrong: [] })
      await other.do(({ own }) => own.reader.close())
    },
  )
}

test.serial('timestamps, lengths and headers mean the same in every process', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ FrameWriter, own }, name) => {
    own.writer = FrameWriter.create(name, { slotBytes: 100 })
  }, name)
  using reader = await FrameReader.open(name)
  const before = monotonicNow()
  const [earliest, latest] = await other.do(({ own, monotonicNow }) => {
    const start = monotonicNow()
    const loan = own.writer.tryLoan()!
    loan.bytes.set([7, 8, 9])
    loan.publish({ byteLength: 3, header: Uint8Array.of(1, 2, 3) })
    own.writer.tryLoan()!.publish({ timestamp: 42n })
    return [start, monotonicNow()] as const
  })
  const after = monotonicNow()
  using frame = (await within(5000, reader.receive()))!
  t.true(before <= earliest && earliest <= frame.timestamp)
  t.true(frame.timestamp <= latest && latest <= after)
  t.deepEqual([...frame.bytes], [7, 8, 9])
  t.deepEqual([...frame.header.subarray(0, 4)], [1, 2, 3, 0])
  t.is(reader.tryReceive()!.timestamp, 42n)
  t.is(reader.peerPid, other.pid)
  await other.do(({ own }) => own.writer.close())
  t.is(await within(5000, reader.receive()), undefined)
})

test.serial('eight processes receive the same frames', async (t) => {
  const name = uniqueName(t)
  const count = 300
  using writer = FrameWriter.create(name, { slotBytes: 4096, slots: 16 })
  const others = Array.from({ length: 8 }, () => actor(t))
  await Promise.all(
    others.map((other) =>
      other.do(
        async ({ FrameReader, own }, name) => void (own.reader = await FrameReader.open(name)),
        name,
      ),
    ),
  )
  t.is(writer.readers, 8)
  await t.throwsAsync(FrameReader.open(name), { code: 'ERR_MILLRACE_NO_LANE' })
  const readings = others.map((other) =>
    other.do(async ({ own }) => {
      let expected = 1
      for await (const frame of own.reader) {
        if (frame.sequence !== expected) throw new Error(`${frame.sequence}, not ${expected}`)
        const words = frame.view(Uint32Array)
        if (words.some((word) => word !== expected)) throw new Error(`content of ${expected}`)
        expected++
        frame.release()
      }
      const { received, lost, skipped } = own.reader.stats
      own.reader.close()
      return { received, lost, skipped }
    }),
  )
  for (let sequence = 1; sequence <= count; sequence++) {
    const loan = await within(10_000, writer.loan())
    loan.view(Uint32Array).fill(sequence)
    loan.publish()
  }
  writer.close()
  for (const stats of await Promise.all(readings)) {
    t.deepEqual(stats, { received: count, lost: 0, skipped: 0 })
  }
})

test.serial(
  'readers come and go while the writer writes, each sees an unbroken stream',
  async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: 64, slots: 8, maxReaders: 3 })
    const others = [actor(t), actor(t), actor(t)]
    const visits = others.map((other) =>
      other.do(async ({ FrameReader }, name) => {
        for (let visit = 0; visit < 20; visit++) {
          const reader = await FrameReader.open(name)
          let expected = reader.stats.joinedAfter + 1
          for (let i = 0; i < 1 + (visit % 7); i++) {
            const frame = (await reader.receive())!
            if (frame.sequence !== expected) throw new Error(`${frame.sequence}, not ${expected}`)
            if (frame.view(Float64Array).some((value) => value !== expected))
              throw new Error('torn')
            expected++
            if (i % 2 === 0) frame.release() // the others go back with close()
          }
          reader.close()
        }
        return true
      }, name),
    )
    const visiting = new Set(visits)
    for (const visit of visits) visit.finally(() => visiting.delete(visit)).catch(() => undefined)
    let sequence = 0
    while (visiting.size > 0) {
      const loan = await within(10_000, writer.loan())
      loan.view(Float64Array).fill(++sequence)
      loan.publish()
      if (sequence % 16 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    t.deepEqual(await Promise.all(visits), [true, true, true])
    t.is(writer.readers, 0)
    for (let i = 0; i < 8; i++) t.truthy(writer.tryLoan(), 'every slot has come back')
  },
)

test.serial(
  'mixed policies under full load: each reader can account for every frame',
  async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: 64, slots: 12 })
    const policies = ['wait', 'drop-newest', 'overwrite-oldest', 'overwrite-oldest'] as const
    const others = policies.map((policy, i) => ({ policy, latest: i === 3, other: actor(t) }))
    await Promise.all(
      others.map(({ policy, other }) =>
        other.do(
          async ({ FrameReader, own }, name, policy) => {
            own.reader = await FrameReader.open(name, { policy, depth: 4, maxHeld: 2 })
          },
          name,
          policy,
        ),
      ),
    )
    const readings = others.map(({ other, latest }) =>
      other.do(async ({ own: { reader } }, latest) => {
        let [missed, last] = [0, 0]
        for (;;) {
          const frame = await (latest ? reader.receiveLatest() : reader.receive())
          if (frame === undefined) break
          if (frame.view(Float64Array).some((value) => value !== frame.sequence)) {
            throw new Error(`content of ${frame.sequence}`)
          }
          missed += frame.missed
          last = frame.sequence
          frame.release()
        }
        const { stats } = reader
        reader.close()
        return { stats, missed, last }
      }, latest),
    )
    const total = 3000
    for (let sequence = 1; sequence <= total; sequence++) {
      const loan = await within(10_000, writer.loan())
      loan.view(Float64Array).fill(sequence)
      loan.publish()
    }
    writer.close()
    const results = await Promise.all(readings)
    for (const [i, { stats, missed, last }] of results.entries()) {
      const { received, lost, skipped } = stats
      t.is(received + lost + skipped, total, others[i]!.policy)
      t.is(stats.joinedAfter, 0)
      if (i === 0) t.is(received, total)
      if (i !== 1) t.is(last, total, 'the newest frame always gets through')
      if (i === 1 || i === 2) t.true(missed <= lost)
      if (i === 2) t.is(missed, lost)
    }
  },
)

test.serial(
  'a stray write of a reader process reaches nobody else and does not crash it',
  async (t) => {
    const name = uniqueName(t)
    const careless = actor(t)
    using writer = FrameWriter.create(name, { slotBytes: 100_000, slots: 2 })
    using other = await FrameReader.open(name)
    await careless.do(
      async ({ FrameReader, own }, name) => void (own.reader = await FrameReader.open(name)),
      name,
    )
    const loan = writer.tryLoan()!
    const { bytes } = loan
    fill(bytes, 1)
    const original = bytes.slice()
    loan.publish()
    await careless.do(async ({ own }) => {
      const frame = (await own.reader.receive())!
      frame.bytes.fill(0xff)
      frame.header.fill(0xff)
      if (frame.bytes[50_000] !== 0xff) throw new Error('its own copy has changed')
      frame.release()
    })
    using frame = other.tryReceive()!
    t.deepEqual(frame.bytes, original)
    t.deepEqual(bytes, original)
    t.deepEqual(frame.header, new Uint8Array(64))
    await careless.do(({ own }) => own.reader.close())
  },
)

test.serial('a reader maps the pool but takes no memory for what it does not touch', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(() => undefined)
  const resident = () =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${other.pid}/status`, 'utf8'))?.[1]) / 1024
  // Of this channel alone: what else comes and goes in that process, it does when memory is collected.
  const mapped = () =>
    readFileSync(`/proc/${other.pid}/maps`, 'utf8')
      .split('\n')
      .filter((line) => line.includes(name))
      .map((line) =>
        line
          .split(' ')[0]!
          .split('-')
          .map((end) => parseInt(end, 16)),
      )
      .reduce((sum, [from, to]) => sum + (to! - from!) / mebibyte, 0)
  using writer = FrameWriter.create(name, { slotBytes: 128 * mebibyte, slots: 4 })
  await other.do(async ({ FrameReader }, name) => {
    const warm = await FrameReader.open(name)
    warm.close()
  }, name)
  const residentBefore = resident()
  writer.tryLoan()!.publish()
  await other.do(async ({ FrameReader, own }, name) => {
    own.reader = await FrameReader.open(name, { policy: 'overwrite-oldest' })
  }, name)
  writer.tryLoan()!.publish()
  const byte = await other.do(async ({ own }) => {
    const frame = (await own.reader.receive())!
    const byte = frame.bytes[64 * 1024 * 1024]
    frame.release()
    return byte
  })
  t.is(byte, 0)
  const grown = resident() - residentBefore
  t.true(mapped() >= 512, 'the whole pool is mapped')
  t.true(grown < 8, `grown by ${grown.toFixed(1)} MiB`)
  await other.do(({ own }) => own.reader.close())
  await until(async () => {
    await other.do(() => globalThis.gc!()) // the engine lets go of the memory when it collects
    return mapped() === 0
  })
})
