// The receiving half of a channel over a stream: what has come and was not asked for, and those who asked and have nothing yet. One
// of the two is empty.
//
// Short messages that come together stay together until they are asked for, in the piece that they came in: as a run of frames, of
// which each message is copied when it is taken. So what is not asked for yet is no garbage collector's work.

import { targetOf } from '../../base/bytes.js'
import { fairly } from '../../base/fairness.js'
import { readWait, type WaitOptions } from '../../base/options.js'
import type { Readiness } from '../../base/selectable.js'
import type { PlainBuffer } from '../../base/view-constructor.js'
import { abortedError, timeoutError } from '../../errors.js'
import { headerBytes } from '../framing.js'
import { isReused } from '../inflow.js'
import { Line, Pending, type Limits } from '../waits.js'
import { noRoomError, oneWayError } from './errors.js'
import type { Whole } from './whole.js'

/** What a message that waits here costs beside its bytes, about. */
const messageCost = 64

/** Messages up to this length are copied in one call, to memory that was cleared before. */
const mostSliced = 512
const { slice } = Uint8Array.prototype as unknown as {
  readonly slice: (at: number, end: number) => Buffer
}
/** Is a slice of a Buffer one as well? */
const slicesAreBuffers = slice.call(Buffer.of(1), 0, 1) instanceof Buffer

/** Frames of messages, one behind the other. */
interface Run {
  piece: Buffer
  /** Where the header of the next one lies. */
  at: number
  end: number
}

type Filling = (length: number) => Uint8Array | undefined
type Found = PlainBuffer | number | undefined

/** Whom this half tells. */
export interface Steering {
  /** There is room again. */
  roomy(): void
  /** Whoever gave room for the message that is coming does not want it any more. */
  leaveRoom(): void
  /** Somebody watches, or does not any more. */
  watched(): void
}

/** One who asks for a message. */
class Asking extends Pending<Found> {
  readonly into: Filling | undefined
  readonly #receiving: Receiving

  constructor(receiving: Receiving, line: Line<Found>, limits: Limits, into: Filling | undefined) {
    super(line, limits)
    this.#receiving = receiving
    this.into = into
  }

  protected override left(): void {
    this.#receiving.left(this)
  }
}

const forEver: Limits = {}

export class Receiving {
  readonly #whole: Whole
  readonly #steering: Steering
  readonly #arrived: (PlainBuffer | Run | undefined)[] = []
  #arrivedAt = 0
  #arrivedBytes = 0
  /** The last one that has arrived, if it is a run of the piece that is taken apart; and those of that piece. */
  #run: Run | undefined
  readonly #runs: Run[] = []
  readonly #receivers = new Line<Found>((ms) => this.#late(ms))
  /** Whose room the message that is coming is written to. */
  #filling: Pending<Found> | undefined
  readonly #watchers = new Set<() => void>()
  /** The other side has said that there is no more. */
  #peerEnded = false

  constructor(whole: Whole, steering: Steering) {
    this.#whole = whole
    this.#steering = steering
  }

  get peerEnded(): boolean {
    return this.#peerEnded
  }
  /** Bytes that nobody has asked for. */
  get arrivedBytes(): number {
    return this.#arrivedBytes
  }
  /** May more of them come? */
  get isRoomy(): boolean {
    return this.#arrivedBytes <= (this.#whole.isTight ? 0 : this.#whole.highWaterMark / 2)
  }

  receive(options: WaitOptions | undefined): Promise<PlainBuffer | undefined> {
    try {
      const wait = options === undefined ? undefined : readWait(options)
      this.#assertReceives()
      if (this.#receivers.size === 0) {
        const message = this.#next()
        if (message !== undefined) return fairly(message)
        if (this.#isAtEnd()) return this.#end()
      }
      return this.#ask(wait ?? forEver, undefined) as Promise<PlainBuffer | undefined>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  tryReceive(): PlainBuffer | undefined {
    this.#assertReceives()
    if (this.#receivers.size > 0) return undefined
    const message = this.#next()
    const { over, closed } = this.#whole
    if (message !== undefined || over === undefined) return message
    if (this.#peerEnded && !closed) return undefined
    throw over
  }

  async receiveInto(
    target: ArrayBufferView | ((length: number) => ArrayBufferView),
    options: WaitOptions | undefined,
  ): Promise<number | undefined> {
    const wait = readWait(options)
    this.#assertReceives()
    const whole = typeof target === 'function' ? undefined : targetOf(target)
    const into: Filling = (length) => {
      const room = whole ?? targetOf((target as (length: number) => ArrayBufferView)(length))
      return room.length < length ? undefined : room.subarray(0, length)
    }
    const limits = { signal: wait.signal, timeout: wait.timeout }
    for (;;) {
      if (this.#receivers.size === 0) {
        const length = this.#nextLength()
        if (length !== undefined) {
          const room = into(length)
          if (room === undefined) throw noRoomError(this.#whole.title, length)
          room.set(this.#next()!)
          return length
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
      throw noRoomError(this.#whole.title, found.length)
    }
  }

  readiness(): Readiness {
    const look = (): 'ready' | 'ended' | undefined => {
      this.#assertReceives()
      if (this.#isHere) return 'ready'
      if (this.#peerEnded) return 'ended'
      if (this.#whole.over !== undefined) throw this.#whole.over
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
          this.#steering.watched()
        }
        this.#watchers.add(watcher)
        this.#steering.watched()
        watcher()
        return end
      },
    }
  }

  // What the decoder finds

  room(length: number): Uint8Array | undefined {
    const first = this.#receivers.first as Asking | undefined
    if (first?.into === undefined || this.#isHere) return undefined
    let room: Uint8Array | undefined
    try {
      room = first.into(length)
    } catch (error) {
      first.reject(error)
      return undefined
    }
    if (room === undefined) return undefined
    this.#filling = first
    return room
  }

  filled(length: number): void {
    const first = this.#receivers.first
    if (first !== undefined && this.#filling === first) {
      this.#filling = undefined
      first.resolve(length)
    }
  }

  message(message: PlainBuffer): void {
    const { first } = this.#receivers
    if (first !== undefined && !this.#isHere) {
      first.resolve(message)
      return
    }
    this.#run = undefined
    this.#arrived.push(message)
    this.#count(message.length + messageCost)
    if (this.#watchers.size > 0) this.tellWatchers()
  }

  /** A message that lies in a piece of the stream, behind its header if the whole frame is there. */
  within(piece: Buffer, at: number, end: number): void {
    const header = at - headerBytes
    const isWanted = this.#receivers.size > 0 && !this.#isHere
    if (isWanted || header < 0 || end - at > mostSliced) {
      this.message(copyOf(piece, at, end))
      return
    }
    const run = this.#run
    if (run?.end === header) run.end = end
    else this.#arrived.push((this.#run = this.#begun(piece, header, end)))
    this.#count(end - at + messageCost)
    if (this.#watchers.size > 0) this.tellWatchers()
  }

  /** The piece was taken apart. What lies in it is kept, or copied where that would keep much that nobody wants, or is used again. */
  settle(piece: Buffer): void {
    if (this.#run === undefined && this.#runs.length === 0) return
    const { byteLength } = piece.buffer
    for (const run of this.#runs.splice(0)) {
      const length = run.end - run.at
      if (length * 2 >= byteLength && !isReused(piece)) continue
      const own = Buffer.allocUnsafeSlow(length)
      piece.copy(own, 0, run.at, run.end)
      run.piece = own
      run.at = 0
      run.end = length
    }
    this.#run = undefined
  }

  noMore(): void {
    this.#peerEnded = true
    if (!this.#isHere) this.#receivers.resolveAll(undefined)
    this.tellWatchers()
  }

  // Its end

  /** There will be nothing more; what has come can be received. */
  fail(error: Error): void {
    if (!this.#peerEnded && !this.#isHere) this.#receivers.rejectAll(error)
    this.tellWatchers()
  }

  /** Nobody receives any more. */
  close(error: Error): void {
    this.#receivers.rejectAll(error)
    this.drop()
  }

  /** What has come is nobody's. */
  drop(): void {
    this.#run = undefined
    this.#runs.length = 0
    this.#arrived.length = this.#arrivedAt = 0
    this.#count(-this.#arrivedBytes)
  }

  tellWatchers(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }

  /** @internal Somebody does not wait any more. */
  left(asking: Asking): void {
    if (this.#filling !== asking) return
    this.#filling = undefined
    this.#steering.leaveRoom()
  }

  #ask(limits: Limits, into: Filling | undefined): Promise<Found> {
    const { signal } = limits
    if (signal?.aborted === true) return Promise.reject(abortedError(signal))
    return this.#receivers.stand(new Asking(this, this.#receivers, limits, into))
  }

  /** Is there a message? */
  get #isHere(): boolean {
    return this.#arrived.length > 0
  }

  #nextLength(): number | undefined {
    const first = this.#arrived[this.#arrivedAt]
    return first === undefined || first instanceof Uint8Array ? first?.length : lengthIn(first)
  }

  #next(): PlainBuffer | undefined {
    const first = this.#arrived[this.#arrivedAt]
    if (first === undefined) return undefined
    let message: PlainBuffer
    if (first instanceof Uint8Array) {
      message = first
      this.#shift()
    } else {
      const at = first.at + headerBytes
      const end = at + lengthIn(first)
      message = copyOf(first.piece, at, end)
      first.at = end
      if (end === first.end) this.#shift()
    }
    this.#count(-message.length - messageCost)
    if (this.#whole.paused && this.isRoomy) this.#steering.roomy()
    return message
  }

  #shift(): void {
    this.#arrived[this.#arrivedAt++] = undefined
    if (this.#arrivedAt === this.#arrived.length) {
      this.#arrived.length = this.#arrivedAt = 0
      this.#run = undefined
    } else if (this.#arrivedAt > 1024 && this.#arrivedAt * 2 > this.#arrived.length) {
      this.#arrived.splice(0, this.#arrivedAt)
      this.#arrivedAt = 0
    }
  }

  #count(bytes: number): void {
    this.#arrivedBytes += bytes
    this.#whole.holds(bytes)
  }

  #begun(piece: Buffer, at: number, end: number): Run {
    const run = { piece, at, end }
    this.#runs.push(run)
    return run
  }

  #putBack(message: PlainBuffer): void {
    if (this.#arrivedAt > 0) this.#arrived[--this.#arrivedAt] = message
    else this.#arrived.unshift(message)
    this.#count(message.length + messageCost)
  }

  #assertReceives(): void {
    const { directions, title } = this.#whole
    if (directions === 'send') throw oneWayError(title, 'sends')
  }

  /** Is nothing there, and nothing to come? */
  #isAtEnd(): boolean {
    return !this.#isHere && (this.#peerEnded || this.#whole.over !== undefined)
  }

  #end(): Promise<undefined> {
    const { closed, over } = this.#whole
    if (closed && over !== undefined) return Promise.reject(over)
    if (this.#peerEnded) return fairly(undefined)
    return Promise.reject(over!)
  }

  #late(ms: number): Error {
    return timeoutError(
      `a message of ${this.#whole.title}`,
      ms,
      'the other side has sent none: see whether it is at work, or allow more time',
    )
  }
}

/** Of the next message of a run. */
function lengthIn({ piece, at }: Run): number {
  return piece[at]! | (piece[at + 1]! << 8) // it is at most `mostSliced`
}

/** As a Buffer of its own. A view of a plain kind takes half the time of one that is a Buffer. */
function copyOf(piece: Buffer, at: number, end: number): PlainBuffer {
  if (slicesAreBuffers && end - at <= mostSliced) return slice.call(piece, at, end) as PlainBuffer
  const copy = Buffer.allocUnsafeSlow(end - at)
  copy.set(new Uint8Array(piece.buffer, piece.byteOffset + at, end - at))
  return copy
}
