// How a service is, by HTTP: /livez, /readyz, /status, /metrics.

import type { HttpPlace } from '../../telemetry/http-place.js'
import {
  jsonText,
  plainText,
  servePages,
  type Page,
  type PageServer,
} from '../../telemetry/pages.js'
import { prometheusText, prometheusType } from '../../telemetry/prometheus.js'
import type { RouteStatus } from '../config.js'
import { withoutSecrets } from './findings.js'
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
    '/livez': () => ({ status: 200, type: plainText, body: 'alive\n' }),
    '/readyz': () => readiness(told()),
    '/status': () => ({ status: 200, type: jsonText, body: statusOf(told()) }),
    '/metrics': () => ({
      status: 200,
      type: prometheusType,
      body: prometheusText(familiesOfRoutes(told().routes)),
    }),
  })
}

function readiness({ routes, state }: Told): Page {
  const not = routes.filter((route) => route.state !== 'running')
  if (not.length === 0 && state === 'running')
    return { status: 200, type: plainText, body: 'ready\n' }
  const lines = not.map(({ name, state: its, error }) => {
    const why = error === undefined ? '' : ` (${withoutSecrets(error.message)})`
    return `${name}: ${its}${why}\n`
  })
  return { status: 503, type: plainText, body: `${state}\n${lines.join('')}` }
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
