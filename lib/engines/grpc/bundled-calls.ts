// Calls of a gateway that go many in one message, over a stream beside the connection's other calls. Until the server has said that it takes
// them so, and wherever it does not, they go one by one.

import { forgetAbort, whenAborted, type Abortable } from '../../base/abort-signals.js'
import { MillraceError } from '../../errors.js'
import type { EngineCallOptions } from '../port.js'
import {
  Answer,
  bundledNames,
  bundledPath,
  Bundler,
  Kind,
  mostBeside,
  mostBundled,
  mostCalls,
  unbundled,
  type Part,
} from './bundle.js'
import { grpcLibrary, Status, type GrpcCall, type GrpcChannel, type GrpcStatus } from './library.js'
import { names, type Ending } from './status.js'

/** As an answer of a call of its own. */
export interface SingleAnswer {
  readonly kind: 'result' | 'error' | 'refused'
  readonly bytes: Uint8Array
}

/** Where they go. */
export interface BundledTo {
  readonly channel: GrpcChannel
  readonly service: string
  readonly shown: string
  readonly maxBytes: number
  /** What a status says of a call of that method that was sent. */
  readonly ending: (status: GrpcStatus, method: string) => Ending
}

const nothing = new Uint8Array(0)
const kinds = {
  [Answer.result]: 'result',
  [Answer.error]: 'error',
  [Answer.refused]: 'refused',
} as const
/** What a head has room for. */
const plain = /^[\x21-\x7e]{1,255}$/
const largest = 0xffff_ffff

export class BundledCalls {
  readonly #to: BundledTo
  /** Those without an answer; undefined: nobody waits for it, and the server has not said that it knows. */
  readonly #waiting = new Map<number, Waiting | undefined>()
  #state: 'none' | 'opening' | 'open' | 'refused' = 'none'
  #fingerprint = ''
  #call: GrpcCall | undefined
  #bundler: Bundler | undefined
  /** Bytes of an input that goes so. */
  #most = 0
  #last = 0

  constructor(to: BundledTo) {
    this.#to = to
  }

  /** Somebody serves there: does he take calls so? */
  begin(fingerprint: string): void {
    if (this.#state !== 'none' || fingerprint === '') return
    const { channel, service, maxBytes } = this.#to
    const metadata = new (grpcLibrary().Metadata)()
    metadata.set(names.contract, fingerprint)
    metadata.set(bundledNames.service, service)
    metadata.set(bundledNames.most, String(maxBytes))
    const call = channel.createCall(bundledPath, Infinity, undefined, null, undefined)
    this.#state = 'opening'
    this.#fingerprint = fingerprint
    this.#call = call
    call.start(metadata, {
      onReceiveMetadata: () => undefined,
      onReceiveMessage: (message) => {
        if (message === null || this.#call !== call) return
        this.#came(call, message)
      },
      onReceiveStatus: (status) => {
        if (this.#call === call) this.#over(status)
      },
    })
    call.startRead()
  }

  /** Can that call go so now? */
  takes(method: string, input: Uint8Array, { fingerprint }: EngineCallOptions): boolean {
    return (
      this.#state === 'open' &&
      input.length <= this.#most &&
      this.#waiting.size < mostCalls &&
      fingerprint === this.#fingerprint &&
      plain.test(method)
    )
  }

  /** Undefined: it was not sent. Rejects as a call of its own does. */
  call(
    method: string,
    input: Uint8Array,
    { timeout, signal, traceparent = '' }: EngineCallOptions,
  ): Promise<SingleAnswer | undefined> {
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    return new Promise((resolve, reject) => {
      const number = this.#free()
      const trace = plain.test(traceparent) ? traceparent : ''
      const waiting: Waiting = {
        ...{ method, signal, resolve, reject },
        aborted: () => {
          this.#forget(number)
          this.#waiting.set(number, undefined)
          this.#bundler!.add(endOf(number))
          reject(signal.reason as Error)
        },
      }
      this.#waiting.set(number, waiting)
      whenAborted(signal, waiting)
      this.#bundler!.add({ number, kind: Kind.call, method, trace, left: timeout, bytes: input })
    })
  }

  /** None goes so any more; the stream ends when all that were sent are answered. */
  leave(): void {
    this.#state = 'refused'
    if (this.#waiting.size === 0) this.#cancel()
  }

  /** None goes so any more, and nobody waits. */
  close(reason: Error): void {
    this.#state = 'refused'
    for (const number of this.#waiting.keys()) this.#forget(number)?.reject(reason)
    this.#cancel()
  }

  #cancel(): void {
    const call = this.#call
    this.#call = undefined
    call?.cancelWithStatus(Status.cancelled, 'nobody waits for the answers any more')
  }

  #free(): number {
    do this.#last = this.#last === largest ? 0 : this.#last + 1
    while (this.#waiting.has(this.#last))
    return this.#last
  }

  #came(call: GrpcCall, message: Buffer): void {
    try {
      for (const part of unbundled(message)) {
        if (part.kind === Answer.taken) this.#opened(call, part.number)
        else this.#answered(part)
      }
    } catch (error) {
      const details = (error as Error).message
      this.#state = 'refused'
      this.#over({ code: Status.unavailable, details })
      call.cancelWithStatus(Status.cancelled, details)
      return
    }
    if (this.#state === 'refused' && this.#waiting.size === 0) this.#cancel()
    else call.startRead()
  }

  #opened(call: GrpcCall, maxBytes: number): void {
    if (this.#state !== 'opening') return
    this.#state = 'open'
    this.#most = Math.min(mostBundled, maxBytes - mostBeside)
    this.#bundler = new Bundler(maxBytes, (message, callback) => {
      call.sendMessageWithContext({ callback }, message)
    })
  }

  #answered({ number, kind, bytes }: Part): void {
    const waiting = this.#forget(number)
    // Nobody waits for it any more.
    if (waiting === undefined) return
    const known = kinds[kind as keyof typeof kinds] as SingleAnswer['kind'] | undefined
    if (known !== undefined) {
      waiting.resolve({ kind: known, bytes })
      return
    }
    const length = Buffer.from(bytes).toString('latin1')
    const details = `Received message larger than max (${length} vs ${String(this.#to.maxBytes)})`
    waiting.reject(this.#failure({ code: Status.resourceExhausted, details }, waiting.method))
  }

  #forget(number: number): Waiting | undefined {
    const waiting = this.#waiting.get(number)
    this.#waiting.delete(number)
    if (waiting !== undefined) forgetAbort(waiting.signal, waiting)
    return waiting
  }

  /** The stream has ended: the next one begins after another call has gone well. */
  #over(status: GrpcStatus): void {
    const isOpening = this.#state === 'opening'
    const mayCome = this.#state === 'open' || (isOpening && status.code === Status.notFound)
    this.#state = mayCome ? 'none' : 'refused'
    this.#call = undefined
    // Nobody waits for some of them.
    for (const { number } of this.#bundler?.rest() ?? []) this.#forget(number)?.resolve(undefined)
    for (const number of this.#waiting.keys()) {
      const waiting = this.#forget(number)
      waiting?.reject(this.#failure(status, waiting.method))
    }
  }

  /** Of a call that was sent, and has no answer. */
  #failure(status: GrpcStatus, method: string): Error {
    const sent = status.code === Status.ok ? { ...status, code: Status.unavailable } : status
    const ending = this.#to.ending(sent, method)
    if (ending instanceof MillraceError) return ending
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `${method}() at '${this.#to.shown}' was not answered: the server has ended the stream that it was sent over (${status.details})`,
      { executed: 'unknown' },
    )
  }
}

interface Waiting extends Abortable {
  readonly method: string
  readonly signal: AbortSignal
  resolve(answer: SingleAnswer | undefined): void
  reject(error: Error): void
}

function endOf(number: number): Part {
  return { number, kind: Kind.end, method: '', trace: '', left: 0, bytes: nothing }
}
