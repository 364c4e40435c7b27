// Work queues, topics and calls of other layout versions: minors interoperate, majors are refused with both versions. Their layout
// began with 1.2, so there is no older minor yet; segments of today stand for those of other versions.

import test, { type ExecutionContext } from 'ava'
import { list, sweep } from 'millrace'
import { call, connect, contract, serve } from 'millrace/rpc'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'
import { readFileSync } from 'node:fs'

import { uniqueName } from '../support/names.js'
import { fromTheFuture, occupy, offsets, plantBytes, type Planted } from './segments.js'

const soon = { timeout: 15_000 }
const echo = contract('echo', { echo: call<string, string>() })
const handlers = { echo: (text: string) => text }
const bytesOf = (letter: string, name: string) =>
  readFileSync(`/dev/shm/millrace.${letter}.${name}`)

/** As if whoever is on it had died now, in its seat of number 0. */
interface Kind {
  readonly kind: string
  readonly plural: string
  readonly letter: string
  write(name: string): Promise<Buffer>
  /** As whoever comes to it now does. */
  open(name: string): Promise<{ close(): void }>
}
const kinds: readonly Kind[] = [
  {
    kind: 'work',
    plural: 'jobs',
    letter: 'j',
    async write(name) {
      using jobs = WorkQueue.open(name, { jobs: 8, groups: 8 })
      await jobs.push('first', { group: 'a' })
      await jobs.push('z'.repeat(300), { group: 'a' })
      const bytes = bytesOf('j', name)
      WorkQueue.unlink(name) // jobs would keep it
      return bytes
    },
    open: (name) => Promise.resolve(WorkQueue.open(name)),
  },
  {
    kind: 'topics',
    plural: 'topics',
    letter: 't',
    async write(name) {
      using bus = Topics.open(name, { messages: 8, subjects: 8 })
      await bus.subscribe('>')
      await bus.publish('line1.temp', '21.5', { headers: { a: 'b' } })
      await bus.publish('line2.temp', 'z'.repeat(700))
      return bytesOf('t', name)
    },
    open: (name) => Promise.resolve(Topics.open(name)),
  },
  {
    kind: 'calls',
    plural: 'calls',
    letter: 'r',
    async write(name) {
      using server = await serve(name, echo, handlers, { calls: 8 })
      using client = await connect(name, echo)
      await client.echo('before')
      return bytesOf('r', server.name)
    },
    // What the memory is like servers say: a client makes nothing.
    open: (name) => serve(name, echo, handlers),
  },
]

async function plant(
  t: ExecutionContext,
  one: Kind,
  change: (bytes: Buffer) => void,
): Promise<Planted> {
  return plantBytes(t, one.letter, await one.write(uniqueName(t)), change)
}

for (const one of kinds) {
  for (const [which, major] of [
    ['an older', 0],
    ['a newer', 2],
  ] as const) {
    const change = (bytes: Buffer) => void bytes.writeUInt16LE(major, offsets.major)

    test(`promise: upgrades – living ${one.plural} of ${which} major are refused with both versions, and not touched`, async (t) => {
      const { name, path } = await plant(t, one, change)
      await occupy(t, path, 0)
      const before = readFileSync(path)
      await t.throwsAsync(
        async () => {
          await one.open(name)
        },
        {
          code: 'ERR_MILLRACE_LAYOUT',
          message: new RegExp(
            `has layout version ${major}\\.2, this process has 1\\.\\d+; use the same major`,
          ),
        },
      )
      t.true(readFileSync(path).equals(before))
      t.like(list({ prefix: name }), [{ kind: one.kind, name }])
      t.deepEqual(sweep({ prefix: name }).removed, [])
    })

    test(`promise: upgrades – what ${which} major left behind of ${one.plural} is replaced`, async (t) => {
      const { name, path } = await plant(t, one, change)
      const opened = await one.open(name)
      t.is(readFileSync(path).readUInt16LE(offsets.major), 1)
      opened.close()
    })
  }
}

const [work, topics, calls] = kinds as [Kind, Kind, Kind]

test('promise: upgrades – jobs of a minor that is yet to come are taken, and more are pushed', async (t) => {
  const { name, path } = await plant(t, work, fromTheFuture)
  const die = await occupy(t, path, 0)
  using jobs = WorkQueue.open(name)
  await jobs.push('last', soon)
  for (const text of ['first', 'z'.repeat(300), 'last']) {
    using job = await jobs.takeOne(soon)
    t.is(Buffer.from(job.bytes).toString(), text)
    job.complete()
  }
  t.is(readFileSync(path).readUInt16LE(offsets.minor), 99, 'it is the same one')
  await die()
})

test('promise: upgrades – a bus of a minor that is yet to come is published to and read, and its dead are buried', async (t) => {
  const { name, path } = await plant(t, topics, fromTheFuture)
  const die = await occupy(t, path, 0)
  using bus = Topics.open(name)
  using subscription = await bus.subscribe('>', { replay: 'last' })
  await bus.publish('line3.temp', '1', soon)
  for (const [index, text] of ['21.5', 'z'.repeat(700), '1'].entries()) {
    using message = await subscription.receive(soon)
    t.is(message.text(), text)
    t.is(message.index, index)
    t.deepEqual(message.headers, index === 0 ? { a: 'b' } : {})
  }
  t.is(readFileSync(path).readUInt16LE(offsets.minor), 99, 'it is the same one')

  await die()
  // Its subscription holds up nobody for long, so the log comes round.
  for (let i = 0; i < 40; i++) {
    await bus.publish('line3.temp', `${i}`, soon)
    using message = await subscription.receive(soon)
    t.is(message.text(), `${i}`)
  }
})

test('promise: upgrades – calls of a minor that is yet to come are served and made', async (t) => {
  const { name, path } = await plant(t, calls, fromTheFuture)
  const die = await occupy(t, path, 0)
  using _server = await serve(name, echo, handlers)
  using client = await connect(name, echo)
  for (let i = 0; i < 40; i++) t.is(await client.echo(`${i}`, soon), `${i}`)
  t.is(readFileSync(path).readUInt16LE(offsets.minor), 99, 'it is the same one')
  await die()
  t.is(await client.echo('z'.repeat(700), soon), 'z'.repeat(700))
})
