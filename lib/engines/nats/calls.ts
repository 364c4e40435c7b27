// Calls as requests of NATS: one message there, one back, to one of those who serve.
//
//   NAME.METHOD            the input; headers say the contract, the time that is left, and a name of the call
//   millrace.cancel.NAME   the name of a call that nobody waits for any more: all who serve hear it, and one of them knows it
//   the inbox of a call    signs of life, and the answer
//
// Of many values (many.ts): a call with Millrace-Room, and no body, is answered with `open` and an inbox at who serves. From there on each side tells
// the other, at its inbox and with Millrace-Status and Millrace-Count, of values, room and ends; the last one is the end of the call, or its error.
//
// NATS says at once that nobody serves; that a server has died it does not say. So one shows a sign of life while it is at work.

import { startTimer, stopTimer, type Timer } from '../../base/time.js'
import type { MillraceError } from '../../errors.js'
import { callCancelled, callerGone, noAnswer } from '../call.js'
import type { AskedTrouble } from '../many-calls.js'
import type { Exchange, Post } from '../many.js'
import type {
  EngineCall,
  EngineCallOptions,
  EngineCalls,
  EngineConnection,
  EngineStream,
} from '../port.js'
import {
  callIn,
  countIn,
  errorEntries,
  foreignError,
  names,
  textIn,
  type Entries,
} from './call-messages.js'
import { natsConnect, NatsLine } from './connection.js'
import type { NatsConnection, NatsHeaders, NatsMessage, NatsSubscription } from './library.js'
import type { NatsPlace } from './place.js'

/** All who serve share it: one of them gets each call. */
const group = 'millrace'
/** Milliseconds between two signs of life, and without one until a server is taken for dead. */
const signMs = 2000
const silenceMs = 10_000
/** What goes beside an input or a result. */
const headerRoom = 1024

type Answer = Awaited<ReturnType<EngineCalls['call']>>

/** What comes to the inbox of a call. */
interface Asked {
  arrived(message: NatsMessage): void
  failed(error: Error): void
}

/** @throws MillraceError (as rejection) as `natsConnect` */
export async function natsCalls(
  place: NatsPlace,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<EngineCalls> {
  return new NatsCalls(await natsConnect(place, connection, signal), place, connection)
}

class NatsCalls extends NatsLine implements EngineCalls {
  readonly #name: string
  readonly #inbox: string
  readonly #silenceMs: number
  readonly #asked = new Map<string, Asked>()
  /** What is served, by the names that their callers gave. */
  readonly #served = new Map<string, AbortController>()
  /** Of calls of many values that are served: by the inboxes that callers were told. */
  readonly #exchanges = new Map<string, Exchange>()
  readonly #valuesInbox: string
  #subscriptions: NatsSubscription[] = []
  #last = 0

  constructor(nats: NatsConnection, place: NatsPlace, connection: EngineConnection) {
    super(nats, place, connection)
    this.#name = place.name
    const { heartbeat } = connection
    this.#silenceMs = heartbeat === 0 ? Infinity : (heartbeat ?? silenceMs)
    this.#inbox = this.library.createInbox()
    nats.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#asked.get(message.subject)?.arrived(message)
      },
    })
    this.#valuesInbox = this.library.createInbox()
    void this.ended.then(() => {
      const gone = this.gone()
      for (const asked of [...this.#asked.values()]) asked.failed(gone)
      for (const control of this.#served.values()) control.abort(gone)
    })
  }

  get maxBytes(): number {
    return this.maxPayload - headerRoom
  }

  /** Nobody waits any more for what was asked for here. */
  override close(): void {
    for (const reply of this.#asked.keys()) this.#cancel(reply)
    super.close()
  }

  async serve(
    methods: readonly string[],
    called: (call: EngineCall) => void,
    many: ReadonlySet<string> = new Set(),
    single: ReadonlySet<string> = new Set(methods),
  ): Promise<void> {
    const cancelled = this.nats.subscribe(this.#cancels, {
      callback: (_error, { data }) => {
        this.#served.get(Buffer.from(data).toString())?.abort(callCancelled())
      },
    })
    const served = methods.map((method) =>
      this.nats.subscribe(`${this.#name}.${method}`, {
        queue: group,
        callback: (error, message) => {
          // Who wants no answer calls nothing.
          if (error !== null || message.reply === undefined) return
          if (single.has(method)) this.#called(method, message, called)
          else this.#calledOfMany(method, message, called, many.has(method))
        },
      }),
    )
    const values = this.nats.subscribe(`${this.#valuesInbox}.*`, {
      callback: (error, message) => {
        if (error === null) this.#valueArrived(message)
      },
    })
    this.#subscriptions = [cancelled, values, ...served]
    await this.flushed()
  }

  unserve(): void {
    // Cancelling goes on for what is at work, and so do its values.
    for (const subscription of this.#subscriptions.splice(2)) subscription.unsubscribe()
  }

  farewell(): void {
    for (const reply of this.#served.keys()) {
      this.#answer(reply, new Uint8Array(0), [[names.status, 'gone']])
    }
  }

  call(method: string, input: Uint8Array, options: EngineCallOptions): Promise<Answer> {
    const { signal } = options
    const subject = `${this.#name}.${method}`
    const reply = `${this.#inbox}.${String(++this.#last)}`
    return new Promise((resolve, reject) => {
      let silence: Timer | undefined
      const end = (): void => {
        this.#asked.delete(reply)
        stopTimer(silence)
        signal.removeEventListener('abort', onAbort)
        if (this.#asked.size === 0) this.hold(false)
      }
      const failed = (error: Error): void => {
        end()
        reject(error)
      }
      const onAbort = (): void => {
        failed(signal.reason as Error)
        this.#cancel(reply)
      }
      const listen = (): void => {
        stopTimer(silence)
        silence = startTimer(this.#silenceMs, () => {
          failed(this.#errorOf('silent', method))
        })
      }
      this.#asked.set(reply, {
        failed,
        arrived: (message) => {
          const { data, headers } = message
          if (headers?.code === 503) {
            failed(this.#errorOf('nobody', method))
            return
          }
          const status = headers?.get(names.status) ?? ''
          if (status === 'working') {
            listen()
            return
          }
          if (status === 'gone') {
            failed(this.#errorOf('gone', method))
            return
          }
          end()
          const foreign = foreignError(message)
          if (status === 'error' || status === 'refused') {
            resolve({ kind: status, bytes: new Uint8Array(data) })
          } else if (foreign !== undefined) {
            resolve({ kind: 'error', bytes: foreign })
          } else {
            resolve({ kind: 'result', bytes: new Uint8Array(data) })
          }
        },
      })
      signal.addEventListener('abort', onAbort, { once: true })
      this.hold(true)
      listen()
      try {
        this.nats.publish(subject, input, { reply, headers: this.#headersOf(reply, options) })
      } catch (error) {
        failed(this.told(error, 'no'))
      }
    })
  }

  open(method: string, options: EngineCallOptions): EngineStream {
    const { signal } = options
    signal.throwIfAborted()
    const reply = `${this.#inbox}.${String(++this.#last)}`
    // Where values go.
    let to: string | undefined
    const { AskedForMany, roomAhead } =
      require('../../engines/many-calls.js') as typeof import('../../engines/many-calls.js')
    const stream = new AskedForMany(signal, {
      method,
      silenceMs: this.#silenceMs,
      post: (...told) => {
        if (to !== undefined) this.#post(to, ...told)
      },
      errorOf: (why) => this.#errorOf(why, method),
      over: (isGivenUp) => {
        this.#asked.delete(reply)
        if (this.#asked.size === 0) this.hold(false)
        if (isGivenUp) this.#cancel(reply)
      },
    })
    this.#asked.set(reply, {
      failed: (error) => {
        stream.failed(error)
      },
      arrived: (message) => {
        const status = textIn(message, names.status) ?? ''
        const foreign = status === '' ? foreignError(message) : undefined
        if (status === 'open') to = textIn(message, names.to)
        if (message.headers?.code === 503) stream.arrived('nobody', 0, message.data)
        else if (foreign !== undefined) stream.arrived('error', 0, foreign)
        else stream.arrived(status, countIn(message), new Uint8Array(message.data))
      },
    })
    this.hold(true)
    try {
      const headers = this.#headersOf(reply, options)
      headers.set(names.room, String(roomAhead))
      this.nats.publish(`${this.#name}.${method}`, new Uint8Array(0), { reply, headers })
    } catch (error) {
      stream.failed(this.told(error, 'no'))
    }
    return stream
  }

  /** What goes with each call. */
  #headersOf(reply: string, { fingerprint, timeout, traceparent }: EngineCallOptions): NatsHeaders {
    return this.headersOf([
      [names.contract, fingerprint],
      [names.call, reply],
      ...(timeout === Infinity ? [] : [[names.left, String(Math.ceil(timeout))] as const]),
      ...(traceparent === undefined ? [] : [['traceparent', traceparent] as const]),
    ])!
  }

  #post(to: string, ...[kind, count, bytes]: Parameters<Post>): void {
    this.#answer(to, bytes, [
      [names.status, kind],
      ...(count === 0 ? [] : [[names.count, String(count)] as const]),
    ])
  }

  #cancel(reply: string): void {
    if (!this.closed) this.nats.publish(this.#cancels, Buffer.from(reply))
  }

  get #cancels(): string {
    return `millrace.cancel.${this.#name}`
  }

  #called(method: string, message: NatsMessage, called: (call: EngineCall) => void): void {
    const { data, reply = '' } = message
    const id = textIn(message, names.call)
    const control = this.#began(id)
    let timer: Timer | undefined
    const sign = (): void => {
      timer = startTimer(signMs, () => {
        this.#answer(reply, new Uint8Array(0), [[names.status, 'working']])
        sign()
      })
    }
    // Others know no signs of life.
    if (id !== undefined) sign()
    const end = (bytes: Uint8Array, entries: Entries): void => {
      stopTimer(timer)
      if (id !== undefined) this.#served.delete(id)
      if (!control.signal.aborted) this.#answer(reply, bytes, entries)
    }
    called(
      callIn(method, message, new Uint8Array(data), control.signal, {
        result: (bytes) => {
          end(bytes, [])
        },
        error: (bytes, refused) => {
          end(bytes, errorEntries(refused))
        },
      }),
    )
  }

  #calledOfMany(
    method: string,
    message: NatsMessage,
    called: (call: EngineCall) => void,
    takesMany: boolean,
  ): void {
    const { notOfOne, roomAhead, ServedOfMany } =
      require('../../engines/many-calls.js') as typeof import('../../engines/many-calls.js')
    const { reply = '' } = message
    const id = textIn(message, names.call)
    const room = Number(textIn(message, names.room) ?? 0)
    if (id === undefined || !(room > 0)) {
      this.#answer(reply, notOfOne(method), errorEntries(true))
      return
    }
    const inbox = `${this.#valuesInbox}.${String(++this.#last)}`
    const control = this.#began(id)
    const served = new ServedOfMany(method, control, {
      ...{ room, silenceMs: this.#silenceMs },
      post: (...told) => {
        this.#post(reply, ...told)
      },
      answer: (bytes, end) => {
        const isError = end === 'error' || end === 'refused'
        const entries = isError ? errorEntries(end === 'refused') : [[names.status, end] as const]
        this.#answer(reply, bytes, entries)
      },
      callOf: (input, ends) => callIn(method, message, input, control.signal, ends),
      callerGone: () => callerGone({ method, shown: this.shown, silenceMs: this.#silenceMs }),
      over: () => {
        this.#served.delete(id)
        this.#exchanges.delete(inbox)
      },
    })
    this.#exchanges.set(inbox, served.exchange)
    this.#answer(reply, new Uint8Array(0), [
      [names.status, 'open'],
      [names.to, inbox],
      [names.count, String(roomAhead)],
    ])
    served.begin(called, takesMany)
  }

  /** Until it ends it can be cancelled, by the name that its caller gave. */
  #began(id: string | undefined): AbortController {
    const control = new AbortController()
    if (id !== undefined) this.#served.set(id, control)
    return control
  }

  #valueArrived(message: NatsMessage): void {
    const status = textIn(message, names.status) ?? ''
    const bytes = new Uint8Array(message.data)
    this.#exchanges.get(message.subject)?.hears(status, countIn(message), bytes)
  }

  #answer(reply: string, bytes: Uint8Array, entries: Entries): void {
    try {
      const headers = this.headersOf(entries)
      this.nats.publish(reply, bytes, headers === undefined ? {} : { headers })
    } catch {
      // The connection has ended: the caller is told by its silence.
    }
  }

  #errorOf(why: AskedTrouble, method: string): MillraceError {
    const cure = 'start a server there'
    return noAnswer(why, { method, shown: this.shown, silenceMs: this.#silenceMs, cure })
  }
}
