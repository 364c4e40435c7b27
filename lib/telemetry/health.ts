// How channels are, judged by facts: what is seen of them from outside, and for how long it has been so at every look.

import { checkOptions, show } from '../base/options.js'
import { now } from '../base/time.js'
import { invalidArgument, type MillraceError } from '../errors.js'
import type { Observed } from './figures.js'
import { usedRatio } from './families.js'
import { measuresOf } from './measures.js'
import { observe } from './observe.js'
import { withoutSecrets } from './secrets.js'

/** How something is: as it should be, worth a look, or not fit for use. The words are those of `application/health+json`. */
export type HealthStatus = 'pass' | 'warn' | 'fail'

/** What may be wrong. */
export type HealthCode =
  | 'missing'
  | 'unusable'
  | 'abandoned'
  | 'dead-peer'
  | 'full'
  | 'oldest'
  | 'dead-letters'
  | 'open'
  | 'route'
  | 'check'

/** Something that is wrong. */
export interface HealthReason {
  /**
   * - `missing`: a channel that was named is not there
   * - `unusable`: it is damaged, or of another layout version
   * - `abandoned`: all who were on it have died
   * - `dead-peer`: somebody on it has died, and nobody has put that right yet; `value`: milliseconds for which that is known
   * - `full`: there is no room; `value`: milliseconds for which that is known
   * - `oldest`: the oldest of what waits has waited for long; `value`: milliseconds, at least
   * - `dead-letters`: jobs were given up; `value`: how many
   * - `open`: the circuit breaker is open; `value`: milliseconds for which that is known
   * - `route`: a route of a gateway does not run
   * - `check`: one of the application's own
   */
  readonly code: HealthCode
  /** How bad it is. */
  readonly status: 'warn' | 'fail'
  /** For people, in one line. */
  readonly message: string
  /** What was found. */
  readonly value?: number
}

/** How one thing is. */
export interface HealthCheck {
  /** `kind:channel`, `route:NAME`, or the name of the application's own. */
  readonly name: string
  /** The worst of its reasons; `pass` if there is none. */
  readonly status: HealthStatus
  /** What is wrong, the worst first. */
  readonly reasons: readonly HealthReason[]
}

/** How all is that was looked at. */
export interface Health {
  /** The worst of the checks. */
  readonly status: HealthStatus
  /** One for each thing. */
  readonly checks: readonly HealthCheck[]
}

/** From where on something is worth a look, and from where on it fails. What is left out never is. */
export interface HealthBounds {
  /** From here on it is worth a look. */
  readonly warn?: number | undefined
  /** From here on it fails. */
  readonly fail?: number | undefined
}

/** The bounds of something; one number: from where on it fails. */
export type HealthLimit = number | HealthBounds

/** When something is wrong. */
export interface HealthLimits {
  /** Milliseconds that the oldest of what waits may have waited. Default: `{ warn: 60_000 }`. */
  readonly oldest?: HealthLimit | undefined
  /** Milliseconds that there may be no room. Default: `{ warn: 1000, fail: 30_000 }`. */
  readonly full?: HealthLimit | undefined
  /** Milliseconds that a dead peer may be left as it is. Default: `{ warn: 0, fail: 10_000 }`. */
  readonly deadPeer?: HealthLimit | undefined
  /** Dead letters there may be. Default: `{ warn: 1 }`. */
  readonly deadLetters?: HealthLimit | undefined
  /** Milliseconds that a circuit breaker may be open. Default: `{ warn: 0 }`. */
  readonly open?: HealthLimit | undefined
}

/** A route of a gateway, as `gateway.routes` has them. */
export interface HealthRoute {
  /** What it is called. */
  readonly name: string
  /** `running`, or why not. */
  readonly state: string
  /** What is wrong with it. */
  readonly error?: Error | undefined
}

/** What is looked at. */
export interface HealthOptions {
  /** These channels, which have to be there. With `of` or `prefix`: these as well. */
  readonly names?: readonly string[] | undefined
  /** All that this process is on, all of this machine, or only `names`. Default: `process`, if neither `names` nor `prefix` is given. */
  readonly of?: 'process' | 'host' | 'none' | undefined
  /** Only those whose names start with this; of the whole machine, unless `of` says otherwise. */
  readonly prefix?: string | undefined
  /** From where on something is wrong. */
  readonly limits?: HealthLimits | undefined
  /** The routes of a gateway, which fail when they do not run. */
  readonly routes?: readonly HealthRoute[] | undefined
  /**
   * What else has to be so, by its name: true if it is, or why not. What throws fails with its message. They are called at every look, and
   * should know the answer.
   */
  readonly checks?: Readonly<Record<string, () => true | string>> | undefined
}

const optionNames = ['names', 'of', 'prefix', 'limits', 'routes', 'checks'] as const
const usual = {
  oldest: { warn: 60_000 },
  full: { warn: 1000, fail: 30_000 },
  deadPeer: { warn: 0, fail: 10_000 },
  deadLetters: { warn: 1 },
  open: { warn: 0 },
} as const satisfies Required<HealthLimits>
type LimitName = keyof typeof usual
const limitNames = Object.keys(usual) as LimitName[]

/** A queue has no room already when a message does not fit, and its producer sleeps. */
const nearlyFull = 0.95
const halfFull = 0.5

/** What was seen of a channel before, in milliseconds of the clock of `now()`. */
interface Remembered {
  fullSince: number | undefined
  deadSince: number | undefined
  openSince: number | undefined
  /** Since when nothing was taken out although something waits. */
  stillSince: number | undefined
  out: number | undefined
}

const mostRemembered = 10_000
const remembered = new Map<string, Remembered>()

/**
 * How channels are, by facts: are their peers alive, is there room, how long has the oldest waited, are there dead letters, is a breaker
 * open? Takes no part in anything, as `observe()`, and blocks no longer than that does. What has to be so for some time is taken to be so
 * since the first look that found it, if every look since has found it: look as often as you want to know.
 *
 * @example
 * ```ts
 * import { health } from 'millrace/telemetry'
 *
 * const { status, checks } = health({ limits: { oldest: 5000 } })
 * for (const { name, reasons } of checks) {
 *   for (const { message } of reasons) console.log(status, name, message)
 * }
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function health(options: HealthOptions = {}): Health {
  const given = checkHealthOptions(options)
  const limits = readLimits(given.limits)
  const time = now()
  const channels = lookAt(given).map((seen) => checkOf(seen, limits, time))
  const missing = (given.names ?? []).filter(
    (name) => !channels.some((check) => check.channel === name),
  )
  const checks: HealthCheck[] = [
    ...channels.map(({ check }) => check),
    ...missing.map((name) =>
      checked(`channel:${name}`, [
        { code: 'missing', status: 'fail', message: 'it is not there: start who makes it' },
      ]),
    ),
    ...(given.routes ?? []).map(routeCheck),
    ...Object.entries(given.checks ?? {}).map(([name, ask]) => ownCheck(name, ask)),
  ]
  return { status: worst(checks.map(({ status }) => status)), checks }
}

/** @internal Judged before anything is done. */
export function checkHealthOptions(options: HealthOptions): HealthOptions {
  const given = checkOptions(options, optionNames)
  const { names, of, routes, checks } = given
  if (names !== undefined && !(isList(names) && names.every((name) => typeof name === 'string'))) {
    throw invalidArgument(`names must be a list of names, not ${show(names)}`)
  }
  if (of !== undefined && !['process', 'host', 'none'].includes(of)) {
    throw invalidArgument(`of must be 'process', 'host' or 'none', not ${show(of)}`)
  }
  if (routes !== undefined && !isList(routes)) {
    throw invalidArgument(`routes must be a list, as gateway.routes, not ${show(routes)}`)
  }
  for (const [name, ask] of Object.entries(checks ?? {})) {
    if (typeof ask !== 'function') {
      throw invalidArgument(`checks.${name} must be a function, not ${show(ask)}`)
    }
  }
  readLimits(given.limits)
  return given
}

function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}

function readLimits(given: HealthLimits | undefined): Readonly<Record<LimitName, Bounds>> {
  const limits = checkOptions(given, limitNames)
  return Object.fromEntries(
    limitNames.map((name) => [name, bounds(name, limits[name] ?? usual[name])]),
  ) as Record<LimitName, Bounds>
}

interface Bounds {
  readonly warn: number
  readonly fail: number
}

function bounds(name: LimitName, limit: HealthLimit): Bounds {
  const { warn = Infinity, fail = Infinity } =
    typeof limit === 'number' ? { fail: limit } : checkOptions(limit, ['warn', 'fail'])
  for (const bound of [warn, fail]) {
    if (typeof bound !== 'number' || !(bound >= 0)) {
      throw invalidArgument(`limits.${name} must have numbers from 0 on, not ${show(bound)}`)
    }
  }
  return { warn, fail }
}

function lookAt({ names = [], of, prefix }: HealthOptions): Observed[] {
  const isWide = of !== 'none' && (of !== undefined || prefix !== undefined || names.length === 0)
  const wide = isWide ? observe({ prefix }) : []
  const isOwn = (of ?? (prefix === undefined ? 'process' : 'host')) === 'process'
  const isOurs = ({ holders }: Observed): boolean =>
    holders.some(({ pid, alive }) => alive && pid === process.pid)
  const found = isOwn ? wide.filter(isOurs) : wide
  const others = [...new Set(names)].filter((name) => !found.some((seen) => seen.name === name))
  // What somebody else has there is nothing of ours to judge.
  return [...found, ...others.flatMap((name) => observe({ name }))].filter(
    ({ state }) => state !== 'foreign',
  )
}

function checkOf(
  seen: Observed,
  limits: Readonly<Record<LimitName, Bounds>>,
  time: number,
): { readonly channel: string; readonly check: HealthCheck } {
  const reasons: HealthReason[] = []
  const judge = (name: LimitName, code: HealthCode, value: number | undefined, message: string) => {
    if (value === undefined) return
    const { warn, fail } = limits[name]
    if (value >= fail) reasons.push({ code, status: 'fail', message, value })
    else if (value >= warn) reasons.push({ code, status: 'warn', message, value })
  }
  const { fullSince, deadSince, openSince, stillSince } = remember(seen, time)
  const since = (at: number | undefined): number | undefined =>
    at === undefined ? undefined : Math.round(time - at)
  if (seen.state === 'corrupt' || (seen.figures === undefined && seen.state !== 'abandoned')) {
    const why = seen.detail === '' ? seen.state : seen.detail
    reasons.push({ code: 'unusable', status: 'fail', message: `it cannot be used: ${why}` })
  } else if (seen.state === 'abandoned') {
    const message = 'all who were on it have died: start them again, or sweep it'
    reasons.push({ code: 'abandoned', status: 'warn', message })
  } else {
    const dead = seen.holders.filter(({ alive }) => !alive)
    const who = dead.map(({ role, pid }) => `${role}${pid === undefined ? '' : ` ${String(pid)}`}`)
    judge('deadPeer', 'dead-peer', since(deadSince), `${who.join(', ')} died: start it again`)
  }
  const measures = measuresOf(seen)
  judge('full', 'full', since(fullSince), `there was no room for ${seconds(since(fullSince))}`)
  const oldest = measures.oldestAge ?? since(stillSince)
  judge('oldest', 'oldest', oldest, `the oldest of what waits has waited for ${seconds(oldest)}`)
  const { dead = 0 } = measures
  if (dead > 0) judge('deadLetters', 'dead-letters', dead, `${String(dead)} dead letters`)
  judge('open', 'open', since(openSince), `it has been open for ${seconds(since(openSince))}`)
  return { channel: seen.name, check: checked(`${seen.kind}:${seen.name}`, reasons) }
}

/** For how long something is so is known of those alone who were looked at before. */
function remember(seen: Observed, time: number): Remembered {
  const key = `${seen.kind}\0${seen.path}`
  const before = remembered.get(key)
  const { depth = 0, out } = measuresOf(seen)
  const since = (isSo: boolean, was: number | undefined): number | undefined =>
    isSo ? (was ?? time) : undefined
  const isStill = depth > 0 && out !== undefined && (before === undefined || before.out === out)
  const now: Remembered = {
    fullSince: since(isFull(seen), before?.fullSince),
    deadSince: since(
      seen.holders.some(({ alive }) => !alive),
      before?.deadSince,
    ),
    openSince: since(seen.kind === 'breaker' && seen.figures?.open === 1, before?.openSince),
    stillSince: isStill ? (before?.stillSince ?? time) : depth > 0 ? time : undefined,
    out,
  }
  remembered.delete(key)
  remembered.set(key, now)
  const [first] = remembered.keys()
  if (remembered.size > mostRemembered && first !== undefined) remembered.delete(first)
  return now
}

function isFull(seen: Observed): boolean {
  if (seen.figures === undefined) return false
  if (seen.kind === 'frames') return seen.figures.writerParked === 1
  const ratio = usedRatio(seen, measuresOf(seen)) ?? 0
  const waits = seen.kind === 'queue' && seen.figures.producerParked === 1
  return ratio >= (waits ? halfFull : nearlyFull)
}

function routeCheck({ name, state, error }: HealthRoute): HealthCheck {
  if (state === 'running') return checked(`route:${name}`, [])
  const why = error === undefined ? '' : ` (${withoutSecrets(error.message)})`
  return checked(`route:${name}`, [{ code: 'route', status: 'fail', message: `${state}${why}` }])
}

function ownCheck(name: string, ask: () => true | string): HealthCheck {
  let answer: unknown
  try {
    answer = ask()
  } catch (error) {
    answer = (error as Partial<MillraceError> | undefined)?.message ?? String(error)
  }
  if (answer === true) return checked(name, [])
  const message = withoutSecrets(typeof answer === 'string' ? answer : `it said ${show(answer)}`)
  return checked(name, [{ code: 'check', status: 'fail', message }])
}

function checked(name: string, reasons: readonly HealthReason[]): HealthCheck {
  const status = worst(reasons.map((reason) => reason.status))
  const order = reasons.toSorted((one, other) => rank(other.status) - rank(one.status))
  return { name, status, reasons: order }
}

const rank = (status: HealthStatus): number => ['pass', 'warn', 'fail'].indexOf(status)

function worst(all: readonly HealthStatus[]): HealthStatus {
  return all.reduce<HealthStatus>((one, other) => (rank(other) > rank(one) ? other : one), 'pass')
}

function seconds(milliseconds = 0): string {
  return `${(milliseconds / 1000).toFixed(1)} s`
}
