// Streams over one connection: every kind of function, how each of them ends, by either side, and what a slow reader holds up. The
// same over a pair of queues and over one within the thread.

import { once } from 'node:events'
import test, { type ExecutionContext } from 'ava'
import { z } from 'zod'
import { MillraceError, SpscQueue } from 'millrace'
import {
  call,
  channelPair,
  connectOver,
  contract,
  duplex,
  queueChannel,
  serveOver,
  stream,
  upload,
  type ConnectionOptions,
  type FrameChannel,
  type HandlerContext,
  type Handlers,
} from 'millrace/rpc'
import { f64, struct, u32 } from 'millrace/struct'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 15_000

const Point = struct({ id: u32, x: f64 })

const calc = contract('calc', {
  add: call<readonly [number, number], number>(),
  fail: call<string>(),
  move: call(Point, Point),
  parse: call(z.string().transform(Number), z.number().max(100)),
  echo: call<string, string>(),
  ticks: stream<number, { at: number }>(),
  checked: stream(z.number(), z.number().max(2)),
  sum: upload<number, number>(),
  length: upload<string, number>(),
  chat: duplex<string, string>(),
})

const handlers: Handlers<typeof calc> = {
  add: ([a, b]) => a + b,
  fail(how) {
    switch (how) {
      case 'text':
        throw 'no error at all' // eslint-disable-line @typescript-eslint/only-throw-error
      case 'own':
        throw new MillraceError('ERR_MILLRACE_NO_SPACE', 'no room', { errno: 28, executed: 'no' })
      case 'long':
        throw new Error('x'.repeat(1e6), { cause: { big: 'y'.repeat(1e6) } })
      case 'deep': {
        let error = new Error('the first')
        for (let i = 0; i < 50; i++) error = new Error(`because ${String(i)}`, { cause: error })
        throw error
      }
      case 'hostile':
        throw Object.defineProperty(new Error('x'), 'message', {
          get() {
            throw new Error('not to be looked at')
          },
        })
    }
    throw Object.assign(new RangeError('too far', { cause: new TypeError('because') }), {
      code: 'E_FAR',
      data: { limit: 5 },
    })
  },
  move: ({ id, x }) => ({ id: id + 1, x: x * 2 }),
  parse: (n) => n + 1,
  echo: (text) => text,
  async *ticks(n) {
    for (let at = 0; at < n; at++) {
      await Promise.resolve()
      yield { at }
    }
  },
  checked: (n) => Array.from({ length: n }, (_, i) => i),
  async sum(items) {
    let sum = 0
    for await (const item of items) sum += item
    return sum
  },
  async length(items) {
    let length = 0
    for await (const item of items) length += item.length
    return length
  },
  async *chat(items) {
    for await (const item of items) yield item.toUpperCase()
  },
}

type Open = (t: ExecutionContext) => [FrameChannel, FrameChannel]

/** A ring of 64 KiB, so that things go in pieces. */
const ways: Readonly<Record<string, Open>> = {
  'within a thread': () => channelPair(8),
  'over two queues': (t) => {
    const [to, from] = [uniqueName(t), uniqueName(t)]
    const side = (out: string, back: string) =>
      queueChannel({
        producer: SpscQueue.producer(out, { capacity: 65_536 }),
        consumer: SpscQueue.consumer(back, { capacity: 65_536 }),
      })
    return [side(to, from), side(from, to)]
  },
}

function join(
  t: ExecutionContext,
  open: Open,
  own?: Partial<Handlers<typeof calc>>,
  options?: { readonly server?: ConnectionOptions; readonly client?: ConnectionOptions },
) {
  const [here, there] = open(t)
  const server = serveOver(there, calc, { ...handlers, ...own }, options?.server)
  const client = connectOver(here, calc, options?.client)
  t.teardown(() => {
    client.close()
    server.close()
  })
  return { client, server }
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

/** A promise, and what resolves it. */
function promise<T = void>() {
  let resolve!: (value: T) => void
  const done = new Promise<T>((settle) => {
    resolve = settle
  })
  return { done: within(patience, done), resolve }
}

for (const [way, open] of Object.entries(ways)) {
  test(`${way}: calls, streams, uploads and both together`, async (t) => {
    const { client, server } = join(t, open)
    t.is(await client.add([1, 2]), 3)
    t.deepEqual(await client.move({ id: 1, x: 1.5 }), { id: 2, x: 3 })
    t.is(await client.parse('41'), 42)
    t.deepEqual(
      await all(client.ticks(100)),
      Array.from({ length: 100 }, (_, at) => ({ at })),
    )
    t.deepEqual(await all(client.ticks(0)), [])
    t.is(await client.sum(Array.from({ length: 1000 }, (_, i) => i)), 499_500)
    t.is(await client.sum([]), 0)
    const words = async function* () {
      for (const word of ['a', 'b', 'c']) {
        await Promise.resolve()
        yield word
      }
    }
    t.deepEqual(await all(client.chat(words())), ['A', 'B', 'C'])
    await until(() => server.atWork === 0)
    t.pass()
  })

  test(`${way}: what is longer than a frame, and than the window, passes`, async (t) => {
    const { client } = join(t, open)
    const long = 'long '.repeat(200_000)
    t.is(await client.echo(long), long)
    t.is(await client.length([long, 'x', long, 'y', long]), 3 * long.length + 2)
    t.deepEqual(await all(client.chat([long, 'x', long])), [
      long.toUpperCase(),
      'X',
      long.toUpperCase(),
    ])
    const many = await Promise.all(Array.from({ length: 20 }, () => client.echo(long)))
    t.true(many.every((one) => one === long))
  })

  test(`${way}: break cancels: the generator returns, the signal aborts`, async (t) => {
    const ended = promise()
    const aborted = promise<unknown>()
    const { client, server } = join(t, open, {
      async *ticks(_n: number, { signal }: HandlerContext) {
        signal.addEventListener('abort', () => {
          aborted.resolve(signal.reason)
        })
        try {
          for (let at = 0; ; at++) {
            await Promise.resolve()
            yield { at }
          }
        } finally {
          ended.resolve()
        }
      },
    })
    for await (const { at } of client.ticks(0)) if (at === 40) break
    await ended.done
    t.is(((await aborted.done) as MillraceError).code, 'ERR_MILLRACE_ABORTED')
    await until(() => server.atWork === 0)
    t.is(await client.add([2, 2]), 4)
  })

  test(`${way}: a handler that leaves its items ends their source`, async (t) => {
    const returned = promise()
    const { client } = join(t, open, {
      async sum(items: AsyncIterable<number>) {
        for await (const item of items) if (item === 30) break
        return 30
      },
    })
    const endless = function* () {
      try {
        for (let i = 0; ; i++) yield i
      } finally {
        returned.resolve()
      }
    }
    t.is(await client.sum(endless()), 30)
    await returned.done
  })

  test(`${way}: a handler that answers early ends the source of its items, too`, async (t) => {
    const returned = promise()
    const { client } = join(t, open, { sum: () => 7 })
    const waiting = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise<IteratorResult<number>>(() => undefined),
        return: () => {
          returned.resolve()
          return Promise.resolve({ done: true as const, value: undefined })
        },
      }),
    }
    t.is(await client.sum(waiting), 7)
    await returned.done
  })

  test(`${way}: errors of handlers keep what they are, without the stack`, async (t) => {
    const { client } = join(t, open)
    const error = await t.throwsAsync(client.fail('far'), {
      instanceOf: RangeError,
      message: 'too far',
      code: 'E_FAR',
    })
    t.deepEqual((error as RangeError & { readonly data: unknown }).data, { limit: 5 })
    t.true(error.cause instanceof TypeError)
    t.false(error.stack!.includes('streams.test'))
    const own = await t.throwsAsync<MillraceError>(client.fail('own'), {
      instanceOf: MillraceError,
      code: 'ERR_MILLRACE_NO_SPACE',
    })
    t.is(own.errno, 28)
    t.is(own.executed, undefined) // it was: that is where the error is from
    const text = await t.throwsAsync(client.fail('text'), { message: 'no error at all' })
    t.is(text.cause, 'no error at all')
    t.true((await t.throwsAsync(client.fail('long'))).message.length < 4096)
    let depth = 0
    for (
      let at: unknown = await t.throwsAsync(client.fail('deep'));
      at instanceof Error;
      at = at.cause
    )
      depth++
    t.is(depth, 5)
    await t.throwsAsync(client.fail('hostile'), { message: /cannot be told/ })
  })

  test(`${way}: an error in the middle comes after what was sent before`, async (t) => {
    const { client } = join(t, open, {
      async *ticks() {
        await Promise.resolve()
        yield { at: 1 }
        yield { at: 2 }
        throw new Error('enough')
      },
    })
    const found: unknown[] = []
    const ticks = client.ticks(5)
    await t.throwsAsync(
      async () => {
        for await (const { at } of ticks) found.push(at)
      },
      { message: 'enough' },
    )
    t.deepEqual(found, [1, 2])
    t.deepEqual(await ticks.next(), { done: true, value: undefined })
  })

  test(`${way}: an error of the source is its caller's, and the handler learns of it`, async (t) => {
    const told = promise<unknown>()
    const { client } = join(t, open, {
      async sum(items: AsyncIterable<number>) {
        try {
          for await (const _ of items);
        } catch (error) {
          told.resolve(error)
        }
        return 0
      },
    })
    const source = function* () {
      yield 1
      throw new Error('the source is dry')
    }
    await t.throwsAsync(client.sum(source()), { message: 'the source is dry' })
    t.is(((await told.done) as Error).message, 'the source is dry')
  })

  test(`${way}: schemas are asked by whoever receives`, async (t) => {
    const { client, server } = join(t, open)
    const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' } as const
    const input = await t.throwsAsync(client.parse(5 as never), invalid)
    t.regex(input.message, /the input of parse\(\)/)
    t.regex((await t.throwsAsync(client.parse('100'), invalid)).message, /the output of parse\(\)/)
    const found: number[] = []
    await t.throwsAsync(async () => {
      for await (const item of client.checked(10)) found.push(item)
    }, invalid)
    t.deepEqual(found, [0, 1, 2])
    await until(() => server.atWork === 0)
  })

  test(`${way}: a signal and a time-out end a stream at once, at both sides`, async (t) => {
    let aborts = 0
    const { client, server } = join(t, open, {
      async *ticks(_n: number, { signal, remaining }: HandlerContext) {
        t.true(remaining > 0)
        try {
          yield { at: 0 }
          // The time may have been over before this goes on.
          if (!signal.aborted) await once(signal, 'abort')
        } finally {
          aborts++
        }
      },
    })
    const control = new AbortController()
    const ticks = client.ticks(1, { signal: control.signal })
    await ticks.next()
    const next = ticks.next()
    control.abort(new Error('enough'))
    const error = await t.throwsAsync<MillraceError>(next, {
      name: 'AbortError',
      code: 'ERR_MILLRACE_ABORTED',
    })
    t.is((error.cause as Error).message, 'enough')
    const timeout = await t.throwsAsync<MillraceError>(all(client.ticks(1, { timeout: 1000 })), {
      code: 'ERR_MILLRACE_TIMEOUT',
    })
    t.is(timeout.executed, 'unknown')
    await until(() => aborts === 2 && server.atWork === 0)
    t.throws(() => client.ticks(1, { signal: AbortSignal.abort() }), { name: 'AbortError' })
  })

  test(`${way}: a slow reader stops its own writer, and nobody else`, async (t) => {
    let made = 0
    const { client } = join(t, open, {
      *ticks() {
        for (let at = 0; ; at++) {
          made++
          yield { at }
        }
      },
    })
    const slow = client.ticks(0)
    await slow.next()
    await until(() => made >= 16)
    // Whatever goes through the same connection meanwhile would give it the time to make more.
    for (let i = 0; i < 50; i++) t.is(await client.add([i, 1]), i + 1)
    t.is(await client.sum(Array.from({ length: 500 }, () => 1)), 500)
    t.true(made <= 16 + 1 + 8, `${String(made)} were made`)
    for (let i = 1; i < 100; i++) t.is((await slow.next()).value?.at, i)
    t.true(made <= 100 + 16 + 9)
    await slow.return()
  })

  test(`${way}: bytes count as items do`, async (t) => {
    let made = 0
    const { client } = join(
      t,
      open,
      {
        *chat() {
          for (;;) {
            made++
            yield 'x'.repeat(1000)
          }
        },
      },
      { client: { windowBytes: 8000, windowItems: 1000 } },
    )
    const chat = client.chat([])
    await chat.next()
    await until(() => made >= 7)
    for (let i = 0; i < 50; i++) await client.add([i, 1])
    t.true(made <= 9, `${String(made)} were made`)
    for (let i = 0; i < 50; i++) t.is((await chat.next()).value?.length, 1000)
    await chat.return()
  })

  test(`${way}: a hundred streams at once, each in its order, none left behind`, async (t) => {
    const { client, server } = join(t, open)
    const counts = new Array<number>(100).fill(0)
    await Promise.all(
      counts.map(async (_, stream) => {
        for await (const { at } of client.ticks(50)) {
          t.is(at, counts[stream]!)
          counts[stream]!++
          // Fairness: none is done before another has begun.
          if (at === 49) t.true(counts.every((count) => count > 0))
        }
      }),
    )
    t.true(counts.every((count) => count === 50))
    await until(() => server.atWork === 0)
  })

  test(`${way}: more than maxStreams are refused, by either side`, async (t) => {
    const { client } = join(t, open, undefined, { server: { maxStreams: 2 } })
    const busy = { code: 'ERR_MILLRACE_BUSY' } as const
    const some = [client.chat(endless()), client.chat(endless())]
    for (const one of some) await one.next()
    await t.throwsAsync(client.add([1, 2]), busy)
    await some[0]!.return()
    await until(async () => {
      try {
        return (await client.add([1, 2])) === 3
      } catch {
        return false
      }
    })
    await some[1]!.return()
    const { client: other } = join(t, open, undefined, { client: { maxStreams: 1 } })
    const one = other.chat(endless())
    await one.next()
    const error = await t.throwsAsync<MillraceError>(other.add([1, 2]), busy)
    t.is(error.executed, 'no')
    await one.return()
    t.is(await other.add([1, 2]), 3)
  })

  test(`${way}: what is too long is refused, and nothing else is`, async (t) => {
    const { client } = join(
      t,
      open,
      { ticks: () => [{ at: 1 }, { at: 'x'.repeat(5000) as never }] },
      {
        server: { maxBytes: 4096 },
        client: { maxBytes: 4096 },
      },
    )
    const tooLarge = { code: 'ERR_MILLRACE_TOO_LARGE' } as const
    await t.throwsAsync(client.echo('x'.repeat(5000)), tooLarge)
    await t.throwsAsync(client.length(['x', 'x'.repeat(5000)]), tooLarge)
    await t.throwsAsync(all(client.ticks(1)), tooLarge)
    t.is(await client.add([1, 2]), 3)
  })

  test(`${way}: closing either side ends what is on its way`, async (t) => {
    const byClient = join(t, open)
    const ticks = byClient.client.chat(endless())
    await ticks.next()
    const asked = ticks
      .next()
      .then(() => ticks.next())
      .then(() => all(ticks))
    byClient.client.close()
    await t.throwsAsync(asked, { code: 'ERR_MILLRACE_CLOSED' })
    await within(patience, byClient.server.ended)
    t.is(byClient.server.atWork, 0)
    await t.throwsAsync(byClient.client.add([1, 2]), { code: 'ERR_MILLRACE_CLOSED' })

    const byServer = join(t, open, { add: () => new Promise<number>(() => undefined) })
    const pending = byServer.client.add([1, 2])
    await until(() => byServer.server.atWork === 1)
    byServer.server.close()
    const error = await t.throwsAsync<MillraceError>(pending, { code: 'ERR_MILLRACE_PEER_GONE' })
    t.is(error.executed, 'unknown')
    t.is(await within(patience, byServer.client.ended), undefined)
  })

  test(`${way}: what nobody asks for is not begun`, async (t) => {
    let begun = 0
    const { client, server } = join(t, open, {
      *ticks() {
        begun++
        yield { at: 1 }
      },
    })
    const ticks = client.ticks(1)
    await client.add([1, 2])
    t.is(begun, 0)
    await ticks.return()
    t.deepEqual(await ticks.next(), { done: true, value: undefined })
    await client.add([1, 2])
    t.is(begun, 0)
    t.is(server.atWork, 0)
  })
}

async function* endless() {
  for (;;) {
    await Promise.resolve()
    yield 'x'
  }
}

test('what is no handler, no channel and no items is refused', async (t) => {
  const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' } as const
  const [channel] = channelPair()
  t.throws(() => serveOver(channel, calc, { ...handlers, add: 5 } as never), invalid)
  t.throws(() => serveOver(channel, calc, { ...handlers, other: () => 5 } as never), invalid)
  t.throws(() => serveOver({} as never, calc, handlers), invalid)
  t.throws(() => serveOver(channel, {} as never, handlers), invalid)
  t.throws(() => connectOver(channel, calc, { window: 5 } as never), invalid)
  t.throws(() => connectOver(channel, contract('x', { close: call() })), invalid)
  t.throws(() => queueChannel({} as never), invalid)
  const { client } = join(t, () => channelPair(), { ticks: () => 5 as never })
  await t.throwsAsync(client.sum(5 as never), invalid)
  t.throws(() => client.chat('text' as never), invalid)
  await t.throwsAsync(client.ticks(1).next(), { ...invalid, message: /the handler of ticks/ })
})
