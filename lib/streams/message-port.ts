// Two queues as a port: what posts values instead of bytes, and calls listeners instead of being asked.
//
// A value is serialised when it is posted, so what is changed afterwards does not travel. What does not fit into a quarter of
// the ring goes in pieces; the first byte of each message of the queue says which it is. Posting never waits: what has no room
// yet is kept by pushes that wait in order, as many bytes as `maxBuffered` allows.
//
//   postMessage ─► serialize ─► pieces ─► push … push              readable ─► pop ─► pieces together ─► deserialize ─► listeners

import { Stop } from '../base/abort-signals.js'
import { turnIsDue } from '../base/fairness.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, type Inspecting } from '../base/inspection.js'
import { checkFunction, checkOptions, show, wholeNumber } from '../base/options.js'
import { startTurn } from '../base/time.js'
import { hasCode, invalidArgument, MillraceError } from '../errors.js'
import type { QueueConsumer } from '../queue/consumer.js'
import type { QueueProducer } from '../queue/producer.js'
import { longestPiece } from './chunks.js'
import { checkPair } from './options.js'

const { serialize, deserialize } = process.getBuiltinModule('node:v8')

/** Both directions: what one side's producer sends, the other side's consumer receives. */
export interface PortPair {
  /** Sends what is posted. */
  readonly producer: QueueProducer
  /** Receives what the other side posts. */
  readonly consumer: QueueConsumer
}

/** Options of `toMessagePort`. */
export interface PortOptions {
  /** The longest serialised value in bytes, sent or received; default 268 435 456. */
  readonly maxBytes?: number | undefined
  /**
   * Bytes that may wait for room beside the ring; when there are more, `postMessage` throws `ERR_MILLRACE_BUSY`. Default
   * 67 108 864.
   */
  readonly maxBuffered?: number | undefined
}

/** What a port calls its listeners with, by `on`. */
export interface PortEvents {
  /** A value that came. */
  readonly message: [value: unknown]
  /** Something came that is no value: the other side speaks another language. */
  readonly messageerror: [error: Error]
  /** The port is closed: by either side, or because the other one has died, which is the reason then. */
  readonly close: [reason: MillraceError | undefined]
}

/** What `on` takes for an event. */
export type PortListener<Name extends keyof PortEvents> = (...args: PortEvents[Name]) => unknown

/**
 * What the first byte of a message of the queue says of the others. Where a value begins is told, so that the rest of one is never taken
 * for a value: whoever has read the beginning may have died, or refused it.
 */
const Kind = { whole: 0, piece: 1, last: 2, first: 3 } as const

/**
 * A pair of queues as a `MessagePort`: `postMessage`, `on('message')`, `addEventListener`, `start`, `close`. Values are cloned as
 * `v8.serialize` clones them: objects, Maps, Sets, Dates, errors, typed arrays, cycles; Buffers stay Buffers. What takes a
 * port (comlink, birpc, tRPC …) runs over it between processes.
 *
 * Nobody else uses the two sides from now on; they close with the port. Values that come before a listener for `message` is
 * there (or `start` was called) wait in the ring. Ports at both ends run in the same engine: V8 (Node, Deno), or Bun.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { SpscQueue } from 'millrace'
 * import { toMessagePort } from 'millrace/streams'
 *
 * const port = toMessagePort({ producer: SpscQueue.producer('questions'), consumer: SpscQueue.consumer('answers') })
 * port.on('message', (answer) => { console.log(answer) })
 * port.postMessage({ question: 'who is there?', since: new Date() })
 * ```
 */
export function toMessagePort(pair: PortPair, options?: PortOptions): ChannelPort {
  checkPair(pair)
  return new ChannelPort(pair, options)
}

/** What contexts of node:vm may lack; a port does without, as long as nobody asks for events. */
const { EventTarget: OfRuntime } = globalThis as { readonly EventTarget?: typeof EventTarget }
const Target: typeof EventTarget = OfRuntime ?? withoutEvents()

/** Made by {@link toMessagePort}. */
export class ChannelPort extends Target {
  readonly #producer: QueueProducer
  readonly #consumer: QueueConsumer
  readonly #maxBytes: number
  readonly #maxBuffered: number
  readonly #stop = new Stop()
  readonly #listeners: { readonly [Name in keyof PortEvents]?: Set<PortListener<Name>> } = {
    message: new Set(),
    messageerror: new Set(),
    close: new Set(),
  }
  /** Wrapped listeners of `once`, by what the user knows. */
  readonly #once = new WeakMap<object, Map<string, PortListener<never>>>()
  #onmessage: ((event: MessageEvent) => unknown) | null = null
  /** Has somebody asked for events as the web has them? To make one costs more than all the rest. */
  #hasTargets = false
  #started = false
  #closed = false
  #buffered = 0
  #lastPush: Promise<void> = Promise.resolve()
  /** Of the value that has begun to come. */
  #pieces: Buffer[] | undefined
  #pieceBytes = 0
  /** Has it been told that the value is refused whose pieces come? */
  #refusing = false

  /** @internal */
  constructor({ producer, consumer }: PortPair, options: PortOptions | undefined) {
    super()
    const given = checkOptions(options, ['maxBytes', 'maxBuffered'])
    this.#maxBytes = wholeNumber(given, 'maxBytes', 2 ** 28, [1, 2 ** 32])
    this.#maxBuffered = wholeNumber(given, 'maxBuffered', 2 ** 26, [0, Number.MAX_SAFE_INTEGER])
    this.#producer = producer
    this.#consumer = consumer
  }

  /** Bytes that wait for room in the ring. */
  get bufferedAmount(): number {
    return this.#buffered
  }

  /** Was it closed, by either side? */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Sends a copy of the value. Never waits, and nothing is sent if it throws. ArrayBuffers of `transfer` are empty here afterwards;
   * their bytes travel as a copy. On a closed port nothing happens, as with every `MessagePort`.
   *
   * @throws DOMException `DataCloneError`: a function, a symbol, a `SharedArrayBuffer`, something to transfer that is no
   *   ArrayBuffer, or was transferred before
   * @throws MillraceError `TOO_LARGE` (more than `maxBytes`), `BUSY` (more than `maxBuffered` bytes wait)
   */
  postMessage(
    value: unknown,
    transfer?: readonly unknown[] | { readonly transfer?: readonly unknown[] | undefined },
  ): void {
    const buffers = readTransfer(transfer)
    const bytes = cloned(value)
    if (this.#closed) return
    if (bytes.length > this.#maxBytes) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `the value takes ${String(bytes.length)} bytes, and this port sends at most ${String(this.#maxBytes)}: send it in ` +
          'parts, or open the port with a larger maxBytes',
      )
    }
    if (this.#buffered > this.#maxBuffered) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `${String(this.#buffered)} bytes wait for room in the queue already, and maxBuffered is ${String(this.#maxBuffered)}: ` +
          'post when bufferedAmount is lower; the other side is slow, or has no listener yet',
      )
    }
    for (const buffer of buffers) structuredClone(buffer, { transfer: [buffer] })
    this.#send(bytes)
  }

  /** What came before now, and from now on, is given to the listeners. A listener for `message` calls it by itself. */
  start(): void {
    if (this.#started || this.#closed) return
    this.#started = true
    void this.#receive()
  }

  /** Sends what was posted, and closes both queues; then listeners for `close` are called, those at the other end, too. */
  close(): void {
    if (this.#closed) return
    this.#end(undefined)
  }

  /** Keeps the process alive as long as the port is open and started, which is the default. */
  ref(): this {
    this.#producer.ref()
    this.#consumer.ref()
    return this
  }

  /** Lets the process end although the port is open. */
  unref(): this {
    this.#producer.unref()
    this.#consumer.unref()
    return this
  }

  /** Adds a listener, once; it gets the value itself, as those of Node's ports do. */
  on<Name extends keyof PortEvents>(name: Name, listener: PortListener<Name>): this {
    checkFunction('the listener', listener)
    this.#setOf(name).add(listener)
    if (name === 'message') this.start()
    return this
  }

  /** As `on`, for the next one only. */
  once<Name extends keyof PortEvents>(name: Name, listener: PortListener<Name>): this {
    checkFunction('the listener', listener)
    const known = this.#once.get(listener) ?? new Map<string, PortListener<never>>()
    if (known.has(name)) return this
    const wrapped: PortListener<Name> = (...args) => {
      known.delete(name)
      this.#setOf(name).delete(wrapped)
      return listener(...args)
    }
    known.set(name, wrapped)
    this.#once.set(listener, known)
    return this.on(name, wrapped)
  }

  /** Takes a listener of `on` or `once` away. */
  off<Name extends keyof PortEvents>(name: Name, listener: PortListener<Name>): this {
    const set = this.#setOf(name)
    set.delete(listener)
    const known = this.#once.get(listener)
    const wrapped = known?.get(name)
    if (wrapped !== undefined) {
      set.delete(wrapped as PortListener<Name>)
      known!.delete(name)
    }
    return this
  }

  /** As `on`. */
  addListener<Name extends keyof PortEvents>(name: Name, listener: PortListener<Name>): this {
    return this.on(name, listener)
  }

  /** As `off`. */
  removeListener<Name extends keyof PortEvents>(name: Name, listener: PortListener<Name>): this {
    return this.off(name, listener)
  }

  /** As for every `EventTarget`: the listener gets a `MessageEvent`, whose `data` is the value. */
  override addEventListener(
    ...args: Parameters<EventTarget['addEventListener']>
  ): ReturnType<EventTarget['addEventListener']> {
    super.addEventListener(...args)
    this.#hasTargets = true
    if (args[0] === 'message') this.start()
  }

  /** The listener for `message` that was set. */
  get onmessage(): ((event: MessageEvent) => unknown) | null {
    return this.#onmessage
  }
  /** Sets a listener for `message`, as `addEventListener` takes it; null takes it away. */
  set onmessage(listener: ((event: MessageEvent) => unknown) | null) {
    if (this.#onmessage !== null) {
      this.removeEventListener('message', this.#onmessage as (event: Event) => void)
    }
    this.#onmessage = typeof listener === 'function' ? listener : null
    if (this.#onmessage !== null) {
      this.addEventListener('message', this.#onmessage as (event: Event) => void)
    }
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('ChannelPort', how, () => ({
      sends: this.#producer.name,
      receives: this.#consumer.name,
      started: this.#started,
      closed: this.#closed,
      bufferedAmount: this.#buffered,
    }))
  }

  #setOf<Name extends keyof PortEvents>(name: Name): Set<PortListener<Name>> {
    const listeners = this.#listeners
    // `events.once` and others ask for more events than there are: those never come.
    return listeners[name] ?? new Set()
  }

  #send(bytes: Buffer): void {
    const most = longestPiece(this.#producer) - 1
    if (bytes.length <= most) {
      this.#push(Kind.whole, bytes)
      return
    }
    for (let at = 0; at < bytes.length; at += most) {
      const isLast = at + most >= bytes.length
      const kind = at === 0 ? Kind.first : isLast ? Kind.last : Kind.piece
      this.#push(kind, bytes.subarray(at, at + most))
    }
  }

  #push(kind: number, bytes: Uint8Array): void {
    const message = Buffer.allocUnsafe(bytes.length + 1)
    message[0] = kind
    message.set(bytes, 1)
    try {
      if (this.#producer.tryPush(message)) return
    } catch (error) {
      this.#fail(error)
      return
    }
    this.#buffered += message.length
    this.#lastPush = this.#producer.push(message).then(
      () => {
        this.#buffered -= message.length
      },
      (error: unknown) => {
        this.#buffered -= message.length
        this.#fail(error)
      },
    )
  }

  async #receive(): Promise<void> {
    const consumer = this.#consumer
    try {
      while (await consumer.readable({ signal: this.#stop.asGiven })) {
        do {
          if (this.#closed) return
          const message = consumer.tryPop()
          if (message === undefined) break
          this.#arrived(message)
        } while (!turnIsDue())
      }
      this.#end(undefined)
    } catch (error) {
      this.#fail(error)
    }
  }

  #arrived(message: Buffer): void {
    const kind = message[0]
    const bytes = message.subarray(1)
    if (kind === Kind.whole || kind === Kind.first) this.#begins()
    else if (kind !== Kind.piece && kind !== Kind.last) {
      this.#drop('what came was not sent by a port')
      return
    } else if (this.#pieces === undefined) {
      if (!this.#refusing) {
        this.#drop('the rest of a value came, whose beginning an earlier receiver has read')
      }
      this.#refusing = kind === Kind.piece
      return
    }
    this.#pieceBytes += bytes.length
    if (this.#pieceBytes > this.#maxBytes) {
      this.#refusing = kind === Kind.first || kind === Kind.piece
      this.#drop(
        `a value of more than ${String(this.#maxBytes)} bytes came: open the port with a larger maxBytes`,
      )
      return
    }
    if (kind === Kind.whole) {
      this.#pieces = undefined
      this.#deliver(bytes)
      return
    }
    this.#pieces!.push(bytes)
    if (kind !== Kind.last) return
    const whole = Buffer.concat(this.#pieces!)
    this.#pieces = undefined
    this.#deliver(whole)
  }

  #begins(): void {
    if (this.#pieces !== undefined) this.#drop('a value broke off, and another one began')
    this.#refusing = false
    this.#pieces = []
    this.#pieceBytes = 0
  }

  /** What has come of a value is none. */
  #drop(why: string): void {
    this.#pieces = undefined
    this.#refuse(new Error(why))
  }

  #deliver(bytes: Buffer): void {
    let value: unknown
    try {
      value = deserialize(bytes)
    } catch (error) {
      this.#refuse(error as Error)
      return
    }
    this.#emit('message', value)
    if (this.#hasTargets) this.dispatchEvent(new MessageEvent('message', { data: value }))
  }

  #refuse(error: Error): void {
    this.#emit('messageerror', error)
    if (this.#hasTargets) this.dispatchEvent(new MessageEvent('messageerror', { data: error }))
  }

  #emit<Name extends keyof PortEvents>(name: Name, ...args: PortEvents[Name]): void {
    for (const listener of [...this.#setOf(name)]) {
      try {
        listener(...args)
      } catch (error) {
        thrown(error)
      }
    }
  }

  #fail(error: unknown): void {
    if (this.#closed) return
    const reason =
      error instanceof MillraceError && !hasCode(error, 'ERR_MILLRACE_CLOSED') ? error : undefined
    this.#end(reason)
    if (!(error instanceof MillraceError)) thrown(error)
  }

  /** Nothing is received any more; what was posted goes first. */
  #end(reason: MillraceError | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#stop.abort(undefined)
    void this.#lastPush.then(() => {
      this.#producer.close()
      this.#consumer.close()
      this.#emit('close', reason)
      if (this.#hasTargets) this.dispatchEvent(new Event('close'))
    })
  }
}

function withoutEvents(): typeof EventTarget {
  const refuse = (): never => {
    throw new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED_RUNTIME',
      'this context has no EventTarget: listen by on(), or give the context the one of Node',
    )
  }
  return class {
    addEventListener = refuse
    removeEventListener = refuse
    dispatchEvent = refuse
  }
}

/** As an error that nobody caught. */
function thrown(error: unknown): void {
  startTurn(() => {
    throw error
  })
}

function cloned(value: unknown): Buffer {
  try {
    return serialize(value)
  } catch (error) {
    throw new DOMException(
      error instanceof Error ? error.message : 'the value cannot be cloned',
      'DataCloneError',
    )
  }
}

function readTransfer(given: unknown): readonly ArrayBuffer[] {
  if (given === undefined || given === null) return []
  const list: unknown = Array.isArray(given)
    ? given
    : (given as { readonly transfer?: unknown }).transfer
  if (list === undefined) return []
  if (!Array.isArray(list)) {
    throw invalidArgument(`transfer must be a list of ArrayBuffers, not ${show(list)}`)
  }
  const buffers = list as readonly unknown[]
  const refused = buffers.find(
    (one, at) => !(one instanceof ArrayBuffer) || isDetached(one) || buffers.indexOf(one) !== at,
  )
  if (refused !== undefined) {
    throw new DOMException(
      `only ArrayBuffers that were not transferred before can be transferred to another process, each once, not ${show(refused)}`,
      'DataCloneError',
    )
  }
  return buffers as readonly ArrayBuffer[]
}

function isDetached(buffer: ArrayBuffer): boolean {
  if (buffer.byteLength > 0) return false
  try {
    new Uint8Array(buffer)
    return false
  } catch {
    return true
  }
}
