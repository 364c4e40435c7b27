// Calls of many values, at who calls and at who serves: what their messages do to an exchange of values.

import type { MillraceError } from '../errors.js'
import { Exchange, lostError, roomAhead, type Post } from './many.js'
import type { EngineAnswer, EngineCall, EngineStream } from './port.js'

/** How a call ends at who serves. `gone`: its values were lost on the way, or it has closed. */
export type ManyEnd = 'end' | 'error' | 'refused' | 'gone'

/** Why no answer comes. */
export type AskedTrouble = 'nobody' | 'silent' | 'gone'

interface Asking {
  readonly method: string
  readonly silenceMs: number
  readonly post: Post
  readonly errorOf: (why: AskedTrouble) => MillraceError
  /** It has ended; `isGivenUp`: at this side, and who serves does not know. */
  readonly over: (isGivenUp: boolean) => void
}

export { roomAhead }

const nothing = new Uint8Array(0)

/** At who calls. */
export class AskedForMany implements EngineStream {
  readonly #signal: AbortSignal
  readonly #asking: Asking
  readonly #exchange: Exchange
  readonly #opened: Promise<void>
  #tellOpened!: () => void
  #ending: EngineAnswer | undefined
  #isOver = false
  readonly #onAbort = (): void => {
    this.#over(true)
    this.#exchange.fail(this.#signal.reason as Error, true)
  }

  constructor(signal: AbortSignal, asking: Asking) {
    this.#signal = signal
    this.#asking = asking
    this.#opened = new Promise((resolve) => {
      this.#tellOpened = resolve
    })
    const { silenceMs, post } = asking
    this.#exchange = new Exchange({
      ...{ room: 0, silenceMs, post },
      broken: (why) => {
        const error = why === 'lost' ? lostError(`${asking.method}()`) : asking.errorOf(why)
        this.#failed(error, true)
      },
    })
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  /**
   * A message of who serves; the bytes are kept. `open`: there is room for `count` values; `nobody`: nobody serves; empty: somebody who knows
   * nothing of many values answers with one.
   */
  arrived(status: string, count: number, bytes: Uint8Array): void {
    if (status === 'open') {
      this.#tellOpened()
      this.#exchange.hears('room', count, nothing)
    } else if (status === 'nobody' || status === 'gone') {
      this.#failed(this.#asking.errorOf(status))
    } else if (status === 'end' || status === 'error' || status === 'refused') {
      this.#ends(status, bytes)
    } else if (status === '') {
      this.#exchange.hears('item', 1, bytes)
      this.#ends('end', nothing)
    } else {
      this.#exchange.hears(status, count, bytes)
    }
  }

  failed(error: Error): void {
    this.#failed(error)
  }

  send(bytes: Uint8Array): Promise<boolean> {
    return this.#exchange.send(bytes)
  }

  end(): void {
    void this.#opened.then(() => {
      this.#exchange.end()
    })
  }

  async next(): Promise<EngineAnswer> {
    const bytes = await this.#exchange.next()
    return bytes === undefined ? this.#ending! : { kind: 'item', bytes }
  }

  #ends(kind: EngineAnswer['kind'], bytes: Uint8Array): void {
    this.#ending = { kind, bytes }
    this.#over(false)
    this.#exchange.leave()
  }

  /** What fails behind its end is not its error any more. */
  #failed(error: Error, isGivenUp = false): void {
    if (this.#isOver) return
    this.#over(isGivenUp)
    this.#exchange.fail(error)
  }

  #over(isGivenUp: boolean): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#asking.over(isGivenUp)
  }
}

interface Serving {
  /** Values that the caller has room for. */
  readonly room: number
  readonly silenceMs: number
  readonly post: Post
  readonly answer: (bytes: Uint8Array, end: ManyEnd) => void
  /** The call, as who serves it is told. */
  readonly callOf: (input: Uint8Array, ends: Pick<EngineCall, 'result' | 'error'>) => EngineCall
  readonly callerGone: () => MillraceError
  readonly over: () => void
}

/** At who serves. */
export class ServedOfMany {
  readonly exchange: Exchange
  readonly #method: string
  readonly #signal: AbortSignal
  readonly #serving: Serving

  /** `control`: aborts when nobody waits any more. */
  constructor(method: string, control: AbortController, serving: Serving) {
    const { room, silenceMs, post, over } = serving
    const { signal } = control
    this.#method = method
    this.#signal = signal
    this.#serving = serving
    this.exchange = new Exchange({
      ...{ room, silenceMs, post },
      broken: (why) => {
        // The caller, if there is one, has had values that go nowhere.
        if (why === 'lost') serving.answer(nothing, 'gone')
        control.abort(why === 'silent' ? serving.callerGone() : lostError(`${method}()`))
      },
    })
    signal.addEventListener('abort', () => {
      over()
      this.exchange.fail(signal.reason as Error, true)
    })
  }

  /** `takesMany`: else the first value is the input, and the only one. */
  begin(called: (call: EngineCall) => void, takesMany: boolean): void {
    const begin = (input: Uint8Array): void => {
      called(this.#call(input))
    }
    if (takesMany) {
      begin(nothing)
      return
    }
    this.exchange.next().then(
      (input) => {
        if (input === undefined) this.#end(notOfOne(this.#method), 'refused')
        else begin(input)
      },
      () => undefined, // nobody waits
    )
  }

  #call(input: Uint8Array): EngineCall {
    const send = async (bytes: Uint8Array): Promise<void> => {
      if (!(await this.exchange.send(bytes))) this.#signal.throwIfAborted()
    }
    const end = (): void => {
      this.#end(nothing, 'end')
    }
    const call = this.#serving.callOf(input, {
      result: (bytes) => {
        send(bytes).then(end, () => undefined) // nobody waits
      },
      error: (bytes, refused) => {
        this.#end(bytes, refused ? 'refused' : 'error')
      },
    })
    return Object.assign(call, { many: { next: () => this.exchange.next(), send, end } })
  }

  /** What is said last: nothing, if nobody waits. */
  #end(bytes: Uint8Array, how: ManyEnd): void {
    if (this.#signal.aborted) return
    this.#serving.over()
    this.exchange.leave()
    this.#serving.answer(bytes, how)
  }
}

/** The body of an error: who calls says nothing of many values. */
export function notOfOne(method: string): Uint8Array {
  const message = `${method}() is of many values, which come one by one: a request with one answer cannot call it`
  return Buffer.from(
    JSON.stringify({ name: 'MillraceError', code: 'ERR_MILLRACE_UNSUPPORTED', message }),
  )
}
