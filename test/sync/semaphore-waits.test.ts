// Waiting for a permit in the event loop: in order, exact when given up, and at nobody's expense.

import { readdirSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import fc from 'fast-check'
import type { Semaphore } from 'millrace/sync'

import { createSemaphore, openSemaphore } from '../support/semaphores.js'
import { within } from '../support/until.js'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const soon = { timeout: 10_000 }

/** A permit that is posted now is taken by nobody, not even for an instant. */
function assertStays(t: ExecutionContext, semaphore: Semaphore) {
  semaphore.post()
  let dips = 0
  const end = performance.now() + 2
  while (performance.now() < end) {
    for (let i = 0; i < 100; i++) if (semaphore.value !== 1) dips++
  }
  t.is(dips, 0)
  t.true(semaphore.tryWait())
}

for (const [how, tuning] of Object.entries({
  asleep: { poll: 0 },
  polling: { poll: 1000 },
  'as tuned by default': {},
  'spinning first': { spin: 0.2 },
})) {
  test(`a wait gets the next permit, ${how}`, async (t) => {
    const semaphore = createSemaphore(t, 0, tuning)
    const other = openSemaphore(t, semaphore.name)
    for (let i = 0; i < 50; i++) {
      const waited = semaphore.wait(soon)
      if (i % 2 === 0) await turn()
      other.post()
      await waited
      t.is(other.value, 0)
    }
  })
}

// The serial ones run before the others of this file, whose threads they would count.

test.serial('a permit that is there is taken at once, without a thread', async (t) => {
  const semaphore = createSemaphore(t, 3)
  const before = new Set(readdirSync('/proc/self/task'))
  await semaphore.wait()
  await semaphore.wait({ timeout: 0 })
  using permit = await semaphore.acquire()
  t.false(permit.released)
  t.is(semaphore.value, 0)
  // Others may have ended meanwhile.
  t.deepEqual(
    readdirSync('/proc/self/task').filter((thread) => !before.has(thread)),
    [],
  )
})

test.serial(
  'four hundred pending waits stop neither files nor timers, and take one thread',
  async (t) => {
    const semaphore = createSemaphore(t, 0, { poll: 0 })
    await readFile('/proc/self/stat') // libuv's pool has started
    const threads = () => readdirSync('/proc/self/task').length
    const before = threads()
    const order: number[] = []
    const waits = Array.from({ length: 400 }, (_, i) => semaphore.wait().then(() => order.push(i)))
    await turn()
    t.true(threads() <= before + 1, `${before} -> ${threads()}`)
    for (let i = 0; i < 100; i++) await within(5000, readFile(new URL(import.meta.url)))
    await within(5000, pause(5))
    const cpu = process.cpuUsage()
    await pause(500)
    const used = process.cpuUsage(cpu)
    t.true(used.user + used.system < 250_000, `${used.user + used.system} µs of 500 ms`)
    t.deepEqual(order, [])
    semaphore.post(400)
    await within(20_000, Promise.all(waits))
    t.deepEqual(
      order,
      Array.from({ length: 400 }, (_, i) => i),
    )
    t.is(semaphore.value, 0)
  },
)

test('waits of one object are served in the order they came, and nobody overtakes them', async (t) => {
  const semaphore = createSemaphore(t, 0, { poll: 0 })
  const other = openSemaphore(t, semaphore.name)
  const order: number[] = []
  const waits = [1, 2, 3].map((i) => semaphore.wait(soon).then(() => order.push(i)))
  await turn()
  t.throws(() => semaphore.waitSync({ timeout: 1 }), { code: 'ERR_MILLRACE_BUSY' })
  other.post()
  t.false(semaphore.tryWait())
  await waits[0]
  t.false(semaphore.tryWait())
  other.post(2)
  await Promise.all(waits)
  t.deepEqual(order, [1, 2, 3])
  other.post()
  t.true(semaphore.tryWait())
})

test('a wait that times out holds no permit, and never will', async (t) => {
  const semaphore = createSemaphore(t, 0)
  const other = openSemaphore(t, semaphore.name)
  for (const timeout of [0, 1, 3, 5, 20, 30]) {
    const start = performance.now()
    await t.throwsAsync(semaphore.wait({ timeout }), {
      code: 'ERR_MILLRACE_TIMEOUT',
      message: new RegExp(`within ${timeout} ms`),
    })
    t.true(performance.now() - start >= timeout - 1, 'timers are a fraction early')
    assertStays(t, other)
  }
})

test('an aborted wait holds no permit, and never will', async (t) => {
  const semaphore = createSemaphore(t, 0, { poll: 0 })
  const other = openSemaphore(t, semaphore.name)
  const reason = new Error('enough')
  for (let round = 0; round < 40; round++) {
    const controller = new AbortController()
    const waited = semaphore.wait({ signal: controller.signal })
    await pause(round / 8)
    controller.abort(reason)
    const error = await t.throwsAsync(waited, { code: 'ERR_MILLRACE_ABORTED', name: 'AbortError' })
    t.is(error.cause, reason)
    assertStays(t, other)
  }
})

test('a signal that is aborted already takes no permit', async (t) => {
  const semaphore = createSemaphore(t, 1)
  await t.throwsAsync(semaphore.wait({ signal: AbortSignal.abort() }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  t.is(semaphore.value, 1)
})

test('wrong options of a wait are refused, and nothing is taken', async (t) => {
  const semaphore = createSemaphore(t, 1)
  const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  await t.throwsAsync(semaphore.wait({ timeout: -1 }), refused)
  await t.throwsAsync(semaphore.wait({ timeout: '1' as never }), refused)
  await t.throwsAsync(semaphore.wait({ signal: {} as never }), refused)
  await t.throwsAsync(semaphore.acquire(null as never), refused)
  t.is(semaphore.value, 1)
})

test('a wait given up does not disturb the others', async (t) => {
  const semaphore = createSemaphore(t, 0, { poll: 0 })
  const controller = new AbortController()
  const first = semaphore.wait(soon)
  const second = semaphore.wait({ signal: controller.signal })
  const third = semaphore.wait(soon)
  await turn()
  controller.abort()
  await t.throwsAsync(second, { code: 'ERR_MILLRACE_ABORTED' })
  semaphore.post(2)
  await Promise.all([first, third])
  t.is(semaphore.value, 0)
})

test('a wait that comes while another is being given up is served', async (t) => {
  const semaphore = createSemaphore(t, 0, { poll: 0 })
  for (let round = 0; round < 20; round++) {
    const controller = new AbortController()
    const first = semaphore.wait({ signal: controller.signal })
    await turn()
    controller.abort()
    const second = semaphore.wait(soon)
    semaphore.post()
    await t.throwsAsync(within(5000, first), { code: 'ERR_MILLRACE_ABORTED' })
    await within(5000, second)
    t.is(semaphore.value, 0)
  }
})

test('closing rejects the waits; a permit that comes meanwhile is not lost', async (t) => {
  for (let round = 0; round < 10; round++) {
    const semaphore = createSemaphore(t, 0, { poll: 0 })
    const other = openSemaphore(t, semaphore.name)
    const waits = [semaphore.wait(), semaphore.wait(soon)]
    await pause(round / 4)
    if (round % 2 === 0) other.post()
    semaphore.close()
    if (round % 2 === 1) other.post()
    for (const wait of waits) {
      await t.throwsAsync(within(5000, wait), { code: 'ERR_MILLRACE_CLOSED' })
    }
    t.is(other.value, 1)
  }
})

test('a thousand permits through two objects that both wait', async (t) => {
  const one = createSemaphore(t, 0, { poll: 0 })
  const two = openSemaphore(t, one.name, { poll: 0 })
  let got = 0
  const take = async (semaphore: Semaphore) => {
    for (let i = 0; i < 500; i++) {
      await semaphore.wait(soon)
      got++
    }
  }
  const taking = Promise.all([take(one), take(two)])
  for (let i = 0; i < 1000; i++) {
    one.post()
    if (i % 10 === 0) await turn()
  }
  await within(30_000, taking)
  t.is(got, 1000)
  t.is(one.value, 0)
})

test('whatever is posted, waited for and given up in whatever order: the books balance', async (t) => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('post' as const), count: fc.integer({ min: 0, max: 3 }) }),
    fc.record({ do: fc.constant('wait' as const), timeout: fc.constantFrom(0, 1, 2, Infinity) }),
    fc.record({ do: fc.constant('abortable' as const) }),
    fc.record({ do: fc.constant('abort' as const) }),
    fc.record({ do: fc.constant('tryWait' as const) }),
    fc.record({ do: fc.constantFrom('turn' as const, 'pause' as const) }),
  )
  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never
  const run = async (steps: Step[], initial: number, poll: number) => {
    const semaphore = createSemaphore(t, initial, { poll })
    const end = new AbortController()
    let posted = 0
    let taken = 0
    let controller = new AbortController()
    const waits: Promise<unknown>[] = []
    const await_ = (options: { timeout?: number; signal: AbortSignal }) => {
      const wait = semaphore.wait(options).then(
        () => taken++,
        (error: unknown) => {
          t.regex((error as { code: string }).code, /TIMEOUT|ABORTED/)
        },
      )
      waits.push(wait)
    }
    for (const each of steps) {
      if (each.do === 'post') {
        semaphore.post(each.count)
        posted += each.count
      } else if (each.do === 'wait') {
        await_({ timeout: each.timeout, signal: end.signal })
      } else if (each.do === 'abortable') {
        await_({ signal: AbortSignal.any([controller.signal, end.signal]) })
      } else if (each.do === 'abort') {
        controller.abort()
        controller = new AbortController()
      } else if (each.do === 'tryWait') {
        if (semaphore.tryWait()) taken++
      } else if (each.do === 'turn') {
        await turn()
      } else {
        await pause(1)
      }
    }
    end.abort()
    await within(10_000, Promise.all(waits))
    t.is(semaphore.value, initial + posted - taken)
    semaphore.close()
  }
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { maxLength: 30 }),
      fc.integer({ min: 0, max: 2 }),
      fc.constantFrom(0, 0.1),
      run,
    ),
    { numRuns: 60 },
  )
})
