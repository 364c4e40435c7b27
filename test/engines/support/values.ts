// Calls of many values, as every engine must carry them that carries any.

import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { connect, serve, type CallServer, type Connected, type ConnectOptions } from 'millrace/rpc'

import { run } from '../../support/process.js'
import { until, within } from '../../support/until.js'
import { valueHandlers, values, type SeenValues, type Values } from './contract-of-values.js'

export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const got: T[] = []
  for await (const item of items) got.push(item)
  return got
}

interface Served {
  readonly server: CallServer
  readonly seen: SeenValues
  readonly client: Connected<Values>
}

/** Until it changes no more. */
async function settled(count: () => number): Promise<number> {
  let last = -1
  await until(async () => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    const same = last === count()
    last = count()
    return same
  })
  return last
}

/** Registers the tests. `addressOf`: where to serve, which nobody else has. */
export function valueScenes(addressOf: (t: ExecutionContext) => Promise<string>): void {
  const served = async (t: ExecutionContext, options?: ConnectOptions): Promise<Served> => {
    const seen: SeenValues = { sent: 0, returned: false, taken: 0, ended: false }
    const server = await serve(await addressOf(t), values, valueHandlers(seen), options)
    t.teardown(() => server[Symbol.asyncDispose]())
    const client = await connect(server.name, values, options)
    t.teardown(() => {
      client.close()
    })
    return { server, seen, client }
  }

  test('values go one by one: many back, many there, both at once', async (t) => {
    const { client } = await served(t)
    t.deepEqual(await all(client.count(5)), [0, 1, 2, 3, 4])
    t.deepEqual(await all(client.count(0)), [])
    t.is(await client.sum([1, 2, 3]), 6)
    t.is(await client.sum([]), 0)
    t.deepEqual(await all(client.double([1, 2, 3])), [2, 4, 6])
    const thousand = Array.from({ length: 1000 }, (_, n) => n)
    const doubled = thousand.map((n) => 2 * n)
    t.deepEqual(await all(client.double(thousand)), doubled)
    // Of many calls at once each has its own.
    const many = await Promise.all(thousand.slice(0, 50).map((n) => all(client.count(n))))
    t.deepEqual(
      many.map(({ length }) => length),
      thousand.slice(0, 50),
    )
  })

  test('what breaks off in the middle: the values before it come, and then the error', async (t) => {
    const { client } = await served(t)
    const got: number[] = []
    const broken = await t.throwsAsync(
      (async () => {
        for await (const item of client.breaks(3)) got.push(item)
      })(),
      { instanceOf: RangeError },
    )
    t.deepEqual([got, (broken as { code?: string }).code], [[0, 1, 2], 'E_MINE'])
  })

  test('who takes slowly holds up who sends; who leaves the loop ends it', async (t) => {
    const { client, seen } = await served(t)
    const length = 65_536
    for await (const item of client.endless(length)) {
      t.is(item.length, length)
      await settled(() => seen.sent)
      t.true(seen.sent > 0 && seen.sent < 64, `${String(seen.sent)} were sent, and one was taken`)
      break
    }
    await until(() => seen.returned)
  })

  test('who sends to one that takes no more is held up, and told when it has ended', async (t) => {
    const { client, seen } = await served(t)
    let sent = 0
    let returned = false
    function* source(): Generator<string> {
      try {
        for (;;) {
          sent++
          yield 'x'.repeat(65_536)
        }
      } finally {
        returned = true
      }
    }
    t.is((await client.first(source())).length, 65_536)
    t.true(sent < 64, String(sent))
    await until(() => returned)
    t.is(seen.taken, 1)
  })

  test('a source that fails ends the call, and its error is what the caller gets', async (t) => {
    const { client } = await served(t)
    function* source(): Generator<number> {
      yield 1
      throw new RangeError('no more of it')
    }
    await t.throwsAsync(client.sum(source()), { instanceOf: RangeError, message: 'no more of it' })
    t.is(await client.sum([1]), 1)
  })

  test('time that is over, and a signal, end it at both sides', async (t) => {
    const { client, seen } = await served(t)
    await t.throwsAsync(all(client.endless(10, { timeout: 200 })), { code: 'ERR_MILLRACE_TIMEOUT' })
    await until(() => seen.returned)
    seen.returned = false
    const control = new AbortController()
    const endless = client.endless(10, { signal: control.signal })
    await endless.next()
    control.abort()
    await t.throwsAsync(all(endless), { code: 'ERR_MILLRACE_ABORTED' })
    await until(() => seen.returned)
  })

  test('who closes in the middle lets the other side know', async (t) => {
    const { client, server, seen } = await served(t)
    const endless = client.endless(10)
    await endless.next()
    client.close()
    const closed = await t.throwsAsync<MillraceError>(all(endless))
    t.regex(closed.code, /PEER_GONE|CLOSED/)
    await until(() => seen.returned)
    seen.returned = false

    const again = await connect(server.name, values)
    t.teardown(() => {
      again.close()
    })
    const second = again.endless(10)
    await second.next()
    await server[Symbol.asyncDispose]()
    // Sooner than any silence would tell.
    await within(5000, t.throwsAsync(all(second), { code: 'ERR_MILLRACE_PEER_GONE' }))
    await until(() => seen.returned)
  })

  test('who dies in the middle leaves nobody waiting: neither who called it nor who served it', async (t) => {
    const connection = { heartbeat: 1000 }
    const address = await addressOf(t)
    const fixture = new URL('../fixtures/values.js', import.meta.url)
    const serving = run(t, fixture, ['serve', address])
    const where = (await serving.next()) as string
    const client = await connect(where, values, { connection, waitForServer: 10_000 })
    const endless = client.endless(10)
    await endless.next()
    process.kill(serving.pid, 'SIGKILL')
    await t.throwsAsync(all(endless), { code: 'ERR_MILLRACE_PEER_GONE' })
    client.close()

    const { server, seen } = await served(t, { connection })
    const calling = run(t, fixture, ['call', server.name])
    await until(() => seen.sent > 0 && seen.taken > 0, 20_000)
    process.kill(calling.pid, 'SIGKILL')
    await until(() => seen.returned && seen.ended, 20_000)
    t.pass()
  })
}
