// Calls over DEALER and ROUTER: who serves is bound, and who calls connects.
//
//   [call, '', function, input, beside]   DEALER to ROUTER; what stands before the empty frame comes back as it was
//   ['', function, input]                 the same of a REQ, which makes and takes off the empty frame itself
//   [call, '', result]                    the answer
//   [call, '', error, 'error']            or what was thrown, as JSON; 'refused': nothing was begun
//   [call, '', '', 'working']             a sign of life, for who has sent what goes beside
//   [call, '', '', '', '']                nobody waits for the answer any more
//   [call, '', '', 'gone']                who serves has closed
//
// Of many values (many.ts), where `beside` says for how many the caller has room, and the input is empty:
//
//   [call, '', '', 'open', count]         who serves has room for so many
//   [call, '', value, kind, count]        of who serves: an item, room, the end, a sign of life
//   [call, '', '', value, kind, count]    the same of the caller
//
// So any REQ can call, and a REP that answers with one frame can be called. ZeroMQ does not tell that somebody has died: who is at work
// shows signs of life.

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import { callCancelled, callerGone, callOf, noAnswer } from '../call.js'
import type { AskedTrouble } from '../many-calls.js'
import type { Exchange } from '../many.js'
import type {
  EngineCall,
  EngineCallOptions,
  EngineCalls,
  EngineConnection,
  EngineStream,
} from '../port.js'
import { besideFrame, readBeside, type Beside, type CallBeside } from './envelope.js'
import type { Frames } from './library.js'
import { assertKeys, silenceMs, ZmqLine } from './line.js'
import type { ZmqPlace } from './place.js'

/** Milliseconds between two signs of life. */
const signMs = 2000
/** Milliseconds in which somebody who serves must be connected. */
const nobodyMs = 1000
/** Milliseconds between the last answer and the end of the socket. */
const partingMs = 200
/** What goes beside an input or a result. */
const headerRoom = 1024
/** Frames that may stand before the empty one. */
const mostBefore = 8

type Answer = Awaited<ReturnType<EngineCalls['call']>>

interface Asked {
  arrived(bytes: Uint8Array, status: string, count: number): void
  failed(error: Error): void
}

/** How it is called. */
type Kind = 'single' | 'input' | 'many'

interface Request {
  readonly back: Frames
  readonly key: string
}

/** What is at work. */
interface Served {
  readonly request: Request
  readonly control: AbortController
}

const empty = Buffer.alloc(0)

export class ZmqCalls extends ZmqLine implements EngineCalls {
  readonly #prefix: string
  readonly #silenceMs: number
  readonly #asked = new Map<string, Asked>()
  /** What is at work, by what stood before the empty frame. */
  readonly #served = new Map<string, Served>()
  /** Calls of many values that are at work. */
  readonly #exchanges = new Map<string, Exchange>()
  #methods: ReadonlyMap<string, Kind> = new Map()
  #called: ((call: EngineCall) => void) | undefined
  #last = 0
  #answeredAt = -Infinity
  #isHearing = false

  constructor(place: ZmqPlace, connection: EngineConnection) {
    super(place, connection)
    this.#prefix = place.name === '' ? '' : `${place.name}.`
    const { heartbeat } = connection
    this.#silenceMs = heartbeat === 0 ? Infinity : (heartbeat ?? silenceMs)
    void this.ended.then(() => {
      const gone = this.gone()
      for (const asked of [...this.#asked.values()]) asked.failed(gone)
      for (const { control } of this.#served.values()) control.abort(gone)
    })
  }

  override get maxBytes(): number {
    return Math.max(super.maxBytes - headerRoom, 0)
  }

  /**
   * When what was answered is the library's, and callers have had a while to read it: what a DEALER has not read when its connection ends, it
   * loses.
   */
  async flushed(): Promise<void> {
    await this.allSent()
    const left = this.#answeredAt + partingMs - now()
    if (left <= 0) return
    await new Promise<void>((resolve) => {
      startTimer(left, resolve, { alive: true })
    })
  }

  // Serving

  async serve(
    methods: readonly string[],
    called: (call: EngineCall) => void,
    many: ReadonlySet<string> = new Set(),
    single: ReadonlySet<string> = new Set(methods),
  ): Promise<void> {
    assertKeys(this.place, this.connection, true)
    const kindOf = (method: string): Kind =>
      single.has(method) ? 'single' : many.has(method) ? 'many' : 'input'
    this.#methods = new Map(methods.map((method) => [method, kindOf(method)]))
    this.#called = called
    // Who has no room for its answers does not hold up those of others.
    const more = { mandatory: true, sendTimeout: 0 }
    await this.socket('Router', { isBound: true, more })
    void this.#serveAll()
  }

  unserve(): void {
    this.#called = undefined
  }

  farewell(): void {
    for (const { request } of this.#served.values()) this.#answer(request, empty, 'gone')
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

  #request(request: Request, [named, input = empty, more, count]: Frames): void {
    const name = textOf(named)
    if (name === '') {
      const kind = textOf(more)
      if (kind !== '') {
        this.#exchanges.get(request.key)?.hears(kind, countOf(count), input)
        return
      }
      this.#served.get(request.key)?.control.abort(callCancelled())
      return
    }
    const method = name.startsWith(this.#prefix) ? name.slice(this.#prefix.length) : ''
    const kind = this.#methods.get(method)
    if (this.#called === undefined || kind === undefined) {
      const message = `nobody serves ${name}() at '${this.shown}'`
      const said = { name: 'MillraceError', message, code: 'ERR_MILLRACE_NO_RESPONDER' }
      this.#answer(request, Buffer.from(JSON.stringify(said)), 'nobody')
      return
    }
    // Two calls of one name at a time are no good calls.
    if (this.#served.has(request.key)) return
    if (kind === 'single') this.#begin(request, method, input, more)
    else this.#beginMany(request, method, more, kind === 'many')
  }

  #begin(request: Request, method: string, input: Uint8Array, more: Uint8Array | undefined): void {
    const control = new AbortController()
    this.#served.set(request.key, { request, control })
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
    this.#called!(
      callIn(method, more, input, control.signal, {
        result: (bytes) => {
          end(Buffer.from(bytes), '')
        },
        error: (bytes, refused) => {
          end(Buffer.from(bytes), refused ? 'refused' : 'error')
        },
      }),
    )
  }

  #beginMany(
    request: Request,
    method: string,
    more: Uint8Array | undefined,
    takesMany: boolean,
  ): void {
    const { notOfOne, roomAhead, ServedOfMany } =
      require('../../engines/many-calls.js') as typeof import('../../engines/many-calls.js')
    const { room = 0 } = readBeside(more)
    if (room === 0) {
      this.#answer(request, notOfOne(method), 'refused')
      return
    }
    const { key } = request
    const control = new AbortController()
    this.#served.set(key, { request, control })
    const served = new ServedOfMany(method, control, {
      ...{ room, silenceMs: this.#silenceMs },
      post: (kind, count, bytes) => {
        this.#answer(request, bytes, kind, count)
      },
      answer: (bytes, end) => {
        this.#answer(request, Buffer.from(bytes), end)
      },
      callOf: (input, ends) => callIn(method, more, input, control.signal, ends),
      callerGone: () => callerGone({ method, shown: this.shown, silenceMs: this.#silenceMs }),
      over: () => {
        this.#served.delete(key)
        this.#exchanges.delete(key)
      },
    })
    this.#exchanges.set(key, served.exchange)
    this.#answer(request, empty, 'open', roomAhead)
    served.begin(this.#called!, takesMany)
  }

  /** `count`: of values. */
  #answer({ back, key }: Request, bytes: Uint8Array, status: string, count?: number): void {
    this.#answeredAt = now()
    const said = [status, ...(count === undefined ? [] : [String(count)])]
    const frames = [...back, bytes, ...(status === '' ? [] : said.map((one) => Buffer.from(one)))]
    this.send(frames).catch((error: unknown) => {
      // It is gone, and hears nothing.
      if ((error as NodeJS.ErrnoException).code !== 'EHOSTUNREACH') return
      this.#served
        .get(key)
        ?.control.abort(
          new MillraceError('ERR_MILLRACE_PEER_GONE', 'whoever called is not connected any more'),
        )
    })
  }

  // Calling

  async call(method: string, input: Uint8Array, options: EngineCallOptions): Promise<Answer> {
    const { signal } = options
    this.assertFits(input.length)
    await this.#calling()
    const call = (++this.#last).toString(36)
    const beside = besideFrame(besideOf(options))!
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
        if (isSent) this.#cancel(id)
      }
      const listen = (): void => {
        stopTimer(silence)
        silence = startTimer(this.#silenceMs, () => {
          failed(this.#errorOf('silent', method))
        })
      }
      this.#asked.set(call, {
        failed,
        arrived: (bytes, status) => {
          if (status === 'working') {
            listen()
            return
          }
          if (status === 'nobody' || status === 'gone') {
            failed(this.#errorOf(status, method))
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
        failed(this.#errorOf('nobody', method))
        this.#afresh()
      })
      this.send([id, empty, name, Buffer.from(input), beside], sending.signal).then(() => {
        isSent = true
        // It may have been answered, or given up.
        if (this.#asked.has(call)) listen()
      }, failed)
    })
  }

  open(method: string, options: EngineCallOptions): EngineStream {
    const { signal } = options
    signal.throwIfAborted()
    const call = (++this.#last).toString(36)
    const id = Buffer.from(call)
    const sending = new AbortController()
    let [isSent, isOpen] = [false, false]
    const nobody = startTimer(nobodyMs, () => {
      stream.failed(this.#errorOf('nobody', method))
      this.#afresh()
    })
    const { AskedForMany, roomAhead } =
      require('../../engines/many-calls.js') as typeof import('../../engines/many-calls.js')
    const stream = new AskedForMany(signal, {
      method,
      silenceMs: this.#silenceMs,
      post: (kind, count, bytes) => {
        if (!isOpen) return
        const said = [kind, String(count)].map((text) => Buffer.from(text))
        this.send([id, empty, empty, Buffer.from(bytes), ...said]).catch(() => undefined) // it has ended
      },
      errorOf: (why) => this.#errorOf(why, method),
      over: (isGivenUp) => {
        stopTimer(nobody)
        this.#asked.delete(call)
        if (this.#asked.size === 0) this.hold(false)
        if (isGivenUp && isSent) this.#cancel(id)
        sending.abort()
      },
    })
    this.#asked.set(call, {
      failed: (error) => {
        stream.failed(error)
      },
      arrived: (bytes, status, count) => {
        isOpen ||= status === 'open'
        stream.arrived(status, count, bytes)
      },
    })
    this.hold(true)
    const beside = besideFrame({ ...besideOf(options), room: roomAhead })!
    const request = [id, empty, Buffer.from(this.#prefix + method), empty, beside]
    this.#calling()
      .then(() => this.send(request, sending.signal))
      .then(
        () => {
          isSent = true
          stopTimer(nobody)
        },
        (error: unknown) => {
          stream.failed(error as Error)
        },
      )
    return stream
  }

  async #calling(): Promise<void> {
    assertKeys(this.place, this.connection, false)
    await this.socket('Dealer', { isBound: false })
    if (!this.#isHearing) void this.#hearAll()
  }

  /** What could not be sent may have had a connection that was given up while no call kept this process alive. */
  #afresh(): void {
    if (this.#asked.size === 0) this.reconnect()
  }

  /** Nobody waits for that call any more. */
  #cancel(id: Uint8Array): void {
    this.send([id, empty, empty, empty, empty]).catch(() => undefined) // it has ended
  }

  async #hearAll(): Promise<void> {
    this.#isHearing = true
    for (;;) {
      const frames = await this.next()
      if (frames === undefined) return
      const [id, delimiter, bytes, status, count] = frames
      if (id === undefined || delimiter?.length !== 0 || bytes === undefined) continue
      this.#asked.get(textOf(id))?.arrived(bytes, textOf(status), countOf(count))
    }
  }

  #errorOf(why: AskedTrouble, method: string): MillraceError {
    const keys =
      this.connection.curve === undefined ? '' : ', and that it allows the key of this side'
    const cure = `see that a server is bound there${keys}`
    return noAnswer(why, { method, shown: this.shown, silenceMs: this.#silenceMs, cure })
  }
}

function textOf(frame: Uint8Array | undefined): string {
  return frame === undefined ? '' : Buffer.from(frame).toString()
}

function countOf(frame: Uint8Array | undefined): number {
  return Number(textOf(frame))
}

/** What goes beside a call. */
function besideOf({ fingerprint, timeout, traceparent }: EngineCallOptions): Beside & CallBeside {
  return {
    contract: fingerprint,
    ...(timeout === Infinity ? {} : { timeout: Math.ceil(timeout) }),
    ...(traceparent === undefined ? {} : { headers: { traceparent } }),
  }
}

/** What there is of every call. */
function callIn(
  method: string,
  beside: Uint8Array | undefined,
  input: Uint8Array,
  signal: AbortSignal,
  ends: Pick<EngineCall, 'result' | 'error'>,
): EngineCall {
  const { contract, timeout: left = Infinity, headers } = readBeside(beside)
  const fingerprint = contract === '' ? undefined : contract
  const traceparent = headers?.['traceparent']
  return callOf({ method, input, signal, fingerprint, left, traceparent }, ends)
}
