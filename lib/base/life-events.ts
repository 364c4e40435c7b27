// What becomes of channels and of those who use them, on channels of `diagnostics_channel`: `millrace:opened` and so on. It is told where
// it is found out, and only if somebody listens. Nobody pays for it on the way of a message. Subscribers are called when what runs now
// has run: they are never in the middle of anything.
//
// Node loads its module of channels when the first handle is opened: to load the library needs none.

import type { Channel } from 'node:diagnostics_channel'

import type { ObjectKind, ObjectState } from '../addon/upkeep.js'

/** What may become of a channel; each is told at the channel `millrace:` and this word. */
export type LifeEvent = keyof LifeTold

/** What is told of all that becomes of channels. */
export interface LifeFacts {
  /** What has happened. */
  readonly event: LifeEvent
  /** The name of the channel, or the address. */
  readonly channel: string
  /** What it is; a `connection` has an address, and a `gateway` routes. */
  readonly kind: ObjectKind | 'connection' | 'gateway'
  /** Process that tells it. */
  readonly pid: number
  /** When it was found out, in milliseconds since 1970. */
  readonly time: number
}

/** Somebody's part in it. */
export interface RoleFacts extends LifeFacts {
  /** `producer`, `writer`, `server`, …; left out where all have the same. */
  readonly role?: string
}

/** About somebody who died. */
export interface DeathFacts extends LifeFacts {
  /** The process id that it left; 0 if it left none. In another PID namespace it means nothing. */
  readonly peer: number
  /** Deaths and dead letters before this one of which nothing is told: more came at a time than are remembered. */
  readonly missed?: number
}

/** What subscribers of the channels get, by the event. */
export interface LifeTold {
  /** A handle was opened. */
  readonly opened: RoleFacts
  /** A handle was closed, by the program or because its memory was damaged. What ends with the process is not told. */
  readonly closed: RoleFacts
  /** This process took the place of one that had died. */
  readonly 'taken-over': DeathFacts
  /** The other side died, and a wait of this process ended with `ERR_MILLRACE_PEER_GONE`; once for each death and handle. */
  readonly 'peer-gone': RoleFacts & Pick<DeathFacts, 'peer'>
  /** This process put in order what one had left that died: its seat, its lane, what it had in hand. */
  readonly buried: DeathFacts
  /** `sweep()` removed an object. */
  readonly swept: LifeFacts & {
    /** What it was found to be. */
    readonly state: ObjectState
    /** Where it was. */
    readonly path: string
    /** Bytes that came free. */
    readonly size: number
  }
  /** A job was taken that somebody had had in hand before. */
  readonly redelivered: LifeFacts & {
    /** Attempts that have begun, with this one, if it has. */
    readonly attempt: number
    /** How often it was in somebody's hand, with this time. */
    readonly acquired: number
  }
  /** A job was given up. */
  readonly 'dead-lettered': LifeFacts & {
    /** Why. */
    readonly reason: 'rejected' | 'attempts' | 'died' | 'expired'
    /** Attempts that were made. */
    readonly attempts: number
    /** See {@link DeathFacts}. */
    readonly missed?: number
  }
  /** A connection is there for the first time. */
  readonly connected: LifeFacts
  /** A connection broke. */
  readonly disconnected: LifeFacts & {
    /** Why: an error of the library. */
    readonly error: Error
    /** Messages of which it is not known whether they arrived; left out where nobody can tell. */
    readonly unknown?: number
  }
  /** A connection is there again. */
  readonly reconnected: LifeFacts & {
    /** Milliseconds that it was away. */
    readonly milliseconds: number
  }
  /** What was in hand has come to its end, and the handle has closed; of a gateway, all its routes. */
  readonly drained: RoleFacts
}

const channels: Partial<Record<LifeEvent, Channel>> = {}

/** The channel of that event, if somebody listens to it. */
export function heard(event: LifeEvent): Channel | undefined {
  const found = (channels[event] ??= process
    .getBuiltinModule('node:diagnostics_channel')
    .channel(`millrace:${event}`))
  return found.hasSubscribers ? found : undefined
}
