// Calls under policies: which are made again, which are not made at all, and in which order the policies stand.

import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { handleAll, retry, timeout, TimeoutStrategy, type IPolicy } from 'cockatiel'
import { errorCodes, MillraceError } from 'millrace'
import {
  judgementOf,
  resilient,
  SharedBreaker,
  worthRetrying,
  type ResilienceOptions,
  type RetryFacts,
} from 'millrace/resilience'
import { call, connect, contract, duplex, serve, stream, upload } from 'millrace/rpc'

import { uniqueName } from '../support/names.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const code = (name: string) => ({ code: `ERR_MILLRACE_${name}` })
const own = (name: string, executed?: 'no' | 'unknown') =>
  new (
    MillraceError as unknown as new (code: string, message: string, facts: object) => MillraceError
  )(`ERR_MILLRACE_${name}`, name, { executed })
const system = (name: string) => Object.assign(new Error(name), { code: name })

/** Fails so often with what it is given, and then does not. */
function flaky(errors: readonly unknown[]) {
  const left = [...errors]
  const work = () => {
    work.calls++
    if (left.length > 0) throw left.shift()
    return work.calls
  }
  work.calls = 0
  return work
}

const quick = { retry: { base: 1, cap: 2 } } satisfies ResilienceOptions

/** Whether it is worth a retry, and what a breaker makes of it. */
const judged: Readonly<Record<string, readonly [boolean, ReturnType<typeof judgementOf>]>> = {
  INVALID_ARGUMENT: [false, 'nothing'],
  INVALID_NAME: [false, 'nothing'],
  NAME_TOO_LONG: [false, 'nothing'],
  EXISTS: [false, 'nothing'],
  NOT_FOUND: [true, 'failure'],
  PERMISSION: [false, 'nothing'],
  NOT_OURS: [false, 'nothing'],
  GEOMETRY: [false, 'nothing'],
  SCHEMA: [false, 'nothing'],
  LAYOUT: [false, 'nothing'],
  CORRUPT: [false, 'failure'],
  ROLE_TAKEN: [true, 'failure'],
  NO_LANE: [true, 'failure'],
  PEER_GONE: [true, 'failure'],
  PEER_FAILED: [true, 'failure'],
  NO_RESPONDER: [true, 'failure'],
  CLOSED: [false, 'nothing'],
  BUSY: [true, 'failure'],
  TOO_LARGE: [false, 'nothing'],
  INCOMPLETE: [false, 'nothing'],
  NO_SPACE: [false, 'failure'],
  ABORTED: [false, 'nothing'],
  TIMEOUT: [true, 'failure'],
  RELEASED: [false, 'nothing'],
  TOO_MANY_HELD: [false, 'nothing'],
  LEASE_LOST: [false, 'nothing'],
  CIRCUIT_OPEN: [false, 'nothing'],
  MISSING_PEER: [false, 'nothing'],
  UNREACHABLE: [true, 'failure'],
  PROTOCOL: [false, 'failure'],
  UNSUPPORTED: [false, 'nothing'],
  UNSUPPORTED_PLATFORM: [false, 'nothing'],
  UNSUPPORTED_RUNTIME: [false, 'nothing'],
  SYSTEM: [false, 'failure'], // of which nothing more is known
}

test('every code of this package is judged', (t) => {
  for (const one of errorCodes) t.true(one.replace('ERR_MILLRACE_', '') in judged, one)
  for (const [name, [again, judgement]] of Object.entries(judged)) {
    t.is(worthRetrying(own(name)), again, name)
    t.is(judgementOf(own(name)), judgement, name)
  }
})

test('worth a retry is what passes, and cannot have been done; or may be done twice', (t) => {
  const rows: [unknown, once: boolean, idempotent: boolean][] = [
    [own('BUSY'), true, true],
    [own('NO_RESPONDER', 'no'), true, true],
    [own('PEER_GONE', 'no'), true, true],
    [own('PEER_GONE', 'unknown'), false, true],
    [own('TIMEOUT', 'unknown'), false, true],
    [own('TIMEOUT'), true, true],
    [own('INVALID_ARGUMENT'), false, false],
    [own('SCHEMA'), false, false],
    [own('TOO_LARGE'), false, false],
    [own('ABORTED'), false, false],
    [own('CORRUPT'), false, false],
    [own('CIRCUIT_OPEN', 'no'), false, false],
    [system('EINTR'), true, true],
    [system('ECONNREFUSED'), true, true],
    [system('ECONNRESET'), false, true],
    [new TypeError('fetch failed', { cause: system('ECONNREFUSED') }), true, true],
    [new TypeError('fetch failed', { cause: system('ECONNRESET') }), false, true],
    [new DOMException('late', 'TimeoutError'), false, true],
    [new DOMException('gone', 'AbortError'), false, false],
    [new Error('whatever'), false, false],
    ['text', false, false],
    [undefined, false, false],
    [null, false, false],
  ]
  for (const [error, once, idempotent] of rows) {
    t.is(worthRetrying(error), once, String(error))
    t.is(worthRetrying(error, { idempotent: true }), idempotent, String(error))
  }
})

test('a breaker counts what says that something is broken', (t) => {
  const rows: [unknown, ReturnType<typeof judgementOf>][] = [
    [own('TIMEOUT', 'unknown'), 'failure'],
    [own('NO_RESPONDER'), 'failure'],
    [own('CORRUPT'), 'failure'],
    [own('TOO_LARGE'), 'nothing'],
    [own('ABORTED'), 'nothing'],
    [own('CIRCUIT_OPEN'), 'nothing'],
    [system('ECONNREFUSED'), 'failure'],
    [new Error('whatever'), 'failure'],
    [new DOMException('gone', 'AbortError'), 'nothing'],
    [undefined, 'failure'],
  ]
  for (const [error, judgement] of rows) t.is(judgementOf(error), judgement, String(error))
})

test('a call is made again as often as is said, and then fails with what came last', async (t) => {
  const facts: RetryFacts[] = []
  const policies = resilient({
    retry: { attempts: 2, base: 8, cap: 9, onRetry: (one) => facts.push(one) },
  })
  const twice = flaky([own('BUSY'), system('EINTR')])
  t.is(await policies.execute(twice), 3)
  t.deepEqual(
    facts.map(({ attempt }) => attempt),
    [1, 2],
  )
  t.true(facts[0]!.delay >= 0 && facts[0]!.delay < 8)
  t.is(facts[1]!.delay, 0, 'what was interrupted is made again at once')
  const often = flaky([own('BUSY'), own('TIMEOUT'), own('NO_LANE'), own('BUSY')])
  await t.throwsAsync(policies.execute(often), code('NO_LANE'))
  t.is(often.calls, 3)
})

test('pauses have full jitter, and a cap', async (t) => {
  const delays: number[][] = [[], [], []]
  const policies = resilient({
    breaker: false,
    timeout: false,
    retry: {
      base: 2,
      cap: 6,
      onRetry: ({ attempt, delay }) => delays[attempt - 1]!.push(delay),
    },
  })
  const busy = () => Promise.reject(own('BUSY'))
  await Promise.all(
    Array.from({ length: 60 }, () => t.throwsAsync(policies.execute(busy), code('BUSY'))),
  )
  for (const [index, most] of [2, 4, 6].entries()) {
    t.true(delays[index]!.every((delay) => delay >= 0 && delay < most))
    t.true(Math.min(...delays[index]!) < most / 4, 'from the beginning')
    t.true(Math.max(...delays[index]!) > (most * 3) / 4, 'to the end')
  }
})

test('what is not worth a retry is not made again', async (t) => {
  const policies = resilient(quick)
  for (const error of [own('INVALID_ARGUMENT'), own('PEER_GONE', 'unknown'), new Error('no')]) {
    const work = flaky([error])
    t.is(await t.throwsAsync(policies.execute(work)), error)
    t.is(work.calls, 1)
  }
  const idempotent = flaky([own('PEER_GONE', 'unknown')])
  t.is(await policies.execute(idempotent, { idempotent: true }), 2)
  const asked: unknown[] = []
  const when = resilient({
    retry: { base: 1, when: (error, { idempotent }) => asked.push([error, idempotent]) > 0 },
    idempotent: true,
  })
  const no = new Error('no')
  t.is(await when.execute(flaky([no])), 2)
  t.deepEqual(asked, [[no, true]])
})

test('a breaker opens after failures, across attempts and calls; nothing is tried around it', async (t) => {
  const policies = resilient({ retry: { base: 1 }, breaker: { failures: 2, halfOpenAfter: 1e6 } })
  const work = flaky(Array.from({ length: 9 }, () => own('BUSY')))
  await t.throwsAsync(policies.execute(work), code('BUSY'), 'what it was that opened it')
  t.is(work.calls, 2)
  const error = await t.throwsAsync(policies.execute(work), code('CIRCUIT_OPEN'))
  t.is((error as unknown as MillraceError).executed, 'no')
  t.is(work.calls, 2, 'once, and not again')
})

test('an attempt that is the caller’s fault neither opens a breaker nor closes one that tries', async (t) => {
  const policies = resilient({ retry: false, breaker: { failures: 1, halfOpenAfter: 0 } })
  const refused = () => Promise.reject(own('TOO_LARGE'))
  for (let i = 0; i < 3; i++) await t.throwsAsync(policies.execute(refused), code('TOO_LARGE'))
  t.is(await policies.execute(() => 1), 1)
  await t.throwsAsync(
    policies.execute(() => Promise.reject(own('BUSY'))),
    code('BUSY'),
  )
  await t.throwsAsync(policies.execute(refused), code('TOO_LARGE'))
  const isolated = resilient({ retry: false, breaker: { failures: 1, halfOpenAfter: 1e6 } })
  await t.throwsAsync(
    isolated.execute(() => Promise.reject(own('BUSY'))),
    code('BUSY'),
  )
  await t.throwsAsync(isolated.execute(refused), code('CIRCUIT_OPEN'))
})

test('a time-out is of one attempt; it counts, and may have been executed', async (t) => {
  const policies = resilient({ retry: { base: 1 }, timeout: 20 })
  const signals: AbortSignal[] = []
  const stuck = ({ signal }: { signal: AbortSignal }) => {
    signals.push(signal)
    return new Promise<never>(() => undefined)
  }
  const error = await t.throwsAsync(policies.execute(stuck), code('TIMEOUT'))
  t.is((error as unknown as MillraceError).executed, 'unknown')
  t.is(signals.length, 1, 'not made again')
  t.true(signals[0]!.aborted)
  await t.throwsAsync(policies.execute(stuck, { idempotent: true }), code('TIMEOUT'))
  t.is(signals.length, 5)
})

test('a bulkhead refuses what is too much, which says nothing about what is called', async (t) => {
  const policies = resilient({
    retry: false,
    bulkhead: { limit: 1, queue: 1 },
    breaker: { failures: 1, halfOpenAfter: 1e6 },
  })
  let finish = (): void => undefined
  const first = policies.execute(
    () => new Promise<string>((resolve) => (finish = () => resolve('first'))),
  )
  const second = policies.execute(() => 'second')
  const error = await t.throwsAsync(
    policies.execute(() => 'third'),
    code('BUSY'),
  )
  t.is((error as unknown as MillraceError).executed, 'no')
  finish()
  t.deepEqual(await Promise.all([first, second]), ['first', 'second'])
  t.is(await policies.execute(() => 'fourth'), 'fourth')
})

test('a signal ends a call at once, also in a pause, and in what does not listen', async (t) => {
  const policies = resilient({ retry: { base: 1e6, cap: 1e6 }, timeout: false })
  const begun = performance.now()
  const abort = new AbortController()
  const paused = policies.execute(flaky([own('BUSY')]), abort.signal)
  setTimeout(() => {
    abort.abort(new Error('enough'))
  }, 10)
  const error = await t.throwsAsync(paused, code('ABORTED'))
  t.is((error.cause as Error).message, 'enough')
  const other = new AbortController()
  let told: AbortSignal | undefined
  const deaf = policies.execute(
    ({ signal }) => {
      told = signal
      return new Promise<never>(() => undefined)
    },
    { signal: other.signal },
  )
  setTimeout(() => {
    other.abort()
  }, 10)
  await t.throwsAsync(deaf, code('ABORTED'))
  t.true(told!.aborted)
  t.true(performance.now() - begun < 100_000)
  const work = flaky([])
  await t.throwsAsync(policies.execute(work, AbortSignal.abort()), code('ABORTED'))
  t.is(work.calls, 0)
})

test('no attempt is begun that would come after the deadline, and none goes on after it', async (t) => {
  const policies = resilient({ retry: { base: 1e12, cap: 1e12 }, timeout: false })
  const begun = performance.now()
  const work = flaky([own('BUSY'), own('BUSY')])
  await t.throwsAsync(policies.execute(work, { total: 100_000 }), code('BUSY'), 'at once')
  t.is(work.calls, 1)
  let deadline = 0
  const late = policies.execute(
    (context) => {
      ;({ deadline } = context)
      return new Promise<never>(() => undefined)
    },
    { deadline: Date.now() + 30 },
  )
  await t.throwsAsync(late, code('TIMEOUT'))
  t.true(Math.abs(deadline - Date.now()) < 50_000)
  await t.throwsAsync(
    policies.execute(() => new Promise<never>(() => undefined), {
      within: { deadline: new Date(Date.now() + 30), signal: new AbortController().signal },
    }),
    code('TIMEOUT'),
  )
  t.true(performance.now() - begun < 100_000)
})

test('policies of one’s own stand where they are put', async (t) => {
  const mine = {
    retry: retry(handleAll, { maxAttempts: 2 }),
    timeout: timeout(15, TimeoutStrategy.Aggressive),
  }
  const policies = resilient({ ...mine, breaker: false } as unknown as ResilienceOptions)
  const work = flaky([new Error('a'), new Error('b')])
  t.is(await policies.execute(work), 3)
  let calls = 0
  await t.throwsAsync(
    policies.execute(() => {
      calls++
      return new Promise<never>(() => undefined)
    }),
    code('TIMEOUT'),
  )
  t.is(calls, 3)
  t.true('execute' in (mine.retry as IPolicy))
})

test('a shared breaker is one for all policies that have it', async (t) => {
  const name = uniqueName(t)
  t.teardown(() => SharedBreaker.unlink(name))
  using one = SharedBreaker.open(name, { failures: 2, halfOpenAfter: 3_600_000 })
  using other = SharedBreaker.open(name)
  const work = flaky(Array.from({ length: 9 }, () => own('BUSY')))
  await t.throwsAsync(resilient({ retry: { base: 1 }, breaker: one }).execute(work), code('BUSY'))
  t.is(work.calls, 2)
  await t.throwsAsync(resilient({ ...quick, breaker: other }).execute(work), code('CIRCUIT_OPEN'))
  t.is(work.calls, 2)
})

test('a client of a contract is wrapped by what the contract says', async (t) => {
  const name = uniqueName(t)
  let calls: string[] = []
  const calc = contract('calc', {
    add: call<[number, number], number>(),
    twice: call<number, number>({ idempotent: true }),
    count: stream<number, number>(),
  })
  const busyOnce = (what: string) => {
    calls.push(what)
    if (calls.filter((one) => one === what).length === 1) throw own('BUSY')
  }
  using server = await serve(name, calc, {
    add: ([a, b]) => {
      busyOnce('add')
      return a + b
    },
    twice: (n) => {
      busyOnce('twice')
      return n * 2
    },
    async *count(n) {
      for (let i = 0; i < n; i++) yield await Promise.resolve(i)
    },
  })
  using client = await connect(name, calc)
  const wrapped = resilient(quick).wrap(client)
  t.is(wrapped.add, wrapped.add)
  t.deepEqual(Object.keys(wrapped).sort(), Object.keys(client).sort())
  const error = await t.throwsAsync(wrapped.add([1, 2]), code('BUSY'), 'a handler has run')
  t.is((error as unknown as MillraceError).executed, undefined)
  t.deepEqual(calls, ['add'])
  t.is(await wrapped.add([1, 2]), 3)
  calls = []
  t.is(await wrapped.twice(4), 8)
  t.deepEqual(calls, ['twice', 'twice'])
  calls = []
  const any = resilient(quick).wrap(client, { idempotent: ['add'] })
  t.is(await any.add([2, 2]), 4)
  t.deepEqual(calls, ['add', 'add'])
  await t.throwsAsync(wrapped.add([1, 2], { signal: AbortSignal.abort() }), code('ABORTED'))
  await t.throwsAsync(wrapped.add([1, 2], { timeuot: 5 } as object), code('INVALID_ARGUMENT'))
  const seen: number[] = []
  for await (const one of wrapped.count(3)) seen.push(one)
  t.deepEqual(seen, [0, 1, 2])
  t.false(wrapped.closed)
  t.is(wrapped.pending, 0)
  wrapped.close()
  t.true(wrapped.closed)
  t.truthy(server)
})

for (const [what, addressOf] of [
  ['in memory', uniqueName],
  ['over TCP', () => 'tcp://127.0.0.1:0'],
] as const) {
  test(`streams of a wrapped client are handed through, and room for bytes, too: ${what}`, async (t) => {
    const lab = contract(
      'lab',
      {
        ticks: stream<Uint8Array, Uint8Array>(),
        count: upload<Uint8Array, Uint8Array>(),
        same: duplex<Uint8Array, Uint8Array>(),
        back: call<Uint8Array, Uint8Array>({ idempotent: true }),
      },
      { codec: 'bytes' },
    )
    let uploads = 0
    let backs = 0
    const server = await serve(addressOf(t), lab, {
      async *ticks(bytes) {
        for (const byte of bytes) yield await Promise.resolve(Uint8Array.of(byte))
      },
      async count(items) {
        let all = 0
        for await (const [one] of items) all += one!
        if (uploads++ === 0) throw own('BUSY')
        return Uint8Array.of(all)
      },
      async *same(items) {
        yield* items
      },
      back(bytes) {
        if (backs++ === 0) throw own('BUSY')
        return bytes.toReversed()
      },
    })
    using client = await connect(server.name, lab, { waitForServer: 15_000 })
    const safe = resilient(quick).wrap(client)
    const ticks: number[] = []
    for await (const [one] of safe.ticks(Uint8Array.of(1, 2))) ticks.push(one!)
    t.deepEqual(ticks, [1, 2])
    const items = function* () {
      yield Uint8Array.of(3)
      yield Uint8Array.of(4)
    }
    await t.throwsAsync(safe.count(items()), code('BUSY'), 'items cannot be given again')
    t.is(uploads, 1)
    t.deepEqual([...(await safe.count(items()))], [7])
    const same: number[] = []
    for await (const [one] of safe.same(items())) same.push(one!)
    t.deepEqual(same, [3, 4])
    using result = await safe.back(Uint8Array.of(1, 2), { inPlace: true })
    t.deepEqual([...result.bytes], [2, 1])
    t.is(backs, 2, 'made again')
    using loan = await safe.back.loan(2)
    loan.bytes.set([5, 6])
    t.deepEqual([...(await loan.call())], [6, 5])
    await server[Symbol.asyncDispose]()
  })
}

test('what a handler threw is made again only if that does no harm, whatever its code', async (t) => {
  let runs = 0
  const fails = contract('fails', {
    once: call<string>(),
    again: call<string>({ idempotent: true }),
  })
  const fail = (its: string): never => {
    runs++
    throw system(its)
  }
  using server = await serve(uniqueName(t), fails, { once: fail, again: fail })
  using client = await connect(server.name, fails)
  const safe = resilient({ ...quick, breaker: false }).wrap(client)
  for (const its of ['ECONNREFUSED', 'EAGAIN', 'EINTR']) {
    runs = 0
    const error: unknown = await t.throwsAsync(safe.once(its), { code: its })
    t.is(runs, 1, its)
    t.false(worthRetrying(error))
    t.false(worthRetrying(new Error('within', { cause: error })), 'nor what it is the cause of')
    runs = 0
    await t.throwsAsync(safe.again(its), { code: its })
    t.is(runs, 4, its)
  }
})

test('an answer of a handler, also a bad one, opens no breaker', async (t) => {
  const name = uniqueName(t)
  const calc = contract('calc', { sqrt: call<number, number>() })
  using server = await serve(name, calc, {
    sqrt: (n) => {
      throw new RangeError(`${n} has none`)
    },
  })
  using client = await connect(name, calc)
  const wrapped = resilient({ ...quick, breaker: { failures: 1 } }).wrap(client)
  for (let i = 0; i < 3; i++) {
    await t.throwsAsync(wrapped.sqrt(-1), { instanceOf: RangeError, message: '-1 has none' })
  }
  t.truthy(server)
})

test('of any other object the functions it has itself are wrapped, or those that are named', async (t) => {
  class Store {
    #reads = 0
    get reads() {
      return this.#reads
    }
    read(options?: { signal?: AbortSignal }): Promise<AbortSignal | undefined> {
      if (this.#reads++ === 0) return Promise.reject(own('BUSY'))
      return Promise.resolve(options?.signal)
    }
    size() {
      return this.#reads
    }
  }
  const store = new Store()
  const wrapped = resilient(quick).wrap(store, { methods: ['read'] })
  const { signal } = new AbortController()
  const given = await wrapped.read({ signal })
  t.true(given instanceof AbortSignal)
  t.not(given, signal, 'that of the attempt')
  t.is(wrapped.size(), 2)
  t.is(wrapped.reads, 2)
  t.true(wrapped instanceof Store)
  const busy = flaky([own('BUSY')])
  const plain = { get: () => Promise.resolve(busy()), version: 5 }
  t.is(await resilient(quick).wrap(plain).get(), 2)
  t.is(resilient().wrap(plain).version, 5)
  t.throws(() => resilient().wrap(plain, { methods: ['gte'] }), {
    ...code('INVALID_ARGUMENT'),
    message: /no function "gte"/,
  })
  t.throws(() => resilient().wrap(5 as never), code('INVALID_ARGUMENT'))
})

test('what is given is judged before anything is called', async (t) => {
  const refused: [ResilienceOptions, RegExp][] = [
    [{ retry: { attempts: -1 } }, /attempts must be/],
    [{ retry: { base: -1 } }, /base must be/],
    [{ retry: { atempts: 1 } as never }, /no option 'atempts'/],
    [{ retry: true as never }, /options must be an object/],
    [{ retry: null as never }, /retry must be options, false or a policy/],
    [{ breaker: { failures: 0 } }, /failures must be/],
    [{ breaker: { counts: 5 as never } }, /counts must be a function/],
    [{ timeout: -1 }, /timeout must be/],
    [{ bulkhead: 0 }, /limit must be/],
    [{ bulkhead: {} as never }, /must have a limit/],
    [{ idempotent: 'yes' as never }, /idempotent must be/],
    [{ total: NaN }, /total must be/],
    [{ rerty: {} } as never, /no option 'rerty'/],
  ]
  for (const [options, message] of refused) {
    t.throws(() => resilient(options), { ...code('INVALID_ARGUMENT'), message })
  }
  const policies = resilient()
  const work = flaky([])
  for (const limits of [{ total: -1 }, { deadline: 'now' }, { within: 5 }, { singal: 1 }, 5]) {
    await t.throwsAsync(policies.execute(work, limits as never), code('INVALID_ARGUMENT'))
  }
  await t.throwsAsync(policies.execute(5 as never), code('INVALID_ARGUMENT'))
  t.is(work.calls, 0)
})

test('without cockatiel: what needs it says how to install it, and nothing else needs it', (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  for (const part of ['dist', 'build/Release/millrace.node', 'package.json']) {
    mkdirSync(join(directory, part, '..'), { recursive: true })
    cpSync(join(root, part), join(directory, part), { recursive: true })
  }
  const program = `
    import { resilient } from './dist/resilience.js'
    const found = [await resilient({ retry: false, breaker: false, timeout: false }).execute(() => 5)]
    const policies = resilient()
    for (const _ of [1, 2]) {
      await policies.execute(() => 'never').catch(({ code, message, cause }) => {
        found.push([code, message, cause.code])
      })
    }
    console.log(JSON.stringify(found))`
  const args = ['--input-type=module', '-e', program]
  const printed = execFileSync(process.execPath, args, { cwd: directory, encoding: 'utf8' })
  const error = [
    'ERR_MILLRACE_MISSING_PEER',
    'policies of millrace/resilience need the package cockatiel, which could not be loaded: npm install cockatiel',
    'ERR_MODULE_NOT_FOUND',
  ]
  t.deepEqual(JSON.parse(printed), [5, error, error])
})
