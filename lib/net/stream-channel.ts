// A channel over a stream of bytes: a socket, or whatever else is a Duplex of Node's.
//
// Sending. Small messages are written one behind the other into a batch, which leaves with the end of all that runs now, in one
// write; longer ones go as they are, behind their header. So many `send`s of one turn cost one system call. What waits is bounded by
// `highWaterMark`: beyond it `send` waits, until the stream has told that half of it went.
//
// Receiving. What has come and was not asked for is bounded likewise: beyond it the stream is paused, until half of it was taken.
//
// Ends. `end` says that there is no more, `bye` that nothing is taken either. A stream that ends without either is a death.

import type { Duplex } from 'node:stream'

import { hold, letGo } from '../addon/keep-alive.js'
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
  type WaitOptions,
} from '../base/options.js'
import { outsideOfAll } from '../base/outside.js'
import { selectable, type Readiness } from '../base/selectable.js'
import { afterAllElse, now, startTimer, stopTimer, type Timer } from '../base/time.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { closedError, invalidArgument, MillraceError, timeoutError } from '../errors.js'
import type { Channel, Peer, Traits } from './channel.js'
import {
  Decoder,
  frameOf,
  headerBytes,
  headerOf,
  helloOf,
  Kind,
  protocolError,
  type Hello,
  type Sink,
} from './framing.js'
import type { GivenConnection } from './options.js'
import { Line, type Limits } from './waits.js'

/** Messages up to this length are copied to the batch. */
const mostCopied = 4096
const batchBytes = 65_536
const defaultCloseMs = 5000
/** What a message that waits here costs beside its bytes, about. */
const messageCost = 64
/** The other side may want signs of life, but not so many that they are work. */
const leastBeatMs = 100

/** What the transport says of a stream. */
export interface StreamFacts {
  readonly address: string
  readonly peer: Peer
  readonly traits: Omit<Traits, 'maxBytes'>
  /** Milliseconds of silence, if the program does not say; 0: death is told. */
  readonly heartbeat: number
}

type Filling = (length: number) => Uint8Array | undefined

interface Asking {
  readonly into: Filling | undefined
}

export class StreamChannel implements Channel {
  readonly #stream: Duplex
  readonly #facts: StreamFacts
  readonly #given: GivenConnection
  readonly #decoder: Decoder
  readonly #title: string
  readonly #greeted = new Line<void>(() => this.#helloLate())
  // Sending
  readonly #senders = new Line<void>((ms) => this.#sendLate(ms))
  readonly #flushed = new Line<void>((ms) => this.#sendLate(ms))
  #batch: Buffer | undefined
  #batchUsed = 0
  #spare: Buffer | undefined
  #flushDue = false
  /** Bytes that the stream has and the system has not. */
  #written = 0
  #peerMaxBytes = 0
  #sentEnd = false
  // Receiving
  readonly #arrived: (PlainBuffer | undefined)[] = []
  #arrivedAt = 0
  #arrivedBytes = 0
  readonly #receivers = new Line<PlainBuffer | number | undefined>((ms) => this.#receiveLate(ms))
  readonly #asking = new Map<object, Asking>()
  #filling: object | undefined
  readonly #watchers = new Set<() => void>()
  #peerEnded = false
  #paused = false
  // Its end
  #closed = false
  #over: Error | undefined
  /** When the stream is gone. */
  readonly #gone: Promise<void>
  #tellGone!: () => void
  #alive = true
  #holding = false
  readonly #beat: { timer: Timer | undefined; heardAt: number; silence: number; answered: boolean }
  /** A pong is on its way. */
  #answering = false
  #rateTimer: Timer | undefined
  #allowance: number
  #allowanceAt = now()

  constructor(stream: Duplex, facts: StreamFacts, given: GivenConnection) {
    this.#stream = stream
    this.#facts = facts
    this.#given = given
    this.#title = `the channel to '${facts.address}'`
    this.#allowance = given.maxRate
    this.#beat = { timer: undefined, heardAt: now(), silence: 0, answered: true }
    this.#gone = new Promise((resolve) => {
      this.#tellGone = resolve
    })
    const sink: Sink = {
      hello: (hello) => {
        this.#hello(hello)
      },
      room: (length) => this.#room(length),
      message: (bytes, isOwn) => {
        this.#message(bytes, isOwn)
      },
      filled: (length) => {
        this.#filled(length)
      },
      signal: (kind) => {
        this.#signal(kind)
      },
    }
    this.#decoder = new Decoder(sink, given.maxBytes)
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
    return { ...this.#facts.traits, maxBytes: this.#peerMaxBytes }
  }
  get closed(): boolean {
    return this.#closed
  }

  /** @internal When the other side has said who it is. */
  greeted(limits: Limits): Promise<void> {
    if (this.#peerMaxBytes > 0) return Promise.resolve()
    if (this.#over !== undefined) return Promise.reject(this.#over)
    return this.#greeted.wait(limits)
  }

  /** @internal When nothing of it is left. */
  get gone(): Promise<void> {
    return this.#gone
  }

  // Sending

  send(message: ByteSource, options?: WaitOptions): Promise<void> {
    try {
      const wait = options === undefined ? undefined : readWait(options)
      const bytes = message instanceof Uint8Array ? message : bytesOf(message, 'the message')
      this.#assertSends(bytes.length)
      if (this.#senders.size === 0 && this.#hasRoom()) {
        return bytes.length <= mostCopied
          ? this.#sendSmall(bytes)
          : this.#sendLong(bytes, wait ?? {})
      }
      return this.#sendLater(bytes, wait ?? {})
    } catch (error) {
      return Promise.reject(error)
    }
  }

  trySend(message: ByteSource): boolean {
    const bytes = message instanceof Uint8Array ? message : bytesOf(message, 'the message')
    this.#assertSends(bytes.length)
    if (this.#senders.size > 0 || !this.#hasRoom()) return false
    if (bytes.length <= mostCopied) void this.#sendSmall(bytes)
    // Nobody waits for when the bytes may be changed: they are the caller's again at once.
    else this.#write(bytes.length, Buffer.from(bytes))
    return true
  }

  async #sendLater(bytes: Uint8Array, limits: Limits): Promise<void> {
    const { length } = bytes
    await this.#senders.wait(limits)
    // Whoever closed meanwhile was behind this one, and waits for it.
    if (this.#over !== undefined) throw this.#over
    if (this.#sentEnd) throw closedError(this.#title)
    if (bytes.length !== length)
      throw invalidArgument('the message lost its memory while it waited to be sent')
    await (length <= mostCopied ? this.#sendSmall(bytes) : this.#sendLong(bytes, limits))
  }

  #sendSmall(bytes: Uint8Array): Promise<void> {
    const { length } = bytes
    if (this.#batch !== undefined && this.#batchUsed + headerBytes + length > batchBytes)
      this.#flush()
    let batch = this.#batch
    if (batch === undefined) {
      batch = this.#batch = this.#spare ?? Buffer.allocUnsafeSlow(batchBytes)
      this.#spare = undefined
      this.#batchUsed = 0
    }
    const at = this.#batchUsed
    batch[at] = length
    batch[at + 1] = length >>> 8
    batch[at + 2] = length >>> 16
    batch[at + 3] = 0
    batch.set(bytes, at + headerBytes)
    this.#batchUsed = at + headerBytes + length
    this.#flushSoon()
    return fairly(undefined)
  }

  /** Resolves when the system has it: until then the bytes are not to be changed. */
  #sendLong(bytes: Uint8Array, limits: Limits): Promise<void> {
    let tell: (() => void) | undefined
    const line = new Line<void>((ms) => this.#sendLate(ms))
    // What has begun goes whole: an abort cannot take it back, and only ends the wait for it.
    const done = line.wait({ timeout: limits.timeout }, (pending) => {
      tell = () => {
        if (this.#over === undefined) pending.resolve()
        else pending.reject(this.#over)
      }
    })
    this.#write(bytes.length, bytes, () => tell?.())
    return done
  }

  #write(length: number, bytes: Uint8Array, written?: () => void): void {
    const header = Buffer.allocUnsafe(headerBytes)
    header.writeUInt32LE(headerOf(Kind.message, length), 0)
    this.#flush()
    this.#stream.cork()
    this.#put(header)
    this.#put(bytes, written)
    this.#stream.uncork()
  }

  #flushSoon(): void {
    if (this.#flushDue) return
    this.#flushDue = true
    afterAllElse(this.#flushNow)
  }

  readonly #flushNow = (): void => {
    this.#flushDue = false
    this.#flush()
  }

  #flush(): void {
    const batch = this.#batch
    if (batch === undefined) return
    this.#batch = undefined
    const used = this.#batchUsed
    this.#batchUsed = 0
    if (this.#over !== undefined) return
    this.#put(used === batchBytes ? batch : batch.subarray(0, used), () => {
      this.#spare = batch
    })
  }

  #put(bytes: Uint8Array, written?: () => void): void {
    const { length } = bytes
    this.#written += length
    this.#stream.write(bytes, () => {
      this.#written -= length
      written?.()
      if (this.#written === 0 && this.#batch === undefined) this.#flushed.resolveAll()
      this.#serveSenders()
    })
  }

  #hasRoom(): boolean {
    return this.#written + this.#batchUsed < this.#given.highWaterMark
  }

  #serveSenders(): void {
    if (this.#senders.size === 0) return
    if (this.#written + this.#batchUsed > this.#given.highWaterMark / 2) return
    // One at a time: each sends before the next one is asked, and the last one that has room asks for the next.
    const first = this.#senders.first
    if (first === undefined) return
    first.resolve()
    if (this.#senders.size > 0)
      afterAllElse(() => {
        this.#serveSenders()
      })
  }

  #assertSends(length: number): void {
    if (this.#over !== undefined) throw this.#over
    if (this.#closed || this.#sentEnd) throw closedError(this.#title)
    if (this.#facts.traits.directions === 'receive') throw this.#oneWay('receives')
    if (length > this.#peerMaxBytes) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `a message of ${String(length)} bytes is longer than the other side of ${this.#title} takes, which is ` +
          `${String(this.#peerMaxBytes)}: open that with a larger maxBytes, or send it in parts`,
      )
    }
  }

  // Receiving

  receive(options?: WaitOptions): Promise<PlainBuffer | undefined> {
    try {
      const wait = options === undefined ? undefined : readWait(options)
      if (this.#receivers.size === 0) {
        const message = this.#next()
        if (message !== undefined) return fairly(message)
        if (this.#isAtEnd()) return this.#end()
      }
      return this.#ask(wait ?? {}, undefined) as Promise<PlainBuffer | undefined>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  tryReceive(): PlainBuffer | undefined {
    if (this.#receivers.size > 0) return undefined
    const message = this.#next()
    if (message === undefined && this.#over !== undefined && !this.#peerEnded) throw this.#over
    return message
  }

  async receiveInto(
    target: ArrayBufferView | ((length: number) => ArrayBufferView),
    options?: WaitOptions,
  ): Promise<number | undefined> {
    const wait = readWait(options)
    const whole = typeof target === 'function' ? undefined : targetOf(target)
    const into: Filling = (length) => {
      const room = whole ?? targetOf((target as (length: number) => ArrayBufferView)(length))
      return room.length < length ? undefined : room.subarray(0, length)
    }
    const limits = { signal: wait.signal, timeout: wait.timeout }
    for (;;) {
      if (this.#receivers.size === 0) {
        const message = this.#peek()
        if (message !== undefined) {
          const room = into(message.length)
          if (room === undefined) throw this.#noRoom(message.length)
          this.#next()
          room.set(message)
          return message.length
        }
        if (this.#isAtEnd()) {
          await this.#end()
          return undefined
        }
      }
      const found = await this.#ask(limits, into)
      if (typeof found === 'number') {
        if (found >= 0) return found
        continue // there is one, and this is the first who asks
      }
      if (found === undefined) return undefined
      const room = into(found.length)
      if (room !== undefined) {
        room.set(found)
        return found.length
      }
      this.#putBack(found)
      throw this.#noRoom(found.length)
    }
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
    const look = (): 'ready' | 'ended' | undefined => {
      if (this.#peek() !== undefined) return 'ready'
      if (this.#peerEnded) return 'ended'
      if (this.#over !== undefined) throw this.#over
      return undefined
    }
    return {
      look,
      watch: (told, failed) => {
        const watcher = (): void => {
          let state
          try {
            state = look()
          } catch (error) {
            end()
            failed(error)
            return
          }
          if (state === undefined) return
          end()
          told(state)
        }
        const end = (): void => {
          this.#watchers.delete(watcher)
          this.#holdLoop()
        }
        this.#watchers.add(watcher)
        this.#holdLoop()
        watcher()
        return end
      },
    }
  }

  #ask(limits: Limits, into: Filling | undefined): Promise<PlainBuffer | number | undefined> {
    let key: object | undefined
    const left = (): void => {
      if (key !== undefined) this.#asking.delete(key)
      if (this.#filling === undefined || this.#filling !== key) return
      this.#filling = undefined
      this.#decoder.leaveRoom()
    }
    return this.#receivers.wait(
      limits,
      (pending) => {
        key = pending
        if (into !== undefined) this.#asking.set(pending, { into })
      },
      left,
    )
  }

  #peek(): PlainBuffer | undefined {
    return this.#arrived[this.#arrivedAt]
  }

  #next(): PlainBuffer | undefined {
    const message = this.#arrived[this.#arrivedAt]
    if (message === undefined) return undefined
    this.#arrived[this.#arrivedAt++] = undefined
    if (this.#arrivedAt === this.#arrived.length) {
      this.#arrived.length = this.#arrivedAt = 0
    } else if (this.#arrivedAt > 1024 && this.#arrivedAt * 2 > this.#arrived.length) {
      this.#arrived.splice(0, this.#arrivedAt)
      this.#arrivedAt = 0
    }
    this.#arrivedBytes -= message.length + messageCost
    if (this.#paused && this.#arrivedBytes <= this.#given.highWaterMark / 2) this.#resume()
    return message
  }

  #putBack(message: PlainBuffer): void {
    if (this.#arrivedAt > 0) this.#arrived[--this.#arrivedAt] = message
    else this.#arrived.unshift(message)
    this.#arrivedBytes += message.length + messageCost
  }

  /** Is nothing there, and nothing to come? */
  #isAtEnd(): boolean {
    return this.#peek() === undefined && (this.#peerEnded || this.#over !== undefined)
  }

  #end(): Promise<undefined> {
    if (this.#facts.traits.directions === 'send') return Promise.reject(this.#oneWay('sends'))
    if (this.#closed && this.#over !== undefined) return Promise.reject(this.#over)
    if (this.#peerEnded) return fairly(undefined)
    return Promise.reject(this.#over!)
  }

  // What the decoder finds

  #hello({ maxBytes, heartbeat }: Hello): void {
    this.#peerMaxBytes = maxBytes
    const own = this.#given.heartbeat ?? this.#facts.heartbeat
    this.#beat.silence = own
    const wanted = heartbeat > 0 ? Math.max(heartbeat, leastBeatMs) : 0
    const every = Math.min(...[own, wanted].filter((ms) => ms > 0)) / 2
    if (every !== Infinity) this.#beatEvery(Math.max(every, 1))
    this.#greeted.resolveAll()
    this.#holdLoop()
  }

  #room(length: number): Uint8Array | undefined {
    const first = this.#receivers.first
    if (first === undefined || this.#peek() !== undefined) return undefined
    const into = this.#asking.get(first)?.into
    if (into === undefined) return undefined
    let room: Uint8Array | undefined
    try {
      room = into(length)
    } catch (error) {
      this.#asking.delete(first)
      first.reject(error)
      return undefined
    }
    if (room === undefined) return undefined
    this.#filling = first
    return room
  }

  #filled(length: number): void {
    const first = this.#receivers.first
    if (first !== undefined && this.#filling === first) {
      this.#filling = undefined
      this.#asking.delete(first)
      first.resolve(length)
    }
  }

  #message(bytes: Uint8Array, isOwn: boolean): void {
    this.#allowance--
    let message = bytes as PlainBuffer
    if (!isOwn) {
      message = Buffer.allocUnsafeSlow(bytes.length)
      message.set(bytes)
    }
    const first = this.#peek() === undefined ? this.#receivers.first : undefined
    if (first !== undefined) {
      this.#asking.delete(first)
      first.resolve(message)
      return
    }
    this.#arrived.push(message)
    this.#arrivedBytes += message.length + messageCost
    for (const watcher of [...this.#watchers]) watcher()
  }

  #signal(kind: number): void {
    switch (kind) {
      case Kind.end:
        this.#noMore()
        return
      case Kind.bye:
        this.#noMore()
        this.#byeCame()
        return
      case Kind.ping:
        this.#answer()
        return
      default: // a pong says that it lives, as all that comes does
    }
  }

  /** One answer at a time: whoever asks a thousand times and reads nothing must not have a thousand of them kept. */
  #answer(): void {
    if (this.#answering || this.#over !== undefined || this.#stream.writableEnded) return
    this.#answering = true
    this.#put(frameOf(Kind.pong), () => {
      this.#answering = false
    })
  }

  #noMore(): void {
    if (this.#peerEnded) return
    this.#peerEnded = true
    if (this.#peek() === undefined) this.#receivers.resolveAll(undefined)
    for (const watcher of [...this.#watchers]) watcher()
    this.#holdLoop()
  }

  /** Nobody takes what we send any more. */
  #byeCame(): void {
    if (this.#over === undefined && !this.#closed) {
      this.#fail(
        new MillraceError(
          'ERR_MILLRACE_PEER_GONE',
          `the other side of ${this.#title} has closed: nobody receives what is sent; connect again to go on`,
        ),
      )
    }
    this.#stream.end()
  }

  // The stream

  #begin(): void {
    const stream = this.#stream
    stream.on('data', (chunk: Buffer) => {
      this.#data(chunk)
    })
    stream.on('end', () => {
      this.#ended()
    })
    stream.on('error', (error) => {
      this.#broke(error)
    })
    stream.on('close', () => {
      this.#broke(undefined)
      this.#tellGone()
    })
    stream.resume() // where it came paused, so that nobody read before it was known who writes
    const heartbeat = this.#given.heartbeat ?? this.#facts.heartbeat
    this.#put(helloOf({ maxBytes: this.#given.maxBytes, heartbeat }))
    this.#holdLoop()
  }

  #data(chunk: Buffer): void {
    this.#beat.heardAt = now()
    this.#beat.answered = true
    if (this.#closed) {
      this.#listenForBye(chunk)
      return
    }
    try {
      this.#decoder.push(chunk)
    } catch (error) {
      this.#breakOff(error as Error)
      return
    }
    if (this.#arrivedBytes >= this.#given.highWaterMark && !this.#paused) this.#pause()
    if (this.#given.maxRate !== Infinity) this.#judgeRate()
  }

  /** After `close` nothing counts but that the other side closes as well. */
  #listenForBye(chunk: Buffer): void {
    try {
      this.#decoder.push(chunk)
    } catch {
      this.#stream.destroy()
    }
    this.#arrived.length = this.#arrivedAt = this.#arrivedBytes = 0
  }

  #pause(): void {
    this.#paused = true
    this.#stream.pause()
  }

  #resume(): void {
    if (this.#rateTimer !== undefined) return
    this.#paused = false
    this.#beat.heardAt = now()
    this.#stream.resume()
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
      if (this.#arrivedBytes <= this.#given.highWaterMark / 2 && !this.#closed) this.#resume()
    })
  }

  #ended(): void {
    if (this.#peerEnded) {
      // It has said so before.
      if (this.#sentEnd) this.#stream.end()
      return
    }
    this.#fail(this.#whyOver(undefined))
    this.#stream.destroy()
  }

  #broke(cause: Error | undefined): void {
    stopTimer(this.#beat.timer)
    stopTimer(this.#rateTimer)
    this.#beat.timer = undefined
    this.#fail(this.#whyOver(cause))
    this.#holdLoop()
  }

  /** Of a channel that this side has closed it is no news that the stream ends, unless something was still to be sent. */
  #whyOver(cause: Error | undefined): Error {
    const isDone = this.#closed && this.#written === 0 && this.#senders.size === 0
    return isDone ? closedError(this.#title) : this.#peerGone(cause)
  }

  /** Nothing is sent any more; what has come can be received, and then this is thrown. */
  #fail(error: Error): void {
    if (this.#over !== undefined) return
    this.#over = error
    this.#senders.rejectAll(error)
    this.#flushed.rejectAll(error)
    this.#greeted.rejectAll(error)
    if (!this.#peerEnded && this.#peek() === undefined) this.#receivers.rejectAll(error)
    for (const watcher of [...this.#watchers]) watcher()
    this.#holdLoop()
  }

  #beatEvery(milliseconds: number): void {
    const tick = (): void => {
      const { heardAt, silence } = this.#beat
      if (this.#over !== undefined) return
      // Who does not read hears nothing, and the other side is not to blame.
      if (!this.#paused) {
        const quiet = now() - heardAt
        if (silence > 0 && quiet >= silence && !this.#beat.answered) {
          this.#breakOff(this.#silentError(silence))
          return
        }
        if (quiet >= milliseconds) this.#beat.answered = false
      }
      if (!this.#stream.writableEnded) this.#put(frameOf(Kind.ping))
      this.#beat.timer = startTimer(milliseconds, tick)
    }
    this.#beat.timer = startTimer(milliseconds, tick)
  }

  // Its end

  async end(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    if (this.#over !== undefined) throw this.#over
    if (this.#closed) throw closedError(this.#title)
    if (!this.#sentEnd) {
      await this.#allSent(wait)
      this.#sayEnd(Kind.end)
    }
    await this.#allWritten(wait)
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
    this.#receivers.rejectAll(closedError(this.#title))
    this.#arrived.length = this.#arrivedAt = this.#arrivedBytes = 0
    for (const watcher of [...this.#watchers]) watcher()
    if (this.#over === undefined) {
      const waiting = new Line<void>((ms) => this.#sendLate(ms))
      const inTime = waiting.wait(limits)
      inTime.catch(() => undefined)
      try {
        await Promise.race([this.#goodbye(), inTime])
      } catch {
        // It has died meanwhile, or takes too long: what could be done was done.
      }
      waiting.resolveAll()
    }
    this.#over ??= closedError(this.#title)
    this.destroy()
    await this.#gone
  }

  async #goodbye(): Promise<void> {
    if (this.#paused) this.#resume()
    await this.#allSent({})
    if (!this.#sentEnd) this.#sayEnd(Kind.bye)
    else this.#put(frameOf(Kind.bye))
    await this.#allWritten({})
    this.#stream.end()
    // What is on its way to us must be read: a socket that is closed with unread data takes back what it has sent.
    await this.#gone
  }

  destroy(reason?: Error): void {
    this.#closed = true
    const error = reason ?? closedError(this.#title)
    this.#fail(error)
    this.#receivers.rejectAll(this.#over ?? error)
    this.#arrived.length = this.#arrivedAt = this.#arrivedBytes = 0
    this.#batch = undefined
    stopTimer(this.#beat.timer)
    stopTimer(this.#rateTimer)
    this.#stream.destroy()
    this.#holdLoop()
  }

  /** The other side is not to be talked to any more. What came of it before is still received. */
  #breakOff(error: Error): void {
    this.#fail(error)
    this.#batch = undefined
    stopTimer(this.#beat.timer)
    stopTimer(this.#rateTimer)
    this.#stream.destroy()
    this.#holdLoop()
  }

  ref(): this {
    this.#alive = true
    refStream(this.#stream, true)
    this.#holdLoop()
    return this
  }

  unref(): this {
    this.#alive = false
    refStream(this.#stream, false)
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

  /** Those who wait to send have been served. */
  async #allSent(limits: Limits): Promise<void> {
    if (this.#senders.size > 0) await this.#senders.wait(limits)
  }

  #sayEnd(kind: number): void {
    this.#sentEnd = true
    this.#flush()
    this.#put(frameOf(kind))
  }

  async #allWritten(limits: Limits): Promise<void> {
    this.#flush()
    if (this.#over !== undefined) throw this.#over
    if (this.#written > 0) await this.#flushed.wait(limits)
  }

  /** A socket keeps the process alive by itself; other streams do not, and who waits does. */
  #holdLoop(): void {
    const open = this.#over === undefined && !this.#stream.destroyed
    const holds = this.#alive && open && !('ref' in this.#stream)
    if (holds === this.#holding) return
    this.#holding = holds
    if (holds) hold()
    else letGo()
  }

  // What goes wrong

  #peerGone(cause: Error | undefined): Error {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the other side of ${this.#title} is gone: it has died, or the connection broke; what was sent last may not have arrived; connect ` +
        'again to go on',
      { cause },
    )
  }

  #silentError(silence: number): Error {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `nothing came from the other side of ${this.#title} for ${String(silence)} ms (heartbeat), though it was asked: it has died, or the ` +
        'way to it is cut, or its event loop stood still',
    )
  }

  #oneWay(does: string): Error {
    return new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED',
      `${this.#title} only ${does}: open one that goes both ways, or a second one for the way back`,
    )
  }

  #noRoom(length: number): Error {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `the next message of ${this.#title} has ${String(length)} bytes, more than the target: it stays the next one; give a larger target`,
    )
  }

  #helloLate(): Error {
    return protocolError('has not said who it is in time')
  }

  #sendLate(ms: number): Error {
    return timeoutError(
      `room in ${this.#title}`,
      ms,
      'the other side receives too little: see whether it is stopped, or allow more time',
    )
  }

  #receiveLate(ms: number): Error {
    return timeoutError(
      `a message of ${this.#title}`,
      ms,
      'the other side has sent none: see whether it is at work, or allow more time',
    )
  }
}

function refStream(stream: Duplex, alive: boolean): void {
  const { ref, unref } = stream as { ref?: () => void; unref?: () => void }
  if (alive) ref?.call(stream)
  else unref?.call(stream)
}
