// A process that has no descriptors left when it has to ring somebody for the first time.

import test from 'ava'
import { SpscQueue } from 'millrace'
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { uniqueName } from '../support/names.js'
import { Run } from '../support/process.js'

test.serial(
  'who has no descriptors left rings all the same, and goes on as before when there are some',
  async (t) => {
    const name = uniqueName(t)
    using consumer = SpscQueue.consumer(name, { poll: 0, spin: 0 })
    const fixture = fileURLToPath(new URL('./fixtures/starved.js', import.meta.url))
    const starved = new Run(
      spawn('sh', ['-c', 'ulimit -n 64; exec "$0" "$@"', process.execPath, fixture, name], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    )
    t.teardown(() => starved.end())
    const late: number[] = []
    for await (const message of consumer) {
      late.push(performance.timeOrigin + performance.now() - Number(message.toString()))
    }
    t.is(late.length, 6)
    // Without a ring each of them lies until the consumer looks by itself, two seconds at the most.
    t.true(Math.max(...late) < 500, late.join(' '))
    t.is((await starved.ended()).code, 0, starved.stderr)
  },
)
