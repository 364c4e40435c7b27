// A channel over two queues in memory that nobody else has: one for each way. It adds little to them, so that a message costs what a
// message of a queue does.

import { hold, letGo } from '../../addon/keep-alive.js'
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
import { selectable, type Readiness } from '../../base/selectable.js'
import type { PlainBuffer } from '../../base/view-constructor.js'
import { closedError, hasCode, MillraceError } from '../../errors.js'
import type { QueueConsumer } from '../../queue/consumer.js'
import type { QueueProducer } from '../../queue/producer.js'
import type { Channel, Peer, Traits } from '../channel.js'
import { lookNowAndThen, stopLooking } from './looks.js'
import { Receiving, roomOf } from './receiving.js'
import { Sending, type Whole } from './sending.js'

const defaultCloseMs = 5000

/** What both sides have agreed on. */
export interface MemoryFacts {
  readonly address: string
  readonly peer: Peer
  /** The longest message that this side takes, and that the other one does. */
  readonly ownMaxBytes: number
  readonly peerMaxBytes: number
}

export class MemoryChannel implements Channel, Whole {
  readonly #facts: MemoryFacts
  readonly #producer: QueueProducer
  readonly #consumer: QueueConsumer
  readonly #sending: Sending
  readonly #receiving: Receiving
  /** @internal */
  readonly title: string
  #closed = false
  #over: Error | undefined
  #tellOver: ((why: Error) => void) | undefined
  #alive = true
  #holding = false
  readonly #gone: Promise<void>
  #tellGone!: () => void

  constructor(producer: QueueProducer, consumer: QueueConsumer, facts: MemoryFacts) {
    this.#facts = facts
    this.#producer = producer
    this.#consumer = consumer
    this.title = `the channel to '${facts.address}'`
    this.#sending = new Sending(this, producer, facts.peerMaxBytes)
    this.#receiving = new Receiving(this, consumer, facts.ownMaxBytes)
    this.#gone = new Promise((resolve) => {
      this.#tellGone = resolve
    })
    lookNowAndThen(this)
    this.#holdLoop()
  }

  get address(): string {
    return this.#facts.address
  }
  get peer(): Peer {
    return this.#facts.peer
  }
  get traits(): Traits {
    return {
      zeroCopy: false,
      reliable: true,
      ordered: true,
      maxBytes: this.#facts.peerMaxBytes,
      death: 'exact',
      directions: 'both',
    }
  }
  get closed(): boolean {
    return this.#closed
  }
  /** @internal Why nothing is sent any more, as soon as it is known. What has come can still be received. */
  whenOver(): Promise<Error> {
    if (this.#over !== undefined) return Promise.resolve(this.#over)
    return new Promise((resolve) => {
      this.#tellOver = resolve
    })
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

  async receiveInto(
    target: ArrayBufferView | ((length: number) => ArrayBufferView),
    options?: WaitOptions,
  ): Promise<number | undefined> {
    return await this.#receiving.receiveInto(roomOf(target, this.title), options)
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

  async end(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    if (this.#over !== undefined) throw this.#over
    if (this.#closed) throw closedError(this.title)
    if (this.#sending.ended) return
    await this.#sending.settled(wait)
    this.#sending.end()
    this.#holdLoop()
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
    try {
      // What is in the ring stays there for the other side, whatever becomes of this one.
      await this.#sending.settled(limits)
    } catch {
      // It has died meanwhile, or takes too long: what could be done was done.
    }
    this.#over ??= closedError(this.title)
    if (!this.#sending.ended) this.#sending.end()
    this.#finish()
  }

  destroy(reason?: Error): void {
    const error = reason ?? closedError(this.title)
    this.#closed = true
    this.#over ??= error
    this.#receiving.close(this.#over)
    if (!this.#sending.ended) this.#sending.abort(error)
    this.#finish()
  }

  ref(): this {
    this.#alive = true
    this.#producer.ref()
    this.#consumer.ref()
    this.#holdLoop()
    return this
  }

  unref(): this {
    this.#alive = false
    this.#producer.unref()
    this.#consumer.unref()
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

  /** @internal Is anybody there who takes what is sent? Looked at now and then: a ring with room does not tell. */
  look(): void {
    if (this.#closed) return
    try {
      if (!this.#sending.ended && this.#producer.peer !== 'attached') this.#fail(undefined)
      else if (this.#producer.closed && this.#consumer.peer !== 'attached') this.#holdLoop()
    } catch (error) {
      this.#fail(error)
    }
  }

  /** @internal */
  over(): Error | undefined {
    return this.#over
  }

  /** @internal What a queue says, as a channel says it. */
  asOurs(error: unknown): unknown {
    if (!(error instanceof MillraceError)) return error
    switch (error.code) {
      case 'ERR_MILLRACE_PEER_GONE':
      case 'ERR_MILLRACE_PEER_FAILED':
        if (error === this.#over) return error
        return this.#fail(error)
      case 'ERR_MILLRACE_CORRUPT': {
        const told = new MillraceError(
          'ERR_MILLRACE_PROTOCOL',
          `the other side of ${this.title} has written what cannot be to the memory of both; the connection has been closed`,
          { cause: error },
        )
        this.destroy(told)
        return told
      }
      case 'ERR_MILLRACE_PROTOCOL':
        this.destroy(error)
        return error
      case 'ERR_MILLRACE_CLOSED':
        if (this.#over !== undefined) return this.#over
        if (this.#closed || this.#sending.ended) return closedError(this.title)
        return this.#fail(error) // the other side has left
      default:
        return error
    }
  }

  /** Nothing is sent any more; what has come can be received. */
  #fail(cause: unknown): Error {
    const left = hasCode(cause, 'ERR_MILLRACE_CLOSED') || this.#hasLeft()
    this.#over ??= new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      left
        ? `the other side of ${this.title} has closed: nobody receives what is sent; connect again to go on`
        : `the other side of ${this.title} (pid ${String(this.peer.pid ?? '?')}) has died; what was sent last may not have been ` +
            'received; connect again to go on',
      { cause },
    )
    this.#tellOver?.(this.#over)
    this.#holdLoop()
    return this.#over
  }

  #hasLeft(): boolean {
    try {
      return this.#producer.peer === 'closed'
    } catch {
      return false
    }
  }

  #finish(): void {
    stopLooking(this)
    this.#holdLoop()
    this.#tellGone()
  }

  #holdLoop(): void {
    const holds = this.#alive && !this.#closed && this.#over === undefined
    if (holds === this.#holding) return
    this.#holding = holds
    if (holds) hold()
    else letGo()
  }
}
