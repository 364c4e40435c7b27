// Calls by an address: what takes two processes, or names. What calls promise the suite asks for (lib/conformance/patterns/calls.ts).

import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { setResolve } from 'millrace/net'
import { call, connect, contract, serve } from 'millrace/rpc'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 15_000

const calc = contract('calc', {
  add: call<readonly [number, number], number>(),
  wait: call<number, string>(),
})

const handlers = {
  add: ([a, b]: readonly [number, number]) => a + b,
  wait: (ms: number) => new Promise<string>((resolve) => setTimeout(resolve, ms, 'waited')),
}

async function served(t: ExecutionContext, address = 'tcp://127.0.0.1:0') {
  const server = await serve(address, calc, handlers)
  t.teardown(async () => {
    server.close()
    await server[Symbol.asyncDispose]()
  })
  return { server }
}

const socket = (t: ExecutionContext): string =>
  `unix://${join(tmpdir(), `millrace-${uniqueName(t)}.sock`)}`

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
    const server = await serve(name, calc, handlers)
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
