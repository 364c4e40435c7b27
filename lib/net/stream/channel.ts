// A channel over a stream of bytes: a socket, or whatever else is a Duplex of Node's. Here are its life and its ends; its halves are
// `sending.ts` and `receiving.ts`.
//
// What has come and was not asked for is bounded by `highWaterMark`, as what is to be sent: beyond it the stream is paused, until half
// of it was taken.
//
// Ends. `end` says that there is no more, `bye` that nothing is taken either. A stream that ends without either is a death.
//
// One way. Who sends says hello and is told nothing; who receives says nothing, and closes by leaving.

import type { Duplex } from 'node:stream'

import type { ByteSource } from '../../base/bytes.js'
import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { iterate, type Iteration, type IterationOptions } from '../../base/iteration.js'
import {
  checkOptions,
  checkSignal,
  duration,
  readWait,
  waitNames,
  type WaitOptions,
} from '../../base/options.js'
import { outsideOfAll } from '../../base/outside.js'
import { selectable, type Readiness } from '../../base/selectable.js'
import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import type { PlainBuffer } from '../../base/view-constructor.js'
import { closedError, MillraceError } from '../../errors.js'
import type { Channel, Peer, Traits } from '../channel.js'
import {
  Decoder,
  frameOf,
  helloOf,
  Kind,
  protocolError,
  type Hello,
  type Sink,
} from '../framing.js'
import { Holding } from '../holding.js'
import { Inflow } from '../inflow.js'
import type { GivenConnection } from '../options.js'
import { Line, type Limits } from '../waits.js'
import { Arrival } from './arrival.js'
import { Beat } from './beat.js'
import type { Budget, Holder } from './budget.js'
import { noEndError, oneWayError, peerClosedError, peerGoneError, silentError } from './errors.js'
import type { StreamFacts } from './facts.js'
import { Receiving } from './receiving.js'
import { Sending } from './sending.js'
import type { Whole } from './whole.js'

const defaultCloseMs = 5000

export class StreamChannel implements Channel, Whole, Sink, Holder {
  /** @internal */
  readonly stream: Duplex
  /** @internal */
  readonly title: string
  readonly #facts: StreamFacts
  readonly #given: GivenConnection
  readonly #decoder: Decoder
  /** What this channel shares with the others of its listener, until its stream is gone; and what it has of that. */
  #budget: Budget | undefined
  #held = 0
  readonly #greeted = new Line<void>(helloLate)
  readonly #sending: Sending
  readonly #receiving: Receiving
  readonly #beat: Beat
  #paused = false
  #rateTimer: Timer | undefined
  #allowance: number
  #allowanceAt = now()
  #closed = false
  #answersMarks = false
  #over: Error | undefined
  #tellOver: ((why: Error) => void) | undefined
  /** When the stream is gone. */
  readonly #gone: Promise<void>
  #tellGone!: () => void
  #alive = true
  readonly #holding = new Holding()

  constructor(stream: Duplex, facts: StreamFacts, given: GivenConnection, budget?: Budget) {
    this.stream = stream
    this.#budget = budget
    this.title = `the channel to '${facts.address}'`
    this.#facts = facts
    this.#given = given
    this.#allowance = given.maxRate
    this.#sending = new Sending(this)
    this.#receiving = new Receiving(this, {
      roomy: () => {
        this.#resume()
      },
      leaveRoom: () => {
        this.#decoder.leaveRoom()
      },
      watched: () => {
        this.#holdLoop()
      },
    })
    this.#beat = this.#newBeat()
    this.#gone = new Promise((resolve) => {
      this.#tellGone = resolve
    })
    this.#decoder = new Decoder(this, given.maxBytes)
    outsideOfAll(
      (start) => {
        start()
      },
      () => {
        this.#begin()
      },
    )
  }

  get address(): string {
    return this.#facts.address
  }
  get peer(): Peer {
    return this.#facts.peer
  }
  get traits(): Traits {
    return { ...this.#facts.traits, maxBytes: this.#sending.peerMaxBytes }
  }
  get closed(): boolean {
    return this.#closed
  }
  /** @internal */
  get paused(): boolean {
    return this.#paused
  }
  /** @internal */
  get over(): Error | undefined {
    return this.#over
  }
  /** @internal */
  get directions(): Traits['directions'] {
    return this.#facts.traits.directions
  }
  get #onlyReceives(): boolean {
    return this.directions === 'receive'
  }
  /** @internal */
  get confirms(): boolean {
    return this.#facts.confirms
  }
  /** @internal */
  get highWaterMark(): number {
    return this.#given.highWaterMark
  }

  /** @internal */
  get isTight(): boolean {
    return this.#budget?.isSpent === true
  }
  /** @internal */
  holds(bytes: number): void {
    if (this.#budget === undefined) return
    this.#held += bytes
    this.#budget.add(bytes)
  }
  /** @internal */
  cutOff(error: Error): void {
    this.#breakOff(error)
  }

  /** @internal When the other side has said who it is. */
  greeted(limits: Limits): Promise<void> {
    if (this.#sending.peerMaxBytes > 0) return Promise.resolve()
    if (this.#over !== undefined) return Promise.reject(this.#over)
    return this.#greeted.wait(limits)
  }

  /** @internal Why nothing is sent any more, as soon as it is so. What has come can still be received. */
  whenOver(): Promise<Error> {
    if (this.#over !== undefined) return Promise.resolve(this.#over)
    return new Promise((resolve) => {
      this.#tellOver = resolve
    })
  }

  /** @internal What is known to have come to the other side, from now on; undefined: it does not say. */
  arrival(): Arrival | undefined {
    if (!this.#answersMarks || this.directions !== 'both') return undefined
    const sending = this.#sending
    return (sending.arrival ??= new Arrival(this.title, (number) => {
      sending.mark(number)
    }))
  }

  /** @internal When nothing of it is left. */
  get gone(): Promise<void> {
    return this.#gone
  }

  send(message: ByteSource, options?: WaitOptions): Promise<void> {
    return this.#sending.send(message, options)
  }

  trySend(message: ByteSource): boolean {
    return this.#sending.trySend(message)
  }

  receive(options?: WaitOptions): Promise<PlainBuffer | undefined> {
    return this.#receiving.receive(options)
  }

  tryReceive(): PlainBuffer | undefined {
    return this.#receiving.tryReceive()
  }

  receiveInto(
    target: ArrayBufferView | ((length: number) => ArrayBufferView),
    options?: WaitOptions,
  ): Promise<number | undefined> {
    return this.#receiving.receiveInto(target, options)
  }

  messages(options?: IterationOptions): Iteration<PlainBuffer> {
    return iterate(
      {
        take: (wait) => this.receive(wait),
        takeNow: () => this.tryReceive(),
        handle: this,
      },
      options,
    )
  }

  [Symbol.asyncIterator](): Iteration<PlainBuffer> {
    return this.messages()
  }

  [selectable](): Readiness {
    return this.#receiving.readiness()
  }

  // What the decoder finds

  /** @internal */
  hello({ maxBytes, heartbeat, marks }: Hello): void {
    this.#sending.peerMaxBytes = maxBytes
    this.#answersMarks = marks
    // Nobody asks who cannot answer.
    if (!this.#onlyReceives) this.#beat.start(this.#heartbeat, heartbeat)
    this.#greeted.resolveAll()
    this.#holdLoop()
  }

  /** @internal */
  room(length: number): Uint8Array | undefined {
    return this.#receiving.room(length)
  }

  /** @internal */
  filled(length: number): void {
    this.#receiving.filled(length)
  }

  /** @internal */
  message(bytes: Uint8Array): void {
    this.#allowance--
    this.#receiving.message(bytes as PlainBuffer)
  }

  /** @internal */
  within(piece: Buffer, at: number, end: number): void {
    this.#allowance--
    this.#receiving.within(piece, at, end)
  }

  /** @internal */
  signal(kind: number, number: number): void {
    switch (kind) {
      case Kind.end:
        this.#noMore()
        return
      case Kind.bye:
        this.#noMore()
        this.#byeCame()
        return
      case Kind.ping:
        this.#sending.answer()
        return
      case Kind.mark:
        // After `close` what comes is dropped.
        if (!this.#closed) this.#sending.tellReached(number)
        return
      case Kind.reached:
        this.#sending.arrival?.reached(number)
        return
      default: // a pong says that it lives, as all that comes does
    }
  }

  #noMore(): void {
    if (this.#receiving.peerEnded) return
    this.#receiving.noMore()
    this.#holdLoop()
  }

  /** Nobody takes what we send any more. */
  #byeCame(): void {
    if (this.#over === undefined && !this.#closed) this.#fail(peerClosedError(this.title))
    if (!this.#onlyReceives) this.stream.end()
  }

  // The stream

  get #heartbeat(): number {
    return this.#given.heartbeat ?? this.#facts.heartbeat
  }

  #begin(): void {
    const { stream } = this
    stream.on('end', () => {
      this.#ended()
    })
    stream.on('error', (error) => {
      this.#broke(error)
    })
    stream.on('close', () => {
      this.#broke(undefined)
      this.#letGo()
      this.#tellGone()
    })
    // Before what has come is looked at: it may want an answer.
    const { maxBytes } = this.#given
    if (this.directions === 'send') {
      // Nobody says what he takes: what this side may send is its own matter.
      this.#sending.peerMaxBytes = maxBytes
      this.#sending.put(helloOf({ maxBytes, heartbeat: 0, marks: false }))
    } else if (this.directions === 'both') {
      this.#sending.put(helloOf({ maxBytes, heartbeat: this.#heartbeat, marks: true }))
    }
    Inflow.begin(stream, (piece) => {
      this.#data(piece)
    })
    if (!this.#paused) stream.resume() // where it came paused, so that nobody read before it was known who writes
    this.#holdLoop()
  }

  #data(chunk: Buffer): void {
    this.#beat.heard()
    if (this.#closed) {
      this.#listenForBye(chunk)
      return
    }
    try {
      this.#decoder.push(chunk)
    } catch (error) {
      this.#receiving.settle(chunk)
      this.#breakOff(error as Error)
      return
    }
    this.#receiving.settle(chunk)
    this.#budget?.partial(this, this.#decoder.held)
    if (this.stream.destroyed) return
    const { arrivedBytes } = this.#receiving
    const isFull = arrivedBytes >= this.#given.highWaterMark || (arrivedBytes > 0 && this.isTight)
    if (isFull && !this.#paused) this.#pause()
    if (this.#given.maxRate !== Infinity) this.#judgeRate()
  }

  /** After `close` nothing counts but that the other side closes as well. */
  #listenForBye(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk)
    } catch {
      this.stream.destroy()
    }
    this.#receiving.drop()
  }

  #pause(): void {
    this.#paused = true
    this.stream.pause()
  }

  #resume(): void {
    if (this.#rateTimer !== undefined) return
    this.#paused = false
    this.#beat.listensAgain()
    this.stream.resume()
  }

  #judgeRate(): void {
    const { maxRate } = this.#given
    const time = now()
    this.#allowance = Math.min(
      maxRate,
      this.#allowance + ((time - this.#allowanceAt) * maxRate) / 1000,
    )
    this.#allowanceAt = time
    if (this.#allowance >= 0 || this.#rateTimer !== undefined) return
    this.#pause()
    this.#rateTimer = startTimer((-this.#allowance * 1000) / maxRate, () => {
      this.#rateTimer = undefined
      if (this.#receiving.isRoomy && !this.#closed) this.#resume()
    })
  }

  #ended(): void {
    if (this.#receiving.peerEnded) {
      // It has said so before.
      if (this.#sending.saidEnd) this.stream.end()
      return
    }
    this.#fail(this.#whyOver(undefined))
    this.stream.destroy()
  }

  #broke(cause: Error | undefined): void {
    this.#stopTimers()
    this.#fail(this.#whyOver(cause))
    this.#holdLoop()
  }

  /** Of a channel that this side has closed it is no news that the stream ends, unless something was still to be sent. */
  #whyOver(cause: Error | undefined): Error {
    const isDone = this.#closed && this.#sending.isDone
    if (isDone) return closedError(this.title)
    if (cause instanceof MillraceError) return cause
    return this.#facts.why?.() ?? peerGoneError(this.title, cause)
  }

  /** @internal */
  failed(error: Error): void {
    this.#fail(this.#whyOver(error))
  }

  /** Nothing is sent any more; what has come can be received, and then this is thrown. */
  #fail(error: Error): void {
    if (this.#over !== undefined) return
    this.#over = error
    this.#tellOver?.(error)
    this.#beat.stop()
    this.#sending.fail(error)
    this.#greeted.rejectAll(error)
    this.#receiving.fail(error)
    this.#holdLoop()
  }

  #newBeat(): Beat {
    const isDeaf = (): boolean => this.#paused
    return new Beat({
      get isDeaf() {
        return isDeaf()
      },
      ask: () => {
        if (!this.stream.writableEnded) this.#sending.put(frameOf(Kind.ping))
      },
      silent: (milliseconds) => {
        this.#breakOff(silentError(this.title, milliseconds))
      },
    })
  }

  /** What came of a dead one and can still be received is the program's matter. */
  #letGo(): void {
    this.#decoder.drop()
    const budget = this.#budget
    if (budget === undefined) return
    this.#budget = undefined
    budget.partial(this, 0)
    budget.add(-this.#held)
  }

  #stopTimers(): void {
    this.#beat.stop()
    stopTimer(this.#rateTimer)
  }

  // Its end

  async end(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    if (this.#over !== undefined) throw this.#over
    if (this.#closed) throw closedError(this.title)
    if (this.#onlyReceives) throw oneWayError(this.title, 'receives')
    if (this.#facts.halfCloses === false) throw noEndError(this.title)
    if (!this.#sending.saidEnd) {
      await this.#sending.allSent(wait)
      this.#sending.sayEnd(Kind.end)
    }
    await this.#sending.allWritten(wait)
  }

  async close(options?: WaitOptions): Promise<void> {
    const given = checkOptions(options, waitNames)
    const limits = {
      timeout: duration(given, 'timeout', defaultCloseMs),
      signal: checkSignal(given.signal),
    }
    if (this.#closed) {
      await this.#gone
      return
    }
    this.#closed = true
    this.#receiving.close(closedError(this.title))
    this.#receiving.tellWatchers()
    if (this.#over === undefined && !this.#onlyReceives) {
      const waiting = new Line<void>((ms) => this.#sending.late(ms))
      const inTime = waiting.wait(limits)
      inTime.catch(() => undefined)
      try {
        await Promise.race([this.#goodbye(), inTime])
      } catch {
        // It has died meanwhile, or takes too long: what could be done was done.
      }
      waiting.resolveAll()
    }
    this.#over ??= closedError(this.title)
    this.#tellOver?.(this.#over)
    this.#sending.arrival?.fail(this.#over)
    this.destroy()
    await this.#gone
  }

  async #goodbye(): Promise<void> {
    const sending = this.#sending
    if (this.#paused) this.#resume()
    await sending.allSent({})
    if (!sending.saidEnd) sending.sayEnd(Kind.bye)
    else sending.put(frameOf(Kind.bye))
    await sending.allWritten({})
    this.stream.end()
    // What is on its way to us must be read: a socket that is closed with unread data takes back what it has sent.
    await this.#gone
  }

  destroy(reason?: Error): void {
    this.#closed = true
    const error = reason ?? closedError(this.title)
    this.#fail(error)
    this.#receiving.close(this.#over ?? error)
    this.#tearDown()
  }

  /** The other side is not to be talked to any more. What came of it before is still received. */
  #breakOff(error: Error): void {
    this.#fail(error)
    this.#tearDown()
  }

  #tearDown(): void {
    this.#sending.drop()
    this.#decoder.drop()
    this.#budget?.partial(this, 0)
    this.#stopTimers()
    this.stream.destroy()
    this.#holdLoop()
  }

  ref(): this {
    this.#alive = true
    refStream(this.stream, true)
    this.#holdLoop()
    return this
  }

  unref(): this {
    this.#alive = false
    refStream(this.stream, false)
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
    return inspection('Channel', how, () => ({
      address: this.address,
      peer: this.peer,
      traits: this.traits,
      closed: this.closed,
    }))
  }

  /** A socket keeps the process alive by itself; other streams do not, and who waits does. */
  #holdLoop(): void {
    const isAtEnd = this.#onlyReceives && this.#receiving.peerEnded
    const open = this.#over === undefined && !this.stream.destroyed && !isAtEnd
    this.#holding.hold(this.#alive && open && !('ref' in this.stream))
  }
}

function refStream(stream: Duplex, alive: boolean): void {
  const { ref, unref } = stream as { ref?: () => void; unref?: () => void }
  if (alive) ref?.call(stream)
  else unref?.call(stream)
}

function helloLate(): Error {
  return protocolError('has not said who it is in time')
}
