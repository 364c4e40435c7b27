import test from 'ava'
import { existsSync, statSync } from 'node:fs'
import { SharedMemory, type OpenMemoryOptions } from 'millrace'
import type { ExecutionContext } from 'ava'

import { objectsOf, uniqueName } from '../support/names.js'

const invalid = 'ERR_MILLRACE_INVALID_ARGUMENT'
const path = (name: string) => `/dev/shm/${name}`

function create(t: ExecutionContext, name: string, size: number): SharedMemory {
  const memory = SharedMemory.create(name, size)
  t.teardown(() => {
    memory.close()
  })
  return memory
}

function open(t: ExecutionContext, name: string, options?: OpenMemoryOptions): SharedMemory {
  const memory = SharedMemory.open(name, options)
  t.teardown(() => {
    memory.close()
  })
  return memory
}

test('new memory is zeroed, of exactly the size asked for', (t) => {
  for (const size of [1, 4095, 4096, 4097, 1_000_000]) {
    const name = uniqueName(t)
    const memory = create(t, name, size)
    t.is(memory.size, size)
    t.is(memory.buffer.byteLength, size)
    t.is(statSync(path(name)).size, size)
    t.true(new Uint8Array(memory.buffer).every((byte) => byte === 0))
    t.is(open(t, name).size, size)
  }
})

test('creator and opener see the same bytes at once', (t) => {
  const name = uniqueName(t)
  const mine = create(t, name, 64)
  const theirs = open(t, name)
  t.true(mine.owner)
  t.false(theirs.owner)
  t.false(theirs.readOnly)
  mine.view(Uint8Array)[0] = 1
  t.is(theirs.view(Uint8Array)[0], 1)
  theirs.view(Uint8Array)[63] = 2
  t.is(mine.view(Uint8Array)[63], 2)
})

test('a name exists once', (t) => {
  const name = uniqueName(t)
  const first = create(t, name, 8)
  first.view(Uint8Array)[0] = 7
  t.throws(() => SharedMemory.create(name, 8), {
    code: 'ERR_MILLRACE_EXISTS',
    message: new RegExp(`made by process ${process.pid} and still in use`),
  })
  t.is(first.view(Uint8Array)[0], 7, 'the attempt changed nothing')
  first.close()
  create(t, name, 16)
})

test('opening what does not exist says so', (t) => {
  const name = uniqueName(t)
  const error = t.throws(() => SharedMemory.open(name), {
    code: 'ERR_MILLRACE_NOT_FOUND',
    message: /does not exist \(yet\)/,
  })
  t.like(error, { syscall: 'shm_open', errno: 2, path: path(name) })
  t.deepEqual(objectsOf(name), [])
})

test('the owner removes the name; others keep what they have', (t) => {
  const name = uniqueName(t)
  const mine = create(t, name, 8)
  const theirs = open(t, name)
  mine.view(Uint8Array)[0] = 5
  mine.close()
  t.deepEqual(objectsOf(name), [])
  t.is(theirs.view(Uint8Array)[0], 5)
  t.throws(() => SharedMemory.open(name), { code: 'ERR_MILLRACE_NOT_FOUND' })
})

test('an opener that closes takes nothing away', (t) => {
  const name = uniqueName(t)
  create(t, name, 8)
  SharedMemory.open(name).close()
  t.true(existsSync(path(name)))
  t.is(open(t, name).size, 8)
})

test('the buffer is always the same, and empty after close', (t) => {
  const name = uniqueName(t)
  const memory = create(t, name, 8)
  const { buffer } = memory
  t.is(memory.buffer, buffer)
  const view = memory.view(Uint8Array)
  t.is(view.buffer, buffer)
  memory.close()
  t.is(buffer.byteLength, 0)
  t.is(view.length, 0)
  view[0] = 1 // into nothing
  t.false(0 in view)
})

test('every use of closed memory says so', (t) => {
  const name = uniqueName(t)
  const memory = create(t, name, 8)
  t.false(memory.closed)
  memory.close()
  memory.close()
  t.true(memory.closed)
  const closed = {
    code: 'ERR_MILLRACE_CLOSED',
    message: new RegExp(`shared memory '${name}' is closed`),
  }
  t.throws(() => memory.buffer, closed)
  t.throws(() => memory.view(Uint8Array), closed)
  t.throws(() => memory.read(Buffer.alloc(1)), closed)
  t.throws(() => memory.write(Buffer.alloc(1)), closed)
  t.is(memory.size, 8)
})

test('leaving its scope closes it', (t) => {
  const name = uniqueName(t)
  {
    using memory = SharedMemory.create(name, 8)
    t.deepEqual(objectsOf(name), [`millrace.m.${name}`, name])
    t.is(memory.name, name)
  }
  t.deepEqual(objectsOf(name), [])
})

test('views show the part and the type asked for', (t) => {
  const memory = create(t, uniqueName(t), 22)
  const all = memory.view(Uint8Array)
  t.is(all.length, 22)
  const numbers = memory.view(Float64Array, 8)
  t.is(numbers.length, 1, 'as many whole elements as there is room for')
  numbers[0] = Math.PI
  const data = memory.view(DataView, 8, 8)
  t.is(data.getFloat64(0, true), Math.PI)
  t.is(memory.view(Uint16Array, 4, 2).byteLength, 4)
  t.is(memory.view(Uint32Array).length, 5)
  t.is(memory.view(BigUint64Array, 16).length, 0)
})

test('views outside the memory or off their alignment are refused', (t) => {
  const memory = create(t, uniqueName(t), 16)
  t.throws(() => memory.view(Uint8Array, 17), { instanceOf: RangeError })
  t.throws(() => memory.view(Uint8Array, 0, 17), { instanceOf: RangeError })
  t.throws(() => memory.view(Uint8Array, -1), { instanceOf: RangeError })
  t.throws(() => memory.view(Float64Array, 4), { instanceOf: RangeError })
})

test('read and write copy, from and to any place and container', (t) => {
  const name = uniqueName(t)
  const memory = create(t, name, 16)
  memory.write(Buffer.from('hello'), 3)
  memory.write(Uint16Array.of(0x0201), 14)
  memory.write(Buffer.alloc(0), 16)
  const target = Buffer.alloc(5)
  t.is(memory.read(target, 3), target)
  t.is(target.toString(), 'hello')
  t.is(memory.read(new DataView(new ArrayBuffer(2)), 14).getUint16(0, true), 0x0201)
  const whole = open(t, name).read(Buffer.alloc(16))
  t.is(whole.toString('latin1'), '\0\0\0hello\0\0\0\0\0\0\x01\x02')
})

test('read and write stay within the memory', (t) => {
  const memory = create(t, uniqueName(t), 16)
  const outside: [Uint8Array, number][] = [
    [Buffer.alloc(17), 0],
    [Buffer.alloc(1), 16],
    [Buffer.alloc(2), 15],
    [Buffer.alloc(1), -1],
    [Buffer.alloc(1), NaN],
    [Buffer.alloc(1), 2 ** 60],
  ]
  for (const [bytes, offset] of outside) {
    const expected = {
      code: invalid,
      message: new RegExp(`${bytes.length} bytes at offset ${offset} are not within the 16 bytes`),
    } as const
    t.throws(() => memory.read(bytes, offset), expected)
    t.throws(() => memory.write(bytes, offset), expected)
  }
  t.throws(() => memory.write('text' as never), { code: invalid })
  t.throws(() => memory.read(new ArrayBuffer(2) as never), { code: invalid })
  t.true(memory.view(Uint8Array).every((byte) => byte === 0))
})

test('read-only memory follows what the owner writes', (t) => {
  const name = uniqueName(t)
  const mine = create(t, name, 8192)
  const theirs = open(t, name, { readOnly: true })
  t.true(theirs.readOnly)
  const view = theirs.view(Uint8Array)
  for (const value of [1, 2, 3]) {
    mine.view(Uint8Array)[5000] = value
    t.is(view[5000], value)
    t.is(theirs.read(Buffer.alloc(1), 5000)[0], value)
  }
})

test('a stray write to read-only memory neither crashes nor reaches anybody', (t) => {
  const name = uniqueName(t)
  const mine = create(t, name, 8192)
  const theirs = open(t, name, { readOnly: true })
  theirs.view(Uint8Array)[0] = 99
  theirs.write(Buffer.from([98]), 1)
  t.deepEqual([...mine.view(Uint8Array, 0, 2)], [0, 0])
  t.deepEqual([...open(t, name).view(Uint8Array, 0, 2)], [0, 0])
  mine.view(Uint8Array)[4096] = 7
  t.is(theirs.view(Uint8Array)[4096], 7, 'other pages still follow')
})

test('modes for a group are honoured, exactly', (t) => {
  for (const mode of [0o600, 0o640, 0o660]) {
    const name = uniqueName(t)
    using _ = SharedMemory.create(name, 8, { mode })
    t.is(statSync(path(name)).mode & 0o7777, mode)
    if (mode !== 0o600) {
      t.throws(() => SharedMemory.open(name), { code: 'ERR_MILLRACE_NOT_OURS' })
    }
    t.is(open(t, name, { mode }).size, 8)
  }
})

test('the world is never let in', (t) => {
  const name = uniqueName(t)
  for (const mode of [0o604, 0o606, 0o644, 0o666, 0o777, 0o661]) {
    const refused = { code: invalid, message: /is refused; use 0600/ } as const
    t.throws(() => SharedMemory.create(name, 8, { mode }), refused)
    t.throws(() => SharedMemory.open(name, { mode }), refused)
  }
  t.deepEqual(objectsOf(name), [])
})

test('an absurd size is an error that names the call, and leaves nothing', (t) => {
  const name = uniqueName(t)
  const error = t.throws(() => SharedMemory.create(name, 2 ** 40), {
    code: 'ERR_MILLRACE_NO_SPACE',
    message: /1099511627776 bytes asked for/,
  })
  t.like(error, { syscall: 'posix_fallocate', errno: 28, path: path(name) })
  t.deepEqual(objectsOf(name), [])
  t.is(create(t, name, 8).size, 8)
})

test('sizes and names that are none are refused', (t) => {
  const name = uniqueName(t)
  for (const size of [0, -1, 1.5, NaN, Infinity, '8', undefined] as never[]) {
    t.throws(() => SharedMemory.create(name, size), { code: invalid, message: /size/ })
  }
  for (const [wrong, code] of [
    ['', 'ERR_MILLRACE_INVALID_NAME'],
    ['a/b', 'ERR_MILLRACE_INVALID_NAME'],
    ['/a', 'ERR_MILLRACE_INVALID_NAME'],
    ['millrace.q.x', 'ERR_MILLRACE_INVALID_NAME'],
    ['x'.repeat(256), 'ERR_MILLRACE_NAME_TOO_LONG'],
    [undefined, invalid],
  ] as const) {
    for (const use of [
      (given: string) => SharedMemory.create(given, 8),
      (given: string) => SharedMemory.open(given),
      (given: string) => SharedMemory.unlink(given),
    ]) {
      t.throws(() => use(wrong as never), { code }, String(wrong))
    }
  }
  t.throws(() => SharedMemory.open(name, { readOnly: 'yes' as never }), {
    code: invalid,
    message: /readOnly must be true or false/,
  })
  t.deepEqual(objectsOf(name), [])
})

test('unlink takes the name away; the memory stays usable', (t) => {
  const name = uniqueName(t)
  const first = create(t, name, 8)
  t.true(first.unlink())
  t.false(first.unlink())
  t.false(SharedMemory.unlink(name))
  t.deepEqual(objectsOf(name), [])
  first.view(Uint8Array)[0] = 1
  const second = create(t, name, 16)
  first.close()
  t.is(open(t, name).size, 16, 'the first owner does not remove the second object')
  t.is(second.view(Uint8Array)[0], 0)
})
