// What a cell promises, with both sides in this process.

import test from 'ava'
import { Cell, monotonicNow } from 'millrace'

import { openReader, openWriter, valueOf } from '../support/cells.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { peekWord, pokeWord } from '../support/segments.js'

const soon = { timeout: 15_000 }

test('a value can be text or JSON', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const reader = await openReader(t, name)
  writer.write('größer')
  t.is(reader.read()!.text(), 'größer')
  t.throws(() => reader.read()!.json<object>(), {
    code: 'ERR_MILLRACE_SCHEMA',
    message: /is no JSON/,
  })
  t.is(writer.writeJson({ limit: 3, names: ['a', 'ü'] }), 2)
  t.deepEqual(reader.read()!.json<{ limit: number }>(), { limit: 3, names: ['a', 'ü'] } as never)
  const circle: unknown[] = []
  circle.push(circle)
  for (const value of [undefined, () => 1, 1n, circle]) {
    t.throws(() => writer.writeJson(value), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
  t.is(reader.version, 2, 'nothing of it was written')
})

test('a reader gets the newest value, with its version and the time it was written', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const reader = await openReader(t, name)
  t.is(reader.read(), undefined)
  t.is(reader.version, 0)
  t.is(writer.version, 0)
  t.is(reader.readInto(Buffer.alloc(1)), -1)
  const before = monotonicNow()
  t.is(writer.write('first'), 1)
  t.is(writer.write(Buffer.from('second')), 2)
  const after = monotonicNow()
  t.is(reader.version, 2)
  t.is(reader.seen, 0)
  const value = reader.read()!
  t.is(value.bytes.toString(), 'second')
  t.is(value.version, 2)
  t.true(value.timestamp >= before && value.timestamp <= after)
  t.is(reader.seen, 2)
  t.is(reader.timestamp, value.timestamp)
  t.is(reader.read()!.bytes.toString(), 'second')
  t.is(writer.write(new Float64Array([1.5])), 3)
  const target = new Float64Array(2)
  t.is(reader.readInto(target), 8)
  t.deepEqual([...target], [1.5, 0])
  t.is(value.bytes.toString(), 'second', 'a copy stays as it was')
  t.is(reader.retries, 0)
})

test('values have any length up to maxBytes, none included', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name, { maxBytes: 100, slots: 2 })
  const reader = await openReader(t, name)
  t.is(reader.maxBytes, 100)
  t.is(reader.slots, 2)
  for (let version = 1; version <= 300; version++) {
    writer.write(valueOf(version))
    const value = reader.read()!
    if (!value.bytes.equals(valueOf(version)) || value.version !== version) t.fail(`${version}`)
  }
  t.is(writer.write(''), 301)
  t.is(reader.read()!.bytes.length, 0)
  t.throws(() => writer.write(Buffer.alloc(101)), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: /101 bytes.*limit is 100/,
  })
  t.is(reader.version, 301)
})

// All kinds that this runtime has, those that Node-API has no number for among them (Float16Array).
const kinds = Object.getOwnPropertyNames(globalThis)
  .filter((name) => /^[A-Z][A-Za-z]*\d+(?:Clamped)?Array$/u.test(name))
  .map((name) => (globalThis as unknown as Record<string, typeof Uint8Array>)[name]!)

for (const Kind of kinds) {
  test(`a value is the bytes of a ${Kind.name}, and a target is one, too`, async (t) => {
    const name = uniqueName(t)
    const writer = openWriter(t, name, { maxBytes: 64 })
    const reader = await openReader(t, name)
    const memory = Uint8Array.from({ length: 64 }, (_, i) => i + 1).buffer
    const { BYTES_PER_ELEMENT: unit } = Kind
    const value = new Kind(memory, unit, 3)
    const bytes = Buffer.from(memory, unit, 3 * unit)
    writer.write(value)
    t.deepEqual(Buffer.from(reader.read()!.bytes), bytes)
    const target = new Kind(4)
    reader.readInto(target)
    t.deepEqual(Buffer.from(target.buffer, 0, bytes.length), bytes)
    // What it says about itself is not believed.
    Object.defineProperty(value, 'BYTES_PER_ELEMENT', { value: 2 ** 20 })
    let refused = false
    try {
      writer.write(value)
    } catch {
      refused = true
    }
    t.true(refused || reader.read()?.bytes.length === bytes.length)
  })
}

test('a target that is too small is refused, and the value is still to be read', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const reader = await openReader(t, name)
  writer.write(Buffer.alloc(10))
  t.throws(() => reader.readInto(Buffer.alloc(9)), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: /has 10 bytes, the target 9/,
  })
  t.is(reader.seen, 0)
  t.is(reader.readInto(Buffer.alloc(10)), 10)
})

test('update changes the newest value in place, and readers see it when it is done', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const reader = await openReader(t, name)
  writer.write('abc')
  const version = writer.update((bytes) => {
    t.is(bytes.length, 100)
    t.is(Buffer.from(bytes.subarray(0, 3)).toString(), 'abc')
    bytes[1] = 'X'.charCodeAt(0)
    t.is(reader.read()!.bytes.toString(), 'abc')
  })
  t.is(version, 2)
  t.is(reader.read()!.bytes.toString(), 'aXc')
  writer.update((bytes) => {
    bytes[3] = 'd'.charCodeAt(0)
    return 4
  })
  t.is(reader.read()!.bytes.toString(), 'aXcd')
  writer.update(() => 0)
  t.is(reader.read()!.bytes.length, 0)
  for (let round = 0; round < 10; round++) {
    writer.update((bytes) => void bytes.fill(round), { copy: false })
    writer.update((bytes) => bytes.fill(round).length, { copy: false })
    t.deepEqual(reader.read()!.bytes, Buffer.alloc(100, round))
  }
})

test('the first update gives all of maxBytes', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const reader = await openReader(t, name)
  writer.update((bytes) => {
    t.deepEqual(Buffer.from(bytes), Buffer.alloc(100))
  })
  t.is(reader.read()!.bytes.length, 100)
})

test('an update that fails has not happened', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const reader = await openReader(t, name)
  writer.write('good')
  const thrown = new Error('on purpose')
  t.is(
    t.throws(() =>
      writer.update((bytes) => {
        bytes.fill(0)
        throw thrown
      }),
    ),
    thrown,
  )
  for (const length of [101, -1, 1.5, NaN, '1', Promise.resolve(1)]) {
    t.throws(() => writer.update(() => length as number), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /whole number of bytes up to 100/,
    })
  }
  const busy = { code: 'ERR_MILLRACE_BUSY' }
  writer.update(() => {
    t.throws(() => writer.write('inner'), busy)
    t.throws(() => writer.update(() => 0), busy)
  })
  t.is(reader.read()!.bytes.toString(), 'good')
  t.throws(
    () =>
      writer.update((bytes) => {
        writer.close()
        t.is(bytes.length, 0)
        return 0
      }),
    { code: 'ERR_MILLRACE_CLOSED' },
  )
  t.is(reader.read()!.bytes.toString(), 'good')
})

test('changed tells of values that this reader has not seen, once for many', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const reader = await openReader(t, name, { poll: 0 })
  const first = reader.changed(soon)
  const also = reader.changed(soon)
  writer.write('1')
  writer.write('2')
  t.true(await first)
  t.true(await also, 'each call that waits is told')
  t.is(reader.seen, 2)
  await t.throwsAsync(reader.changed({ timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  writer.write('3')
  t.true(await reader.changed(soon))
  t.is(reader.read()!.bytes.toString(), '3')
  t.throws(() => reader.changedSync({ timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  writer.write('4')
  t.true(reader.changedSync(soon))
})

test('changes gives what is newest each time the loop comes round, until the writer closes', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const reader = await openReader(t, name)
  writer.write('0')
  writer.write('1')
  const seen: string[] = []
  for await (const { bytes } of reader.changes()) {
    seen.push(bytes.toString())
    switch (seen.length) {
      case 1:
        writer.write('2')
        writer.write('3')
        break
      case 2:
        setImmediate(() => {
          writer.write('4')
          writer.close()
        })
    }
  }
  t.deepEqual(seen, ['1', '3', '4'])
  t.false(await reader.changed())
  t.false(reader.changedSync())
  t.is(reader.read()!.bytes.toString(), '4')
  t.is(reader.peer, 'closed')
})

test('a wait ends with its signal, its time, or its reader', async (t) => {
  const name = uniqueName(t)
  openWriter(t, name)
  const reader = await openReader(t, name)
  const controller = new AbortController()
  const aborted = t.throwsAsync(reader.changed({ signal: controller.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  const loop = t.throwsAsync(
    (async () => {
      for await (const _ of reader.changes({ signal: controller.signal })) t.fail()
    })(),
    { code: 'ERR_MILLRACE_ABORTED' },
  )
  controller.abort()
  await aborted
  await loop
  await t.throwsAsync(reader.changed({ timeout: 1 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const closed = { code: 'ERR_MILLRACE_CLOSED' }
  const evicted = t.throwsAsync(reader.changed(), closed)
  reader.close()
  await evicted
  await t.throwsAsync(reader.changed(), closed)
  await t.throwsAsync(reader.waitForPeer(), closed)
  t.throws(() => reader.read(), closed)
  t.throws(() => reader.version, closed)
  t.throws(() => reader.changedSync(), closed)
  t.true(reader.closed)
})

test('using closes both sides, and the last one takes the cell along', async (t) => {
  const name = uniqueName(t)
  {
    using writer = Cell.writer(name, { maxBytes: 8 })
    using reader = await Cell.reader(name)
    t.true(writer.hasReaders)
    reader.close()
    t.false(writer.hasReaders)
    t.deepEqual(objectsOf(name), [`millrace.c.${name}`])
  }
  t.deepEqual(objectsOf(name), [])
})

test('the value stays while anybody is on the cell; a new writer goes on with its version', async (t) => {
  const name = uniqueName(t)
  const first = openWriter(t, name)
  const reader = await openReader(t, name)
  first.write('1')
  first.close()
  t.throws(() => first.write('x'), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => first.update(() => 0), { code: 'ERR_MILLRACE_CLOSED' })
  t.is((await openReader(t, name)).read()!.bytes.toString(), '1')
  const came = reader.waitForPeer(soon)
  const second = openWriter(t, name)
  await came
  t.is(second.version, 1)
  t.is(second.write('2'), 2)
  t.is(reader.read()!.version, 2)
})

test('with keep the value stays when everybody has gone, until it is unlinked', async (t) => {
  const name = uniqueName(t)
  openWriter(t, name, { keep: true }).close()
  const writer = openWriter(t, name)
  writer.write('kept')
  writer.close()
  const reader = await openReader(t, name, { timeout: 0 })
  t.is(reader.read()!.bytes.toString(), 'kept')
  reader.close()
  t.true(Cell.unlink(name))
  t.false(Cell.unlink(name))
  await t.throwsAsync(openReader(t, name, { timeout: 0 }), { code: 'ERR_MILLRACE_NOT_FOUND' })
})

test('a reader waits for its cell to appear', async (t) => {
  const name = uniqueName(t)
  await t.throwsAsync(Cell.reader(name, { timeout: 5 }), {
    code: 'ERR_MILLRACE_NOT_FOUND',
    message: `cell '${name}' did not appear within 5 ms: start its writer, or allow more time`,
  })
  const controller = new AbortController()
  const aborted = t.throwsAsync(Cell.reader(name, { signal: controller.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  controller.abort()
  await aborted
  const coming = openReader(t, name, soon)
  openWriter(t, name).write('there')
  t.is((await coming).read()!.bytes.toString(), 'there')
})

test('there is one writer, and the geometry is part of the name', (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  t.throws(() => openWriter(t, name), {
    code: 'ERR_MILLRACE_ROLE_TAKEN',
    message: new RegExp(`process ${process.pid}`),
  })
  t.throws(() => openWriter(t, name, { maxBytes: 99 }), { code: 'ERR_MILLRACE_GEOMETRY' })
  t.throws(() => openWriter(t, name, { slots: 5 }), { code: 'ERR_MILLRACE_GEOMETRY' })
  writer.close()
  openWriter(t, name, { maxBytes: 99 })
})

test('both sides must mean the same by the bytes', async (t) => {
  const name = uniqueName(t)
  openWriter(t, name, { schema: { fingerprint: 7n } })
  await t.throwsAsync(Cell.reader(name, { schema: { fingerprint: 8n } }), {
    code: 'ERR_MILLRACE_SCHEMA',
  })
  await openReader(t, name, { schema: { fingerprint: 7n } })
  await openReader(t, name)
})

test('wrong options are named', async (t) => {
  const invalid = (message: RegExp) => ({ code: 'ERR_MILLRACE_INVALID_ARGUMENT', message })
  const name = uniqueName(t)
  t.throws(() => Cell.writer(name, {} as never), invalid(/maxBytes/))
  t.throws(() => Cell.writer(name, undefined as never), invalid(/maxBytes/))
  t.throws(() => Cell.writer(name, { maxBytes: 0 }), invalid(/maxBytes must be .* from 1 to/))
  t.throws(() => Cell.writer(name, { maxBytes: 2 ** 30 + 1 }), invalid(/maxBytes/))
  t.throws(() => Cell.writer(name, { maxBytes: 8, slots: 1 }), invalid(/slots must be .* from 2/))
  t.throws(() => Cell.writer(name, { maxBytes: 8, keep: 1 as never }), invalid(/keep/))
  t.throws(() => Cell.writer(7 as never, { maxBytes: 8 }), invalid(/name/))
  await t.throwsAsync(Cell.reader(name, { timeout: 'x' as never }), invalid(/timeout/))
  await t.throwsAsync(Cell.reader(name, { signal: 1 as never }), invalid(/signal/))
  const writer = openWriter(t, name)
  t.throws(() => writer.write(7 as never), invalid(/string, a Buffer/))
  t.throws(() => writer.update(() => 0, { copy: 1 as never }), invalid(/copy/))
  const reader = await openReader(t, name)
  t.throws(() => reader.readInto([] as never), invalid(/target/))
})

// native/include/millrace/layout/cell.hpp
const published = 640
const slots = 15_232
const lies: Record<string, readonly [offset: number, value: bigint]> = {
  'a version that went back': [published, 1n],
  'a version that is none': [published, 2n ** 63n],
  'a version that no slot holds': [published, 9n],
  'a sequence': [slots + 64 * 2, 3n],
  'a length': [slots + 64 * 2 + 8, 101n],
}

for (const [what, [offset, value]] of Object.entries(lies)) {
  test(`${what} that cannot be true is told, and the reader closes`, async (t) => {
    const name = uniqueName(t)
    const writer = openWriter(t, name)
    const reader = await openReader(t, name)
    writer.write('1')
    writer.write('2')
    reader.read()
    t.is(peekWord('c', name, published), 2n)
    t.is(peekWord('c', name, slots + 64 * 2), 4n)
    const waiting = reader.changed(soon)
    pokeWord('c', name, offset, value)
    t.throws(() => reader.read(), { code: 'ERR_MILLRACE_CORRUPT' })
    await t.throwsAsync(waiting, { code: 'ERR_MILLRACE_CORRUPT' })
    t.true(reader.closed)
    t.throws(() => reader.read(), { code: 'ERR_MILLRACE_CLOSED' })
  })
}

test('more readers wait than there are places to be woken at', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const readers = await Promise.all(
    Array.from({ length: 60 }, () => openReader(t, name, { poll: 0 })),
  )
  const waits = readers.map((reader) => reader.changed(soon))
  await new Promise((resolve) => setImmediate(resolve))
  writer.write('news')
  t.deepEqual(new Set(await Promise.all(waits)), new Set([true]))
})
