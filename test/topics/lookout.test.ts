// Who looks for a publisher that died between its commit and the wake-ups that it owed. While messages come, a sleeper keeps watch;
// after a second without any nobody does, and whoever publishes calls one before the commit. Here the publisher is a C++ program that
// dies exactly there, and the sleepers are of JavaScript.
//
// Whoever sleeps looks every two seconds whatever happens. That look is taken out: what comes here was looked for by a lookout.

import { spawnSync } from 'node:child_process'
import test, { type ExecutionContext } from 'ava'
import type { Subscription, Topics } from 'millrace/topics'

import { compileCxx, runProgram } from '../support/cxx.js'
import { answerAs, lastAnswer } from '../support/meeting.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open } from './open.js'

const soon = { timeout: 15_000 }
const killed = { code: null, signal: 'SIGKILL' }

const publisher = (): Promise<string> =>
  compileCxx('test/topics/fixtures/publishes.cpp', ['-DMILLRACE_CRASH_POINTS'])

interface Sleeping {
  readonly bus: Topics
  readonly x: Subscription
  readonly y: Subscription
  /** Does this handle keep watch, as far as it was told? */
  readonly watches: () => unknown
}

/** Two subscriptions of one handle that goes to sleep at once, and has no look but those of a lookout. */
async function sleeping(t: ExecutionContext): Promise<Sleeping> {
  const bus = open(t, uniqueName(t), { poll: 0, spin: 0 })
  answerAs(bus, 'still', true)
  const watches = lastAnswer(bus, 'keepWatch')
  return { bus, x: await bus.subscribe('x'), y: await bus.subscribe('y'), watches }
}

/** A message of `x` whose publisher dies before it wakes anybody. */
async function dies(t: ExecutionContext, program: string, { bus }: Sleeping): Promise<void> {
  const dying = runProgram(t, program, [bus.name, 'x', 'dies'])
  t.deepEqual(await dying.ended(), killed, dying.stderr)
}

test('after a pause the sleeper that is called looks for the publisher, which dies before it wakes anybody', async (t) => {
  const program = await publisher()
  const { bus, x, watches } = await sleeping(t)
  const received = x.receive(soon)
  t.true(watches(), 'for a second')
  await until(() => watches() === false)
  const dying = runProgram(t, program, [bus.name, 'x', 'called'])
  await dying.printed('called')
  // There is no message yet. Who was called and does not look for it now is not told again.
  await until(() => watches() === true)
  dying.line('')
  t.is((await received).text(), 'of x')
  t.deepEqual(await dying.ended(), killed, dying.stderr)
  t.is(bus.stats().published, 0, 'as far as the publisher came to count')
})

test('where the ring of a call brings a message to one subscription, another one of its handle keeps watch', async (t) => {
  const program = await publisher()
  const scene = await sleeping(t)
  const { bus, x, y, watches } = scene
  const received = [x.receive(soon), y.receive(soon)] as const
  await until(() => watches() === false)
  // This thread stands still meanwhile: it finds the call and the message at once.
  t.is(spawnSync(program, [bus.name, 'y']).status, 0)
  t.is((await received[1]).text(), 'of y')
  await dies(t, program, scene)
  t.is((await received[0]).text(), 'of x')
})

test('a subscription that keeps watch and is given up leaves that to another one of its handle', async (t) => {
  const program = await publisher()
  const scene = await sleeping(t)
  const { x, y, watches } = scene
  // The first that sleeps keeps watch.
  const giving = new AbortController()
  const given = y.receive({ signal: giving.signal })
  const received = x.receive(soon)
  t.true(watches())
  giving.abort()
  await t.throwsAsync(given, { code: 'ERR_MILLRACE_ABORTED' })
  await dies(t, program, scene)
  t.is((await received).text(), 'of x')
})
