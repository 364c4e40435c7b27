// What a transport is: one object that connects, and listens. What it makes is a stream of bytes (a Duplex of Node's), which gets the
// framing of this package, or a link that carries whole messages itself.

import type { Duplex } from 'node:stream'

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import type { Address } from '../place/address.js'
import type { Channel, Peer, Refusals, Traits } from './channel.js'
import type { MessageLink } from './link.js'
import type { GivenConnect, GivenListen } from './options.js'

/** A connection, as a transport hands it over: a stream of bytes, a link that carries whole messages, or a channel of its own. */
export type Connection = {
  /** Who is at the other side, as far as the transport knows. */
  readonly peer: Peer
} & (
  | {
      /** Bytes; closed by who gets it. */
      readonly stream: Duplex
      /** Which ways they go, if that is not as the traits of the transport say. One way has no hello from who only receives. */
      readonly directions?: Traits['directions'] | undefined
      /** Is what was sent only safe when it is written? Then `send` waits for that. */
      readonly confirms?: boolean | undefined
      /** Why the stream has ended, if it is not that the other side is gone. */
      readonly why?: (() => Error | undefined) | undefined
      /** It has none. */
      readonly link?: undefined
      /** It has none. */
      readonly channel?: undefined
    }
  | {
      /** Whole messages, in both directions; closed by who gets it. */
      readonly link: MessageLink
      /** It has none. */
      readonly stream?: undefined
      /** It has none. */
      readonly channel?: undefined
    }
  | {
      /** A channel of its own. */
      readonly channel: Channel
      /** Resolves when nothing of it is left. */
      readonly gone: Promise<void>
      /** It has none. */
      readonly stream?: undefined
      /** It has none. */
      readonly link?: undefined
    }
)

/** Where a transport listens. */
export interface Listening {
  /** What others connect to: port 0 has become the port. */
  readonly address: string
  /** Takes no more connections. */
  close(): Promise<void>
  /** Keeps the process alive, or lets it end. */
  hold(alive: boolean): void
}

/** What a transport tells of connections that come. */
export interface Arrivals {
  /** Is there room for one more? If not it is turned away, and counted. */
  hasRoom(): boolean
  /** One has come. */
  arrived(connection: Connection): void
  /** One was turned away: because there was no room, if that was asked before; else the cause, by default `allow`. */
  turnedAway(cause?: keyof Refusals): void
  /** There will be none any more. */
  failed(error: Error): void
}

/** One way to another process. */
export interface Transport {
  /** What its addresses begin with, in lower case: `ws` for `ws://…`. */
  readonly scheme: string
  /** What its channels give; what they say of the longest message both sides agree on. */
  readonly traits: Omit<Traits, 'maxBytes'>
  /** Milliseconds of silence that mean death, if the program does not say; 0: death is told. */
  readonly heartbeat?: number | undefined
  /** Is it one of its addresses? Throws `INVALID_ARGUMENT` with what is wrong, before anything is done. */
  check(address: Address, given: GivenConnect | GivenListen): void
  /** Resolves when the other side has taken the connection. Ends with `signal`. */
  connect(address: Address, given: GivenConnect, signal: AbortSignal): Promise<Connection>
  /** Resolves when others can connect. */
  listen(address: Address, given: GivenListen, arrivals: Arrivals): Promise<Listening>
}

const transports = new Map<string, Transport>()
/** Those that are loaded when they are first named. */
const known = new Map<string, () => Transport>()

/** @internal */
export function knowTransport(scheme: string, load: () => Transport): void {
  known.set(scheme, load)
}

/**
 * From now on addresses may begin with its scheme.
 *
 * @throws MillraceError `INVALID_ARGUMENT` (it is no transport, or there is one of that scheme)
 */
export function registerTransport(transport: Transport): void {
  const given: unknown = transport
  if (typeof given !== 'object' || given === null) {
    throw invalidArgument(`a transport must be an object, not ${show(given)}`)
  }
  const { scheme } = transport
  if (typeof scheme !== 'string' || !/^[a-z][a-z0-9+.-]*$/.test(scheme)) {
    throw invalidArgument(
      `a transport must have a scheme in lower case, like 'ws', not ${show(scheme)}`,
    )
  }
  for (const method of ['check', 'connect', 'listen'] as const) {
    if (typeof transport[method] === 'function') continue
    throw invalidArgument(`the transport of '${scheme}://' must have a method ${method}()`)
  }
  if (transports.has(scheme) || known.has(scheme)) {
    throw invalidArgument(`there is a transport of '${scheme}://' already: take another scheme`)
  }
  transports.set(scheme, transport)
}

/**
 * `others`: the schemes that addresses may have besides, where they are asked for.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function transportOf({ scheme, text }: Address, others: readonly string[] = []): Transport {
  let transport = transports.get(scheme)
  if (transport === undefined) {
    transport = known.get(scheme)?.()
    if (transport === undefined) {
      const schemes = new Set([...known.keys(), ...transports.keys(), ...others])
      const all = [...schemes].map((one) => `${one}://`)
      throw invalidArgument(
        `there is no transport for ${show(text)}: addresses begin with ${all.join(', ')}; registerTransport() adds others`,
      )
    }
    transports.set(scheme, transport)
  }
  return transport
}
