// A connection that calls. The library would make it anew by itself, after waits of its own, and says of it only whether it is there: here
// it is one connection, and when it has ended it is closed. Whoever holds it makes another.

import { startTimer, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError, timeoutError } from '../../errors.js'
import { clock } from '../clock.js'
import type {
  EngineAnswer,
  EngineCallOptions,
  EngineCalls,
  EngineConnection,
  EngineStream,
} from '../port.js'
import { BundledCalls, type SingleAnswer } from './bundled-calls.js'
import {
  Connectivity,
  grpcLibrary,
  Status,
  type GrpcCall,
  type GrpcChannel,
  type GrpcMetadata,
  type GrpcStatus,
} from './library.js'
import type { GrpcPlace } from './place.js'
import { endingOf, names, type Ending } from './status.js'

/** Milliseconds for one attempt. */
const attemptMs = 5000
/** As good as never. */
const neverMs = 2 ** 31 - 1
/** Bytes of one call that the library keeps, for fear that it must be sent again, before it holds up who sends. */
const keptBytes = 65_536

/** Bytes around a value that goes alone in a message of many calls. */
const headRoom = 64

/** @throws MillraceError (as rejection) `UNREACHABLE`, `TIMEOUT`, `ABORTED`, `INVALID_ARGUMENT` (what `tls` gives) */
export async function grpcCalls(
  place: GrpcPlace,
  connection: EngineConnection,
  signal: AbortSignal,
  side: 'calls' | 'carries',
): Promise<EngineCalls> {
  const { maxBytes } = connection
  const isCarried = side === 'carries'
  const channel = new (grpcLibrary().Channel)(
    targetOf(place),
    credentialsOf(place, connection),
    // A value that goes with others has a head.
    optionsOf(place, isCarried ? { ...connection, maxBytes: maxBytes + headRoom } : connection),
  )
  try {
    await ready(channel, place, signal)
  } catch (error) {
    channel.close()
    throw error
  }
  return new GrpcCalls(channel, place, maxBytes, isCarried)
}

function targetOf({ path, host, port }: GrpcPlace): string {
  if (path !== undefined) return `unix:${path.replace(/^\0/, '@')}`
  return `dns:${host.includes(':') ? `[${host}]` : host}:${String(port)}`
}

interface Tls {
  readonly servername?: string
  readonly checkServerIdentity?: unknown
}

function credentialsOf({ secure, shown }: GrpcPlace, { tls }: EngineConnection): object {
  const { credentials } = grpcLibrary()
  if (!secure) return credentials.createInsecure()
  try {
    const { createSecureContext } = process.getBuiltinModule('node:tls')
    const { checkServerIdentity } = (tls ?? {}) as Tls
    return credentials.createFromSecureContext(
      createSecureContext(tls ?? {}),
      checkServerIdentity === undefined ? {} : { checkServerIdentity },
    )
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_INVALID_ARGUMENT',
      `what tls gives for '${shown}' cannot be used (${(cause as Error).message}): give key, cert and ca as node:tls takes them`,
      { cause },
    )
  }
}

function optionsOf(
  { secure }: GrpcPlace,
  { maxBytes, heartbeat, tls }: EngineConnection,
): Record<string, number | string> {
  const { servername } = (tls ?? {}) as Tls
  return {
    'grpc.max_receive_message_length': maxBytes,
    'grpc.max_send_message_length': -1, // judged before
    // Nothing is tried again by the library, nothing shared between two handles, and nothing found out elsewhere.
    'grpc.enable_retries': 0,
    'grpc.per_rpc_retry_buffer_size': keptBytes,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.client_idle_timeout_ms': neverMs,
    'grpc.service_config_disable_resolution': 1,
    'grpc.enable_http_proxy': 0,
    'grpc.enable_channelz': 0,
    // Servers of gRPC take offence at more signs of life than they are used to: there are some if somebody asks for them.
    ...(heartbeat === undefined || heartbeat === 0
      ? {}
      : {
          'grpc.keepalive_time_ms': Math.ceil(heartbeat / 2),
          'grpc.keepalive_timeout_ms': Math.ceil(heartbeat / 2),
        }),
    ...(secure && servername !== undefined
      ? { 'grpc.ssl_target_name_override': servername, 'grpc.default_authority': servername }
      : {}),
  }
}

async function ready(channel: GrpcChannel, place: GrpcPlace, signal: AbortSignal): Promise<void> {
  let timer: Timer | undefined
  let onAbort: (() => void) | undefined
  try {
    await new Promise<void>((resolve, reject) => {
      timer = startTimer(attemptMs, () => {
        const cure = 'see how the server is, and that it speaks gRPC'
        reject(timeoutError(`a connection to '${place.shown}'`, attemptMs, cure))
      })
      onAbort = () => {
        reject(
          new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for the connection any more'),
        )
      }
      signal.addEventListener('abort', onAbort, { once: true })
      if (signal.aborted) onAbort()
      const look = (): void => {
        const state = channel.getConnectivityState(true)
        if (state === Connectivity.ready) {
          resolve()
        } else if (state === Connectivity.failed) {
          whyNot(channel, place).then(reject, reject)
        } else if (state !== Connectivity.shutdown) {
          channel.watchConnectivityState(state, Infinity, look)
        }
      }
      look()
    })
  } finally {
    stopTimer(timer)
    if (onAbort !== undefined) signal.removeEventListener('abort', onAbort)
  }
}

/** The library tells calls alone why there is no connection. */
async function whyNot(channel: GrpcChannel, { shown }: GrpcPlace): Promise<MillraceError> {
  const details = await new Promise<string>((resolve) => {
    const call = channel.createCall('/', Infinity, undefined, null, undefined)
    call.start(new (grpcLibrary().Metadata)(), {
      onReceiveMetadata: () => undefined,
      onReceiveMessage: () => undefined,
      onReceiveStatus: (status) => {
        resolve(status.details)
      },
    })
    call.halfClose()
  })
  const why = /Last error: ?(.+?)\.?( Resolution note:.*)?$/.exec(details)?.[1] ?? details
  const isCertificate = /certificate|self.signed|altnames|issuer/i.test(why)
  const cure = isCertificate
    ? 'give that of its authority as tls.ca, and see that it has the name of the host (tls.servername) and is not expired'
    : 'see that a server of gRPC runs there, that the address is right, and that both sides want TLS, or none'
  return new MillraceError(
    'ERR_MILLRACE_UNREACHABLE',
    `nobody answers at '${shown}' (${why}): ${cure}`,
    { executed: 'no' },
  )
}

class GrpcCalls implements EngineCalls {
  readonly maxBytes: number
  readonly ended: Promise<Error | undefined>
  readonly #channel: GrpcChannel
  readonly #shown: string
  readonly #service: string
  readonly #exchanges = new Set<Exchange>()
  readonly #bundled: BundledCalls | undefined
  #tellEnd!: (why: Error | undefined) => void
  #closed = false

  constructor(
    channel: GrpcChannel,
    { shown, name }: GrpcPlace,
    maxBytes: number,
    isCarried: boolean,
  ) {
    this.#channel = channel
    this.#shown = shown
    this.#service = name
    this.maxBytes = maxBytes
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve
    })
    if (isCarried) {
      this.#bundled = new BundledCalls({
        ...{ channel, service: name, shown, maxBytes },
        ending: (status, method) => this.#ending(status, method),
      })
    }
    channel.watchConnectivityState(Connectivity.ready, Infinity, () => {
      this.#look()
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  close(): void {
    this.#end(undefined)
    const gone = this.#gone()
    for (const exchange of this.#exchanges) exchange.fail(gone)
    this.#bundled?.close(gone)
  }

  /** Calls that are on their way keep the process alive, and nothing else does. */
  hold(): void {
    // The library does so by itself.
  }

  async serve(): Promise<void> {
    await Promise.reject(
      new MillraceError('ERR_MILLRACE_UNSUPPORTED', 'this connection calls, and does not serve'),
    )
  }

  unserve(): void {
    // It serves nothing.
  }

  async call(method: string, input: Uint8Array, options: EngineCallOptions): Promise<SingleAnswer> {
    const bundled = this.#bundled
    if (bundled?.takes(method, input, options) === true) {
      const answer = await bundled.call(method, input, options)
      if (answer !== undefined) return answer
    }
    const answer = await this.#single(method, input, options)
    if (answer.kind === 'result') bundled?.begin(options.fingerprint)
    return answer
  }

  async #single(
    method: string,
    input: Uint8Array,
    options: EngineCallOptions,
  ): Promise<SingleAnswer> {
    const exchange = this.#begin(method, options)
    void exchange.send(input)
    exchange.end()
    const first = await exchange.next()
    if (first.kind === 'error' || first.kind === 'refused') return { ...first, kind: first.kind }
    const last = first.kind === 'item' ? await exchange.next() : first
    if (last.kind === 'error' || last.kind === 'refused') return { ...last, kind: last.kind }
    if (first.kind === 'item' && last.kind === 'end') return { kind: 'result', bytes: first.bytes }
    exchange.fail(new Error('that is no answer'))
    throw new MillraceError(
      'ERR_MILLRACE_PROTOCOL',
      `${method}() at '${this.#shown}' must be answered by one value: see that both sides have the same contract`,
      { executed: 'unknown' },
    )
  }

  open(method: string, options: EngineCallOptions): EngineStream {
    return this.#begin(method, options)
  }

  #begin(
    method: string,
    { fingerprint, timeout, signal, traceparent }: EngineCallOptions,
  ): Exchange {
    if (signal.aborted) throw signal.reason
    this.#look()
    if (this.#closed) throw this.#gone('no')
    const deadline = timeout === Infinity ? Infinity : clock() + timeout
    const path = `/${this.#service}/${method}`
    const call = this.#channel.createCall(path, deadline, undefined, null, undefined)
    const metadata = new (grpcLibrary().Metadata)()
    if (fingerprint !== '') metadata.set(names.contract, fingerprint)
    if (traceparent !== undefined) metadata.set('traceparent', traceparent)
    const exchange = new Exchange(call, metadata, signal, {
      ending: (status) => this.#ending(status, method),
      over: () => {
        this.#exchanges.delete(exchange)
      },
    })
    this.#exchanges.add(exchange)
    exchange.start()
    return exchange
  }

  #ending(status: GrpcStatus, method: string): Ending {
    // So that whoever is told that the connection has ended finds it so.
    if (status.code === Status.unavailable) this.#look()
    return endingOf(status, `${method}()`, this.#shown, true)
  }

  /** Is it there still? */
  #look(): void {
    if (this.#closed) return
    if (this.#channel.getConnectivityState(false) !== Connectivity.ready) this.#end(this.#gone())
  }

  #end(why: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    this.#channel.close()
    this.#bundled?.leave()
    this.#tellEnd(why)
  }

  #gone(executed: 'no' | 'unknown' = 'unknown'): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the connection to '${this.#shown}' has ended: the server has closed it, or is gone`,
      { executed },
    )
  }
}

interface Ends {
  readonly ending: (status: GrpcStatus) => Ending
  readonly over: () => void
}

interface Asking {
  readonly resolve: (answer: EngineAnswer) => void
  readonly reject: (error: unknown) => void
}

/** One call. */
class Exchange implements EngineStream {
  readonly #call: GrpcCall
  readonly #metadata: GrpcMetadata
  readonly #signal: AbortSignal
  readonly #ends: Ends
  readonly #onAbort = (): void => {
    this.fail(this.#signal.reason)
  }
  #ending: Ending | { readonly thrown: unknown } | undefined
  #asking: Asking | undefined
  #sent: (() => void) | undefined

  constructor(call: GrpcCall, metadata: GrpcMetadata, signal: AbortSignal, ends: Ends) {
    this.#call = call
    this.#metadata = metadata
    this.#signal = signal
    this.#ends = ends
  }

  start(): void {
    this.#signal.addEventListener('abort', this.#onAbort, { once: true })
    this.#call.start(this.#metadata, {
      onReceiveMetadata: () => undefined,
      onReceiveMessage: (message) => {
        const asking = this.#asking
        if (message === null || asking === undefined) return
        this.#asking = undefined
        asking.resolve({ kind: 'item', bytes: message })
      },
      onReceiveStatus: (status) => {
        this.#over(this.#ends.ending(status))
      },
    })
  }

  async send(bytes: Uint8Array): Promise<boolean> {
    if (this.#ending !== undefined) return false
    await new Promise<void>((sent) => {
      this.#sent = sent
      const { buffer, byteOffset, byteLength } = bytes
      const message = Buffer.from(buffer, byteOffset, byteLength)
      this.#call.sendMessageWithContext({ callback: sent }, message)
    })
    return !this.#isOver()
  }

  end(): void {
    if (this.#ending === undefined) this.#call.halfClose()
  }

  next(): Promise<EngineAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#ending !== undefined) {
        settle(this.#ending, { resolve, reject })
        return
      }
      this.#asking = { resolve, reject }
      this.#call.startRead()
    })
  }

  /** Nobody waits for it any more. */
  fail(reason: unknown): void {
    if (this.#ending !== undefined) return
    this.#over({ thrown: reason })
    this.#call.cancelWithStatus(Status.cancelled, 'nobody waits for the answer any more')
  }

  #isOver(): boolean {
    return this.#ending !== undefined // by what was awaited
  }

  #over(ending: Ending | { readonly thrown: unknown }): void {
    if (this.#ending !== undefined) return
    this.#ending = ending
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#ends.over()
    // What was on its way goes nowhere any more.
    this.#sent?.()
    const asking = this.#asking
    this.#asking = undefined
    if (asking !== undefined) settle(ending, asking)
  }
}

function settle(ending: Ending | { readonly thrown: unknown }, { resolve, reject }: Asking): void {
  if (ending instanceof MillraceError) reject(ending)
  else if ('thrown' in ending) reject(ending.thrown)
  else resolve(ending)
}
