// Calls by an address: each kind of function, how each ends when the connection, the server or the client does, and what is said of it.

import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { setResolve } from 'millrace/net'
import {
  call,
  connect,
  contract,
  duplex,
  serve,
  stream,
  upload,
  type ServeOptions,
} from 'millrace/rpc'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { Proxy } from './proxy.js'

const patience = 15_000

const calc = contract('calc', {
  add: call<readonly [number, number], number>(),
  fail: call<string>(),
  wait: call<number, string>(),
  again: call<string, number>({ idempotent: true }),
  ticks: stream<number, number>(),
  sum: upload<number, number>(),
  double: duplex<number, number>(),
})

function handlers() {
  const seen: string[] = []
  const aborted: unknown[] = []
  return {
    seen,
    aborted,
    of: {
      add: ([a, b]: readonly [number, number]) => a + b,
      fail: (message: string) => {
        throw Object.assign(new RangeError(message), { code: 'E_TEST', data: { at: 7 } })
      },
      wait: async (ms: number, { signal }: { readonly signal: AbortSignal }) => {
        await new Promise<void>((resolve, reject) => {
          const timer = setTimeout(resolve, ms)
          signal.addEventListener('abort', () => {
            clearTimeout(timer)
            aborted.push(signal.reason)
            reject(signal.reason as Error)
          })
        })
        return 'waited'
      },
      again: async (id: string, { signal }: { readonly signal: AbortSignal }) => {
        seen.push(id)
        // The first one does not come to an end.
        if (seen.length === 1)
          await new Promise((resolve) => signal.addEventListener('abort', resolve))
        return seen.length
      },
      async *ticks(count: number) {
        for (let i = 0; i < count; i++) yield await Promise.resolve(i)
      },
      async sum(items: AsyncIterable<number>) {
        let all = 0
        for await (const item of items) all += item
        return all
      },
      async *double(items: AsyncIterable<number>) {
        for await (const item of items) yield item * 2
      },
    },
  }
}

async function served(t: ExecutionContext, address = 'tcp://127.0.0.1:0', options?: ServeOptions) {
  const own = handlers()
  const server = await serve(address, calc, own.of, options)
  t.teardown(async () => {
    server.close()
    await server[Symbol.asyncDispose]()
  })
  return { server, ...own }
}

const socket = (t: ExecutionContext): string =>
  `unix://${join(tmpdir(), `millrace-${uniqueName(t)}.sock`)}`

for (const [what, at] of [
  ['a Unix socket', socket],
  ['TCP', () => 'tcp://127.0.0.1:0'],
] as const) {
  test(`every kind of function over ${what}`, async (t) => {
    const { server } = await served(t, at(t))
    const client = await connect(server.name, calc)
    t.teardown(() => {
      client.close()
    })
    t.is(await client.add([2, 3]), 5)
    const error = (await t.throwsAsync(client.fail('no'), {
      instanceOf: RangeError,
      message: 'no',
    })) as RangeError & { readonly code: string; readonly data: unknown }
    t.deepEqual([error.code, error.data], ['E_TEST', { at: 7 }])
    const ticks: number[] = []
    for await (const tick of client.ticks(100)) ticks.push(tick)
    t.is(ticks.length, 100)
    t.is(await client.sum([1, 2, 3]), 6)
    const doubled: number[] = []
    for await (const one of client.double([1, 2, 3])) doubled.push(one)
    t.deepEqual(doubled, [2, 4, 6])
    const many = await Promise.all(Array.from({ length: 500 }, (_, i) => client.add([i, 1])))
    t.deepEqual(
      many,
      Array.from({ length: 500 }, (_, i) => i + 1),
    )
  })
}

test('time-outs and signals end the call, and abort the signal of its handler', async (t) => {
  const { server, aborted } = await served(t)
  const client = await connect(server.name, calc)
  t.teardown(() => {
    client.close()
  })
  await t.throwsAsync(client.wait(60_000, { timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await until(() => aborted.length === 1)
  const control = new AbortController()
  const waiting = client.wait(60_000, { signal: control.signal })
  await until(() => server.atWork === 1)
  control.abort()
  await t.throwsAsync(waiting, { code: 'ERR_MILLRACE_ABORTED' })
  await until(() => aborted.length === 2)
})

test('nobody serves: said at once, or waited for', async (t) => {
  const path = socket(t)
  const client = await connect(path, calc, { connection: { reconnect: { base: 5, cap: 20 } } })
  t.teardown(() => {
    client.close()
  })
  const error = await t.throwsAsync<MillraceError>(within(patience, client.add([1, 1])), {
    code: 'ERR_MILLRACE_NO_RESPONDER',
  })
  t.is(error.executed, 'no')
  const waiting = connect(path, calc, {
    waitForServer: patience,
    connection: { reconnect: { base: 5, cap: 20 } },
  })
  await served(t, path)
  const patient = await within(patience, waiting)
  t.teardown(() => {
    patient.close()
  })
  t.is(await patient.add([1, 1]), 2)
  await until(() => client.served)
  t.is(await client.add([1, 2]), 3)
})

test('another contract is refused, and so is something that is no server', async (t) => {
  const { server } = await served(t)
  const other = contract('other', { add: call<number, number>() })
  await t.throwsAsync(connect(server.name, other), {
    code: 'ERR_MILLRACE_SCHEMA',
    message: /contract/,
  })
})

test('more calls than may be at work wait their turn', async (t) => {
  const { server } = await served(t, 'tcp://127.0.0.1:0', { concurrency: 2 })
  const client = await connect(server.name, calc)
  t.teardown(() => {
    client.close()
  })
  const calls = Array.from({ length: 6 }, () => client.wait(30))
  await until(() => server.atWork === 2)
  t.deepEqual(
    await Promise.all(calls),
    Array.from({ length: 6 }, () => 'waited'),
  )
})

test('closing lets what is at work finish, and takes nothing more', async (t) => {
  const { server } = await served(t)
  const client = await connect(server.name, calc)
  t.teardown(() => {
    client.close()
  })
  const last = client.wait(100)
  await until(() => server.atWork === 1)
  const closed = server[Symbol.asyncDispose]()
  await t.throwsAsync(client.add([1, 1]), { code: 'ERR_MILLRACE_NO_RESPONDER' })
  t.is(await last, 'waited')
  await within(patience, closed)
})

test('a cut way: what may be repeated is, of the rest it is said that it may have been executed', async (t) => {
  const { server, seen } = await served(t)
  const proxy = new Proxy(server.name)
  const client = await connect(await proxy.listen(t), calc, {
    waitForServer: patience,
    connection: { reconnect: { base: 5, cap: 20 } },
  })
  t.teardown(() => {
    client.close()
  })
  const repeated = client.again('x')
  const once_ = client.wait(60_000)
  const items = client.ticks(1_000_000)
  await items.next()
  await until(() => seen.length === 1 && server.atWork >= 2)
  proxy.cut()
  const error = await t.throwsAsync<MillraceError>(within(patience, once_), {
    code: 'ERR_MILLRACE_PEER_GONE',
  })
  t.is(error.executed, 'unknown')
  t.is(await within(patience, repeated), 2)
  await t.throwsAsync(
    within(
      patience,
      (async () => {
        for await (const _tick of items);
      })(),
    ),
    { code: 'ERR_MILLRACE_PEER_GONE' },
  )
  t.is(await within(patience, client.add([1, 2])), 3)
})

test('a server that is killed: its callers hear of it within 100 ms', async (t) => {
  const path = socket(t)
  const child = fork(new URL('./fixtures/serving.js', import.meta.url), [path], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  await once(child, 'message')
  const client = await connect(path, calc)
  t.teardown(() => {
    client.close()
  })
  const calls = Array.from({ length: 10 }, () => client.wait(60_000))
  t.is(await client.add([1, 1]), 2)
  const began = performance.now()
  child.kill('SIGKILL')
  for (const waiting of calls) {
    const error = await t.throwsAsync<MillraceError>(within(patience, waiting), {
      code: 'ERR_MILLRACE_PEER_GONE',
    })
    t.is(error.executed, 'unknown')
  }
  t.log(`${(performance.now() - began).toFixed(1)} ms`)
})

test.serial('the same name is this memory, or elsewhere, without a line changed', async (t) => {
  const name = uniqueName(t)
  const program = async (): Promise<number> => {
    const server = await serve(name, calc, handlers().of)
    const client = await connect(name, calc)
    const sum = await client.add([20, 22])
    client.close()
    await server[Symbol.asyncDispose]()
    return sum
  }
  t.is(await program(), 42)
  setResolve({ [name]: socket(t) })
  try {
    t.is(await program(), 42)
  } finally {
    setResolve(undefined)
  }
})

test('who waits for a server that is not there yet keeps its process alive, with nothing else in it', async (t) => {
  const path = join(tmpdir(), `${uniqueName(t)}.sock`)
  const program = `
    import { call, connect, contract } from ${JSON.stringify(import.meta.resolve('millrace/rpc'))}
    const echo = contract('echo', { echo: call() })
    console.log('begun')
    const client = await connect('unix://${path}', echo, { waitForServer: 60_000 })
    console.log(await client.echo('there'))
    client.close()`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const ended = once(child, 'exit')
  await until(() => said.includes('begun'))
  await new Promise((resolve) => setTimeout(resolve, 500))
  const echo = contract('echo', { echo: call<unknown, unknown>() })
  const server = await serve(`unix://${path}`, echo, { echo: (value) => value })
  t.teardown(() => server[Symbol.asyncDispose]())
  t.deepEqual(await within(60_000, ended), [0, null])
  t.is(said, 'begun\nthere\n')
})
