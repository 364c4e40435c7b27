// One call, at its server: messages as they are asked for, and what is answered, as far as the caller has room for it.

import { MillraceError } from '../../errors.js'
import { clock } from '../clock.js'
import type { EngineCall, EngineMany } from '../port.js'
import {
  Status,
  type GrpcAnswer,
  type GrpcCalled,
  type GrpcServerCall,
  type GrpcStatus,
} from './library.js'
import { names, statusOf } from './status.js'

/** What the stream of Node has within. Where it is not so, some messages more are taken before they are asked for. */
interface Within {
  readonly _readableState?: { highWaterMark?: number }
}

/** How messages are packed that go by a service of ours for many functions. */
export interface Packing {
  unpack(message: Uint8Array): Uint8Array
  pack(bytes: Uint8Array): Uint8Array
}

const nothing = new Uint8Array(0)

/** A call that came, as its service has it. */
export interface TakenCall {
  /** Told once when it was answered, or nobody waits any more. */
  onOver(told: () => void): void
  /** It ends, for the server does: what the handler does goes nowhere any more. */
  cut(): void
  /** As the floor above takes it. */
  asCall(method: string, input: Uint8Array): EngineCall
}

/** What there is of every call of its own. */
export abstract class AnyAnswering implements TakenCall {
  readonly signal: AbortSignal
  protected over = false
  readonly #called: GrpcCalled
  readonly #control = new AbortController()
  readonly #until: number
  readonly #onOver: (() => void)[] = []

  constructor(called: GrpcCalled) {
    this.#called = called
    this.signal = this.#control.signal
    const deadline = called.getDeadline()
    this.#until = deadline instanceof Date ? deadline.getTime() : deadline
    called.once('cancelled', () => {
      // Also when all has gone well.
      const wasOver = this.over
      this.finish()
      if (!wasOver) this.#control.abort(unwanted(this.left))
    })
  }

  /** Whose contract it is called by; undefined: somebody's who has none. */
  get fingerprint(): string | undefined {
    return this.said(names.contract)
  }

  protected said(name: string): string | undefined {
    const [text] = this.#called.metadata.get(name)
    return typeof text === 'string' ? text : undefined
  }

  get left(): number {
    return this.#until === Infinity ? Infinity : Math.max(this.#until - clock(), 0)
  }

  onOver(told: () => void): void {
    if (this.over) told()
    else this.#onOver.push(told)
  }

  abstract result(bytes: Uint8Array): void

  error(bytes: Uint8Array, refused: boolean): void {
    this.fail(statusOf(bytes, refused, this.fingerprint !== undefined))
  }

  /** It ends with a status that is none of a handler's. */
  abstract fail(status: GrpcStatus): void

  cut(): void {
    this.fail({ code: Status.unavailable, details: 'the server has closed' })
    this.#control.abort(closedUnheard())
  }

  asCall(method: string, input: Uint8Array): EngineCall {
    const { fingerprint, signal } = this
    const left = (): number => this.left
    return {
      method,
      input,
      fingerprint,
      get left() {
        return left()
      },
      signal,
      traceparent: this.said('traceparent'),
      result: (bytes) => {
        this.result(bytes)
      },
      error: (bytes, refused) => {
        this.error(bytes, refused)
      },
    }
  }

  protected finish(): void {
    this.over = true
    for (const told of this.#onOver.splice(0)) told()
  }
}

/** One message came, and one goes back. */
export class SingleAnswering extends AnyAnswering {
  readonly #answer: GrpcAnswer

  constructor(called: GrpcCalled, answer: GrpcAnswer) {
    super(called)
    this.#answer = answer
  }

  result(bytes: Uint8Array): void {
    if (this.over) return
    this.finish()
    this.#answer(null, bufferOf(bytes))
  }

  fail(status: GrpcStatus): void {
    if (this.over) return
    this.finish()
    this.#answer(status)
  }
}

export class Answering extends AnyAnswering {
  readonly #call: GrpcServerCall
  readonly #packing: Packing | undefined
  #ended = false
  #back: Uint8Array | undefined

  constructor(call: GrpcServerCall, packing?: Packing) {
    super(call)
    this.#call = call
    this.#packing = packing
    const within = (call as unknown as Within)._readableState
    if (within?.highWaterMark !== undefined) within.highWaterMark = 1
    call.once('end', () => {
      this.#ended = true
    })
  }

  /** Undefined: there are no more. Rejects with why nobody waits any more. */
  async next(): Promise<Uint8Array | undefined> {
    const call = this.#call
    const back = this.#back
    this.#back = undefined
    if (back !== undefined) return back
    for (;;) {
      this.signal.throwIfAborted()
      const message = call.read() as Buffer | null
      if (message !== null) return this.#packing?.unpack(message) ?? message
      if (this.#ended) return undefined
      await this.#told((tell) => {
        call.once('readable', tell)
        call.once('end', tell)
        return () => {
          call.removeListener('readable', tell)
          call.removeListener('end', tell)
        }
      })
    }
  }

  /** That is the next one once more. */
  putBack(bytes: Uint8Array): void {
    this.#back = bytes
  }

  /** Resolves as soon as another one may follow. Rejects with why nobody waits any more. */
  async send(bytes: Uint8Array): Promise<void> {
    this.signal.throwIfAborted()
    await this.#told((tell) => {
      this.#call.write(this.#packed(bytes), tell)
      return () => undefined
    })
  }

  /** There are no more, and all is well. */
  end(): void {
    if (this.over) return
    this.finish()
    this.#call.end()
  }

  result(bytes: Uint8Array): void {
    if (this.over) return
    this.#call.write(this.#packed(bytes))
    this.end()
  }

  fail(status: GrpcStatus): void {
    if (this.over) return
    this.finish()
    this.#call.emit('error', status)
  }

  override asCall(method: string, input: Uint8Array): EngineCall {
    const many: EngineMany = {
      next: () => this.next(),
      send: (bytes) => this.send(bytes),
      end: () => {
        this.end()
      },
    }
    // What is read anew each time stays so.
    return Object.assign(super.asCall(method, input), { many })
  }

  #packed(bytes: Uint8Array): Buffer {
    return bufferOf(this.#packing?.pack(bytes) ?? bytes)
  }

  /** Whether something is told, or nobody waits any more. */
  async #told(listen: (tell: () => void) => () => void): Promise<void> {
    let forget: (() => void) | undefined
    let onAbort: (() => void) | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        onAbort = () => {
          reject(this.signal.reason as Error)
        }
        this.signal.addEventListener('abort', onAbort, { once: true })
        forget = listen(resolve)
      })
    } finally {
      if (onAbort !== undefined) this.signal.removeEventListener('abort', onAbort)
      forget?.()
    }
  }
}

function bufferOf({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  // What is empty is no object to a stream of Node, but for a Buffer.
  return Buffer.from(byteLength === 0 ? nothing.buffer : buffer, byteOffset, byteLength)
}

/** Why a handler is to stop; `left`: milliseconds that its caller waits still. */
export function unwanted(left: number): MillraceError {
  return left === 0
    ? new MillraceError('ERR_MILLRACE_TIMEOUT', 'the time that the caller allowed is over')
    : new MillraceError(
        'ERR_MILLRACE_ABORTED',
        'nobody waits for the answer any more: the caller has aborted the call, or left its loop, or is gone',
      )
}

export function closedUnheard(): MillraceError {
  return new MillraceError('ERR_MILLRACE_PEER_GONE', 'the server has closed, and nobody hears it')
}
