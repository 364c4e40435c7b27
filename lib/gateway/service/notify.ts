// What systemd is told of a service (sd_notify(3)): datagrams to the socket that NOTIFY_SOCKET names. Without it nobody is told, and
// nothing is done.

import { native } from '../../addon/native.js'
import { startTimer, stopTimer, type Timer } from '../../base/time.js'

/** How long until what found no room is sent again. */
const againMs = 50
/** More of it wait only where nobody reads; then the oldest are of no use any more. */
const mostWaiting = 64

const { EAGAIN, ENOBUFS } = process.getBuiltinModule('node:os').constants.errno

export class ServiceManager {
  readonly #socket: string | undefined
  readonly #watchdogMs: number | undefined
  readonly #waiting: string[] = []
  #again: Timer | undefined
  #beat: Timer | undefined
  #status: string | undefined

  constructor(environment: NodeJS.ProcessEnv) {
    const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: usec, WATCHDOG_PID: pid } = environment
    this.#socket = socket === undefined || !/^[/@]./.test(socket) ? undefined : socket
    const isOurs = pid === undefined || pid === '' || Number(pid) === process.pid
    const microseconds = Number(usec)
    this.#watchdogMs = isOurs && microseconds > 0 ? microseconds / 1000 : undefined
  }

  /** Signs of life from the event loop, twice as often as they are wanted: a loop that stands still sends none. */
  watch(): void {
    if (this.#socket === undefined || this.#watchdogMs === undefined) return
    this.#send('WATCHDOG=1')
    this.#beat = startTimer(this.#watchdogMs / 2, () => {
      this.watch()
    })
  }

  ready(status: string): void {
    this.#status = oneLine(status)
    this.#send(`READY=1\nSTATUS=${this.#status}`)
  }

  /** Only what is new is sent. */
  status(status: string): void {
    const line = oneLine(status)
    if (line === this.#status) return
    this.#status = line
    this.#send(`STATUS=${line}`)
  }

  /** `ready` says that it is over. */
  reloading(): void {
    const microseconds = native.monotonicNs() / 1000n
    this.#status = 'reads its configuration again'
    this.#send(`RELOADING=1\nMONOTONIC_USEC=${microseconds.toString()}\nSTATUS=${this.#status}`)
  }

  /** @param milliseconds that it will take at most */
  stopping(status: string, milliseconds: number): void {
    this.#status = oneLine(status)
    const microseconds = Math.ceil(milliseconds * 1000)
    this.#send(`STOPPING=1\nSTATUS=${this.#status}\nEXTEND_TIMEOUT_USEC=${String(microseconds)}`)
  }

  close(): void {
    stopTimer(this.#beat)
    stopTimer(this.#again)
    this.#waiting.length = 0
  }

  #send(text: string): void {
    if (this.#socket === undefined) return
    this.#waiting.push(text)
    if (this.#waiting.length > mostWaiting) this.#waiting.shift()
    this.#flush()
  }

  /** In order: what comes later says more. */
  #flush(): void {
    while (this.#waiting.length > 0) {
      const error = native.sendDatagram(this.#socket!, this.#waiting[0]!)
      if (error === EAGAIN || error === ENOBUFS) {
        this.#again ??= startTimer(againMs, () => {
          this.#again = undefined
          this.#flush()
        })
        return
      }
      // Whoever reads is gone, or never was there: as sd_notify's users do, the service goes on.
      this.#waiting.shift()
    }
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s+/g, ' ').slice(0, 1000)
}
