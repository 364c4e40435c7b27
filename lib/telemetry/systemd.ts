// What systemd is told of a service (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names. Without it nobody is told, and
// nothing is done.

import { native } from '../addon/native.js'
import { checkOptions, show } from '../base/options.js'
import { startTimer, stopTimer, type Timer } from '../base/time.js'
import { invalidArgument } from '../errors.js'

/** How long until what found no room is sent again. */
const againMs = 50
/** More of it wait only where nobody reads; then the oldest are of no use any more. */
const mostWaiting = 64
/** Status lines are one line; systemd shows so much of it. */
const mostStatus = 1000

/** What is told of a service at once; what is left out is not said. */
export interface ServiceNews {
  /** It is ready (`READY=1`): units that wait for it start. Also said again when a reload is over. */
  readonly ready?: true | undefined
  /** It reads its configuration again (`RELOADING=1`), until `ready`. */
  readonly reloading?: true | undefined
  /** It is about to end (`STOPPING=1`). */
  readonly stopping?: true | undefined
  /** A line about how it is, which `systemctl status` shows; line breaks become blanks. */
  readonly status?: string | undefined
  /** Milliseconds that it may still take to start, reload or stop, from now. */
  readonly extendTimeout?: number | undefined
}

/** How a service is supervised. */
export interface SuperviseOptions {
  /**
   * Sends signs of life from the event loop, where the unit has `WatchdogSec=`: systemd restarts a service whose loop stands still.
   * Default true.
   */
  readonly watchdog?: boolean | undefined
}

/** What a service tells whoever supervises it. */
export interface Supervisor {
  /** Is there anybody who is told? */
  readonly active: boolean
  /** Milliseconds within which a sign of life is wanted; undefined if none is. */
  readonly watchdog: number | undefined
  /**
   * Tells something. Never waits and never throws for the sake of the socket: who is not there is not told.
   *
   * @throws MillraceError `INVALID_ARGUMENT`
   */
  notify(news: ServiceNews): void
  /** Ends the signs of life, and forgets what waits for room in the socket. May be called again. */
  close(): void
  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void
}

const { EAGAIN, ENOBUFS } = process.getBuiltinModule('node:os').constants.errno

/**
 * Tells systemd how this service is: that it is ready, what it does, that its event loop still turns. Reads `NOTIFY_SOCKET`,
 * `WATCHDOG_USEC` and `WATCHDOG_PID` of the environment; where they are not set, as in a terminal, nothing is done. Signs of life come
 * twice as often as they are wanted, keep no process alive, and go on under fake timers.
 *
 * @example
 * ```ts
 * import { supervise } from 'millrace/telemetry'
 *
 * using supervisor = supervise()
 * supervisor.notify({ ready: true, status: 'takes jobs' })
 * process.once('SIGTERM', () => supervisor.notify({ stopping: true }))
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function supervise(options: SuperviseOptions = {}): Supervisor {
  const { watchdog = true } = checkOptions(options, ['watchdog'])
  if (typeof watchdog !== 'boolean') {
    throw invalidArgument(`watchdog must be true or false, not ${show(watchdog)}`)
  }
  return supervisorOf(process.env, watchdog)
}

/** @internal The same, of that environment. */
export function supervisorOf(environment: NodeJS.ProcessEnv, beats: boolean): Supervisor {
  const { NOTIFY_SOCKET: socket = '', WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment
  const isThere = /^[/@]./.test(socket)
  const isOurs = pid === undefined || pid === '' || Number(pid) === process.pid
  const microseconds = Number(usec)
  const isWanted = isThere && isOurs && microseconds > 0 && microseconds < Infinity
  const watchdog = isWanted ? microseconds / 1000 : undefined
  const waiting: string[] = []
  let again: Timer | undefined
  let beat: Timer | undefined
  let shown: string | undefined
  let closed = false

  const send = (text: string): void => {
    if (!isThere || closed) return
    waiting.push(text)
    if (waiting.length > mostWaiting) waiting.shift()
    flush()
  }
  /** In order: what comes later says more. */
  const flush = (): void => {
    while (waiting.length > 0) {
      const error = native.sendDatagram(socket, waiting[0]!)
      if (error === EAGAIN || error === ENOBUFS) {
        again ??= startTimer(againMs, () => {
          again = undefined
          flush()
        })
        return
      }
      // Whoever reads is gone, or never was there: as sd_notify's users do, the service goes on.
      waiting.shift()
    }
  }
  /** Twice as often as it is wanted: a loop that stands still sends none. */
  const live = (): void => {
    send('WATCHDOG=1')
    beat = startTimer(watchdog! / 2, live)
  }
  const notify = (news: ServiceNews): void => {
    const { ready, reloading, stopping, status, extendTimeout } = judged(news)
    const line = status === undefined ? undefined : oneLine(status)
    const isStep = ready === true || reloading === true || stopping === true
    const lines: string[] = []
    if (ready) lines.push('READY=1')
    if (reloading) {
      lines.push('RELOADING=1', `MONOTONIC_USEC=${(native.monotonicNs() / 1000n).toString()}`)
    }
    if (stopping) lines.push('STOPPING=1')
    // Of a line alone only what is new is sent.
    if (line !== undefined && (isStep || line !== shown)) lines.push(`STATUS=${line}`)
    if (extendTimeout !== undefined) {
      lines.push(`EXTEND_TIMEOUT_USEC=${String(Math.ceil(extendTimeout * 1000))}`)
    }
    shown = line ?? shown
    if (lines.length > 0) send(lines.join('\n'))
  }
  const close = (): void => {
    closed = true
    stopTimer(beat)
    stopTimer(again)
    waiting.length = 0
  }
  if (beats && watchdog !== undefined) live()
  return {
    get active() {
      return isThere && !closed
    },
    watchdog,
    notify,
    close,
    [Symbol.dispose]: close,
  }
}

function judged(news: ServiceNews): ServiceNews {
  const given = checkOptions(news, ['ready', 'reloading', 'stopping', 'status', 'extendTimeout'])
  for (const word of ['ready', 'reloading', 'stopping'] as const) {
    if (given[word] !== undefined && typeof given[word] !== 'boolean') {
      throw invalidArgument(`${word} must be true, or left out, not ${show(given[word])}`)
    }
  }
  const { status, extendTimeout } = given
  if (status !== undefined && typeof status !== 'string') {
    throw invalidArgument(`status must be text, not ${show(status)}`)
  }
  if (extendTimeout !== undefined && !(extendTimeout >= 0 && extendTimeout < Infinity)) {
    throw invalidArgument(
      `extendTimeout must be a number of milliseconds, not ${show(extendTimeout)}`,
    )
  }
  return given
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').slice(0, mostStatus)
}
