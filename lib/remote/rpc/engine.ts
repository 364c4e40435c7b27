// Calls through an engine: a client and a server of a contract, whose calls go as one message there and one back; or as many, where the
// engine carries those.

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import { traced } from '../../base/tracing.js'
import type { EngineCall, EngineCalls, EnginePlace } from '../../engines/port.js'
import { MillraceError } from '../../errors.js'
import { readReconnect } from '../../net/backoff.js'
import type { RemoteOptions } from '../../net/share.js'
import type { Contract } from '../../rpc/contract.js'
import type { ConnectedElsewhere, ServedElsewhere } from '../../rpc/elsewhere.js'
import type { MethodPlan } from '../../rpc/methods.js'
import type { Limits } from '../../rpc/options.js'
import type { ConnectionOptions as StreamOptions } from '../../rpc/streams/options.js'
import type { ServedMethod } from '../../rpc/streams/server.js'
import type { UnaryAnswer } from '../../rpc/unary.js'
import { unsupported } from '../unsupported.js'
import { inTime } from '../work/engine.js'
import { RemoteClient, type Line } from './client.js'

/** What tells of the contract, beside its functions. */
const about = 'millrace-about'
/** Milliseconds between two questions whether somebody serves. */
const askMs = 100
const aboutMs = 5000
/** As good as for ever. */
const longMs = 2 ** 31

interface About {
  readonly fingerprint: string
  readonly description: unknown
}

/** @throws MillraceError (as rejection) `NO_RESPONDER`, `SCHEMA`, and what connecting throws for good */
export async function connectEngine(
  place: EnginePlace,
  contract: Contract,
  given: ConnectedElsewhere,
): Promise<RemoteClient> {
  const { shown } = place
  const dial = place.calls(contract.isCarried === true ? 'carries' : 'calls')
  const fingerprint = String(contract.fingerprint)
  let served = false
  const client = new RemoteClient(shown, contract, given, async (signal) => {
    const calls = await dial(signal)
    try {
      if (!served) await untilServed(calls, shown, fingerprint, given.waitMs, signal)
      served = true
    } catch (error) {
      calls.close()
      throw error
    }
    calls.hold(false)
    return lineOf(calls, contract, { fingerprint, shown, streams: given.streams })
  })
  const failure = await client.tried(given.waitMs, given.signal)
  if (failure === undefined) return client
  client.close()
  throw failure
}

/** What is served there, as its server describes it. */
export async function describeEngine(
  place: EnginePlace,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<unknown> {
  const calls = await place.calls('calls')(signal ?? new AbortController().signal)
  try {
    return (await asked(calls, place.shown, timeout, signal)).description
  } finally {
    calls.close()
  }
}

/** That nobody serves is no reason to fail, if nobody waits for it. */
async function untilServed(
  calls: EngineCalls,
  shown: string,
  fingerprint: string,
  waitMs: number,
  signal: AbortSignal,
): Promise<void> {
  const end = now() + waitMs
  for (;;) {
    try {
      const there = await asked(calls, shown, aboutMs, signal)
      if (there.fingerprint === fingerprint) return
      throw otherContract(shown)
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== 'ERR_MILLRACE_NO_RESPONDER')
        throw error
      if (now() >= end) return
    }
    await new Promise<void>((resolve) => {
      startTimer(askMs, resolve, { alive: true })
    })
  }
}

async function asked(
  calls: EngineCalls,
  shown: string,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<About> {
  const { bytes } = await inTime(
    `an answer of who serves at '${shown}'`,
    'see how it is, or allow more time',
    { timeout, signal },
    (ended) => calls.call(about, new Uint8Array(0), { fingerprint: '', timeout, signal: ended }),
  ).catch((error: unknown) => {
    throw named(error)
  })
  try {
    const found = JSON.parse(Buffer.from(bytes).toString()) as About
    if (typeof found.fingerprint === 'string') return found
  } catch {
    // Somebody else's.
  }
  throw new MillraceError(
    'ERR_MILLRACE_PROTOCOL',
    `whoever serves at '${shown}' does not say what: see that the address is right`,
  )
}

/** To users it is no function: nobody serves, or nobody says what. */
function named(error: unknown): unknown {
  if (!(error instanceof MillraceError) || !error.message.includes(`${about}()`)) return error
  const { code, executed } = error
  const message = error.message
    .replace(`nobody serves ${about}()`, 'nobody serves')
    .replace(`${about}()`, 'the question what is served')
  return new MillraceError(code, message, { cause: error.cause, executed })
}

interface Surroundings {
  readonly fingerprint: string
  readonly shown: string
  readonly streams: StreamOptions
}

function lineOf(calls: EngineCalls, contract: Contract, surroundings: Surroundings): Line {
  const methods = contract.plans.map((plan) => [plan.name, methodOf(plan, calls, surroundings)])
  const line = {
    get ended() {
      return calls.ended
    },
    get closed() {
      return calls.closed
    },
    close: () => {
      calls.close()
    },
  }
  const named = Object.fromEntries(methods) as Line
  // The properties of the line stay what they are: they are read anew each time.
  return Object.assign(line, named)
}

function methodOf(
  plan: MethodPlan,
  calls: EngineCalls,
  { fingerprint, shown, streams }: Surroundings,
): (...given: never[]) => unknown {
  if (plan.kind !== 'call') {
    if (calls.open === undefined) {
      return () => {
        throw notCarried(plan.name, shown)
      }
    }
    const { manyMethod } = require('../../rpc/many.js') as typeof import('../../rpc/many.js')
    return manyMethod(
      plan,
      () => calls.maxBytes,
      streams,
      (limits) => calls.open!(plan.name, { fingerprint, ...limits }),
    )
  }
  const { unaryMethod } = require('../../rpc/unary.js') as typeof import('../../rpc/unary.js')
  const sender = {
    title: `the client of '${shown}'`,
    isClosed: () => calls.closed,
    most: () => calls.maxBytes,
  }
  const ask = (input: Uint8Array, limits: Limits): Promise<UnaryAnswer> => {
    const { timeout, traceparent } = limits
    const signals = [limits.signal, limits.outer].filter((one) => one !== undefined)
    const signal = signals.length > 1 ? AbortSignal.any(signals) : signals[0]
    return inTime(
      `the answer to ${plan.name}()`,
      'its handler may still be at work, and its signal aborts; allow more time, or see what it does',
      { timeout, signal },
      (ended) => calls.call(plan.name, input, { fingerprint, timeout, signal: ended, traceparent }),
    )
  }
  return unaryMethod(plan, sender, ask)
}

/** Serves until it is closed; the first connection must succeed. */
export class EngineShare {
  readonly #shown: string
  readonly #streams: StreamOptions
  readonly #served: ReadonlyMap<string, ServedMethod>
  readonly #fingerprint: string
  readonly #describe: () => object
  readonly #session
  #calls: EngineCalls | undefined
  #closed = false
  #alive = true
  /** Keeps the process alive also while there is no connection. */
  #keeper: Timer | undefined

  constructor(
    place: EnginePlace,
    contract: Contract,
    served: readonly ServedMethod[],
    { describe, connection, streams }: ServedElsewhere,
  ) {
    this.#shown = place.shown
    this.#streams = streams
    this.#fingerprint = String(contract.fingerprint)
    this.#describe = describe
    this.#served = new Map(served.map((one) => [one.plan.name, one]))
    const dial = place.calls('serves')
    const many = served.flatMap(({ plan: { kind, name } }) =>
      kind === 'upload' || kind === 'duplex' ? [name] : [],
    )
    const single = served.flatMap(({ plan: { kind, name } }) => (kind === 'call' ? [name] : []))
    const { Session } = require('../../net/session.js') as typeof import('../../net/session.js')
    this.#session = new Session<EngineCalls>({
      title: `the server at '${place.shown}'`,
      address: place.shown,
      backoff: readReconnect((connection as RemoteOptions | undefined)?.reconnect),
      dial: async (signal) => {
        const calls = await dial(signal)
        try {
          await calls.serve(
            [...this.#served.keys(), about],
            (call) => {
              void this.#answer(call, calls)
            },
            new Set(many),
            new Set([...single, about]),
          )
        } catch (error) {
          calls.close()
          throw error
        }
        calls.hold(this.#alive)
        return (this.#calls = calls)
      },
      opened: () => undefined,
      lost: () => ({}),
      failed: () => undefined,
    })
    this.#hold()
  }

  /** Resolves when it serves; rejects if the first attempt fails: who serves is told at once that nobody would hear of it. */
  async began(): Promise<this> {
    await this.#session.attempt({ signal: undefined, timeout: Infinity })
    if (this.#session.line !== undefined) return this
    const error = this.#session.lastError ?? this.#session.why
    await this.close()
    throw error!
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Where it serves: port 0 has become the port. */
  get address(): string {
    return this.#calls?.address ?? this.#shown
  }

  /** Clients at this moment, as far as the engine knows. */
  get connections(): number {
    return this.#calls?.connections ?? 0
  }

  /** No more calls come; those that are at work go on. */
  leave(): void {
    this.#session.line?.unserve()
  }

  async close(): Promise<void> {
    this.#closed = true
    stopTimer(this.#keeper)
    const { line } = this.#session
    if (line !== undefined) {
      line.unserve()
      line.farewell?.()
      // What was answered has gone out before the connection ends.
      await line.flushed?.().catch(() => undefined)
    }
    this.#session.close()
  }

  ref(): this {
    this.#alive = true
    this.#hold()
    return this
  }

  unref(): this {
    this.#alive = false
    this.#hold()
    return this
  }

  #hold(): void {
    stopTimer(this.#keeper)
    if (this.#alive && !this.#closed) {
      this.#keeper = startTimer(
        longMs,
        () => {
          this.#hold()
        },
        { alive: true },
      )
    }
    this.#calls?.hold(this.#alive)
  }

  async #answer(call: EngineCall, { maxBytes }: EngineCalls): Promise<void> {
    const { answerUnary, refusalOf } =
      require('../../rpc/unary.js') as typeof import('../../rpc/unary.js')
    const { method, input, left, signal, fingerprint } = call
    const traceparent = contextOf(call)
    try {
      if (method === about) {
        const told: About = { fingerprint: this.#fingerprint, description: this.#describe() }
        call.result(Buffer.from(JSON.stringify(told)))
        return
      }
      if (fingerprint !== undefined && fingerprint !== this.#fingerprint) {
        throw otherContract(this.address)
      }
      const served = this.#served.get(method)!
      if (served.plan.kind === 'call') {
        call.result(await answerUnary(served, { input, left, most: maxBytes, signal, traceparent }))
        return
      }
      const many = call.many!
      const { answerMany } = require('../../rpc/many.js') as typeof import('../../rpc/many.js')
      const asked = {
        input,
        left,
        most: maxBytes,
        signal,
        traceparent,
        next: () => many.next(),
        send: (bytes: Uint8Array) => many.send(bytes),
      }
      const result = await answerMany(served, asked, this.#streams)
      if (result === undefined) many.end()
      else call.result(result)
    } catch (error) {
      const { bytes, refused } = refusalOf(error)
      call.error(bytes, refused)
    }
  }
}

/** What others have said may be none. */
function contextOf({ traceparent }: EngineCall): string | undefined {
  const isContext = traceparent !== undefined && traced().packTrace(traceparent) !== undefined
  return isContext ? traceparent : undefined
}

/**
 * Which of the functions can be served there: not every engine carries streams.
 *
 * @throws MillraceError `UNSUPPORTED` (none)
 */
export function servable(
  methods: readonly ServedMethod[],
  { shown, streams = false }: EnginePlace,
): readonly ServedMethod[] {
  if (streams) return methods
  const calls = methods.filter(({ plan }) => plan.kind === 'call')
  if (calls.length === 0 && methods.length > 0) throw notCarried(methods[0]!.plan.name, shown)
  return calls
}

function notCarried(name: string, shown: string): MillraceError {
  return unsupported(
    `${name}() at '${shown}', which is of many values,`,
    'this engine carries one value there and one back; serve streams at an address of this package, grpc://, nats:// or zmq+tcp://',
  )
}

function otherContract(shown: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_SCHEMA',
    `at '${shown}' is another contract, or another version of it, than this side has: give both sides the same one`,
    { executed: 'no' },
  )
}
