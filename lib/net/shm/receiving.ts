// The receiving half of a channel over shared memory: one at a time takes from the ring, because the pieces of a long message belong
// together; the others stand in line.

import { targetOf } from '../../base/bytes.js'
import { fairly } from '../../base/fairness.js'
import { readWait, type WaitOptions } from '../../base/options.js'
import { selectable, type Readiness } from '../../base/selectable.js'
import type { PlainBuffer } from '../../base/view-constructor.js'
import { hasCode, MillraceError, timeoutError } from '../../errors.js'
import type { QueueConsumer } from '../../queue/consumer.js'
import { protocolError } from '../framing.js'
import { Line, leftOf, type Limits } from '../waits.js'
import { now } from '../../base/time.js'
import { isMark, Mark, markBytes, readMark } from './marks.js'
import type { Whole } from './sending.js'

/** Until so many bytes have come no more memory is taken for a message. */
const atOnce = 1_048_576

/** A long message that is coming. */
interface Long {
  readonly length: number
  filled: number
  /** Where it is written: a receiver's, or memory of ours. */
  body: Uint8Array | undefined
  isGiven: boolean
}

type Room = (length: number) => Uint8Array

export class Receiving {
  readonly #whole: Whole
  readonly #consumer: QueueConsumer
  readonly #maxBytes: number
  readonly #line = new Line<void>((ms) => this.#late(ms))
  #busy = false
  #long: Long | undefined
  /** Taken from the ring, and not received: it did not fit. */
  #kept: PlainBuffer | undefined
  #closed: Error | undefined

  constructor(whole: Whole, consumer: QueueConsumer, maxBytes: number) {
    this.#whole = whole
    this.#consumer = consumer
    this.#maxBytes = maxBytes
  }

  receive(options: WaitOptions | undefined): Promise<PlainBuffer | undefined> {
    try {
      const wait = options === undefined ? undefined : readWait(options)
      if (!this.#isFree()) return this.#receiveInTurn(wait ?? {})
      const message = this.#consumer.tryPop()
      if (message !== undefined) {
        if (!isMark(message)) return fairly(message)
        this.#begin(message)
        return this.#receiveInTurn(wait ?? {})
      }
      this.#busy = true
      return this.#consumer.pop(wait).then(
        (found) => {
          if (found !== undefined && isMark(found)) return this.#restOf(found, wait)
          this.#next()
          return found
        },
        (error: unknown) => {
          this.#next()
          throw this.#asOurs(error, wait)
        },
      )
    } catch (error) {
      return Promise.reject(this.#asOurs(error, undefined))
    }
  }

  tryReceive(): PlainBuffer | undefined {
    try {
      if (this.#busy || this.#line.size > 0) return undefined
      if (this.#kept !== undefined) return this.#takeKept()
      if (this.#long === undefined) {
        const message = this.#consumer.tryPop()
        if (message === undefined) {
          this.#judgeEnd()
          return undefined
        }
        if (!isMark(message)) return message
        this.#begin(message)
      }
      if (this.#gather()) return this.#takeLong() as PlainBuffer
      this.#judgeEnd()
      return undefined
    } catch (error) {
      throw this.#asOurs(error, undefined)
    }
  }

  async receiveInto(room: Room, options: WaitOptions | undefined): Promise<number | undefined> {
    const wait = readWait(options)
    const end = await this.#enter(wait)
    try {
      if (this.#kept !== undefined) return this.#intoRoom(this.#kept, room)
      if (this.#long === undefined) {
        if (!(await this.#consumer.readable(this.#left(wait, end)))) return undefined
        const length = this.#consumer.nextLength
        if (length !== markBytes) return this.#consumer.tryPopInto(room(length).subarray(0, length))
        const message = this.#consumer.tryPop()!
        if (!isMark(message)) return this.#intoRoom((this.#kept = message), room)
        this.#begin(message)
      }
      const long = this.#long!
      if (long.filled === 0 && long.body === undefined) {
        long.body = room(long.length)
        long.isGiven = true
        await this.#gatherAll(this.#left(wait, end))
        this.#long = undefined
        return long.length
      }
      // Others have begun to receive it.
      const target = room(long.length)
      await this.#gatherAll(this.#left(wait, end))
      target.set(this.#takeLong())
      return long.length
    } catch (error) {
      throw this.#asOurs(error, wait)
    } finally {
      this.#leaveRoom()
      this.#next()
    }
  }

  readiness(): Readiness {
    const inner = this.#consumer[selectable]()
    return {
      look: (thorough) => {
        if (this.#kept !== undefined) return 'ready'
        try {
          return inner.look(thorough)
        } catch (error) {
          throw this.#asOurs(error, undefined)
        }
      },
      watch: (told, failed) =>
        inner.watch(told, (error) => {
          failed(this.#asOurs(error, undefined))
        }),
    }
  }

  /** Nobody receives any more. */
  close(error: Error): void {
    this.#closed = error
    this.#line.rejectAll(error)
    this.#long = this.#kept = undefined
    this.#consumer.close({ discard: true })
  }

  #isFree(): boolean {
    return (
      !this.#busy && this.#line.size === 0 && this.#long === undefined && this.#kept === undefined
    )
  }

  /** Stands in line, and then has its turn, until `#next`. Returns when the wait ends. */
  async #enter(limits: Limits): Promise<number> {
    const { timeout = Infinity } = limits
    const end = timeout === Infinity ? Infinity : now() + timeout
    if (this.#closed !== undefined) throw this.#closed
    if (this.#busy || this.#line.size > 0) await this.#line.wait(limits)
    this.#busy = true
    return end
  }

  #next(): void {
    const { first } = this.#line
    this.#busy = first !== undefined
    first?.resolve()
  }

  #left({ signal }: Limits, end: number): WaitOptions {
    return end === Infinity ? { signal } : { signal, timeout: leftOf(end) }
  }

  async #receiveInTurn(limits: Limits): Promise<PlainBuffer | undefined> {
    const end = await this.#enter(limits)
    try {
      if (this.#kept !== undefined) return this.#takeKept()
      if (this.#long === undefined) {
        const message = await this.#consumer.pop(this.#left(limits, end))
        if (message === undefined || !isMark(message)) return message
        this.#begin(message)
      }
      await this.#gatherAll(this.#left(limits, end))
      return this.#takeLong() as PlainBuffer
    } catch (error) {
      throw this.#asOurs(error, limits)
    } finally {
      this.#next()
    }
  }

  async #restOf(mark: PlainBuffer, limits: WaitOptions | undefined): Promise<PlainBuffer> {
    try {
      this.#begin(mark)
      await this.#gatherAll(limits ?? {})
      return this.#takeLong() as PlainBuffer
    } catch (error) {
      throw this.#asOurs(error, limits)
    } finally {
      this.#next()
    }
  }

  #begin(mark: PlainBuffer): void {
    const { kind, value } = readMark(mark)
    if (kind !== Mark.long) throw protocolError('has sent a mark of a kind that there is not')
    if (value > this.#maxBytes) {
      throw protocolError(
        `has sent a message of ${String(value)} bytes, and was told that this side takes ${String(this.#maxBytes)} (maxBytes)`,
      )
    }
    this.#long = { length: value, filled: 0, body: undefined, isGiven: false }
  }

  /** Takes the pieces that are there. Is the message whole? */
  #gather(): boolean {
    const long = this.#long!
    while (long.filled < long.length) {
      let body = long.body
      if (body === undefined) {
        body = long.body = Buffer.allocUnsafeSlow(Math.min(long.length, atOnce))
      } else if (body.length < long.length) {
        const next = this.#consumer.nextLength
        if (next < 0) return false
        if (long.filled + next > body.length) {
          const larger = Buffer.allocUnsafeSlow(
            Math.min(long.length, Math.max(body.length * 2, long.filled + next)),
          )
          larger.set(body.subarray(0, long.filled))
          body = long.body = larger
        }
      }
      const got = this.#takePiece(body.subarray(long.filled, long.length))
      if (got < 0) return false
      if (got === 0) throw protocolError('has sent a piece of a message without anything in it')
      long.filled += got
    }
    return true
  }

  #takePiece(room: Uint8Array): number {
    try {
      return this.#consumer.tryPopInto(room)
    } catch (error) {
      if (!hasCode(error, 'ERR_MILLRACE_TOO_LARGE')) throw error
      throw protocolError('has sent more of a message than it had said')
    }
  }

  async #gatherAll(limits: WaitOptions): Promise<void> {
    const { timeout = Infinity } = limits
    const end = timeout === Infinity ? Infinity : now() + timeout
    while (!this.#gather()) {
      if (await this.#consumer.readable(this.#left(limits, end))) continue
      throw new MillraceError(
        'ERR_MILLRACE_PEER_GONE',
        `the other side of ${this.#whole.title} left in the middle of a message: connect again to go on`,
      )
    }
  }

  /** The long message, of which everything is there. */
  #takeLong(): Uint8Array {
    const { body, length } = this.#long!
    this.#long = undefined
    if (body === undefined) return Buffer.alloc(0)
    return body.length === length ? body : body.subarray(0, length)
  }

  #takeKept(): PlainBuffer {
    const kept = this.#kept!
    this.#kept = undefined
    return kept
  }

  #intoRoom(message: PlainBuffer, room: Room): number {
    room(message.length).set(message)
    this.#kept = undefined
    return message.length
  }

  /** Whoever gave room does not want it any more: the rest comes to memory of ours. */
  #leaveRoom(): void {
    const long = this.#long
    if (long?.isGiven !== true) return
    const own = Buffer.allocUnsafeSlow(long.length)
    if (long.body !== undefined) own.set(long.body.subarray(0, long.filled))
    long.body = own
    long.isGiven = false
  }

  /** There is nothing now; will there be? */
  #judgeEnd(): void {
    const over = this.#closed ?? this.#whole.over()
    if (over !== undefined && this.#consumer.peer !== 'closed') throw over
  }

  #asOurs(error: unknown, limits: Limits | undefined): unknown {
    if (this.#closed !== undefined && hasCode(error, 'ERR_MILLRACE_CLOSED')) return this.#closed
    if (hasCode(error, 'ERR_MILLRACE_TIMEOUT') && limits?.timeout !== undefined) {
      return this.#late(limits.timeout)
    }
    return this.#whole.asOurs(error)
  }

  #late(ms: number): Error {
    return timeoutError(
      `a message of ${this.#whole.title}`,
      ms,
      'the other side has sent none: see whether it is at work, or allow more time',
    )
  }
}

/** Room for a message of some length, of what the user gave. */
export function roomOf(
  target: ArrayBufferView | ((length: number) => ArrayBufferView),
  title: string,
): Room {
  const whole = typeof target === 'function' ? undefined : targetOf(target)
  return (length) => {
    const room = whole ?? targetOf((target as (length: number) => ArrayBufferView)(length))
    if (room.length >= length) return room.subarray(0, length)
    throw new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `the next message of ${title} has ${String(length)} bytes, more than the target: it stays the next one; give a larger target`,
    )
  }
}
