// One socket of ZeroMQ. It makes its connections itself, and makes them anew when they break, so a line ends when it is closed.
//
// A socket takes one message at a time, and none while nobody is connected, or who is has not taken enough of those before (its high-water
// mark): whoever sends waits in turn.

import { now } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import type { EngineConnection, EngineLine } from '../port.js'
import { admit, type Admission } from './admission.js'
import { claimFile, freeFile, guardFile } from './file.js'
import { zmqContext, zmqLibrary, type Frames, type ZmqKind, type ZmqNative } from './library.js'
import type { ZmqPlace } from './place.js'
import { isAgain, Pump } from './pump.js'

/** Milliseconds that what was sent has to go out after `close`, and at the end of the process. */
const lingerMs = 1000
/** Milliseconds after which who sends looks whether that is still wanted. */
const sendMs = 50
const receiveMs = 100
/** Milliseconds of silence after which a connection is taken for dead, if nobody says otherwise. */
export const silenceMs = 10_000
/** Milliseconds after which a connection over which nothing could be sent yet is made anew. */
const afreshMs = 2000
/** Frames of a message beside what it carries. */
const roomBeside = 65_536
/** That may wait for their turn to send. */
export const mostWaiting = 16_384

export interface ZmqSocketOptions {
  /** Messages that may wait to be sent, or to be received, for each connection. */
  readonly highWaterMark?: number
  readonly isBound: boolean
  readonly more?: object
}

/**
 * How the end of the other side is noticed where the connection does not tell it. Calls are always read, so the library's own heartbeats
 * do. Who takes jobs or messages may be full for longer than that: then the library reads nothing, hears no heartbeat either, and ends
 * the connection with all that was on its way (or itself: libzmq 4.3.5 asserts that it still reads). So there the kernel's are used,
 * which count in seconds, and only while nothing is on its way: a limit for that (TCP_USER_TIMEOUT) would also end who is full.
 */
function signsOfLife(kind: ZmqKind, ms: number): object {
  if (kind === 'Dealer' || kind === 'Router') {
    return { heartbeatInterval: Math.max(Math.floor(ms / 3), 1), heartbeatTimeout: ms }
  }
  const seconds = Math.max(Math.round(ms / 3000), 1)
  return {
    tcpKeepalive: 1,
    tcpKeepaliveIdle: seconds,
    tcpKeepaliveInterval: seconds,
    tcpKeepaliveCount: 2,
  }
}

export class ZmqLine implements EngineLine {
  readonly shown: string
  readonly ended: Promise<Error | undefined>
  protected readonly place: ZmqPlace
  protected readonly connection: EngineConnection
  #end!: (error: Error | undefined) => void
  #closed = false
  #alive = true
  #native: ZmqNative | undefined
  #kind: ZmqKind | undefined
  #opening: Promise<ZmqNative> | undefined
  #admission: Admission | undefined
  #pump: Pump | undefined
  /** The path that it is bound to. */
  #file: string | undefined
  #turn: Promise<void> = Promise.resolve()
  #waiting = 0
  /** What the socket has as its time to send: to ask it takes as long as to send. Undefined: that was not asked yet. */
  #sendMs: number | undefined
  /** Since when the connection is tried over which nothing was sent yet; undefined: something was, or it is not this side's. */
  #untriedSince: number | undefined

  constructor(place: ZmqPlace, connection: EngineConnection) {
    this.place = place
    this.connection = connection
    this.shown = place.shown
    this.ended = new Promise((end) => {
      this.#end = end
    })
  }

  get closed(): boolean {
    return this.#closed
  }

  /** The longest message that either side takes. */
  get maxBytes(): number {
    return this.connection.maxBytes
  }

  /** Is there a message that nobody has received yet? */
  protected get isReadable(): boolean {
    return this.#native?.readable ?? false
  }

  /** How many came with a key that is not allowed. */
  get refused(): number {
    return this.#admission?.refused ?? 0
  }

  close(): void {
    this.end(undefined)
  }

  hold(alive: boolean): void {
    this.#alive = alive
    this.#pump?.hold(alive)
    this.#admission?.hold(alive)
  }

  protected end(error: Error | undefined): void {
    if (this.#closed) return
    this.#closed = true
    // While it is still this side's own: ZeroMQ leaves it there.
    if (this.#file !== undefined) freeFile(this.#file)
    this.#native?.close()
    this.#admission?.close()
    this.#pump?.wake()
    this.#end(error)
  }

  /**
   * The socket, which is made at first. It is of one kind for good.
   *
   * @throws MillraceError (as rejection) `UNSUPPORTED` (it is of another kind), `EXISTS` (somebody else is bound there), `UNREACHABLE`
   */
  protected socket(kind: ZmqKind, options: ZmqSocketOptions): Promise<ZmqNative> {
    if (this.#kind !== undefined && this.#kind !== kind) {
      return Promise.reject(
        new MillraceError(
          'ERR_MILLRACE_UNSUPPORTED',
          `'${this.shown}' goes one way with ZeroMQ, and this handle is a ${this.#kind} already, which cannot be a ${kind}, too: ` +
            'open another handle, with an address of its own',
          { executed: 'no' },
        ),
      )
    }
    this.#kind = kind
    this.#opening ??= this.#open(kind, options).catch((error: unknown) => {
      this.end(error as Error)
      throw error
    })
    return this.#opening
  }

  async #open(
    kind: ZmqKind,
    { highWaterMark = 1000, isBound, more }: ZmqSocketOptions,
  ): Promise<ZmqNative> {
    const { place } = this
    const { heartbeat = silenceMs, maxBytes } = this.connection
    const keys = await this.#keys(isBound)
    if (this.closed) throw this.gone()
    if (isBound && place.file !== undefined) await claimFile(place.file, this.shown)
    const isSent = kind !== 'Pull' && kind !== 'Subscriber'
    const isReceived = kind !== 'Push' && kind !== 'Publisher'
    const native = new (zmqLibrary()[kind])({
      context: zmqContext(),
      linger: lingerMs,
      // To who is connected, and not to who may be some time. With it libzmq drops at the end of a connection what has come over it and was
      // not read yet, so who only receives goes without.
      immediate: isSent,
      ipv6: true,
      maxMessageSize: maxBytes + roomBeside,
      reconnectInterval: 50,
      reconnectMaxInterval: 1000,
      ...(heartbeat === 0 ? {} : signsOfLife(kind, heartbeat)),
      ...(isSent ? { sendHighWaterMark: highWaterMark, sendTimeout: sendMs } : {}),
      ...(isReceived ? { receiveHighWaterMark: highWaterMark, receiveTimeout: receiveMs } : {}),
      ...keys,
      ...more,
    })
    try {
      if (isBound) {
        await native.bind(place.binds)
        if (place.file !== undefined) guardFile(place.file)
        this.#file = place.file
      } else {
        native.connect(place.connects)
        this.#untriedSince = now()
      }
    } catch (error) {
      native.close()
      this.#admission?.close()
      throw this.#notOpened(error as NodeJS.ErrnoException)
    }
    if (this.#isClosed()) {
      if (this.#file !== undefined) freeFile(this.#file)
      native.close()
      throw this.gone()
    }
    this.#pump = new Pump(native)
    this.#native = native
    this.hold(this.#alive)
    return native
  }

  async #keys(isBound: boolean): Promise<object> {
    const { curve } = this.connection
    if (curve === undefined) return {}
    if (!isBound) {
      const { publicKey, secretKey, serverKey } = curve
      return {
        curvePublicKey: publicKey,
        curveSecretKey: secretKey,
        curveServerKey: serverKey,
      }
    }
    this.#admission = await admit(curve.allowed ?? [])
    if (this.#isClosed()) this.#admission.close()
    return {
      curveServer: true,
      curveSecretKey: curve.secretKey,
      zapDomain: this.#admission.domain,
    }
  }

  /** The next message; undefined: closed, or `isOver` says so. */
  protected async next(isOver: () => boolean = () => false): Promise<Frames | undefined> {
    return await this.#pump?.receive(isOver)
  }

  /**
   * Makes the connection of this side anew. Nothing may be on its way over it. libzmq gives a connection up for good where the other side
   * refuses the key, or is a socket of another kind, and does not say so; what was wrong may be mended there.
   */
  protected reconnect(): void {
    const native = this.#native
    if (this.closed || native === undefined) return
    try {
      native.disconnect(this.place.connects)
    } catch {
      // The library has forgotten it.
    }
    native.connect(this.place.connects)
    this.#untriedSince = now()
  }

  /** Whoever waits for a message looks whether that is over. */
  protected wake(): void {
    this.#pump?.wake()
  }

  /**
   * When the socket has it, which takes as long as there is no room.
   *
   * @throws MillraceError (as rejection) `BUSY`, `PEER_GONE`, and what `signal` aborts with
   */
  protected async send(frames: Frames, signal?: AbortSignal): Promise<void> {
    if (this.#waiting >= mostWaiting) throw this.tooManyWait()
    this.#waiting++
    const before = this.#turn
    let done!: () => void
    this.#turn = new Promise((resolve) => {
      done = resolve
    })
    try {
      await before
      await this.#sent(frames, signal)
    } finally {
      this.#waiting--
      done()
    }
  }

  /** Resolves when nothing waits for its turn that was to be sent before. Never rejects. */
  protected allSent(): Promise<void> {
    return this.#turn
  }

  async #sent(frames: Frames, signal: AbortSignal | undefined): Promise<void> {
    do {
      if (this.closed) throw this.gone()
      if (signal?.aborted === true) throw signal.reason as Error
    } while (!(await this.trySend(frames)))
  }

  /**
   * Does the socket have it? False: there was no room for a while. One at a time, and not beside `send`.
   *
   * @throws MillraceError (as rejection) `PEER_GONE`
   */
  protected async trySend(frames: Frames): Promise<boolean> {
    const native = this.#native
    if (this.closed || native === undefined) throw this.gone()
    const isHeld = this.#pump!.alive
    const has = (this.#sendMs ??= native.sendTimeout)
    const wanted = isHeld ? sendMs : 1
    if (has !== 0 && has !== wanted) this.#sendMs = native.sendTimeout = wanted
    try {
      await native.send(frames)
      this.#untriedSince = undefined
      return true
    } catch (error) {
      if (!isAgain(error)) throw this.#notSent(error as NodeJS.ErrnoException)
      if (this.#sendMs === 0) throw error
    }
    if (this.#untriedSince !== undefined && now() - this.#untriedSince > afreshMs) this.reconnect()
    if (!isHeld && !this.#isClosed()) await this.#pump!.pause()
    return false
  }

  protected tooManyWait(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_BUSY',
      `${String(mostWaiting)} messages wait to be sent to '${this.shown}' already: wait for some of them`,
      { executed: 'no' },
    )
  }

  /** Before it is sent: the longest is what the other side takes, too, if it was told the same. */
  protected assertFits(length: number): void {
    if (length <= this.maxBytes) return
    throw new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a payload of ${String(length)} bytes is more than the ${String(this.maxBytes)} that '${this.shown}' takes: ` +
        'send less, or say more at both sides (connection: { maxBytes })',
      { executed: 'no' },
    )
  }

  protected gone(): MillraceError {
    return new MillraceError('ERR_MILLRACE_PEER_GONE', `'${this.shown}' was closed`, {
      executed: 'unknown',
    })
  }

  #isClosed(): boolean {
    return this.closed // by now
  }

  #notSent(error: NodeJS.ErrnoException): Error {
    if (this.closed || error.code === 'EBADF') return this.gone()
    return error
  }

  #notOpened(error: NodeJS.ErrnoException): MillraceError {
    const facts = { cause: error, executed: 'no' } as const
    if (error.code === 'EADDRINUSE') {
      return new MillraceError(
        'ERR_MILLRACE_EXISTS',
        `somebody is bound to '${this.shown}' already: one side of ZeroMQ binds, and all others connect; take another address, or do not bind here`,
        facts,
      )
    }
    if (error.code === 'EACCES' || error.code === 'EPERM') {
      return new MillraceError(
        'ERR_MILLRACE_PERMISSION',
        `the system does not let this process bind to '${this.shown}'`,
        facts,
      )
    }
    return new MillraceError(
      'ERR_MILLRACE_UNREACHABLE',
      `'${this.shown}' cannot be had (${error.message}): who binds must name an address of this machine, or a path in a folder that exists`,
      facts,
    )
  }
}

/**
 * Has each side the keys that it needs?
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function assertKeys(
  { shown }: ZmqPlace,
  { curve }: EngineConnection,
  isBound: boolean,
): void {
  if (curve === undefined) return
  const { publicKey, serverKey, allowed } = curve
  if (isBound && allowed === undefined) {
    throw invalidKeys(shown, 'allowed, the public keys of those who may come: nobody else may')
  }
  if (!isBound && (publicKey === undefined || serverKey === undefined)) {
    throw invalidKeys(shown, 'its own publicKey, and the serverKey of who is bound there')
  }
}

function invalidKeys(shown: string, what: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_INVALID_ARGUMENT',
    `connection.curve for '${shown}' must also have ${what}`,
  )
}
