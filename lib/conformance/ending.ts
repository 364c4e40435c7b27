// How channels end: one way, both ways, by this side and by the other one.

import { hasCode } from '../errors.js'
import {
  assert,
  claims,
  endless,
  fill,
  inTime,
  isLog,
  NotClaimed,
  numbered,
  numberOf,
  refusal,
  rejects,
  roomy,
  same,
  taken,
  waysOf,
  type Scene,
} from './scene.js'
import type { Asked } from './suite.js'

export const ending: readonly Asked<Scene>[] = [
  {
    name: 'end() closes one way, after all that was sent',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }, ends) => {
        claims(from.traits.reliable && from.traits.ordered, 'messages may be lost')
        claims(!isLog(from), endless)
        const sending = Array.from({ length: 100 }, (_, i) => from.send(numbered(i, 2000)))
        try {
          await from.end()
        } catch (error) {
          if (hasCode(error, 'ERR_MILLRACE_UNSUPPORTED')) {
            throw new NotClaimed('it cannot end one way alone')
          }
          throw error
        }
        await Promise.all(sending)
        await rejects(from.send('more'), 'ERR_MILLRACE_CLOSED')
        assert.throws(() => from.trySend('more'), { code: 'ERR_MILLRACE_CLOSED' })
        let count = 0
        for await (const message of to) same(numberOf(message), count++)
        same(count, 100, 'all came before the end')
        same(await to.receive(), undefined, 'the end stays')
        same(to.tryReceive(), undefined)
        if (waysOf(ends).length === 1) return
        await to.send('answer')
        same((await taken(from)).toString(), 'answer', 'the other way goes on')
        await to.end()
        same(await from.receive(), undefined)
      })
    },
  },
  {
    name: 'close() loses nothing that was sent',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }) => {
        claims(from.traits.reliable && from.traits.ordered, 'messages may be lost')
        const lengths = Array.from({ length: 60 }, (_, i) => (i % 20 === 19 ? 400_000 : 40))
        const sending = lengths.map((length, i) => from.send(numbered(i, length)))
        const closing = from.close()
        for (const [i, length] of lengths.entries()) {
          const message = await to.receive()
          assert.ok(message !== undefined, `message ${String(i)} of ${String(lengths.length)}`)
          assert.ok(message.equals(numbered(i, length)), `message ${String(i)}`)
        }
        if (!isLog(from)) same(await to.receive(), undefined)
        await to.close()
        await Promise.all([closing, ...sending])
      })
    },
  },
  {
    name: 'an orderly end is undefined, and then nobody takes anything',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }, ends) => {
        claims(!isLog(from), endless)
        const waiting = to.receive()
        const closing = from.close()
        same(await waiting, undefined)
        same(await to.receive(), undefined)
        same(to.tryReceive(), undefined)
        same(to.closed, false, 'closed is of this side')
        for await (const message of to) assert.fail(String(message))
        if (waysOf(ends).length === 2) {
          same(await refusal(to), 'ERR_MILLRACE_PEER_GONE')
        }
        await to.close()
        await closing
      })
    },
  },
  {
    name: 'destroy() is PEER_GONE to the other side',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ from, to }, ends) => {
        claims(from.traits.reliable, 'messages may be lost')
        claims(!isLog(from), endless)
        for (let i = 0; i < 3; i++) await from.send(numbered(i))
        for (let i = 0; i < 3; i++) await taken(to)
        const waiting = to.receive()
        from.destroy()
        await rejects(waiting, 'ERR_MILLRACE_PEER_GONE')
        await rejects(to.receive(), 'ERR_MILLRACE_PEER_GONE')
        assert.throws(() => to.tryReceive(), { code: 'ERR_MILLRACE_PEER_GONE' })
        if (waysOf(ends).length === 2) {
          same(await refusal(to), 'ERR_MILLRACE_PEER_GONE')
        }
      })
    },
  },
  {
    name: 'after close() all is CLOSED',
    async judge(scene: Scene): Promise<void> {
      const { near, far } = await scene.open()
      await Promise.all([near.close(), far.close()])
      for (const { from, to } of waysOf({ near, far })) {
        same(from.closed, true)
        await rejects(from.send('?'), 'ERR_MILLRACE_CLOSED')
        assert.throws(() => from.trySend('?'), { code: 'ERR_MILLRACE_CLOSED' })
        await rejects(from.end(), 'ERR_MILLRACE_CLOSED')
        await rejects(to.receive(), 'ERR_MILLRACE_CLOSED')
        assert.throws(() => to.tryReceive(), { code: 'ERR_MILLRACE_CLOSED' })
        await rejects(to.receiveInto(new Uint8Array(8)), 'ERR_MILLRACE_CLOSED')
      }
    },
  },
  {
    name: 'closed twice is closed',
    async judge(scene: Scene): Promise<void> {
      const { near, far } = await scene.open()
      const closing = [near.close(), near.close(), near[Symbol.asyncDispose]()]
      await far.close()
      await Promise.all(closing)
      await near.close()
      near.destroy()
      near.destroy(new Error('too late'))
      await near.close()
      far.destroy()
      await far.close()
      same(near.closed && far.closed, true)
      for (const channel of [near, far]) channel.ref().unref()
    },
  },
  {
    name: 'who waits to receive hears CLOSED',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({}, async ({ to }) => {
        const waiting = [to.receive(), to.receiveInto(new Uint8Array(8))]
        const judged = waiting.map((one) => rejects(one, 'ERR_MILLRACE_CLOSED'))
        const closing = to.close({ timeout: 500 })
        await Promise.all(judged)
        await closing
      })
    },
  },
  {
    name: 'who waits to send hears why it was destroyed',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({ highWaterMark: 65_536 }, async ({ from }) => {
        claims(!isLog(from), roomy)
        const sent = await fill(from, 4000)
        const why = new Error('enough')
        const waiting = [1, 2].map((more) => from.send(numbered(sent + more, 4000)))
        const judged = waiting.map((one) => assert.rejects(one, why))
        from.destroy(why)
        await Promise.all(judged)
        same(from.closed, true)
      })
    },
  },
  {
    name: 'close() does not wait for ever',
    async judge(scene: Scene): Promise<void> {
      await scene.eachWay({ highWaterMark: 65_536 }, async ({ from }) => {
        claims(!isLog(from), roomy)
        await fill(from, 4000)
        await inTime(5000, from.close({ timeout: 100 }))
        same(from.closed, true)
      })
    },
  },
  {
    name: 'ref and unref change nothing else',
    async judge(scene: Scene): Promise<void> {
      const { near, far, listener } = await scene.open()
      for (const one of listener === undefined ? [near, far] : [near, far, listener]) {
        same(one.unref(), one)
        same(one.unref(), one)
      }
      for (const { from, to } of waysOf({ near, far })) {
        await from.send('unreferenced')
        same((await taken(to)).toString(), 'unreferenced')
      }
      for (const one of listener === undefined ? [near, far] : [near, far, listener]) {
        same(one.ref(), one)
        same(one.unref().ref(), one)
      }
    },
  },
]
