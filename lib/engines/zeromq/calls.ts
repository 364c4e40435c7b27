// Calls over DEALER and ROUTER: who serves is bound, and who calls connects.
//
//   [call, '', function, input, beside]   DEALER to ROUTER; what stands before the empty frame comes back as it was
//   ['', function, input]                 the same of a REQ, which makes and takes off the empty frame itself
//   [call, '', result]                    the answer
//   [call, '', error, 'error']            or what was thrown, as JSON; 'refused': nothing was begun
//   [call, '', '', 'working']             a sign of life, for who has sent what goes beside
//   [call, '', '', '', '']                nobody waits for the answer any more
//
// So any REQ can call, and a REP that answers with one frame can be called. ZeroMQ does not tell that somebody has died: who is at work
// shows signs of life.

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import type { EngineCall, EngineCallOptions, EngineCalls, EngineConnection } from '../port.js'
import { besideFrame, readBeside } from './envelope.js'
import type { Frames } from './library.js'
import { assertKeys, silenceMs, ZmqLine } from './line.js'
import type { ZmqPlace } from './place.js'

/** Milliseconds between two signs of life. */
const signMs = 2000
/** Milliseconds in which somebody who serves must be connected. */
const nobodyMs = 1000
/** What goes beside an input or a result. */
const headerRoom = 1024
/** Frames that may stand before the empty one. */
const mostBefore = 8

type Answer = Awaited<ReturnType<EngineCalls['call']>>

interface Asked {
  arrived(bytes: Uint8Array, status: string): void
  failed(error: Error): void
}

interface Request {
  readonly back: Frames
  readonly key: string
}

const empty = Buffer.alloc(0)

export class ZmqCalls extends ZmqLine implements EngineCalls {
  readonly #prefix: string
  readonly #silenceMs: number
  readonly #asked = new Map<string, Asked>()
  /** What is at work, by what stood before the empty frame. */
  readonly #served = new Map<string, AbortController>()
  #methods: ReadonlySet<string> = new Set()
  #called: ((call: EngineCall) => void) | undefined
  #last = 0
  #isHearing = false

  constructor(place: ZmqPlace, connection: EngineConnection) {
    super(place, connection)
    this.#prefix = place.name === '' ? '' : `${place.name}.`
    const { heartbeat } = connection
    this.#silenceMs = heartbeat === 0 ? Infinity : (heartbeat ?? silenceMs)
    void this.ended.then(() => {
      const gone = this.gone()
      for (const asked of [...this.#asked.values()]) asked.failed(gone)
      for (const control of this.#served.values()) control.abort(gone)
    })
  }

  override get maxBytes(): number {
    return Math.max(super.maxBytes - headerRoom, 0)
  }

  /** When what was answered is the library's. */
  flushed(): Promise<void> {
    return Promise.resolve()
  }

  // Serving

  async serve(methods: readonly string[], called: (call: EngineCall) => void): Promise<void> {
    assertKeys(this.place, this.connection, true)
    this.#methods = new Set(methods)
    this.#called = called
    // Who has no room for its answers does not hold up those of others.
    const more = { mandatory: true, sendTimeout: 0 }
    await this.socket('Router', { isBound: true, more })
    void this.#serveAll()
  }

  unserve(): void {
    this.#called = undefined
  }

  async #serveAll(): Promise<void> {
    for (;;) {
      const frames = await this.next()
      if (frames === undefined) return
      const at = frames.findIndex(({ length }, index) => index > 0 && length === 0)
      // Not as anybody calls.
      if (at < 1 || at > mostBefore) continue
      const back = frames.slice(0, at + 1)
      const key = back.map((frame) => Buffer.from(frame).toString('latin1')).join('\0')
      this.#request({ back, key }, frames.slice(at + 1))
    }
  }

  #request(request: Request, [named, input = empty, more]: Frames): void {
    const name = named === undefined ? '' : Buffer.from(named).toString()
    if (name === '') {
      this.#served
        .get(request.key)
        ?.abort(
          new MillraceError(
            'ERR_MILLRACE_ABORTED',
            'nobody waits for the answer any more: the caller has aborted the call, or its time is over',
          ),
        )
      return
    }
    const method = name.startsWith(this.#prefix) ? name.slice(this.#prefix.length) : ''
    if (this.#called === undefined || !this.#methods.has(method)) {
      const message = `nobody serves ${name}() at '${this.shown}'`
      const said = { name: 'MillraceError', message, code: 'ERR_MILLRACE_NO_RESPONDER' }
      this.#answer(request, Buffer.from(JSON.stringify(said)), 'nobody')
      return
    }
    // Two calls of one name at a time are no good calls.
    if (this.#served.has(request.key)) return
    this.#begin(request, method, input, more)
  }

  #begin(request: Request, method: string, input: Uint8Array, more: Uint8Array | undefined): void {
    const { contract, timeout: left = Infinity, headers } = readBeside(more)
    const until = now() + left
    const control = new AbortController()
    this.#served.set(request.key, control)
    let timer: Timer | undefined
    const sign = (): void => {
      this.#answer(request, empty, 'working')
      timer = startTimer(signMs, sign)
    }
    // Others know no signs of life.
    if (more !== undefined) sign()
    const end = (bytes: Uint8Array, status: string): void => {
      stopTimer(timer)
      this.#served.delete(request.key)
      if (!control.signal.aborted) this.#answer(request, bytes, status)
    }
    this.#called!({
      method,
      input,
      fingerprint: contract === '' ? undefined : contract,
      get left() {
        return left === Infinity ? Infinity : Math.max(until - now(), 0)
      },
      signal: control.signal,
      traceparent: headers?.['traceparent'],
      result: (bytes) => {
        end(Buffer.from(bytes), '')
      },
      error: (bytes, refused) => {
        end(Buffer.from(bytes), refused ? 'refused' : 'error')
      },
    })
  }

  #answer({ back, key }: Request, bytes: Uint8Array, status: string): void {
    const frames = [...back, bytes, ...(status === '' ? [] : [Buffer.from(status)])]
    this.send(frames).catch((error: unknown) => {
      // It is gone, and hears nothing.
      if ((error as NodeJS.ErrnoException).code !== 'EHOSTUNREACH') return
      this.#served
        .get(key)
        ?.abort(
          new MillraceError('ERR_MILLRACE_PEER_GONE', 'whoever called is not connected any more'),
        )
    })
  }

  // Calling

  async call(
    method: string,
    input: Uint8Array,
    { fingerprint, timeout, signal, traceparent }: EngineCallOptions,
  ): Promise<Answer> {
    this.assertFits(input.length)
    assertKeys(this.place, this.connection, false)
    await this.socket('Dealer', { isBound: false })
    if (!this.#isHearing) void this.#hearAll()
    const call = (++this.#last).toString(36)
    const beside = besideFrame({
      contract: fingerprint,
      ...(timeout === Infinity ? {} : { timeout: Math.ceil(timeout) }),
      ...(traceparent === undefined ? {} : { headers: { traceparent } }),
    })!
    const name = Buffer.from(this.#prefix + method)
    const id = Buffer.from(call)
    return await new Promise<Answer>((resolve, reject) => {
      let silence: Timer | undefined
      let isSent = false
      // Who waits for its turn, or for somebody who serves.
      const sending = new AbortController()
      const end = (): void => {
        this.#asked.delete(call)
        stopTimer(silence)
        signal.removeEventListener('abort', onAbort)
        if (this.#asked.size === 0) this.hold(false)
      }
      const failed = (error: Error): void => {
        end()
        sending.abort(error)
        reject(error)
      }
      const onAbort = (): void => {
        failed(signal.reason as Error)
        if (!isSent) return
        const cancels = [id, empty, empty, empty, empty]
        this.send(cancels).catch(() => undefined) // it has ended
      }
      const listen = (): void => {
        stopTimer(silence)
        silence = startTimer(this.#silenceMs, () => {
          failed(this.#silent(method))
        })
      }
      this.#asked.set(call, {
        failed,
        arrived: (bytes, status) => {
          if (status === 'working') {
            listen()
            return
          }
          if (status === 'nobody') {
            failed(this.#nobody(method))
            return
          }
          end()
          const kind = status === 'error' || status === 'refused' ? status : 'result'
          resolve({ kind, bytes })
        },
      })
      if (signal.aborted) {
        onAbort()
        return
      }
      signal.addEventListener('abort', onAbort, { once: true })
      this.hold(true)
      silence = startTimer(nobodyMs, () => {
        failed(this.#nobody(method))
      })
      this.send([id, empty, name, Buffer.from(input), beside], sending.signal).then(() => {
        isSent = true
        // It may have been answered, or given up.
        if (this.#asked.has(call)) listen()
      }, failed)
    })
  }

  async #hearAll(): Promise<void> {
    this.#isHearing = true
    for (;;) {
      const frames = await this.next()
      if (frames === undefined) return
      const [id, delimiter, bytes, status] = frames
      if (id === undefined || delimiter?.length !== 0 || bytes === undefined) continue
      const said = status === undefined ? '' : Buffer.from(status).toString()
      this.#asked.get(Buffer.from(id).toString())?.arrived(bytes, said)
    }
  }

  #nobody(method: string): MillraceError {
    const keys =
      this.connection.curve === undefined ? '' : ', and that it allows the key of this side'
    return new MillraceError(
      'ERR_MILLRACE_NO_RESPONDER',
      `nobody serves ${method}() at '${this.shown}': see that a server is bound there${keys}, or connect with waitForServer to wait for one`,
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
