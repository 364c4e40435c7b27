// Calls of many values, at who calls and at who serves: what their messages do to an exchange of values.

import type { MillraceError } from '../../errors.js'
import { Exchange, lostError, type Post } from '../many.js'
import type { EngineAnswer, EngineCall, EngineStream } from '../port.js'
import {
  callOf,
  countIn,
  errorEntries,
  foreignError,
  isManyKind,
  names,
  notOfOne,
  textIn,
  type Entries,
} from './call-messages.js'
import type { NatsMessage } from './library.js'

/** A call that waits for what comes to its inbox. */
export interface Asked {
  arrived(message: NatsMessage): void
  failed(error: Error): void
}

/** Why no answer comes. */
export type AskedTrouble = 'nobody' | 'silent' | 'lost' | 'gone'

interface Asking {
  readonly silenceMs: number
  readonly post: (to: string, ...told: Parameters<Post>) => void
  readonly errorOf: (why: AskedTrouble) => MillraceError
  /** It has ended; `isGivenUp`: at this side, and who serves does not know. */
  readonly over: (isGivenUp: boolean) => void
}

const nothing = new Uint8Array(0)

/** At who calls. */
export class AskedForMany implements Asked, EngineStream {
  readonly #signal: AbortSignal
  readonly #asking: Asking
  readonly #exchange: Exchange
  readonly #opened: Promise<void>
  #tellOpened!: () => void
  /** Where values go. */
  #to: string | undefined
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
    this.#exchange = new Exchange({
      room: 0,
      silenceMs: asking.silenceMs,
      post: (...told) => {
        if (this.#to !== undefined) asking.post(this.#to, ...told)
      },
      broken: (why) => {
        this.#failed(asking.errorOf(why), true)
      },
    })
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  arrived(message: NatsMessage): void {
    const { data, headers } = message
    const status = textIn(message, names.status) ?? ''
    if (headers?.code === 503) {
      this.#failed(this.#asking.errorOf('nobody'))
    } else if (status === 'open') {
      this.#to = textIn(message, names.to)
      this.#tellOpened()
      this.#exchange.hears('room', countIn(message), nothing)
    } else if (status === 'gone') {
      this.#failed(this.#asking.errorOf('gone'))
    } else if (status === 'end') {
      this.#ends('end', nothing)
    } else if (status === 'error' || status === 'refused') {
      this.#ends(status, new Uint8Array(data))
    } else if (isManyKind(status)) {
      this.#exchange.hears(status, countIn(message), new Uint8Array(data))
    } else {
      // Somebody who knows nothing of many values answers with one.
      const error = foreignError(message)
      if (error === undefined) this.#exchange.hears('item', 1, new Uint8Array(data))
      this.#ends(error === undefined ? 'end' : 'error', error ?? nothing)
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

  #failed(error: Error, isGivenUp = false): void {
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
  readonly answer: (bytes: Uint8Array, entries: Entries) => void
  readonly post: Post
  readonly callerGone: () => MillraceError
  readonly over: () => void
}

/** At who serves. */
export class ServedOfMany {
  readonly exchange: Exchange
  readonly #method: string
  readonly #message: NatsMessage
  readonly #signal: AbortSignal
  readonly #serving: Serving

  /** `control`: aborts when nobody waits any more. */
  constructor(method: string, message: NatsMessage, control: AbortController, serving: Serving) {
    const { room, silenceMs, post, over } = serving
    const { signal } = control
    this.#method = method
    this.#message = message
    this.#signal = signal
    this.#serving = serving
    this.exchange = new Exchange({
      ...{ room, silenceMs, post },
      broken: (why) => {
        // The caller, if there is one, has had values that go nowhere.
        if (why === 'lost') serving.answer(nothing, [[names.status, 'gone']])
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
        if (input === undefined) this.#end(notOfOne(this.#method), errorEntries(true))
        else begin(input)
      },
      () => undefined, // nobody waits
    )
  }

  #call(input: Uint8Array): EngineCall {
    const send = async (bytes: Uint8Array): Promise<void> => {
      if (!(await this.exchange.send(bytes))) throw this.#signal.reason
    }
    const end = (): void => {
      this.#end(nothing, [[names.status, 'end']])
    }
    const call = callOf(this.#method, this.#message, input, this.#signal, {
      result: (bytes) => {
        send(bytes).then(end, () => undefined) // nobody waits
      },
      error: (bytes, refused) => {
        this.#end(bytes, errorEntries(refused))
      },
    })
    return Object.assign(call, { many: { next: () => this.exchange.next(), send, end } })
  }

  /** What is said last: nothing, if nobody waits. */
  #end(bytes: Uint8Array, entries: Entries): void {
    if (this.#signal.aborted) return
    this.#serving.over()
    this.exchange.leave()
    this.#serving.answer(bytes, entries)
  }
}
