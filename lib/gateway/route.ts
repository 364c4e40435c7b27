// A route: what becomes of it from its start to its end, whatever is carried.
//
//   connecting ──both sides there──► running ──one side gone──► connecting …   the sides make their connections anew by themselves
//        └──────┬────────────────────┘
//       cannot go on ──► failed ──after a while──► connecting                  opened anew, for ever: nobody gives up unseen
//   draining: takes nothing any more ──► closed

import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import { waitAfter } from '../net/backoff.js'
import type { ConnectionStatus } from '../net/connection-status.js'
import type { FrameDrop, RouteStatus } from './config.js'
import { shown, type JudgedRoute } from './judge.js'

/** Both sides of a route, opened. */
export interface Carrier {
  /** Of the sides that are elsewhere. */
  readonly connections: readonly ConnectionStatus[]
  readonly guarantee: RouteStatus['guarantee']
  /** Is all there that it takes, but connections? */
  readonly isReady: boolean
  /** What went wrong the last time, until something went well again. */
  readonly error: Error | undefined
  /** Brings the counts to what is so now. */
  look?(): void
  /** Carries until `stop`; rejects if it cannot go on. What is on its way stays so. */
  run(stop: AbortSignal): Promise<void>
  /** When nothing is on its way any more. */
  settled(): Promise<void>
  /** Ends at once; what was not confirmed goes back. Never rejects. */
  close(): Promise<void>
}

/** What a route has done; only its carriers write it. */
export class Counts {
  delivered = 0
  bytes = 0
  duplicates = 0
  loops = 0
  dropped = 0
  inFlight = 0
  /** Of frames: what came in, and what did not go on. */
  taken = 0
  readonly drops: Record<FrameDrop, number> = {
    skipped: 0,
    unconfirmed: 0,
    lost: 0,
    incomplete: 0,
    damaged: 0,
    'no-room': 0,
    'too-large': 0,
  }

  /** So many frames did not go on. */
  drop(reason: FrameDrop, frames = 1): void {
    this.drops[reason] += frames
    this.dropped += frames
  }
}

/** The waits before a route that failed is opened anew, in milliseconds. */
const anew = { base: 200, cap: 10_000 }

export class Route {
  readonly judged: JudgedRoute
  readonly #open: (counts: Counts) => Carrier
  readonly #counts = new Counts()
  readonly #stop = new AbortController()
  #carrier: Carrier | undefined
  #error: Error | undefined
  #state: RouteStatus['state'] = 'connecting'
  /** Connections of carriers that are not there any more, and openings. */
  #reconnects = 0
  #running: Promise<void> = Promise.resolve()
  #closing: Promise<void> | undefined
  #wake: (() => void) | undefined

  constructor(judged: JudgedRoute, open: (counts: Counts) => Carrier) {
    this.judged = judged
    this.#open = open
  }

  /** @throws MillraceError what opening its sides throws */
  start(): void {
    this.#carrier = this.#open(this.#counts)
    this.#running = this.#run()
  }

  /** As `start`, and what it cannot open now it tries again. */
  startLater(): void {
    this.#running = this.#run()
  }

  get status(): RouteStatus {
    const { config, name } = this.judged
    this.#carrier?.look?.()
    const { delivered, bytes, duplicates, loops, dropped, inFlight } = this.#counts
    const away = this.#carrier?.connections.find(({ state }) => state !== 'connected')
    const state = this.#state === 'connecting' && this.#isThere(away) ? 'running' : this.#state
    return Object.freeze({
      name,
      kind: config.kind,
      from: shown(config.from),
      to: shown(config.to),
      state,
      error:
        state === 'running'
          ? this.#carrier?.error
          : (this.#error ?? away?.lastError ?? this.#carrier?.error),
      guarantee: this.#carrier?.guarantee,
      ...{ delivered, bytes, duplicates, loops, dropped, inFlight },
      reconnects: this.#reconnects + madeAnew(this.#carrier),
      ...(config.kind === 'frames' ? { frames: this.#frames() } : {}),
    })
  }

  #frames(): RouteStatus['frames'] {
    const { taken, drops } = this.#counts
    return Object.freeze({ taken, dropped: Object.freeze({ ...drops }) })
  }

  /** Takes nothing any more, and lets what is on its way arrive for so many milliseconds; the rest goes back. */
  async drain(ms: number): Promise<void> {
    if (this.#closing !== undefined) {
      await this.#closing
      return
    }
    this.#state = 'draining'
    this.#stop.abort()
    this.#wake?.()
    await this.#running
    const carrier = this.#carrier
    if (carrier !== undefined && this.#counts.inFlight > 0) {
      let timer: Timer | undefined
      const late = new Promise<void>((resolve) => {
        timer = startTimer(ms, resolve, { alive: true })
      })
      await Promise.race([carrier.settled(), late])
      stopTimer(timer)
    }
    await this.close()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#stop.abort()
    this.#wake?.()
    await this.#carrier?.close()
    await this.#running
    this.#state = 'closed'
  }

  #isThere(away: ConnectionStatus | undefined): boolean {
    return this.#carrier?.isReady === true && away === undefined
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop
    for (let failures = 1; !signal.aborted; failures++) {
      const began = now()
      try {
        this.#carrier ??= this.#open(this.#counts)
        this.#error = undefined
        this.#state = 'connecting'
        await this.#carrier.run(signal)
        return
      } catch (error) {
        if (this.#isOver()) return
        this.#error = error as Error
        this.#state = 'failed'
        this.#reconnects += madeAnew(this.#carrier)
        await this.#carrier?.close()
        this.#carrier = undefined
      }
      // What had gone well for long begins to wait anew.
      if (now() - began > anew.cap) failures = 1
      await this.#pause(waitAfter(anew, failures, Math.random()))
      if (!this.#isOver()) this.#reconnects++
    }
  }

  #isOver(): boolean {
    return this.#stop.signal.aborted
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        stopTimer(timer)
        this.#wake = undefined
        resolve()
      }
      const timer = startTimer(ms, end, { alive: true })
      this.#wake = end
      if (this.#stop.signal.aborted) end()
    })
  }
}

function madeAnew(carrier: Carrier | undefined): number {
  return (carrier?.connections ?? []).reduce((sum, { made }) => sum + Math.max(made - 1, 0), 0)
}
