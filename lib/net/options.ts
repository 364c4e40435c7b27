// What connections are opened with: judged before anything is done.

import type { TlsOptions } from 'node:tls'

import {
  checkOptions,
  checkSignal,
  duration,
  flag,
  show,
  waitNames,
  wholeNumber,
  wholeNumbers,
  type WaitOptions,
} from '../base/options.js'
import { abortedError, invalidArgument } from '../errors.js'
import { longestMessage } from './framing.js'
import type { ReconnectOptions } from './backoff.js'

/** Whom the kernel may say the other side to be. */
export interface PeerAllow {
  /** Users. */
  readonly uids?: readonly number[] | undefined
  /** Groups. */
  readonly gids?: readonly number[] | undefined
  /** Processes: narrows that further. */
  readonly pids?: readonly number[] | undefined
}

/** Keys of CURVE, as ZeroMQ has them: each of 40 characters (Z85), as `curveKeyPair()` of zeromq makes them. */
export interface CurveOptions {
  /** This side's own; who connects needs it. */
  readonly publicKey?: string | undefined
  /** This side's own. */
  readonly secretKey: string
  /** The public key of who is bound there; who connects needs it. */
  readonly serverKey?: string | undefined
  /** The public keys of those who may connect; who binds needs it. Empty: nobody. */
  readonly allowed?: readonly string[] | undefined
}

/** What either side of a connection can say. */
export interface ConnectionOptions {
  /** The longest message that this side takes, in bytes; default 67 108 864, at most 268 435 455. A longer one ends the connection. */
  readonly maxBytes?: number | undefined
  /**
   * Bytes that may wait to be sent, or to be received, at this side; default 1 048 576. With more to send `send` waits, and with more to be
   * received nothing is read: so the other side waits, too.
   */
  readonly highWaterMark?: number | undefined
  /**
   * Milliseconds without a word from the other side after which it is taken for dead, where the system does not tell at once (`tcp://`,
   * `tls://`); default 10 000, 0: never. Both sides send signs of life as often as the other one wants them.
   */
  readonly heartbeat?: number | undefined
  /** Milliseconds that the other side has to say who it is; default 5000. */
  readonly helloTimeout?: number | undefined
  /** Messages a second that are taken; with more nothing is read for a while. Default Infinity. */
  readonly maxRate?: number | undefined
  /** `unix://`, `shm://`: who may be at the other side. Default: this process's own user. */
  readonly allow?: PeerAllow | undefined
  /** `tls://`: as `node:tls` takes it. A listener needs `key` and `cert`, and with `ca` and `requestCert` wants certificates of clients. */
  readonly tls?: TlsOptions | undefined
  /** `zmq+tcp://`, `zmq+ipc://`: who this side is, and who may come. */
  readonly curve?: CurveOptions | undefined
  /** Lets `tcp://` leave this machine, where everybody on the way can read and change what goes over it. Default false. */
  readonly insecure?: boolean | undefined
}

/** How a connection is made. */
export interface ConnectOptions extends ConnectionOptions, WaitOptions {
  /** Milliseconds until `ERR_MILLRACE_TIMEOUT`; default 5000. With `reconnect`: for each attempt. */
  readonly timeout?: number | undefined
  /**
   * Whether the connection is made anew when it breaks, for as long as the channel is open; how long is waited between two attempts: a
   * random part of a span that doubles from `base` (default 50 ms) to `cap` (default 5000 ms). The `signal` ends the channel then, at any
   * time. Default false.
   */
  readonly reconnect?: boolean | ReconnectOptions | undefined
}

/** How connections are waited for. */
export interface ListenOptions extends ConnectionOptions {
  /** Channels of it that may be open at a time; more are turned away. Default 1024. */
  readonly maxConnections?: number | undefined
  /** Connections that may not have said who they are yet; more are turned away. Default 64. */
  readonly maxPending?: number | undefined
  /**
   * Bytes that its channels may hold together: what waits to be received, what waits to be sent, and parts of messages. Beyond it each
   * channel reads nothing more until what it has was received, and sends one message at a time; if parts of messages alone are more, the
   * connection that has the largest one ends with `ERR_MILLRACE_NO_SPACE`. At least `maxBytes`; default four times that, and not less than
   * 268 435 456. Rings of `shm://` are not counted.
   */
  readonly maxHeld?: number | undefined
  /** `unix://`: rights of the socket; default `0o600`. */
  readonly mode?: number | undefined
  /** Closes it. */
  readonly signal?: AbortSignal | undefined
}

/** What both have, as it was read and judged. */
export interface GivenConnection {
  /** As {@link ConnectionOptions}, with their defaults. */
  readonly maxBytes: number
  /** Likewise. */
  readonly highWaterMark: number
  /** Undefined: as the transport wants it. */
  readonly heartbeat: number | undefined
  /** Likewise: `helloTimeout`. */
  readonly helloMs: number
  /** Likewise. */
  readonly maxRate: number
  /** Likewise. */
  readonly allow: PeerAllow | undefined
  /** Likewise. */
  readonly tls: TlsOptions | undefined
  /** Likewise. */
  readonly curve: CurveOptions | undefined
  /** Likewise. */
  readonly insecure: boolean
}

/** {@link ConnectOptions} that were read and judged. */
export interface GivenConnect extends GivenConnection {
  /** As {@link ConnectOptions}. */
  readonly signal: AbortSignal | undefined
  /** Likewise. */
  readonly timeout: number
}

/** {@link ListenOptions} that were read and judged. */
export interface GivenListen extends GivenConnection {
  /** As {@link ListenOptions}. */
  readonly maxConnections: number
  /** Likewise. */
  readonly maxPending: number
  /** Likewise. */
  readonly maxHeld: number
  /** Likewise. */
  readonly mode: number
  /** Likewise. */
  readonly signal: AbortSignal | undefined
}

/** @internal */
export const connectionNames = [
  'maxBytes',
  'highWaterMark',
  'heartbeat',
  'helloTimeout',
  'maxRate',
  'allow',
  'tls',
  'curve',
  'insecure',
] as const
/** @internal */
export const connectNames = [...connectionNames, ...waitNames, 'reconnect'] as const
/** @internal */
export const listenNames = [
  ...connectionNames,
  'maxConnections',
  'maxPending',
  'maxHeld',
  'mode',
  'signal',
] as const

/** @throws MillraceError `INVALID_ARGUMENT`, `ABORTED` */
export function readConnect(given: ConnectOptions | undefined): GivenConnect {
  const options = checkOptions(given, connectNames)
  return {
    ...readConnection(options),
    timeout: duration(options, 'timeout', 5000),
    signal: readSignal(options.signal),
  }
}

/** @throws MillraceError `INVALID_ARGUMENT`, `ABORTED` */
export function readListen(given: ListenOptions | undefined): GivenListen {
  const options = checkOptions(given, listenNames)
  const mode = wholeNumber(options, 'mode', 0o600, [0, 0o777])
  if ((mode & 0o007) !== 0) {
    throw invalidArgument(`mode 0o${mode.toString(8)} would let everybody in: take 0o600 or 0o660`)
  }
  const connection = readConnection(options)
  const { maxBytes } = connection
  return {
    ...connection,
    // A message that may come must have room.
    maxHeld: wholeNumber(options, 'maxHeld', Math.max(2 ** 28, 4 * maxBytes), [maxBytes, 2 ** 52]),
    maxConnections: wholeNumber(options, 'maxConnections', 1024, [1, 1_048_576]),
    maxPending: wholeNumber(options, 'maxPending', 64, [1, 65_536]),
    mode,
    signal: readSignal(options.signal),
  }
}

function readConnection(options: ConnectionOptions): GivenConnection {
  const maxRate = options.maxRate ?? Infinity
  if (typeof maxRate !== 'number' || !(maxRate > 0)) {
    throw invalidArgument(`maxRate must be a number of messages a second, not ${show(maxRate)}`)
  }
  return {
    maxBytes: wholeNumber(options, 'maxBytes', 2 ** 26, [1, longestMessage]),
    highWaterMark: wholeNumber(options, 'highWaterMark', 2 ** 20, [1024, 2 ** 30]),
    heartbeat:
      options.heartbeat === undefined
        ? undefined
        : wholeNumber(options, 'heartbeat', 0, [0, 2 ** 31 - 1]),
    helloMs: duration(options, 'helloTimeout', 5000),
    maxRate,
    allow: readAllow(options.allow),
    tls: readTls(options.tls),
    curve: readCurve(options.curve),
    insecure: flag(options, 'insecure'),
  }
}

function readAllow(given: PeerAllow | undefined): PeerAllow | undefined {
  if (given === undefined) return undefined
  const allow = checkOptions(given, ['uids', 'gids', 'pids'])
  const ids = (key: keyof PeerAllow) => wholeNumbers(allow, key, [0, 0xffff_ffff])
  return { uids: ids('uids'), gids: ids('gids'), pids: ids('pids') }
}

function readTls(given: TlsOptions | undefined): TlsOptions | undefined {
  if (given === undefined || (typeof given === 'object' && (given as unknown) !== null))
    return given
  throw invalidArgument(`tls must be an object of options of node:tls, not ${show(given)}`)
}

function readCurve(given: CurveOptions | undefined): CurveOptions | undefined {
  if (given === undefined) return undefined
  const { allowed, ...own } = checkOptions(given, [
    'publicKey',
    'secretKey',
    'serverKey',
    'allowed',
  ])
  const { secretKey } = own
  assertKey('secretKey', secretKey)
  for (const name of ['publicKey', 'serverKey'] as const) {
    if (own[name] !== undefined) assertKey(name, own[name])
  }
  if (allowed === undefined) return { ...own, secretKey }
  if (!Array.isArray(allowed)) {
    throw invalidArgument(
      'curve.allowed must be an array of public keys; an empty one lets nobody in',
    )
  }
  const keys = allowed as readonly string[]
  for (const [at, key] of keys.entries()) assertKey(`allowed[${String(at)}]`, key)
  return { ...own, secretKey, allowed: [...keys] }
}

/** What is wrong with it is not shown: it may be secret. */
function assertKey(name: string, key: unknown): asserts key is string {
  if (typeof key === 'string' && /^[0-9a-zA-Z.:+=^!/*?&<>()[\]{}@%$#-]{40}$/.test(key)) return
  throw invalidArgument(
    `curve.${name} must be a key of 40 characters, as curveKeyPair() of zeromq makes them`,
  )
}

function readSignal(given: unknown): AbortSignal | undefined {
  const signal = checkSignal(given)
  if (signal?.aborted === true) throw abortedError(signal)
  return signal
}
