// One connection to a server of NATS, which is not made anew by the library: whoever holds it does that, and sees that it is done.

import { startTimer, startTurn, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError, type ErrorCode, type Executed } from '../../errors.js'
import type { EngineConnection, EngineLine } from '../port.js'
import { authenticatorOf } from './credentials.js'
import { natsLibrary, type NatsConnection, type NatsHeaders, type NatsLibrary } from './library.js'
import type { NatsPlace } from './place.js'

/** Milliseconds for one attempt. */
const attemptMs = 5000
/** Milliseconds of silence after which a server is taken for dead, if nobody says otherwise. */
const silenceMs = 10_000
/** As good as never: the library's own signs of life would keep the process alive. */
const neverMs = 2 ** 31 - 1

/** What keeps a process alive, or not. */
interface Keeps {
  ref?(): unknown
  unref?(): unknown
}

/** What the library has within. Where it is not so, an open connection keeps the process alive until it is closed. */
interface Within {
  readonly protocol?: {
    readonly transport?: { readonly socket?: Keeps }
    readonly heartbeats?: { readonly timer?: Keeps }
  }
}

/** What the library says of permissions. */
interface Violation extends Error {
  readonly operation?: string
  readonly subject?: string
}

export class NatsLine implements EngineLine {
  readonly nats: NatsConnection
  readonly library: NatsLibrary
  readonly shown: string
  readonly ended: Promise<Error | undefined>
  readonly #refused = new Set<(error: Error) => void>()
  readonly #silenceMs: number
  #closed = false
  #own = false
  #silent = false
  #why: Error | undefined
  #ping: Timer | undefined

  constructor(nats: NatsConnection, { shown }: NatsPlace, { heartbeat }: EngineConnection) {
    this.nats = nats
    this.library = natsLibrary()
    this.shown = shown
    this.#silenceMs = heartbeat === 0 ? Infinity : (heartbeat ?? silenceMs)
    this.ended = nats.closed().then((error) => {
      this.#closed = true
      stopTimer(this.#ping)
      return this.#own ? undefined : this.gone(error)
    })
    ;(nats as unknown as Within).protocol?.heartbeats?.timer?.unref?.()
    void this.#hear()
    this.#listen()
  }

  get closed(): boolean {
    return this.#closed || this.nats.isClosed()
  }

  close(): void {
    if (this.#own) return
    this.#own = true
    this.nats.close().catch(() => undefined) // it had ended
  }

  /** It is of no more use, and whoever holds it makes another one. */
  fail(why: Error): void {
    if (this.closed || this.#own) return
    this.#why = why
    this.nats.close().catch(() => undefined) // it had ended
  }

  /** The library has no say about that; its socket has. */
  hold(alive: boolean): void {
    const socket = (this.nats as unknown as Within).protocol?.transport?.socket
    if (alive) socket?.ref?.()
    else socket?.unref?.()
  }

  /** The longest message that the server takes, headers included. */
  get maxPayload(): number {
    return this.nats.info?.max_payload ?? 0
  }

  /** When the server has had all that was sent; rejects if it refused something of it. */
  async flushed(): Promise<void> {
    const [refused] = await this.refusals()
    if (refused !== undefined) throw this.told(refused, 'no')
  }

  /** What the server refuses until it has had all that was sent. */
  async refusals(): Promise<readonly Error[]> {
    const refused: Error[] = []
    const hear = (error: Error): void => {
      refused.push(error)
    }
    this.#refused.add(hear)
    try {
      await this.nats.flush()
      // What the server has said before is told later by the library than that it has answered.
      await new Promise<void>(startTurn)
    } catch (error) {
      throw this.told(error, 'unknown')
    } finally {
      this.#refused.delete(hear)
    }
    return refused
  }

  headersOf(entries: Iterable<readonly [string, string]>): NatsHeaders | undefined {
    let headers: NatsHeaders | undefined
    for (const [name, value] of entries) {
      headers ??= this.library.headers()
      try {
        headers.set(name, value)
      } catch (cause) {
        throw new MillraceError(
          'ERR_MILLRACE_INVALID_ARGUMENT',
          `the header '${name}' cannot go over NATS: a name is of ASCII letters, digits and marks without colons and blanks, and a value is one line`,
          { cause },
        )
      }
    }
    return headers
  }

  /** What the library says, as an error of this package. `executed`: may what was asked have been done? */
  told(error: unknown, executed: Executed): MillraceError {
    if (error instanceof MillraceError) return error
    const { name, message } = error as Error
    const facts = { cause: error, executed }
    if (this.closed || name.includes('Connection')) {
      return new MillraceError(
        'ERR_MILLRACE_PEER_GONE',
        `the connection to '${this.shown}' has ended: ${message}`,
        facts,
      )
    }
    if (name === 'PermissionViolationError') return refusedError(this.shown, message, error)
    if (name === 'TimeoutError' || /timeout/i.test(message)) {
      return new MillraceError(
        'ERR_MILLRACE_TIMEOUT',
        `the server at '${this.shown}' has not answered in time: see how it is, or try again`,
        facts,
      )
    }
    return new MillraceError('ERR_MILLRACE_UNREACHABLE', `'${this.shown}': ${message}`, facts)
  }

  /** The server refuses what was sent to that subject. */
  protected refusedAt(_subject: string, _error: Error): void {
    // Whoever waits for an answer is told.
  }

  protected gone(cause?: Error): MillraceError {
    const why = this.#silent
      ? `the server has shown no sign of life for ${String(this.#silenceMs)} ms`
      : this.#why !== undefined
        ? this.#why.message
        : cause === undefined
          ? 'the server has closed it, or is gone'
          : cause.message
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the connection to '${this.shown}' has ended: ${why}`,
      { cause: cause ?? this.#why, executed: 'unknown' },
    )
  }

  /** Twice in the time that means death the server is asked for a sign of life. */
  #listen(): void {
    if (this.#silenceMs === Infinity) return
    this.#ping = startTimer(this.#silenceMs / 2, () => {
      this.#ping = startTimer(this.#silenceMs / 2, () => {
        this.#silent = true
        this.nats.close().catch(() => undefined) // it had ended
      })
      this.nats.flush().then(
        () => {
          stopTimer(this.#ping)
          if (!this.closed) this.#listen()
        },
        () => undefined, // it has ended
      )
    })
  }

  async #hear(): Promise<void> {
    for await (const { type, error } of this.nats.status()) {
      if (type !== 'error' || error === undefined) continue
      for (const told of this.#refused) told(error)
      const { operation, subject } = error as Violation
      if (operation === 'publish' && subject !== undefined) this.refusedAt(subject, error)
    }
  }
}

/** @throws MillraceError (as rejection) `PERMISSION` (user, password, token, key), `UNREACHABLE`, `TIMEOUT`, `ABORTED` */
export async function natsConnect(
  place: NatsPlace,
  { tls }: EngineConnection,
  signal: AbortSignal,
): Promise<NatsConnection> {
  let nats: NatsConnection
  const library = natsLibrary()
  const { credentials } = place
  const authenticator =
    credentials === undefined ? undefined : authenticatorOf(library, credentials, place.shown)
  try {
    nats = await library.connect({
      servers: place.servers,
      ...(place.user === undefined ? {} : { user: place.user, pass: place.password }),
      ...(place.token === undefined ? {} : { token: place.token }),
      ...(authenticator === undefined ? {} : { authenticator }),
      ...(tls === undefined ? {} : { tls }),
      name: `millrace ${String(process.pid)}`,
      reconnect: false,
      timeout: attemptMs,
      pingInterval: neverMs,
      noAsyncTraces: true,
    })
  } catch (error) {
    throw notConnected(place.shown, error as Error)
  }
  if (!signal.aborted) return nats
  await nats.close().catch(() => undefined)
  throw new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for the connection any more')
}

function notConnected(shown: string, error: Error): MillraceError {
  const { name, message } = error
  if (name === 'AuthorizationError' || /authorization|authentication/i.test(message)) {
    return refusedError(shown, message, error)
  }
  const code: ErrorCode =
    name === 'TimeoutError' ? 'ERR_MILLRACE_TIMEOUT' : 'ERR_MILLRACE_UNREACHABLE'
  const why = /certificate/i.test(message)
    ? `the server at '${shown}' is not known (${message}): give the certificate of its authority, as connection: { tls: { ca } }`
    : `nobody answers at '${shown}' (${message}): see that nats-server runs there, and that the address is right`
  return new MillraceError(code, why, { cause: error, executed: 'no' })
}

function refusedError(shown: string, message: string, cause: unknown): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PERMISSION',
    `the server at '${shown}' refuses (${message}): see user, password and token of the address, or its file (creds, nkey), and what the server lets them do`,
    { cause, executed: 'no' },
  )
}
