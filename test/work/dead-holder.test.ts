// One that is killed with the dead letters in hand, on a queue where nobody waits and so nobody looks for the dead.

import { once } from 'node:events'
import { spawn } from 'node:child_process'
import test from 'ava'

import { compileCxx } from '../support/cxx.js'
import { uniqueName } from '../support/names.js'
import { open } from './open.js'

const victim = 'test/work/fixtures/dies-at-dead-letters.cpp'

async function dies(...args: readonly string[]): Promise<unknown> {
  const program = await compileCxx(victim, ['-DMILLRACE_CRASH_POINTS'])
  const [, signal] = (await once(spawn(program, args, { stdio: 'ignore' }), 'exit')) as unknown[]
  return signal
}

for (const call of ['peek', 'redrive', 'purge'] as const) {
  test(`dead letters: ${call} is not held up by one that was killed with them in hand`, async (t) => {
    const queue = open(t, uniqueName(t))
    queue.tryPush('a job')
    t.is(await dies(queue.name), 'SIGKILL')
    const found = queue.dead[call]()
    t.is(typeof found === 'number' ? found : found.length, 1)
    queue.dead.purge()
    queue.tryTake()?.complete()
  })
}

test('dead letters: one that was killed on its way in does not keep them, either', async (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush('a job')
  queue.tryTake()!.reject('it cannot be done')
  t.is(await dies(queue.name, 'entering'), 'SIGKILL')
  t.is(queue.dead.peek().length, 1)
  t.is(queue.dead.purge(), 1)
  t.is(queue.stats().handles, 1)
})
