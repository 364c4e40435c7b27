// What becomes of messages: borders, order, sizes, room, and the waits for them.

import type { Channel } from '../net/channel.js'
import {
  assert,
  claims,
  fill,
  hushed,
  isLog,
  looked,
  numbered,
  numberOf,
  rejects,
  roomy,
  same,
  taken,
  until,
  waysOf,
  type Ends,
  type Scene,
} from './scene.js'
import type { Asked } from './suite.js'

/** The longest message that is made for a judgement. */
const longest = 4 * 2 ** 20
const lengths = [
  ...[0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 255, 256, 4095, 4096, 4097],
  ...[16_384, 65_531, 65_532, 65_535, 65_536, 65_537, 300_000, 3, 1_000_000, 0],
]

export const messages: readonly Asked<Scene>[] = [
  {
    name: 'messages arrive in order',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }) => {
        claims(from.traits.ordered, 'it is not ordered')
        const count = 500
        const sending = hushed(
          (async () => {
            for (let i = 0; i < count; i++) await from.send(numbered(i, i % 50 === 0 ? 9000 : 16))
          })(),
        )
        let last = -1
        for (let i = 0; i < count; i++) {
          const number = numberOf(await taken(to))
          assert.ok(number > last, `${String(number)} comes after ${String(last)}`)
          if (from.traits.reliable) same(number, last + 1, 'none is missing')
          last = number
          if (last === count - 1) break
        }
        await sending
      })
    },
  },
  {
    name: 'messages of every length arrive whole',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({ maxBytes: 2 ** 20 }, async ({ from, to }) => {
        claims(from.traits.reliable && from.traits.ordered, 'messages may be lost')
        const { maxBytes } = from.traits
        const all = lengths.filter((length) => length <= maxBytes)
        if (maxBytes <= longest) all.push(maxBytes)
        const bytesOf = (length: number): Buffer =>
          length < 4 ? Buffer.alloc(length, 7) : numbered(length, length)
        const sending = hushed(
          (async () => {
            for (const length of all) await from.send(bytesOf(length))
          })(),
        )
        for (const length of all) {
          const message = await taken(to)
          same(message.length, length)
          assert.ok(message.equals(bytesOf(length)), `the bytes of a message of ${String(length)}`)
        }
        await sending
      })
    },
  },
  {
    name: 'a message that is too long is TOO_LARGE',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({ maxBytes: 2 ** 20 }, async ({ from, to }) => {
        const { maxBytes } = from.traits
        claims(maxBytes < 2 ** 28 - 1, 'it takes any length')
        const message = Buffer.alloc(maxBytes + 1)
        await rejects(from.send(message), 'ERR_MILLRACE_TOO_LARGE')
        assert.throws(() => from.trySend(message), { code: 'ERR_MILLRACE_TOO_LARGE' })
        await from.send('goes on')
        same((await taken(to)).toString(), 'goes on')
      })
    },
  },
  {
    name: 'bytes are the sender’s again when they were sent',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }) => {
        claims(from.traits.reliable && from.traits.ordered, 'messages may be lost')
        for (const length of [64, 5000, 200_000]) {
          for (const how of ['send', 'trySend'] as const) {
            const bytes = numbered(length, length)
            if (how === 'send') {
              const receiving = hushed(taken(to))
              await from.send(bytes)
              bytes.fill(0)
              assert.ok(
                (await receiving).equals(numbered(length, length)),
                `${how}: as it was sent`,
              )
              continue
            }
            await until(() => from.trySend(bytes), 'trySend() finds room')
            bytes.fill(0)
            assert.ok((await taken(to)).equals(numbered(length, length)), `${how}: as it was sent`)
          }
        }
      })
    },
  },
  {
    name: 'many tasks send and receive at once',
    async judge(scene: Scene): Promise<void> {
      const ends = await scene.open({ highWaterMark: 8192 })
      claims(ends.near.traits.reliable && ends.near.traits.ordered, 'messages may be lost')
      await Promise.all(waysOf(ends).map(({ from, to }) => crowd(from, to)))
    },
  },
  {
    name: 'a receiver that stands still holds the sender up',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({ highWaterMark: 65_536 }, async ({ from, to }) => {
        claims(from.traits.reliable && from.traits.ordered, 'messages may be lost')
        claims(!isLog(from), roomy)
        for (const length of [1000, 16_384]) {
          const sent = await fill(from, length)
          const waiting = from.send(numbered(sent, length))
          const overtaking = numbered(sent + 1, length)
          same(from.trySend(overtaking), false, 'trySend() does not overtake who waits')
          for (let i = 0; i <= sent; i++) {
            const message = await taken(to)
            same(numberOf(message), i, 'what came is what was sent, in order')
            same(message.length, length)
          }
          await waiting
          same(to.tryReceive(), undefined, 'what was given up was not sent')
        }
      })
    },
  },
  {
    name: 'sending ends with its signal and its time',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({ highWaterMark: 65_536 }, async ({ from, to }) => {
        claims(from.traits.reliable && from.traits.ordered, 'messages may be lost')
        claims(!isLog(from), roomy)
        const sent = await fill(from, 4000)
        const control = new AbortController()
        const given = numbered(0xffff, 4000)
        const aborted = from.send(given, { signal: control.signal })
        const late = from.send(given, { timeout: 20 })
        const last = from.send(numbered(sent, 4000))
        const never = from.send(given, { signal: AbortSignal.abort() })
        const judged = Promise.all([
          rejects(aborted, 'ERR_MILLRACE_ABORTED'),
          rejects(late, 'ERR_MILLRACE_TIMEOUT'),
          rejects(never, 'ERR_MILLRACE_ABORTED'),
        ])
        control.abort()
        await judged
        for (let i = 0; i <= sent; i++)
          same(numberOf(await taken(to)), i, 'what was given up was not sent')
        await last
      })
    },
  },
  {
    name: 'receiving ends with its signal and its time, and takes nothing',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }) => {
        claims(from.traits.reliable, 'messages may be lost')
        const room = new Uint8Array(64)
        await rejects(to.receive({ timeout: 20 }), 'ERR_MILLRACE_TIMEOUT')
        await rejects(to.receiveInto(room, { timeout: 20 }), 'ERR_MILLRACE_TIMEOUT')
        for (const receive of [
          (signal: AbortSignal) => to.receive({ signal }),
          (signal: AbortSignal) => to.receiveInto(room, { signal }),
        ]) {
          await rejects(receive(AbortSignal.abort()), 'ERR_MILLRACE_ABORTED')
          const control = new AbortController()
          const aborted = receive(control.signal)
          const next = to.receive()
          control.abort()
          await rejects(aborted, 'ERR_MILLRACE_ABORTED')
          await from.send('for the next one')
          same((await next)?.toString(), 'for the next one')
        }
      })
    },
  },
  {
    name: 'receiveInto writes where it is told',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }) => {
        claims(from.traits.reliable && from.traits.ordered, 'messages may be lost')
        const room = Buffer.alloc(300_000)
        for (const length of [4, 100, 5000, 300_000].filter((one) => one <= from.traits.maxBytes)) {
          for (const target of [room, (bytes: number) => room.subarray(0, bytes)]) {
            room.fill(0)
            const sending = from.send(numbered(length, length))
            same(await to.receiveInto(target), length)
            assert.ok(
              room.subarray(0, length).equals(numbered(length, length)),
              'not so: room.subarray(0, length).equals(numbered(length, length))',
            )
            await sending
          }
        }
        const sending = from.send(numbered(1, 100))
        await rejects(to.receiveInto(room.subarray(0, 99)), 'ERR_MILLRACE_TOO_LARGE')
        same((await taken(to)).length, 100, 'what did not fit stays the next one')
        await sending
        const end = from.close()
        if (!isLog(from)) same(await to.receiveInto(room), undefined)
        await to.close()
        await end
      })
    },
  },
  {
    name: 'tryReceive takes what is there',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }) => {
        claims(from.traits.reliable && from.traits.ordered, 'messages may be lost')
        same(to.tryReceive(), undefined)
        await from.send('one')
        await from.send('two')
        const got: string[] = []
        await until(() => {
          const message = to.tryReceive()
          if (message !== undefined) got.push(message.toString())
          return got.length === 2
        }, 'both come')
        assert.deepEqual(got, ['one', 'two'])
        const waiting = to.receive()
        await from.send('three')
        same(to.tryReceive(), undefined, 'tryReceive() does not overtake who waits')
        same((await waiting)?.toString(), 'three')
      })
    },
  },
  {
    name: 'leaving a loop closes nothing',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }) => {
        claims(from.traits.reliable && from.traits.ordered, 'messages may be lost')
        for (let i = 0; i < 4; i++) await from.send(numbered(i))
        const got: number[] = []
        for await (const message of to) {
          got.push(numberOf(message))
          if (got.length === 2) break
        }
        for await (const message of to.messages()) {
          got.push(numberOf(message))
          if (got.length === 4) break
        }
        assert.deepEqual(got, [0, 1, 2, 3])
        same(to.closed, false)
      })
    },
  },
  {
    name: 'select waits for messages and for the end',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }) => {
        claims(from.traits.reliable, 'messages may be lost')
        same(looked(to), undefined)
        const told = scene.selected(to)
        await from.send('one')
        same(await told, 'ready')
        same(looked(to), 'ready', 'nothing was taken')
        same(to.tryReceive()?.toString(), 'one')
        const ended = isLog(from) ? undefined : scene.selected(to)
        const closing = from.close()
        if (ended !== undefined) same(await ended, 'ended')
        await to.close()
        await closing
      })
    },
  },
  {
    name: 'a wrong argument is INVALID_ARGUMENT',
    async judge(scene: Scene): Promise<void> {
      const { near, far } = await scene.open()
      for (const { from, to } of waysOf({ near, far })) {
        await rejects(from.send(undefined as never), 'ERR_MILLRACE_INVALID_ARGUMENT')
        await rejects(from.send('?', { timeout: -1 }), 'ERR_MILLRACE_INVALID_ARGUMENT')
        await rejects(to.receive({ timeout: NaN }), 'ERR_MILLRACE_INVALID_ARGUMENT')
        await rejects(to.receive({ timeuot: 1 } as never), 'ERR_MILLRACE_INVALID_ARGUMENT')
        await rejects(to.receiveInto(1 as never), 'ERR_MILLRACE_INVALID_ARGUMENT')
      }
    },
  },
  {
    name: 'the way that there is not is UNSUPPORTED',
    async judge(scene: Scene): Promise<void> {
      const ends: Ends = await scene.open()
      const [way, back] = waysOf(ends)
      claims(back === undefined, 'it goes both ways')
      const { from, to } = way!
      await rejects(to.send('back'), 'ERR_MILLRACE_UNSUPPORTED')
      await rejects(from.receive(), 'ERR_MILLRACE_UNSUPPORTED')
    },
  },
]

/** Eight tasks receive what all of these send at once. */
async function crowd(from: Channel, to: Channel): Promise<void> {
  const count = 600
  const got: number[] = []
  const receivers = Array.from({ length: 8 }, async () => {
    let last = -1
    for (;;) {
      const message = await to.receive()
      assert.ok(message !== undefined, 'not so: message !== undefined')
      const number = numberOf(message)
      if (number === 0xffff_ffff) return
      assert.ok(number > last, 'each task receives in order')
      assert.ok(message.equals(numbered(number, message.length)), 'nothing is mixed up')
      last = number
      got.push(number)
    }
  })
  const sending = Array.from({ length: count }, (_, i) =>
    from.send(numbered(i, i % 17 === 0 ? 20_000 : 40)),
  )
  const ends = receivers.map(() => from.send(numbered(0xffff_ffff, 4)))
  await Promise.all([...sending, ...ends, ...receivers])
  assert.deepEqual(
    got.toSorted((a, b) => a - b),
    Array.from(sending, (_, i) => i),
    'each message arrives once',
  )
  await from.send('behind all of them')
  same((await taken(to)).toString(), 'behind all of them', 'and none twice')
}
