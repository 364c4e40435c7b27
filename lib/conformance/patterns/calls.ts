// Calls: each kind of function, how each ends, and what is said of a call when nobody serves, or the connection breaks.

import type { Contract } from '../../rpc/contract.js'
import type { ServeOptions } from '../../rpc/options.js'
import { assert, hushed, rejects, same, until } from '../scene.js'
import type { Asked } from '../suite.js'
import type { PatternScene, Serving } from './scene.js'

interface Limited {
  readonly signal: AbortSignal
}

/** The functions that are called. */
function calc() {
  const { call, duplex, stream, upload } =
    require('../../rpc/methods.js') as typeof import('../../rpc/methods.js')
  const { contract } = require('../../rpc/contract.js') as typeof import('../../rpc/contract.js')
  return contract('calc', {
    add: call<readonly [number, number], number>(),
    echo: call<string, string>(),
    fail: call<string>(),
    hold: call<number, string>(),
    again: call<string, number>({ idempotent: true }),
    ticks: stream<number, number>(),
    sum: upload<number, number>(),
    double: duplex<number, number>(),
  })
}

/** Who serves them: what it has seen. */
class Desk {
  readonly contract = calc()
  readonly seen: string[] = []
  readonly aborted: unknown[] = []
  /** Items that were asked for of `ticks`. */
  ticked = 0
  readonly #held = new Set<() => void>()

  readonly handlers = {
    add: ([a, b]: readonly [number, number]): number => a + b,
    echo: (text: string): string => text,
    fail: (message: string): void => {
      throw Object.assign(new RangeError(message), { code: 'E_TEST', data: { at: 7 } })
    },
    /** Until it is let go. */
    hold: async (_: number, { signal }: Limited): Promise<string> => {
      await this.#holding(signal)
      return 'held'
    },
    again: async (id: string, { signal }: Limited): Promise<number> => {
      this.seen.push(id)
      // The first one does not come to an end.
      if (this.seen.length === 1) await this.#holding(signal)
      return this.seen.length
    },
    ticks: (count: number): AsyncGenerator<number> => this.#ticks(count),
    sum: async (items: AsyncIterable<number>): Promise<number> => {
      let all = 0
      for await (const item of items) all += item
      return all
    },
    async *double(items: AsyncIterable<number>): AsyncGenerator<number> {
      for await (const item of items) yield item * 2
    },
  }

  serving(serving: ServeOptions = {}): Serving<ReturnType<typeof calc>> {
    return { contract: this.contract, handlers: this.handlers, serving }
  }

  letGo(): void {
    for (const go of this.#held) go()
  }

  async *#ticks(count: number): AsyncGenerator<number> {
    for (let i = 0; i < count; i++) {
      this.ticked++
      yield await Promise.resolve(i)
    }
  }

  async #holding(signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#held.add(resolve)
      signal.addEventListener('abort', () => {
        this.#held.delete(resolve)
        this.aborted.push(signal.reason)
        reject(signal.reason as Error)
      })
    })
  }
}

/** What it rejects with: the code, and what is said of its execution. */
async function ending(promise: Promise<unknown>): Promise<readonly [unknown, unknown]> {
  const error: unknown = await promise.then(
    () => new Error('it has not failed'),
    (reason: unknown) => reason,
  )
  const { code, executed } = error as { readonly code?: unknown; readonly executed?: unknown }
  return [code ?? String(error), executed]
}

async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

export const calls: readonly Asked<PatternScene>[] = [
  {
    name: 'calls: each call has its own answer',
    async judge(scene: PatternScene): Promise<void> {
      const { client } = await scene.calls(new Desk().serving())
      same(await client.add([2, 3]), 5)
      const numbers = Array.from({ length: 100 }, (_, i) => i)
      assert.deepEqual(
        await Promise.all(numbers.map((number) => client.add([number, 1]))),
        numbers.map((number) => number + 1),
      )
      for (const length of [0, 1, 129, 65_536, 300_000]) {
        const sent = 'x'.repeat(length)
        same((await client.echo(sent)) === sent, true, `${String(length)} bytes, as they were sent`)
      }
    },
  },
  {
    name: 'calls: streams go either way, in order, and end',
    async judge(scene: PatternScene): Promise<void> {
      const { client } = await scene.calls(new Desk().serving())
      const numbers = Array.from({ length: 100 }, (_, i) => i)
      assert.deepEqual(await all(client.ticks(100)), numbers)
      same(await client.sum(numbers), 4950)
      assert.deepEqual(
        await all(client.double(numbers)),
        numbers.map((number) => number * 2),
      )
      assert.deepEqual(await all(client.ticks(0)), [])
    },
  },
  {
    name: 'calls: who reads slowly holds its stream up',
    async judge(scene: PatternScene): Promise<void> {
      const desk = new Desk()
      const { client } = await scene.calls(desk.serving(), { streams: { windowItems: 4 } })
      const items = client.ticks(100_000)
      await items.next()
      let before = -1
      await until(async () => {
        const isStill = desk.ticked === before
        before = desk.ticked
        same(await client.add([1, 1]), 2, 'others go on')
        return isStill
      }, 'it stands still')
      assert.ok(desk.ticked <= 16, `${String(desk.ticked)} items of a window of 4`)
      await items.return()
    },
  },
  {
    name: 'calls: an error keeps its class, message, code and data',
    async judge(scene: PatternScene): Promise<void> {
      const { client } = await scene.calls(new Desk().serving())
      const error: unknown = await client.fail('no').catch((reason: unknown) => reason)
      assert.ok(error instanceof RangeError, `no instanceof RangeError: ${String(error)}`)
      const { message, code, data } = error as RangeError & {
        readonly code?: unknown
        readonly data?: unknown
      }
      assert.deepEqual([message, code, data], ['no', 'E_TEST', { at: 7 }])
    },
  },
  {
    name: 'calls: signals and time-outs end a call, and abort its handler',
    async judge(scene: PatternScene): Promise<void> {
      const desk = new Desk()
      const { client, server } = await scene.calls(desk.serving())
      // Long enough for the handler to have begun.
      await rejects(client.hold(1, { timeout: 100 }), 'ERR_MILLRACE_TIMEOUT')
      await until(() => desk.aborted.length === 1, 'its handler is told')
      const control = new AbortController()
      const waiting = hushed(client.hold(1, { signal: control.signal }))
      await until(() => server.atWork === 1, 'its handler has begun')
      control.abort()
      await rejects(waiting, 'ERR_MILLRACE_ABORTED')
      await until(() => desk.aborted.length === 2, 'its handler is told')
    },
  },
  {
    name: 'calls: nobody serves is NO_RESPONDER, or waited for',
    async judge(scene: PatternScene): Promise<void> {
      const desk = new Desk()
      const { client, server } = await scene.calls(desk.serving())
      same(await client.add([1, 1]), 2)
      await server[Symbol.asyncDispose]()
      const other = await scene.connect(server.name, desk.contract)
      assert.deepEqual(await ending(other.add([1, 1])), ['ERR_MILLRACE_NO_RESPONDER', 'no'])
      const waiting = hushed(scene.connect(server.name, desk.contract, { waitForServer: 60_000 }))
      await scene.serve(server.name, desk.serving())
      same(await (await waiting).add([1, 2]), 3)
    },
  },
  {
    name: 'calls: another contract is refused',
    async judge(scene: PatternScene): Promise<void> {
      const { server } = await scene.calls(new Desk().serving())
      const { call } = require('../../rpc/methods.js') as typeof import('../../rpc/methods.js')
      const { contract } =
        require('../../rpc/contract.js') as typeof import('../../rpc/contract.js')
      const other: Contract = contract('other', { add: call<number, number>() })
      const calling = async (): Promise<unknown> => {
        const client = await scene.connect(server.name, other)
        return (client as unknown as { add(input: number): Promise<unknown> }).add(1)
      }
      await rejects(calling(), 'ERR_MILLRACE_SCHEMA')
    },
  },
  {
    name: 'calls: more than may be at work wait their turn, more than there is room for are BUSY',
    async judge(scene: PatternScene): Promise<void> {
      const desk = new Desk()
      const { client, server } = await scene.calls(desk.serving({ concurrency: 2, calls: 4 }), {
        streams: { maxStreams: 4 },
      })
      const held = hushed(Promise.all(Array.from({ length: 4 }, () => client.hold(1))))
      await until(() => server.atWork === 2, 'two are at work')
      assert.deepEqual(await ending(client.add([1, 1])), ['ERR_MILLRACE_BUSY', 'no'])
      same(server.atWork, 2)
      let isDone = false
      void hushed(held.finally(() => (isDone = true)))
      await until(() => {
        desk.letGo()
        return isDone
      }, 'all are served')
      assert.deepEqual(await held, ['held', 'held', 'held', 'held'])
      same(await client.add([1, 1]), 2)
    },
  },
  {
    name: 'calls: a server that closes lets what is at work finish, and takes nothing more',
    async judge(scene: PatternScene): Promise<void> {
      const desk = new Desk()
      const { client, server } = await scene.calls(desk.serving({ drainOnClose: 60_000 }))
      const last = hushed(client.hold(1))
      await until(() => server.atWork === 1, 'one is at work')
      const closed = server[Symbol.asyncDispose]()
      await rejects(client.add([1, 1]), 'ERR_MILLRACE_NO_RESPONDER')
      desk.letGo()
      same(await last, 'held')
      await closed
    },
  },
  {
    name: 'calls: of what was on its way when the connection broke nobody knows whether it was executed',
    async judge(scene: PatternScene): Promise<void> {
      const desk = new Desk()
      const { client, server } = await scene.calls(desk.serving(), { waitForServer: 60_000 })
      const { connection } = scene
      const repeated = hushed(client.again('x'))
      const held = hushed(client.hold(1))
      const items = client.ticks(1_000_000)
      await items.next()
      await until(() => desk.seen.length === 1 && server.atWork >= 2, 'they are at work')
      connection.cut()
      assert.deepEqual(await ending(held), ['ERR_MILLRACE_PEER_GONE', 'unknown'])
      same(await repeated, 2, 'what may be repeated is')
      await rejects(all(items), 'ERR_MILLRACE_PEER_GONE')
      await until(() => desk.aborted.length === 2, 'handlers are told')
      same(await client.add([1, 2]), 3)
    },
  },
]
