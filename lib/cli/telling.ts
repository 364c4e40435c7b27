// What a command says on standard error while it runs: sentences for people; or, if that was asked for, a record for each thing that
// happens, for machines and for logs. Only then is loaded what records need.

import type { LoggedError, Logger, LogLevel, LogRecord } from '../telemetry.js'
import { printable } from './columns.js'
import { logOptions, type LogValues } from './usage.js'

let records: Logger | undefined

/**
 * From now on records are written, of what becomes of channels, too, if one of the options was given.
 *
 * @throws UsageError
 */
export async function logAsAsked(values: LogValues): Promise<void> {
  if (logOptions.every((option) => values[option] === undefined)) return
  const { logger, logLife } = await import('./logging.js')
  records = logger(values)
  logLife(records, values)
}

/** Are records written? Then nothing else is on standard error. */
export function tellsRecords(): boolean {
  return records !== undefined
}

/** Is there a line on standard error that changes? On a terminal alone. */
export function hasLine(): boolean {
  return process.stderr.isTTY && !tellsRecords()
}

export function clearLine(): void {
  if (hasLine()) process.stderr.write('\r\x1b[K')
}

/** Says it once. `sentence` begins without a capital letter, and ends without a full stop. */
export function tell(level: LogLevel, record: LogRecord, sentence: string): void {
  if (records === undefined) process.stderr.write(`millrace: ${sentence}\n`)
  else records[level](record, sentence)
}

/** What only a log needs to know: people see it without being told. */
export function tellLog(level: LogLevel, record: LogRecord, sentence: string): void {
  records?.[level](record, sentence)
}

/** Why a command has failed. Names in it may be those that others gave. */
export function tellFailure(error: unknown): void {
  const { message, code } = errorFacts(error)
  const line = printable(message.replaceAll('\n', ' '))
  if (records !== undefined) {
    const facts = { message: line, ...(code === undefined ? {} : { code }) }
    records.error({ event: 'failed', error: facts }, `failed: ${line}`)
    return
  }
  const isCoded = code === undefined || line.startsWith(`${code}:`)
  process.stderr.write(`millrace: ${isCoded ? line : `${line} (${code})`}\n`)
}

/** What is told of an error. */
export function errorFacts(error: unknown): LoggedError {
  if (!(error instanceof Error)) return { message: String(error) }
  const { code } = error as NodeJS.ErrnoException
  return code === undefined ? { message: error.message } : { message: error.message, code }
}
