// How a service is, by HTTP: /livez, /readyz, /health, /status, /metrics.

import type { HealthOptions } from '../../telemetry/health.js'
import { healthPages } from '../../telemetry/health-pages.js'
import type { HttpPlace } from '../../telemetry/http-place.js'
import { jsonText, servePages, type PageServer } from '../../telemetry/pages.js'
import { prometheusText, prometheusType } from '../../telemetry/prometheus.js'
import { withoutSecrets } from '../../telemetry/secrets.js'
import type { RouteStatus } from '../config.js'
import { familiesOfRoutes } from './metrics.js'

/** What is told, at the time it is asked for. */
export interface Told {
  readonly routes: readonly RouteStatus[]
  readonly state: 'starting' | 'running' | 'draining'
  readonly host: string
  readonly since: Date
}

/** @throws MillraceError (as rejection) as `servePages()` */
export function serveStatus(place: HttpPlace, told: () => Told): Promise<PageServer> {
  return servePages(place, {
    ...healthPages(() => healthOf(told())),
    '/status': () => ({ status: 200, type: jsonText, body: statusOf(told()) }),
    '/metrics': () => ({
      status: 200,
      type: prometheusType,
      body: prometheusText(familiesOfRoutes(told().routes)),
    }),
  })
}

/** Only what it was told to do: whoever uses the same channels is ready without it, or not. */
function healthOf({ routes, state }: Told): HealthOptions {
  const isRunning = (): true | string => state === 'running' || `it is ${state}`
  return { of: 'none', routes, checks: { gateway: isRunning } }
}

function statusOf({ routes, state, host, since }: Told): string {
  const shown = {
    state,
    host,
    pid: process.pid,
    since: since.toISOString(),
    routes: routes.map(({ error, ...route }) => ({
      ...route,
      error: error === undefined ? null : shownError(error),
    })),
  }
  return `${JSON.stringify(shown, undefined, 2)}\n`
}

function shownError(error: Error) {
  const { code } = error as NodeJS.ErrnoException
  return { code, message: withoutSecrets(error.message) }
}
