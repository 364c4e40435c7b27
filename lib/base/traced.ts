// What is done for those who look on, and the context of a trace as it goes along with a message:
//
//   u8 version (0) · 16 bytes of the trace · 8 bytes of the span · u8 flags
//
// A context is text to its users, as W3C writes it (`traceparent`): every library knows that. Whoever looks on may put another one into what
// the channel shows before anything is sent, and that one goes along.

import { invalidArgument } from '../errors.js'
import { disposeInEveryContext } from './disposal.js'
import { show } from './options.js'
import { processing, receiving, sending, type Onlookers } from './watched.js'

/** Kinds of channels. */
export type TracedKind = 'work' | 'pipeline' | 'topics' | 'queue'

/** What all tracing channels show. */
export interface Traced {
  /** What was called. */
  readonly operation: string
  /** Set before `error`, `asyncStart` and `asyncEnd`: why it has failed. */
  error?: unknown
  /** Set before `asyncStart` and `asyncEnd`: what it resolved with. */
  result?: unknown
}

/** What `tracing:millrace:send:*` shows: something goes into a channel. */
export interface SendTrace extends Traced {
  /** What was called; `forward` is `job.complete({ to })`. */
  readonly operation: 'push' | 'pushBatch' | 'forward' | 'publish' | 'publishBatch'
  /** What kind of channel it is. */
  readonly kind: TracedKind
  /** Its name, or its address. */
  readonly destination: string
  /** Of topics. */
  readonly subject: string | undefined
  /** Of a job. */
  readonly id: string | undefined
  /** Of a job. */
  readonly group: string | undefined
  /** Messages: 1, but of a batch. */
  readonly count: number
  /** Bytes of their payloads. */
  readonly bytes: number
  /** The context that goes along, as W3C writes it. Whoever looks on may set it in `start`. */
  traceparent: string | undefined
}

/** A message that was received. */
export interface TracedMessage {
  /** Of topics. */
  readonly subject: string | undefined
  /** Of a job. */
  readonly id: string | undefined
  /** Bytes of its payload. */
  readonly bytes: number
  /** The context that came along, as W3C writes it. */
  readonly traceparent: string | undefined
}

/** What `tracing:millrace:receive:*` shows: somebody asks for messages, waits for them, and has them. */
export interface ReceiveTrace extends Traced {
  /** What was called; what loops ask for is `take` or `receive`. */
  readonly operation: 'take' | 'takeBatch' | 'receive' | 'receiveBatch' | 'pop'
  /** What kind of channel it is. */
  readonly kind: TracedKind
  /** Its name, or its address. */
  readonly destination: string
  /** Filters of a subscription; the stage of a pipeline. */
  readonly source: string | undefined
  /** The group of a subscription. */
  readonly group: string | undefined
  /** What has come: set before `asyncStart` and `asyncEnd`. */
  messages: readonly TracedMessage[]
}

/** What `tracing:millrace:process:*` shows: a handler is at work, or somebody has a job in hand until it is settled. */
export interface ProcessTrace extends Traced {
  /** `job`, for a job in a handler; `held`, of one that was taken without; `batch`; or the kind of a function that is served. */
  readonly operation: 'job' | 'held' | 'batch' | 'call' | 'stream' | 'upload' | 'duplex'
  /** What kind of channel it is. */
  readonly kind: TracedKind | 'calls'
  /** The name or the address of the channel; of calls that of the server. */
  readonly destination: string
  /** Of calls: the name of the contract. */
  readonly contract: string | undefined
  /** The stage of a pipeline; the group of a subscription; the method of a contract. */
  readonly source: string | undefined
  /** Of topics. */
  readonly subject: string | undefined
  /** Of a job. */
  readonly id: string | undefined
  /** Attempts, this one included; of a batch that of its first job. */
  readonly attempt: number
  /** Messages: 1, but of a batch. */
  readonly count: number
  /** Bytes of their payloads; 0 where that is not known. */
  readonly bytes: number
  /** The context that came along, as W3C writes it. */
  readonly traceparent: string | undefined
  /** Those of all messages of a batch that have one. */
  readonly traceparents: readonly string[]
  /** What the handler was given: a job, a list of them, or what a handler of a call is told. */
  readonly given: object
  /** How the job was settled, set before `asyncStart` and `asyncEnd`. */
  settled: string | undefined
  /** May be set in `start`: calls what it is given, which is the handler, or a step of the generator that it returned. */
  around: (<T>(act: () => T) => T) | undefined
}

/** What `tracing:millrace:call:*` shows: a call from its client's side, until its answer or its last item. */
export interface CallTrace extends Traced {
  /** The kind of the function. */
  readonly operation: 'call' | 'stream' | 'upload' | 'duplex'
  /** The name or the address of the server. */
  readonly destination: string
  /** The name of the contract. */
  readonly contract: string
  /** The name of the function. */
  readonly method: string
  /** The context that goes along, as W3C writes it. Whoever looks on may set it in `start`. */
  traceparent: string | undefined
}

/** What `tracing:millrace:connect:*` shows: a connection is made, or a place taken where others can make some. */
export interface ConnectTrace extends Traced {
  /** Which of both. */
  readonly operation: 'connect' | 'listen'
  /** Where. */
  readonly address: string
}

export const traceBytes = 26

const written =
  /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/

/** The bytes of a context; undefined: it is none. */
export function packTrace(traceparent: unknown): Uint8Array | undefined {
  const parts = typeof traceparent === 'string' ? written.exec(traceparent) : null
  if (parts === null) return undefined
  const [, version = '', trace = '', span = '', flags = ''] = parts
  // What later versions have behind that is not for us.
  return version === '00' && traceparent !== `00-${trace}-${span}-${flags}`
    ? undefined
    : Buffer.from(`00${trace}${span}${flags}`, 'hex')
}

/**
 * The same, of what a user gave.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function readTrace(traceparent: unknown): Uint8Array {
  const bytes = packTrace(traceparent)
  if (bytes !== undefined) return bytes
  throw invalidArgument(
    `traceparent must be a context as W3C writes it, 00-TRACE-SPAN-FLAGS with 32, 16 and 2 small hexadecimal digits, not ${show(traceparent)}`,
  )
}

/** What came along; undefined: it is no context that this version knows. */
export function unpackTrace(bytes: Uint8Array | undefined): string | undefined {
  if (bytes?.length !== traceBytes || bytes[0] !== 0) return undefined
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset, traceBytes).toString('hex')
  const text = `00-${hex.slice(2, 34)}-${hex.slice(34, 50)}-${hex.slice(50)}`
  return written.test(text) ? text : undefined
}

/** Does it, and lets those who look on see it. */
export async function trace<T>(
  { channel }: Onlookers,
  context: Traced,
  act: () => T | PromiseLike<T>,
): Promise<T> {
  // What is thrown at once is a rejection as well, so that all ends with `asyncEnd`.
  return await channel.tracePromise(async () => await act(), context)
}

/**
 * Of what is in somebody's hands: shows that it has begun, and returns what shows that it is over. That does so at once: in a listener of
 * `exit` no promise goes on.
 */
export function traceHeld({ channel }: Onlookers, context: Traced): () => void {
  const { start, end, asyncStart, asyncEnd } = channel
  start.runStores(context, () => {
    end.publish(context)
  })
  return () => {
    asyncStart.publish(context)
    asyncEnd.publish(context)
  }
}

/** A push into a ring that has no room. */
export function tracePushWait(
  destination: string,
  bytes: number,
  push: () => Promise<void>,
): Promise<void> {
  const context: SendTrace = {
    ...{ operation: 'push', kind: 'queue', destination, subject: undefined },
    ...{ id: undefined, group: undefined, count: 1, bytes, traceparent: undefined },
  }
  return trace(sending, context, push)
}

/** A pop out of a ring that has nothing yet. */
export function tracePopWait<T>(destination: string, pop: () => Promise<T>): Promise<T> {
  const context: ReceiveTrace = {
    ...{ operation: 'pop', kind: 'queue', destination, source: undefined, group: undefined },
    messages: [],
  }
  return trace(receiving, context, async () => {
    const found = await pop()
    if (found !== undefined) {
      const bytes = bytesIn(found)
      context.messages = [{ subject: undefined, id: undefined, bytes, traceparent: undefined }]
    }
    return found
  })
}

/** The same of a handler; `settled` tells what became of what it was given. */
export async function traceHandler(
  context: ProcessTrace,
  handler: () => unknown,
  settled: (failed: boolean) => string | undefined,
): Promise<unknown> {
  return await trace(processing, context, async () => {
    const { around } = context
    let failed = true
    try {
      const result = await (around === undefined ? handler() : around(handler))
      failed = false
      return result
    } finally {
      context.settled = settled(failed)
    }
  })
}

/** What `for await` goes over, and what this library's own iterations have besides. */
interface Items {
  [Symbol.asyncIterator]?(): AsyncIterator<unknown>
  [Symbol.iterator]?(): Iterator<unknown>
}

/** From `open` until the last item; each step goes by `around`, if there is one. Throws what `open` throws. */
export function traceItems(
  watched: Onlookers,
  context: Traced & { readonly around?: ProcessTrace['around'] },
  open: () => unknown,
): unknown {
  let items: unknown
  let thrown: { readonly error: unknown } | undefined
  let end: (error?: { readonly error: unknown }) => void = () => undefined
  const whole = trace(watched, context, () => {
    try {
      items = context.around === undefined ? open() : context.around(open)
    } catch (error) {
      thrown = { error }
      throw error
    }
    return new Promise<void>((resolve, reject) => {
      end = (failure) => {
        if (failure === undefined) resolve()
        else reject(failure.error)
      }
    })
  })
  whole.catch(() => undefined)
  const failed = thrown as { readonly error: unknown } | undefined
  if (failed !== undefined) throw failed.error
  return isItems(items) ? new TracedItems(items, context.around, end) : (end(), items)
}

function isItems(given: unknown): given is Items {
  const isObject = typeof given === 'object' && given !== null
  return isObject && (Symbol.asyncIterator in given || Symbol.iterator in given)
}

/** The options with that context in them. What is no object is for whoever reads them. */
export function carrying<O extends object>(
  options: O | undefined,
  names: readonly string[],
  traceparent: string | undefined,
): O | undefined {
  if (packTrace(traceparent) === undefined) return options
  if (options !== undefined && (typeof options !== 'object' || (options as unknown) === null)) {
    return options
  }
  const given = options as Readonly<Record<string, unknown>> | undefined
  const all: Record<string, unknown> = { ...given }
  // Of objects whose properties are those of their class, too.
  for (const name of names) if (given?.[name] !== undefined) all[name] = given[name]
  return Object.assign(all, { traceparent }) as unknown as O
}

/** Bytes of what is sent; what is wrong is for others to say. */
export function bytesIn(payload: unknown): number {
  if (typeof payload === 'string') return Buffer.byteLength(payload)
  const { byteLength } = (payload ?? {}) as { readonly byteLength?: unknown }
  return typeof byteLength === 'number' ? byteLength : 0
}

export class TracedItems implements AsyncIterable<unknown> {
  readonly #inner: AsyncIterator<unknown> | Iterator<unknown>
  readonly #around: ProcessTrace['around']
  readonly #end: (error?: { readonly error: unknown }) => void

  constructor(
    items: Items,
    around: ProcessTrace['around'],
    end: (error?: { readonly error: unknown }) => void,
  ) {
    this.#inner = (items[Symbol.asyncIterator]?.() ?? items[Symbol.iterator]?.())!
    this.#around = around
    this.#end = end
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    return this.#step(() => this.#inner.next())
  }

  return(): Promise<IteratorResult<unknown, undefined>> {
    return this.#step(() => this.#inner.return?.() ?? { done: true, value: undefined })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #step(step: () => unknown): Promise<IteratorResult<unknown, undefined>> {
    try {
      const around = this.#around
      const found = await (around === undefined ? step() : around(step))
      const result = found as IteratorResult<unknown, undefined>
      if (result.done === true) this.#end()
      return result
    } catch (error) {
      this.#end({ error })
      throw error
    }
  }
}
