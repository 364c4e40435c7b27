// Calls as requests of NATS: one message there, one back, to one of those who serve.
//
//   NAME.METHOD            the input; headers say the contract, the time that is left, and a name of the call
//   millrace.cancel.NAME   the name of a call that nobody waits for any more: all who serve hear it, and one of them knows it
//   the inbox of a call    signs of life, and the answer
//
// NATS says at once that nobody serves; that a server has died it does not say. So one shows a sign of life while it is at work.

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import type { EngineCall, EngineCallOptions, EngineCalls, EngineConnection } from '../port.js'
import { natsConnect, NatsLine } from './connection.js'
import type { NatsConnection, NatsMessage, NatsSubscription } from './library.js'
import type { NatsPlace } from './place.js'

const names = {
  contract: 'Millrace-Contract',
  left: 'Millrace-Timeout',
  call: 'Millrace-Call',
  status: 'Millrace-Status',
  // As the services of NATS say it.
  error: 'Nats-Service-Error',
  code: 'Nats-Service-Error-Code',
} as const

/** All who serve share it: one of them gets each call. */
const group = 'millrace'
/** Milliseconds between two signs of life, and without one until a server is taken for dead. */
const signMs = 2000
const silenceMs = 10_000
/** What goes beside an input or a result. */
const headerRoom = 1024

type Answer = Awaited<ReturnType<EngineCalls['call']>>

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
    void this.ended.then(() => {
      const gone = this.gone()
      for (const asked of [...this.#asked.values()]) asked.failed(gone)
      for (const control of this.#served.values()) control.abort(gone)
    })
  }

  get maxBytes(): number {
    return this.maxPayload - headerRoom
  }

  async serve(methods: readonly string[], called: (call: EngineCall) => void): Promise<void> {
    const cancelled = this.nats.subscribe(this.#cancels, {
      callback: (_error, { data }) => {
        this.#served
          .get(Buffer.from(data).toString())
          ?.abort(
            new MillraceError(
              'ERR_MILLRACE_ABORTED',
              'nobody waits for the answer any more: the caller has aborted the call, or its time is over',
            ),
          )
      },
    })
    const served = methods.map((method) =>
      this.nats.subscribe(`${this.#name}.${method}`, {
        queue: group,
        callback: (error, message) => {
          // Who wants no answer calls nothing.
          if (error === null && message.reply !== undefined) this.#called(method, message, called)
        },
      }),
    )
    this.#subscriptions = [cancelled, ...served]
    await this.flushed()
  }

  unserve(): void {
    // Cancelling goes on for what is at work.
    for (const subscription of this.#subscriptions.splice(1)) subscription.unsubscribe()
  }

  call(
    method: string,
    input: Uint8Array,
    { fingerprint, timeout, signal, traceparent }: EngineCallOptions,
  ): Promise<Answer> {
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
        if (!this.closed) this.nats.publish(this.#cancels, Buffer.from(reply))
      }
      const listen = (): void => {
        stopTimer(silence)
        silence = startTimer(this.#silenceMs, () => {
          failed(this.#silent(method))
        })
      }
      this.#asked.set(reply, {
        failed,
        arrived: ({ data, headers }) => {
          if (headers?.code === 503) {
            failed(this.#nobody(method))
            return
          }
          const status = headers?.get(names.status) ?? ''
          if (status === 'working') {
            listen()
            return
          }
          end()
          const foreign = headers?.get(names.code) ?? ''
          if (status === 'error' || status === 'refused') {
            resolve({ kind: status, bytes: new Uint8Array(data) })
          } else if (foreign !== '') {
            const message = headers?.get(names.error) ?? ''
            const said = Buffer.from(JSON.stringify({ message, code: foreign }))
            resolve({ kind: 'error', bytes: said })
          } else {
            resolve({ kind: 'result', bytes: new Uint8Array(data) })
          }
        },
      })
      signal.addEventListener('abort', onAbort, { once: true })
      this.hold(true)
      listen()
      try {
        const headers = this.headersOf([
          [names.contract, fingerprint],
          [names.call, reply],
          ...(timeout === Infinity ? [] : [[names.left, String(Math.ceil(timeout))] as const]),
          ...(traceparent === undefined ? [] : [['traceparent', traceparent] as const]),
        ])!
        this.nats.publish(subject, input, { reply, headers })
      } catch (error) {
        failed(this.told(error, 'no'))
      }
    })
  }

  get #cancels(): string {
    return `millrace.cancel.${this.#name}`
  }

  #called(method: string, message: NatsMessage, called: (call: EngineCall) => void): void {
    const { data, headers, reply = '' } = message
    const text = (name: string): string | undefined => {
      const value = headers?.get(name) ?? ''
      return value === '' ? undefined : value
    }
    const id = text(names.call)
    const left = Number(text(names.left) ?? Infinity)
    const until = now() + left
    const control = new AbortController()
    if (id !== undefined) this.#served.set(id, control)
    let timer: Timer | undefined
    const sign = (): void => {
      timer = startTimer(signMs, () => {
        this.#answer(reply, new Uint8Array(0), [[names.status, 'working']])
        sign()
      })
    }
    // Others know no signs of life.
    if (id !== undefined) sign()
    const end = (bytes: Uint8Array, entries: readonly (readonly [string, string])[]): void => {
      stopTimer(timer)
      if (id !== undefined) this.#served.delete(id)
      if (!control.signal.aborted) this.#answer(reply, bytes, entries)
    }
    called({
      method,
      input: new Uint8Array(data),
      fingerprint: text(names.contract),
      get left() {
        return left === Infinity ? Infinity : Math.max(until - now(), 0)
      },
      signal: control.signal,
      traceparent: text('traceparent'),
      result: (bytes) => {
        end(bytes, [])
      },
      error: (bytes, refused) => {
        end(bytes, [
          [names.status, refused ? 'refused' : 'error'],
          [names.error, 'see the body'],
          [names.code, refused ? '503' : '500'],
        ])
      },
    })
  }

  #answer(reply: string, bytes: Uint8Array, entries: readonly (readonly [string, string])[]): void {
    try {
      const headers = this.headersOf(entries)
      this.nats.publish(reply, bytes, headers === undefined ? {} : { headers })
    } catch {
      // The connection has ended: the caller is told by its silence.
    }
  }

  #nobody(method: string): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_NO_RESPONDER',
      `nobody serves ${method}() at '${this.shown}': start a server there, or connect with waitForServer to wait for one`,
      { executed: 'no' },
    )
  }

  #silent(method: string): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `who was at work with ${method}() at '${this.shown}' has shown no sign of life for ${String(this.#silenceMs)} ms`,
      { executed: 'unknown' },
    )
  }
}
