// A line to a server of Redis: one connection, or several that end together. The library does not make them anew: whoever holds the line
// does that, and sees that it is done.

import { startTimer, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError, type ErrorCode, type Executed } from '../../errors.js'
import type { EngineConnection, EngineLine } from '../port.js'
import { redisClient, type RedisArgument, type RedisClient } from './library.js'
import type { RedisPlace } from './place.js'

/** Milliseconds for one attempt. */
const attemptMs = 5000
/** Milliseconds of silence after which a server is taken for dead, if nobody says otherwise. */
const silenceMs = 10_000
/**
 * Bytes that the library writes at once. After as many it waits for a turn of the event loop, and the 16 KiB of Node are a few messages: that costs a
 * third of the processor time of a push.
 */
const writtenAtOnce = 2 ** 20
/** Strings as bytes: `36` is how the protocol marks them. */
const asBytes = { typeMapping: { 36: Buffer } }

/** What the server says when it refuses, by its first word. */
const refusals: Readonly<Record<string, readonly [code: ErrorCode, cure: string]>> = {
  OOM: ['ERR_MILLRACE_NO_SPACE', 'take jobs, or let the server have more memory (maxmemory)'],
  MISCONF: ['ERR_MILLRACE_NO_SPACE', 'see why the server cannot write to its disk'],
  WRONGTYPE: ['ERR_MILLRACE_GEOMETRY', 'take another name, or remove the key'],
  MILLRACETYPE: ['ERR_MILLRACE_GEOMETRY', 'take another name, or remove the key'],
  NOAUTH: ['ERR_MILLRACE_PERMISSION', 'see user and password of the address'],
  WRONGPASS: ['ERR_MILLRACE_PERMISSION', 'see user and password of the address'],
  NOPERM: ['ERR_MILLRACE_PERMISSION', 'see what the server lets this user do (ACL)'],
  MOVED: ['ERR_MILLRACE_UNSUPPORTED', 'take a server that is not part of a cluster'],
  CROSSSLOT: ['ERR_MILLRACE_UNSUPPORTED', 'take a server that is not part of a cluster'],
}

export class RedisLine implements EngineLine {
  readonly client: RedisClient
  readonly shown: string
  readonly ended: Promise<Error | undefined>
  readonly #clients: RedisClient[] = []
  readonly #silenceMs: number
  #end: (error: Error | undefined) => void = () => undefined
  #over = false
  #ping: Timer | undefined

  constructor(client: RedisClient, { shown }: RedisPlace, { heartbeat }: EngineConnection) {
    this.client = client
    this.shown = shown
    this.#silenceMs = heartbeat === 0 ? Infinity : (heartbeat ?? silenceMs)
    this.ended = new Promise((resolve) => {
      this.#end = resolve
    })
    this.with(client)
    this.#listen()
  }

  get closed(): boolean {
    return this.#over
  }

  close(): void {
    this.over(undefined)
  }

  hold(alive: boolean): void {
    for (const client of this.#clients) {
      if (alive) client.ref()
      else client.unref()
    }
  }

  /** Another connection of the line: when one ends, all do. */
  protected with(client: RedisClient): void {
    this.#clients.push(client)
    client.on('terminated', (cause) => {
      this.over(this.gone(cause.message, cause))
    })
    client.unref()
  }

  /** The line has ended, with why if nobody closed it. */
  protected over(error: Error | undefined): void {
    if (this.#over) return
    this.#over = true
    stopTimer(this.#ping)
    this.#end(error)
    this.lastWords()
      .catch(() => undefined) // it has ended
      .finally(() => {
        for (const client of this.#clients) client.destroy()
      })
  }

  /** What is still said before the connections end. */
  protected lastWords(): Promise<void> {
    return Promise.resolve()
  }

  async asked(args: readonly RedisArgument[]): Promise<unknown> {
    try {
      return await this.client.sendCommand(args)
    } catch (error) {
      throw this.told(error)
    }
  }

  /** Resolves when the server has had all that was sent. */
  async flush(): Promise<void> {
    await this.asked(['PING'])
  }

  /** What the library or the server says, as an error of this package. */
  told(error: unknown): MillraceError {
    if (error instanceof MillraceError) return error
    const { message } = error as Error
    if (this.closed) return this.gone(message, error)
    const word = wordOf(message)
    if (word === 'NOGROUP' || word === 'MILLRACEGONE') {
      const gone = this.gone(
        `somebody has removed at the server what the queue consists of: ${message}`,
        error,
        'no',
      )
      this.over(gone)
      return gone
    }
    const refusal = word === undefined ? undefined : refusals[word]
    if (refusal !== undefined) {
      const [code, cure] = refusal
      return new MillraceError(
        code,
        `the server at '${this.shown}' refuses (${message}): ${cure}`,
        {
          cause: error,
          executed: 'no',
        },
      )
    }
    const facts = { cause: error, executed: word === undefined ? 'unknown' : 'no' } as const
    return new MillraceError('ERR_MILLRACE_UNREACHABLE', `'${this.shown}': ${message}`, facts)
  }

  protected gone(why: string, cause?: unknown, executed: Executed = 'unknown'): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the connection to '${this.shown}' has ended: ${why}`,
      { cause, executed },
    )
  }

  /** Twice in the time that means death the server is asked for a sign of life. */
  #listen(): void {
    if (this.#silenceMs === Infinity) return
    this.#ping = startTimer(this.#silenceMs / 2, () => {
      this.#ping = startTimer(this.#silenceMs / 2, () => {
        this.over(
          this.gone(`the server has shown no sign of life for ${String(this.#silenceMs)} ms`),
        )
      })
      this.client.sendCommand(['PING']).then(
        () => {
          stopTimer(this.#ping)
          if (!this.closed) this.#listen()
        },
        () => undefined, // it has ended
      )
    })
  }
}

/** The first word of what the server says; undefined: the library says it. Before Redis 7 a script's errors had others around them. */
function wordOf(message: string): string | undefined {
  const found =
    /^ERR Error running script.*?-([A-Z]{3,})\b/.exec(message) ?? /^([A-Z]{3,}) /.exec(message)
  return found?.[1]
}

/** @throws MillraceError (as rejection) `PERMISSION` (user, password), `UNREACHABLE`, `TIMEOUT`, `ABORTED` */
export async function redisConnect(
  place: RedisPlace,
  { tls }: EngineConnection,
  signal: AbortSignal,
  RESP: 2 | 3,
): Promise<RedisClient> {
  const { host, port, user, password, database, secure } = place
  const client = redisClient({
    socket: {
      ...(tls ?? {}),
      ...(tls !== undefined || secure ? { tls: true } : {}),
      ...{ host, port, reconnectStrategy: false, connectTimeout: attemptMs },
      writableHighWaterMark: writtenAtOnce,
    },
    ...(user === undefined ? {} : { username: user }),
    ...(password === undefined ? {} : { password }),
    name: `millrace-${String(process.pid)}`,
    ...{ database, RESP, disableClientInfo: true, maintNotifications: 'disabled' },
    // A timer for each command would be that of the library: the line has one for the server.
    commandOptions: { ...asBytes, timeout: undefined },
  })
  // What it says is said to who waits, too.
  client.on('error', () => undefined)
  let isLate = false
  const late = startTimer(attemptMs, () => {
    isLate = true
    client.destroy()
  })
  const onAbort = (): void => {
    client.destroy()
  }
  signal.addEventListener('abort', onAbort)
  try {
    await client.connect()
  } catch (error) {
    throw notConnected(place.shown, error as Error, isLate)
  } finally {
    stopTimer(late)
    signal.removeEventListener('abort', onAbort)
  }
  if (!signal.aborted) return client
  client.destroy()
  throw new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for the connection any more')
}

function notConnected(shown: string, error: Error, isLate: boolean): MillraceError {
  const { code: system, message } = error as NodeJS.ErrnoException
  const said = message === '' ? String(system) : message
  const facts = { cause: error, executed: 'no' } as const
  const refusal = refusals[wordOf(message) ?? '']
  if (refusal !== undefined) {
    return new MillraceError(
      refusal[0],
      `the server at '${shown}' refuses (${said}): ${refusal[1]}`,
      facts,
    )
  }
  const code: ErrorCode =
    isLate || error.name === 'ConnectionTimeoutError'
      ? 'ERR_MILLRACE_TIMEOUT'
      : 'ERR_MILLRACE_UNREACHABLE'
  const cure = /certificate|CERT/.test(`${said} ${String(system)}`)
    ? 'give the certificate of its authority: `connection: { tls: { ca } }`'
    : 'see that redis-server runs there, and that the address is right, with TLS where the server wants it, and nowhere else'
  return new MillraceError(code, `nobody answers at '${shown}' (${said}): ${cure}`, facts)
}
