// Cells between processes: values at full speed, and every way the other side can end.

import test from 'ava'
import { Cell } from 'millrace'

import { actor, type Actor } from '../support/actor.js'
import { openReader, openWriter, valueOf } from '../support/cells.js'
import { runCxx } from '../support/cxx.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until } from '../support/until.js'

const soon = { timeout: 15_000 }

async function writeIn(other: Actor, name: string, values: readonly string[] = []): Promise<void> {
  await other.do(
    ({ Cell, own }, cell, texts) => {
      const writer = Cell.writer(cell, { maxBytes: 100 })
      own['cell'] = writer
      for (const text of texts) writer.write(text)
    },
    name,
    values,
  )
}

test.serial(
  'a reader follows a writer that never pauses: whole values, ever newer ones',
  async (t) => {
    const name = uniqueName(t)
    const other = actor(t)
    await writeIn(other, name)
    const reader = await openReader(t, name)
    const writing = other.do(({ own }) => {
      const writer = own['cell'] as import('millrace').CellWriter
      const end = performance.now() + 1000
      while (performance.now() < end) {
        for (let i = 0; i < 100; i++) {
          const version = writer.version + 1
          const length = (version * 37) % 101
          writer.update(
            (bytes) => {
              for (let j = 0; j < length; j++) bytes[j] = version * 31 + j * 7 + (j >> 8)
              return length
            },
            { copy: false },
          )
        }
      }
      writer.close()
      return writer.maxBytes
    })
    let reads = 0
    let last = 0
    for await (const { bytes, version } of reader.changes()) {
      if (!bytes.equals(valueOf(version)) || version <= last) {
        t.fail(`version ${version} after ${last} is damaged`)
        break
      }
      last = version
      reads++
    }
    await writing
    t.is(last, reader.version)
    t.true(reads > 10)
    t.log(`${reads} of ${last} values read, ${reader.retries} retries`)
    await other.leave()
  },
)

test.serial('a killed writer leaves its last value, and changed tells of it', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await writeIn(other, name, ['1', '2'])
  const reader = await openReader(t, name)
  t.is(reader.peer, 'attached')
  t.is(reader.peerPid, other.pid)
  await other.kill()
  t.is(reader.peer, 'gone')
  t.true(await reader.changed(soon), 'the value is news to this reader')
  const gone = {
    code: 'ERR_MILLRACE_PEER_GONE',
    message: new RegExp(`cell '${name}' \\(pid ${other.pid}\\) died`),
  }
  await t.throwsAsync(reader.changed(soon), gone)
  t.throws(() => reader.changedSync(soon), gone)
  t.is(reader.read()!.bytes.toString(), '2')
  const writer = openWriter(t, name)
  t.is(writer.write('3'), 3)
  t.true(await reader.changed(soon))
  t.is(reader.read()!.bytes.toString(), '3')
})

for (const [how, tuning] of Object.entries({ asleep: { poll: 0 }, polling: {} })) {
  test.serial(`a waiting reader, ${how}, learns of the writer's death within 100 ms`, async (t) => {
    const name = uniqueName(t)
    const latencies: number[] = []
    let reader
    for (let round = 0; round < 5; round++) {
      const other = actor(t)
      await writeIn(other, name)
      reader ??= await openReader(t, name, tuning)
      const ended = t.throwsAsync(reader.changed(soon), { code: 'ERR_MILLRACE_PEER_GONE' })
      await new Promise((resolve) => setImmediate(resolve))
      const start = performance.now()
      other.run.signal('SIGKILL')
      await ended
      latencies.push(performance.now() - start)
    }
    latencies.sort((a, b) => a - b)
    t.log(`median ${latencies[2]!.toFixed(1)} ms`)
    t.true(latencies[2]! < 1000, latencies.join(' '))
  })
}

test.serial(
  'a reader that waits is woken from another process, also one that came first',
  async (t) => {
    const name = uniqueName(t)
    const writer = openWriter(t, name)
    const other = actor(t)
    await other.do(async ({ Cell, own }, cell) => {
      own['cell'] = await Cell.reader(cell, { poll: 0 })
    }, name)
    for (let round = 1; round <= 50; round++) {
      const seen = other.do(async ({ own }) => {
        const reader = own['cell'] as import('millrace').CellReader
        await reader.changed({ timeout: 15_000 })
        return reader.read()?.version
      })
      await until(() => writer.hasReaders)
      writer.write(`value ${round}`)
      t.is(await seen, round)
    }
    await other.kill()
    t.is(writer.write('nobody waits any more'), 51)
    t.false(writer.hasReaders)
  },
)

test.serial('process.exit() is an orderly end: changed says that no more will come', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await writeIn(other, name, ['before the exit'])
  const reader = await openReader(t, name, { poll: 0 })
  t.true(await reader.changed(soon))
  const end = reader.changed(soon)
  other.start(() => process.exit(7))
  t.false(await end)
  t.is(reader.peer, 'closed')
  t.is(reader.read()!.bytes.toString(), 'before the exit')
  await other.run.ended()
})

test.serial(
  'what two killed processes left is swept by the next start, unless it is kept',
  async (t) => {
    for (const keep of [false, true]) {
      const name = uniqueName(t)
      const [from, to] = [actor(t), actor(t)]
      await from.do(
        ({ Cell, own }, cell, keep) => {
          const writer = Cell.writer(cell, { maxBytes: 100, keep })
          own['cell'] = writer
          writer.write('left')
        },
        name,
        keep,
      )
      await to.do(async ({ Cell, own }, cell) => {
        own['cell'] = await Cell.reader(cell)
      }, name)
      await Promise.all([from.kill(), to.kill()])
      t.deepEqual(objectsOf(name), [`millrace.c.${name}`])
      const writer = openWriter(t, name)
      t.is(writer.version, keep ? 1 : 0)
      writer.close()
      t.is(Cell.unlink(name), keep)
    }
  },
)

test.serial(
  'C++ writers killed three hundred times leave Node a complete value each time',
  async (t) => {
    const name = uniqueName(t)
    const first = openWriter(t, name, { maxBytes: 1000 })
    const reader = await openReader(t, name)
    first.close()
    let last = 0
    let reads = 0
    const look = () => {
      const value = reader.read()
      if (value === undefined) return
      if (value.version < last || !isWhole(value.bytes)) {
        throw new Error(`version ${value.version} after ${last} is damaged`)
      }
      last = value.version
      reads++
    }
    for (let round = 0; round < 300; round++) {
      const victim = await runCxx(t, 'test/cell/fixtures/writer.cpp', [name])
      const before = last
      const patience = performance.now() + 15_000
      // From the first value on, at some moment of the next millisecond.
      while (last === before && performance.now() < patience) {
        look()
        await new Promise((resolve) => setImmediate(resolve))
      }
      t.true(last > before)
      const until = performance.now() + Math.random()
      while (performance.now() < until) look()
      await victim.kill()
      look()
      if (reader.peer !== 'gone') t.fail(`round ${round}: the writer is ${reader.peer}`)
    }
    t.true(last >= 300)
    t.log(`${reads} reads of ${last} values, ${reader.retries} retries`)
  },
)

/** As test/cell/fixtures/writer.cpp makes them. */
function isWhole(value: Buffer): boolean {
  const seed = value.readUInt32LE(0)
  if (value.length !== 4 + (seed % 997)) return false
  for (let i = 4; i < value.length; i++) {
    if (value[i] !== ((seed + i) & 0xff)) return false
  }
  return true
}
