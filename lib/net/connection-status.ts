// How a connection that is made anew stands, for the program: what it is now, and what becomes of it, as events.

import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { heard, type LifeEvent } from '../base/life-events.js'
import { facts } from '../base/life.js'
import { checkFunction } from '../base/options.js'
import { afterAllElse, now } from '../base/time.js'

/**
 * How a connection stands: `connecting`: it is being made; `connected`; `waiting`: for the next attempt; `closed`: there will be none any
 * more.
 */
export type ConnectionState = 'connecting' | 'connected' | 'waiting' | 'closed'

/** A connection that broke, or was closed by the other side. */
export interface ConnectionLoss {
  /** Why it is not there any more. */
  readonly reason: Error
  /**
   * Messages of this side of which it is not known whether they arrived. Undefined where nobody can tell: over `shm://`, `pipe://`, links
   * of other transports, and of handles whose calls say it themselves.
   */
  readonly unknown?: number | undefined
  /** Messages that came, were not received yet, and had no room beside those that earlier connections left. */
  readonly dropped?: number | undefined
}

/** The time between two connections. */
export interface ConnectionGap extends ConnectionLoss {
  /** Milliseconds from the loss to the new connection. */
  readonly milliseconds: number
}

/** What listeners get, by the name of the event. */
export interface ConnectionEvents {
  /** An attempt begins; which one it is since the connection was there. */
  readonly connecting: readonly [attempt: number]
  /** The connection is there; what was between it and the one before, if there was one. What a listener sends goes first. */
  readonly connected: readonly [gap: ConnectionGap | undefined]
  /** The connection is not there any more. */
  readonly lost: readonly [loss: ConnectionLoss]
  /** Until the next attempt, so many milliseconds; why there is none now. */
  readonly waiting: readonly [delay: number, reason: Error]
  /** There will be no connection any more; why, unless this side has closed it. */
  readonly closed: readonly [reason: Error | undefined]
}

/** A listener of an event. */
export type ConnectionListener<Name extends keyof ConnectionEvents> = (
  ...args: ConnectionEvents[Name]
) => unknown

/** What has events of a connection, with the names that those of Node have. */
export interface ConnectionEmitter {
  /** Calls the listener at each such event, in the order in which listeners were added. One that throws is an uncaught exception. */
  on<Name extends keyof ConnectionEvents>(name: Name, listener: ConnectionListener<Name>): this
  /** As `on`, for the next one only. */
  once<Name extends keyof ConnectionEvents>(name: Name, listener: ConnectionListener<Name>): this
  /** Takes a listener away. */
  off<Name extends keyof ConnectionEvents>(name: Name, listener: ConnectionListener<Name>): this
  /** As `off`. */
  removeListener<Name extends keyof ConnectionEvents>(
    name: Name,
    listener: ConnectionListener<Name>,
  ): this
}

/** The connection of a handle: it is made anew when it breaks. */
export interface ConnectionStatus extends ConnectionEmitter {
  /** Where the other side is. */
  readonly address: string
  /** How it stands. */
  readonly state: ConnectionState
  /** Attempts since it was there the last time, with the one that runs; 0 while it is there. */
  readonly attempts: number
  /** Connections that were made so far. */
  readonly made: number
  /** Why it is not there, or was not before. */
  readonly lastError: Error | undefined
}

interface Listening {
  readonly listener: ConnectionListener<never>
  readonly once: boolean
}

/** @internal What a session tells. */
export class Status implements ConnectionStatus {
  readonly address: string
  readonly #listening = new Map<keyof ConnectionEvents, readonly Listening[]>()
  #state: ConnectionState = 'connecting'
  #attempts = 0
  #made = 0
  #lastError: Error | undefined
  #loss: ConnectionLoss | undefined
  #lostAt = 0

  constructor(address: string) {
    this.address = address
  }

  get state(): ConnectionState {
    return this.#state
  }
  get attempts(): number {
    return this.#attempts
  }
  get made(): number {
    return this.#made
  }
  get lastError(): Error | undefined {
    return this.#lastError
  }

  on<Name extends keyof ConnectionEvents>(name: Name, listener: ConnectionListener<Name>): this {
    return this.#add(name, listener, false)
  }

  once<Name extends keyof ConnectionEvents>(name: Name, listener: ConnectionListener<Name>): this {
    return this.#add(name, listener, true)
  }

  off<Name extends keyof ConnectionEvents>(name: Name, listener: ConnectionListener<Name>): this {
    const those = this.#listening.get(name)
    const at = those?.findLastIndex((one) => one.listener === listener) ?? -1
    if (at >= 0) this.#listening.set(name, those!.toSpliced(at, 1))
    return this
  }

  removeListener<Name extends keyof ConnectionEvents>(
    name: Name,
    listener: ConnectionListener<Name>,
  ): this {
    return this.off(name, listener)
  }

  // What becomes of it

  connecting(): void {
    this.#state = 'connecting'
    this.#attempts++
    this.#emit('connecting', this.#attempts)
  }

  connected(): void {
    this.#state = 'connected'
    this.#attempts = 0
    this.#made++
    const gap = this.#loss && { ...this.#loss, milliseconds: now() - this.#lostAt }
    this.#loss = undefined
    if (gap === undefined) this.#tell('connected')
    else this.#tell('reconnected', { milliseconds: gap.milliseconds })
    this.#emit('connected', gap)
  }

  lost(loss: ConnectionLoss): void {
    this.#state = 'waiting'
    this.#lastError = loss.reason
    this.#loss = loss
    this.#lostAt = now()
    const { reason: error, unknown } = loss
    this.#tell('disconnected', { error, ...(unknown === undefined ? {} : { unknown }) })
    this.#emit('lost', loss)
  }

  waiting(delay: number, reason: Error): void {
    this.#state = 'waiting'
    this.#lastError = reason
    this.#emit('waiting', delay, reason)
  }

  closed(reason: Error | undefined): void {
    this.#state = 'closed'
    if (reason !== undefined) this.#lastError = reason
    this.#emit('closed', reason)
    this.#listening.clear()
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Connection', how, () => ({
      address: this.address,
      state: this.state,
      attempts: this.attempts,
      made: this.made,
      lastError: this.lastError?.message,
    }))
  }

  #tell(event: LifeEvent, more: object = {}): void {
    if (heard(event) !== undefined) facts().tell(event, this.address, 'connection', more)
  }

  #add<Name extends keyof ConnectionEvents>(
    name: Name,
    listener: ConnectionListener<Name>,
    once: boolean,
  ): this {
    checkFunction('the listener', listener)
    const those = this.#listening.get(name) ?? []
    this.#listening.set(name, [...those, { listener, once }])
    return this
  }

  #emit<Name extends keyof ConnectionEvents>(name: Name, ...args: ConnectionEvents[Name]): void {
    for (const { listener, once } of this.#listening.get(name) ?? []) {
      const call = listener as unknown as ConnectionListener<Name>
      if (once) this.off(name, call)
      try {
        call(...args)
      } catch (error) {
        // It is the program's, and none of what the connection has to do.
        afterAllElse(() => {
          throw error
        })
      }
    }
  }
}
