// How a command logs that runs for long: to standard error, as lines of JSON, or as text where a terminal shows them.

import {
  lifeEvents,
  lineLogger,
  logLevels,
  logTo,
  type LifeEvent,
  type Logger,
  type LogLevel,
} from '../telemetry.js'
import { UsageError, type LogValues } from './usage.js'

function levelOf(values: LogValues): LogLevel {
  const level = values['log-level'] ?? 'info'
  const found = logLevels.find((one) => one === level)
  if (found !== undefined) return found
  throw new UsageError(`--log-level must be one of ${logLevels.join(', ')}, not '${level}'`)
}

export function logger(values: LogValues): Logger {
  const format = values['log-format']
  if (format !== undefined && format !== 'json' && format !== 'text') {
    throw new UsageError(`--log-format must be json or text, not '${format}'`)
  }
  return lineLogger(process.stderr, { level: levelOf(values), format })
}

/** What becomes of channels, too. Of connections its routes tell already, unless all is to be told. */
export function logLife(to: Logger, values: LogValues): void {
  const level = levelOf(values)
  const toldBefore: readonly LifeEvent[] = ['connected', 'disconnected', 'reconnected', 'drained']
  const only = lifeEvents.filter((event) => level === 'debug' || !toldBefore.includes(event))
  logTo(to, { level, only })
}
