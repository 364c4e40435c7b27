// Calls of many values, by whatever carries them one by one and holds up who sends too fast: what the values are, and what a handler is
// told.

import { abortedError, invalidArgument, MillraceError, timeoutError } from '../errors.js'
import { forgetAbort, whenAborted } from '../base/abort-signals.js'
import { show } from '../base/options.js'
import { isPromise } from '../base/promised.js'
import { startTimer, stopTimer } from '../base/time.js'
import type { Codec } from '../codec/types.js'
import type { Items } from './contract.js'
import type { Check, MethodPlan } from './methods.js'
import { readLimits, type CallOptions, type Limits } from './options.js'
import { checkItems } from './streams/client.js'
import { mayBegin, type Window } from './streams/frames.js'
import { Incoming } from './streams/incoming.js'
import { tooLongError } from './streams/link.js'
import { readConnection, type ConnectionOptions } from './streams/options.js'
import { isItems, iteratorOf } from './streams/outgoing.js'
import { Context, type ServedMethod } from './streams/server.js'
import { failure } from './unary.js'

/** A call of many values, as its server has it. */
export interface ManyCall {
  /** Of one that takes a single value. */
  readonly input: Uint8Array
  /** Milliseconds until its caller gives it up. */
  readonly left: number
  /** Bytes that a value has at most. */
  readonly most: number
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** The context of the trace that it belongs to. */
  readonly traceparent: string | undefined
  /** Of one that takes many: the next; undefined: there are no more. */
  next(): Promise<Uint8Array | undefined>
  /** Of one that answers with many: resolves as soon as another one may follow. */
  send(bytes: Uint8Array): Promise<void>
}

/** What came back. */
export interface ManyAnswer {
  readonly kind: 'item' | 'end' | 'error' | 'refused'
  readonly bytes: Uint8Array
}

/** A call of many values, at its caller. */
export interface ManyAsked {
  send(bytes: Uint8Array): Promise<boolean>
  end(): void
  next(): Promise<ManyAnswer>
}

/** The bytes of the result, where there is one; resolves when the last item has gone, else. Rejects with what the handler throws. */
export async function answerMany(
  { plan, handler }: ServedMethod,
  call: ManyCall,
  options: ConnectionOptions | undefined,
): Promise<Uint8Array | undefined> {
  const { input, left, most, signal, traceparent } = call
  const { kind, name, output } = plan
  const { codec, check } = plan.input
  const context = new Context(plan, 0, left, most, traceparent)
  const takesMany = kind === 'upload' || kind === 'duplex'
  const taken = takesMany ? new Arrivals(readConnection(options).window, check) : undefined
  const stop = new AbortController()
  const cancel = (reason: unknown): void => {
    context.cancel(reason)
    taken?.incoming.abort(reason)
    stop.abort(reason)
  }
  const end = whenOver(signal, cancel)
  const timer = startTimer(left, () => {
    cancel(new MillraceError('ERR_MILLRACE_TIMEOUT', 'the time that the caller allowed is over'))
  })
  try {
    void taken?.all(codec, async () => {
      const bytes = await call.next()
      return bytes === undefined ? undefined : { kind: 'item', bytes }
    })
    let argument: unknown = taken?.incoming
    if (taken === undefined) {
      const value = codec.decode(input)
      argument = check === undefined ? value : await check(value)
    }
    const made = handler(argument, context)
    const result = isPromise(made) ? await made : made
    if (kind === 'upload') return encoded(output.codec, result, most, `the result of ${name}()`)
    if (!isItems(result)) {
      throw invalidArgument(
        `the handler of ${name}() must return what for await goes over, as an async function* does, not ${show(result)}`,
      )
    }
    await sendAll(result, stop.signal, async (value) => {
      await call.send(encoded(output.codec, value, most, `an item of ${name}()`))
      return true
    })
    return undefined
  } finally {
    stopTimer(timer)
    end()
    void taken?.incoming.return()
  }
}

/** A method of a client whose values go by what `open` begins. */
export function manyMethod(
  plan: MethodPlan,
  most: () => number,
  options: ConnectionOptions | undefined,
  open: (
    limits: Pick<Limits, 'timeout' | 'traceparent'> & { readonly signal: AbortSignal },
  ) => ManyAsked,
): (given: unknown, options?: CallOptions) => unknown {
  const { window } = readConnection(options)
  const { kind } = plan
  const takesMany = kind === 'upload' || kind === 'duplex'
  const begin = (given: unknown, limits: Limits, arrivals: Arrivals): AbortController => {
    const control = new AbortController()
    const { signal } = control
    const what = `${plan.name}()`
    // What is wrong with the input is told before anything is begun.
    const input = takesMany
      ? undefined
      : encoded(plan.input.codec, given, most(), `the input of ${what}`)
    const giveUp = (error: unknown): void => {
      control.abort(error)
    }
    const asked = open({ timeout: limits.timeout, signal, traceparent: limits.traceparent })
    const ends = [limits.signal, limits.outer].map((one) =>
      one === undefined
        ? undefined
        : whenOver(one, () => {
            giveUp(abortedError(one))
          }),
    )
    const { timeout } = limits
    const late = (): void => {
      giveUp(
        timeoutError(
          `the end of ${what}`,
          timeout,
          'its handler may still be at work, and its signal aborts; allow more time, or see what it does',
        ),
      )
    }
    const timer = timeout === Infinity ? undefined : startTimer(timeout, late, { alive: true })
    const sending = new AbortController()
    void arrivals
      .all(plan.output.codec, () => asked.next(), signal)
      .then(() => {
        sending.abort()
        stopTimer(timer)
        for (const end of ends) end?.()
        control.abort() // if it has not ended by itself
      })
    void sendInput(given as Items<unknown>, input, asked, sending.signal, (value) =>
      encoded(plan.input.codec, value, most(), `an item of ${what}`),
    ).catch(giveUp)
    return control
  }
  if (kind === 'upload') {
    return async (given, callOptions) => {
      const limits = readLimits(callOptions)
      checkItems(plan, given)
      const arrivals = new Arrivals(window, plan.output.check)
      begin(given, limits, arrivals)
      const { done, value } = await arrivals.incoming.next()
      if (done !== true) {
        // How it has ended says whether it is one.
        if ((await arrivals.incoming.next()).done === true) return value
      }
      throw new MillraceError(
        'ERR_MILLRACE_PROTOCOL',
        `${plan.name}() must be answered by one value: see that both sides have the same contract`,
      )
    }
  }
  return (given, callOptions) => {
    const limits = readLimits(callOptions)
    if (takesMany) checkItems(plan, given)
    // Nothing is sent before somebody asks for the first item.
    const arrivals: Arrivals = new Arrivals(window, plan.output.check, () =>
      begin(given, limits, arrivals),
    )
    return arrivals.incoming
  }
}

async function sendInput(
  items: Items<unknown>,
  input: Uint8Array | undefined,
  asked: ManyAsked,
  signal: AbortSignal,
  encode: (value: unknown) => Uint8Array,
): Promise<void> {
  if (input !== undefined) await asked.send(input)
  else await sendAll(items, signal, async (value) => await asked.send(encode(value)))
  asked.end()
}

/** What arrives, one after the other, as far as there is room for it. */
class Arrivals {
  readonly incoming: Incoming
  readonly #window: Window
  #items = 0
  #bytes = 0
  #stopped = false
  #roomCame: (() => void) | undefined
  #control: AbortController | undefined

  constructor(window: Window, check: Check | undefined, begin?: () => AbortController) {
    this.#window = window
    this.incoming = new Incoming(window, check, {
      begin: () => {
        try {
          this.#control = begin?.()
        } catch (error) {
          this.incoming.fail(error)
        }
      },
      credit: ({ items, bytes }) => {
        this.#items -= items
        this.#bytes -= bytes
        this.#roomCame?.()
      },
      cancel: () => {
        this.#control?.abort(
          new MillraceError('ERR_MILLRACE_ABORTED', 'nobody takes what comes any more'),
        )
        this.#stopped = true
        this.#roomCame?.()
      },
    })
  }

  /** Until there are no more, or nobody wants more. `signal`: nobody waits for what has arrived. Never rejects. */
  async all(
    codec: Codec,
    next: () => Promise<ManyAnswer | undefined>,
    signal?: AbortSignal,
  ): Promise<void> {
    const { incoming } = this
    try {
      while (!this.#isStopped()) {
        const answer = await next()
        if (answer === undefined || answer.kind === 'end') break
        const { kind, bytes } = answer
        if (kind !== 'item') {
          incoming.fail(failure(kind, bytes))
          return
        }
        this.#items++
        this.#bytes += bytes.length
        incoming.push(codec.decode(bytes), bytes.length)
        while (!this.#isStopped() && !mayBegin(this.#window, this.#items, this.#bytes, 0)) {
          await new Promise<void>((came) => {
            this.#roomCame = came
          })
        }
      }
      incoming.end()
    } catch (error) {
      if (signal?.aborted === true) incoming.abort(error)
      else incoming.fail(error)
      this.#control?.abort(error)
    }
  }

  #isStopped(): boolean {
    return this.#stopped // by what was awaited
  }
}

/** Sends all that there are, until nobody wants more: what they come from is told so. Rejects with what it, or `send`, throws. */
async function sendAll(
  items: Items<unknown>,
  signal: AbortSignal,
  send: (value: unknown) => Promise<boolean>,
): Promise<void> {
  const source = iteratorOf(items)
  let given = false
  const giveBack = (): void => {
    if (given) return
    given = true
    try {
      const end = source.return?.()
      // A generator in the middle of something ends when it gets there; what it throws then is nobody's.
      if (isPromise(end)) end.then(undefined, () => undefined)
    } catch {
      // Likewise.
    }
  }
  const end = whenOver(signal, giveBack)
  try {
    while (!signal.aborted) {
      const next = source.next()
      const step = isPromise(next) ? await next : next
      if (isOver(signal)) break
      if (step.done === true) {
        given = true
        break
      }
      if (!(await send(isPromise(step.value) ? await step.value : step.value))) break
    }
  } finally {
    end()
    giveBack()
  }
}

function isOver(signal: AbortSignal): boolean {
  return signal.aborted // by what was awaited
}

/** Bytes of their own. */
function encoded(codec: Codec, value: unknown, most: number, what: string): Uint8Array {
  const bytes = codec.encode(value)
  if (bytes.length > most) throw tooLongError(what, bytes.length, most)
  return new Uint8Array(bytes)
}

/** Calls `act` when it aborts; returns what takes that back. */
function whenOver(signal: AbortSignal, act: (reason: unknown) => void): () => void {
  if (signal.aborted) {
    act(signal.reason)
    return () => undefined
  }
  const abortable = {
    aborted: (): void => {
      act(signal.reason)
    },
  }
  whenAborted(signal, abortable)
  return () => {
    forgetAbort(signal, abortable)
  }
}
