// The figures of a run, kind by kind.

import { readdirSync } from 'node:fs'

import type { Traffic } from './arena.js'

export interface KindReport extends Traffic {
  readonly kind: string
  /** Deaths by SIGKILL, those at a crash point among them. */
  readonly kills: number
  readonly atCrashPoints: number
  readonly nodeVictims: number
  readonly pythonVictims: number
  readonly stops: number
  /** How long survivors were held up by a death, in milliseconds. */
  readonly waits: {
    readonly count: number
    readonly p50: number
    readonly p99: number
    readonly max: number
  }
  /** The longest of them, and which deaths these were. */
  readonly slowest: readonly Wait[]
  readonly crashPoints: readonly string[]
  /** What the survivors held of the system: after the first deaths, and at the end. */
  readonly holdings: readonly [Holdings, Holdings]
  readonly violations: readonly string[]
  /** What only this kind tells. */
  readonly figures: Readonly<Record<string, number>>
}

/** How long the survivors were held up by one death. */
export interface Wait {
  readonly side: string
  readonly how: string
  readonly milliseconds: number
}

export class Tally {
  kills = 0
  nodeVictims = 0
  pythonVictims = 0
  stops = 0
  #atCrashPoints = 0
  readonly #points = new Set<string>()
  readonly violations: string[] = []
  readonly #waits: Wait[] = []

  died(how: string): void {
    this.kills++
    if (how === 'killed') return
    this.#atCrashPoints++
    this.#points.add(how)
  }

  wait(side: string, how: string, milliseconds: number | undefined): void {
    if (milliseconds !== undefined) this.#waits.push({ side, how, milliseconds })
  }

  get longest(): number {
    return Math.max(0, ...this.#waits.map(({ milliseconds }) => milliseconds))
  }

  report(
    kind: string,
    traffic: Traffic,
    held: readonly [Holdings, Holdings],
    figures: Readonly<Record<string, number>> = {},
  ): KindReport {
    const slowest = [...this.#waits].sort((a, b) => b.milliseconds - a.milliseconds)
    const sorted = slowest.map(({ milliseconds }) => milliseconds).reverse()
    const at = (share: number) =>
      round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0)
    return {
      kind,
      kills: this.kills,
      atCrashPoints: this.#atCrashPoints,
      nodeVictims: this.nodeVictims,
      pythonVictims: this.pythonVictims,
      stops: this.stops,
      ...traffic,
      waits: { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) },
      slowest: slowest.slice(0, 5),
      crashPoints: [...this.#points].sort(),
      holdings: held,
      violations: this.violations,
      figures,
    }
  }
}

function round(milliseconds: number): number {
  return Math.round(milliseconds * 100) / 100
}

/** What this process holds of the system. */
export interface Holdings {
  readonly descriptors: number
  readonly threads: number
}

export function holdings(): Holdings {
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
  }
}
