// Where the jobs of a pipeline come from and go to: iterables, streams of Node's and of the web, functions.

import { getEventListeners } from 'node:events'
import { PassThrough, Readable, Writable } from 'node:stream'
import { pipeline as connect } from 'node:stream/promises'
import { ReadableStream, WritableStream } from 'node:stream/web'
import test from 'ava'
import { Pipeline } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { text } from './open.js'
import { clear, two } from './pipelines.js'

const soon = { timeout: 15_000 }
const aTurn = () => new Promise((resolve) => setImmediate(resolve))
const letters = ['a', 'b', 'c', 'd', 'e', 'f', 'g']

async function* slowly(pieces: readonly string[], failure?: Error) {
  for (const piece of pieces) {
    await aTurn()
    yield piece
  }
  if (failure !== undefined) throw failure
}

const one = (t: Parameters<typeof clear>[0], name: string, options = {}) => {
  const etl = Pipeline.open(name, options).stage('only')
  clear(t, etl)
  return etl
}

function taken(etl: Pipeline<'only'>): string[] {
  const found: string[] = []
  for (let job = etl.tryTake('only'); job !== undefined; job = etl.tryTake('only')) {
    found.push(text(job.bytes))
    job.complete()
  }
  return found
}

for (const [what, source] of Object.entries({
  'a list': () => letters,
  'a set': () => new Set(letters),
  'a generator': () => slowly(letters),
  'a Readable': () => Readable.from(letters),
  'a ReadableStream': () => ReadableStream.from(letters),
})) {
  test(`from: ${what}, as many pieces as there are`, async (t) => {
    const etl = one(t, uniqueName(t))
    t.is(await etl.from(source(), { ttl: 100_000 }), letters.length)
    t.deepEqual(taken(etl), letters)
  })
}

test('from: a source is asked for the next piece when there was room for the last', async (t) => {
  const etl = one(t, uniqueName(t), { jobs: 3 })
  let asked = 0
  const pouring = etl.from(
    (function* () {
      for (const letter of letters) {
        asked++
        yield letter
      }
    })(),
  )
  await until(() => etl.stats().ready === 3)
  await aTurn()
  t.is(asked, 4)
  const found: string[] = []
  while (found.length < letters.length) {
    const job = await etl.takeOne('only', soon)
    found.push(text(job.bytes))
    job.complete()
  }
  t.is(await pouring, letters.length)
  t.deepEqual(found, letters)
})

test('from: the error of a source is that of the call, and what it gave before stays', async (t) => {
  const etl = one(t, uniqueName(t))
  const failure = new Error('as the test wants it')
  t.is(await t.throwsAsync(etl.from(slowly(['a', 'b'], failure))), failure)
  const web = new ReadableStream({
    pull(controller) {
      controller.error(failure)
    },
  })
  t.is(await t.throwsAsync(etl.from(web)), failure)
  const broken = new Readable({
    read() {
      this.destroy(failure)
    },
  })
  t.is(await t.throwsAsync(etl.from(broken)), failure)
  t.deepEqual(taken(etl), ['a', 'b'])
})

test('from: what cannot be pushed ends the source', async (t) => {
  const etl = one(t, uniqueName(t))
  let returned = false
  const numbers = (function* () {
    try {
      yield 'fine'
      yield 5
    } finally {
      returned = true
    }
  })()
  await t.throwsAsync(etl.from(numbers as Iterable<never>), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
  t.true(returned)
  const readable = Readable.from(['fine', 5])
  await t.throwsAsync(etl.from(readable), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.true(readable.destroyed)
  for (const source of ['text', Buffer.from('bytes'), 5, undefined, {}]) {
    await t.throwsAsync(etl.from(source as never), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /the source must be/,
    })
  }
  await t.throwsAsync(etl.from([], { id: 'x' } as object), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
  t.deepEqual(taken(etl), ['fine', 'fine'])
})

test('from: the error that ends it is told, whatever a source answers to its end', async (t) => {
  const etl = one(t, uniqueName(t))
  const broken = () => {
    throw new Error('not even that')
  }
  const next = () => {
    throw new Error('the source broke')
  }
  const iterator = { next, return: broken }
  const sources = [
    { destroy: broken, [Symbol.iterator]: () => iterator },
    { getReader: () => ({ read: next, cancel: broken, releaseLock: broken }) },
    { getReader: () => ({ read: next, cancel: () => undefined, releaseLock: broken }) },
  ]
  for (const source of sources) {
    await t.throwsAsync(etl.from(source as never), { message: 'the source broke' })
  }
})

test('from and to: what is refused leaves nothing at its signal', async (t) => {
  const etl = one(t, uniqueName(t))
  const { signal } = new AbortController()
  const [source, sink] = [new ReadableStream(), new WritableStream()]
  source.getReader()
  sink.getWriter()
  for (const refused of [etl.from(source, { signal }), etl.from(5 as never, { signal })]) {
    await t.throwsAsync(refused)
  }
  for (const refused of [etl.to(sink, { signal }), etl.to(5 as never, { signal })]) {
    await t.throwsAsync(refused)
  }
  etl.close()
  await t.throwsAsync(etl.from(letters, { signal }), { code: 'ERR_MILLRACE_CLOSED' })
  t.is(getEventListeners(signal, 'abort').length, 0)
})

test('from: a signal, or close, ends it while a source has nothing to give, and tells the source', async (t) => {
  const never = () => new Promise<never>(() => undefined)
  for (const how of ['abort', 'close'] as const) {
    const etl = one(t, uniqueName(t))
    const stop = new AbortController()
    let cancelled: unknown
    const readable = new Readable({ read: () => undefined })
    const web = new ReadableStream({
      cancel(reason) {
        cancelled = reason
      },
      pull: never,
    })
    const code = how === 'abort' ? 'ERR_MILLRACE_ABORTED' : 'ERR_MILLRACE_CLOSED'
    const pouring = [slowlyNever(), readable, web].map((source) =>
      t.throwsAsync(etl.from(source as AsyncIterable<string>, { signal: stop.signal }), { code }),
    )
    await until(() => etl.stats().ready === 1)
    if (how === 'abort') stop.abort()
    else etl.close()
    await Promise.all(pouring)
    t.true(readable.destroyed)
    t.truthy(cancelled)
    if (how === 'abort') await t.throwsAsync(etl.from(letters, { signal: stop.signal }), { code })
  }
  async function* slowlyNever() {
    yield 'one'
    await never()
  }
})

for (const [what, make] of Object.entries({
  'a Writable': (found: string[]) =>
    new Writable({
      write(chunk: Buffer, _, callback) {
        found.push(text(chunk))
        setImmediate(callback)
      },
    }),
  'a WritableStream': (found: string[]) =>
    new WritableStream<Uint8Array>({
      async write(chunk) {
        await aTurn()
        found.push(text(chunk))
      },
    }),
  'a function': (found: string[]) => async (job: { readonly bytes: Uint8Array }) => {
    await aTurn()
    found.push(text(job.bytes))
  },
})) {
  test(`to: ${what} gets the payloads of the last stage in their order, until the pipeline closes`, async (t) => {
    const etl = two(t, uniqueName(t))
    const found: string[] = []
    await etl.from(letters)
    for (const job of await etl.takeBatch('decode', letters.length)) job.complete()
    const writing = etl.to(make(found))
    await etl.idle(soon)
    etl.close()
    await writing
    t.deepEqual(found, letters)
  })
}

test('to: chunks are copies: a sink may keep them', async (t) => {
  const etl = one(t, uniqueName(t))
  await etl.from(letters)
  const through = new PassThrough({ objectMode: true })
  const writing = etl.to(through)
  await etl.idle(soon)
  await etl.from(letters.map(() => 'x'))
  await etl.idle(soon)
  etl.close()
  await writing
  t.false(through.destroyed)
  through.end()
  const found = (await through.toArray()) as Buffer[]
  t.deepEqual(found.map(text), [...letters, ...letters.map(() => 'x')])
})

test('to: a sink that fails, or closes, gives back what it has not taken', async (t) => {
  const failure = new Error('as the test wants it')
  const failing: Readonly<
    Record<string, () => [sink: Writable | WritableStream, act?: () => void]>
  > = {
    'in a write': () => [
      new Writable({
        write(_chunk, _encoding, callback) {
          callback(failure)
        },
      }),
    ],
    'while it waits': () => {
      const sink = new Writable({ write: () => undefined })
      return [sink, () => void sink.destroy(failure)]
    },
    'in a write of the web': () => [
      new WritableStream({
        write() {
          throw failure
        },
      }),
    ],
  }
  for (const [how, make] of Object.entries(failing)) {
    const etl = one(t, uniqueName(t))
    const [sink, act] = make()
    await etl.pushBatch(['a', 'b'])
    const writing = etl.to(sink)
    await aTurn()
    act?.()
    t.is(await t.throwsAsync(writing), failure, how)
    const first = await etl.takeOne('only', soon)
    t.is(text(first.bytes), 'a')
    t.is(first.attempt, 1, 'the job has done nothing wrong')
    first.complete()
    t.deepEqual(taken(etl), ['b'])
  }
  const etl = one(t, uniqueName(t))
  const idle = new PassThrough()
  const writing = etl.to(idle)
  idle.destroy()
  await t.throwsAsync(writing, { code: 'ERR_MILLRACE_CLOSED', message: /the sink of stage 'only'/ })
  await t.throwsAsync(etl.to('file' as never), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /the sink must be/,
  })
})

test('to: a signal ends it when the sink has taken what it was given', async (t) => {
  const etl = one(t, uniqueName(t))
  await etl.pushBatch(['a', 'b'])
  const stop = new AbortController()
  let take: () => void = () => undefined
  const writing = etl.to(
    new Writable({
      write(_chunk, _encoding, callback) {
        take = callback
      },
    }),
    { signal: stop.signal },
  )
  await until(() => etl.stats().stages.only.inHand === 1)
  await aTurn()
  stop.abort()
  take()
  await t.throwsAsync(writing, { code: 'ERR_MILLRACE_ABORTED' })
  t.deepEqual(taken(etl), ['b'])
})

test('writable and readable: a pipeline between streams', async (t) => {
  const name = uniqueName(t)
  const etl = Pipeline.open(name)
    .stage('upper', (job) => text(job.bytes).toUpperCase())
    .stage('out')
  clear(t, etl)
  const done = etl.work()
  await connect(Readable.from(letters), etl.writable({ highWaterMark: 1 }))
  const found: string[] = []
  for await (const chunk of etl.readable() as AsyncIterable<Buffer>) {
    found.push(text(chunk))
    if (found.length === letters.length) etl.close()
  }
  await done
  t.deepEqual(
    found,
    letters.map((letter) => letter.toUpperCase()),
  )
  t.throws(
    () => Pipeline.attach(name),
    { code: 'ERR_MILLRACE_NOT_FOUND' },
    'nothing was left in it',
  )
})

test('readable: a job is complete when its chunk was read, and one that was not goes back', async (t) => {
  const etl = two(t, uniqueName(t))
  await etl.pushBatch(['a', 'b', 'c', 'd'])
  for await (const chunk of etl.readable('decode') as AsyncIterable<Buffer>) {
    if (text(chunk) === 'b') break
  }
  await until(() => etl.stats().stages.decode.inHand === 0)
  t.like(etl.stats().stages, { decode: { ready: 2 }, load: { ready: 2 } })
  const again = await etl.takeOne('decode', soon)
  t.is(text(again.bytes), 'c')
  again.drop()
})

test('streams that are destroyed end what they wait for; closing ends a Readable, and fails a Writable', async (t) => {
  const etl = one(t, uniqueName(t), { jobs: 1 })
  const stop = new AbortController()
  const full = etl.writable({ signal: stop.signal })
  const failed = new Promise<Error>((resolve) => full.on('error', resolve))
  full.write('a')
  full.write('b')
  await until(() => etl.stats().ready === 1)
  stop.abort()
  t.is((await failed).name, 'AbortError')
  t.deepEqual(taken(etl), ['a'])
  await aTurn()
  t.is(etl.stats().ready, 0)
  const empty = etl.readable()
  const ended = new Promise((resolve) => empty.on('end', resolve))
  empty.resume()
  const late = etl.writable()
  const refused = new Promise<Error & { code?: string }>((resolve) => late.on('error', resolve))
  await aTurn()
  etl.close()
  await ended
  late.write('c')
  t.is((await refused).code, 'ERR_MILLRACE_CLOSED')
})
