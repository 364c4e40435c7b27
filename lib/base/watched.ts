// Where others may look on: a tracing channel of `diagnostics_channel` for each kind of thing that takes its time. What nobody looks at
// costs a question; what is done for those who look is in traced.ts, which is loaded with the first of them (tracing.ts).

import type { TracingChannel } from 'node:diagnostics_channel'

/** What is done. */
export type TracePoint = 'send' | 'receive' | 'process' | 'call' | 'connect'

export class Onlookers {
  readonly #point: TracePoint
  #channel: TracingChannel | undefined

  constructor(point: TracePoint) {
    this.#point = point
  }

  /** Node does not load it by itself, so neither does who only loads the library. */
  get channel(): TracingChannel {
    return (this.#channel ??= process
      .getBuiltinModule('node:diagnostics_channel')
      .tracingChannel(`millrace:${this.#point}`))
  }

  /** Does anybody look on? Bun does not say. */
  get yes(): boolean {
    const { hasSubscribers } = this.channel as { readonly hasSubscribers?: boolean }
    return hasSubscribers !== false
  }
}

/** Something goes into a channel. */
export const sending = new Onlookers('send')
/** Something is taken out of a channel. */
export const receiving = new Onlookers('receive')
/** A handler is at work, or whoever has a job in hand. */
export const processing = new Onlookers('process')
/** A call is on its way. */
export const calling = new Onlookers('call')
/** A connection is made, or waited for. */
export const connecting = new Onlookers('connect')

/** Who is to be told how something in hand was settled, by what that is. Undefined: nobody has ever asked. */
export const inHand: { told: WeakMap<object, (settled: string) => void> | undefined } = {
  told: undefined,
}
