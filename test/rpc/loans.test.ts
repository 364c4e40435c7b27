// Arguments and results of calls where they lie: written in place, read in place, and given back by whoever has them, or is killed.

import { closeSync, openSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test, { type ExecutionContext } from 'ava'
import {
  call,
  channelPair,
  connect,
  connectOver,
  contract,
  serve,
  serveOver,
  type AnswerLoan,
  type CallResult,
  type Client,
  type Connected,
  type ConnectOptions,
  type HandlerContext,
  type Handlers,
  type ServeOptions,
} from 'millrace/rpc'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { warningsOf } from '../support/warnings.js'
import { gate } from './open.js'

const code = (name: string) => ({ code: `ERR_MILLRACE_${name}` })

const store = contract(
  'store',
  {
    echo: call<Uint8Array, Uint8Array>(),
    sum: call<Uint8Array, Uint8Array>(),
    make: call<Uint8Array, Uint8Array>(),
    again: call<Uint8Array, Uint8Array>({ idempotent: true }),
  },
  { codec: 'bytes' },
)
type Store = typeof store

const sumOf = (bytes: Uint8Array) => bytes.reduce((sum, byte) => sum + byte, 0)
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()

/** A result of as many bytes as the argument says, all of them 7. */
async function make(input: Uint8Array, context: HandlerContext): Promise<AnswerLoan> {
  const loan = await context.loan(Number(text(input)))
  loan.bytes.fill(7)
  return loan
}

const handlers: Handlers<Store> = {
  echo: (bytes) => bytes,
  sum: (bytes) => Buffer.from(String(sumOf(bytes))),
  make,
  again: (bytes) => bytes,
}

async function serving(
  t: ExecutionContext,
  name: string,
  own: Partial<Handlers<Store>> = {},
  options?: ServeOptions,
) {
  const server = await serve(name, store, { ...handlers, ...own }, options)
  t.teardown(() => server[Symbol.asyncDispose]())
  return server
}

async function connected(
  t: ExecutionContext,
  name: string,
  options?: ConnectOptions,
): Promise<Connected<Store>> {
  const client = await connect(name, store, options)
  t.teardown(() => {
    client.close()
  })
  return client
}

const lengths = [0, 5, 128, 129, 4096, 4097, 100_000]

test('an argument is written in place, and read in place', async (t) => {
  const name = uniqueName(t)
  const seen: Uint8Array[] = []
  const lies: boolean[] = []
  await serving(
    t,
    name,
    {
      sum: (bytes) => {
        seen.push(bytes)
        lies.push(bytes.buffer.byteLength > 500_000)
        return Buffer.from(String(sumOf(bytes)))
      },
    },
    { inPlace: ['sum'] },
  )
  const client = await connected(t, name)
  for (const length of lengths) {
    using loan = await client.sum.loan(length)
    t.is(loan.bytes.length, length)
    t.is(loan.length, length)
    t.false(loan.ended)
    loan.bytes.fill(3)
    t.is(text(await loan.call({ timeout: 10_000 })), String(3 * length))
    t.true(loan.ended)
  }
  // What is short lies in a box, which is copied.
  t.deepEqual(lies, [false, false, false, false, false, true, true])
  t.is(client.stats().usedBytes, 0)
  t.is(client.pending, 0)
})

test('fewer bytes than were asked for, and what a cancelled loan took up', async (t) => {
  const name = uniqueName(t)
  await serving(t, name, {}, { calls: 2 })
  const client = await connected(t, name)
  const loan = await client.echo.loan(50_000)
  loan.bytes.set(Buffer.from('short'))
  t.is(text(await loan.call({ length: 5 })), 'short')
  const [one, two] = [await client.echo.loan(1), await client.echo.loan(5000)]
  await t.throwsAsync(client.echo(Buffer.of(1)), { ...code('BUSY'), message: /calls/ })
  const error = await t.throwsAsync(client.echo.loan(1), code('BUSY'))
  t.is((error as { executed?: string }).executed, 'no')
  one.cancel()
  one.cancel()
  t.is(text(await client.echo(Buffer.from('room'))), 'room')
  two[Symbol.dispose]()
  t.is(client.stats().usedBytes, 0)
})

test('a result is read in place until it is released', async (t) => {
  const name = uniqueName(t)
  await serving(t, name)
  const client = await connected(t, name)
  for (const length of lengths) {
    const input = Buffer.from(String(length))
    let kept: CallResult
    {
      using result = await client.make(input, { inPlace: true })
      t.is(result.length, length)
      t.true(result.bytes.every((byte) => byte === 7))
      t.is(result.bytes.buffer.byteLength > 500_000, length > 4096)
      t.is(result.bytes, result.bytes)
      t.is(result.copy().length, length)
      kept = result
    }
    t.true(kept.released)
    t.throws(() => kept.bytes, code('RELEASED'))
    t.throws(() => kept.copy(), code('RELEASED'))
    kept.release()
    t.is(client.stats().usedBytes, 0)
  }
  // And with a loan, in both directions.
  const loan = await client.echo.loan(9000)
  loan.bytes.fill(9)
  using result = await loan.call({ inPlace: true })
  t.is(sumOf(result.bytes), 81_000)
  t.is(text(await client.echo(Buffer.from('others go on'))), 'others go on')
  t.is(sumOf(result.bytes), 81_000)
})

test('a handler gives a part of its loan, or something else after all', async (t) => {
  const name = uniqueName(t)
  const loans: AnswerLoan[] = []
  const ways: Readonly<Record<string, (loan: AnswerLoan) => Uint8Array | AnswerLoan>> = {
    first: (loan) => loan.first(3),
    start: (loan) => loan.bytes.subarray(0, 4),
    middle: (loan) => loan.bytes.subarray(6, 11),
    all: (loan) => loan.bytes,
    other: () => Buffer.from('something else'),
    nothing: (loan) => {
      loan.cancel()
      return Buffer.from('cancelled')
    },
    fails: () => {
      throw new RangeError('no')
    },
    ended: (loan) => {
      loan.cancel()
      return loan
    },
  }
  await serving(t, name, {
    make: async (input, context) => {
      const loan = await context.loan(10_000)
      loans.push(loan)
      loan.bytes.set(Buffer.from('hello world'))
      return ways[text(input)]!(loan)
    },
  })
  const client = await connected(t, name)
  const got = async (way: string) => text(await client.make(Buffer.from(way)))
  t.is(await got('first'), 'hel')
  t.is(await got('start'), 'hell')
  t.is(await got('middle'), 'world')
  t.is((await got('all')).length, 10_000)
  t.is(await got('other'), 'something else')
  t.is(await got('nothing'), 'cancelled')
  await t.throwsAsync(got('fails'), { name: 'RangeError' })
  await t.throwsAsync(got('ended'), code('RELEASED'))
  t.true(loans.every((loan) => loan.ended))
  t.throws(() => loans[0]!.bytes, code('RELEASED'))
  t.throws(() => loans[0]!.first(1), code('RELEASED'))
  t.is(client.stats().usedBytes, 0)
})

test('what a handler may not ask for', async (t) => {
  const name = uniqueName(t)
  const errors: unknown[] = []
  let old: HandlerContext | undefined
  const failing = async (asked: Promise<unknown>) => {
    errors.push(
      await asked.then(
        () => 'a loan',
        (error: unknown) => (error as { code: string }).code,
      ),
    )
  }
  await serving(t, name, {
    make: async (_input, context) => {
      old = context
      await failing(context.loan(2 ** 30))
      await failing(context.loan(-1))
      await failing(context.loan(undefined as never))
      const loan = await context.loan(1)
      await failing(context.loan(1))
      loan.cancel()
      return (await context.loan(0)).first(0)
    },
  })
  const client = await connected(t, name)
  t.is((await client.make(Buffer.of())).length, 0)
  t.deepEqual(errors, [
    'ERR_MILLRACE_TOO_LARGE',
    'ERR_MILLRACE_INVALID_ARGUMENT',
    'ERR_MILLRACE_INVALID_ARGUMENT',
    'ERR_MILLRACE_TOO_MANY_HELD',
  ])
  await t.throwsAsync(old!.loan(1), code('RELEASED'))
})

test('a handler waits for room for its loan', async (t) => {
  const name = uniqueName(t)
  await serving(t, name, {}, { bytes: 20_000 })
  const client = await connected(t, name)
  const first = await client.make(Buffer.from('9000'), { inPlace: true })
  const second = await client.make(Buffer.from('9000'), { inPlace: true })
  const third = client.make(Buffer.from('9000'), { inPlace: true, timeout: 20_000 })
  await until(() => client.stats().inHand === 1)
  first.release()
  const result = await third
  t.is(sumOf(result.bytes), 63_000)
  result.release()
  second.release()
  t.is(client.stats().usedBytes, 0)
})

test('of a call that nobody wants any more the loan goes with it, and no other can be had', async (t) => {
  const name = uniqueName(t)
  const begun = gate()
  const done = gate<unknown>()
  await serving(
    t,
    name,
    {
      echo: async (input, context) => {
        const loan = await context.loan(10_000)
        begun.open()
        await new Promise((resolve) => {
          context.signal.addEventListener('abort', resolve)
        })
        loan.bytes.fill(1)
        loan.cancel()
        done.open(await context.loan(1).catch((error: unknown) => [error, sumOf(input)]))
        return Buffer.of()
      },
    },
    { inPlace: ['echo'] },
  )
  const client = await connected(t, name)
  const control = new AbortController()
  const loan = await client.echo.loan(10_000)
  loan.bytes.fill(2)
  const called = loan.call({ signal: control.signal })
  await begun.opened
  control.abort()
  await t.throwsAsync(called, { name: 'AbortError' })
  const [error, sum] = (await done.opened) as [Error, number]
  t.like(error, code('ABORTED'))
  t.is(sum, 20_000, 'the argument is the handler’s as long as it runs')
  await until(() => client.stats().usedBytes === 0)
})

test('each misuse of a loan has its error', async (t) => {
  const name = uniqueName(t)
  await serving(t, name)
  const client = await connected(t, name)
  await t.throwsAsync(client.echo.loan(2 ** 30), code('TOO_LARGE'))
  await t.throwsAsync(client.echo.loan(1.5), code('INVALID_ARGUMENT'))
  await t.throwsAsync(client.echo.loan(undefined as never), code('INVALID_ARGUMENT'))
  const loan = await client.echo.loan(10)
  await t.throwsAsync(loan.call({ length: 11 }), code('INVALID_ARGUMENT'))
  await t.throwsAsync(loan.call({ timeout: -1 }), code('INVALID_ARGUMENT'))
  await t.throwsAsync(loan.call({ speed: 1 } as never), code('INVALID_ARGUMENT'))
  t.false(loan.ended)
  const called = loan.call()
  await t.throwsAsync(loan.call(), code('RELEASED'))
  t.throws(() => loan.bytes, code('RELEASED'))
  t.is((await called).length, 10)
  const cancelled = await client.echo.loan(10)
  cancelled.cancel()
  await t.throwsAsync(cancelled.call(), code('RELEASED'))
  await t.throwsAsync(cancelled.fillFrom(Readable.from([])), code('RELEASED'))
  const open = await client.echo.loan(10)
  const result = await client.make(Buffer.from('5000'), { inPlace: true })
  const { bytes } = result
  client.close()
  t.throws(() => open.bytes, code('CLOSED'))
  await t.throwsAsync(open.call(), code('CLOSED'))
  open.cancel()
  t.throws(() => result.bytes, code('CLOSED'))
  t.is(bytes.length, 0)
  result.release()
  await t.throwsAsync(client.echo.loan(1), code('CLOSED'))
})

test('only bytes are lent, and only by one call at a time', async (t) => {
  const name = uniqueName(t)
  const other = contract('other', { add: call<Uint8Array, Uint8Array>() })
  const add = async (_input: unknown, context: HandlerContext) => await context.loan(1)
  await t.throwsAsync(serve(name, other, { add }, { inPlace: ['add'] }), code('UNSUPPORTED'))
  await t.throwsAsync(serve(name, other, { add }, { inPlace: ['sub'] }), code('INVALID_ARGUMENT'))
  await t.throwsAsync(
    serve(name, other, { add }, { inPlace: 'add' as never }),
    code('INVALID_ARGUMENT'),
  )
  await using server = await serve(name, other, { add })
  using client = await connect(name, other)
  t.truthy(server)
  const { message } = await t.throwsAsync(client.add.loan(1), code('UNSUPPORTED'))
  t.regex(message, /add\(\) travels as json/)
  await t.throwsAsync(client.add(Buffer.of(1), { inPlace: true }), code('UNSUPPORTED'))
  await t.throwsAsync(client.add(Buffer.of(1)), code('UNSUPPORTED'))
})

test('where nobody serves a loan waits for a server, or says so', async (t) => {
  const name = uniqueName(t)
  const client = await connected(t, name)
  await t.throwsAsync(client.echo.loan(1), code('NO_RESPONDER'))
  const waits = connect(name, store, { waitForServer: 20_000 })
  const server = await serving(t, name)
  const patient = await waits
  t.teardown(() => {
    patient.close()
  })
  const loan = await client.echo.loan(10_000)
  const held = await patient.echo.loan(10_000)
  const given = await patient.echo.loan(10_000)
  held.bytes.fill(4)
  await server[Symbol.asyncDispose]()
  await t.throwsAsync(loan.call(), code('NO_RESPONDER'))
  t.true(loan.ended)
  const called = held.call()
  const late = given.call({ timeout: 1 })
  await t.throwsAsync(late, code('TIMEOUT'))
  await serving(t, name)
  t.is(sumOf(await called), 40_000)
  t.is(patient.stats().usedBytes, 0)
})

test('a loan is filled from a file, a pipe or a stream', async (t) => {
  const name = uniqueName(t)
  await serving(t, name, {
    make: async (input, context) => {
      const loan = await context.loan(100)
      return loan.first(await loan.fillFrom(Readable.from([input, input])))
    },
  })
  const client = await connected(t, name)
  const fill = async (length: number, chunks: readonly Uint8Array[]) => {
    using loan = await client.echo.loan(length)
    const filled = await loan.fillFrom(Readable.from(chunks))
    return text(await loan.call({ length: filled }))
  }
  t.is(await fill(100, [Buffer.from('hello '), Buffer.from('world')]), 'hello world')
  t.is(await fill(11, [Buffer.from('hello '), Buffer.from('world')]), 'hello world')
  t.is(await fill(0, []), '')
  await t.throwsAsync(fill(10, [Buffer.from('hello '), Buffer.from('world')]), code('TOO_LARGE'))
  t.is(text(await client.make(Buffer.from('ab'))), 'abab')

  const file = join(tmpdir(), `millrace-${String(process.pid)}-loan`)
  const fd = openSync(file, 'w+')
  t.teardown(async () => {
    await import('node:fs/promises').then(({ rm }) => rm(file, { force: true }))
  })
  writeSync(fd, 'from a file')
  closeSync(fd)
  using loan = await client.echo.loan(200)
  const length = await loan.fillFrom(openSync(file, 'r'))
  t.is(text(await loan.call({ length })), 'from a file')

  // Who ends it ends what fills it first.
  const source = new PassThrough()
  const cut = await client.echo.loan(200)
  const filling = t.throwsAsync(cut.fillFrom(source), code('CLOSED'))
  source.write('never sent')
  await until(() => cut.bytes[0] === 110)
  cut.cancel()
  await filling
  t.true(source.destroyed)
  const closing = await client.echo.loan(200)
  const closed = t.throwsAsync(closing.fillFrom(new PassThrough()), code('CLOSED'))
  client.close()
  await closed
})

test('over a connection loans and results are memory of the process', async (t) => {
  const [left, right] = channelPair()
  const server = serveOver(left, store, {
    ...handlers,
    make: async (input, context) => {
      if (text(input) === 'long') return await context.loan(2 ** 40)
      const loan = await context.loan(10)
      await t.throwsAsync(context.loan(1), code('TOO_MANY_HELD'))
      loan.bytes.fill(65)
      return loan.first(3)
    },
  })
  const client: Client<Store> = connectOver(right, store)
  t.teardown(() => {
    server.close()
  })
  await asElsewhere(t, client)
  await t.throwsAsync(client.make(Buffer.from('long')), code('TOO_LARGE'))
})

test('by an address likewise', async (t) => {
  const address = `unix://${join(tmpdir(), `mr-${String(process.pid)}-loans.sock`)}`
  await serving(t, address, {
    make: async (_input, context) => {
      const loan = await context.loan(10)
      loan.bytes.fill(65)
      return loan.first(3)
    },
  })
  const client = await connected(t, address)
  await asElsewhere(t, client)
  const loan = await client.echo.loan(1)
  client.close()
  await t.throwsAsync(loan.call(), code('CLOSED'))
})

async function asElsewhere(t: ExecutionContext, client: Client<Store>) {
  const loan = await client.echo.loan(1000)
  loan.bytes.fill(66)
  const result = await loan.call({ length: 2, inPlace: true })
  t.is(text(result.bytes), 'BB')
  result.release()
  t.throws(() => result.bytes, code('RELEASED'))
  await t.throwsAsync(loan.call(), code('RELEASED'))
  t.is(text(await client.make(Buffer.of())), 'AAA')
  await t.throwsAsync(client.echo.loan(2 ** 40), code('TOO_LARGE'))
  await t.throwsAsync(client.echo.loan(-1), code('INVALID_ARGUMENT'))
}

test('a server that is killed with a loan, and a client with all it can hold, lose nothing', async (t) => {
  const name = uniqueName(t)
  const client = await connected(t, name)
  const other = actor(t)
  await other.do(async ({ serve, contract, call, own }, name) => {
    const codec = { codec: 'bytes' } as const
    const described = {
      echo: call<Uint8Array, Uint8Array>(),
      sum: call<Uint8Array, Uint8Array>(),
      make: call<Uint8Array, Uint8Array>(),
      again: call<Uint8Array, Uint8Array>({ idempotent: true }),
    }
    const never = async (_input: Uint8Array, context: HandlerContext) => {
      const loan = await context.loan(50_000)
      loan.bytes.fill(1)
      process.send!({ holds: true })
      return await new Promise<never>(() => undefined)
    }
    const all = { echo: never, sum: never, make: never, again: never }
    own['server'] = await serve(name, contract('store', described, codec), all)
  }, name)
  const loan = await client.again.loan(60_000)
  loan.bytes.fill(5)
  const called = loan.call({ inPlace: true })
  t.deepEqual(await other.run.next(), { holds: true })
  await serving(t, name)
  await other.kill()
  const result = await called
  t.is(sumOf(result.bytes), 300_000)
  result.release()
  t.is(client.stats().usedBytes, 0)

  const holder = actor(t)
  await holder.do(async ({ connect, contract, call, own }, name) => {
    const described = {
      echo: call<Uint8Array, Uint8Array>(),
      sum: call<Uint8Array, Uint8Array>(),
      make: call<Uint8Array, Uint8Array>(),
      again: call<Uint8Array, Uint8Array>({ idempotent: true }),
    }
    const client = await connect(name, contract('store', described, { codec: 'bytes' }))
    own['held'] = [
      await client.echo.loan(50_000),
      await client.echo.loan(5),
      await client.make(Buffer.from('60000'), { inPlace: true }),
    ]
  }, name)
  t.true(client.stats().usedBytes > 100_000)
  await holder.kill()
  await until(() => client.stats().usedBytes === 0)
  t.is(client.stats().handles, 2)
})

test('what the program lost of them comes back, and is told once', async (t) => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const name = uniqueName(t)
  await serving(t, name)
  const client = await connected(t, name)
  const warnings = warningsOf(t, 'MILLRACE_LOAN_FORGOTTEN', client)
  const kept = await loseSome()
  await until(() => {
    gc()
    return client.stats().usedBytes <= 5120
  })
  await until(() => warnings.length === 1)
  t.is(kept.length, 5000, 'whoever has the bytes has the loan')
  t.true(client.stats().usedBytes > 0)

  async function loseSome(): Promise<Uint8Array> {
    await client.echo.loan(20_000)
    await client.make(Buffer.from('30000'), { inPlace: true })
    return (await client.echo.loan(5000)).bytes
  }
})
