// What comes as a stream of bytes, in any pieces and with any damage: the same messages however it is cut, and nothing but typed errors.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import fc from 'fast-check'
import { connect } from 'millrace/net'

import { within } from '../support/until.js'
import { frame, heard, hello } from './support/frames.js'

const patience = 15_000
const maxBytes = 4096

const message = (bytes: Uint8Array): Buffer => frame(0, bytes.length, Buffer.from(bytes))

function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const ends = [...new Set(places.map((one) => one % (bytes.length + 1)))].sort((a, b) => a - b)
  return [0, ...ends]
    .map((from, i) => bytes.subarray(from, ends[i] ?? bytes.length))
    .filter(({ length }) => length > 0)
}

const places = fc.array(fc.nat(20_000), { maxLength: 30 })
const bodies = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 })
/** Frames without bytes that say nothing about messages: signs of life, marks and their answers. */
const between = fc.constantFrom(frame(3, 0), frame(4, 0), frame(5, 77), frame(6, 9))
const budget = { interruptAfterTimeLimit: 400, numRuns: 150, markInterruptAsFailure: false }

test('however a stream is cut, its messages are the same', async (t) => {
  await within(
    patience,
    fc.assert(
      fc.asyncProperty(
        bodies,
        fc.array(between, { maxLength: 12 }),
        places,
        async (all, ins, at) => {
          const frames = all.flatMap((one, i) => [ins[i] ?? Buffer.alloc(0), message(one)])
          const { messages, code } = await heard(
            cutAt(Buffer.concat([hello(), ...frames, frame(2, 0)]), at),
            maxBytes,
          )
          t.is(code, undefined)
          t.deepEqual(
            messages.map((one) => one.toString('hex')),
            all.map((one) => Buffer.from(one).toString('hex')),
          )
        },
      ),
      budget,
    ),
  )
})

test('what arrives before damage is the same however the stream is cut, and nothing arrives after it', async (t) => {
  /** What is no frame, a message that is too long, and messages after ends. */
  const wrongs: readonly (readonly [Buffer, string | undefined])[] = [
    [frame(7, 0), 'ERR_MILLRACE_PROTOCOL'],
    [frame(1, 3), 'ERR_MILLRACE_PROTOCOL'],
    [frame(0, maxBytes + 1), 'ERR_MILLRACE_PROTOCOL'],
    // Whoever receives was told of the end before.
    [Buffer.concat([frame(1, 0), message(Buffer.of(9))]), undefined],
    [Buffer.concat([frame(2, 0), message(Buffer.alloc(0))]), undefined],
    [
      Buffer.concat([frame(1, 0), frame(3, 0), frame(2, 0), frame(4, 0), message(Buffer.of(9))]),
      undefined,
    ],
  ]
  await within(
    patience,
    fc.assert(
      fc.asyncProperty(
        bodies,
        bodies,
        fc.constantFrom(...wrongs),
        places,
        async (all, more, [wrong, expected], at) => {
          const bytes = Buffer.concat([hello(), ...all.map(message), wrong, ...more.map(message)])
          const { messages, code } = await heard(cutAt(bytes, at), maxBytes)
          t.is(code, expected)
          t.deepEqual(
            messages.map((one) => one.toString('hex')),
            all.map((one) => Buffer.from(one).toString('hex')),
          )
        },
      ),
      {
        ...budget,
        // Cut at the damage, and not at all: however few there is time for.
        examples: wrongs.flatMap((wrong) =>
          [[], [24, 29, 29 + wrong[0].length]].map(
            (at) =>
              [[Uint8Array.of(1)], [Uint8Array.of(2)], wrong, at] as [
                Uint8Array[],
                Uint8Array[],
                typeof wrong,
                number[],
              ],
          ),
        ),
      },
    ),
  )
})

test('whatever is wrong with a stream, no message is longer than was allowed, and errors have a code', async (t) => {
  const damage = fc.array(fc.tuple(fc.nat(20_000), fc.nat(255)), { maxLength: 6 })
  const ends = { order: 0, broken: 0 }
  const look = async (
    all: readonly Uint8Array[],
    wrong: readonly (readonly [number, number])[],
    at: readonly number[],
  ): Promise<void> => {
    const bytes = Buffer.concat([hello(), ...all.map(message), frame(2, 0)])
    for (const [place, value] of wrong) bytes[place % bytes.length] = value
    const one = await heard(cutAt(bytes, at), maxBytes)
    if (one.code === undefined) ends.order++
    else ends.broken++
    t.true(one.messages.every(({ length }) => length <= maxBytes))
  }
  // One that is sound and one that is not, however few others there is time for.
  await within(patience, look([Uint8Array.of(1)], [], []))
  await within(patience, look([Uint8Array.of(1)], [[0, 0]], []))
  t.deepEqual(ends, { order: 1, broken: 1 })
  await within(patience, fc.assert(fc.asyncProperty(bodies, damage, places, look), budget))
})

test('what waits to be asked for is not written over by what comes after it', async (t) => {
  const path = join(tmpdir(), `millrace-framing-${String(process.pid)}.sock`)
  const rounds = 4
  const many = 1000
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.write(hello())
    // Each round is read by itself: the next one leaves when the mark behind it was answered.
    let round = 0
    const send = (): void => {
      const all = Array.from({ length: many }, (_, i) => message(Buffer.alloc(i % 99, round)))
      socket.write(
        Buffer.concat([...all, round % 2 === 0 ? frame(3, 0) : message(Buffer.alloc(0))]),
      )
      socket.write(frame(5, ++round))
    }
    socket.on('data', () => {
      if (round < rounds) send()
    })
  })
  t.teardown(() => {
    server.close()
  })
  await within(patience, once(server.listen(path), 'listening'))
  const channel = await connect(`unix://${path}`, { maxBytes })
  t.teardown(() => {
    channel.destroy()
  })
  const first = (await within(patience, channel.receive()))!
  t.is(first.length, 0)
  t.is(first.buffer.byteLength, 0)
  for (let round = 0; round < rounds; round++) {
    if (round > 0) t.is((await within(patience, channel.receive()))!.length, 0)
    for (let i = 1; i < many; i++) {
      const one = (await within(patience, channel.receive()))!
      if (one.length !== i % 99 || one.some((byte) => byte !== round)) t.fail(`${round}: ${i}`)
      if (one.buffer.byteLength !== one.length) t.fail('it shares its memory')
    }
    if (round % 2 === 1) t.is((await within(patience, channel.receive()))!.length, 0)
    // What follows is not asked for before it is there.
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
})
