// What a service tells of its life: records of JSON, a line each, or lines for people where a terminal reads them. Payloads and
// secrets are in none.

import type { RouteStatus } from '../config.js'
import { withoutSecrets } from './findings.js'

export type Level = 'info' | 'warn' | 'error'

/** What has happened. */
export interface LogEvent {
  readonly level: Level
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

/** Where lines go. */
export interface LogTarget {
  readonly isTTY?: boolean
  write(text: string): unknown
}

export function logTo(target: LogTarget, environment: NodeJS.ProcessEnv): Log {
  if (target.isTTY !== true) {
    return (event) => {
      target.write(`${JSON.stringify(recordOf(event))}\n`)
    }
  }
  const isPlain = (environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb'
  return (event) => {
    target.write(`${lineOf(event, new Date(), isPlain)}\n`)
  }
}

function recordOf({ level, event, message, route, error, findings, url }: LogEvent) {
  const { name, kind, from, to } = route ?? {}
  const { code } = (error ?? {}) as { readonly code?: string }
  return {
    time: new Date().toISOString(),
    level,
    event,
    msg: withoutSecrets(message),
    route: name,
    kind,
    from,
    to,
    error: error === undefined ? undefined : { code, message: withoutSecrets(error.message) },
    findings,
    url,
    pid: process.pid,
  }
}

const colours: Readonly<Record<Level, string>> = { info: '32', warn: '33', error: '31' }
const signs: Readonly<Record<Level, string>> = { info: '●', warn: '▲', error: '✖' }

function lineOf({ level, message, error }: LogEvent, at: Date, isPlain: boolean): string {
  const coloured = (colour: string, text: string): string =>
    isPlain ? text : `\u001b[${colour}m${text}\u001b[0m`
  const pad = (part: number): string => String(part).padStart(2, '0')
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(':')
  const { code } = (error ?? {}) as { readonly code?: string }
  const why =
    error === undefined
      ? ''
      : `: ${withoutSecrets(error.message)}${code === undefined ? '' : ` (${code})`}`
  const text = `${withoutSecrets(message)}${why}`.replaceAll('\n', '\n           ')
  return `${coloured('2', time)} ${coloured(colours[level], signs[level])} ${text}`
}
