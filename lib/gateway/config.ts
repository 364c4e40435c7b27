// What a gateway is told: which addresses it joins, and how.

import type { FrameReaderOptions } from '../frames/frame-reader.js'
import type { FrameWriterOptions } from '../frames/frame-writer.js'
import type { RemoteOptions } from '../net/share.js'
import type { Contract } from '../rpc/contract.js'
import type { WorkQueueOptions } from '../work/options.js'

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
  /** What it carries. */
  readonly kind: 'work'
  /** Jobs that are on their way at one time, 1 to 65,536. Default 256. */
  readonly inFlight?: number | undefined
  /** What the queue at `from` is to have, as `WorkQueue.open` takes it: it is made so if it does not exist. */
  readonly fromQueue?: Omit<WorkQueueOptions, 'connection'> | undefined
  /** The same of `to`. */
  readonly toQueue?: Omit<WorkQueueOptions, 'connection'> | undefined
  /**
   * Does nobody else take jobs at `from`, which is a queue of an engine? Then what a gateway that died had in hand comes again at once, and
   * before all that is behind it, so that groups stay in order; who takes there besides loses what he has in hand, or (Kafka) keeps this
   * route from going on: `ROLE_TAKEN`. Default false.
   */
  readonly alone?: boolean | undefined
}

/** Messages of a bus, at most once, as topics are. */
export interface TopicsRoute extends RouteBase {
  /** What it carries. */
  readonly kind: 'topics'
  /** Which. Default: all, `['>']`. */
  readonly subjects?: readonly string[] | undefined
  /** Messages that may wait here, 1 to 65,536; when there is no room the oldest is dropped, and counted. Default 4096. */
  readonly depth?: number | undefined
}

/** Calls: the gateway serves at `from` what is served at `to`. */
export interface CallsRoute extends RouteBase {
  /** What it carries. */
  readonly kind: 'calls'
  /** Calls that are on their way at one time, 1 to 65,536. Default 256. */
  readonly inFlight?: number | undefined
  /** What is served at `to`. Default: what whoever serves there says; this machine's memory does not say it. */
  readonly contract?: Contract | undefined
}

/**
 * Frames, at most once, in order. One side is a channel of frames of this machine's memory, the other one an address: of an engine with
 * topics, whose bus carries the parts of frames; or `unix://`, `tcp://`, `tls://`, where one of both gateways listens (`listen`).
 */
export interface FramesRoute extends RouteBase {
  /** What it carries. */
  readonly kind: 'frames'
  /** Frames that are on their way at one time, 1 to 65,536. Default 16. */
  readonly inFlight?: number | undefined
  /**
   * Bytes of a frame that go in one message, 1024 to 67,108,864; less where the other side takes less. Default 262,144 over an engine,
   * 1,048,576 over a connection.
   */
  readonly partBytes?: number | undefined
  /** What the parts are called at the bus of an engine. Default: `frames.NAME`, of the channel's name. */
  readonly subject?: string | undefined
  /**
   * Over `unix://`, `tcp://` and `tls://`: does this gateway listen at the address? Then the other one connects, and says the opposite. Default: the
   * one that writes the channel listens. `true` beside a channel at `from` hands its frames on to every gateway that connects, each by itself;
   * `false` beside a channel at `to` is for a host that can only connect.
   */
  readonly listen?: boolean | undefined
  /** How the channel at `from` is read; its policy is `overwrite-oldest`, unless this says another one. */
  readonly fromChannel?: Pick<FrameReaderOptions, 'policy' | 'depth'> | undefined
  /** What the channel at `to` has, of which the gateway is the writer. Needed there. */
  readonly toChannel?:
    | Pick<
        FrameWriterOptions,
        'slotBytes' | 'slots' | 'maxReaders' | 'history' | 'keep' | 'replace' | 'mode'
      >
    | undefined
}

/** A route of any kind. */
export type RouteConfig = WorkRoute | TopicsRoute | CallsRoute | FramesRoute

/** What a gateway is told. */
export interface GatewayConfig {
  /** What this host is called in origins, by which a gateway knows its own messages again. Default: `os.hostname()`. Unlike on each host. */
  readonly host?: string | undefined
  /** What it joins; each by itself. */
  readonly routes: readonly RouteConfig[]
  /** Milliseconds that `drain` gives what is on its way. Default 10,000. */
  readonly drainTimeout?: number | undefined
}

/**
 * Why a frame did not go on. At `from`, where it was taken: `skipped`: it gave way to a newer one before; `unconfirmed`: it was sent, and the
 * connection broke: it may have arrived. At `to`: `lost`: the other gateway has sent it, and nothing of it came; `incomplete`: not all
 * of it came; `damaged`: a part was not what had been sent; `no-room`: no slot was free. At both: `too-large`: no slot of the channel at `to`
 * holds it, or the engine took no part of it.
 */
export type FrameDrop =
  'skipped' | 'unconfirmed' | 'lost' | 'incomplete' | 'damaged' | 'no-room' | 'too-large'

/** What became of the frames of a route. */
export interface FramesStatus {
  /** Frames that came in: from the channel at `from`, or of which something arrived. */
  readonly taken: number
  /** Frames that did not go on, by reason. */
  readonly dropped: Readonly<Record<FrameDrop, number>>
}

/** How a route stands. */
export interface RouteStatus {
  /** As the configuration has it. */
  readonly name: string
  /** What it carries. */
  readonly kind: RouteConfig['kind']
  /** The address where messages come from, without what is secret in it. */
  readonly from: string
  /** The address where they go. */
  readonly to: string
  /** `connecting`: a side is not there (yet); `failed`: it cannot go on, and is opened anew after a while. */
  readonly state: 'connecting' | 'running' | 'draining' | 'closed' | 'failed'
  /** Why it does not run, if it does not. */
  readonly error: Error | undefined
  /**
   * How often each message comes: `exactly-once` within the time in which `to` knows ids again. Undefined: that is not known before `to` is
   * there, or nothing is promised (ZeroMQ).
   */
  readonly guarantee: 'exactly-once' | 'at-least-once' | 'at-most-once' | undefined
  /** What the other side has confirmed. */
  readonly delivered: number
  /** Their bytes. */
  readonly bytes: number
  /** What the other side had already. */
  readonly duplicates: number
  /** What came back from where it had gone to. */
  readonly loops: number
  /** What could not be sent: dead letters (work), messages without room (topics), frames of all reasons (frames). */
  readonly dropped: number
  /** What is on its way at this instant. */
  readonly inFlight: number
  /** How often a connection was made anew. */
  readonly reconnects: number
  /** Of frames only. */
  readonly frames?: FramesStatus | undefined
}
