// What a connection is, over whatever it goes.

import type { ByteSource } from '../base/bytes.js'
import type { Iteration, IterationOptions } from '../base/iteration.js'
import type { WaitOptions } from '../base/options.js'
import type { selectable, Readiness } from '../base/selectable.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import type { ConnectionEmitter, ConnectionState, ConnectionStatus } from './connection-status.js'

/** What a channel gives, in data. */
export interface Traits {
  /** Do messages lie where the sender wrote them? */
  readonly zeroCopy: boolean
  /** Does all that was sent arrive, as long as the connection stands? */
  readonly reliable: boolean
  /** Does it arrive in the order in which it was sent? */
  readonly ordered: boolean
  /** The longest message that can be sent, in bytes. */
  readonly maxBytes: number
  /** How the death of the other side is noticed: at once, by the kernel; by its silence; or not at all, as what is sent outlives it. */
  readonly death: 'exact' | 'timeout' | 'none'
  /** Which ways messages go. */
  readonly directions: 'both' | 'send' | 'receive'
  /** How many may be connected to an address at a time: with `one`, `connect` is `ROLE_TAKEN` while there is one. Default: many. */
  readonly connections?: 'one' | 'many' | undefined
}

/** Who is at the other side, as far as the transport knows. */
export interface Peer {
  /** Its process; of another pid namespace it is not known. */
  readonly pid?: number | undefined
  /** Its user. */
  readonly uid?: number | undefined
  /** Its group. */
  readonly gid?: number | undefined
  /** Its address, `host:port` for TCP. */
  readonly address?: string | undefined
  /** TLS: the certificate that was verified. */
  readonly certificate?: PeerCertificate | undefined
  /** TLS: the protocol that both chose by ALPN. */
  readonly protocol?: string | undefined
}

/** What a verified certificate says. */
export interface PeerCertificate {
  /** Its common name. */
  readonly commonName: string | undefined
  /** Its alternative names, as Node writes them. */
  readonly alternativeNames: string | undefined
  /** SHA-256 of the certificate, in hexadecimal with colons. */
  readonly fingerprint: string
}

/**
 * Messages of bytes in order, to one other side and back. Any number of tasks may send and receive at a time: they are served in the
 * order in which they asked.
 */
export interface Channel extends AsyncIterable<PlainBuffer> {
  /** What it was connected to, or listened at. */
  readonly address: string
  /** What it gives. */
  readonly traits: Traits
  /** Who is at the other side. */
  readonly peer: Peer
  /** Was it closed, by `close` or `destroy`? Of one that broke its calls tell. */
  readonly closed: boolean

  /**
   * Sends a message: waits until the channel has room for it. When it resolves the channel has the message, and the bytes are the
   * caller's again. Messages arrive in the order of the calls.
   *
   * @throws MillraceError (as rejection) `PEER_GONE` (the other side has died, or closed), `CLOSED`, `TOO_LARGE`, `ABORTED`, `TIMEOUT`,
   *   `INVALID_ARGUMENT`, `UNSUPPORTED` (it only receives)
   */
  send(message: ByteSource, options?: WaitOptions): Promise<void>
  /** As `send`, if there is room now and no earlier `send` waits for some. Never blocks. Errors are thrown. */
  trySend(message: ByteSource): boolean
  /**
   * The next message, as a Buffer of its own; `undefined`: the other side has closed, and all it sent was received.
   *
   * @throws MillraceError (as rejection) `PEER_GONE` (the other side has died, and all that came of it was received), `CLOSED`,
   *   `PROTOCOL` (it does not speak as millrace does), `ABORTED`, `TIMEOUT`, `INVALID_ARGUMENT`, `UNSUPPORTED` (it only sends)
   */
  receive(options?: WaitOptions): Promise<PlainBuffer | undefined>
  /** The next message if it is there, and no earlier call waits for one. Never blocks. Errors as `receive`, thrown. */
  tryReceive(): PlainBuffer | undefined
  /**
   * The next message, written to the start of `target`, or of what `target` returns for its length; resolves with its length, or
   * `undefined` as `receive` does. A long one is written there as it arrives.
   *
   * @throws MillraceError (as rejection) as `receive`; `TOO_LARGE` (it does not fit, and stays the next one)
   */
  receiveInto(
    target: ArrayBufferView | ((length: number) => ArrayBufferView),
    options?: WaitOptions,
  ): Promise<number | undefined>
  /** The messages, until the other side or this channel closes. Leaving the loop closes nothing. */
  messages(options?: IterationOptions): Iteration<PlainBuffer>

  /**
   * There will be no more messages from this side: what was sent arrives, and then the loops of the other side end. Receiving goes on.
   * Resolves when the system has all of it.
   *
   * @throws MillraceError (as rejection) `PEER_GONE`, `CLOSED`, `ABORTED`, `TIMEOUT`, `INVALID_ARGUMENT`, `UNSUPPORTED` (the transport
   *   cannot end one way alone)
   */
  end(options?: WaitOptions): Promise<void>
  /**
   * Closes both ways. What was sent arrives, if the other side lives and takes it within `timeout` (default 5000 ms). Pending
   * `receive` calls reject with `CLOSED`. Never rejects but for its options.
   */
  close(options?: WaitOptions): Promise<void>
  /** Ends it at once. What is on its way may be lost; pending `send` calls reject with `reason`. */
  destroy(reason?: Error): void

  /** Keeps the process alive while it is open (the default). */
  ref(): this
  /** Lets the process end although it is open. */
  unref(): this
  /** What `await using` calls at the end of its block: `close()`. */
  [Symbol.asyncDispose](): Promise<void>
  /** As `messages()`. */
  [Symbol.asyncIterator](): Iteration<PlainBuffer>
  /** How `select` waits for messages of it. */
  [selectable](): Readiness
}

/**
 * A channel whose connection is made anew when it breaks, or the other side closes, until `close`, `destroy` or the `signal` that it was
 * opened with ends it.
 *
 * - `send` resolves when the message has come to the other side, where the transport can tell (`unix://`, `tcp://`, `tls://`). It
 *   waits for the connection, within its `timeout`. When the connection breaks under it, it rejects with `PEER_GONE` and `executed:
 *   'unknown'`; nothing is sent twice. `trySend` says false while there is no connection.
 * - `receive` and loops go on with the next connection; the events `lost` and `connected` say that something is between.
 * - `end` is for good: then the channel ends with the connection.
 */
export interface ReconnectingChannel extends Channel, ConnectionEmitter {
  /** How the connection stands. */
  readonly state: ConnectionState
  /** The same, and more; with the same events. */
  readonly connection: ConnectionStatus
  /**
   * Resolves when there is a connection.
   *
   * @throws MillraceError (as rejection) `CLOSED`, or why there will be none; `ABORTED`, `TIMEOUT`, `INVALID_ARGUMENT`
   */
  connected(options?: WaitOptions): Promise<this>
}

/** Connections that were turned away, or cut off, by cause. */
export interface Refusals {
  /** `maxConnections` were open. */
  readonly connections: number
  /** `maxPending` had not said who they are. */
  readonly pending: number
  /** `allow`, or the rights of the address, did not name them. */
  readonly allow: number
  /** They did not say hello in time, or said something else; over `tls://` also whoever did not come through the handshake. */
  readonly hello: number
  /** This process had no descriptors or no memory for them. */
  readonly resources: number
  /** They were cut off: with parts of messages the channels held more than `maxHeld`, and of theirs there was most. */
  readonly bytes: number
}

/** Channels that others connect, as they come. */
export interface Listener extends AsyncIterable<Channel> {
  /** Where it listens: port 0 has become the port. */
  readonly address: string
  /** Channels of it that are open. */
  readonly connections: number
  /** Connections that were turned away: not allowed, too many, or they did not speak as millrace does. */
  readonly refused: number
  /** The same, by cause. */
  readonly refusals: Refusals
  /** Was it closed? */
  readonly closed: boolean
  /**
   * The next channel; `undefined`: it was closed.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `INVALID_ARGUMENT`
   */
  accept(options?: WaitOptions): Promise<Channel | undefined>
  /** Takes no more connections. Channels that were accepted stay open; those that nobody accepted are destroyed. */
  close(): Promise<void>
  /** Keeps the process alive while it is open (the default). */
  ref(): this
  /** Lets the process end although it is open. */
  unref(): this
  /** What `await using` calls at the end of its block: `close()`. */
  [Symbol.asyncDispose](): Promise<void>
  /** The channels: `for await (const channel of listener)`. Leaving the loop closes nothing. */
  [Symbol.asyncIterator](): Iteration<Channel>
  /** How `select` waits for connections. */
  [selectable](): Readiness
}
