// One connection to a server of AMQP, which is not made anew by the library: whoever holds it does that, and sees that it is done.
//
// The signs of life are the library's, and their time is not: its timers would keep a process alive, and stand still with the clock of a test.

import { startTimer, startTurn, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError, type Executed } from '../../errors.js'
import type { EngineConnection, EngineLine } from '../port.js'
import {
  amqpLibrary,
  type AmqpChannel,
  type AmqpConfirmChannel,
  type AmqpConnection,
} from './library.js'
import type { AmqpPlace } from './place.js'

/** Milliseconds for one attempt. */
const attemptMs = 5000
/** Milliseconds of silence after which a server is taken for dead, and we by it, if nobody says otherwise. */
const silenceMs = 10_000
/** Bytes that the library hands over before it waits until they are written. */
const mostInOnePiece = 1_048_576
/** Milliseconds that a server has to say farewell. */
const farewellMs = 1000

/** What the library has within. Where it is not so, an open connection keeps the process alive until it is closed. */
interface Within {
  readonly connection?: {
    readonly stream?: {
      ref?(): unknown
      unref?(): unknown
      destroy?(error?: Error): unknown
      cork?(): unknown
      uncork?(): unknown
    }
    readonly serverProperties?: { readonly version?: string }
    readonly heartbeat?: number
    readonly heartbeater?: { clear(): void } | null
    checkSend?(): boolean
    checkRecv?(): boolean
    sendHeartbeat?(): unknown
  }
}

/** What the server, or the system, says. */
interface Said extends Error {
  readonly code?: number | string
}

export class AmqpLine implements EngineLine {
  readonly model: AmqpConnection
  readonly shown: string
  readonly ended: Promise<Error | undefined>
  readonly #within: Within['connection']
  #closed = false
  #own = false
  #failed = false
  #why: Error | undefined
  #isBlocked = false
  #isGathering = false
  readonly #timers = new Set<Timer>()

  constructor(model: AmqpConnection, { shown }: AmqpPlace) {
    this.model = model
    this.shown = shown
    this.#within = (model as unknown as Within).connection
    model.on('error', (error: Error) => {
      this.#why ??= error
    })
    model.on('blocked', (reason: string) => {
      this.#blocked(reason)
    })
    model.on('unblocked', () => {
      this.#isBlocked = false
    })
    this.ended = new Promise((resolve) => {
      model.once('close', (error?: Error) => {
        this.#why ??= error
        this.#closed = true
        for (const timer of this.#timers) stopTimer(timer)
        resolve(this.#own ? undefined : this.gone())
      })
    })
    this.#live()
  }

  get closed(): boolean {
    return this.#closed || this.#own || this.#failed
  }

  /** Has the server run short of memory or of disk, and reads nothing of this connection? */
  get isBlocked(): boolean {
    return this.#isBlocked
  }

  /** Of the server's version, the first number; 0: it does not say. */
  get generation(): number {
    return Number.parseInt(this.#within?.serverProperties?.version ?? '0', 10)
  }

  close(): void {
    if (this.closed) return
    this.#own = true
    const timer = startTimer(farewellMs, () => {
      this.#destroy()
    })
    void this.ended.then(() => {
      stopTimer(timer)
    })
    this.model.close().catch(() => undefined) // it had ended
  }

  /** It is of no more use, and whoever holds it makes another one. */
  fail(why: Error): void {
    if (this.closed) return
    this.#why ??= why
    this.#failed = true
    this.#destroy(why)
  }

  /**
   * What is written from now until the end of the next turn goes in one piece. The library hands over what there is once in each turn, but
   * writes each message of it by itself.
   */
  gather(): void {
    const { stream } = this.#within ?? {}
    if (this.#isGathering || stream?.cork === undefined || stream.uncork === undefined) return
    this.#isGathering = true
    stream.cork()
    startTurn(() => {
      startTurn(() => {
        this.#isGathering = false
        stream.uncork!()
      })
    })
  }

  /** The library has no say about that; its socket has. */
  hold(alive: boolean): void {
    if (alive) this.#within?.stream?.ref?.()
    else this.#within?.stream?.unref?.()
  }

  /** A channel whose end, if nobody wanted it, is told. */
  async channel(ended: (why: Error) => void): Promise<AmqpChannel> {
    return await this.#opened(() => this.model.createChannel(), ended)
  }

  async confirmChannel(ended: (why: Error) => void): Promise<AmqpConfirmChannel> {
    return await this.#opened(() => this.model.createConfirmChannel(), ended)
  }

  async #opened<C extends AmqpChannel>(
    open: () => Promise<C>,
    ended: (why: Error) => void,
  ): Promise<C> {
    let channel
    try {
      channel = await open()
    } catch (error) {
      throw this.told(error, 'no')
    }
    let why: Error | undefined
    channel.on('error', (error: Error) => {
      why = error
    })
    channel.on('close', () => {
      ended(why ?? this.gone())
    })
    return channel
  }

  /** What the library says, as an error of this package. `executed`: may what was asked have been done? */
  told(error: unknown, executed: Executed): MillraceError {
    if (error instanceof MillraceError) return error
    const { code, message } = error as Said
    if (code === 403) return refusedError(this.shown, message, error)
    const text = code === undefined ? this.gone().message : `'${this.shown}': ${message}`
    const kind =
      this.closed || code === undefined ? 'ERR_MILLRACE_PEER_GONE' : 'ERR_MILLRACE_UNREACHABLE'
    return new MillraceError(kind, text, { cause: error, executed })
  }

  gone(): MillraceError {
    const why = this.#why?.message ?? 'the server has closed it, or is gone'
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the connection to '${this.shown}' has ended: ${why}`,
      { cause: this.#why, executed: 'unknown' },
    )
  }

  #destroy(why?: Error): void {
    this.#within?.stream?.destroy?.(why ?? new Error('the server has not said farewell'))
  }

  #blocked(reason: string): void {
    if (this.#isBlocked) return
    this.#isBlocked = true
    process.emitWarning(
      `the server at '${this.shown}' takes nothing from this connection for now (${reason}): what is pushed, published and settled waits until it has ` +
        'memory and disk again',
      { code: 'MILLRACE_CONNECTION_BLOCKED' },
    )
  }

  /** Signs of life, twice in the time that the server was told; two such times without one of its own are its death. */
  #live(): void {
    const within = this.#within
    const seconds = within?.heartbeat ?? 0
    if (within?.heartbeater === undefined || within.heartbeater === null) return
    if (within.sendHeartbeat === undefined) return
    within.heartbeater.clear()
    let missed = 0
    this.#every(seconds * 500, () => {
      if (within.checkSend?.() !== true) within.sendHeartbeat!()
    })
    this.#every(seconds * 1000, () => {
      missed = within.checkRecv?.() === true ? 0 : missed + 1
      if (missed < 2) return
      this.fail(new Error(`the server has shown no sign of life for ${String(seconds * 2000)} ms`))
    })
  }

  #every(milliseconds: number, callback: () => void): void {
    const timer = startTimer(milliseconds, () => {
      this.#timers.delete(timer)
      callback()
      if (!this.#closed) this.#every(milliseconds, callback)
    })
    this.#timers.add(timer)
  }
}

/** @throws MillraceError (as rejection) `PERMISSION` (user, password), `UNREACHABLE`, `TIMEOUT`, `ABORTED` */
export async function amqpConnect(
  place: AmqpPlace,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<AmqpConnection> {
  let failure: MillraceError | undefined
  for (const host of place.hosts) {
    let model: AmqpConnection
    try {
      model = await connected(place, host, connection)
    } catch (error) {
      failure = notConnected(place, error as Said)
      if (failure.code === 'ERR_MILLRACE_PERMISSION') throw failure
      continue
    }
    if (!signal.aborted) return model
    model.on('error', () => undefined)
    await model.close().catch(() => undefined)
    break
  }
  if (failure !== undefined && !signal.aborted) throw failure
  throw new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for the connection any more')
}

async function connected(
  { secure, user, password, vhost }: AmqpPlace,
  { host, port }: AmqpPlace['hosts'][number],
  { tls, heartbeat }: EngineConnection,
): Promise<AmqpConnection> {
  // Two of these times are the silence that means death.
  const seconds = heartbeat === 0 ? 0 : Math.max(Math.ceil((heartbeat ?? silenceMs) / 2000), 1)
  return await amqpLibrary().connect(
    {
      protocol: secure ? 'amqps' : 'amqp',
      ...{ hostname: host, port, username: user, password, heartbeat: seconds },
      vhost: encodeURIComponent(vhost),
    },
    {
      ...tls,
      noDelay: true,
      // With less the library would stop in the middle of what goes in one piece.
      writableHighWaterMark: mostInOnePiece,
      timeout: attemptMs,
      clientProperties: { connection_name: `millrace ${String(process.pid)}` },
    },
  )
}

function notConnected({ shown }: AmqpPlace, error: Said): MillraceError {
  const { message, code } = error
  if (message.includes('ACCESS-REFUSED') || message.includes('ACCESS_REFUSED'))
    return refusedError(shown, message, error)
  const facts = { cause: error, executed: 'no' } as const
  if (code === 'ETIMEDOUT' || message.includes('ETIMEDOUT')) {
    return new MillraceError(
      'ERR_MILLRACE_TIMEOUT',
      `nobody has answered at '${shown}' within ${String(attemptMs)} ms: see that the host is up, and that no firewall drops what comes for that port`,
      facts,
    )
  }
  const why = /certificate/i.test(message)
    ? `the server at '${shown}' is not known (${message}): give the certificate of its authority, as connection: { tls: { ca } }`
    : // What the server says of that, the library keeps to itself.
      message.includes('got <ConnectionClose')
      ? `the server at '${shown}' lets this user not have that vhost now: see that it has one of that name (vhost=… in the address; / if nothing is said), and what the user may`
      : `nobody answers at '${shown}' (${message}): see that RabbitMQ runs there, and that the address is right, with TLS where the server wants it`
  return new MillraceError('ERR_MILLRACE_UNREACHABLE', why, facts)
}

function refusedError(shown: string, message: string, cause: unknown): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PERMISSION',
    `the server at '${shown}' refuses (${message}): see user, password and vhost of the address, and what the server lets them do`,
    { cause, executed: 'no' },
  )
}
