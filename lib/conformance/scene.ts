// What a behaviour is judged in: two ends of a channel, which are gone afterwards whatever came of it.

import { show } from '../base/options.js'
import { selectable, type Readiness } from '../base/selectable.js'
import { afterAllElse, now, startTimer, stopTimer } from '../base/time.js'
import { hasCode, type ErrorCode } from '../errors.js'
import type { Channel, Listener } from '../net/channel.js'
import type { ConnectOptions, ListenOptions } from '../net/options.js'

/** Both sides of one channel, in this process. */
export interface ConformanceEnds {
  /** Who has connected. */
  readonly near: Channel
  /** Who has listened. */
  readonly far: Channel
}

/** Two ends, and who listens. */
export interface Ends extends ConformanceEnds {
  /** Undefined: ends are made in pairs. */
  readonly listener: Listener | undefined
}

/** One way that messages go. */
export interface Way {
  readonly from: Channel
  readonly to: Channel
}

/** How ends come to be. */
export interface Making {
  readonly address: () => string | Promise<string>
  readonly connect: (address: string, options: ConnectOptions) => Promise<Channel>
  readonly listen: (address: string, options: ListenOptions) => Promise<Listener>
  readonly pair: ((options: ConnectOptions) => Promise<ConformanceEnds>) | undefined
  readonly connecting: ConnectOptions
  readonly listening: ListenOptions
  readonly wrong: readonly string[] | undefined
}

/** A message stays, whoever has gone: nobody is told of an end, and nobody waits for who receives. */
export const isLog = ({ traits }: Channel): boolean => traits.death === 'none'

/** How a behaviour that ends with a channel says that a log has none. */
export const endless = 'a log does not end with who writes it'
/** How a behaviour that waits for room says that a log always has some. */
export const roomy = 'a log takes what comes, whoever reads it'

/** What both sides are told. */
export interface Said {
  readonly maxBytes?: number
  readonly highWaterMark?: number
}

export const assert: typeof import('node:assert/strict') =
  process.getBuiltinModule('node:assert/strict')

/** What is thrown by a behaviour that the transport does not claim. */
export class NotClaimed extends Error {}

/** Milliseconds that the ends of a judgement have to go. */
const clearMs = 1000

/** The place where one behaviour is judged. */
export class Scene {
  readonly making: Making
  readonly #destroyed: (() => unknown)[] = []
  /** Those that are under way. */
  readonly #calls: UnderWay = new Set()
  #isOver = false

  constructor(making: Making) {
    this.making = making
  }

  /** What is waited for, as far as that is a call of a channel or a listener. */
  get waiting(): string {
    return waitingFor(this.#calls)
  }

  /** Two ends that nobody has used. */
  async open(said: Said = {}): Promise<Ends> {
    const { pair } = this.making
    if (pair === undefined) {
      const listener = await this.listen(said)
      return { ...(await this.join(listener, said)), listener }
    }
    const making = pair({ ...said, ...this.making.connecting })
    const ends = await during(this.#calls, 'pair()', making)
    return { near: this.track(ends.near), far: this.track(ends.far), listener: undefined }
  }

  async listen(said: Said = {}): Promise<Listener> {
    const { address, pair } = this.making
    if (pair !== undefined) throw new NotClaimed('its ends are made in pairs')
    return this.listenAt(await address(), said)
  }

  async listenAt(address: string, said: Said = {}): Promise<Listener> {
    const opening = this.making.listen(address, { ...said, ...this.making.listening })
    const listener = await during(this.#calls, 'listen()', opening)
    this.#goesWithIt(() => listener.close())
    return watched(listener, this.#calls, {
      // Also what a judgement did not expect to get.
      accept: async (wait) => {
        const channel = await listener.accept(wait)
        return channel === undefined ? undefined : this.track(channel)
      },
    })
  }

  /** One more channel of that listener. */
  async join(listener: Listener, said: Said = {}): Promise<ConformanceEnds> {
    const connecting = this.connect(listener.address, said)
    const [near, far] = await Promise.all([connecting, listener.accept()])
    assert.ok(far !== undefined, 'accept() gave a channel')
    return { near, far }
  }

  async connect(address: string, options: ConnectOptions = {}): Promise<Channel> {
    const opening = this.making.connect(address, { ...options, ...this.making.connecting })
    return this.track(await during(this.#calls, 'connect()', opening))
  }

  /** From now on it goes with the scene. */
  track(channel: Channel): Channel {
    this.#goesWithIt(() => {
      channel.destroy()
    })
    return watched(channel, this.#calls)
  }

  /** As `connect`, after another one: who left may not be gone yet. */
  async connectNext(address: string): Promise<Channel> {
    let channel: Channel | undefined
    await until(
      async () =>
        (channel = await this.connect(address).catch((error: unknown) => {
          if (hasCode(error, 'ERR_MILLRACE_ROLE_TAKEN')) return undefined
          throw error
        })) !== undefined,
      'there is a place for the next one',
    )
    return channel!
  }

  /** As `select` waits. */
  selected(source: Selectable): Promise<'ready' | 'ended'> {
    return during(this.#calls, 'select()', selected(source))
  }

  /** Is done when the judgement is over; one that took too long may go on, and open more. */
  #goesWithIt(end: () => unknown): void {
    this.#destroyed.push(end)
    if (!this.#isOver) return
    end()
    throw new Error('the judgement is over')
  }

  /** Judges each way that messages go, with ends of its own. */
  async eachWay(said: Said, judge: (way: Way, ends: Ends) => Promise<void>): Promise<void> {
    const ends = await this.open(said)
    const ways = waysOf(ends)
    await judge(ways[0]!, ends)
    if (ways.length === 1) return
    const others = await this.open(said)
    await judge(waysOf(others)[1]!, others)
  }

  /** Channels before their listeners, and all of them at once: what is broken may refuse to go, and is not waited for one by one. */
  async clear(): Promise<void> {
    this.#isOver = true
    const ending = this.#destroyed.reverse().map(async (end) => {
      await end()
    })
    await inTime(clearMs, Promise.allSettled(ending)).catch(() => undefined)
  }
}

/** What is waited for, of what is under way. */
export function waitingFor(calls: UnderWay): string {
  const names = new Set(Array.from(calls, ({ name }) => name))
  return names.size === 0 ? 'for no call' : `for ${[...names].join(', ')}`
}

/** The ways that messages go; of a channel that goes one way, that one. */
export function waysOf({ near, far }: ConformanceEnds): Way[] {
  const there = { from: near, to: far }
  const back = { from: far, to: near }
  switch (near.traits.directions) {
    case 'send':
      return [there]
    case 'receive':
      return [back]
    default:
      return [there, back]
  }
}

/** What it rejects with is looked at, or of no interest any more: a judgement has ended before it was. */
export function hushed<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined)
  return promise
}

/** What is under way. */
export type UnderWay = Set<{ readonly name: string }>

/** It is known what is waited for, until that promise is settled. */
export function during<T>(underWay: UnderWay, name: string, promise: Promise<T>): Promise<T> {
  const one = { name }
  underWay.add(one)
  const over = (): void => void underWay.delete(one)
  promise.then(over, over)
  return promise
}

const labelOf = (key: string | symbol): string =>
  typeof key === 'string' ? `${key}()` : `[${String(key.description)}]()`

/** As it is, but for these methods; of its promises none is left alone, nor of those of its iterations. `whose`: before their names. */
export function watched<T extends object>(
  sound: T,
  calls: UnderWay,
  instead: Partial<T> = {},
  whose = '',
): T {
  const others = instead as Readonly<Record<string | symbol, unknown>>
  // What it stands for may have properties that nobody can change, as functions of a client are: so it stands for another one.
  const proxy: T = new Proxy(Object.create(sound) as T, {
    get: (_, key) => {
      const value: unknown = others[key] ?? Reflect.get(sound, key, sound)
      if (typeof value !== 'function') return value
      return (...args: unknown[]) => {
        const result: unknown = Reflect.apply(value, sound, args)
        if (result === sound) return proxy
        const name = `${whose}${labelOf(key)}`
        if (result instanceof Promise) return during(calls, name, result)
        return isIteration(result) ? watched(result, calls, {}, `${name}.`) : result
      }
    },
  })
  return proxy
}

function isIteration(result: unknown): result is AsyncIterableIterator<unknown> {
  if (typeof result !== 'object' || result === null) return false
  const { next, [Symbol.asyncIterator]: again } = result as Partial<AsyncIterableIterator<unknown>>
  return typeof next === 'function' && typeof again === 'function'
}

/** Ends the judgement, unless that is claimed. */
export function claims(is: boolean, why: string): void {
  if (!is) throw new NotClaimed(why)
}

export async function rejects(promise: Promise<unknown>, code: ErrorCode): Promise<void> {
  const found = await promise.then(
    () => 'no error',
    (error: unknown) => String((error as { code?: unknown } | undefined)?.code ?? error),
  )
  if (found === code) return
  const { AssertionError } = assert
  throw new AssertionError({ message: `${found} instead of ${code}` })
}

/** A prime number of bytes: pieces of a message are not alike. */
const pattern = Uint8Array.from({ length: 4093 }, (_, i) => (i * 31) >>> 2)

/** A message of that length, which tells its own number. */
export function numbered(number: number, length = 16): Buffer {
  const bytes = Buffer.alloc(Math.max(length, 4), pattern.subarray(number % 1021))
  bytes.writeUInt32LE(number, 0)
  return bytes
}

export const numberOf = (message: Buffer): number => message.readUInt32LE(0)

/** The next message, which must be there. */
export async function taken(to: Channel): Promise<Buffer> {
  const message = await to.receive()
  assert.ok(message !== undefined, 'a message, and not the end')
  return message
}

/**
 * As `assert.equal`, but what differs is said in a few words. To tell differences, `assert` writes out objects and texts as a whole,
 * and compares their lines: of a channel that should not be there, or of megabytes, that takes for ever.
 */
export function same(actual: unknown, expected: unknown, why?: string): void {
  if (Object.is(actual, expected)) return
  const { AssertionError } = assert
  const what = `${inShort(actual)} instead of ${inShort(expected)}`
  throw new AssertionError({ message: why === undefined ? what : `${why}: ${what}` })
}

const inShort = (value: unknown): string => {
  const shown = show(value)
  return shown.length <= 100 ? shown : `${shown.slice(0, 100)}…`
}

/** Bytes that may wait on the way, whatever the system keeps of it. */
const most = 64 * 2 ** 20

/** Sends until nobody takes more; how many messages went. */
export async function fill(from: Channel, length: number): Promise<number> {
  let sent = 0
  for (;;) {
    while (from.trySend(numbered(sent, length))) {
      sent++
      assert.ok(sent * length < most, 'back-pressure: trySend() is false before 64 MiB wait')
    }
    try {
      await from.send(numbered(sent, length), { timeout: 500 })
      sent++
      assert.ok(sent * length < most, 'back-pressure: send() waits before 64 MiB do')
    } catch (error) {
      same((error as { code?: unknown }).code, 'ERR_MILLRACE_TIMEOUT', String(error))
      // Some of it may have gone, and not enough for those who wait.
      if (!from.trySend(numbered(sent, length))) return sent
      sent++
    }
  }
}

/** Sends until it is refused; what with. */
export async function refusal(from: Channel): Promise<unknown> {
  const end = now() + 5000
  while (now() < end) {
    try {
      await from.send('?')
    } catch (error) {
      return (error as { code?: unknown }).code
    }
    await pause()
  }
  return 'nothing: it is sent to nobody'
}

export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  ms = 5000,
): Promise<void> {
  const end = now() + ms
  while (!(await condition())) {
    assert.ok(now() < end, what)
    await pause()
  }
}

export const pause = (ms = 2): Promise<void> =>
  new Promise((resolve) => {
    startTimer(ms, resolve, { alive: true })
  })

interface Selectable {
  [selectable](): Readiness
}

function selected(source: Selectable): Promise<'ready' | 'ended'> {
  const readiness = source[selectable]()
  const waiting = new Promise<'ready' | 'ended'>((resolve, reject) => {
    const over = (settle: () => void): void => {
      settle()
      // What is told before `watch` returns is over later.
      afterAllElse(() => {
        end()
      })
    }
    const end = readiness.watch(
      (state) => {
        over(() => {
          resolve(state)
        })
      },
      (error) => {
        over(() => {
          reject(error)
        })
      },
    )
  })
  return hushed(waiting)
}

export const looked = (source: Selectable): 'ready' | 'ended' | undefined =>
  source[selectable]().look(true)

/** Rejects if it takes longer, and keeps the process alive for so long. */
export async function inTime<T>(
  ms: number,
  promise: Promise<T>,
  what: () => string = () => 'for no call',
): Promise<T> {
  let timer
  const late = new Promise<never>((_, reject) => {
    timer = startTimer(
      ms,
      () => {
        const { AssertionError } = assert
        reject(new AssertionError({ message: `still waiting after ${String(ms)} ms, ${what()}` }))
      },
      { alive: true },
    )
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    stopTimer(timer)
  }
}
