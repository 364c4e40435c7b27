// `millrace call`, as somebody types it: at an address that says what it serves, and on shared memory with the contract in a module.

import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { listen } from 'millrace/net'
import {
  call,
  contract,
  contractAt,
  duplex,
  serve,
  stream,
  structCodec,
  upload,
  connect,
} from 'millrace/rpc'
import { struct, f64 } from 'millrace/struct'
import { Topics } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { command, start } from './run.js'

const Reading = struct({ at: f64, value: f64 })

const calc = contract('calc', {
  add: call<readonly [number, number], number>({ idempotent: true }),
  fail: call<string>(),
  nothing: call(),
  ticks: stream<number, { readonly at: number }>(),
  sum: upload<number, number>(),
  double: duplex<number, number>(),
  latest: call(undefined, Reading),
})

const handlers = {
  add: ([a, b]: readonly [number, number]) => a + b,
  fail: (message: string) => {
    throw Object.assign(new RangeError(message), { code: 'E_TEST' })
  },
  nothing: () => undefined,
  *ticks(count: number) {
    for (let at = 0; at < count; at++) yield { at }
  },
  async sum(items: AsyncIterable<number>) {
    let sum = 0
    for await (const item of items) sum += item
    return sum
  },
  async *double(items: AsyncIterable<number>) {
    for await (const item of items) yield item * 2
  },
  latest: () => ({ at: 1, value: 2 }),
}

async function served(t: ExecutionContext, address = 'tcp://127.0.0.1:0'): Promise<string> {
  const server = await serve(address, calc, handlers)
  t.teardown(() => server[Symbol.asyncDispose]())
  return server.name
}

async function millrace(args: readonly string[], input?: string) {
  const { code, out, err } = await start(
    command,
    ['call', ...args],
    input === undefined ? undefined : Buffer.from(input),
  ).ended
  return { code, out: out.toString(), err }
}

test('a reader that goes away ends a stream of answers as it ends any other command', async (t) => {
  const address = await served(t)
  const { child, ended } = start(command, ['call', address, 'ticks', '1000000000'])
  child.stdout?.once('data', () => child.stdout?.destroy())
  const { code, err } = await ended
  t.is(code, 141)
  t.is(err, '')
})

test('functions of each kind, at an address that says what they are', async (t) => {
  const address = await served(t)
  const sum = await millrace([address, 'add', '[1, 2]'])
  t.deepEqual([sum.code, sum.out], [0, '3\n'], sum.err)
  t.is((await millrace([address, 'nothing'])).out, '')
  t.is((await millrace([address, 'ticks', '2'])).out, '{"at":0}\n{"at":1}\n')
  t.is((await millrace([address, 'sum'], '1\n2\n\n3\n')).out, '6\n')
  t.is((await millrace([address, 'double'], '1\n2\n')).out, '2\n4\n')
})

test('a contract in a file that Node does not load as it is: what to do is said', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'millrace-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'contract.coffee')
  await writeFile(file, '')
  const { code, err } = await millrace(['calc', 'add', '[1, 2]', '--contract', file])
  t.is(code, 2)
  t.regex(err, /cannot be loaded: .*NODE_OPTIONS='--import tsx'/)
})

test('what there is', async (t) => {
  const { code, out } = await millrace([await served(t)])
  t.is(code, 0)
  t.regex(out, /^calc, by json\n/)
  t.regex(out, /^ {2}add {6}call, idempotent$/m)
  t.regex(out, /^ {2}double {3}duplex$/m)
})

test('what goes wrong is said, with the right exit code', async (t) => {
  const address = await served(t)
  for (const [args, code, said] of [
    [[], 2, /call wants an address/],
    [[address, 'multiply', '[1, 2]'], 2, /'calc' has no 'multiply'; it has add, double/],
    [[address, 'add', '[1,'], 2, /'\[1,' is no JSON/],
    [[address, 'add', '1', '2'], 2, /unexpected argument '2'/],
    [[address, 'fail', '"no such thing"'], 1, /no such thing \(E_TEST\)/],
    [[address, 'latest'], 1, /cannot be called without its contract/],
    [['tcp://127.0.0.1:1', 'add', '[1, 2]'], 1, /ERR_MILLRACE_UNREACHABLE/],
    [['calc', 'add', '[1, 2]'], 2, /--contract FILE/],
    [[address, '--contract', '/no/such/file.js', 'add'], 2, /cannot be loaded/],
  ] as const) {
    const done = await millrace(args)
    t.is(done.code, code, `${args.join(' ')}: ${done.err}`)
    t.regex(done.err, said)
  }
})

test('shared memory, with the contract of a module', async (t) => {
  const name = uniqueName(t)
  await served(t, name)
  const folder = await mkdtemp(join(tmpdir(), 'millrace-call-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const file = join(folder, 'contracts.mjs')
  const url = (path: string) => JSON.stringify(import.meta.resolve(path))
  await writeFile(
    file,
    `import { call, contract, duplex, stream, upload } from ${url('millrace/rpc')}
import { f64, struct } from ${url('millrace/struct')}
const methods = { add: call({ idempotent: true }), fail: call(), nothing: call(), ticks: stream(), sum: upload(),
  double: duplex(), latest: call(undefined, struct({ at: f64, value: f64 })) }
export const calc = contract('calc', methods)
export const other = contract('other', methods)
`,
  )
  const sum = await millrace([name, 'add', '[1, 2]', '--contract', `${file}#calc`])
  t.deepEqual([sum.code, sum.out], [0, '3\n'], sum.err)
  const latest = await millrace([name, 'latest', '--contract', `${file}#calc`])
  t.is(latest.out, '{"at":1,"value":2}\n', latest.err)
  const vague = await millrace([name, 'add', '[1, 2]', '--contract', file])
  t.is(vague.code, 2)
  t.regex(vague.err, /several contracts: .* of calc, other/)
  const other = await millrace([name, 'add', '[1, 2]', '--contract', `${file}#other`])
  t.is(other.code, 1)
  t.regex(other.err, /ERR_MILLRACE_SCHEMA/)
})

test('a server that appears later is waited for', async (t) => {
  const path = join(tmpdir(), `${uniqueName(t)}.sock`)
  const asked = start(command, ['call', `unix://${path}`, 'add', '[2, 3]', '--wait', '30000'])
  await new Promise((resolve) => setTimeout(resolve, 300))
  await served(t, `unix://${path}`)
  const { code, out, err } = await asked.ended
  t.deepEqual([code, out.toString()], [0, '5\n'], err)
})

test('a program asks, too: what it gets can be called', async (t) => {
  const address = await served(t)
  const found = await contractAt(address)
  t.is(found.fingerprint, calc.fingerprint)
  t.deepEqual(Object.keys(found.methods).sort(), Object.keys(calc.methods).sort())
  using client = await connect(address, found)
  const { add } = client as unknown as {
    readonly add: (pair: readonly number[]) => Promise<number>
  }
  t.is(await add([4, 5]), 9)
})

test('what is no server of calls is told apart', async (t) => {
  await t.throwsAsync(contractAt(uniqueName(t)), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  const bus = Topics.open(uniqueName(t))
  t.teardown(() => {
    bus.close()
  })
  const share = await bus.share('tcp://127.0.0.1:0')
  t.teardown(() => share.close())
  await t.throwsAsync(contractAt(share.address), { code: 'ERR_MILLRACE_SCHEMA' })

  // Somebody who accepts, and says something else.
  const listener = await listen('tcp://127.0.0.1:0')
  t.teardown(() => listener.close())
  const answers = ['', '[]', '{"description":{}}', '{"description":{"name":"a","codec":"json"}}']
  const broken = { name: 'a', kind: 'pull', idempotent: true, input: 'json', output: 'json' }
  const description = { name: 'a', codec: 'json', fingerprint: '1', methods: [broken] }
  answers.push(JSON.stringify({ description }))
  answers.push(JSON.stringify({ description: { ...description, methods: [] } }))
  answers.push(JSON.stringify({ description: { ...description, fingerprint: '-1' } }))
  for (const answer of answers) {
    const asked = contractAt(listener.address)
    const channel = await listener.accept()
    await channel!.receive()
    await channel!.send(answer)
    const error = await t.throwsAsync<MillraceError>(asked, undefined, answer)
    t.is(error.code, 'ERR_MILLRACE_PROTOCOL', answer)
    channel!.destroy()
  }
  // And one who says nothing.
  const asked = contractAt(listener.address, { timeout: 200 })
  const silent = await listener.accept()
  await t.throwsAsync(asked, { code: 'ERR_MILLRACE_TIMEOUT' })
  silent!.destroy()
})

test('a codec of the contract’s own is named, and called by nobody who has not got it', async (t) => {
  const text = { ...structCodec(Reading), name: 'own' }
  const own = contract('own', { get: call<undefined, unknown>() }, { codec: text as never })
  const server = await serve('tcp://127.0.0.1:0', own, { get: () => ({ at: 1, value: 2 }) })
  t.teardown(() => server[Symbol.asyncDispose]())
  const found = await contractAt(server.name)
  t.is(found.codec, 'own')
  using client = await connect(server.name, found)
  const { get } = client as unknown as { readonly get: () => Promise<unknown> }
  await t.throwsAsync(async () => get(), { code: 'ERR_MILLRACE_UNSUPPORTED', message: /'own'/ })
})
