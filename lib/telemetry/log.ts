// What becomes of channels, as records for a logger of the application's.

import { native } from '../addon/native.js'
import { checkOptions, show } from '../base/options.js'
import { heard, type LifeEvent, type LifeTold } from '../base/life-events.js'
import { invalidArgument } from '../errors.js'
import { activeSpan } from './active-span.js'
import { withoutSecrets } from './secrets.js'

/** The levels of records, the least important first. */
export const logLevels = ['debug', 'info', 'warn', 'error'] as const

/** One of {@link logLevels}. */
export type LogLevel = (typeof logLevels)[number]

/** What takes a record, and the same for people: pino, and what is shaped like it. */
export type LogMethod = (record: LogRecord, message: string) => unknown

/** A logger as those of pino are: bunyan and roarr have the same methods. */
export type Logger = Readonly<Record<LogLevel, LogMethod>>

/** What is told of an error. */
export interface LoggedError {
  /** Its code, if it has one. */
  readonly code?: string
  /** Its message, without secrets. */
  readonly message: string
}

/** What is handed to a logger. Fields of one event only are those of {@link LifeTold}. */
export interface LogRecord {
  /** What has happened. */
  readonly event: string
  /** The name of the channel, or the address, without secrets. */
  readonly channel?: string
  /** What it is. */
  readonly kind?: string
  /** Process that tells it. */
  readonly pid?: number
  /** Process that died. */
  readonly peer?: number
  /** Why. */
  readonly error?: LoggedError
  /** Of the span that was active, if there is one. */
  readonly trace_id?: string
  /** Likewise. */
  readonly span_id?: string
  /** What else is known of the event. */
  readonly [field: string]: unknown
}

/** What is logged. */
export interface LogOptions {
  /** Nothing that is less important. Default `info`. */
  readonly level?: LogLevel | undefined
  /** Only these. Default: all. */
  readonly only?: readonly LifeEvent[] | undefined
}

/** Records that go to a logger, until it is closed. */
export interface Logging {
  /** Ends it. May be called again. */
  close(): void
  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void
}

interface Manner<Event extends LifeEvent> {
  readonly level: LogLevel
  /** What follows the channel. */
  readonly say: (told: LifeTold[Event]) => string
}

const dead = (peer: number): string =>
  peer === 0 ? 'one that died' : `process ${String(peer)}, which died`

const manners: { readonly [Event in LifeEvent]: Manner<Event> } = {
  opened: { level: 'debug', say: ({ role }) => `was opened${as(role)}` },
  closed: { level: 'debug', say: ({ role }) => `was closed${as(role)}` },
  'taken-over': { level: 'warn', say: ({ peer }) => `the place of ${dead(peer)}, was taken over` },
  'peer-gone': {
    level: 'warn',
    say: ({ peer }) => `the other side died (process ${String(peer)})`,
  },
  buried: { level: 'warn', say: ({ peer }) => `what ${dead(peer)}, had left was put in order` },
  swept: { level: 'info', say: ({ state }) => `was removed: it was ${state}` },
  redelivered: {
    level: 'warn',
    say: ({ acquired }) => `a job was taken for the ${ordinal(acquired)} time`,
  },
  'dead-lettered': {
    level: 'error',
    say: ({ reason, attempts }) =>
      `a job was given up (${reason}) after ${String(attempts)} attempt${attempts === 1 ? '' : 's'}`,
  },
  connected: { level: 'info', say: () => 'is connected' },
  disconnected: { level: 'warn', say: ({ error }) => `has lost its connection: ${error.message}` },
  reconnected: {
    level: 'info',
    say: ({ milliseconds }) => `is connected again, after ${milliseconds.toFixed()} ms`,
  },
  drained: { level: 'info', say: ({ role }) => `has ended what was in hand${as(role)}` },
}

/** What may become of channels. */
export const lifeEvents: readonly LifeEvent[] = Object.keys(manners) as LifeEvent[]

/** Who logs where. */
const logging = new Map<Logger, Logging>()

/**
 * Tells a logger what becomes of channels in this thread: `opened`, `taken-over`, `peer-gone`, `buried` and the others of
 * {@link LifeTold}, each as a record with fixed fields and a sentence. Without it nothing is logged. If `@opentelemetry/api` is
 * installed, records of what happened under a span have its `trace_id` and `span_id`.
 *
 * A logger that throws breaks no channel: a warning of the process tells of the first time. Who logs to the same logger once more
 * changes what is logged there.
 *
 * @example
 * ```ts
 * import { logTo } from 'millrace/telemetry'
 * import { pino } from 'pino'
 *
 * using logging = logTo(pino(), { level: 'warn' })
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function logTo(logger: Logger, options: LogOptions = {}): Logging {
  const { level = 'info', only = lifeEvents } = checkOptions(options, ['level', 'only'])
  checkLogger(logger)
  const least = checkLevel(level)
  const wanted = checkEvents(only).filter(
    (event) => logLevels.indexOf(manners[event].level) >= least,
  )
  logging.get(logger)?.close()
  // What was found out before is nobody's news.
  if (!lifeEvents.some((event) => heard(event) !== undefined)) native.happenings()
  const { subscribe, unsubscribe } = process.getBuiltinModule('node:diagnostics_channel')
  const write = (told: unknown): void => {
    try {
      record(logger, told as LifeTold[LifeEvent])
    } catch (error) {
      complain(error)
    }
  }
  let warned = false
  const complain = (error: unknown): void => {
    if (warned) return
    warned = true
    process.emitWarning(
      `a logger threw: what becomes of channels may be missing in it (${String(error)})`,
      { code: 'MILLRACE_LOGGER_THREW' },
    )
  }
  for (const event of wanted) subscribe(`millrace:${event}`, write)
  const close = (): void => {
    if (logging.get(logger) === handle) logging.delete(logger)
    for (const event of wanted.splice(0)) unsubscribe(`millrace:${event}`, write)
  }
  const handle: Logging = { close, [Symbol.dispose]: close }
  logging.set(logger, handle)
  return handle
}

function record(logger: Logger, told: LifeTold[LifeEvent]): void {
  const { level, say } = manners[told.event] as Manner<LifeEvent>
  const { time: _, error, ...facts } = told as LifeTold[LifeEvent] & { readonly error?: Error }
  const span = activeSpan()
  logger[level](
    {
      ...facts,
      ...(error === undefined ? {} : { error: factsOf(error) }),
      ...(span === undefined ? {} : { trace_id: span.traceId, span_id: span.spanId }),
    },
    withoutSecrets(`${told.kind} '${told.channel}': ${say(told)}`),
  )
}

function factsOf(error: Error): LoggedError {
  const { code } = error as { readonly code?: string }
  return { ...(code === undefined ? {} : { code }), message: withoutSecrets(error.message) }
}

function as(role: string | undefined): string {
  return role === undefined ? '' : ` by its ${role}`
}

function ordinal(number: number): string {
  const last = number % 100 > 10 && number % 100 < 14 ? 0 : number % 10
  return `${String(number)}${['th', 'st', 'nd', 'rd'][last] ?? 'th'}`
}

/** @internal */
export function checkLogger(logger: Logger): void {
  const given = logger as Partial<Logger> | null | undefined
  if (logLevels.every((level) => typeof given?.[level] === 'function')) return
  throw invalidArgument(
    `a logger has the methods ${logLevels.join(', ')}, as those of pino have; not ${show(logger)}`,
  )
}

/** @internal The number of a level. */
export function checkLevel(level: LogLevel): number {
  const number = logLevels.indexOf(level)
  if (number >= 0) return number
  throw invalidArgument(`level must be one of ${logLevels.join(', ')}, not ${show(level)}`)
}

function checkEvents(only: readonly LifeEvent[]): LifeEvent[] {
  const given = Array.isArray(only) ? (only as readonly LifeEvent[]) : undefined
  const wrong = given?.find((event) => !lifeEvents.includes(event))
  if (given !== undefined && wrong === undefined) return [...new Set(given)]
  throw invalidArgument(
    `only must be a list of ${lifeEvents.join(', ')}, not ${show(wrong ?? only)}`,
  )
}
