// What a gateway is told: which addresses it joins, and how.

import type { RemoteOptions } from '../net/share.js'

/** What every route says. */
export interface RouteBase {
  /** In messages, health and metrics. Default: `KIND FROM → TO`, without what is secret in the addresses. */
  readonly name?: string | undefined
  /** Where messages, jobs or calls come from: a name, `shm://NAME`, or any address. */
  readonly from: string
  /** Where they go. */
  readonly to: string
  /** How `from` is connected to, if it is elsewhere. */
  readonly fromConnection?: RemoteOptions | undefined
  /** How `to` is connected to, if it is elsewhere. */
  readonly toConnection?: RemoteOptions | undefined
}

/** Jobs of a work queue: each is leased at `from` until `to` has confirmed it. */
export interface WorkRoute extends RouteBase {
  readonly kind: 'work'
  /** Jobs that are on their way at one time, 1 to 65,536. Default 256. */
  readonly inFlight?: number | undefined
}

/** Messages of a bus, at most once, as topics are. */
export interface TopicsRoute extends RouteBase {
  readonly kind: 'topics'
  /** Which. Default: all, `['>']`. */
  readonly subjects?: readonly string[] | undefined
  /** Messages that may wait here, 1 to 65,536; what comes when there is no room is dropped, and counted. Default 4096. */
  readonly depth?: number | undefined
}

/** Calls: the gateway serves at `from` what is served at `to`. */
export interface CallsRoute extends RouteBase {
  readonly kind: 'calls'
  /** Calls that are on their way at one time, 1 to 65,536. Default 256. */
  readonly inFlight?: number | undefined
}

/** Frames: each is one message at the other side, in parts where that takes no longer ones. */
export interface FramesRoute extends RouteBase {
  readonly kind: 'frames'
  /** Is the channel of frames at `from`, or at `to`? The other one is a work queue. */
  readonly frames: 'from' | 'to'
  /** Parts that are on their way at one time, 1 to 65,536. Default 64. */
  readonly inFlight?: number | undefined
}

export type RouteConfig = WorkRoute | TopicsRoute | CallsRoute | FramesRoute

export interface GatewayConfig {
  /** What this host is called in origins, by which a gateway knows its own messages again. Default: `os.hostname()`. Unlike on each host. */
  readonly host?: string | undefined
  readonly routes: readonly RouteConfig[]
  /** Milliseconds that `drain` gives what is on its way. Default 10,000. */
  readonly drainTimeout?: number | undefined
}

/** How a route stands. */
export interface RouteStatus {
  readonly name: string
  readonly kind: RouteConfig['kind']
  /** Both addresses, without what is secret in them. */
  readonly from: string
  readonly to: string
  readonly state: 'connecting' | 'running' | 'draining' | 'closed' | 'failed'
  /** Why it does not run, if it does not. */
  readonly error: Error | undefined
  /** What the other side has confirmed. */
  readonly delivered: number
  readonly bytes: number
  /** What the other side had already. */
  readonly duplicates: number
  /** What came back from where it had gone to. */
  readonly loops: number
  /** What could not be sent: dead letters (work), messages without room (topics). */
  readonly dropped: number
  readonly inFlight: number
  /** How often a connection was made anew. */
  readonly reconnects: number
}
