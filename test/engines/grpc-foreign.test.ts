// Peers of gRPC that nobody here wrote: Python's grpcio, and the library as a program without this package uses it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { call, connect, contract, contractAt, duplex, serve, stream, upload } from 'millrace/rpc'

import { until, within } from '../support/until.js'

const calc = contract('calc', {
  add: call<readonly [number, number], number>(),
  fail: call<string>(),
  wait: call<string>(),
  count: stream<number, number>(),
  sum: upload<number, number>(),
  double: duplex<number, number>(),
})

interface Serves {
  readonly target: string
  readonly address: string
  readonly aborted: () => boolean
  readonly leave: () => Promise<void>
  answer: (() => void) | undefined
}

async function served(t: ExecutionContext): Promise<Serves> {
  let aborted = false
  const server = await serve('grpc://127.0.0.1:0/calc', calc, {
    add: ([a, b]) => a + b,
    fail: (text) => {
      throw Object.assign(new RangeError(text), {
        code: 'E_MINE',
        data: { text: 'x'.repeat(7000) },
      })
    },
    wait: (_text, { signal }) =>
      new Promise((resolve) => {
        serves.answer = resolve
        signal.addEventListener('abort', () => (aborted = true))
      }),
    async *count(n) {
      for (let i = 0; i < n; i++) yield await Promise.resolve(i)
    },
    async sum(items) {
      let sum = 0
      for await (const item of items) sum += item
      return sum
    },
    async *double(items) {
      for await (const item of items) yield item * 2
    },
  })
  const leave = (): Promise<void> => server[Symbol.asyncDispose]()
  t.teardown(async () => {
    serves.answer?.()
    await leave()
  })
  const serves: Serves = {
    address: server.name,
    target: /127\.0\.0\.1:\d+/.exec(server.name)![0],
    aborted: () => aborted,
    leave,
    answer: undefined,
  }
  return serves
}

/** What a program in Python says last, as JSON; `told` hears of the lines. */
async function python(
  t: ExecutionContext,
  program: string,
  target: string,
  told: (line: string) => void = () => undefined,
): Promise<unknown> {
  const child = spawn('/usr/bin/python3', ['-c', program, target], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  t.teardown(() => child.kill('SIGKILL'))
  let last = ''
  createInterface(child.stdout).on('line', (line) => {
    last = line
    told(line)
  })
  const [code] = (await within(30_000, once(child, 'close'))) as [number]
  t.is(code, 0, last)
  return JSON.parse(last)
}

const head = `
import grpc, json, sys
channel = grpc.insecure_channel(sys.argv[1]) if sys.argv[1] else None
value = lambda it: json.dumps(it).encode()
`

test('Python calls what is served, with the bytes of the contract', async (t) => {
  const { target } = await served(t)
  const said = await python(
    t,
    `${head}
add = channel.unary_unary('/calc/add')
count = channel.unary_stream('/calc/count')
sum = channel.stream_unary('/calc/sum')
double = channel.stream_stream('/calc/double')
print(json.dumps([
  json.loads(add(value([20, 3]))),
  [json.loads(one) for one in count(value(3))],
  json.loads(sum(iter([value(1), value(2)]))),
  [json.loads(one) for one in double(iter([value(1), value(2)]))],
]))`,
    target,
  )
  t.deepEqual(said, [23, [0, 1, 2], 3, [2, 4]])
})

test('Python is told how a call has failed, and a deadline of its own ends one', async (t) => {
  const { target, aborted } = await served(t)
  const said = await python(
    t,
    `${head}
said = []
def failing(path, it, timeout=10):
  try:
    channel.unary_unary(path)(it, timeout=timeout)
  except grpc.RpcError as error:
    metadata = dict(error.trailing_metadata() or ())
    own = json.loads(metadata.get('millrace-error-bin', b'null'))
    said.append([error.code().name, error.details(), metadata.get('millrace-status'), own and own.get('code'), own and own['message']])
failing('/calc/fail', value('no'))
failing('/calc/nothing', value('no'))
failing('/calc/wait', value('no'), 0.3)
print(json.dumps(said))`,
    target,
  )
  const [failed, unknown, late] = said as [string, string, string | null, string, string][]
  t.deepEqual(failed, ['UNKNOWN', 'no', 'error', 'E_MINE', 'no'])
  t.is(unknown![0], 'UNIMPLEMENTED')
  t.is(late![0], 'DEADLINE_EXCEEDED')
  await until(aborted)
})

test('Python sees whether something is served, also while it closes', async (t) => {
  const serves = await served(t)
  const { target } = serves
  const client = await connect(serves.address, calc)
  t.teardown(() => {
    client.close()
  })
  const waiting = client.wait('')
  await until(() => serves.answer !== undefined)
  let closed: Promise<void> | undefined
  const said = await python(
    t,
    `${head}
check = channel.unary_unary('/grpc.health.v1.Health/Check')
watch = channel.unary_stream('/grpc.health.v1.Health/Watch')
of = lambda name: b'\\n' + bytes([len(name)]) + name.encode() if name else b''
said = [check(of('')).hex(), check(of('calc')).hex()]
try:
  check(of('other'))
except grpc.RpcError as error:
  said.append(error.code().name)
said.append(next(watch(of('other'))).hex())
watching = watch(of('calc'))
said.append(next(watching).hex())
print('"watching"', flush=True)
said.append(next(watching).hex())
said.append(check(of('')).hex())
print(json.dumps(said))`,
    target,
    (line) => {
      if (line === '"watching"') closed = serves.leave()
    },
  )
  t.deepEqual(said, ['0801', '0801', 'NOT_FOUND', '0803', '0801', '0802', '0802'])
  serves.answer!()
  await waiting
  await closed
})

test('a function is called by the service of the .proto, too', async (t) => {
  const { target } = await served(t)
  const said = await python(
    t,
    `${head}
def request(input, service='', method=''):
  field = lambda number, it: bytes([number * 8 + 2, len(it)]) + it if it else b''
  return field(1, service.encode()) + field(2, method.encode()) + field(3, value(input))
output = lambda it: json.loads(it[2:]) # each is shorter than 128 bytes
calls = '/millrace.Calls/'
said = [
  output(channel.unary_unary(calls + 'Call')(request([20, 3], 'calc', 'add'))),
  [output(one) for one in channel.unary_stream(calls + 'Stream')(request(3, 'calc', 'count'))],
  output(channel.stream_unary(calls + 'Upload')(iter([request(1, 'calc', 'sum'), request(2)]))),
  [output(one) for one in channel.stream_stream(calls + 'Duplex')(iter([request(1, 'calc', 'double'), request(2)]))],
]
for it in [request(1, 'calc', 'nothing'), b'\\xff\\xff']:
  try:
    channel.unary_unary(calls + 'Call')(it)
  except grpc.RpcError as error:
    said.append(error.code().name)
print(json.dumps(said))`,
    target,
  )
  t.deepEqual(said, [23, [0, 1, 2], 3, [2, 4], 'UNIMPLEMENTED', 'INVALID_ARGUMENT'])
})

test('what Python serves is called, and says how it fails', async (t) => {
  const child = spawn(
    '/usr/bin/python3',
    [
      '-c',
      `${head}
from concurrent import futures
def fail(it, context): context.abort(grpc.StatusCode.NOT_FOUND, 'nothing like it')
def busy(it, context): context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, 'no room')
def count(it, context):
  for n in range(json.loads(it)): yield value(n)
def total(items, context): return value(sum(json.loads(it) for it in items))
def double(items, context):
  for it in items: yield value(json.loads(it) * 2)
server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler('theirs.Calc', {
  'add': grpc.unary_unary_rpc_method_handler(lambda it, context: value(sum(json.loads(it)))),
  'fail': grpc.unary_unary_rpc_method_handler(fail),
  'wait': grpc.unary_unary_rpc_method_handler(busy),
  'count': grpc.unary_stream_rpc_method_handler(count),
  'sum': grpc.stream_unary_rpc_method_handler(total),
  'double': grpc.stream_stream_rpc_method_handler(double),
}),))
print(server.add_insecure_port('127.0.0.1:0'), flush=True)
server.start()
server.wait_for_termination()`,
      '',
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => child.kill('SIGKILL'))
  const [port] = (await within(30_000, once(child.stdout, 'data'))) as [Buffer]
  const address = `grpc://127.0.0.1:${port.toString().trim()}/theirs.Calc`
  const client = await connect(address, calc)
  t.teardown(() => {
    client.close()
  })
  t.is(await client.add([20, 3], { timeout: 10_000 }), 23)
  const items: number[] = []
  for await (const item of client.count(3)) items.push(item)
  t.deepEqual(items, [0, 1, 2])
  t.is(await client.sum([1, 2, 3]), 6)
  const doubled: number[] = []
  for await (const item of client.double([1, 2])) doubled.push(item)
  t.deepEqual(doubled, [2, 4])
  const failed = await t.throwsAsync<Error & { code?: unknown }>(client.fail('x'))
  t.deepEqual([failed.message, failed.code], ['nothing like it', 5])
  const busy = await t.throwsAsync<MillraceError>(client.wait('x'))
  t.is(busy.code, 'ERR_MILLRACE_BUSY')
  await t.throwsAsync(contractAt(address), { code: 'ERR_MILLRACE_NO_RESPONDER' })
})

interface Grpc {
  readonly credentials: { createInsecure(): object }
  readonly makeGenericClientConstructor: (
    methods: object,
    name: string,
  ) => new (
    target: string,
    credentials: object,
  ) => {
    close(): void
    add(input: Buffer, answered: (error: Error | null, output: Buffer) => void): void
  }
}

test('a client of the library itself calls, with serialisers that do nothing', async (t) => {
  const { target } = await served(t)
  const grpc = createRequire(import.meta.url)('@grpc/grpc-js') as Grpc
  const same = (bytes: Buffer): Buffer => bytes
  const add = {
    path: '/calc/add',
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  }
  const Calc = grpc.makeGenericClientConstructor({ add }, 'calc')
  const client = new Calc(target, grpc.credentials.createInsecure())
  const output = await new Promise<Buffer>((resolve, reject) => {
    client.add(Buffer.from('[20,3]'), (error, answer) => {
      if (error === null) resolve(answer)
      else reject(error)
    })
  })
  client.close()
  t.is(output.toString(), '23')
})
