// What a row of the report is measured from, and what it says.

import type { Fate } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'
import type { Placement } from './placement.js'
import type { ServerName } from './servers/servers.js'

/** What a side does that has nothing to do: keeps its core, its event loop's turns, nothing, or its thread. */
export type Waiting = 'spinning' | 'polling' | 'waiting' | 'blocking'

/** Where the two sides run: where the system puts them, both on core 0, or on cores 0 and 1. */
export type Cores = 'unpinned' | 'one core' | 'two cores'

export type Unit =
  | 'round trip'
  | 'message'
  | 'pair'
  | 'call'
  | 'turn'
  | 'frame'
  | 'transfer'
  | 'start'
  | 'second'
  | 'job'
  /** Of a worker: no time, but what became of the tasks. */
  | 'kill'

/** A case of bench/cases, led by a process of ours. */
export interface CaseWork {
  readonly case: string
  readonly parameters: Partial<Parameters>
  /** Packages of bench/peers that it needs. */
  readonly peers?: readonly string[]
  /** Does it need Python, and the package of python/? */
  readonly python?: boolean
  /** A server that it needs, started for each measurement. */
  readonly server?: ServerName
  /** Milliseconds that a measurement may take, if that is more than usual. */
  readonly limit?: number
}

/** A program of native/bench: its arguments, to which the milliseconds of warm-up and stretch are added if `timed`. */
export interface ProgramWork {
  readonly program: string
  readonly args: readonly string[]
  readonly timed: boolean
}

export interface Row {
  readonly name: string
  /** Bytes of a message or frame; 0 where nothing is carried. */
  readonly payload: number
  readonly unit: Unit
  readonly waiting: Waiting
  readonly cores: Cores
  readonly work: CaseWork | ProgramWork
  /** Which result of a work that gives several. */
  readonly part?: string
  /** Whether the content of what is sent can be checked. */
  readonly checked: boolean
  /** Of jobs: what is certain when a push has been confirmed, and when a job is taken. */
  readonly confirms?: string
  /** It takes long: only measured where every row is, or it is named. */
  readonly slow?: boolean
  /** Measurements that are enough, if these are fewer than usual. */
  readonly repetitions?: number
}

/** Nanoseconds per unit; medians of the repetitions, and the range of the repetitions' p50. */
export interface Summary {
  readonly name: string
  readonly payload: number
  readonly unit: Unit
  readonly topology: string
  readonly p50: number
  readonly p99?: number
  readonly p999?: number
  readonly p9999?: number
  readonly min: number
  readonly max: number
  /** Processor time of both sides together, and of each. */
  readonly cpu?: number
  readonly cpuSides?: readonly [number, number]
  /** Messages a second, where there is a stream of them, in the mean of a stretch. */
  readonly rate?: number
  /** Bytes a second, from 64 KiB on. */
  readonly bytesPerSecond?: number
  /** Measured per repetition. */
  readonly samples?: number
  /** How many repetitions count. */
  readonly repetitions: number
  /** Whether a second pass checked every byte. */
  readonly checked: boolean
  readonly confirms?: string
}

/** What became of the tasks when a worker was killed; medians of the repetitions. */
export interface FateSummary extends Fate {
  readonly name: string
  readonly repetitions: number
  readonly confirms?: string
}

export interface Skipped {
  readonly name: string
  readonly why: string
  /** It cannot be had on this machine or this Node, which is no fault of anybody's: a package does not load, for instance. */
  readonly unavailable?: boolean
}

export interface Report {
  readonly machine: Readonly<Record<string, unknown>>
  readonly versions: Readonly<Record<string, string>>
  readonly method: string
  readonly repetitions: number
  /** Where the processors were in all of it; see placement.ts. */
  readonly placement: Placement
  readonly rows: readonly Summary[]
  readonly fates?: readonly FateSummary[]
  readonly ratios: Readonly<Record<string, number>>
  /** The least and the most of each ratio among the passes over the rows. */
  readonly spreads: Readonly<Record<string, readonly [number, number]>>
  /** What the ratios mean, and which of them are to reach what. */
  readonly targets: Readonly<Record<string, { reach: string; reached: boolean; means: string }>>
  readonly skipped: readonly Skipped[]
  /** Ratios that lack a row which cannot be had here, and why. */
  readonly unavailable: Readonly<Record<string, string>>
}
