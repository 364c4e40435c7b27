// Cells whose schema is a struct: values are written, what is read has one, and update shows a view.

import { inspect } from 'node:util'
import test, { type ExecutionContext } from 'ava'
import { Cell, MillraceError, type CellValue } from 'millrace'
import { array, char, f64, struct, u32, u64, u8, type ValueOf } from 'millrace/struct'

import { actor } from '../support/actor.js'
import { openReader, openWriter } from '../support/cells.js'
import { uniqueName } from '../support/names.js'

const Config = struct({ rate: f64, limit: u32, mode: char(8) }, { name: 'Config' })
type ConfigValue = ValueOf<typeof Config>

const config = (n: number): ConfigValue => ({ rate: n / 2, limit: n, mode: `M${n}` })
/** The same schema for who wants bytes. */
const opaque = { fingerprint: Config.fingerprint }
const patience = { timeout: 15_000 }

function openTypedWriter(t: ExecutionContext, name: string, options: { slots?: number } = {}) {
  const writer = Cell.writer(name, { schema: Config, ...options })
  t.teardown(() => {
    writer.close()
  })
  return writer
}

async function openTypedReader(t: ExecutionContext, name: string) {
  const reader = await Cell.reader(name, { schema: Config })
  t.teardown(() => {
    reader.close()
  })
  return reader
}

async function openTyped(t: ExecutionContext) {
  const name = uniqueName(t)
  const writer = openTypedWriter(t, name)
  return { name, writer, reader: await openTypedReader(t, name) }
}

/** A typed reader, and a writer that may write anything. */
async function openLoose(t: ExecutionContext) {
  const name = uniqueName(t)
  const writer = openWriter(t, name, { schema: opaque })
  return { name, writer, reader: await openTypedReader(t, name) }
}

const schemaError = (...parts: readonly (string | RegExp)[]) => ({
  instanceOf: MillraceError,
  code: 'ERR_MILLRACE_SCHEMA',
  message: new RegExp(
    parts.map((part) => (typeof part === 'string' ? part : part.source)).join('[^]*'),
  ),
})

test('a value that was written is read, with its version, its time and its bytes', async (t) => {
  const { writer, reader } = await openTyped(t)
  t.is(writer.maxBytes, Config.size)
  t.is(reader.maxBytes, Config.size)
  t.is(reader.read(), undefined)
  t.is(writer.write(config(1)), 1)
  t.is(writer.write(config(2)), 2)
  const read = reader.read()!
  t.deepEqual(read.value, config(2))
  t.is(read.version, 2)
  t.is(read.timestamp, reader.timestamp)
  t.deepEqual(new Uint8Array(read.bytes), Config.encode(config(2)))
  const target = new Uint8Array(Config.size)
  t.is(reader.readInto(target), Config.size)
  t.deepEqual(Config.read(target), config(2))
})

test('a view of the definition, and the bytes of one value, are written as well', async (t) => {
  const { writer, reader } = await openTyped(t)
  const bytes = Config.encode(config(7))
  const given = [Config.view(bytes), bytes, bytes.buffer as ArrayBuffer, new DataView(bytes.buffer)]
  for (const [index, one] of given.entries()) {
    writer.write(config(1))
    t.is(writer.write(one), 2 * index + 2)
    t.deepEqual(reader.read()!.value, config(7))
  }
})

test('the value is made at the first look, once, and shares nothing with the cell', async (t) => {
  const { writer, reader } = await openTyped(t)
  writer.write(config(1))
  const read = reader.read()!
  writer.write(config(2))
  t.deepEqual(read.value, config(1), 'as it was when it was read')
  t.is(read.value, read.value)
  read.value.limit = 100
  t.is(read.value.limit, 100, 'it is its owner’s')
  read.bytes.fill(0)
  t.is(read.value.rate, 0.5)
  t.deepEqual(reader.read()!.value, config(2))
})

test('changes() gives values, the newest whenever there is a newer one', async (t) => {
  const { writer, reader } = await openTyped(t)
  writer.write(config(1))
  writer.write(config(2))
  const seen: ConfigValue[] = []
  for await (const { value } of reader.changes()) {
    seen.push(value)
    if (value.limit === 2) writer.write(config(3))
    else writer.close()
  }
  t.deepEqual(seen, [config(2), config(3)])
})

test('values cross between processes, also from who writes bytes to who reads them', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(
    ({ Cell, own }, cell, fingerprint, size) => {
      own.cellWriter = Cell.writer(cell, {
        maxBytes: size,
        schema: { fingerprint: BigInt(fingerprint) },
      })
      const bytes = Buffer.alloc(size)
      bytes.writeDoubleLE(1.5, 0)
      bytes.writeUInt32LE(3, 8)
      bytes.write('M3', 12)
      own.cellWriter.write(bytes)
    },
    name,
    String(Config.fingerprint),
    Config.size,
  )
  const reader = await openTypedReader(t, name)
  t.deepEqual(reader.read()!.value, config(3))
  const changed = reader.changed(patience)
  await other.do(({ own }) => {
    own.cellWriter.close()
  })
  t.false(await changed)
  const writer = openTypedWriter(t, name)
  t.is(writer.write(config(4)), 2)
  t.deepEqual(reader.read()!.value, config(4))
})

test('another definition is refused on both sides', async (t) => {
  const name = uniqueName(t)
  const Other = struct({ rate: f64 })
  const writer = openTypedWriter(t, name)
  await t.throwsAsync(Cell.reader(name, { schema: Other }), { code: 'ERR_MILLRACE_SCHEMA' })
  writer.write(config(1))
  const reader = await openTypedReader(t, name)
  writer.close()
  t.throws(() => Cell.writer(name, { schema: Other, maxBytes: Config.size }), {
    code: 'ERR_MILLRACE_SCHEMA',
  })
  t.deepEqual(reader.read()!.value, config(1))
})

test('bytes of another length, text and JSON are refused, with both lengths, and nothing is written', async (t) => {
  const { name, writer, reader } = await openTyped(t)
  writer.write(config(1))
  for (const length of [0, 1, Config.size - 1, Config.size + 1, 2 * Config.size]) {
    t.throws(
      () => writer.write(new Uint8Array(length)),
      schemaError(`has ${length} bytes`, `Config has ${Config.size}`, name),
    )
  }
  t.throws(() => writer.write('text'), schemaError('has 4 bytes', `Config has ${Config.size}`))
  t.throws(() => writer.writeJson(config(2)), schemaError(name, 'Config', 'JSON'))
  const asLong = 'x'.repeat(Config.size - 2) // and two quotation marks
  t.throws(() => writer.writeJson(asLong), schemaError('JSON'))
  t.is(writer.version, 1)
  t.deepEqual(reader.read()!.value, config(1))
})

test('a value that is refused half way leaves the newest as it is', async (t) => {
  const { writer, reader } = await openTyped(t)
  writer.write(config(1))
  const failure = new Error('a getter')
  const refused: readonly (readonly [unknown, object])[] = [
    [{ ...config(2), limit: 'two' }, { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }],
    [{ ...config(2), mode: 'much too long' }, { code: 'ERR_MILLRACE_TOO_LARGE' }],
    [
      { rate: 1, limit: 2 },
      { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /lacks .*mode/ },
    ],
    [
      { ...config(2), more: 1 },
      { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /more/ },
    ],
    [7, { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }],
    [undefined, { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }],
    [null, { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }],
    [
      {
        ...config(2),
        get mode(): string {
          throw failure
        },
      },
      { is: failure },
    ],
  ]
  for (const [value, error] of refused) {
    t.throws(() => writer.write(value as ConfigValue), error)
    t.is(writer.version, 1)
    t.deepEqual(reader.read()!.value, config(1))
  }
  t.is(writer.write(config(3)), 2)
  t.deepEqual(reader.read()!.value, config(3))
})

test('getters of a value find the writer taken, and may close it', async (t) => {
  const { writer, reader } = await openTyped(t)
  writer.write(config(1))
  const calling = (call: () => unknown) => ({
    ...config(2),
    get mode() {
      call()
      return 'M2'
    },
  })
  const busy = { code: 'ERR_MILLRACE_BUSY' }
  writer.write(
    calling(() => {
      t.throws(() => writer.write(config(9)), busy)
      t.throws(() => writer.write(Config.encode(config(9))), busy)
      t.throws(() => writer.update(() => undefined), busy)
    }),
  )
  t.deepEqual(reader.read()!.value, config(2))
  const closing = calling(() => {
    writer.close()
  })
  t.throws(() => writer.write(closing), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => writer.write(config(3)), { code: 'ERR_MILLRACE_CLOSED' })
  t.deepEqual(reader.read()!.value, config(2))
  t.is(reader.version, 2)
})

test('a value of another length has bytes, and no value: the error has both lengths', async (t) => {
  const { name, writer, reader } = await openLoose(t)
  for (const length of [0, Config.size - 1, Config.size + 1, 100]) {
    const version = writer.write(new Uint8Array(length))
    const read: CellValue<ConfigValue> = reader.read()!
    t.is(read.bytes.length, length)
    const error = schemaError(
      `value ${version} of cell '${name}' has ${length} bytes`,
      `Config has ${Config.size}`,
    )
    t.throws(() => read.value, error)
    t.throws(() => read.value, error, 'at every look')
    t.notThrows(() => inspect(read))
  }
  writer.writeJson({ a: 1 })
  t.deepEqual(reader.read()!.json(), { a: 1 })
  writer.write(Config.encode(config(5)))
  t.deepEqual(reader.read()!.value, config(5), 'and goes on with the next one')
})

test('update shows a view of the newest value, which readers get when it returns', async (t) => {
  const { writer, reader } = await openTyped(t)
  // Three times round the slots.
  for (let n = 1; n <= 12; n++) {
    const version = writer.update((view) => {
      t.deepEqual(Config.read(view), n === 1 ? { rate: 0, limit: 0, mode: '' } : config(n - 1))
      t.is(reader.version, n - 1)
      Config.set(view, config(n))
    })
    t.is(version, n)
    t.deepEqual(reader.read()!.value, config(n))
  }
  writer.write(config(20))
  writer.update((view) => view.limit++)
  t.deepEqual(reader.read()!.value, { ...config(20), limit: 21 }, 'what it returns does not count')
  writer.update(
    (view) => {
      Config.set(view, config(22))
    },
    { copy: false },
  )
  t.deepEqual(reader.read()!.value, config(22))
})

test('an update that throws, or promises, changes nothing; what it began is not seen by the next', async (t) => {
  const { writer, reader } = await openTyped(t)
  const failure = new Error('half way')
  const half = () =>
    writer.update((view) => {
      view.limit = 77
      throw failure
    })
  t.throws(half, { is: failure })
  t.throws(half, { is: failure })
  t.is(reader.read(), undefined)
  writer.update((view) => {
    t.is(view.limit, 0)
    view.limit = 1
  })
  t.throws(half, { is: failure })
  t.is(reader.read()!.value.limit, 1)
  const promising = (view: { limit: number }) => {
    view.limit = 88
    return Promise.resolve()
  }
  t.throws(() => writer.update(promising as never), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /promise/,
  })
  t.is(reader.version, 1)
  writer.update((view) => {
    t.is(view.limit, 1)
  })
  t.is(reader.read()!.value.limit, 1)
})

test('a view that was kept shows and changes no value of the cell', async (t) => {
  const { writer, reader } = await openTyped(t)
  let kept: { limit: number } | undefined
  writer.write(config(1))
  writer.update((view) => {
    kept = view
  })
  t.is(kept!.limit, 0)
  kept!.limit = 99
  t.deepEqual(reader.read()!.value, config(1))
  const busy = { code: 'ERR_MILLRACE_BUSY' }
  writer.update((view) => {
    t.is(view.limit, 1)
    t.throws(() => writer.update(() => undefined), busy)
    t.throws(() => writer.write(config(2)), busy)
  })
  t.throws(
    () =>
      writer.update(() => {
        writer.close()
      }),
    { code: 'ERR_MILLRACE_CLOSED' },
  )
  t.is(kept!.limit, 99, 'memory of its own')
  t.deepEqual(reader.read()!.value, config(1))
})

test('update does not take the bytes of another length for a value, unless it writes all of it', async (t) => {
  const { name, writer, reader } = await openLoose(t)
  writer.write('short')
  writer.close()
  const typed = Cell.writer(name, { schema: Config, maxBytes: 100 })
  t.teardown(() => {
    typed.close()
  })
  t.throws(
    () => typed.update(() => t.fail()),
    schemaError(`the newest value of cell '${name}' has 5 bytes`, `Config has ${Config.size}`),
  )
  t.is(reader.read()!.text(), 'short')
  typed.update(
    (view) => {
      Config.set(view, config(2))
    },
    { copy: false },
  )
  const read = reader.read()!
  t.is(read.bytes.length, Config.size, 'not all that fits')
  t.deepEqual(read.value, config(2))
})

test('maxBytes may be larger than a value, but not smaller; an existing cell must have the same', (t) => {
  const name = uniqueName(t)
  const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  for (const maxBytes of [Config.size - 1, 0, 1.5, '24' as never]) {
    t.throws(() => Cell.writer(name, { schema: Config, maxBytes }), refused)
  }
  t.throws(() => Cell.writer(name, { schema: Config, maxBytes: 8 }), {
    message: new RegExp(`${Config.size} bytes of Config, not 8`),
  })
  const Vast = struct({ most: array(u8, 2 ** 30), rest: u8 }, { name: 'Vast' })
  t.throws(() => Cell.writer(name, { schema: Vast }), {
    ...refused,
    message: /Vast has 1073741825/,
  })
  t.throws(() => Cell.writer(name, { schema: opaque } as never), refused, 'bytes need it')
  t.false(Cell.unlink(name), 'nothing was made')
  const writer = Cell.writer(name, { schema: Config, maxBytes: undefined, keep: true })
  t.teardown(() => Cell.unlink(name))
  t.is(writer.maxBytes, Config.size)
  writer.close()
  t.throws(() => Cell.writer(name, { schema: Config, maxBytes: 100 }), {
    code: 'ERR_MILLRACE_GEOMETRY',
  })
})

test('with the fingerprint alone everything stays bytes', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name, { schema: opaque })
  const reader = await openReader(t, name, { schema: opaque })
  writer.writeJson({ a: 1 })
  const read = reader.read()!
  t.deepEqual(read.json(), { a: 1 })
  t.is(read.value, undefined)
  t.throws(() => writer.write(config(1) as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.is(
    writer.update((bytes) => {
      t.is(bytes.length, 100)
      return Config.size
    }),
    2,
  )
  t.is(reader.read()!.bytes.length, Config.size)
})

test('an incomplete schema is refused before anything is opened', async (t) => {
  const name = uniqueName(t)
  const schema = { fingerprint: 1n, size: 8, write: () => undefined }
  const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /methods/ }
  t.throws(() => Cell.writer(name, { schema } as never), refused)
  await t.throwsAsync(Cell.reader(name, { schema, timeout: 0 } as never), refused)
  t.false(Cell.unlink(name))
})

test('fields may have the names of what bytes have', async (t) => {
  const Odd = struct({ byteLength: u32, length: u32, buffer: u32, then: u64 })
  const name = uniqueName(t)
  using writer = Cell.writer(name, { schema: Odd })
  using reader = await Cell.reader(name, { schema: Odd })
  const value = { byteLength: 1, length: 2, buffer: 3, then: 4n }
  writer.write(value)
  t.deepEqual(reader.read()!.value, value)
  writer.write(Odd.view(Odd.encode({ ...value, length: 5 })))
  t.deepEqual(reader.read()!.value, { ...value, length: 5 })
})

test('what was read shows its value, but not as JSON, which says nothing of content', async (t) => {
  const { name, writer, reader } = await openTyped(t)
  writer.write(config(1))
  const read = reader.read()!
  t.is(
    inspect(read, { breakLength: Infinity }),
    `CellValue { cell: '${name}', version: 1, timestamp: ${read.timestamp}n, value: { rate: 0.5, limit: 1, mode: 'M1' } }`,
  )
  const timestamp = String(read.timestamp)
  const told = { cell: name, version: 1, timestamp, byteLength: Config.size }
  t.deepEqual(JSON.parse(JSON.stringify(read)), told)
})

test('a value that is refused names the part that is wrong by its path', (t) => {
  const Limits = struct({ of: array(struct({ mode: char(2), most: u8 }), 2) })
  using writer = Cell.writer(uniqueName(t), { schema: Limits })
  const right = { mode: 'a', most: 1 }
  t.throws(() => writer.write({ of: [right, { mode: 'a', most: 256 }] }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: 'of[1].most must be a whole number from 0 to 255, not 256',
  })
  t.throws(() => writer.write({ of: [{ mode: 'abc', most: 1 }, right] }), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: /^of\[0\]\.mode has room for 2 bytes/,
  })
})
