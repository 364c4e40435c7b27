// The sending half of a channel over a stream. Small messages are written one behind the other into a batch, which leaves with the end
// of all that runs now, in one write; longer ones go as they are, behind their header. So many `send`s of one turn cost one system
// call. What waits is bounded by `highWaterMark`: beyond it `send` waits, until the stream has told that half of it went.

import { bytesOf, type ByteSource } from '../../base/bytes.js'
import { atTurn, turnIsDue } from '../../base/fairness.js'
import { readWait, type WaitOptions } from '../../base/options.js'
import { afterAllElse } from '../../base/time.js'
import { closedError, invalidArgument, MillraceError, timeoutError } from '../../errors.js'
import { frameOf, headerBytes, headerOf, Kind } from '../framing.js'
import { Line, type Limits } from '../waits.js'
import { oneWayError, unsentError } from './errors.js'
import type { Arrival } from './arrival.js'
import type { Whole } from './whole.js'

/** Messages up to this length are copied to the batch. */
const mostCopied = 4096
const batchBytes = 65_536
/** One for all: a promise for each message would be most of what sending it costs. */
const done = Promise.resolve()

/** Resolved, or to be resolved after the turn that is due. */
function sentFairly(): Promise<void> {
  if (!turnIsDue()) return done
  return new Promise<void>((resolve) => {
    atTurn(resolve, undefined)
  })
}

export class Sending {
  readonly #whole: Whole
  readonly #waiting = new Line<void>((ms) => this.late(ms))
  readonly #flushed = new Line<void>((ms) => this.late(ms))
  #batch: Buffer | undefined
  #batchUsed = 0
  #spare: Buffer | undefined
  #flushDue = false
  /** What those wait for whose messages are in the batch, if they wait until it is written. */
  #confirmation: Promise<void> | undefined
  #confirm: (() => void) | undefined
  /** Bytes that the stream has and the system has not. */
  #written = 0
  /** The longest message that the other side takes; 0: it has not said yet. */
  peerMaxBytes = 0
  #saidEnd = false
  /** A pong is on its way. */
  #answering = false
  /** Likewise the answer to a mark; and the number of the last one that came meanwhile. */
  #telling = false
  #toTell: number | undefined
  /** What is known to have come, if the other side says so. */
  arrival: Arrival | undefined

  constructor(whole: Whole) {
    this.#whole = whole
  }

  /** Was the other side told that there is no more? */
  get saidEnd(): boolean {
    return this.#saidEnd
  }
  /** Is nothing to be sent any more, and nothing on its way to the system? */
  get isDone(): boolean {
    return this.#written === 0 && this.#waiting.size === 0
  }

  send(message: ByteSource, options: WaitOptions | undefined): Promise<void> {
    try {
      const wait = options === undefined ? undefined : readWait(options)
      const bytes = message instanceof Uint8Array ? message : bytesOf(message, 'the message')
      this.#assertSends(bytes.length)
      if (this.#waiting.size === 0 && this.#hasRoom()) {
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
    if (this.#waiting.size > 0 || !this.#hasRoom()) return false
    if (bytes.length <= mostCopied) this.#batchUp(bytes)
    // Nobody waits for when the bytes may be changed: they are the caller's again at once.
    else this.#write(Buffer.from(bytes))
    return true
  }

  /** Something that is no message: at once, behind what is in the batch by then. */
  put(bytes: Uint8Array, written?: () => void): void {
    const { length } = bytes
    this.#written += length
    this.#whole.holds(length)
    this.#whole.stream.write(bytes, (error) => {
      // Told here first: those who wait for it must not take it for written.
      if (error) this.#whole.failed(error)
      this.#written -= length
      this.#whole.holds(-length)
      written?.()
      if (this.#written === 0 && this.#batch === undefined) this.#flushed.resolveAll()
      this.#serveWaiting()
    })
  }

  /** One answer at a time: whoever asks a thousand times and reads nothing must not have a thousand of them kept. */
  answer(): void {
    const { over, stream, directions } = this.#whole
    if (this.#answering || directions === 'receive' || over !== undefined || stream.writableEnded)
      return
    this.#answering = true
    this.put(frameOf(Kind.pong), () => {
      this.#answering = false
    })
  }

  /** All before the mark of that number has come. Of several, the last one says it of all. */
  tellReached(number: number): void {
    const { over, stream, directions } = this.#whole
    if (directions !== 'both' || over !== undefined || stream.writableEnded) return
    this.#toTell = number
    if (this.#telling) return
    this.#telling = true
    this.#toTell = undefined
    this.put(frameOf(Kind.reached, number), () => {
      this.#telling = false
      if (this.#toTell !== undefined) this.tellReached(this.#toTell)
    })
  }

  /** Behind all that was sent. */
  mark(number: number): void {
    if (this.#whole.stream.writableEnded) return
    this.#flush()
    this.put(frameOf(Kind.mark, number))
  }

  sayEnd(kind: number): void {
    this.#saidEnd = true
    this.#flush()
    this.put(frameOf(kind))
  }

  /** Those who wait to send have been served. */
  async allSent(limits: Limits): Promise<void> {
    if (this.#waiting.size > 0) await this.#waiting.wait(limits)
  }

  /** The system has all of it. */
  async allWritten(limits: Limits): Promise<void> {
    this.#flush()
    if (this.#whole.over !== undefined) throw this.#whole.over
    if (this.#written > 0) await this.#flushed.wait(limits)
  }

  /** Nothing is sent any more. */
  fail(error: Error): void {
    this.arrival?.fail(error)
    this.#waiting.rejectAll(unsentError(error))
    this.#flushed.rejectAll(error)
  }

  /** What was not handed to the stream yet goes nowhere. */
  drop(): void {
    this.#batch = undefined
    this.#confirm?.()
    this.#confirm = this.#confirmation = undefined
  }

  late(ms: number): Error {
    return timeoutError(
      `room in ${this.#whole.title}`,
      ms,
      'the other side receives too little: see whether it is stopped, or allow more time',
    )
  }

  async #sendLater(bytes: Uint8Array, limits: Limits): Promise<void> {
    const { length } = bytes
    await this.#waiting.wait(limits)
    // Whoever closed meanwhile was behind this one, and waits for it.
    if (this.#whole.over !== undefined) throw this.#whole.over
    if (this.#saidEnd) throw closedError(this.#whole.title)
    if (bytes.length !== length)
      throw invalidArgument('the message lost its memory while it waited to be sent')
    await (length <= mostCopied ? this.#sendSmall(bytes) : this.#sendLong(bytes, limits))
  }

  #sendSmall(bytes: Uint8Array): Promise<void> {
    this.#batchUp(bytes)
    return this.#whole.confirms ? (this.#confirmation ??= this.#whenWritten()) : sentFairly()
  }

  /** All that is in the batch now, or comes to it before it leaves. */
  #whenWritten(): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#confirm = () => {
        if (this.#whole.over === undefined) resolve()
        else reject(this.#whole.over)
      }
    })
  }

  #batchUp(bytes: Uint8Array): void {
    this.arrival?.sent()
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
  }

  /**
   * Resolves when the system has it: until then the bytes are not to be changed. What has begun goes whole, and cannot be taken back: so
   * of whoever waits for some time alone the message is copied, and that was the wait for room.
   */
  #sendLong(bytes: Uint8Array, { signal, timeout = Infinity }: Limits): Promise<void> {
    const waitsLong = signal === undefined && timeout === Infinity
    if (!waitsLong && !this.#whole.confirms) {
      this.#write(Buffer.from(bytes))
      return sentFairly()
    }
    const line = new Line<void>((ms) => this.late(ms))
    const done = line.wait({ timeout })
    const { first } = line
    this.#write(bytes, () => {
      if (this.#whole.over === undefined) first?.resolve()
      else first?.reject(this.#whole.over)
    })
    return done
  }

  #write(bytes: Uint8Array, written?: () => void): void {
    this.arrival?.sent()
    const header = Buffer.allocUnsafe(headerBytes)
    header.writeUInt32LE(headerOf(Kind.message, bytes.length), 0)
    this.#flush()
    const { stream } = this.#whole
    stream.cork()
    this.put(header)
    this.put(bytes, written)
    stream.uncork()
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
    const confirm = this.#confirm
    this.#confirm = this.#confirmation = undefined
    if (this.#whole.over !== undefined) {
      confirm?.()
      return
    }
    this.put(used === batchBytes ? batch : batch.subarray(0, used), () => {
      this.#spare = batch
      confirm?.()
    })
  }

  readonly #serveNext = (): void => {
    this.#serveWaiting()
  }

  #hasRoom(): boolean {
    const waits = this.#written + this.#batchUsed
    return waits < this.#whole.highWaterMark && (waits === 0 || !this.#whole.isTight)
  }

  #serveWaiting(): void {
    if (this.#waiting.size === 0) return
    const { isTight, highWaterMark } = this.#whole
    if (this.#written + this.#batchUsed > (isTight ? 0 : highWaterMark / 2)) return
    // One at a time: each sends before the next one is asked, so that there is room for it. That takes a microtask behind the one in which
    // it sends: ticks all run before those.
    const first = this.#waiting.first
    if (first === undefined) return
    first.resolve()
    if (this.#waiting.size > 0) void done.then(this.#serveNext)
  }

  #assertSends(length: number): void {
    const { over, closed, directions, title } = this.#whole
    if (over !== undefined) throw over
    if (closed || this.#saidEnd) throw closedError(title)
    if (directions === 'receive') throw oneWayError(title, 'receives')
    if (length > this.peerMaxBytes) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `a message of ${String(length)} bytes is longer than the other side of ${title} takes, which is ` +
          `${String(this.peerMaxBytes)}: open that with a larger maxBytes, or send it in parts`,
      )
    }
  }
}
