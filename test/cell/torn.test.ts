// Values of 512 bytes that change as fast as they can be written, in a cell of two places: a reader copies while its place is
// written over, again and again. One side is C++, the other JavaScript; no value may be made of two.

import test from 'ava'

import { actor, type Actor } from '../support/actor.js'
import { openReader, openWriter } from '../support/cells.js'
import { runCxx } from '../support/cxx.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'

const words = 64
const maxBytes = 8 * words
const tight = { maxBytes, slots: 2 } as const
const fixture = 'test/cell/fixtures/words.cpp'
const milliseconds = 1500

test.serial('JavaScript reads what C++ writes: whole values, ever newer ones', async (t) => {
  const name = uniqueName(t)
  const first = openWriter(t, name, tight)
  first.write(new BigInt64Array(words).fill(1n))
  const reader = await openReader(t, name)
  first.close()
  const other = await runCxx(t, fixture, ['write', name, String(milliseconds)])
  let over = false
  const end = other.ended().finally(() => (over = true))
  const goesOn = () => !over
  const target = new BigInt64Array(words)
  const halves = new Int32Array(target.buffer)
  let damaged = 0
  let reads = 0
  let last = 0
  while (goesOn()) {
    for (let i = 0; i < 1000; i++) {
      try {
        reader.readInto(target)
      } catch (error) {
        if ((error as { code?: string }).code === 'ERR_MILLRACE_BUSY') continue
        throw error
      }
      reads++
      const { seen } = reader
      let whole = seen >= last
      for (let at = 0; at < 2 * words; at += 2) whole &&= halves[at] === (seen | 0)
      if (!whole) damaged++
      last = seen
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.is((await end).code, 0)
  t.is(damaged, 0)
  t.true(last > 1000 && reader.retries > 0, `${last} values, ${reader.retries} retries`)
  t.log(`${reads} reads of ${last} values, ${reader.retries} retries`)
})

test.serial('C++ reads what JavaScript writes: whole values, ever newer ones', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name, { ...tight, timestamps: false })
  const value = new BigInt64Array(words).fill(1n)
  writer.write(value)
  const other = await runCxx(t, fixture, ['read', name, String(milliseconds)])
  let over = false
  const end = other.ended().finally(() => (over = true))
  const goesOn = () => !over
  while (goesOn()) {
    for (let i = 0; i < 1000; i++) {
      value.fill(BigInt(writer.version + 1))
      writer.write(value)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.is((await end).code, 0)
  const [reads, damaged] = other.lines[0]!.split(' ').map(Number)
  t.is(damaged, 0)
  t.true(reads! > 1000 && writer.version > 1000)
  t.log(`${reads} reads of ${writer.version} values`)
})

test.serial('a writer in JavaScript that is killed leaves whole values to all', async (t) => {
  const name = uniqueName(t)
  const first = openWriter(t, name, { ...tight, timestamps: false })
  first.write(new BigInt64Array(words).fill(1n))
  const reader = await openReader(t, name)
  first.close()
  const target = new BigInt64Array(words)
  const look = () => {
    t.is(reader.readInto(target), maxBytes)
    const version = BigInt(reader.seen)
    if (!target.every((word) => word === version)) t.fail(`version ${version} is damaged`)
  }
  for (let round = 0; round < 20; round++) {
    const other = actor(t)
    await writeFor(other, name)
    const before = reader.version
    await until(() => reader.version > before + 10_000)
    await other.kill()
    t.is(reader.peer, 'gone')
    look()
    look()
    look()
    // The next one writes over what the dead one had begun.
    const next = openWriter(t, name, { ...tight, timestamps: false })
    t.is(next.version, reader.version)
    const value = new BigInt64Array(words)
    for (let i = 0; i < 5; i++) {
      value.fill(BigInt(next.version + 1))
      next.write(value)
      look()
      t.is(reader.seen, next.version)
    }
    next.close()
  }
})

/** Starts writing there, without end. */
async function writeFor(other: Actor, name: string): Promise<void> {
  await other.do(
    ({ Cell, own }, cell, words) => {
      own['cell'] = Cell.writer(cell, { maxBytes: 8 * words, timestamps: false })
    },
    name,
    words,
  )
  other.start(({ own }, words) => {
    const writer = own['cell'] as import('millrace').CellWriter
    const value = new BigInt64Array(words)
    for (;;) {
      value.fill(BigInt(writer.version + 1))
      writer.write(value)
    }
  }, words)
}
