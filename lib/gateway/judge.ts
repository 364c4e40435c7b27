// What a gateway is told, judged before anything is done.

import { checkOptions, duration, flag, show, wholeNumber } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { addressElsewhere } from '../place/elsewhere.js'
import { checkFilters } from '../topics/subjects.js'
import type { GatewayConfig, RouteConfig } from './config.js'
import { assertContract } from './judge-calls.js'
import { judgeFrames, subjectOf } from './judge-frames.js'
import { assertCertificate, isListenedAt } from './listening.js'
import { isSamePlace, placeKeys } from './place-keys.js'

/** A route that was judged. */
export interface JudgedRoute {
  readonly config: RouteConfig
  readonly name: string
  /** What this gateway is called in origins. */
  readonly host: string
}

export interface Judged {
  readonly routes: readonly JudgedRoute[]
  readonly drainMs: number
}

const usualDrainMs = 10_000
const mostInFlight = 65_536

const common = ['kind', 'name', 'from', 'to', 'fromConnection', 'toConnection'] as const
const names = {
  work: [...common, 'inFlight', 'fromQueue', 'toQueue', 'alone'],
  topics: [...common, 'subjects', 'depth'],
  calls: [...common, 'inFlight', 'contract'],
  frames: [...common, 'inFlight', 'partBytes', 'subject', 'listen', 'fromChannel', 'toChannel'],
} as const

/** @throws MillraceError `INVALID_ARGUMENT`: the message says which route, and what of it */
export function judge(given: GatewayConfig): Judged {
  const config = checkOptions(given, ['host', 'routes', 'drainTimeout'])
  const host = hostOf(config.host)
  const drainMs = duration(config, 'drainTimeout', usualDrainMs)
  const routes: unknown = config.routes
  if (!Array.isArray(routes)) {
    throw invalidArgument(`routes must be an array of routes, not ${show(routes)}`)
  }
  const judged = (routes as readonly unknown[]).map((route, at) =>
    within(`routes[${String(at)}]`, () => routeOf(route, host)),
  )
  judgeNames(judged)
  judgeRounds(judged)
  return { routes: judged, drainMs }
}

function hostOf(given: unknown): string {
  const host = given ?? process.getBuiltinModule('node:os').hostname()
  if (typeof host === 'string' && /^[\w.-]{1,64}$/.test(host)) return host
  throw invalidArgument(
    `host must be 1 to 64 letters, digits, dots, hyphens and underscores, by which other gateways know this one, not ${show(host)}`,
  )
}

function routeOf(given: unknown, host: string): JudgedRoute {
  if (typeof given !== 'object' || given === null) {
    throw invalidArgument(`a route is an object with kind, from and to, not ${show(given)}`)
  }
  const { kind } = given as { readonly kind?: unknown }
  if (typeof kind !== 'string' || !Object.hasOwn(names, kind)) {
    throw invalidArgument(`kind must be 'work', 'topics', 'calls' or 'frames', not ${show(kind)}`)
  }
  const config = checkOptions(given as RouteConfig, names[kind as RouteConfig['kind']] as never)
  const route = config as RouteConfig
  for (const side of ['from', 'to'] as const) {
    const place: unknown = route[side]
    if (typeof place !== 'string' || place === '') {
      throw invalidArgument(`${side} must be a name or an address, not ${show(place)}`)
    }
  }
  if (isSamePlace(route.from, route.to)) {
    throw invalidArgument('from and to are the same: what is taken there would go round for ever')
  }
  if (route.kind === 'topics') {
    wholeNumber(route, 'depth', 1, [1, mostInFlight])
    if (route.subjects !== undefined) checkFilters(route.subjects)
  } else {
    wholeNumber(route, 'inFlight', 1, [1, mostInFlight])
  }
  if (route.kind === 'work') flag(route, 'alone')
  if (route.kind === 'calls') assertContract(route)
  if (route.kind === 'frames') judgeFrames(route)
  for (const side of ['from', 'to'] as const) {
    if (!isListenedAt(route, side)) continue
    try {
      assertCertificate(route[side], route[`${side}Connection`])
    } catch (error) {
      const message = (error as Error).message.replace('connection: ', `${side}Connection: `)
      throw invalidArgument(message, error)
    }
  }
  const { name = `${route.kind} ${shown(route.from)} → ${shown(route.to)}` } = route
  if (typeof name !== 'string' || name === '') {
    throw invalidArgument(`name must be text, not ${show(name)}`)
  }
  return { config: route, name, host }
}

function judgeNames(routes: readonly JudgedRoute[]): void {
  const seen = new Set<string>()
  for (const { name } of routes) {
    if (seen.has(name)) {
      throw invalidArgument(`two routes are called ${show(name)}: give each a name of its own`)
    }
    seen.add(name)
  }
}

/** Jobs, calls and frames that are handed on must not come back by other routes. */
function judgeRounds(routes: readonly JudgedRoute[]): void {
  for (const kind of ['work', 'calls', 'frames'] as const) {
    const those = routes
      .filter(({ config }) => config.kind === kind)
      .map((route) => ({
        ...route,
        from: endKeys(route.config, 'from'),
        to: endKeys(route.config, 'to'),
      }))
    for (const first of those) {
      const seen = new Set([first])
      const open = [first]
      for (let route = open.pop(); route !== undefined; route = open.pop()) {
        const { to } = route
        const leadsTo = (keys: readonly string[]): boolean => keys.some((key) => to.includes(key))
        if (leadsTo(first.from)) {
          throw invalidArgument(
            `'${first.name}' and '${route.name}' lead in a circle: what is taken at '${shown(first.config.from)}' would come back there ` +
              'for ever; take other addresses for the way back',
          )
        }
        for (const next of those) {
          if (seen.has(next) || !leadsTo(next.from)) continue
          seen.add(next)
          open.push(next)
        }
      }
    }
  }
}

/** One of them is the same for what is the same: frames of one subject, where a bus carries many. */
function endKeys(config: RouteConfig, side: 'from' | 'to'): readonly string[] {
  const places = placeKeys(config[side])
  const isBus = config.kind === 'frames' && addressElsewhere(config[side]) !== undefined
  return isBus ? places.map((place) => `${place} ${subjectOf(config)}`) : places
}

/** Without what is secret in it. */
export function shown(place: string): string {
  return place.replace(/\/\/[^/?]*@/, '//…@')
}

function within<T>(where: string, act: () => T): T {
  try {
    return act()
  } catch (error) {
    throw invalidArgument(`${where}: ${(error as Error).message}`, error)
  }
}
