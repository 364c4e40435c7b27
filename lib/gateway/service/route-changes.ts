// What has become of routes between two looks at them, as events for the log: up, guarantee, down, waiting,
// reconnected, removed, dropped.

import type { RouteStatus } from '../config.js'
import type { LogEvent } from './log.js'

/** `isReload`: a route that changed stands still until the new one runs, which is nobody's fault. */
export function changesOf(
  before: readonly RouteStatus[],
  after: readonly RouteStatus[],
  isReload: boolean,
): readonly LogEvent[] {
  const known = new Map(before.map((route) => [route.name, route]))
  const events = after.flatMap((route) => changeOf(known.get(route.name), route, isReload))
  const left = new Set(after.map(({ name }) => name))
  const removed = before
    .filter(({ name }) => !left.has(name))
    .map((route) => event('info', 'removed', route, 'is not in the configuration any more'))
  return [...events, ...removed]
}

function changeOf(
  was: RouteStatus | undefined,
  route: RouteStatus,
  isReload: boolean,
): readonly LogEvent[] {
  return [...standingOf(was, route, isReload), ...dropsOf(was, route)]
}

/** Frames that are dropped because of what somebody has set wrong: at the first one, and when there are twice as many. */
function dropsOf(was: RouteStatus | undefined, route: RouteStatus): readonly LogEvent[] {
  return (['too-large', 'damaged'] as const).flatMap((reason) => {
    const count = route.frames?.dropped[reason] ?? 0
    const before = was?.frames?.dropped[reason] ?? 0
    if (count === 0 || Math.floor(Math.log2(count)) <= Math.floor(Math.log2(before))) return []
    const what = `has dropped ${String(count)} frame${count === 1 ? '' : 's'}: ${reason}`
    return [event('warn', 'dropped', route, what, route.error)]
  })
}

function standingOf(
  was: RouteStatus | undefined,
  route: RouteStatus,
  isReload: boolean,
): readonly LogEvent[] {
  const { state, error } = route
  if (state === 'running') {
    if (was?.state !== 'running') {
      return [event('info', 'up', route, `is up: ${route.from} → ${route.to}${oftenOf(route)}`)]
    }
    if (isOther(was.guarantee, route.guarantee)) {
      return [event('warn', 'guarantee', route, `goes on${oftenOf(route)}`)]
    }
    if (route.reconnects > was.reconnects) {
      return [event('warn', 'reconnected', route, 'has lost its connection, and has it again')]
    }
    return []
  }
  // Of a route that leaves it is said that it was removed; of all, that the gateway drains.
  if (state === 'draining' || state === 'closed') return []
  if (isReload && error === undefined) return []
  if (was?.state === 'running') return [event('error', 'down', route, 'is down', error)]
  if (error === undefined || was?.error?.message === error.message) return []
  return [event('warn', 'waiting', route, 'has no connection yet', error)]
}

function isOther(was: RouteStatus['guarantee'], is: RouteStatus['guarantee']): boolean {
  return was !== undefined && is !== undefined && was !== is
}

/** How often what it carries arrives; a job that comes twice, because nobody there knows ids again, is a mistake of somebody. */
function oftenOf({ guarantee }: RouteStatus): string {
  return guarantee === undefined ? '' : `, ${guarantee.replaceAll('-', ' ')}`
}

function event(
  level: LogEvent['level'],
  word: string,
  route: RouteStatus,
  what: string,
  error?: Error,
): LogEvent {
  return { level, event: word, message: `'${route.name}' ${what}`, route, error }
}
