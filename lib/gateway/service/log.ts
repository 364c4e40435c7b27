// What a service tells of its life, by a logger of lines. Payloads and secrets are in no record.

import type { Logger, LogLevel, LogRecord } from '../../telemetry/log.js'
import { withoutSecrets } from '../../telemetry/secrets.js'
import type { RouteStatus } from '../config.js'

/** What has happened. */
export interface LogEvent {
  readonly level: LogLevel
  /** One of few words, for programs: `up`, `down`, `reloaded`, … */
  readonly event: string
  /** For people. */
  readonly message: string
  readonly route?: RouteStatus | undefined
  readonly error?: Error | undefined
  /** What is wrong with a configuration, line by line. */
  readonly findings?: readonly string[] | undefined
  /** Where it is told how the service is. */
  readonly url?: string | undefined
}

export type Log = (event: LogEvent) => void

export function logOf(logger: Logger): Log {
  return (event) => {
    logger[event.level](recordOf(event), event.message)
  }
}

function recordOf({ event, route, error, findings, url }: LogEvent): LogRecord {
  const { name, kind, from, to, guarantee } = route ?? {}
  const facts = {
    event,
    route: name,
    kind,
    from,
    to,
    guarantee: event === 'up' || event === 'guarantee' ? guarantee : undefined,
    error: error && factsOf(error),
    findings,
    url,
  }
  return Object.fromEntries(
    Object.entries(facts).filter(([, value]) => value !== undefined),
  ) as unknown as LogRecord
}

function factsOf(error: Error) {
  const { code } = error as { readonly code?: string }
  return {
    ...(code === undefined ? {} : { code }),
    message: withoutSecrets(error.message),
  }
}
