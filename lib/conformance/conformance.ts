// The suite: each behaviour is a case of its own, for whatever runs tests, and leaves its outcome in the report.

import type { Channel, Listener } from '../net/channel.js'
import type { ConnectOptions, ListenOptions } from '../net/options.js'
import { checkOptions, duration, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import type { Behaviour } from './behaviour.js'
import { connecting } from './connecting.js'
import { ending } from './ending.js'
import { messages } from './messages.js'
import { inTime, NotClaimed, Scene, type ConformanceEnds, type Making } from './scene.js'

/** What came of a behaviour: `not claimed` is of a transport that says, by its traits or by `UNSUPPORTED`, that it has no such thing. */
export type ConformanceOutcome = 'holds' | 'not claimed' | 'fails'

/** What came of one behaviour. */
export interface ConformanceFinding {
  /** What was asked for, as in the table of the guide. */
  readonly behaviour: string
  /** What came of it. */
  readonly outcome: ConformanceOutcome
  /** Why it is not claimed, or what is wrong. */
  readonly why?: string | undefined
}

/** One behaviour, as a test of its own. */
export interface ConformanceCase {
  /** What is asked for. */
  readonly name: string
  /**
   * Judges it, with ends of its own that are gone afterwards. Resolves with what came of it.
   *
   * @throws AssertionError of `node:assert` (as rejection), or what the transport has thrown: it fails
   */
  run(): Promise<Exclude<ConformanceOutcome, 'fails'>>
}

/** How a transport is put through the suite. */
export interface ConformanceOptions {
  /** What connects; default: `connect` of `millrace/net`. */
  readonly connect?: ((address: string, options: ConnectOptions) => Promise<Channel>) | undefined
  /** What listens; default: `listen` of `millrace/net`. */
  readonly listen?: ((address: string, options: ListenOptions) => Promise<Listener>) | undefined
  /** What makes both ends at once, where nobody listens; what is about listeners is not claimed then. */
  readonly pair?: ((options: ConnectOptions) => Promise<ConformanceEnds>) | undefined
  /** Options of whoever connects, as certificates. */
  readonly connecting?: ConnectOptions | undefined
  /** Options of whoever listens. */
  readonly listening?: ListenOptions | undefined
  /** Addresses of its scheme that are none; default: the scheme with nothing behind it. */
  readonly wrong?: readonly string[] | undefined
  /** Milliseconds that a case may take; default 20 000. */
  readonly patience?: number | undefined
}

/** The suite, for one transport. */
export interface Conformance {
  /** The behaviours, each a test of its own: hand `name` and `run` to whatever runs your tests. */
  readonly cases: readonly ConformanceCase[]
  /** What came of those that have run, in the order of `cases`. */
  readonly report: readonly ConformanceFinding[]
  /** Runs all cases, one after the other. Never rejects: see the report. */
  run(): Promise<readonly ConformanceFinding[]>
}

const behaviours: readonly Behaviour[] = [...connecting, ...messages, ...ending]

/**
 * A suite that any transport can be put through: it asks for everything that a channel promises, and for nothing that the transport does
 * not claim.
 *
 * ```js
 * import test from 'node:test'
 * import { conformance } from 'millrace/net/conformance'
 *
 * for (const { name, run } of conformance('tcp://127.0.0.1:0').cases) test(name, run)
 * ```
 *
 * @param address - where it listens, in each case anew: an address, with port 0 or the like, or a function that makes one
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function conformance(
  address: string | (() => string | Promise<string>),
  options?: ConformanceOptions,
): Conformance {
  const given = checkOptions(options, [
    ...['connect', 'listen', 'pair', 'connecting', 'listening', 'wrong', 'patience'],
  ] as (keyof ConformanceOptions)[])
  if (typeof address !== 'string' && typeof address !== 'function') {
    throw invalidArgument(
      `the address must be a string, or a function that makes one, not ${show(address)}`,
    )
  }
  for (const key of ['connect', 'listen', 'pair'] as const) {
    if (given[key] === undefined || typeof given[key] === 'function') continue
    throw invalidArgument(`${key} must be a function, not ${show(given[key])}`)
  }
  const patience = duration(given, 'patience', 20_000)
  const making: Making = {
    address: typeof address === 'string' ? () => address : address,
    connect: given.connect ?? ((...from) => net().connect(...from)),
    listen: given.listen ?? ((...from) => net().listen(...from)),
    pair: given.pair,
    connecting: given.connecting ?? {},
    listening: given.listening ?? {},
    wrong: given.wrong,
  }
  const found = new Map<string, ConformanceFinding>()
  const cases = behaviours.map((behaviour) => ({
    name: behaviour.name,
    run: async () => {
      const { name } = behaviour
      const scene = new Scene(making)
      try {
        const judging = behaviour.judge(scene)
        judging.catch(() => undefined) // which may come when nobody waits any more
        await inTime(patience, judging, () => scene.waiting)
        found.set(name, { behaviour: name, outcome: 'holds' })
        return 'holds' as const
      } catch (error) {
        if (error instanceof NotClaimed) {
          found.set(name, { behaviour: name, outcome: 'not claimed', why: error.message })
          return 'not claimed' as const
        }
        const why = error instanceof Error ? error.message : String(error)
        found.set(name, { behaviour: name, outcome: 'fails', why })
        throw error
      } finally {
        await scene.clear()
      }
    },
  }))
  const report = (): ConformanceFinding[] =>
    cases.flatMap(({ name }) => {
      const finding = found.get(name)
      return finding === undefined ? [] : [finding]
    })
  return {
    cases,
    get report() {
      return report()
    },
    run: async () => {
      for (const { run } of cases) await run().catch(() => undefined)
      return report()
    },
  }
}

const net = (): typeof import('../net/connect.js') =>
  require('../net/connect.js') as typeof import('../net/connect.js')
