// Whatever flows through the channels of a process at full speed, its timers and sockets have their turn.
// The promise is a 99th percentile, over minutes (`npm run soak -- --only fairness`); in a moment on a busy
// machine only the 90th means something. A loop that starved the timer would hold it up to its end.

import test from 'ava'

import { beatMs } from '../support/beat.js'
import { uniqueName } from '../support/names.js'
import { start } from '../support/process.js'
import type { Order, Report } from './fixtures/runner.js'
import { loops } from './loops.js'

const promised = 50
const beats = 20
const milliseconds = 3000

/** Another process, which can be ended if it hangs. */
const runner = start(new URL('./fixtures/runner.js', import.meta.url))
test.after.always(() => runner.end())

const inWorkers = ['pop', 'for await over messages', 'readable and drain', 'for await over frames']

for (const [loop, worker] of [
  ...Object.keys(loops).map((name) => [name, false] as const),
  ...inWorkers.map((name) => [name, true] as const),
]) {
  test.serial(
    `promise: overload – a timer keeps its beat beside: ${loop}${worker ? ', in a Worker' : ''}`,
    async (t) => {
      const order: Order = { loop, name: uniqueName(t), beats, milliseconds, worker }
      runner.send(order)
      const { p90, worst, gaps, laps } = (await runner.next()) as Report
      t.log(
        `${laps} rounds, ${gaps.length} beats, p90 ${p90.toFixed(1)} ms, worst ${worst.toFixed(1)}`,
      )
      t.true(laps > 0)
      t.true(p90 < beatMs + promised, `every tenth beat came after ${p90.toFixed(0)} ms`)
    },
  )
}
