// What is wanted of a run: the command line.

import { parseArgs } from 'node:util'

export interface Plan {
  readonly kills: number
  readonly seconds: number
  /** Kinds. */
  readonly only: readonly string[]
  readonly seed: number
  /** Milliseconds. */
  readonly limit: number
  readonly json: string | undefined
}

const usage = `Usage: npm run chaos [-- OPTIONS]

Kills processes at random instants on both sides of every kind of channel, replaces them, and checks that
the survivors got everything that was published, once and whole, and went on.

Options:
  --kills N      how many (default: 200; the long form is 10000)
  --seconds S    end after so many seconds although there are kills left
  --only KIND    only this kind; may be given again
  --seed N       of the random choices (default: from the clock)
  --limit MS     a survivor that is held up longer than this by a death is a violation (default: 1000)
  --json FILE    write all figures there
  -h, --help     this text

Exit codes: 0 all is well, 1 something happened that must not, 2 wrong usage.
`

/** The command line was wrong. */
export class UsageError extends Error {}

/** Undefined if help was asked for and has been printed. */
export function readPlan(kinds: readonly string[]): Plan | undefined {
  const { values } = understood(() =>
    parseArgs({
      options: {
        kills: { type: 'string', default: '200' },
        seconds: { type: 'string', default: 'Infinity' },
        only: { type: 'string', multiple: true, default: [] },
        seed: { type: 'string', default: String(Date.now() % 1_000_000) },
        limit: { type: 'string', default: '1000' },
        json: { type: 'string' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    }),
  )
  if (values.help) {
    process.stdout.write(usage)
    return undefined
  }
  const number = (option: 'kills' | 'seconds' | 'seed' | 'limit') => {
    const value = Number(values[option])
    if (Number.isNaN(value) || value < 0) throw new UsageError(`--${option} must be a number`)
    return value
  }
  for (const kind of values.only) {
    if (!kinds.includes(kind)) throw new UsageError(`--only must be one of ${kinds.join(', ')}`)
  }
  return {
    kills: number('kills'),
    seconds: number('seconds'),
    only: values.only.length > 0 ? values.only : kinds,
    seed: number('seed'),
    limit: number('limit'),
    json: values.json,
  }
}

function understood<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message.split('. ')[0])
    throw error
  }
}
