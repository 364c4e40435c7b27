// /livez, /readyz and /health, for applications and gateways: what orchestrators ask.

import { now } from '../base/time.js'
import { checkHealthOptions, health, type Health, type HealthOptions } from './health.js'
import { plainText, type Page, type Pages } from './pages.js'

/** The type of the page /health. */
export const healthType = 'application/health+json; charset=utf-8'

/** Whoever asks more often gets the last answer. */
const goodMs = 50

/**
 * Pages for `servePages()`:
 *
 * - `/livez`: 200 as long as the event loop turns. It judges nothing else: to start a process again helps nobody whose peer is away.
 * - `/readyz`: 200 unless something fails, else 503 with a line for each check, as `/readyz?verbose` has it, in the form that those of
 *   Kubernetes have. `?exclude=NAME` leaves a check out.
 * - `/health`: all of it as JSON, as `application/health+json` wants it; 503 if something fails.
 *
 * `options` may be a function, which is asked at each look: as for routes of a gateway.
 *
 * @example
 * ```ts
 * import { healthPages, servePages } from 'millrace/telemetry'
 *
 * const server = await servePages({ host: '127.0.0.1', port: 8080 }, healthPages({ names: ['orders'] }))
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function healthPages(options: HealthOptions | (() => HealthOptions) = {}): Pages {
  if (typeof options !== 'function') checkHealthOptions(options)
  const given = typeof options === 'function' ? options : (): HealthOptions => options
  let last: Health | undefined
  let lookedAt = -Infinity
  const look = (): Health => {
    const time = now()
    if (last === undefined || time - lookedAt > goodMs) {
      last = health(given())
      lookedAt = time
    }
    return last
  }
  return {
    '/livez': (query) => checksPage('livez', { status: 'pass', checks: [] }, query),
    '/readyz': (query) => checksPage('readyz', look(), query),
    '/health': () => healthPage(look()),
  }
}

/** One line a check: `[+]name ok`, `[!]name warns: why`, `[-]name failed: why`. */
function checksPage(page: string, { checks }: Health, query: URLSearchParams): Page {
  const excluded = query.getAll('exclude')
  const asked = checks.filter(({ name }) => !excluded.includes(name))
  const failed = asked.some(({ status }) => status === 'fail')
  const lines = asked.map(({ name, status, reasons }) => {
    const why = reasons.map(({ message }) => message).join('; ')
    const shown = name.replaceAll(/\s+/g, ' ')
    if (status === 'pass') return `[+]${shown} ok\n`
    return status === 'warn' ? `[!]${shown} warns: ${why}\n` : `[-]${shown} failed: ${why}\n`
  })
  const last = `${page} check ${failed ? 'failed' : 'passed'}\n`
  const body = failed || query.has('verbose') ? `${lines.join('')}${last}` : 'ok\n'
  return { status: failed ? 503 : 200, type: plainText, body }
}

function healthPage({ status, checks }: Health): Page {
  const shown = Object.fromEntries(
    checks.map((check) => [
      check.name,
      [
        {
          status: check.status,
          ...(check.reasons.length === 0
            ? {}
            : {
                output: check.reasons.map(({ message }) => message).join('; '),
                reasons: check.reasons,
              }),
        },
      ],
    ]),
  )
  return {
    status: status === 'fail' ? 503 : 200,
    type: healthType,
    body: `${JSON.stringify({ status, checks: shown }, undefined, 2)}\n`,
  }
}
