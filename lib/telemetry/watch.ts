// The messages of a channel, seen from outside: native/include/millrace/watch.hpp.

import { native } from '../addon/native.js'
import { deadReasons } from '../addon/work.js'
import { Watched, watchedBytes, type NativeChannelWatch } from '../addon/watch.js'
import { forgetAbort, whenAborted, type Abortable } from '../base/abort-signals.js'
import { Closable } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { iterate, type Iteration } from '../base/iteration.js'
import {
  checkName,
  checkOptions,
  checkSignal,
  duration,
  show,
  wholeNumber,
  type WaitOptions,
} from '../base/options.js'
import { startTimer, stopTimer } from '../base/time.js'
import { abortedError, closedError, hasCode, invalidArgument } from '../errors.js'
import { decodeHeaders } from '../topics/headers.js'
import type { ObservedKind } from './figures.js'

/** How a channel is watched. */
export interface WatchOptions {
  /** Which one, where there are channels of several kinds of that name. */
  readonly kind?: ObservedKind | undefined
  /**
   * `newest` (default): what comes from now on; of frames and cells first what is there now. `oldest`: first all that is still there: what
   * waits in a queue, and what was read and not written over; the jobs that wait, are in hand, or are dead letters; the log of a bus.
   */
  readonly from?: 'newest' | 'oldest' | undefined
  /** Milliseconds between two looks of an iteration that finds nothing (default 10, at least 1). */
  readonly interval?: number | undefined
  /** Ends the iteration with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal | undefined
  /** Longest payload that is copied, in bytes; longer ones are cut (`cut` is true). Default: none is. */
  readonly most?: number | undefined
}

/** A message that was seen. It is a copy: of the message nothing is taken away. */
export interface WatchedMessage {
  /** The name of the channel. */
  readonly channel: string
  /** What the channel is. */
  readonly kind: ObservedKind
  /** What it is there. */
  readonly op: 'message' | 'job' | 'request' | 'answer' | 'frame' | 'value'
  /**
   * Its number: of a queue the first message is 1; of frames and of a cell it is the frame's sequence and the value's version; of a bus the
   * index of the message. Of jobs and calls the watch counts by itself.
   */
  readonly sequence: bigint
  /** Nanoseconds since 1970, if the channel keeps it. */
  readonly publishedAt?: bigint
  /** Nanoseconds since 1970 when it was seen. */
  readonly seenAt: bigint
  /** The payload, or the beginning of it. Messages that were seen in one look share the memory of that look. */
  readonly bytes: Buffer
  /** Bytes of the whole payload. */
  readonly length: number
  /** Is `bytes` only the beginning? */
  readonly cut: boolean
  /** Of a bus. */
  readonly subject?: string
  /** Of a bus, and of a job that has some. Of a frame with a header of its own: `header`, as hexadecimal digits. */
  readonly headers?: Readonly<Record<string, string>>
  /** Of a job the `id` it was pushed with; of a call what its request and its answer have in common. */
  readonly id?: string
  /** Of a job or a request that is still there. Without it, it has ended. */
  readonly state?: 'waiting' | 'leased' | 'dead'
  /** Of a job. */
  readonly priority?: number
  /** Of a job: attempts that have begun. */
  readonly attempts?: number
  /** Of a call: the number of the method in its contract. */
  readonly method?: string
  /** Of a job: the `group` it was pushed with. */
  readonly group?: string
  /** Of a job of a pipeline: the stage it is at. */
  readonly stage?: string
  /** Of a dead letter: `rejected`, `attempts`, `died` or `expired`. */
  readonly reason?: string
}

/** The letters of the channels that have messages, by kind: see native/include/millrace/layout/header.hpp. */
const letters = {
  queue: 'q',
  work: 'j',
  pipeline: 'j',
  topics: 't',
  calls: 'r',
  frames: 'f',
  cell: 'c',
} as const
type WatchedKind = keyof typeof letters
const kinds = ['queue', 'work', 'topics', 'calls', 'frames', 'cell'] as const

const ops = ['message', 'job', 'request', 'answer', 'frame', 'value'] as const
const states = [undefined, 'waiting', 'leased', 'dead'] as const

/** Messages of one call of native code, and the memory that there is for them unless one takes more. */
const messagesOfALook = 256
const usualBytes = 256 * 1024
const usualMost = 1024
const usualIntervalMs = 10
const mostBytes = 2 ** 40

/**
 * The messages of a channel, seen from outside. It takes no part in anything: no role, no seat, no lane, no lock; nothing is written, and
 * nobody waits for it. Whoever sends faster than this looks is not slowed down: `missed` counts what went by. Each message is whole.
 *
 * The processes of the channel may die: what they left can be seen as long as the channel is there. If it is removed and made again, the
 * watch goes on with the new one from its beginning.
 *
 * `for await (const message of watched)` goes on until the watch is closed.
 */
export class ChannelWatch extends Closable implements AsyncIterable<WatchedMessage> {
  /** Of the channel. */
  readonly name: string
  /** What the channel is. */
  readonly kind: ObservedKind
  readonly #native: NativeChannelWatch
  readonly #interval: number
  readonly #cut: number
  readonly #signal: AbortSignal | undefined
  readonly #heads = new Uint8Array(messagesOfALook * watchedBytes)
  readonly #facts = new DataView(this.#heads.buffer)
  #target = Buffer.alloc(0)
  #closed = false
  readonly #waits = new Set<Wait>()
  /** Read, and not asked for yet. */
  #ahead: WatchedMessage[] = []

  /** @internal */
  constructor(name: string, kind: WatchedKind, from: NativeChannelWatch, options: ReadOptions) {
    super()
    this.name = name
    this.kind = kind === 'work' && from.isPipeline() ? 'pipeline' : kind
    this.#native = from
    this.#interval = options.interval
    this.#cut = options.most
    this.#signal = options.signal
  }

  /** Has it been closed? */
  get closed(): boolean {
    return this.#closed
  }

  /** How many messages went by between two looks, so that they were not seen. Of those that are removed with their channel nothing is known. */
  get missed(): bigint {
    return this.#closed ? this.#missed : this.#native.missed()
  }
  #missed = 0n

  /**
   * The messages that have come since the last call, at most so many (default 1024), the oldest first; none if there are none. Never waits.
   * Takes a few microseconds and the time to copy; of a work queue or of calls some 30 µs per 1,000 places besides.
   *
   * @throws MillraceError `INVALID_ARGUMENT`, `CLOSED`; `CORRUPT`, `NOT_OURS`, `LAYOUT`, if what is there now cannot be read
   */
  read(most = usualMost): WatchedMessage[] {
    const limit = wholeNumber({ most }, 'most', usualMost, [1, 2 ** 31])
    this.#assertOpen()
    const messages = this.#ahead.splice(0, limit)
    while (messages.length < limit) {
      const wanted = Math.min(limit - messages.length, messagesOfALook)
      const count = this.#look(wanted)
      this.#collect(count, messages)
      // Less than there was room for: there are no more, or the memory was full.
      if (count === 0) break
    }
    return messages
  }

  /** Ends iterations. The channel notices nothing. */
  close(): void {
    if (this.#closed) return
    this.#missed = this.#native.missed()
    this.#closed = true
    this.#native.close()
    this.#target = Buffer.alloc(0)
    this.#ahead = []
    for (const wait of [...this.#waits]) wait.fail(this.#closedError())
  }

  /** The messages as they come. One look per interval as long as there are none. */
  [Symbol.asyncIterator](): Iteration<WatchedMessage> {
    const source = {
      handle: this,
      takeNow: () => this.#next(),
      take: (options: WaitOptions) => this.#take(options.signal),
    }
    return iterate(source, { signal: this.#signal })
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    const { name, kind, missed, closed } = this
    return inspection('ChannelWatch', how, () => ({ name, kind, missed, closed }))
  }

  #next(): WatchedMessage | undefined {
    this.#assertOpen()
    if (this.#ahead.length === 0) this.#ahead = this.read(messagesOfALook)
    return this.#ahead.shift()
  }

  #take(signal: AbortSignal | undefined): Promise<WatchedMessage | undefined> {
    return new Promise((resolve, reject) => {
      const wait = new Wait(
        this.#interval,
        signal,
        () => this.#next(),
        (message, error) => {
          this.#waits.delete(wait)
          if (error === undefined) resolve(message)
          // eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- the reason of a signal may be anything
          else reject(error)
        },
      )
      this.#waits.add(wait)
      wait.start()
    })
  }

  #look(wanted: number): number {
    for (;;) {
      if (this.#target.length === 0) this.#target = Buffer.allocUnsafeSlow(usualBytes)
      const count = this.#native.look(this.#target, this.#heads, wanted, this.#cut)
      if (count >= 0) return count
      this.#target = Buffer.allocUnsafeSlow(Math.max(usualBytes, -count + 8))
    }
  }

  /** Messages keep what was copied; where that is little, memory of their own. */
  #collect(count: number, messages: WatchedMessage[]): void {
    if (count === 0) return
    const facts = this.#facts
    let used = 0
    for (let i = 0; i < count; i++) {
      const head = i * watchedBytes
      const texts = numberAt(facts, head + Watched.textsAt) + textBytes(facts, head)
      used = Math.max(
        used,
        numberAt(facts, head + Watched.at) + numberAt(facts, head + Watched.copied),
        texts,
      )
    }
    let memory = this.#target
    if (used * 2 < memory.length) {
      memory = Buffer.allocUnsafeSlow(used)
      this.#target.copy(memory, 0, 0, used)
    } else {
      this.#target = Buffer.alloc(0)
    }
    const seenAt = this.#native.seenAt()
    for (let i = 0; i < count; i++) messages.push(this.#messageAt(i * watchedBytes, memory, seenAt))
  }

  #messageAt(head: number, memory: Buffer, seenAt: bigint): WatchedMessage {
    const facts = this.#facts
    const at = numberAt(facts, head + Watched.at)
    const copied = numberAt(facts, head + Watched.copied)
    const length = numberAt(facts, head + Watched.length)
    const publishedAt = facts.getBigUint64(head + Watched.publishedAt, true)
    const op = ops[facts.getUint8(head + Watched.op)] ?? 'message'
    const state = states[facts.getUint8(head + Watched.state)]
    return {
      channel: this.name,
      kind: this.kind,
      op,
      sequence: facts.getBigUint64(head + Watched.sequence, true),
      ...(publishedAt === 0n ? {} : { publishedAt }),
      seenAt,
      bytes: memory.subarray(at, at + copied),
      length,
      cut: copied < length,
      ...(op === 'message' && this.kind === 'queue' ? {} : this.#texts(head, memory, op)),
      ...(state === undefined ? {} : { state }),
    }
  }

  #texts(head: number, memory: Buffer, op: WatchedMessage['op']): Partial<WatchedMessage> {
    const facts = this.#facts
    let at = numberAt(facts, head + Watched.textsAt)
    const text = (field: number): string => {
      const length = facts.getUint16(head + field, true)
      return memory.toString('utf8', at, (at += length))
    }
    const given = text(Watched.subjectLength)
    const id = text(Watched.idLength)
    const group = text(Watched.groupLength)
    const headerBytes = memory.subarray(
      at,
      at + facts.getUint16(head + Watched.headersLength, true),
    )
    const number = facts.getUint32(head + Watched.method, true)
    switch (op) {
      case 'message':
        return { subject: given, headers: decodeHeaders(headerBytes) ?? {} }
      case 'frame':
        return headerBytes.every((byte) => byte === 0)
          ? {}
          : { headers: { header: headerBytes.toString('hex') } }
      case 'job': {
        const headers = headerBytes.length === 0 ? undefined : decodeHeaders(headerBytes)
        const reason = deadReasons[number]
        return {
          ...(id === '' ? {} : { id }),
          ...(group === '' ? {} : { group }),
          ...(given === '' ? {} : { stage: given }),
          ...(headers === undefined ? {} : { headers }),
          ...(number === 0 || reason === undefined ? {} : { reason }),
          priority: facts.getUint8(head + Watched.priority),
          attempts: facts.getUint8(head + Watched.attempts),
        }
      }
      case 'request':
      case 'answer':
        return {
          id: `${String(facts.getUint32(head + Watched.slot, true))}.${String(facts.getUint32(head + Watched.born, true))}`,
          method: String(number),
        }
      default:
        return {}
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw this.#closedError()
  }

  #closedError() {
    return closedError(`the watch of '${this.name}'`)
  }
}

/** One that waits for the next message, by looking again and again. */
class Wait implements Abortable {
  readonly #interval: number
  readonly #signal: AbortSignal | undefined
  readonly #look: () => WatchedMessage | undefined
  readonly #end: (message: WatchedMessage | undefined, error?: unknown) => void
  #timer: ReturnType<typeof startTimer> | undefined
  #ended = false

  constructor(
    interval: number,
    signal: AbortSignal | undefined,
    look: () => WatchedMessage | undefined,
    end: (message: WatchedMessage | undefined, error?: unknown) => void,
  ) {
    this.#interval = interval
    this.#signal = signal
    this.#look = look
    this.#end = end
  }

  start(): void {
    if (this.#signal?.aborted === true) {
      this.aborted()
      return
    }
    if (this.#signal !== undefined) whenAborted(this.#signal, this)
    this.#again()
  }

  aborted(): void {
    this.fail(abortedError(this.#signal!))
  }

  fail(error: unknown): void {
    this.#finish(undefined, error)
  }

  #again(): void {
    this.#timer = startTimer(
      this.#interval,
      () => {
        try {
          const message = this.#look()
          if (message === undefined) this.#again()
          else this.#finish(message)
        } catch (error) {
          this.fail(error)
        }
      },
      { alive: true },
    )
  }

  #finish(message: WatchedMessage | undefined, error?: unknown): void {
    if (this.#ended) return
    this.#ended = true
    stopTimer(this.#timer)
    if (this.#signal !== undefined) forgetAbort(this.#signal, this)
    this.#end(message, error)
  }
}

interface ReadOptions {
  readonly interval: number
  readonly most: number
  readonly signal: AbortSignal | undefined
}

/**
 * Watches the messages of a channel of this machine, while it is at work or after its processes have died: of a queue, a work queue or
 * pipeline, a bus, calls, frames, a cell. Only of this user's channels, and by their names.
 *
 * @example
 * ```ts
 * import { watch } from 'millrace/telemetry'
 *
 * using watched = watch('thumbnails', { from: 'oldest' })
 * for (const job of watched.read()) console.log(job.id, job.state, job.length)
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`, also if there are channels of several kinds of that name; `NOT_FOUND`, `NOT_OURS`, `LAYOUT`,
 *   `CORRUPT`
 */
export function watch(name: string, options?: WatchOptions): ChannelWatch {
  const given = checkOptions(options, ['kind', 'from', 'interval', 'signal', 'most'])
  const checked = checkName(name)
  const { kind } = given
  const from: string = given.from ?? 'newest'
  if (from !== 'newest' && from !== 'oldest')
    throw invalidArgument(`from must be 'newest' or 'oldest', not ${show(from)}`)
  if (kind !== undefined && !Object.hasOwn(letters, kind))
    throw invalidArgument(
      `kind must be one of ${Object.keys(letters).join(', ')}, not ${show(kind)}: others have no messages`,
    )
  const read = {
    interval: Math.max(duration(given, 'interval', usualIntervalMs), 1),
    most: wholeNumber(given, 'most', mostBytes, [0, mostBytes]),
    signal: checkSignal(given.signal),
  }
  const oldest = from === 'oldest'
  if (kind !== undefined) {
    const of = kind as WatchedKind
    const found = new native.ChannelWatch(letters[of], checked, oldest)
    return new ChannelWatch(checked, of === 'pipeline' ? 'work' : of, found, read)
  }
  const found = kinds.flatMap((of) => {
    const one = openIfThere(of, checked, oldest)
    return one === undefined ? [] : [{ of, one }]
  })
  const [only, ...others] = found
  if (only === undefined)
    new native.ChannelWatch('q', checked, oldest) // says that there is none
  else if (others.length === 0) return new ChannelWatch(checked, only.of, only.one, read)
  for (const { one } of found) one.close()
  throw invalidArgument(
    `there is more than one channel '${checked}': say which with kind, one of ${found.map(({ of }) => of).join(', ')}`,
  )
}

function openIfThere(
  of: WatchedKind,
  name: string,
  oldest: boolean,
): NativeChannelWatch | undefined {
  try {
    return new native.ChannelWatch(letters[of], name, oldest)
  } catch (error) {
    if (hasCode(error, 'ERR_MILLRACE_NOT_FOUND')) return undefined
    throw error
  }
}

/** A whole number of 64 bits that JavaScript can hold. */
function numberAt(facts: DataView, at: number): number {
  return facts.getUint32(at, true) + facts.getUint32(at + 4, true) * 2 ** 32
}

function textBytes(facts: DataView, head: number): number {
  return (
    facts.getUint16(head + Watched.subjectLength, true) +
    facts.getUint16(head + Watched.idLength, true) +
    facts.getUint16(head + Watched.groupLength, true) +
    facts.getUint16(head + Watched.headersLength, true)
  )
}
