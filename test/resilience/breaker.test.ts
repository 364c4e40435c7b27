// What a shared circuit breaker promises.

import { closeSync, ftruncateSync, openSync, writeSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { circuitBreaker, handleAll, retry, wrap, type IPolicy } from 'cockatiel'
import { list, sweep } from 'millrace'
import {
  SharedBreaker,
  type BreakerState,
  type Judgement,
  type SharedBreakerOptions,
} from 'millrace/resilience'

import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until } from '../support/until.js'

/** An open one stays so. */
const long = { failures: 3, halfOpenAfter: 3_600_000 }
/** An open one can be tried at once. */
const short = { failures: 2, halfOpenAfter: 0 }

function named(t: ExecutionContext): string {
  const name = uniqueName(t)
  t.teardown(() => SharedBreaker.unlink(name))
  return name
}

function open(t: ExecutionContext, name: string, options?: SharedBreakerOptions): SharedBreaker {
  const breaker = SharedBreaker.open(name, options)
  t.teardown(() => {
    breaker.close()
  })
  return breaker
}

const code = (name: string) => ({ code: `ERR_MILLRACE_${name}` })
const fails = () => Promise.reject(new Error('no luck'))
const failing = async (t: ExecutionContext, breaker: SharedBreaker, times = 1): Promise<void> => {
  for (let i = 0; i < times; i++)
    await t.throwsAsync(breaker.execute(fails), { message: 'no luck' })
}

test('failures in a row, of whichever process, open it for all', async (t) => {
  const name = named(t)
  const one = open(t, name, long)
  const other = open(t, name)
  await failing(t, one, 2)
  t.is(await other.execute(() => 'well'), 'well')
  t.is(one.failures, 0)
  await failing(t, one, 2)
  t.is(other.state, 'closed')
  await failing(t, other)
  t.is(one.state, 'open')
  t.is(one.tryEnter(), undefined)
  let called = false
  const error = await t.throwsAsync(
    other.execute(() => (called = true)),
    code('CIRCUIT_OPEN'),
  )
  t.regex(error.message, /is open for 3\d{6} ms more: what it guards has failed/)
  t.is((error as { executed?: string }).executed, 'no')
  t.false(called)
  t.true(one.retryAfter > 3_500_000)
})

test('within a window failures add up, whatever succeeds', async (t) => {
  const breaker = open(t, named(t), { ...long, window: 3_600_000 })
  for (let i = 0; i < 2; i++) {
    await failing(t, breaker)
    await breaker.execute(() => 1)
  }
  t.is(breaker.failures, 2)
  await failing(t, breaker)
  t.is(breaker.state, 'open')
  const brief = open(t, named(t), { ...long, window: 20 })
  await failing(t, brief, 2)
  await new Promise((resolve) => setTimeout(resolve, 25))
  await failing(t, brief)
  t.is(brief.failures, 1, 'the window is over')
})

test('one call at a time tries, and its result is for all', async (t) => {
  const name = named(t)
  const one = open(t, name, short)
  const other = open(t, name)
  await failing(t, one, 2)
  const trial = one.tryEnter()!
  t.true(trial.trial)
  t.is(other.state, 'half-open')
  t.is(one.tryEnter(), undefined)
  t.is(other.tryEnter(), undefined)
  await t.throwsAsync(
    other.execute(() => 1),
    { message: /and another call tries whether/ },
  )
  trial.failure()
  t.is(other.state, 'open')
  const again = other.tryEnter()!
  again.success()
  t.is(one.state, 'closed')
  t.false(one.tryEnter()!.trial)
})

test('what is said late, twice, or of another time, does not count', (t) => {
  const breaker = open(t, named(t), short)
  const enter = () => breaker.tryEnter()!
  const old = [enter(), enter(), enter(), enter()] as const
  old[0].failure()
  old[0].failure()
  t.is(breaker.failures, 1)
  old[1].failure()
  t.is(breaker.state, 'open')
  old[2].success()
  t.is(breaker.state, 'open', 'it began before')
  const trial = breaker.tryEnter()!
  old[3].failure()
  t.is(breaker.state, 'half-open')
  trial.success()
  trial.failure()
  t.is(breaker.state, 'closed')
  t.is(breaker.failures, 0)
})

test('a trial that says nothing is there for the next one; so is one whose handle is closed', async (t) => {
  const name = named(t)
  const breaker = open(t, name, short)
  const other = SharedBreaker.open(name)
  await failing(t, breaker, 2)
  {
    using pass = other.tryEnter()!
    t.true(pass.trial)
  }
  t.is(breaker.state, 'open')
  const abort = new AbortController()
  const aborted = breaker.execute(() => {
    abort.abort()
    throw new Error('aborted')
  }, abort.signal)
  await t.throwsAsync(aborted, { message: 'aborted' })
  t.is(breaker.state, 'open', 'it may have failed for that')
  t.truthy(other.tryEnter())
  t.is(breaker.tryEnter(), undefined)
  other.close()
  t.is(breaker.tryEnter()?.trial, true)
})

test('promise: a trial of a process that dies is for another one, which waits for it, within 100 ms', async (t) => {
  const name = named(t)
  const breaker = open(t, name, { ...short, poll: 0 })
  const other = actor(t)
  await failing(t, breaker, 2)
  t.true(
    await other.do(({ SharedBreaker, own }, name) => {
      const pass = (own['breaker'] = SharedBreaker.open(name)).tryEnter()
      return pass?.trial
    }, name),
  )
  const waiting = breaker.enter()
  await new Promise((resolve) => setTimeout(resolve, 30))
  t.is(breaker.state, 'half-open')
  const begun = performance.now()
  await other.kill()
  const pass = await waiting
  const took = performance.now() - begun
  t.true(pass.trial)
  t.true(took < 2000, `${took} ms`) // the promise, and room for a machine that does other things
  pass.success()
})

test('a dead process that nobody waited for keeps no trial either', async (t) => {
  const name = named(t)
  const breaker = open(t, name, short)
  const other = actor(t)
  await failing(t, breaker, 2)
  await other.do(({ SharedBreaker, own }, name) => {
    ;(own['breaker'] = SharedBreaker.open(name)).tryEnter()
  }, name)
  t.is(breaker.tryEnter(), undefined)
  await other.kill()
  t.is(breaker.tryEnter()?.trial, true)
})

test('whoever waits passes as soon as it closes, or its time is over, wherever that is said', async (t) => {
  const name = named(t)
  const breaker = open(t, name, { ...long, poll: 0 })
  const other = actor(t)
  breaker.trip()
  const waits = [breaker.enter(), breaker.enter()]
  await other.do(({ SharedBreaker, own }, name) => {
    ;(own['breaker'] = SharedBreaker.open(name)).reset()
  }, name)
  for (const wait of waits) t.false((await wait).trial)
  const timed = open(t, named(t), { failures: 1, halfOpenAfter: 40, poll: 0 })
  await failing(t, timed)
  const begun = performance.now()
  t.true((await timed.enter()).trial)
  t.true(performance.now() - begun >= 38)
})

test('waits end by signal, by time, and by closing', async (t) => {
  const breaker = open(t, named(t), long)
  breaker.trip()
  await t.throwsAsync(breaker.enter({ timeout: 10 }), {
    ...code('TIMEOUT'),
    message: /goes on failing/,
  })
  const abort = new AbortController()
  const aborted = breaker.enter({ signal: abort.signal })
  abort.abort()
  await t.throwsAsync(aborted, code('ABORTED'))
  const waiting = breaker.enter()
  breaker.close()
  await t.throwsAsync(waiting, code('CLOSED'))
  t.throws(() => breaker.tryEnter(), code('CLOSED'))
  t.throws(() => breaker.state, code('CLOSED'))
  t.throws(() => {
    breaker.trip()
  }, code('CLOSED'))
})

test('states tells how it stands, and of every change, whoever makes it', async (t) => {
  const name = named(t)
  const breaker = open(t, name, { ...short, poll: 0 })
  const other = open(t, name)
  const seen: BreakerState[] = []
  const watching = (async () => {
    for await (const state of breaker.states()) seen.push(state)
  })()
  const steps: [() => unknown, BreakerState][] = [
    [() => undefined, 'closed'],
    [() => other.trip(), 'open'],
    [() => other.tryEnter(), 'half-open'],
    [() => other.reset(), 'closed'],
  ]
  for (const [step, state] of steps) {
    step()
    await until(() => seen.at(-1) === state)
  }
  breaker.close()
  await watching
  t.deepEqual(
    seen,
    steps.map(([, state]) => state),
  )
})

test('it is removed with its last user if it is closed, and remembered else', async (t) => {
  const name = named(t)
  const closed = SharedBreaker.open(name, long)
  await failing(t, closed, 2)
  closed.close()
  t.deepEqual(objectsOf(name), [])
  const tripped = SharedBreaker.open(name, long)
  await failing(t, tripped, 3)
  tripped.close()
  const [entry] = list({ prefix: name })
  t.like(entry, { kind: 'breaker', state: 'kept' })
  t.regex(entry!.detail, /it is open/)
  t.is(sweep({ prefix: name }).removed.length, 0)
  const next = SharedBreaker.open(name)
  t.is(next.state, 'open')
  next.reset()
  next.close()
  t.deepEqual(objectsOf(name), [])
})

test('what is given is judged before anything is done', async (t) => {
  const name = named(t)
  const breaker = open(t, name, long)
  const refused: SharedBreakerOptions[] = [
    { failures: 0 },
    { failures: 256 },
    { failures: 1.5 },
    { halfOpenAfter: -1 },
    { halfOpenAfter: 2 ** 32 },
    { window: 0.5 },
    { widnow: 1 } as SharedBreakerOptions,
  ]
  for (const options of refused) {
    t.throws(() => SharedBreaker.open(`${name}-no`, options), code('INVALID_ARGUMENT'))
  }
  t.throws(() => SharedBreaker.open(name, { failures: 4 }), {
    ...code('GEOMETRY'),
    message:
      /3 failures in a row and a trial after 3600000 ms, not 4 failures in a row and a trial after 10000 ms/,
  })
  await t.throwsAsync(breaker.execute('work' as never), code('INVALID_ARGUMENT'))
  await t.throwsAsync(
    breaker.execute(() => 1, 5 as never),
    code('INVALID_ARGUMENT'),
  )
  await t.throwsAsync(breaker.enter({ singal: 1 } as object), code('INVALID_ARGUMENT'))
  t.is(breaker.failures, 0)
})

test('counts says what an error means; by default refusals say nothing', async (t) => {
  const breaker = open(t, named(t), long)
  for (const error of [
    Object.assign(new Error('gone'), { name: 'AbortError' }),
    await t.throwsAsync(breaker.enter({ timeout: -1 })),
  ]) {
    await t.throwsAsync(breaker.execute(() => Promise.reject(error)))
  }
  t.is(breaker.failures, 0)
  await failing(t, breaker)
  const ends: Judgement[] = ['nothing', 'failure', 'success']
  const failures = []
  for (const end of ends) {
    await t.throwsAsync(breaker.execute(fails, undefined, () => end))
    failures.push(breaker.failures)
  }
  t.deepEqual(failures, [1, 2, 0])
})

test('it is a policy for cockatiel’s wrap', async (t) => {
  const breaker = open(t, named(t), { failures: 2, halfOpenAfter: 3_600_000 })
  const policy = wrap(retry(handleAll, { maxAttempts: 1 }), breaker as unknown as IPolicy)
  let calls = 0
  await t.throwsAsync(
    policy.execute(() => {
      calls++
      throw new Error('no luck')
    }),
  )
  t.is(calls, 2)
  t.is(breaker.state, 'open')
})

test('as the breaker of cockatiel’s circuitBreaker it counts for all processes', async (t) => {
  const name = named(t)
  const [one, other] = [open(t, name, { failures: 3, halfOpenAfter: 0 }), open(t, name)]
  const policies = [one, other].map((breaker) =>
    circuitBreaker(handleAll, { halfOpenAfter: 0, breaker: breaker.asCockatielBreaker() }),
  )
  for (const policy of [policies[0]!, policies[1]!]) {
    await t.throwsAsync(policy.execute(fails), { message: 'no luck' })
    t.is(policy.state, 0)
  }
  await t.throwsAsync(policies[0]!.execute(fails))
  t.is(policies[0]!.state, 1)
  t.is(one.state, 'open')
  t.is(await policies[0]!.execute(() => 'well'), 'well')
  t.is(policies[0]!.state, 0)
  t.is(other.state, 'closed', 'its trial has closed it for all')
})

test('corrupt memory is noticed, and closes the handle', async (t) => {
  const name = named(t)
  const breaker = open(t, name, long)
  const other = open(t, name)
  const file = openSync(`/dev/shm/millrace.k.${name}`, 'r+')
  t.teardown(() => {
    closeSync(file)
  })
  const word = 4096 + 128 + 56 * 128
  writeSync(file, Buffer.alloc(8, 0xff), 0, 8, word)
  t.throws(() => breaker.state, code('CORRUPT'))
  t.true(breaker.closed)
  await t.throwsAsync(
    other.execute(() => 1),
    code('CORRUPT'),
  )
  writeSync(file, Buffer.alloc(8), 0, 8, word)
  const third = open(t, name)
  third.trip()
  const waiting = third.enter()
  ftruncateSync(file, 0)
  await t.throwsAsync(
    third.enter({ timeout: 10 }).catch(() => waiting),
    code('CORRUPT'),
  )
})
