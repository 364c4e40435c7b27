// What all connections of a listener may hold together: floods of whole messages, parts of long ones, and others that read nothing.

import { Duplex } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import {
  listen,
  registerTransport,
  type Arrivals,
  type Channel,
  type Listener,
  type ListenOptions,
} from 'millrace/net'

import { until, within } from '../support/until.js'

const patience = 15_000
const scheme = `held-${String(process.pid)}`

let arriving: Arrivals | undefined

registerTransport({
  scheme,
  traits: { zeroCopy: false, reliable: true, ordered: true, death: 'exact', directions: 'both' },
  check: () => undefined,
  connect: () => Promise.reject(new Error('nobody connects')),
  listen: ({ text }, _given, arrivals) => {
    arriving = arrivals
    return Promise.resolve({
      address: text,
      close: () => Promise.resolve(),
      hold: () => undefined,
    })
  },
})

function hello(): Buffer {
  const bytes = Buffer.alloc(24)
  bytes.write('MLRC')
  bytes[4] = bytes[5] = 1
  bytes.writeUInt32LE(65_536, 8)
  return bytes
}

function message(length: number, sent = length): Buffer {
  const bytes = Buffer.alloc(4 + sent)
  bytes.writeUInt32LE(length)
  return bytes
}

/** The other side of one connection: what it says, piece by piece, and what it does not take. */
class Other {
  /** Bytes that were taken of it. */
  taken = 0
  /** Writes that it has not taken yet. */
  readonly untaken: (() => void)[] = []
  readonly stream: Duplex

  constructor(next: () => Buffer | undefined, takes = true) {
    let greeted = false
    this.stream = new Duplex({
      read: () => {
        const piece = greeted ? next() : hello()
        greeted = true
        if (piece === undefined) return
        this.taken += piece.length
        this.stream.push(piece)
      },
      write: (_chunk, _encoding, done) => {
        if (takes) done()
        else this.untaken.push(done)
      },
    })
    this.stream.on('error', () => undefined)
  }
}

async function listening(t: ExecutionContext, options: ListenOptions): Promise<Listener> {
  const listener = await listen(`${scheme}://it`, { heartbeat: 0, ...options })
  t.teardown(() => listener.close())
  return listener
}

async function arrived(t: ExecutionContext, listener: Listener, other: Other): Promise<Channel> {
  arriving!.arrived({ stream: other.stream, peer: {} })
  const channel = (await within(patience, listener.accept()))!
  t.teardown(() => {
    channel.destroy()
  })
  return channel
}

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}

test.serial(
  'whole messages that nobody receives are not read beyond maxHeld, and each channel goes on as it is received',
  async (t) => {
    const maxHeld = 200_000
    const listener = await listening(t, { maxBytes: 4096, maxHeld })
    const others = Array.from({ length: 10 }, () => new Other(() => message(1020)))
    const channels: Channel[] = []
    for (const other of others) channels.push(await arrived(t, listener, other))
    const taken = () => others.reduce((sum, one) => sum + one.taken, 0)
    await until(() => taken() > maxHeld / 2, patience)
    for (let before = 0; before !== taken();) {
      before = taken()
      await turns(20)
    }
    // What a stream of Node's has read ahead lies there.
    const ahead = others.length * 2 * 65_536
    t.true(taken() < maxHeld + ahead, String(taken()))
    for (let i = 0; i < 400; i++) {
      for (const channel of channels) {
        const one = await within(patience, channel.receive())
        if (one?.length !== 1020) t.fail()
      }
    }
    t.is(listener.refused, 0)
  },
)

test.serial(
  'of parts of messages that are more than maxHeld the longest go, and others are served',
  async (t) => {
    const listener = await listening(t, { maxBytes: 65_536, maxHeld: 200_000 })
    const honest = await arrived(t, listener, new Other(() => undefined))
    const channels: Channel[] = []
    for (let i = 0; i < 10; i++) {
      const pieces = [message(60_000 + i, 30_000)]
      channels.push(await arrived(t, listener, new Other(() => pieces.shift())))
    }
    await until(() => listener.refusals.bytes === 7, patience)
    const ends = await within(
      patience,
      Promise.allSettled(channels.map((one) => one.receive({ timeout: 300 }))),
    )
    const codes = ends.map((one) =>
      one.status === 'rejected' ? (one.reason as { code?: string }).code : undefined,
    )
    t.is(codes.filter((code) => code === 'ERR_MILLRACE_NO_SPACE').length, 7)
    t.is(codes.filter((code) => code === 'ERR_MILLRACE_TIMEOUT').length, 3)
    t.is(listener.refused, 7)
    const short = await arrived(t, listener, new Other(() => message(10)))
    t.is((await within(patience, short.receive()))!.length, 10)
    await within(patience, honest.send('it is served'))
    // What has gone holds nothing: as many come again.
    for (const channel of channels) channel.destroy()
    await until(() => listener.connections === 2, patience)
    for (let i = 0; i < 3; i++) {
      const pieces = [message(60_000, 30_000)]
      await arrived(t, listener, new Other(() => pieces.shift()))
    }
    await turns(20)
    t.is(listener.refusals.bytes, 7)
  },
)

test.serial(
  'while others read nothing, each channel beyond maxHeld sends one message at a time',
  async (t) => {
    const listener = await listening(t, { maxBytes: 4096, maxHeld: 8192 })
    const [one, two] = [new Other(() => undefined, false), new Other(() => undefined, false)]
    const first = await arrived(t, listener, one)
    const second = await arrived(t, listener, two)
    const take = (other: Other) => {
      for (const done of other.untaken.splice(0)) done()
    }
    take(one)
    take(two)
    await turns(2)
    t.true(first.trySend(Buffer.alloc(20_000)))
    t.true(second.trySend('one is sent'))
    t.false(second.trySend('and no other one'))
    let sent = false
    const sending = second.send('this one waits').then(() => {
      sent = true
    })
    await turns(5)
    t.false(sent)
    take(two)
    await within(patience, sending)
    for (let i = 0; i < 5; i++) {
      take(one)
      take(two)
      await turns(2)
    }
    t.true(second.trySend('there is room'))
    t.true(second.trySend('for more'))
  },
)

test('maxHeld has room for the longest message', async (t) => {
  await t.throwsAsync(listen(`${scheme}://it`, { maxHeld: 1000 }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /maxHeld/,
  })
})
