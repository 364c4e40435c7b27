// What a gateway makes of parts of frames that do not come as they should, and of what goes with them: spoken to by hand, byte by byte.

import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { FrameReader } from 'millrace'
import { Gateway } from 'millrace/gateway'
import { connect, type Channel } from 'millrace/net'

import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { viewer } from '../support/pictures.js'
import { until, within } from '../support/until.js'

const patience = { timeout: 20_000 }
const mark = 0x3166_726d
const fingerprint = 0x6d72_6631n
const headBytes = 72
const factsAt = headBytes
const slotBytes = 4096

interface Said {
  readonly sequence: number
  readonly ordinal: number
  readonly bytes: string
  readonly total?: number
  readonly offset?: number
  readonly index?: number
  readonly count?: number
  readonly source?: string
  readonly boot?: string
  readonly timestamp?: bigint
  readonly wall?: number
  readonly hops?: string
}

function headOf(said: Said): Buffer {
  const { sequence, ordinal, bytes, index = 0, count = 1, hops = 'elsewhere' } = said
  const { total = bytes.length, offset = 0, source = '0123456789abcdef' } = said
  const facts = index > 0 ? Buffer.alloc(0) : Buffer.alloc(96 + hops.length)
  const head = Buffer.concat([Buffer.alloc(headBytes), facts])
  head.writeUInt32LE(mark, 0)
  head.write(source, 8, 'hex')
  head.write('fedcba9876543210', 16, 'hex')
  for (const [at, number] of [sequence, ordinal, total, offset].entries()) {
    head.writeDoubleLE(number, 24 + 8 * at)
  }
  for (const [at, number] of [index, count, facts.length, bytes.length].entries()) {
    head.writeUInt32LE(number, 56 + 4 * at)
  }
  if (index > 0) return head
  head.write(said.boot ?? 'ab'.repeat(16), factsAt, 'hex')
  head.writeBigUInt64LE(said.timestamp ?? 1n, factsAt + 16)
  head.writeDoubleLE(said.wall ?? Date.now(), factsAt + 24)
  head.write('the header', factsAt + 32)
  head.write(hops, factsAt + 96)
  return head
}

class Sender {
  readonly #channel: Channel

  constructor(channel: Channel) {
    this.#channel = channel
  }

  async part(said: Said): Promise<void> {
    await this.#channel.send(headOf(said), patience)
    await this.#channel.send(Buffer.from(said.bytes), patience)
  }

  async raw(message: Buffer): Promise<void> {
    await this.#channel.send(message, patience)
  }

  /** The ordinal of the frame, and the number of what became of it; undefined: the connection has ended. */
  async answer(): Promise<readonly [number, number] | undefined> {
    const answer = await this.#channel.receive(patience)
    return answer === undefined ? undefined : [answer.readDoubleLE(0), answer.readUInt8(8)]
  }

  leave(): void {
    this.#channel.destroy()
  }
}

const delivered = 0
const [loop, duplicate, tooLarge] = [1, 2, 3]
const incomplete = 5

async function setting(t: ExecutionContext): Promise<{
  readonly gateway: Gateway
  readonly reader: FrameReader
  readonly sender: () => Promise<Sender>
}> {
  const name = uniqueName(t)
  const address = `unix://${join(ownDirectory(t), 'socket')}`
  const gateway = await Gateway.start({
    host: 'here',
    routes: [{ kind: 'frames', from: address, to: name, toChannel: { slotBytes, slots: 4 } }],
  })
  t.teardown(() => gateway.drain())
  const reader = await viewer(t, name)
  const sender = async (): Promise<Sender> => {
    let channel: Channel | undefined
    await until(async () => {
      channel = await connect(address, patience).catch(() => undefined)
      return channel !== undefined
    })
    t.teardown(() => {
      channel!.destroy()
    })
    const words = { kind: 'frames', fingerprint: String(fingerprint) }
    await channel!.send(JSON.stringify(words), patience)
    t.deepEqual(JSON.parse(String(await channel!.receive(patience))), { kind: 'frames' })
    const hello = await channel!.receive(patience)
    t.is(hello!.readDoubleLE(), slotBytes)
    return new Sender(channel!)
  }
  return { gateway, reader, sender }
}

async function text(reader: FrameReader): Promise<string> {
  using frame = await within(20_000, reader.receive())
  return Buffer.from(frame!.bytes).toString()
}

test.serial('parts in their order are a frame, with its header', async (t) => {
  const { gateway, reader, sender } = await setting(t)
  const one = await sender()
  const whole = { sequence: 7, ordinal: 1, total: 11, count: 2 }
  await one.part({ ...whole, bytes: 'hello ' })
  t.is(reader.tryReceive(), undefined)
  await one.part({ ...whole, bytes: 'frame', index: 1, offset: 6 })
  t.deepEqual(await one.answer(), [1, delivered])
  using frame = await reader.receive(patience)
  t.is(Buffer.from(frame!.bytes).toString(), 'hello frame')
  t.is(Buffer.from(frame!.header).toString().replaceAll('\0', ''), 'the header')
  t.is(gateway.routes[0]!.inFlight, 0)
})

test.serial('a frame of which a part does not come is never seen, and counted', async (t) => {
  const { gateway, reader, sender } = await setting(t)
  const one = await sender()
  const half = { sequence: 1, ordinal: 1, total: 9, count: 3, bytes: 'abc' }
  await one.part(half)
  await one.part({ ...half, index: 2, offset: 6 })
  t.deepEqual(await one.answer(), [1, incomplete])
  // The next one comes before the last of this one.
  await one.part({ ...half, sequence: 2, ordinal: 2 })
  await one.part({ sequence: 3, ordinal: 3, bytes: 'whole' })
  t.deepEqual(await one.answer(), [2, incomplete])
  t.deepEqual(await one.answer(), [3, delivered])
  t.is(await text(reader), 'whole')
  // Two are skipped, and of the next one the first part.
  await one.part({ ...half, sequence: 6, ordinal: 6, index: 1, offset: 3 })
  await one.part({ ...half, sequence: 7, ordinal: 7 })
  await until(() => gateway.routes[0]!.inFlight === 1)
  one.leave()
  await until(() => gateway.routes[0]!.inFlight === 0)
  t.like(gateway.routes[0], { delivered: 1, frames: { dropped: { incomplete: 4, lost: 2 } } })
  t.is(reader.tryReceive(), undefined)
  const another = await sender()
  await another.part({ sequence: 8, ordinal: 1, bytes: 'goes on' })
  t.is(await text(reader), 'goes on')
})

test.serial(
  'of a channel that several gateways send each frame comes once, and none that is older',
  async (t) => {
    const { gateway, reader, sender } = await setting(t)
    const [one, other] = [await sender(), await sender()]
    await one.part({ sequence: 5, ordinal: 1, bytes: 'five' })
    t.deepEqual(await one.answer(), [1, delivered])
    for (const sequence of [5, 4]) {
      await other.part({ sequence, ordinal: 6 - sequence, bytes: 'again' })
      t.deepEqual(await other.answer(), [6 - sequence, duplicate])
    }
    await other.part({ sequence: 1, ordinal: 3, bytes: 'of another', source: 'aa'.repeat(8) })
    t.deepEqual(await other.answer(), [3, delivered])
    t.deepEqual([await text(reader), await text(reader)], ['five', 'of another'])
    t.like(gateway.routes[0], { delivered: 2, duplicates: 2, dropped: 0 })
  },
)

test.serial('what has been here, or passed too many hosts, goes no further', async (t) => {
  const { gateway, reader, sender } = await setting(t)
  const one = await sender()
  const others = (count: number): string =>
    Array.from({ length: count }, (_, at) => `host-${String(at)}`).join()
  for (const [at, hops] of ['a,here,b', others(8)].entries()) {
    await one.part({ sequence: at, ordinal: at, bytes: 'x', hops })
    t.deepEqual(await one.answer(), [at, loop])
  }
  await one.part({ sequence: 2, ordinal: 2, bytes: 'y', hops: others(7) })
  t.is(await text(reader), 'y')
  t.is(gateway.routes[0]!.loops, 2)
})

test.serial('a frame that is larger than a slot is refused, whatever its parts are', async (t) => {
  const { gateway, sender } = await setting(t)
  const one = await sender()
  const large = { sequence: 1, ordinal: 1, total: slotBytes + 1, count: 2, bytes: 'abc' }
  await one.part(large)
  t.deepEqual(await one.answer(), [1, tooLarge])
  t.like(gateway.routes[0]!.error, { code: 'ERR_MILLRACE_TOO_LARGE' })
  t.is(gateway.routes[0]!.inFlight, 0)
})

test.serial('whoever says what is no part is cut off, and nobody else is', async (t) => {
  const { gateway, reader, sender } = await setting(t)
  const good = await sender()
  const wrong: Readonly<Record<string, Buffer>> = {
    nothing: Buffer.alloc(0),
    rubbish: Buffer.alloc(200, 255),
    'a part outside of its frame': headOf({
      ...{ sequence: 1, ordinal: 1, bytes: 'abc', total: 4, offset: 2, index: 1, count: 2 },
    }),
    'more parts than it says': headOf({ sequence: 1, ordinal: 1, bytes: 'a', index: 2, count: 2 }),
    'a number that is none': headOf({ sequence: NaN, ordinal: 1, bytes: 'a' }),
    'hosts that are none': headOf({ sequence: 1, ordinal: 1, bytes: 'a', hops: 'a b' }),
  }
  for (const [what, message] of Object.entries(wrong)) {
    const bad = await sender()
    await bad.raw(message)
    t.is(await bad.answer(), undefined, what)
  }
  await good.part({ sequence: 1, ordinal: 1, bytes: 'good' })
  t.is(await text(reader), 'good')
  t.is(gateway.routes[0]!.frames!.dropped.damaged, Object.keys(wrong).length)
})

test.serial(
  'a timestamp of another host is the same instant on the clock of this one',
  async (t) => {
    const { reader, sender } = await setting(t)
    const one = await sender()
    const before = process.hrtime.bigint()
    const second = 1000
    await one.part({
      ...{ sequence: 1, ordinal: 1, bytes: 'x' },
      ...{ timestamp: 123n, wall: Date.now() - second },
    })
    using frame = await within(20_000, reader.receive())
    const age = process.hrtime.bigint() - frame!.timestamp
    const took = process.hrtime.bigint() - before
    const nanoseconds = 1_000_000_000n
    // The clock of the day has whole milliseconds, and may be set by some meanwhile.
    const slack = 50_000_000n
    t.true(age >= nanoseconds - slack && age <= nanoseconds + took + slack, String(age))
  },
)
