// A logger that writes lines: records of JSON, one a line, or text for people where a terminal reads it. For tools; applications have
// loggers of their own.

import { checkOptions, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { checkLevel, logLevels, type Logger, type LogLevel, type LogRecord } from './log.js'
import { withoutSecrets } from './secrets.js'

/** Where lines go, as `process.stderr`. */
export interface LineTarget {
  /** Does a terminal show them? */
  readonly isTTY?: boolean
  /** Takes text. */
  write(text: string): unknown
}

/** How lines are written. */
export interface LineOptions {
  /** Nothing that is less important. Default `info`. */
  readonly level?: LogLevel | undefined
  /** `json`: an object a line. `text`: for people. Default: `text` if the target is a terminal. */
  readonly format?: 'json' | 'text' | undefined
}

/**
 * A logger that writes each record as a line, as `millrace gateway` does it: as JSON with `time`, `level`, `event`, `msg` and what else is
 * known, or as text. Addresses are without their secrets.
 *
 * @example
 * ```ts
 * import { lineLogger, logTo } from 'millrace/telemetry'
 *
 * logTo(lineLogger(process.stderr, { level: 'debug' }), { level: 'debug' })
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function lineLogger(target: LineTarget, options: LineOptions = {}): Logger {
  const { level = 'info', format = target.isTTY === true ? 'text' : 'json' } = checkOptions(
    options,
    ['level', 'format'],
  )
  const least = checkLevel(level)
  if (!['json', 'text'].includes(format)) {
    throw invalidArgument(`format must be 'json' or 'text', not ${show(format)}`)
  }
  const { env } = process
  const isPlain = target.isTTY !== true || (env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb'
  const line = format === 'json' ? jsonLine : textLine(isPlain)
  const to =
    (one: LogLevel) =>
    (record: LogRecord, message: string): void => {
      if (logLevels.indexOf(one) < least) return
      target.write(`${line(one, record, withoutSecrets(message))}\n`)
    }
  return { debug: to('debug'), info: to('info'), warn: to('warn'), error: to('error') }
}

function jsonLine(level: LogLevel, { event, pid, ...more }: LogRecord, msg: string): string {
  const time = new Date().toISOString()
  return JSON.stringify({ time, level, event, msg, ...more, pid: pid ?? process.pid })
}

const colours: Readonly<Record<LogLevel, string>> = {
  debug: '2',
  info: '32',
  warn: '33',
  error: '31',
}
const signs: Readonly<Record<LogLevel, string>> = { debug: '·', info: '●', warn: '▲', error: '✖' }

function textLine(isPlain: boolean) {
  const coloured = (colour: string, text: string): string =>
    isPlain ? text : `\u001b[${colour}m${text}\u001b[0m`
  const pad = (part: number): string => String(part).padStart(2, '0')
  return (level: LogLevel, { error }: LogRecord, message: string): string => {
    const at = new Date()
    const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(pad).join(':')
    const why = error === undefined || message.includes(error.message) ? '' : `: ${error.message}`
    const code = error?.code === undefined ? '' : ` (${error.code})`
    const text = `${message}${why}${code}`.replaceAll('\n', '\n           ')
    return `${coloured('2', time)} ${coloured(colours[level], signs[level])} ${text}`
  }
}
