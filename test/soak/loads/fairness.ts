// Every loop of test/overload/loops.ts in turn, again and again, half a second each: the promise that a timer of 10 ms
// comes no more than 50 ms late, 99 times of a hundred.

import { beatMs, beatsOf, startBeat } from '../../support/beat.js'
import { loops } from '../../overload/loops.js'
import type { Counts, Load, Shift } from '../load.js'

const promisedMs = 50

export const fairness: Load = {
  parts: { fair: runAll },
  alone: true,
  settlesAfter: 1,
  judge: ({ fair }) =>
    Object.entries(fair ?? {}).flatMap(([loop, p99]) =>
      p99 <= beatMs + promisedMs ? [] : [`${loop}: p99 of ${p99} ms between two beats`],
    ),
}

/** The 99th percentile of each loop, in milliseconds. */
async function runAll({ name, over }: Shift): Promise<Counts> {
  const gaps = new Map<string, number[]>(Object.keys(loops).map((loop) => [loop, []]))
  for (let round = 0; !over(); round++) {
    for (const [loop, run] of Object.entries(loops)) {
      const end = performance.now() + 500
      const beat = startBeat()
      await run({
        name: name(`${round}`),
        over: () => performance.now() >= end,
        lap: () => undefined,
      })
      gaps.get(loop)!.push(...beat.stop().gaps)
      if (over()) break
    }
  }
  return Object.fromEntries(
    [...gaps].map(([loop, all]) => [loop, all.length > 0 ? Math.round(beatsOf(all).p99) : 0]),
  )
}
