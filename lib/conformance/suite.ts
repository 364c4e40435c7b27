// What every suite does: each behaviour is a case of its own, for whatever runs tests, and leaves its outcome in the report.

import { inTime, NotClaimed } from './scene.js'

/** What came of a behaviour: `not claimed` is of a transport that says, by its traits or by `UNSUPPORTED`, that it has no such thing. */
export type ConformanceOutcome = 'holds' | 'not claimed' | 'fails'

/** What came of one behaviour. */
export interface ConformanceFinding {
  /** What was asked for, as in the table of the guide. */
  readonly behaviour: string
  /** What came of it. */
  readonly outcome: ConformanceOutcome
  /** Why it is not claimed, or what is wrong. */
  readonly why?: string | undefined
}

/** One behaviour, as a test of its own. */
export interface ConformanceCase {
  /** What is asked for. */
  readonly name: string
  /**
   * Judges it, with ends of its own that are gone afterwards. Resolves with what came of it.
   *
   * @throws AssertionError of `node:assert` (as rejection), or what the transport has thrown: it fails
   */
  run(): Promise<Exclude<ConformanceOutcome, 'fails'>>
}

/** The suite, for one transport. */
export interface Conformance {
  /** The behaviours, each a test of its own: hand `name` and `run` to whatever runs your tests. */
  readonly cases: readonly ConformanceCase[]
  /** What came of those that have run, in the order of `cases`. */
  readonly report: readonly ConformanceFinding[]
  /** Runs all cases, one after the other. Never rejects: see the report. */
  run(): Promise<readonly ConformanceFinding[]>
}

/** One thing that is asked for. */
export interface Asked<S> {
  readonly name: string
  /** Rejects with what is wrong, or with `NotClaimed`. */
  judge(scene: S): Promise<void>
}

/** Where one behaviour is judged. */
export interface Judged {
  /** What is waited for: `for accept()`. */
  readonly waiting: string
  /** Whatever came of it, nothing stays. */
  clear(): Promise<void>
}

/** Each behaviour has a scene of its own, and so many milliseconds. */
export function suiteOf<S extends Judged>(
  behaviours: readonly Asked<S>[],
  patience: number,
  sceneOf: () => S,
): Conformance {
  const found = new Map<string, ConformanceFinding>()
  const cases = behaviours.map((behaviour) => ({
    name: behaviour.name,
    run: async () => {
      const { name } = behaviour
      const scene = sceneOf()
      try {
        const judging = behaviour.judge(scene)
        judging.catch(() => undefined) // which may come when nobody waits any more
        await inTime(patience, judging, () => scene.waiting)
        found.set(name, { behaviour: name, outcome: 'holds' })
        return 'holds' as const
      } catch (error) {
        if (error instanceof NotClaimed) {
          found.set(name, { behaviour: name, outcome: 'not claimed', why: error.message })
          return 'not claimed' as const
        }
        const why = error instanceof Error ? error.message : String(error)
        found.set(name, { behaviour: name, outcome: 'fails', why })
        throw error
      } finally {
        await scene.clear()
      }
    },
  }))
  const report = (): ConformanceFinding[] =>
    cases.flatMap(({ name }) => {
      const finding = found.get(name)
      return finding === undefined ? [] : [finding]
    })
  return {
    cases,
    get report() {
      return report()
    },
    run: async () => {
      for (const { run } of cases) await run().catch(() => undefined)
      return report()
    },
  }
}
