// The side of a bus that publishes.

import { Outcome } from '../addon/outcome.js'
import { TopicFact } from '../addon/topics.js'
import { block } from '../base/blocking.js'
import { bytesOf, goneError, type ByteSource } from '../base/bytes.js'
import { fairly } from '../base/fairness.js'
import { readWait, show, wholeNumber, type Wait } from '../base/options.js'
import { sending, traced } from '../base/tracing.js'
import type { Attempt } from '../base/waiter.js'
import { hasCode, invalidArgument, MillraceError, timeoutError } from '../errors.js'
import { noHeaders, withTrace } from './headers.js'
import { TopicLoan, type Lender } from './loan.js'
import {
  readMessage,
  readPublish,
  readPublishSync,
  type MessageOptions,
  type PublishOptions,
  type PublishSyncOptions,
} from './options.js'
import { checkSubject } from './subjects.js'
import { TopicsHandle } from './topics-handle.js'
import { tracedTopics } from './tracing-topics.js'

/** The most messages that go to the addon at once. */
const mostPacked = 64

export abstract class TopicPublisher extends TopicsHandle {
  /**
   * Subjects that were published to, by their texts: asked for every message. An object, because its keys are compared by their addresses;
   * a Map looks into the texts of others that share a place with the one that it looks for, and of thousands few are in the cache.
   */
  readonly #ids = Object.create(null) as Record<string, number | undefined>
  #loans: FinalizationRegistry<number> | undefined
  readonly #onClose = new Set<() => void>()
  #toldForgotten = false

  /**
   * Publishes a message: for all who have subscribed to its subject by now. Resolves with their number; 0 is no error. Waits, without
   * blocking the event loop, as long as a subscriber with the policy `wait` lags behind as far as it may. When it resolves the
   * message is there, whatever becomes of this process. Do not change the bytes before.
   *
   * @throws MillraceError (as rejection) `TOO_LARGE` (there could never be room: the message tells the limit), `NO_LANE` (there can
   *   be no more subjects), `CLOSED`, `ABORTED`, `TIMEOUT`, `INVALID_ARGUMENT`, `CORRUPT`
   */
  publish(subject: string, payload: ByteSource, options?: PublishOptions): Promise<number> {
    if (!sending.yes) return this.publishUnseen(subject, payload, options)
    return tracedTopics().tracedPublish(this, subject, payload, options, (those, trace) =>
      this.publishUnseen(subject, payload, those, trace),
    )
  }

  /** @internal The same, and nobody who looks on sees it. `trace`: what goes along. */
  publishUnseen(
    subject: string,
    payload: ByteSource,
    options?: PublishOptions,
    trace?: Uint8Array,
  ): Promise<number> {
    try {
      if (options === undefined && trace === undefined) {
        const id = this.#known(subject)
        // What costs least is what is asked for most.
        if (
          id !== undefined &&
          payload instanceof Uint8Array &&
          payload.length > 0 &&
          !this.waits.occupied &&
          !this.closed
        ) {
          const matched = this.native.tryPublish(id, payload)
          if (matched >= 0) {
            this.published(matched)
            return fairly(matched)
          }
        }
        return this.#publish(subject, asBytes(payload), noHeaders, readWait(undefined))
      }
      const { headers, wait } = readPublish(options)
      const bytes = asBytes(payload)
      return this.#publish(subject, bytes, this.#carrying(bytes.length, headers, trace), wait)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Publishes a message if there is room now, and no earlier `publish` of this handle waits for some. The number of subscribers it
   * was for; undefined: it was not published. Never blocks.
   *
   * @throws MillraceError `TOO_LARGE`, `NO_LANE`, `CLOSED`, `INVALID_ARGUMENT`, `CORRUPT`
   */
  tryPublish(subject: string, payload: ByteSource, options?: MessageOptions): number | undefined {
    const headers = options === undefined ? noHeaders : readMessage(options)
    const bytes = asBytes(payload)
    const id = this.#idOf(subject)
    return this.waits.occupied ? undefined : this.#publishNow(id, bytes, headers)
  }

  /** As `publish`, blocking this thread; for Workers. Errors are thrown; `BUSY` while `publish` calls of this handle wait. */
  publishSync(subject: string, payload: ByteSource, options?: PublishSyncOptions): number {
    const { headers, blocking } = readPublishSync(options)
    const bytes = asBytes(payload)
    const id = this.#idOf(subject)
    if (this.waits.occupied) throw this.busy('publish')
    let matched: number | undefined
    return block(
      this.waits,
      this.#full,
      blocking,
      this.#looking(() => matched ?? this.#publishNow(id, bytes, headers)),
      (spin, timeout) => {
        const outcome = this.native.waitForRoom(id, bytes, headers, spin, timeout)
        matched = this.#publishedOr(outcome, bytes.length + headers.length)
        return matched !== undefined
      },
    )
  }

  /**
   * Publishes all of them to that subject, in order, each as `publish` does, with the same options. Resolves with how many there are.
   * If it is aborted or fails while it waits, the first part was published.
   *
   * @throws MillraceError (as rejection) as `publish`; the message begins with the place of the one that was refused: `payloads[2]: …`
   */
  async publishBatch(
    subject: string,
    payloads: readonly ByteSource[],
    options?: PublishOptions,
  ): Promise<number> {
    if (!sending.yes) return await this.#publishBatch(subject, payloads, options)
    const { tracedPublish } = tracedTopics()
    return await tracedPublish(this, subject, payloads, options, (those, trace) =>
      this.#publishBatch(subject, payloads, those, trace),
    )
  }

  async #publishBatch(
    subject: string,
    payloads: readonly ByteSource[],
    options?: PublishOptions,
    trace?: Uint8Array,
  ): Promise<number> {
    const { headers: own, wait } = readPublish(options)
    if (!Array.isArray(payloads)) {
      throw invalidArgument(`payloads must be an array of payloads, not ${show(payloads)}`)
    }
    const longest = trace === undefined ? 0 : payloads.map(lengthIn).reduce(larger, 0)
    const headers = this.#carrying(longest, own, trace)
    const all = (payloads as readonly ByteSource[]).map((payload, i) =>
      ofPayload(i, () => {
        const bytes = asBytes(payload)
        if (bytes.length + headers.length > this.native.maxBytes) {
          throw this.#tooLarge(bytes.length + headers.length)
        }
        return bytes
      }),
    )
    const lengths = all.map(({ length }) => length)
    const id = this.#idOf(subject)
    let done = 0
    const some = (): number | undefined => {
      while (done < all.length) {
        const count = this.#publishSome(id, all, lengths, done, headers)
        if (count === 0) break
        done += count
      }
      return done === all.length ? done : undefined
    }
    if (!this.waits.occupied && some() !== undefined) return await fairly(done)
    return await this.#whenRoom(some, wait)
  }

  /**
   * Room for a message of that many bytes, to be written in place, if there is some now.
   *
   * @throws MillraceError `TOO_LARGE`, `NO_LANE`, `CLOSED`, `INVALID_ARGUMENT`, `UNSUPPORTED_RUNTIME`, `CORRUPT`
   */
  tryLoan(subject: string, length: number, options?: MessageOptions): TopicLoan | undefined {
    const headers = readMessage(options)
    const bytes = this.#lengthOf(length)
    const id = this.#idOf(subject)
    return this.waits.occupied ? undefined : this.#loanNow(id, subject, bytes, headers)
  }

  /** As `tryLoan`, waiting for room. Rejects with `ABORTED` and `TIMEOUT` as well. */
  async loan(subject: string, length: number, options?: PublishOptions): Promise<TopicLoan> {
    const { headers, wait } = readPublish(options)
    const bytes = this.#lengthOf(length)
    const id = this.#idOf(subject)
    const now = (): TopicLoan | undefined => this.#loanNow(id, subject, bytes, headers)
    const found = this.waits.occupied ? undefined : now()
    if (found !== undefined) return await fairly(found)
    return await this.#whenRoom(now, wait)
  }

  /** @internal What fills a loan ends before its memory goes. */
  protected override closeNative(): void {
    for (const told of [...this.#onClose]) told()
    super.closeNative()
  }

  /** Made once, so that a loan costs no closure. */
  readonly #lender: Lender = (() => {
    const isClosed = (): boolean => this.closed
    return {
      name: this.name,
      title: this.title,
      get closed() {
        return isClosed()
      },
      publishLoan: (loan, length, headers) => {
        const outcome = this.native.publishLoan(loan, length, headers)
        return this.#publishedOr(outcome, length)
      },
      whenRoom: (attempt, wait) => this.#whenRoom(attempt, wait),
      cancelLoan: (loan) => {
        this.native.cancelLoan(loan)
        this.roomMade()
      },
      assertOpen: () => {
        this.assertOpen()
      },
      ended: (loan) => {
        this.#loans?.unregister(loan)
      },
      onClose: (callback) => {
        this.#onClose.add(callback)
        return () => this.#onClose.delete(callback)
      },
    }
  })()

  #publish(subject: string, bytes: Uint8Array, headers: Uint8Array, wait: Wait): Promise<number> {
    const id = this.#idOf(subject)
    if (!this.waits.occupied) {
      const matched = this.#publishNow(id, bytes, headers)
      if (matched !== undefined) return fairly(matched)
    }
    const { length } = bytes
    return this.#whenRoom(() => {
      assertUnchanged(bytes, length)
      return this.#publishNow(id, bytes, headers)
    }, wait)
  }

  /** A message that fits without is not to be refused because somebody looks on. */
  #carrying(length: number, headers: Uint8Array, trace: Uint8Array | undefined): Uint8Array {
    if (trace === undefined) return headers
    const all = withTrace(headers, trace)
    return length + all.length > this.native.maxBytes ? headers : all
  }

  /** The number of a subject, which is made if there is none. */
  #idOf(subject: string): number {
    this.assertOpen()
    const known = this.#known(subject)
    if (known !== undefined) return known
    const id = this.native.subject(checkSubject(subject))
    if (id < 0) throw this.fail(id)
    this.#ids[subject] = id
    return id
  }

  /** What is no text must not be taken for one that looks like it. */
  #known(subject: string): number | undefined {
    return typeof (subject as unknown) === 'string' ? this.#ids[subject] : undefined
  }

  /** Undefined: there is no room now. */
  #publishNow(id: number, bytes: Uint8Array, headers: Uint8Array): number | undefined {
    const outcome =
      headers.length === 0
        ? this.native.tryPublish(id, bytes)
        : this.native.tryPublishWith(id, bytes, headers)
    return this.#publishedOr(outcome, bytes.length + headers.length)
  }

  /** Of a batch those from `from` on, as many as one call of the addon takes. How many were published. */
  #publishSome(
    id: number,
    all: readonly Uint8Array[],
    lengths: readonly number[],
    from: number,
    headers: Uint8Array,
  ): number {
    const { facts } = this.native
    const least = Math.min(all.length - from, mostPacked)
    packed ??= new Uint8Array(packedBytes)
    let count = 0
    for (let used = 0; count < least; count++) {
      const bytes = all[from + count]!
      const { length } = bytes
      // One that has lost its memory is refused when its turn comes.
      if (length > packedBytes - used || length !== lengths[from + count]!) break
      packed.set(bytes, used)
      facts[TopicFact.intake + count] = length
      used += length
    }
    if (count < 2) {
      const bytes = all[from]!
      return ofPayload(from, () => {
        assertUnchanged(bytes, lengths[from]!)
        return this.#publishNow(id, bytes, headers) === undefined ? 0 : 1
      })
    }
    const published = this.native.tryPublishPacked(id, count, packed, headers)
    if (published < 0) return this.#publishedOr(published, lengths[from]! + headers.length) ?? 0
    this.published(facts[TopicFact.matched]!)
    return published
  }

  #publishedOr(outcome: number, length: number): number | undefined {
    if (outcome >= 0) {
      this.published(outcome)
      return outcome
    }
    if (outcome === Outcome.wouldBlock) return undefined
    throw outcome === Outcome.tooLarge ? this.#tooLarge(length) : this.fail(outcome)
  }

  /** What `attempt` finds when there is room for it; those who wait are served in order. */
  #whenRoom<T>(attempt: () => ReturnType<Attempt<T>>, wait: Wait): Promise<T> {
    return this.waits.wait(this.#full, this.#looking(attempt), wait)
  }

  #looking<T>(attempt: () => ReturnType<Attempt<T>>): Attempt<T> {
    return (thorough) => {
      if (thorough) this.look()
      return attempt()
    }
  }

  #lengthOf(length: unknown): number {
    if (length === undefined) throw invalidArgument('length must be given: there is no default')
    return wholeNumber({ length }, 'length', 0, [0, Number.MAX_SAFE_INTEGER])
  }

  #loanNow(
    id: number,
    subject: string,
    length: number,
    headers: Uint8Array,
  ): TopicLoan | undefined {
    const loan = this.native.tryLoan(id, length, headers.length)
    if (loan < 0) {
      this.#publishedOr(loan, length + headers.length)
      return undefined
    }
    try {
      const offset = this.native.facts[TopicFact.offset]!
      const bytes = new Uint8Array(this.native.buffer(), offset, length)
      const lent = new TopicLoan(this.#lender, loan, subject, bytes, headers)
      this.#loans ??= new FinalizationRegistry((index) => {
        this.#forgotten(index)
      })
      this.#loans.register(lent, loan, lent)
      loansOfBytes.set(bytes, lent)
      return lent
    } catch (error) {
      this.native.cancelLoan(loan)
      throw error
    }
  }

  #forgotten(loan: number): void {
    if (this.closed || this.waits.damage() !== undefined) return
    this.native.cancelLoan(loan)
    this.roomMade()
    if (this.#toldForgotten) return
    this.#toldForgotten = true
    process.emitWarning(
      `a loan of ${this.title} was garbage collected, neither published nor cancelled; its room was given back: ` +
        '`using loan = await topics.loan(subject, length)` does that when the code throws',
      { code: 'MILLRACE_LOAN_FORGOTTEN' },
    )
  }

  #tooLarge(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a message of ${String(length)} bytes (with its headers) does not fit ${this.title}, whose limit is ` +
        `${String(this.maxBytes)} bytes; create it with more \`bytes\`, or publish where the bytes are`,
    )
  }

  readonly #full = (timeout: number): MillraceError =>
    timeoutError(
      `room in ${this.title}`,
      timeout,
      "a subscriber with the policy 'wait' has not read what was published: see what it does, subscribe with 'overwrite-oldest', " +
        'or create the bus with more messages and bytes',
    )
}

/** Where payloads of a batch are put together, by all handles of this thread: an own call for each would take as long as all the rest. */
const packedBytes = 16_384
let packed: Uint8Array | undefined

/** Whoever has the bytes of a loan has the loan. */
const loansOfBytes = new WeakMap<object, TopicLoan>()

const larger = (one: number, other: number): number => Math.max(one, other)

const lengthIn = (payload: unknown): number => traced().bytesIn(payload)

const asBytes = (payload: ByteSource): Uint8Array => bytesOf(payload, 'a payload')

/** While a call waits, its bytes may lose their memory. What is left must not be taken in their place. */
function assertUnchanged(bytes: Uint8Array, length: number): void {
  if (bytes.length !== length) throw goneError('a payload', undefined)
}

/** Says of which payload of a batch an error is that is about it, and not about the bus. */
function ofPayload<T>(index: number, act: () => T): T {
  try {
    return act()
  } catch (error) {
    if (
      !hasCode(error, 'ERR_MILLRACE_INVALID_ARGUMENT') &&
      !hasCode(error, 'ERR_MILLRACE_TOO_LARGE')
    ) {
      throw error
    }
    const { code, message } = error as MillraceError
    throw new MillraceError(code, `payloads[${String(index)}]: ${message}`, { cause: error })
  }
}
