// What programs do that nobody should: options that are none, handlers that are missing, names that are taken, values that cannot be
// sent, memory that was cut off. Each is an error that says what is wrong, before anything is done, and nothing hangs.

import { readFileSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import { call, connect, contract, serve } from 'millrace/rpc'

import { actor } from '../support/actor.js'
import { cut } from '../support/cut.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { pokeWord } from '../support/segments.js'
import { until, within } from '../support/until.js'
import { calc, connected, gate, handlers, serving } from './open.js'

const invalid = (message: RegExp) => ({ code: 'ERR_MILLRACE_INVALID_ARGUMENT', message })
const as = (value: unknown) => value as never
/** `layout::SlotState::leased` */
const leased = 4

test('options, addresses, contracts and handlers that are none leave nothing behind', async (t) => {
  const name = uniqueName(t)
  const serveBadly: readonly (readonly [object, RegExp])[] = [
    [{ concurrency: 0 }, /concurrency.*1 to 65536, not 0/],
    [{ concurrency: 1.5 }, /concurrency/],
    [{ calls: 0 }, /calls/],
    [{ bytes: -1 }, /bytes/],
    [{ seats: 1 }, /seats/],
    [{ drainOnClose: '5' }, /drainOnClose/],
    [{ signal: {} }, /signal/],
    [{ concurency: 4 }, /no option 'concurency'.*concurrency/],
    [{ waitForServer: 4 }, /no option 'waitForServer'/],
  ]
  for (const [options, message] of serveBadly) {
    await t.throwsAsync(serve(name, calc, handlers, options), invalid(message))
  }
  await t.throwsAsync(connect(name, calc, { waitForServer: -1 }), invalid(/waitForServer/))
  await t.throwsAsync(connect(name, calc, as({ concurrency: 1 })), invalid(/no option/))
  for (const address of ['carrier://x/y', 'http://host:1']) {
    await t.throwsAsync(connect(address, calc), invalid(/no transport for .*addresses begin with/))
  }
  await t.throwsAsync(connect(as(7), calc), invalid(/address must be a string/))
  await t.throwsAsync(connect('shm://', calc), { code: 'ERR_MILLRACE_INVALID_NAME' })
  await t.throwsAsync(serve(name, as({ add: 1 }), as({})), invalid(/made by contract\(\)/))
  const { echo: _, ...fewer } = handlers
  await t.throwsAsync(serve(name, calc, as(fewer)), invalid(/'?echo.*must be a function/))
  await t.throwsAsync(serve(name, calc, as({ ...handlers, more: () => 0 })), invalid(/'more'/))
  await t.throwsAsync(serve(name, calc, as(undefined)), invalid(/handlers must be an object/))
  const aborted = AbortSignal.abort()
  await t.throwsAsync(serve(name, calc, handlers, { signal: aborted }), { name: 'AbortError' })
  t.deepEqual(objectsOf(name), [])
})

test('a function of a contract cannot have the name of one that every client has', async (t) => {
  const name = uniqueName(t)
  for (const taken of ['close', 'pending', 'stats', 'name']) {
    const bad = contract('bad', { [taken]: call<number, number>() })
    await t.throwsAsync(connect(name, bad), invalid(new RegExp(`'${taken}' of its own`)))
    await t.throwsAsync(serve(name, bad, as({ [taken]: () => 0 })), invalid(/of its own/))
  }
  const good = contract('good', {
    fail: call<undefined, number>(),
    send: call<undefined, number>(),
  })
  const server = await serve(name, good, { fail: () => 1, send: () => 2 })
  const client = await connect(name, good)
  t.deepEqual([await client.fail(), await client.send()], [1, 2])
  client.close()
  server.close()
})

test('options of a call that are none, and values that cannot be sent, send nothing', async (t) => {
  const name = uniqueName(t)
  await serving(t, name)
  const client = await connected(t, name)
  const bad: readonly (readonly [object, RegExp])[] = [
    [{ timeout: 'soon' }, /timeout/],
    [{ timeout: NaN }, /timeout/],
    [{ deadline: 'noon' }, /deadline must be a Date/],
    [{ deadline: new Date(NaN) }, /deadline must be a Date/],
    [{ signal: 5 }, /signal/],
    [{ within: 5 }, /within/],
    [{ timeuot: 5 }, /no option 'timeuot'/],
  ]
  for (const [options, message] of bad) {
    await t.throwsAsync(client.add([1, 2], options), invalid(message))
  }
  await t.throwsAsync(client.echo(1n), invalid(/BigInt/))
  const round: { self?: unknown } = {}
  round.self = round
  await t.throwsAsync(client.echo(round), invalid(/itself/))
  t.is(client.stats().made, 0)
})

test('a result that cannot be sent is an error of its call', async (t) => {
  const name = uniqueName(t)
  await serving(t, name, { echo: () => 1n })
  const client = await connected(t, name)
  await t.throwsAsync(client.echo(0), invalid(/BigInt/))
  t.is(await client.add([1, 2]), 3)
})

test('a value whose code makes a call while it is sent gets that, and spoils nothing', async (t) => {
  const name = uniqueName(t)
  await serving(t, name)
  const client = await connected(t, name)
  let inner: Promise<unknown> | undefined
  const outer = client.echo({
    toJSON() {
      inner = client.echo('inner, and longer than the other')
      return 'outer'
    },
  })
  t.is(await outer, 'outer')
  t.is(await inner, 'inner, and longer than the other')
})

test('a handler that closes its server, and one that closes its client, end in good order', async (t) => {
  const name = uniqueName(t)
  const server = await serving(t, name, {
    echo: () => {
      server.close()
      return 'closed'
    },
  })
  const client = await connected(t, name)
  t.is(await client.echo(0), 'closed')
  t.true(server.closed)
  await t.throwsAsync(client.echo(0), { code: 'ERR_MILLRACE_NO_RESPONDER' })
})

test('memory that somebody has shortened closes server and client, and ends their calls', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const server = await serving(t, name, { echo: () => new Promise(() => undefined) })
  const client = await connected(t, name, { poll: 0 })
  const pending = client.echo(0)
  await until(() => server.atWork === 1)
  const warned = new Promise<void>((resolve) => {
    process.on('warning', ({ message }) => {
      if (message.startsWith(`the server of '${name}' has ended`)) resolve()
    })
  })
  cut(server.path)
  await t.throwsAsync(pending, { code: 'ERR_MILLRACE_CORRUPT' })
  await within(10_000, warned)
  t.true(server.closed)
  t.throws(() => client.stats(), { code: 'ERR_MILLRACE_CLOSED' })
  await t.throwsAsync(client.add([1, 2]), { code: 'ERR_MILLRACE_CLOSED' })
})

test('a process ends while its server waits, if that is not to keep it alive; and by its end its calls are known', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(async ({ serve, contract, call }, name) => {
    const calc = contract('calc', {
      add: call<readonly [number, number], number>(),
      echo: call<unknown, unknown>(),
      fail: call<string, never>(),
      again: call<string, unknown>({ idempotent: true }),
    })
    const server = await serve(name, calc, {
      add: ([a, b]) => a + b,
      echo: () => process.exit(3),
      fail: (message) => {
        throw new Error(message)
      },
      again: (value) => value,
    })
    server.unref()
  }, name)
  const client = await connected(t, name)
  t.is(await client.add([1, 2]), 3)
  const error = await t.throwsAsync(client.echo(0), { code: 'ERR_MILLRACE_PEER_GONE' })
  t.is((error as { executed?: string }).executed, 'unknown')
  t.deepEqual(await other.run.ended(), { code: 3, signal: null })
})

test('what is thrown that is no error arrives as one', async (t) => {
  const name = uniqueName(t)
  await serving(t, name, {
    echo: (value) => {
      throw value
    },
    fail: (message) => {
      throw Object.assign(new RangeError(message), { code: 'E_OWN', data: { at: 3 } })
    },
  })
  const client = await connected(t, name)
  await t.throwsAsync(client.echo('text'), { message: 'text' })
  await t.throwsAsync(client.echo(null))
  const error = await t.throwsAsync(client.fail('too far'), {
    instanceOf: RangeError,
    message: 'too far',
    code: 'E_OWN',
  })
  t.deepEqual((error as { data?: unknown }).data, { at: 3 })
  t.notRegex(error.stack ?? '', /misuse\.test.*serving/)
})

/** What somebody else makes of the word of a call that a server has in hand. */
const lies: Readonly<Record<string, (word: bigint) => bigint>> = {
  'that there is none': (word) => (word >> 32n) << 32n,
  'what means nothing': () => 0xffff_ffff_ffff_ffffn,
  'that a server has it which is not there': (word) => (word & ~0xff_f000n) | (40n << 12n),
}
for (const [what, lie] of Object.entries(lies)) {
  test(`memory says of a call ${what}: its caller is told soon, without a timeout`, async (t) => {
    const name = uniqueName(t, { mayLeave: true })
    const { opened, open } = gate()
    const server = await serving(t, name, { echo: () => opened }, { calls: 1 })
    const client = await connected(t, name, { poll: 0 })
    const words = () => new BigUint64Array(Uint8Array.from(readFileSync(server.path)).buffer)
    const before = words()
    const pending = client.echo(0)
    await until(() => server.atWork === 1)
    const after = words()
    // Free before, and now taken, for the first time.
    const isTaken = (at: number) =>
      (before[at]! & 0xffff_ffffn) === 0n &&
      (after[at]! & 0xffn) === BigInt(leased) &&
      ((after[at]! >> 24n) & 0xffn) === 1n &&
      after[at]! >> 32n > before[at]! >> 32n
    const found = [...after.keys()].filter(isTaken)
    t.is(found.length, 1)
    const start = performance.now()
    pokeWord('r', name, found[0]! * 8, lie(after[found[0]!]!))
    await t.throwsAsync(pending, { code: 'ERR_MILLRACE_CORRUPT' })
    const ms = performance.now() - start
    t.log(`${ms.toFixed(0)} ms`)
    t.true(ms < 10_000, String(ms)) // 100 where a processor is free
    t.throws(() => client.served, { code: 'ERR_MILLRACE_CLOSED' })
    open()
  })
}

test('a call that takes its time is looked at meanwhile, and is none that was written over', async (t) => {
  const name = uniqueName(t)
  const { opened, open } = gate()
  const server = await serving(t, name, { echo: () => opened }, { calls: 1 })
  const client = await connected(t, name, { poll: 0 })
  const pending = client.echo(0)
  await until(() => server.atWork === 1)
  for (let i = 0; i < 3; i++) await pause(60) // it looks at its call meanwhile, which is as it should be
  t.is(client.pending, 1)
  open()
  t.is(await pending, undefined)
})
