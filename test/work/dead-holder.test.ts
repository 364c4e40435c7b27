// One that is killed with the dead letters in hand, on a queue where nobody waits and so nobody looks for the dead.

import { once } from 'node:events'
import { spawn } from 'node:child_process'
import test from 'ava'

import { compileCxx } from '../support/cxx.js'
import { uniqueName } from '../support/names.js'
import { open } from './open.js'

const victim = 'test/work/fixtures/dies-at-dead-letters.cpp'

for (const call of ['peek', 'redrive', 'purge'] as const) {
  test(`dead letters: ${call} is not held up by one that was killed with them in hand`, async (t) => {
    const queue = open(t, uniqueName(t))
    queue.tryPush('a job')
    const program = await compileCxx(victim, ['-DMILLRACE_CRASH_POINTS'])
    const running = spawn(program, [queue.name], { stdio: 'ignore' })
    const [code, signal] = (await once(running, 'exit')) as [number | null, string | null]
    t.is(code, null)
    t.is(signal, 'SIGKILL')
    const found = queue.dead[call]()
    t.is(typeof found === 'number' ? found : found.length, 1)
    queue.dead.purge()
    queue.tryTake()?.complete()
  })
}
