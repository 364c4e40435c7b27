// A channel whose connection is made anew when it breaks. What it is to its user does not end with a connection: who waits to receive
// goes on with the next one, and who sends is told what became of the message. Nothing is sent twice.
//
// What is sent is known to have come when the other side has answered a mark behind it (stream/arrival.ts). Of a connection that breaks
// before that, it is unknown.

import { bytesOf, targetOf, type ByteSource } from '../base/bytes.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { fairly } from '../base/fairness.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import {
  checkOptions,
  checkSignal,
  duration,
  readWait,
  waitNames,
  type Wait,
  type WaitOptions,
} from '../base/options.js'
import { selectable, type Readiness } from '../base/selectable.js'
import { now } from '../base/time.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { abortedError, closedError, hasCode, MillraceError, timeoutError } from '../errors.js'
import type { Backoff } from './backoff.js'
import type { Channel, Peer, ReconnectingChannel, Traits } from './channel.js'
import type {
  ConnectionEvents,
  ConnectionListener,
  ConnectionLoss,
  ConnectionState,
  ConnectionStatus,
} from './connection-status.js'
import { Holding } from './holding.js'
import { Session, type Line as Connected } from './session.js'
import type { Arrival } from './stream/arrival.js'
import { noRoomError, peerClosedError } from './stream/errors.js'
import { leftOf, Line } from './waits.js'

/** How it is made. */
export interface Making {
  readonly address: string
  readonly traits: Omit<Traits, 'maxBytes'>
  readonly backoff: Backoff
  readonly highWaterMark: number
  readonly signal: AbortSignal | undefined
  /** Makes one connection. */
  readonly dial: (signal: AbortSignal) => Promise<Channel>
}

/** What channels of this package tell beside what all do. */
interface Telling {
  readonly gone?: Promise<void>
  whenOver?(): Promise<Error>
  arrival?(): Arrival | undefined
  readonly over?: Error | undefined | (() => Error | undefined)
}

/** One connection. */
class Way implements Connected {
  readonly channel: Channel
  readonly arrival: Arrival | undefined
  readonly ended: Promise<Error>
  /** Those who wait for its end. */
  readonly ending: Line<void>
  #end!: (why: Error) => void
  #isOver = false
  readonly #leave: (channel: Channel) => void

  constructor(channel: Channel, title: string, leave: (channel: Channel) => void) {
    this.channel = channel
    this.#leave = leave
    this.ending = new Line((ms) => lateError(title, ms))
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    const telling = channel as Telling
    this.arrival = telling.arrival?.()
    const over = (why: Error): void => {
      this.over(why)
    }
    if (telling.whenOver !== undefined) void telling.whenOver().then(over)
    else
      void telling.gone?.then(() => {
        over(peerClosedError(title))
      })
  }

  /** Is it known by now that nothing can be sent over it? */
  isOver(): boolean {
    if (this.#isOver) return true
    const { over } = this.channel as Telling
    const why = typeof over === 'function' ? over.call(this.channel) : over
    return why !== undefined
  }

  /** It is over, as a call has told, or the channel itself. */
  over(why: Error): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#end(why)
  }

  close(): void {
    this.#leave(this.channel)
  }
}

const defaultCloseMs = 5000

export class Reconnecting implements ReconnectingChannel {
  readonly #making: Making
  readonly #title: string
  readonly #session: Session<Way>
  readonly #holding = new Holding()
  readonly #watchers = new Set<() => void>()
  /** What came over connections that are not there any more. */
  readonly #left: PlainBuffer[] = []
  #leftBytes = 0
  #last: Channel | undefined
  #alive = true
  #saidEnd = false
  /** The other side has ended after this one has. */
  #isDone = false
  #closed = false
  #leave: (channel: Channel) => void = (channel) => {
    channel.destroy()
  }
  #leaving: Promise<void> | undefined

  constructor(making: Making) {
    this.#making = making
    this.#title = `the channel to '${making.address}'`
    this.#session = new Session<Way>({
      title: this.#title,
      address: making.address,
      backoff: making.backoff,
      dial: async (signal) =>
        new Way(await making.dial(signal), this.#title, (channel) => {
          this.#leave(channel)
        }),
      opened: (way) => {
        this.#opened(way)
      },
      lost: (reason, way) => this.#lost(reason, way),
      // Whoever has said that there is no more has nothing to come back for.
      isLast: () => this.#saidEnd,
      failed: () => {
        this.#over()
      },
    })
    making.signal?.addEventListener('abort', this.#onAbort, { once: true })
    this.#holdLoop()
  }

  readonly #onAbort = (): void => {
    this.destroy(abortedError(this.#making.signal!))
  }

  /** @internal When the first attempt has ended; why there will be no other, if so. */
  async tried(): Promise<void> {
    await this.#session.attempt({ signal: undefined, timeout: Infinity })
    if (this.#session.state !== 'closed') return
    await this.#session.ready({ signal: undefined, timeout: 0 }) // says why
  }

  get address(): string {
    return this.#making.address
  }
  get connection(): ConnectionStatus {
    return this.#session.status
  }
  get state(): ConnectionState {
    return this.#session.state
  }
  get traits(): Traits {
    return this.#last?.traits ?? { ...this.#making.traits, maxBytes: 0 }
  }
  get peer(): Peer {
    return this.#last?.peer ?? {}
  }
  get closed(): boolean {
    return this.#closed || this.#session.state === 'closed'
  }

  on<Name extends keyof ConnectionEvents>(name: Name, listener: ConnectionListener<Name>): this {
    this.connection.on(name, listener)
    return this
  }

  once<Name extends keyof ConnectionEvents>(name: Name, listener: ConnectionListener<Name>): this {
    this.connection.once(name, listener)
    return this
  }

  off<Name extends keyof ConnectionEvents>(name: Name, listener: ConnectionListener<Name>): this {
    this.connection.off(name, listener)
    return this
  }

  removeListener<Name extends keyof ConnectionEvents>(
    name: Name,
    listener: ConnectionListener<Name>,
  ): this {
    return this.off(name, listener)
  }

  async connected(options?: WaitOptions): Promise<this> {
    await this.#session.ready(readWait(options))
    return this
  }

  // Sending

  async send(message: ByteSource, options?: WaitOptions): Promise<void> {
    const { signal, timeout = Infinity } = readWait(options)
    const bytes = bytesOf(message, 'the message')
    this.#assertSends()
    const end = now() + timeout
    for (;;) {
      const way =
        this.#session.line ?? (await this.#session.ready({ signal, timeout: leftOf(end) }))
      this.#assertSends()
      if (await this.#sent(way, bytes, { signal, timeout: leftOf(end) })) return
      await way.ended // it was over before this was sent: the next one
    }
  }

  /** False: the connection was over before it was sent. */
  async #sent(way: Way, bytes: Uint8Array, { signal, timeout = Infinity }: Wait): Promise<boolean> {
    if (way.isOver()) return false
    const end = now() + timeout
    const { channel, arrival } = way
    let isHandedOver = false
    try {
      await channel.send(bytes, { signal, timeout })
      isHandedOver = true
      await arrival?.wait({ signal, timeout: leftOf(end) })
      return true
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error
      const isGone = error.code === 'ERR_MILLRACE_PEER_GONE'
      if (isGone) way.over(error)
      if (isGone && error.executed === 'no') return false
      throw isGone || isHandedOver ? unknownError(error) : error
    }
  }

  trySend(message: ByteSource): boolean {
    const bytes = bytesOf(message, 'the message')
    this.#assertSends()
    const way = this.#session.line
    if (way === undefined || way.isOver()) return false
    const wasSent = way.channel.trySend(bytes)
    // So that it is known what has come when the connection breaks.
    if (wasSent) way.arrival?.wait({}).catch(() => undefined)
    return wasSent
  }

  // Receiving

  receive(options?: WaitOptions): Promise<PlainBuffer | undefined> {
    try {
      const wait = readWait(options)
      const left = this.#takeLeft()
      if (left !== undefined) return fairly(left)
      return this.#receive(
        wait,
        () => this.#takeLeft(),
        (channel, rest) => channel.receive(rest),
      )
    } catch (error) {
      return Promise.reject(error)
    }
  }

  tryReceive(): PlainBuffer | undefined {
    const left = this.#takeLeft()
    if (left !== undefined) return left
    if (this.closed) throw this.#whyClosed()
    const way = this.#session.line
    if (way === undefined) return undefined
    try {
      return way.channel.tryReceive()
    } catch (error) {
      if (!hasCode(error, 'ERR_MILLRACE_PEER_GONE')) throw error
      way.over(error as Error)
      return undefined
    }
  }

  async receiveInto(
    target: ArrayBufferView | ((length: number) => ArrayBufferView),
    options?: WaitOptions,
  ): Promise<number | undefined> {
    const wait = readWait(options)
    return await this.#receive(
      wait,
      () => {
        const [message] = this.#left
        if (message === undefined) return undefined
        const { length } = message
        const room = targetOf(typeof target === 'function' ? target(length) : target)
        if (room.length < length) throw noRoomError(this.#title, length)
        room.set(this.#takeLeft()!)
        return length
      },
      (channel, rest) => channel.receiveInto(target, rest),
    )
  }

  async #receive<T>(
    { signal, timeout = Infinity }: Wait,
    takeLeft: () => T | undefined,
    take: (channel: Channel, rest: WaitOptions) => Promise<T | undefined>,
  ): Promise<T | undefined> {
    const end = now() + timeout
    for (;;) {
      const left = takeLeft()
      if (left !== undefined) return left
      if (this.#isDone) return undefined
      const way =
        this.#session.line ?? (await this.#session.ready({ signal, timeout: leftOf(end) }))
      try {
        const found = await take(way.channel, { signal, timeout: leftOf(end) })
        if (found !== undefined) return found
      } catch (error) {
        if (!hasCode(error, 'ERR_MILLRACE_PEER_GONE')) throw error
        way.over(error as Error)
        await way.ended
        continue
      }
      // The other side sends no more over this one.
      if (this.#saidEnd) {
        this.#isDone = true
        return undefined
      }
      if (!way.isOver()) await way.ending.wait({ signal, timeout: leftOf(end) })
    }
  }

  messages(options?: IterationOptions): Iteration<PlainBuffer> {
    return iterate(
      {
        take: (wait) => this.receive(wait),
        takeNow: () => (this.closed ? undefined : this.tryReceive()),
        handle: this,
      },
      options,
    )
  }

  [Symbol.asyncIterator](): Iteration<PlainBuffer> {
    return this.messages()
  }

  [selectable](): Readiness {
    const look = (thorough: boolean): 'ready' | 'ended' | undefined => {
      if (this.#left.length > 0) return 'ready'
      if (this.#isDone) return 'ended'
      if (this.closed) throw this.#whyClosed()
      try {
        const found = this.#session.line?.channel[selectable]().look(thorough)
        return found === 'ready' ? found : undefined
      } catch {
        return undefined // there will be another one
      }
    }
    return {
      look,
      watch: (told, failed) => {
        let stop: (() => void) | undefined
        const end = (): void => {
          this.#watchers.delete(watcher)
          stop?.()
          stop = undefined
        }
        const watcher = (): void => {
          stop?.()
          stop = undefined
          try {
            const state = look(true)
            if (state !== undefined) {
              end()
              told(state)
              return
            }
          } catch (error) {
            end()
            failed(error)
            return
          }
          const way = this.#session.line
          if (way === undefined || way.isOver()) return
          stop = way.channel[selectable]().watch(
            (state) => {
              if (state !== 'ready') return // another connection may have more
              end()
              told(state)
            },
            () => undefined, // likewise
          )
        }
        this.#watchers.add(watcher)
        watcher()
        return end
      },
    }
  }

  #takeLeft(): PlainBuffer | undefined {
    const message = this.#left.shift()
    if (message !== undefined) this.#leftBytes -= message.length
    return message
  }

  // What becomes of the connection

  #opened(way: Way): void {
    this.#last = way.channel
    if (!this.#alive) way.channel.unref()
    this.#holdLoop()
    this.#stirred()
  }

  #lost(reason: Error, way: Way): Omit<ConnectionLoss, 'reason'> {
    const dropped = this.#keepWhatCame(way.channel)
    const unknown = way.arrival?.unknown
    way.channel.destroy(reason)
    way.ending.resolveAll()
    this.#holdLoop()
    this.#stirred()
    return { unknown, dropped }
  }

  /** Messages that were not received yet; how many of them have no room. */
  #keepWhatCame(channel: Channel): number {
    let dropped = 0
    const hasRoom = this.#leftBytes < this.#making.highWaterMark
    for (;;) {
      let message: PlainBuffer | undefined
      try {
        message = channel.tryReceive()
      } catch {
        return dropped // that was all
      }
      if (message === undefined) {
        // It has ended in good order.
        this.#isDone = this.#saidEnd
        return dropped
      }
      if (hasRoom) {
        this.#left.push(message)
        this.#leftBytes += message.length
      } else dropped++
    }
  }

  #over(): void {
    this.#making.signal?.removeEventListener('abort', this.#onAbort)
    this.#holdLoop()
    this.#stirred()
  }

  #stirred(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }

  #holdLoop(): void {
    this.#holding.hold(this.#alive && !this.closed && this.#session.line === undefined)
  }

  // Its end

  async end(options?: WaitOptions): Promise<void> {
    const { signal, timeout = Infinity } = readWait(options)
    if (this.closed) throw this.#whyClosed()
    const end = now() + timeout
    const way = await this.#session.ready({ signal, timeout })
    await way.channel.end({ signal, timeout: leftOf(end) })
    this.#saidEnd = true
  }

  async close(options?: WaitOptions): Promise<void> {
    const given = checkOptions(options, waitNames)
    const limits = {
      timeout: duration(given, 'timeout', defaultCloseMs),
      signal: checkSignal(given.signal),
    }
    this.#leaveBy((channel) => {
      this.#leaving = channel.close(limits)
    }, undefined)
    await this.#leaving
  }

  destroy(reason?: Error): void {
    this.#leaveBy((channel) => {
      channel.destroy(reason)
    }, reason)
  }

  #leaveBy(leave: (channel: Channel) => void, reason: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#leave = leave
    this.#left.length = this.#leftBytes = 0
    const way = this.#session.line
    this.#session.close(reason)
    way?.ending.rejectAll(this.#whyClosed())
    this.#over()
  }

  ref(): this {
    this.#alive = true
    this.#session.keepAlive(true)
    this.#session.line?.channel.ref()
    this.#holdLoop()
    return this
  }

  unref(): this {
    this.#alive = false
    this.#session.keepAlive(false)
    this.#session.line?.channel.unref()
    this.#holdLoop()
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('ReconnectingChannel', how, () => ({
      address: this.address,
      state: this.state,
      peer: this.peer,
      traits: this.traits,
      closed: this.closed,
    }))
  }

  #assertSends(): void {
    if (this.closed) throw this.#whyClosed()
    if (this.#saidEnd) throw closedError(this.#title)
  }

  #whyClosed(): Error {
    return this.#session.why ?? closedError(this.#title)
  }
}

/** Of a message that was handed over. */
function unknownError(error: MillraceError): MillraceError {
  return new MillraceError(error.code, error.message, { cause: error, executed: 'unknown' })
}

function lateError(title: string, ms: number): Error {
  return timeoutError(
    `a message of ${title}`,
    ms,
    'the other side has ended, and is not there anew: see whether it runs, or allow more time',
  )
}
