// Where a kind of channel is put to the test: its survivors live here, in the process that runs the chaos, and
// tell what must not be.

import { setTimeout as pause } from 'node:timers/promises'
import { monotonicNow } from 'millrace'

import { Ledger } from './ledger.js'

/** How long a survivor may take to go on before it counts as hanging. */
export const hangMs = 10_000

/** Something happened that must not. */
export class Violation extends Error {}

export function expect(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Violation(what)
}

/** What is counted, for the report. */
export interface Traffic {
  sent: number
  received: number
  /** As the library reported it. */
  lost: number
}

export interface Arena {
  readonly kind: string
  /** What a victim can be here. Each has a ledger and a place of its own. */
  readonly sides: readonly string[]
  readonly traffic: Traffic
  /** More that is to be told of it. */
  readonly figures?: Readonly<Record<string, number>>
  ledger(side: string): Ledger
  /** The name, or path, that a victim of that side works on. */
  place(side: string): string
  /** The survivors come in. */
  open(): Promise<void>
  /**
   * A victim died at `death` (monotonic nanoseconds): resolves when the survivors have gone on, with the
   * milliseconds that they were held up, `undefined` if nothing can be said. What the victim had done must be
   * there by then.
   */
  recover(side: string, death: bigint): Promise<number | undefined>
  /** A victim is stopped: returns a function that is called until it goes on, and checks that it is not taken for dead. */
  whileStopped(side: string, pid: number): () => void
  /** Everything is over: last checks, and the survivors leave. */
  close(): Promise<void>
}

/** Resolves when the condition holds; a violation if that takes for ever. */
export async function soon(what: string, condition: () => boolean): Promise<void> {
  const end = performance.now() + hangMs
  while (!condition()) {
    expect(performance.now() < end, `a survivor hangs: ${what}`)
    await pause(1)
  }
}

/** When a survivor got on, so that it can be told how long a death has held it up. */
export class Pulse {
  #last = 0n
  #beats: bigint[] = []

  beat(): void {
    this.#last = monotonicNow()
    this.#beats.push(this.#last)
    if (this.#beats.length > 10_000) this.#beats = this.#beats.slice(-5_000)
  }

  get last(): bigint {
    return this.#last
  }

  /** Milliseconds from `death` to the first beat after it; undefined if there is none. */
  since(death: bigint): number | undefined {
    const first = this.#beats.find((at) => at >= death)
    this.#beats = []
    return first === undefined ? undefined : Number(first - death) / 1e6
  }
}

/** What most arenas have in common. */
export abstract class Ground implements Arena {
  abstract readonly kind: string
  abstract readonly sides: readonly string[]
  readonly traffic: Traffic = { sent: 0, received: 0, lost: 0 }
  /** Ends the survivors' waits. */
  protected readonly over = new AbortController()
  protected readonly work: Promise<unknown>[] = []
  /** What a survivor found wrong; told when it is looked for. */
  #broken: unknown
  readonly #ledgers = new Map<string, Ledger>()
  readonly #name: string

  constructor(name: string) {
    this.#name = name
  }

  abstract open(): Promise<void>
  abstract recover(side: string, death: bigint): Promise<number | undefined>
  abstract whileStopped(side: string, pid: number): () => void
  protected abstract leave(): Promise<void> | void

  ledger(side: string): Ledger {
    const ledger =
      this.#ledgers.get(side) ?? Ledger.create(`${this.#name}-${this.kind}-${side}-ledger`)
    this.#ledgers.set(side, ledger)
    return ledger
  }

  place(side: string): string {
    return `${this.#name}-${this.kind}-${side}`
  }

  async close(): Promise<void> {
    try {
      this.assertSound()
      await this.leave()
      this.over.abort()
      await Promise.all(this.work)
      this.assertSound()
    } finally {
      this.over.abort()
      for (const ledger of this.#ledgers.values()) ledger.close()
    }
  }

  /** Runs a survivor until everything is over. */
  protected survive(life: () => Promise<void>): void {
    this.work.push(
      life().catch((error: unknown) => {
        if (!this.over.signal.aborted) this.#broken ??= error
      }),
    )
  }

  protected assertSound(): void {
    if (this.#broken !== undefined) throw this.#broken as Error
  }

  protected get isOver(): boolean {
    return this.over.signal.aborted
  }
}

export function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? ''
}
export const peerGone = 'ERR_MILLRACE_PEER_GONE'
export const channelClosed = 'ERR_MILLRACE_CLOSED'

/** `open`, again and again while there is nothing to be opened, or a victim is stopped at the door. */
export async function whenThere<T>(open: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await open()
    } catch (error) {
      if (!['ERR_MILLRACE_NOT_FOUND', 'ERR_MILLRACE_TIMEOUT'].includes(codeOf(error))) throw error
      await pause(5)
    }
  }
}
