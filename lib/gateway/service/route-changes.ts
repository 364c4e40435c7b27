// What has become of routes between two looks at them, as events for the log: up, guarantee, down, waiting,
// reconnected, removed, dropped.

import type { RouteStatus } from '../config.js'
import type { LogEvent } from './log.js'

export class RouteChanges {
  #before: readonly RouteStatus[] = []
  /** Why a route does not run, as it was told last: one that is opened anew has no reason for an instant. */
  readonly #reasons = new Map<string, string>()

  /** `isReload`: a route that changed stands still until the new one runs, which is nobody's fault. */
  next(after: readonly RouteStatus[], isReload: boolean): readonly LogEvent[] {
    const known = new Map(this.#before.map((route) => [route.name, route]))
    const events = after.flatMap((route) => [
      ...this.#standing(known.get(route.name), route, isReload),
      ...dropsOf(known.get(route.name), route),
    ])
    const left = new Set(after.map(({ name }) => name))
    const removed = this.#before.filter(({ name }) => !left.has(name))
    for (const { name } of removed) this.#reasons.delete(name)
    this.#before = after
    return [
      ...events,
      ...removed.map((route) =>
        event('info', 'removed', route, 'is not in the configuration any more'),
      ),
    ]
  }

  #standing(
    was: RouteStatus | undefined,
    route: RouteStatus,
    isReload: boolean,
  ): readonly LogEvent[] {
    const { name, state, error } = route
    if (state === 'running') {
      this.#reasons.delete(name)
      return runningOf(was, route)
    }
    // Of a route that leaves it is said that it was removed; of all, that the gateway drains.
    if (state === 'draining' || state === 'closed' || (isReload && error === undefined)) return []
    const isDown = was?.state === 'running'
    if (!isDown && (error === undefined || this.#reasons.get(name) === error.message)) return []
    if (error !== undefined) this.#reasons.set(name, error.message)
    if (isDown) return [event('error', 'down', route, 'is down', error)]
    return [event('warn', 'waiting', route, 'has no connection yet', error)]
  }
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

function runningOf(was: RouteStatus | undefined, route: RouteStatus): readonly LogEvent[] {
  if (was?.state !== 'running') {
    return [event('info', 'up', route, `is up: ${route.from} → ${route.to}${oftenOf(route)}`)]
  }
  if (isOther(was.guarantee, route.guarantee)) {
    return [event('warn', 'guarantee', route, `goes on${oftenOf(route)}`)]
  }
  if (route.reconnects <= was.reconnects) return []
  return [event('warn', 'reconnected', route, 'has lost its connection, and has it again')]
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
