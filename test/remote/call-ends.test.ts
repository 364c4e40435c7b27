// How calls by an address end that get no answer: whether they may have been executed, what is said of it, and how soon they are answered
// again.

import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { call, connect, contract, serve, stream, upload, type ServeOptions } from 'millrace/rpc'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { Proxy } from './proxy.js'

const patience = 15_000

const calc = contract('calc', {
  add: call<readonly [number, number], number>(),
  hold: call(),
  again: call<string>({ idempotent: true }),
  ticks: stream<number, number>(),
  sum: upload<number, number>(),
})

async function served(t: ExecutionContext, address = 'tcp://127.0.0.1:0', options?: ServeOptions) {
  const seen: string[] = []
  const held: (() => void)[] = []
  const hold = async (): Promise<void> => {
    await new Promise<void>((go) => held.push(go))
  }
  const letGo = (): void => {
    for (const go of held.splice(0)) go()
  }
  const server = await serve(
    address,
    calc,
    {
      add: ([a, b]) => a + b,
      hold,
      again: async (id) => {
        seen.push(id)
        await hold()
      },
      async *ticks(count) {
        for (let i = 0; i < count; i++) yield await Promise.resolve(i)
      },
      async sum(items) {
        let all = 0
        for await (const item of items) all += item
        return all
      },
    },
    options,
  )
  t.teardown(async () => {
    letGo()
    await server[Symbol.asyncDispose]()
  })
  return { server, seen, letGo }
}

const socket = (t: ExecutionContext): string =>
  `unix://${join(tmpdir(), `millrace-${uniqueName(t)}.sock`)}`

const quick = { reconnect: { base: 5, cap: 20 } }

async function client(t: ExecutionContext, address: string, options?: object) {
  const made = await connect(address, calc, { connection: quick, ...options })
  t.teardown(() => {
    made.close()
  })
  return made
}

/** What is said of a call that ends so. */
async function ends(
  t: ExecutionContext,
  calling: Promise<unknown>,
  code: string,
  executed: 'no' | 'unknown',
): Promise<string> {
  const error = await t.throwsAsync<MillraceError>(within(patience, calling), {
    code: `ERR_MILLRACE_${code}`,
  })
  t.is(error.executed, executed, error.message)
  return error.message
}

test('what was not sent was not executed, whatever ended it; who gives it a time waits as long', async (t) => {
  const path = socket(t)
  const alone = await client(t, path)
  t.is(
    await ends(t, alone.add([1, 1]), 'NO_RESPONDER', 'no'),
    `add() at '${path}': nobody serves there; start a server; to wait for one, give the call a timeout, or connect with waitForServer`,
  )
  t.is(
    await ends(t, connect(path, calc, { waitForServer: 30 }), 'NO_RESPONDER', 'no'),
    `connect() at '${path}': nobody has served there within 30 ms; start a server, or allow more time`,
  )
  t.is(
    await ends(t, alone.add([1, 1], { timeout: 30 }), 'TIMEOUT', 'no'),
    `add() at '${path}' was not answered within 30 ms: nobody serves there; start a server, or allow more time`,
  )
  const byThen = alone.sum([1], { deadline: Date.now() + 30 })
  t.regex(await ends(t, byThen, 'TIMEOUT', 'no'), /within \d+ ms:/)
  await ends(t, alone.ticks(1, { timeout: 30 }).next(), 'TIMEOUT', 'no')
  for (const where of ['signal', 'within']) {
    const control = new AbortController()
    const options = where === 'signal' ? { signal: control.signal } : { within: control }
    const waiting = ends(t, alone.add([1, 1], { ...options, timeout: patience }), 'ABORTED', 'no')
    await until(() => alone.pending > 0)
    control.abort()
    t.is(await waiting, `add() at '${path}' was aborted`)
    await ends(t, alone.add([1, 1], options), 'ABORTED', 'no')
  }
  const waiting = alone.add([1, 2], { timeout: patience })
  const ticks = alone.ticks(1, { timeout: patience }).next()
  await until(() => alone.pending === 1)
  await served(t, path)
  t.deepEqual([await waiting, (await ticks).value], [3, 0])
  alone.close()
  const closed = await ends(t, alone.add([1, 1]), 'CLOSED', 'no')
  t.true(closed.startsWith(`add() at '${path}': `), closed)
})

test.serial('a call has the connection tried at once, however long that was to wait', async (t) => {
  const path = socket(t)
  const { random } = Math
  t.teardown(() => {
    Math.random = random
  })
  Math.random = () => 0 // it tries again and again, until it is to wait for minutes
  const base = 50
  const far = await client(t, path, { connection: { reconnect: { base, cap: 600_000 } } })
  await until(() => far.connection!.attempts > 20)
  let delay = 0
  far.connection!.on('waiting', (ms) => (delay = ms))
  Math.random = () => 0.9
  await until(() => delay > 100_000)
  await new Promise((resolve) => setTimeout(resolve, base))
  const { attempts } = far.connection!
  const calls = Array.from({ length: 100 }, () => far.add([1, 1]))
  t.is(far.connection!.attempts, attempts + 1, 'one attempt for all of them')
  for (const one of calls) await ends(t, one, 'NO_RESPONDER', 'no')
  t.true(delay < base, 'and the waits begin anew')
  await served(t, path)
  t.is(await far.add([1, 1], { timeout: patience }), 2)
})

test('an idempotent call whose server died in its handler may have been executed, whoever serves then', async (t) => {
  const { server, seen } = await served(t)
  const proxy = new Proxy(server.address)
  const far = await client(t, await proxy.listen(t))
  const lost = far.again('x')
  const late = far.again('y', { timeout: 1000 })
  const control = new AbortController()
  const aborted = far.again('z', { signal: control.signal, timeout: patience })
  await until(() => seen.length === 3)
  proxy.refuses = true
  proxy.cut()
  t.regex(
    await ends(t, lost, 'PEER_GONE', 'unknown'),
    /^again\(\) at 'tcp:.*nobody serves there now.*call again/,
  )
  control.abort()
  await ends(t, aborted, 'ABORTED', 'unknown')
  await ends(t, late, 'TIMEOUT', 'unknown')
})

test('what was on its way when the connection broke is named, with what to do', async (t) => {
  const { server } = await served(t)
  const proxy = new Proxy(server.address)
  const address = await proxy.listen(t)
  const far = await client(t, address)
  const held = far.hold()
  const ticks = far.ticks(1_000_000)
  await ticks.next()
  await until(() => server.atWork === 2)
  proxy.cut()
  t.regex(
    await ends(t, held, 'PEER_GONE', 'unknown'),
    /^hold\(\) at 'tcp:.*': the connection [^;]*; what has been done of it is not known: see what came of it before it is called again; /,
  )
  const all = async (): Promise<void> => {
    for await (const _tick of ticks);
  }
  t.regex(
    await ends(t, all(), 'PEER_GONE', 'unknown'),
    /^ticks\(\) at 'tcp:.*': the connection [^;]*; what has been done of it is not known: see what came of it, and call it again$/,
  )
})

test('a time is told as it was given', async (t) => {
  const { server } = await served(t)
  const far = await client(t, server.address)
  const late = await ends(t, far.hold(undefined, { timeout: 20 }), 'TIMEOUT', 'unknown')
  t.true(late.startsWith(`hold() at '${server.address}' had not ended within 20 ms: `), late)
})

test('what a server turns away was not executed', async (t) => {
  const { server, letGo } = await served(t, 'tcp://127.0.0.1:0', {
    concurrency: 1,
    drainOnClose: 60_000,
  })
  const ends = new Map<string, number>()
  const holds: Promise<void>[] = []
  const count = (end: string): void => void ends.set(end, (ends.get(end) ?? 0) + 1)
  for (let i = 0; i < 2; i++) {
    const far = await client(t, server.address)
    for (let j = 0; j < 513; j++) {
      const hold = far.hold().then(
        () => {
          count('held')
        },
        (error: unknown) => {
          const { code, executed } = error as MillraceError
          count(`${code} ${String(executed)}`)
        },
      )
      holds.push(hold)
    }
  }
  await until(() => ends.has('ERR_MILLRACE_BUSY no'))
  const closed = server[Symbol.asyncDispose]()
  await until(() => ends.has('ERR_MILLRACE_NO_RESPONDER no'))
  letGo()
  await closed
  await Promise.all(holds)
  t.deepEqual([...ends].sort(), [
    ['ERR_MILLRACE_BUSY no', 1],
    ['ERR_MILLRACE_NO_RESPONDER no', 1024],
    ['held', 1],
  ])
})

test('who comes to something else is told what is there, by words of the guide', async (t) => {
  const { server } = await served(t)
  const refused = async (address: string, other: Parameters<typeof connect>[1]) =>
    (await t.throwsAsync(connect(address, other), { code: 'ERR_MILLRACE_SCHEMA' })).message
  t.regex(
    await refused(server.address, contract('other', { add: call<number, number>() })),
    /the contract 'calc' is served, and the client has the contract 'other': give both sides the same contract/,
  )
  t.regex(
    await refused(server.address, contract('calc', { add: call<number, number>() })),
    /the contract 'calc' is served, and the client has another version of it: give both sides the same contract/,
  )
  const queue = WorkQueue.open(uniqueName(t))
  const share = await queue.share('tcp://127.0.0.1:0')
  t.regex(
    await refused(share.address, calc),
    /there is a work queue, and a contract of calls was asked for: see that the address is right/,
  )
  await share.close()
  queue.close()
})

test('a server says where it is, as clients take it', async (t) => {
  const { server } = await served(t)
  t.regex(server.address, /^tcp:\/\/127\.0\.0\.1:[1-9]\d*$/)
  const name = uniqueName(t)
  const { server: here } = await served(t, name)
  t.is(here.address, `shm://${name}`)
  for (const { address } of [server, here]) {
    const one = await connect(address, calc)
    t.is(await one.add([1, 1]), 2)
    one.close()
  }
})
