// What a shared rate limiter promises. One test after the other: some of them block this thread.

import { openSync, closeSync, ftruncateSync, writeSync } from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { list, sweep } from 'millrace'
import { SharedRateLimiter, type SharedRateLimiterOptions } from 'millrace/resilience'
import { Counter } from 'millrace/sync'

import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { thread } from '../support/thread.js'
import { until } from '../support/until.js'

/** So slow that nothing comes back while a test runs. */
const slow = { rate: 1, per: 3_600_000 }

/** What it remembers outlives the test otherwise. */
function named(t: ExecutionContext): string {
  const name = uniqueName(t)
  t.teardown(() => SharedRateLimiter.unlink(name))
  return name
}

function open(
  t: ExecutionContext,
  name: string,
  options?: SharedRateLimiterOptions,
): SharedRateLimiter {
  const limiter = SharedRateLimiter.open(name, options)
  t.teardown(() => {
    limiter.close()
  })
  return limiter
}

const code = (name: string) => ({ code: `ERR_MILLRACE_${name}` })

test.serial('a burst can be had at once, and no more of it, whoever asks', (t) => {
  const name = named(t)
  const one = open(t, name, { ...slow, burst: 5 })
  const other = open(t, name)
  t.is(other.burst, 5)
  t.is(other.interval, 3_600_000)
  t.like(one.peek(), { remaining: 5, waitMs: 0, fullMs: 0 })
  t.true(one.tryTake(2))
  t.is(other.peek().remaining, 3)
  t.true(other.tryTake(3))
  t.false(one.tryTake())
  t.false(other.tryTake())
  const { remaining, waitMs, fullMs } = one.peek(2)
  t.is(remaining, 0)
  t.true(waitMs > 7_000_000 && waitMs <= 7_200_000, String(waitMs))
  t.true(fullMs > 17_900_000 && fullMs <= 18_000_000, String(fullMs))
})

test.serial('permits come back at the rate that was said', async (t) => {
  const name = named(t)
  const limiter = open(t, name, { rate: 200, burst: 2 }) // one in 5 ms
  const begun = performance.now()
  // It is no dam: with time all come.
  for (let taken = 0; taken < 22;) {
    if (limiter.tryTake()) taken++
    else await new Promise((resolve) => setTimeout(resolve, 1))
  }
  t.true(performance.now() - begun >= 99)
})

test.serial('takes wait for their turn, in order, and are not early', async (t) => {
  const limiter = open(t, named(t), { rate: 100, burst: 1 }) // one in 10 ms
  const begun = performance.now()
  const order: number[] = []
  const times: number[] = []
  await Promise.all(
    Array.from({ length: 6 }, async (_, index) => {
      await limiter.take()
      order.push(index)
      times.push(performance.now() - begun)
    }),
  )
  t.deepEqual(order, [0, 1, 2, 3, 4, 5])
  for (const [index, time] of times.entries()) t.true(time >= index * 10 - 0.1, times.join())
})

test.serial(
  'nobody overtakes a large cost that waits: neither here nor in another handle',
  async (t) => {
    const name = named(t)
    const one = open(t, name, { rate: 100, burst: 10 })
    const other = open(t, name)
    t.true(one.tryTake(10))
    const large = one.take({ cost: 10 })
    await new Promise((resolve) => setTimeout(resolve, 30)) // three permits have come back
    t.false(one.tryTake(), 'this handle has one that waits')
    t.false(other.tryTake(), 'and the permits are spoken for')
    await large
  },
)

test.serial('a turn that would come too late is refused at once, and takes nothing', async (t) => {
  const limiter = open(t, named(t), { ...slow, burst: 3 })
  t.true(limiter.tryTake(2))
  const begun = performance.now()
  await t.throwsAsync(limiter.take({ cost: 2, timeout: 60_000 }), {
    ...code('TIMEOUT'),
    message:
      /the turn for 2 permits of rate limiter .* did not happen within 60000 ms; others take/,
  })
  t.throws(() => {
    limiter.takeSync({ cost: 2, timeout: 60_000 })
  }, code('TIMEOUT'))
  t.true(performance.now() - begun < 5000, 'nobody has waited')
  t.true(limiter.tryTake())
})

test.serial(
  'a wait that gives up gives its turn back; behind the first one it has none',
  async (t) => {
    const name = named(t)
    const limiter = open(t, name, { ...slow, burst: 2 })
    const other = open(t, name)
    t.true(limiter.tryTake(2))
    const before = other.peek(1).waitMs
    const aborts = [new AbortController(), new AbortController(), new AbortController()] as const
    const waits = aborts.map(({ signal }) => limiter.take({ signal, cost: 1 }))
    t.true(other.peek().waitMs > before + 3_000_000, 'one turn is taken')
    t.true(other.peek().waitMs < before + 4_000_000, 'and one alone')
    aborts[1].abort(new Error('never mind'))
    const error = await t.throwsAsync(waits[1]!, code('ABORTED'))
    t.is((error.cause as Error).message, 'never mind')
    aborts[0].abort()
    await t.throwsAsync(waits[0]!, code('ABORTED'))
    t.true(other.peek().waitMs > before + 3_000_000, 'the third one has the turn now')
    aborts[2].abort()
    await t.throwsAsync(waits[2]!, code('ABORTED'))
    t.true(other.peek().waitMs <= before, 'it is as if nobody had waited')
  },
)

test.serial(
  'a turn that somebody stands behind is lost with who gives it up, and no other',
  async (t) => {
    const name = named(t)
    const limiter = open(t, name, { ...slow, burst: 1 })
    const other = open(t, name)
    t.true(limiter.tryTake())
    const abort = new AbortController()
    const lost = limiter.take({ signal: abort.signal })
    const behind = other.take()
    const before = limiter.peek().waitMs
    abort.abort()
    await t.throwsAsync(lost, code('ABORTED'))
    t.true(limiter.peek().waitMs <= before && limiter.peek().waitMs > before - 1_000_000)
    other.close()
    await t.throwsAsync(behind, code('CLOSED'))
  },
)

test.serial('takeSync blocks until the turn; while somebody waits it is busy', async (t) => {
  const limiter = open(t, named(t), { rate: 50, burst: 2 })
  const begun = performance.now()
  limiter.takeSync({ cost: 2 })
  limiter.takeSync({ cost: 2 })
  t.true(performance.now() - begun >= 39)
  const waiting = limiter.take()
  t.throws(() => {
    limiter.takeSync()
  }, code('BUSY'))
  await waiting
})

test.serial('what is asked for is judged before anything is taken', async (t) => {
  const name = named(t)
  const limiter = open(t, name, { ...slow, burst: 3 })
  t.throws(() => limiter.tryTake(4), { ...code('TOO_LARGE'), message: /its burst is 3/ })
  await t.throwsAsync(limiter.take({ cost: 4 }), code('TOO_LARGE'))
  for (const cost of [0, -1, 1.5, NaN, '1', null, 1n, 2 ** 53]) {
    t.throws(() => limiter.tryTake(cost as number), code('INVALID_ARGUMENT'), String(cost))
    t.throws(() => limiter.peek(cost as number), code('INVALID_ARGUMENT'), String(cost))
    await t.throwsAsync(limiter.take({ cost: cost as number }), code('INVALID_ARGUMENT'))
  }
  await t.throwsAsync(limiter.take({ cots: 1 } as object), code('INVALID_ARGUMENT'))
  await t.throwsAsync(limiter.take({ signal: AbortSignal.abort() }), code('ABORTED'))
  t.is(limiter.peek().remaining, 3)
  const refused: [SharedRateLimiterOptions, RegExp][] = [
    [{ rate: 0 }, /rate must be a number above 0, not 0/],
    [{ rate: Infinity }, /rate must be/],
    [{ rate: '5' as unknown as number }, /rate must be/],
    [{ rate: 2e8 }, /100 million a second/],
    [{ rate: 1, per: 0 }, /100 million a second/],
    [{ rate: 1, per: Infinity }, /two years/],
    [{ rate: 1, burst: 0 }, /burst must be a whole number/],
    [{ rate: 1, per: 3.2e10, burst: 3 }, /two years/],
    [{ per: 5 }, /together with rate/],
    [{ burst: 5 }, /together with rate/],
  ]
  for (const [options, message] of refused) {
    t.throws(() => SharedRateLimiter.open(`${name}-no`, options), {
      ...code('INVALID_ARGUMENT'),
      message,
    })
  }
  t.throws(() => SharedRateLimiter.open(`${name}-no`), {
    ...code('NOT_FOUND'),
    message: /there is no rate limiter '.*-no': say its rate/,
  })
  t.throws(() => open(t, name, { ...slow, burst: 4 }), {
    ...code('GEOMETRY'),
    message: /a permit every 3600000000000 ns and a burst of 3, not .* burst of 4/,
  })
})

test.serial('a closed limiter refuses every call, and whoever waits is told', async (t) => {
  const limiter = open(t, named(t), { ...slow, burst: 1 })
  t.true(limiter.tryTake())
  const waits = [limiter.take(), limiter.take()]
  limiter.close()
  limiter.close()
  t.true(limiter.closed)
  for (const wait of waits) await t.throwsAsync(wait, code('CLOSED'))
  t.throws(() => limiter.tryTake(), code('CLOSED'))
  t.throws(() => limiter.peek(), code('CLOSED'))
  t.throws(() => {
    limiter.takeSync()
  }, code('CLOSED'))
  await t.throwsAsync(limiter.take(), code('CLOSED'))
})

test.serial('it is removed with its last user once it has nothing to remember', async (t) => {
  const name = named(t)
  const quick = SharedRateLimiter.open(name, { rate: 1000, burst: 3 })
  t.true(quick.tryTake(3))
  await until(() => quick.peek().fullMs === 0)
  quick.close()
  t.deepEqual(objectsOf(name), [])
  const first = SharedRateLimiter.open(name, { ...slow, burst: 3 })
  t.true(first.tryTake(2))
  first.close()
  const [entry] = list({ prefix: name })
  t.like(entry, { kind: 'rate-limiter', state: 'kept' })
  t.regex(entry!.detail, /its rate has not allowed for yet/)
  t.is(sweep({ prefix: name }).removed.length, 0)
  using second = SharedRateLimiter.open(name)
  t.is(second.peek().remaining, 1, 'no second burst')
  second.close()
  t.is(sweep({ prefix: name, kept: true }).removed.length, 1)
})

test.serial(
  'a process that is killed while it waits takes one turn with it, and holds nobody up',
  async (t) => {
    const name = named(t)
    const other = actor(t)
    const limiter = open(t, name, { rate: 20, burst: 1 }) // one in 50 ms
    t.true(limiter.tryTake())
    await other.do(({ SharedRateLimiter, own }, name) => {
      const limiter = (own['limiter'] = SharedRateLimiter.open(name))
      own['takes'] = [limiter.take(), limiter.take(), limiter.take({ cost: 1 })]
    }, name)
    await other.kill()
    const begun = performance.now()
    await limiter.take()
    t.true(performance.now() - begun < 5000)
    t.true(limiter.peek().waitMs <= 50)
  },
)

// The instants of all that processes were let through, while some of them are killed: no window has too many of them.
test.serial('promise: a rate is kept by processes that are killed at any time', async (t) => {
  const name = named(t)
  const counters = uniqueName(t)
  const rate = 2000
  const burst = 20
  using limiter = SharedRateLimiter.open(name, { rate, burst })
  using begun = Counter.open(counters)
  const taker = new URL('./fixtures/taker.js', import.meta.url)
  const grants: (readonly [before: number, after: number])[] = []
  for (let round = 0; round < 3; round++) {
    const victims = [0, 1].map((index) => run(t, taker, [name, counters, ['try', 'take'][index]!]))
    const survivors = [0, 1].map((index) =>
      run(t, taker, [name, counters, ['try', 'take'][index]!, '150']),
    )
    await until(() => begun.get() >= BigInt(4 * (round + 1)))
    await new Promise((resolve) => setTimeout(resolve, 20 + Math.random() * 60))
    for (const victim of victims) {
      await victim.kill()
    }
    for (const survivor of survivors) {
      grants.push(...((await survivor.next()) as [number, number][]))
      t.like(await survivor.ended(), { code: 0 })
    }
  }
  t.true(grants.length > 200, String(grants.length))
  t.true(limiter.burst === burst)
  // A grant lies between the two times at which it was asked for and had. So whatever lies wholly in a window counts.
  const starts = grants.map(([before]) => before).sort((a, b) => a - b)
  const ends = [...grants].sort((a, b) => a[1] - b[1])
  let worst = -Infinity
  for (let i = 0; i < starts.length; i += 7) {
    const from = starts[i]!
    let within = 0
    for (const [before, after] of ends) {
      if (before < from) continue
      within++
      worst = Math.max(worst, within - ((after - from) * rate) / 1000)
    }
  }
  t.true(worst <= burst + 0.001, `${worst} at once`)
})

test.serial(
  'threads of one process share it as processes do; one that is terminated gives its turn back',
  async (t) => {
    const name = named(t)
    const limiter = open(t, name, { ...slow, burst: 1 })
    t.true(limiter.tryTake())
    const before = limiter.peek().waitMs
    const worker = thread(t, new URL('./fixtures/take-in-worker.js', import.meta.url), {
      workerData: { name },
    })
    t.is(await worker.next(), 'waits')
    await until(() => limiter.peek().waitMs > before)
    await worker.terminate()
    await until(() => limiter.peek().waitMs <= before)
    t.pass()
  },
)

test.serial('corrupt memory is noticed, and closes the handle', async (t) => {
  const name = named(t)
  const limiter = open(t, name, { ...slow, burst: 3 })
  const waiting = (t.true(limiter.tryTake(3)), limiter.take())
  const file = openSync(`/dev/shm/millrace.g.${name}`, 'r+')
  t.teardown(() => {
    closeSync(file)
  })
  writeSync(file, Buffer.alloc(8, 0xff), 0, 8, 1024)
  t.throws(() => limiter.peek(), code('CORRUPT'))
  t.true(limiter.closed)
  await t.throwsAsync(waiting, code('CORRUPT'))
})

test.serial('memory that was shortened is not touched', async (t) => {
  const name = named(t)
  const limiter = open(t, name, { ...slow, burst: 3 })
  t.true(limiter.tryTake(3))
  const file = openSync(`/dev/shm/millrace.g.${name}`, 'r+')
  ftruncateSync(file, 0)
  closeSync(file)
  await t.throwsAsync(limiter.take(), code('CORRUPT'))
  t.true(limiter.closed)
})

test.serial('a take keeps the process alive, unless it is told not to', async (t) => {
  const held = run(t, new URL('./fixtures/alive.js', import.meta.url), [named(t), 'ref'])
  t.deepEqual(await held.next(), 'taken')
  t.like(await held.ended(), { code: 0 })
  const free = run(t, new URL('./fixtures/alive.js', import.meta.url), [named(t), 'unref'])
  t.like(await free.ended(), { code: 13 })
})

test.serial('fake timers do not stop it', async (t) => {
  const name = named(t)
  const child = run(t, new URL('./fixtures/fake-timers.js', import.meta.url), [name])
  t.deepEqual(await child.next(), ['taken', 'entered'])
  t.like(await child.ended(), { code: 0 })
})

test.serial('what is exported of it can be looked at, also when it is closed', (t) => {
  const limiter = open(t, named(t), { ...slow, burst: 2 })
  t.like(JSON.parse(JSON.stringify(limiter)), { burst: 2, remaining: 2, closed: false })
  limiter.close()
  t.like(JSON.parse(JSON.stringify(limiter)), { burst: 2, closed: true })
})
