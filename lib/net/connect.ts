// `connect` and `listen`: the address is taken apart, all is judged, and then its transport does it.

import { forgetAbort, whenAborted } from '../base/abort-signals.js'
import { startTimer, stopTimer } from '../base/time.js'
import { show } from '../base/options.js'
import type { ConnectTrace } from '../base/traced.js'
import { connecting, traced } from '../base/tracing.js'
import { abortedError, invalidArgument, timeoutError } from '../errors.js'
import { parseAddress, schemeOf, type Address } from '../place/address.js'
import { addressElsewhere } from '../place/elsewhere.js'
import { readReconnect, type ReconnectOptions } from './backoff.js'
import type { Channel, Listener, ReconnectingChannel } from './channel.js'
import { ChannelListener } from './listener.js'
import {
  readConnect,
  readListen,
  type ConnectOptions,
  type GivenConnect,
  type GivenListen,
  type ListenOptions,
} from './options.js'
import { Reconnecting } from './reconnecting.js'
import { refusal } from './refusals.js'
import { channelOver } from './stream/over.js'
import { transportOf, type Transport } from './transport.js'

/**
 * Connects to whoever listens at an address, and resolves when both sides know each other.
 *
 * With `reconnect` it resolves when the first attempt has ended, however it did, but for what will be no better the next time: the state of the
 * channel says whether it is connected.
 *
 * @throws MillraceError (as rejection) `UNREACHABLE` (nobody listens there, or there is no way to it; `cause` is what the system said),
 *   `PERMISSION` (the other side is not allowed, or does not allow us, or the system forbids it), `PROTOCOL` (something else
 *   than millrace listens there), `EXISTS` (what is at that path is of another type), `NAME_TOO_LONG`, `SYSTEM` (no descriptors or memory),
 *   `ROLE_TAKEN` (another one writes to a FIFO or a log), `NOT_FOUND` and `NO_SPACE` (of a log), `PEER_GONE`, `TIMEOUT`, `ABORTED`,
 *   `INVALID_ARGUMENT`
 */
export function connect(
  address: string,
  options: ConnectOptions & { readonly reconnect: true | ReconnectOptions },
): Promise<ReconnectingChannel>
export function connect(address: string, options?: ConnectOptions): Promise<Channel>
export async function connect(address: string, options?: ConnectOptions): Promise<Channel> {
  const given = readConnect(options)
  const parsed = parseAddress(addressElsewhere(address) ?? named(address))
  const transport = transportOf(parsed)
  transport.check(parsed, given)
  const { reconnect = false } = options ?? {}
  const backoff = readReconnect(reconnect)
  if (backoff === undefined) return await connectOnce(parsed, transport, given)
  if (parsed.scheme === 'file' || parsed.scheme === 'fd') {
    throw invalidArgument(
      `reconnect: there is no other connection to be made at ${show(parsed.text)}, which is opened once`,
    )
  }
  const { signal, highWaterMark } = given
  if (signal?.aborted === true) throw abortedError(signal)
  const channel = new Reconnecting({
    address: parsed.text,
    traits: transport.traits,
    backoff,
    highWaterMark,
    signal,
    dial: (ended) => connectOnce(parsed, transport, { ...given, signal: ended }),
  })
  await channel.tried()
  return channel
}

async function connectOnce(
  parsed: Address,
  transport: Transport,
  given: GivenConnect,
): Promise<Channel> {
  if (!connecting.yes) return await connectUnseen(parsed, transport, given)
  const context: ConnectTrace = { operation: 'connect', address: parsed.text }
  return await traced().trace(connecting, context, () => connectUnseen(parsed, transport, given))
}

async function connectUnseen(
  parsed: Address,
  transport: Transport,
  given: GivenConnect,
): Promise<Channel> {
  const { signal, timeout } = given
  const control = new AbortController()
  let why: Error | undefined
  const giveUp = (error: Error): void => {
    why ??= error
    control.abort(error)
  }
  const timer =
    timeout === Infinity
      ? undefined
      : startTimer(
          timeout,
          () => {
            giveUp(late(parsed.text, timeout))
          },
          { alive: true },
        )
  const onAbort = {
    aborted: (): void => {
      giveUp(abortedError(signal!))
    },
  }
  if (signal !== undefined) whenAborted(signal, onAbort)
  try {
    const connection = await transport.connect(parsed, given, control.signal)
    if (connection.channel !== undefined) {
      if (!control.signal.aborted) return connection.channel
      connection.channel.destroy()
      throw control.signal.reason as Error
    }
    const channel = channelOver(connection, parsed.text, transport, given)
    try {
      await channel.greeted({ timeout: given.helloMs, signal: control.signal })
      // Given up while it was there already: who gave it up would not close it.
      control.signal.throwIfAborted()
    } catch (error) {
      channel.destroy(error as Error)
      throw error
    }
    return channel
  } catch (error) {
    throw why ?? refusal(error, parsed, 'connect')
  } finally {
    stopTimer(timer)
    if (signal !== undefined) forgetAbort(signal, onAbort)
  }
}

/**
 * Listens at an address, and resolves when others can connect.
 *
 * @throws MillraceError (as rejection) `EXISTS` (somebody listens there already, or something else is at that path), `NOT_FOUND` (there is
 *   no folder for it), `PERMISSION` (rights, a port below 1024, a file system that is read-only), `NO_SPACE`, `NAME_TOO_LONG`, `UNREACHABLE`
 *   (this machine has no such address), `SYSTEM` (no descriptors or memory), `ABORTED`, `INVALID_ARGUMENT`
 */
export async function listen(address: string, options?: ListenOptions): Promise<Listener> {
  const given = readListen(options)
  const parsed = parseAddress(addressElsewhere(address) ?? named(address))
  const transport = transportOf(parsed)
  transport.check(parsed, given)
  if (!connecting.yes) return await listenUnseen(parsed, transport, given)
  const context: ConnectTrace = { operation: 'listen', address: parsed.text }
  return await traced().trace(connecting, context, () => listenUnseen(parsed, transport, given))
}

async function listenUnseen(
  parsed: Address,
  transport: Transport,
  given: GivenListen,
): Promise<Listener> {
  const listener = new ChannelListener(parsed.text, transport, given)
  try {
    listener.began(await transport.listen(parsed, given, listener))
  } catch (error) {
    throw refusal(error, parsed, 'listen')
  }
  return listener
}

/** A name alone is one of this machine's memory. */
function named(address: unknown): unknown {
  return typeof address === 'string' && schemeOf(address) === undefined
    ? `shm://${address}`
    : address
}

function late(address: string, timeout: number): Error {
  return timeoutError(
    `a connection to '${address}'`,
    timeout,
    'see that the process that listens there runs and is not stopped, or allow more time',
  )
}
