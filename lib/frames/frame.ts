// Frames as the two sides hold them: a loan to be written and published, a received frame to be read and
// released. Both lie in the pool; after publish, discard or release they refuse use.

import { disposeInEveryContext } from '../base/disposal.js'
import { checkView } from '../base/bytes.js'
import { invalidArgument, MillraceError } from '../errors.js'
import { checkFunction, checkOptions, show } from '../base/options.js'
import { numberAt, ReaderFact } from './facts.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import type { Bytes, ViewConstructor } from '../base/view-constructor.js'

/** Bytes of the header every frame has for the user's own facts (format, width, …). */
export const userHeaderBytes = 64
const emptyHeader = new Uint8Array(userHeaderBytes)

/** @internal Where the slots of a channel lie, and their views, made once each. */
export class PoolViews {
  readonly #buffer: () => ArrayBuffer
  readonly #payloadOffset: number
  readonly #stride: number
  readonly #slotBytes: number
  readonly #slots: (Bytes | undefined)[]

  constructor(
    geometry: {
      readonly payloadOffset: number
      readonly slotStride: number
      readonly slotBytes: number
      readonly slots: number
    },
    buffer: () => ArrayBuffer,
  ) {
    this.#buffer = buffer
    this.#payloadOffset = geometry.payloadOffset
    this.#stride = geometry.slotStride
    this.#slotBytes = geometry.slotBytes
    this.#slots = new Array<undefined>(geometry.slots).fill(undefined)
  }

  get buffer(): ArrayBuffer {
    return this.#buffer()
  }

  offset(slot: number): number {
    return this.#payloadOffset + this.#stride * slot
  }

  /** The first bytes of the slot, by default all; the same view as long as the same length is asked for. */
  slot(slot: number, length = this.#slotBytes): Bytes {
    const known = this.#slots[slot]
    if (known?.length === length) return known
    const made = new Uint8Array(this.#buffer(), this.offset(slot), length)
    this.#slots[slot] = made
    return made
  }

  header(slot: number): Bytes {
    return new Uint8Array(this.#buffer(), userHeaderBytes * slot, userHeaderBytes)
  }
}

/** @internal A typed array over part of a frame that has `size` bytes at `start` of `buffer`. */
export function viewOf<T>(
  constructor: ViewConstructor<T>,
  buffer: ArrayBuffer,
  start: number,
  size: number,
  byteOffset: number,
  length: number | undefined,
): T {
  checkFunction('what a view is made of', constructor)
  const unit = (constructor as { BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT ?? 1
  const elements = length ?? Math.floor((size - byteOffset) / unit)
  if (
    !Number.isInteger(byteOffset) ||
    !Number.isInteger(elements) ||
    byteOffset < 0 ||
    elements < 0 ||
    byteOffset + elements * unit > size
  ) {
    throw invalidArgument(
      `${String(elements)} elements at offset ${String(byteOffset)} are not within the ` +
        `${String(size)} bytes of the frame`,
    )
  }
  if ((start + byteOffset) % unit !== 0) {
    throw invalidArgument(
      `elements of ${String(unit)} bytes cannot lie at offset ${String(byteOffset)}: use a multiple of ${String(unit)}`,
    )
  }
  return new constructor(buffer, start + byteOffset, elements)
}

function checkOffset(byteOffset: unknown): void {
  if (Number.isInteger(byteOffset) && (byteOffset as number) >= 0) return
  throw invalidArgument(`byteOffset must be a whole number of bytes, not ${show(byteOffset)}`)
}

/** @internal */
export function releasedError(what: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_RELEASED',
    `${what}; its memory may hold another frame by now: take what you need before`,
  )
}

/** What is told about a frame beside its bytes. */
export interface PublishOptions {
  /** How much of the slot is the frame, in bytes; default: all. */
  readonly byteLength?: number | undefined
  /** When the content was taken, in nanoseconds of the monotonic clock; default: now. */
  readonly timestamp?: bigint | undefined
  /** Up to 64 bytes of the user's own facts; the rest is zero. */
  readonly header?: Uint8Array | undefined
}

const publishNames = ['byteLength', 'timestamp', 'header'] as const

/** @internal What a loan needs from its writer. */
export interface LoanOwner {
  /** Of the channel. */
  readonly name: string
  readonly pool: PoolViews
  readonly slotBytes: number
  /** Loans are void then. */
  readonly closed: boolean
  publish(loan: LoanedFrame, length: number, timestamp: bigint | undefined): number
  discard(loan: LoanedFrame): void
  copyIn(slot: number, offset: number, source: ArrayBufferView): void
  copyHeader(slot: number, header: Uint8Array): void
  /** Whether anything was ever put into this slot's header. */
  readonly usedHeaders: boolean[]
}

/** A slot to be filled, from `FrameWriter.loan`. Use it until `publish` or `discard`. */
export class LoanedFrame {
  /** @internal */
  readonly slot: number
  readonly #owner: LoanOwner
  #state: 'loaned' | 'published' | 'discarded' = 'loaned'

  /** @internal */
  constructor(owner: LoanOwner, slot: number) {
    this.#owner = owner
    this.slot = slot
    if (owner.usedHeaders[slot] === true) {
      owner.copyHeader(slot, emptyHeader)
      owner.usedHeaders[slot] = false
    }
  }

  /** The slot's memory: write the frame here. 64-byte aligned. */
  get bytes(): Bytes {
    this.#assertLoaned()
    return this.#owner.pool.slot(this.slot)
  }

  /** 64 bytes for the user's own facts; zero at first. */
  get header(): Bytes {
    this.#assertLoaned()
    this.#owner.usedHeaders[this.slot] = true
    return this.#owner.pool.header(this.slot)
  }

  /** Bytes that fit. */
  get capacity(): number {
    return this.#owner.slotBytes
  }

  /** The slot as a typed array, e.g. `frame.view(Float32Array)`; by default all of it. */
  view<T>(constructor: ViewConstructor<T>, byteOffset = 0, length?: number): T {
    this.#assertLoaned()
    const { pool, slotBytes } = this.#owner
    const start = pool.offset(this.slot)
    return viewOf(constructor, pool.buffer, start, slotBytes, byteOffset, length)
  }

  /** Copies `source` into the slot at `byteOffset`. Works in every runtime. */
  write(source: ArrayBufferView, byteOffset = 0): void {
    this.#assertLoaned()
    checkView(source, 'the source')
    checkOffset(byteOffset)
    this.#owner.copyIn(this.slot, byteOffset, source)
  }

  /**
   * Hands the frame to every reader. Never blocks. Returns its sequence number: 1, 2, 3 … over the life
   * of the channel.
   *
   * @throws MillraceError `RELEASED`, `TOO_LARGE`, `INVALID_ARGUMENT`
   */
  publish(options?: PublishOptions): number {
    this.#assertLoaned()
    const sequence =
      options === undefined
        ? this.#owner.publish(this, this.#owner.slotBytes, undefined)
        : this.#publishWith(options)
    this.#state = 'published'
    return sequence
  }

  /** Gives the slot back; nobody sees it. Does nothing after `publish`. */
  discard(): void {
    if (this.#state !== 'loaned') return
    this.#state = 'discarded'
    this.#owner.discard(this)
  }

  /** What `using` calls at the end of its block: `discard()`. */
  [Symbol.dispose](): void {
    this.discard()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows, without the bytes of messages, frames and values. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('LoanedFrame', how, () => ({
      channel: this.#owner.name,
      capacity: this.capacity,
      state: this.#owner.closed && this.#state === 'loaned' ? 'void' : this.#state,
    }))
  }

  #publishWith(options: PublishOptions): number {
    const given = checkOptions(options, publishNames)
    const { byteLength = this.#owner.slotBytes, header, timestamp } = given
    if (!Number.isInteger(byteLength) || byteLength < 0 || byteLength > this.#owner.slotBytes) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `byteLength ${String(byteLength)} is not within the ${String(this.#owner.slotBytes)} ` +
          'bytes of a slot',
      )
    }
    if (timestamp !== undefined && (typeof timestamp !== 'bigint' || timestamp < 0n)) {
      throw invalidArgument('timestamp must be a bigint of nanoseconds, as monotonicNow() gives it')
    }
    if (header !== undefined) {
      checkView(header, 'the header')
      if (header.byteLength > userHeaderBytes) {
        throw invalidArgument(`header must have at most ${String(userHeaderBytes)} bytes`)
      }
      this.#owner.usedHeaders[this.slot] = true
      this.#owner.copyHeader(this.slot, header)
    }
    return this.#owner.publish(this, byteLength, timestamp)
  }

  #assertLoaned(): void {
    if (this.#state !== 'loaned') throw releasedError(`this frame was ${this.#state}`)
    if (this.#owner.closed) {
      throw new MillraceError('ERR_MILLRACE_CLOSED', 'the writer of this frame is closed')
    }
  }
}

/** @internal What a frame needs from its reader. */
export interface FrameOwner {
  /** Of the channel. */
  readonly name: string
  readonly pool: PoolViews
  readonly closed: boolean
  release(frame: Frame): void
  copyOut(frame: Frame, offset: number, target: ArrayBufferView): void
  header(frame: Frame): Bytes
  /** A buffer for this slot alone, to be detached on release; only in debug mode. */
  ownBuffer(slot: number): ArrayBuffer | undefined
}

/**
 * A received frame, read where it lies. It is pinned until `release()`, or the end of its `using` block;
 * whatever is needed longer must be copied.
 */
export class Frame {
  /** 1, 2, 3 … over the life of the channel. */
  readonly sequence: number
  /** Bytes the writer published. */
  readonly byteLength: number
  /**
   * Frames that this reader did not get between the one received before (at first: its joining, or the frame that it was
   * opened `after`) and this one. Those that `latest` passed over do not count.
   */
  readonly missed: number
  /** @internal */
  readonly slot: number
  readonly #owner: FrameOwner
  readonly #own: ArrayBuffer | undefined
  readonly #lowTime: number
  readonly #highTime: number
  #released = false

  /**
   * `facts` are those of the reader.
   *
   * @internal
   */
  constructor(owner: FrameOwner, facts: Int32Array) {
    this.slot = facts[ReaderFact.slot]!
    this.sequence = numberAt(facts, ReaderFact.sequence)
    this.byteLength = numberAt(facts, ReaderFact.length)
    this.missed = numberAt(facts, ReaderFact.missed)
    this.#lowTime = facts[ReaderFact.timestamp]!
    this.#highTime = facts[ReaderFact.timestamp + 1]!
    this.#owner = owner
    this.#own = owner.ownBuffer(this.slot)
  }

  /** Nanoseconds of the monotonic clock, as the writer gave it. */
  get timestamp(): bigint {
    return (BigInt(this.#highTime >>> 0) << 32n) | BigInt(this.#lowTime >>> 0)
  }

  /** Was it released? Then its memory may hold another frame. */
  get released(): boolean {
    return this.#released
  }

  /**
   * The frame's bytes in shared memory. Do not keep them beyond `release()`; a call that goes on in the
   * background (`fs.write`, `zlib`, `crypto`) must have ended before, or be given a copy.
   *
   * @throws MillraceError `RELEASED`, `CLOSED`, `UNSUPPORTED_RUNTIME` (Electron: use `copyTo`)
   */
  get bytes(): Bytes {
    this.#assertHeld()
    if (this.#own !== undefined) return new Uint8Array(this.#own, 0, this.byteLength)
    return this.#owner.pool.slot(this.slot, this.byteLength)
  }

  /** The 64 bytes of the user's own facts; a copy where memory cannot be borrowed (Electron). */
  get header(): Bytes {
    this.#assertHeld()
    return this.#owner.header(this)
  }

  /** The frame as a typed array, e.g. `frame.view(Float32Array)`; by default all of it. */
  view<T>(constructor: ViewConstructor<T>, byteOffset = 0, length?: number): T {
    this.#assertHeld()
    const buffer = this.#own ?? this.#owner.pool.buffer
    const start = this.#own === undefined ? this.#owner.pool.offset(this.slot) : 0
    return viewOf(constructor, buffer, start, this.byteLength, byteOffset, length)
  }

  /** Copies from the frame at `byteOffset` into `target`; returns `target`. Works in every runtime. */
  copyTo<T extends ArrayBufferView>(target: T, byteOffset = 0): T {
    this.#assertHeld()
    checkView(target, 'the target')
    checkOffset(byteOffset)
    this.#owner.copyOut(this, byteOffset, target)
    return target
  }

  /** Gives the slot back to the writer. Once is enough; more does nothing. */
  release(): void {
    if (this.#released) return
    this.#released = true
    this.#owner.release(this)
  }

  /** @internal The buffer of debug mode. */
  get own(): ArrayBuffer | undefined {
    return this.#own
  }

  /** What `using` calls at the end of its block: `release()`. */
  [Symbol.dispose](): void {
    this.release()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows, without the bytes of messages, frames and values. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Frame', how, () => ({
      channel: this.#owner.name,
      sequence: this.sequence,
      byteLength: this.byteLength,
      missed: this.missed,
      timestamp: this.timestamp,
      state: this.#released ? 'released' : this.#owner.closed ? 'void' : 'held',
    }))
  }

  #assertHeld(): void {
    if (this.#released) {
      throw releasedError(`frame ${String(this.sequence)} was released`)
    }
    if (this.#owner.closed) {
      throw new MillraceError('ERR_MILLRACE_CLOSED', 'the reader of this frame is closed')
    }
  }
}
