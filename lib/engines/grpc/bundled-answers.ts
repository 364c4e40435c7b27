// Calls that a gateway sends many in one message, at their server: each is one as every other, and their answers go together.

import { Stop } from '../../base/abort-signals.js'
import { clock } from '../clock.js'
import type { EngineCall } from '../port.js'
import { closedUnheard, unwanted, type TakenCall } from './answering.js'
import { Answer, bundledNames, Bundler, Kind, mostTaken, unbundled, type Part } from './bundle.js'
import { Status, type GrpcServerCall, type GrpcStatus } from './library.js'
import { fittedError, names, refusalAs } from './status.js'

/** What is called so. */
export interface BundledService {
  readonly name: string
  /** Bytes of a message that comes, at the most. */
  readonly maxBytes: number
  /** Those that take one value, and return one. */
  readonly single: ReadonlySet<string>
  /** No more calls come. */
  readonly leaving: boolean
  called(call: TakenCall, method: string, input: Uint8Array): void
}

export class BundledAnswers {
  readonly #stream: GrpcServerCall
  readonly #service: BundledService
  readonly #onOver: () => void
  readonly #fingerprint: string | undefined
  /** Bytes of a value that its caller takes. */
  readonly #most: number
  readonly #calls = new Map<number, BundledCall>()
  readonly #bundler: Bundler
  /** Calls that are at work, or whose answers have not gone. */
  #taken = 0
  #answered = 0
  #isOver = false

  constructor(stream: GrpcServerCall, service: BundledService, onOver: () => void) {
    this.#stream = stream
    this.#service = service
    this.#onOver = onOver
    this.#fingerprint = said(stream, names.contract)
    this.#most = Number(said(stream, bundledNames.most) ?? Infinity)
    this.#bundler = new Bundler(this.#most, (message, sent) => {
      const gone = this.#answered
      this.#answered = 0
      stream.write(message, () => {
        this.#taken -= gone
        sent()
      })
    })
    stream.on('data', (message: Buffer) => {
      this.#came(message)
    })
    stream.once('end', () => {
      this.end({ code: Status.cancelled, details: 'the caller has ended the stream' })
    })
    stream.once('cancelled', () => {
      this.#over()
    })
    this.#bundler.add(partOf(service.maxBytes, Answer.taken, nothing))
  }

  /** What is answered goes before. */
  end(status: GrpcStatus): void {
    if (this.#isOver) return
    this.#bundler.finish()
    this.#over()
    this.#stream.emit('error', status)
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onOver()
    for (const call of [...this.#calls.values()]) call.unwanted()
    this.#calls.clear()
  }

  #came(message: Buffer): void {
    if (this.#isOver) return
    try {
      for (const part of unbundled(message)) {
        if (part.kind === Kind.call) this.#called(part)
        else this.#calls.get(part.number)?.unwanted()
      }
    } catch (error) {
      this.end({ code: Status.invalidArgument, details: (error as Error).message })
    }
  }

  #called({ number, method, trace, left, bytes }: Part): void {
    if (this.#calls.has(number)) throw new RangeError('two calls have the same number')
    if (++this.#taken > mostTaken) {
      throw new RangeError(`more than ${String(mostTaken)} calls are without an answer`)
    }
    const service = this.#service
    const call = new BundledCall(
      { method, input: bytes, fingerprint: this.#fingerprint, traceparent: trace },
      left,
      (kind, answer) => {
        this.#answer(number, kind, answer)
      },
    )
    this.#calls.set(number, call)
    if (service.leaving) {
      call.error(
        refusalAs(`the server of '${service.name}' is closing, and takes no more calls`),
        true,
      )
    } else if (service.single.has(method)) {
      service.called(call, method, bytes)
    } else {
      call.error(refusalAs(`nobody serves '${method}' of '${service.name}' here`), true)
    }
  }

  #answer(number: number, kind: number, given: Uint8Array): void {
    this.#calls.delete(number)
    if (this.#isOver) return
    const isTooLong = given.length > this.#most
    const bytes = isTooLong ? Buffer.from(String(given.length)) : given
    this.#answered++
    this.#bundler.add(partOf(number, isTooLong ? Answer.tooLong : kind, bytes))
  }
}

type Facts = Pick<EngineCall, 'method' | 'input' | 'fingerprint'> & { readonly traceparent: string }

class BundledCall implements EngineCall, TakenCall {
  readonly method: string
  readonly input: Uint8Array
  readonly fingerprint: string | undefined
  readonly traceparent: string | undefined
  readonly #until: number
  readonly #stop = new Stop()
  readonly #answer: (kind: number, bytes: Uint8Array) => void
  #onOver: (() => void) | undefined
  #isOver = false

  constructor(
    { method, input, fingerprint, traceparent }: Facts,
    left: number,
    answer: (kind: number, bytes: Uint8Array) => void,
  ) {
    this.method = method
    this.input = input
    this.fingerprint = fingerprint
    this.traceparent = traceparent === '' ? undefined : traceparent
    this.#until = left === Infinity ? Infinity : clock() + left
    this.#answer = answer
  }

  get signal(): AbortSignal {
    return this.#stop.asGiven
  }

  get left(): number {
    return this.#until === Infinity ? Infinity : Math.max(this.#until - clock(), 0)
  }

  onOver(told: () => void): void {
    this.#onOver = told
  }

  asCall(): EngineCall {
    return this
  }

  result(bytes: Uint8Array): void {
    this.#end(Answer.result, bytes)
  }

  error(bytes: Uint8Array, refused: boolean): void {
    this.#end(refused ? Answer.refused : Answer.error, fittedError(bytes))
  }

  /** Nobody waits for the answer any more. */
  unwanted(): void {
    if (this.#isOver) return
    // Its number may come again only when it was answered.
    this.#end(Answer.error, nothing)
    this.#stop.abort(unwanted(this.left))
  }

  /** The server ends, and with it the stream, by which the caller hears of it. */
  cut(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onOver?.()
    this.#stop.abort(closedUnheard())
  }

  #end(kind: number, bytes: Uint8Array): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onOver?.()
    this.#answer(kind, bytes)
  }
}

const nothing = new Uint8Array(0)

function partOf(number: number, kind: number, bytes: Uint8Array): Part {
  return { number, kind, method: '', trace: '', left: 0, bytes }
}

function said({ metadata }: GrpcServerCall, name: string): string | undefined {
  const [text] = metadata.get(name)
  return typeof text === 'string' ? text : undefined
}
