// Routes of jobs: from a queue of this machine's memory to one that another process shares, and back; the gateway is killed at random, the
// other side is not there, or does not take what it gets.

import test, { type ExecutionContext } from 'ava'
import { Gateway, type GatewayConfig, type RouteStatus, type WorkRoute } from 'millrace/gateway'
import { WorkQueue, type WorkQueueOptions } from 'millrace/work'
import { join } from 'node:path'

import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { Random } from '../support/random.js'
import { until, within } from '../support/until.js'

const patience = 60_000
const fixture = new URL('./fixtures/gateway.js', import.meta.url)
const many: WorkQueueOptions = {
  jobs: 4096,
  dedupWindow: 600_000,
  dedupIds: 65_536,
  maxAttempts: 3,
}

function queueOf(t: ExecutionContext, options: WorkQueueOptions = many): WorkQueue {
  const name = uniqueName(t, { mayLeave: true })
  const queue = WorkQueue.open(name, options)
  t.teardown(() => {
    queue.close()
    WorkQueue.unlink(name)
  })
  return queue
}

const socketOf = (t: ExecutionContext): string => `unix://${join(ownDirectory(t), 'socket')}`

async function shared(
  t: ExecutionContext,
  queue: WorkQueue,
  address: string,
): Promise<() => Promise<void>> {
  const share = await queue.share(address)
  t.teardown(() => share.close())
  return () => share.close()
}

async function gatewayOf(t: ExecutionContext, config: GatewayConfig): Promise<Gateway> {
  const gateway = await Gateway.start(config)
  t.teardown(async () => {
    gateway.close()
    await gateway.drain()
  })
  return gateway
}

const route = (from: string, to: string, more: Partial<WorkRoute> = {}): WorkRoute => ({
  ...{ kind: 'work', name: 'it', from, to },
  ...more,
})

const only = (gateway: Gateway): RouteStatus => gateway.routes[0]!

/** The payloads that are there, as text, in the order in which they are handed out. */
async function taken(queue: WorkQueue, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) {
    const job = await within(patience, queue.takeOne())
    texts.push(Buffer.from(job.bytes).toString())
    await job.complete()
  }
  return texts
}

test.serial('who drains waits for routes that a reload has taken out', async (t) => {
  const [near, far, other] = [queueOf(t), queueOf(t, { ...many, jobs: 1 }), queueOf(t)]
  const stays = route(other.name, socketOf(t), { name: 'stays' })
  const config = { host: 'here', drainTimeout: 300, routes: [route(near.name, far.name), stays] }
  const gateway = await gatewayOf(t, config)
  for (const text of ['one', 'two']) await near.push(text)
  await until(() => far.stats().ready === 1 && near.stats().leased === 1)
  const reloaded = gateway.reload({ ...config, routes: [stays] })
  await until(() => gateway.routes.length === 1)
  await gateway.drain()
  t.is(near.stats().leased, 0)
  t.is(near.stats().ready, 1)
  await reloaded
})

test.serial(
  'jobs that have the same place one after the other are not taken for one',
  async (t) => {
    const [near, far, address] = [queueOf(t, { jobs: 1 }), queueOf(t), socketOf(t)]
    await shared(t, far, address)
    const gateway = await gatewayOf(t, { host: 'here', routes: [route(near.name, address)] })
    const count = 2000
    for (let number = 0; number < count; number++) await near.push(String(number))
    const texts = await taken(far, count)
    t.deepEqual(
      texts,
      Array.from({ length: count }, (_, number) => String(number)),
    )
    t.is(only(gateway).duplicates, 0)
  },
)

test.serial(
  'a job goes to a queue that another process shares, with its id, group and priority',
  async (t) => {
    const [near, far, address] = [queueOf(t), queueOf(t), socketOf(t)]
    await shared(t, far, address)
    const gateway = await gatewayOf(t, { host: 'here', routes: [route(near.name, address)] })
    await near.push('one', { id: 'the id', group: 'the group', priority: 7 })
    const job = await within(patience, far.takeOne())
    t.is(Buffer.from(job.bytes).toString(), 'one')
    t.is(job.id, 'the id')
    t.is(job.group, 'the group')
    t.is(job.priority, 7)
    job.complete()
    await until(() => only(gateway).inFlight === 0)
    const { state, delivered, bytes, guarantee, from, to, kind, name } = only(gateway)
    t.deepEqual(
      { state, delivered, bytes, guarantee, from, to, kind, name },
      {
        ...{ state: 'running', delivered: 1, bytes: 3, guarantee: 'exactly-once' },
        ...{ from: near.name, to: address, kind: 'work', name: 'it' },
      },
    )
    t.is(near.stats().completed, 1)
  },
)

test.serial('a job comes from a queue that another process shares', async (t) => {
  const [near, far, address] = [queueOf(t), queueOf(t), socketOf(t)]
  await shared(t, far, address)
  const gateway = await gatewayOf(t, { host: 'here', routes: [route(address, near.name)] })
  await far.push('one', { group: 'the group', priority: 3 })
  const job = await within(patience, near.takeOne())
  t.is(job.group, 'the group')
  t.is(job.priority, 3)
  t.not(job.id, undefined, 'it has a name by which it would be known again')
  job.complete()
  await until(() => far.stats().completed === 1)
  t.is(only(gateway).delivered, 1)
})

for (const [from, to] of [
  ['near', 'far'],
  ['far', 'near'],
] as const) {
  test.serial(
    `a gateway that is killed again and again brings each job once, in the order of its group, from ${from} to ${to}`,
    async (t) => {
      t.timeout(patience)
      const [source, target, address] = [queueOf(t), queueOf(t), socketOf(t)]
      await shared(t, from === 'far' ? source : target, address)
      const routes = [
        from === 'near' ? route(source.name, address) : route(address, target.name),
      ].map((one) => ({ ...one, inFlight: 32 }))
      const random = new Random(from.length + 7)
      const jobs = 2000
      const groups = 7
      let over = false
      let kills = 0
      const killing = (async () => {
        const isOver = (): boolean => over
        while (!isOver()) {
          const gateway = run(t, fixture, [JSON.stringify({ host: 'here', routes })])
          await gateway.next()
          const seen = target.stats().pushed
          // Somewhere in the middle of its work.
          const more = random.below(200)
          await until(() => over || target.stats().pushed >= seen + more, patience)
          await gateway.end()
          kills++
        }
      })()
      const pushing = (async () => {
        for (let at = 0; at < jobs; at++) {
          // Some have an id of their own, some have none.
          const id = at % 3 === 0 ? { id: `own ${String(at)}` } : {}
          await source.push(String(at), { group: `g${String(at % groups)}`, ...id })
        }
      })()
      const found = (await taken(target, jobs)).map(Number)
      over = true
      await Promise.all([killing, pushing])
      t.deepEqual(
        found.toSorted((a, b) => a - b),
        Array.from({ length: jobs }, (_, at) => at),
      )
      for (let group = 0; group < groups; group++) {
        const own = found.filter((at) => at % groups === group)
        t.deepEqual(
          own,
          own.toSorted((a, b) => a - b),
        )
      }
      t.true(kills > 5, `it was killed ${String(kills)} times`)
      t.is(source.stats().dead, 0, 'who carries a job and dies does not use up its attempts')
      await until(() => target.stats().leased === 0)
      t.is(target.stats().ready, 0)
    },
  )
}

test.serial(
  'while the other side is not there, jobs stay where they are, and go when it is',
  async (t) => {
    const [near, far, address] = [queueOf(t), queueOf(t), socketOf(t)]
    const gateway = await gatewayOf(t, {
      host: 'here',
      routes: [
        route(near.name, address, {
          toConnection: { reconnect: { base: 5, cap: 20 } },
          inFlight: 16,
        }),
      ],
    })
    for (let at = 0; at < 500; at++) await near.push(String(at))
    await until(() => only(gateway).error !== undefined)
    t.is(only(gateway).state, 'connecting')
    t.is(near.stats().leased, 0)
    const end = await shared(t, far, address)
    await until(() => only(gateway).delivered > 100)
    await end()
    await until(() => only(gateway).state === 'connecting')
    t.true(near.stats().leased <= 16)
    await shared(t, far, address)
    t.is(new Set(await taken(far, 500)).size, 500)
    await until(() => only(gateway).inFlight === 0)
    t.true(only(gateway).reconnects >= 1)
    t.is(only(gateway).state, 'running')
    t.is(far.stats().ready, 0)
  },
)

test.serial(
  'what the other side does not take is a dead letter with the reason, and keeps nobody waiting',
  async (t) => {
    const near = queueOf(t)
    const small = queueOf(t, { jobs: 16, bytes: 0, dedupWindow: 60_000, groups: 16 })
    const gateway = await gatewayOf(t, {
      host: 'here',
      routes: [route(near.name, small.name)],
    })
    await near.push(new Uint8Array(1000), { group: 'g', id: 'too long' })
    await near.push('short', { group: 'g' })
    t.deepEqual(await taken(small, 1), ['short'])
    const [letter] = near.dead.peek()
    t.is(letter?.id, 'too long')
    t.regex(letter?.error ?? '', /1000 bytes/)
    t.is(only(gateway).dropped, 1)
  },
)

test.serial('an id that a gateway makes has room everywhere', async (t) => {
  const name = `${uniqueName(t)}-${'n'.repeat(180)}`
  const near = WorkQueue.open(name)
  t.teardown(() => {
    near.close()
    WorkQueue.unlink(name)
  })
  const far = queueOf(t)
  const host = 'h'.repeat(64)
  await gatewayOf(t, { host, routes: [route(near.name, far.name)] })
  await near.push('one')
  await near.push('two')
  const ids: string[] = []
  for (const text of ['one', 'two']) {
    const job = await within(patience, far.takeOne())
    t.is(job.copy().toString(), text)
    t.true(job.id!.startsWith(`${host}/`) && job.id!.length < 255, job.id)
    ids.push(job.id!)
    await job.complete()
  }
  t.is(new Set(ids).size, 2)
})

test.serial('a queue that is full is waited for', async (t) => {
  const [near, far, address] = [
    queueOf(t),
    queueOf(t, { jobs: 8, dedupWindow: 60_000 }),
    socketOf(t),
  ]
  await shared(t, far, address)
  const gateway = await gatewayOf(t, {
    host: 'here',
    routes: [route(near.name, address, { inFlight: 4 })],
  })
  for (let at = 0; at < 100; at++) await near.push(String(at))
  await until(() => far.stats().ready === 8)
  await until(() => near.stats().leased === 4)
  t.is(only(gateway).inFlight, 4)
  t.is((await taken(far, 100)).length, 100)
})

if (process.platform === 'linux') {
  for (const side of ['from', 'to'] as const) {
    test.serial(`a queue at '${side}' whose name is taken away is opened anew`, async (t) => {
      const [near, far] = [queueOf(t), queueOf(t)]
      const gateway = await gatewayOf(t, { host: 'here', routes: [route(near.name, far.name)] })
      await near.push('before')
      t.deepEqual(await taken(far, 1), ['before'])
      const old = side === 'from' ? near : far
      WorkQueue.unlink(old.name)
      // By whoever comes first: the route, or this.
      const made = WorkQueue.open(old.name, many)
      t.teardown(() => {
        made.close()
      })
      await until(() => only(gateway).reconnects === 1 && only(gateway).state === 'running')
      const [source, target] = side === 'from' ? [made, far] : [near, made]
      await source.push('after')
      t.deepEqual(await taken(target, 1), ['after'])
      t.is(old.stats().ready + old.stats().leased, 0)
    })
  }

  test.serial('that a queue was removed is said as long as it cannot be opened', async (t) => {
    const [near, far] = [queueOf(t), queueOf(t)]
    const gateway = await gatewayOf(t, { host: 'here', routes: [route(near.name, far.name)] })
    WorkQueue.unlink(far.name)
    await until(() => only(gateway).state === 'failed')
    const { error } = only(gateway)
    t.like(error, { code: 'ERR_MILLRACE_NOT_FOUND' })
    t.regex(error!.message, /^work queue '.*' was removed while the route had it open/)
    await until(() => only(gateway).state === 'running')
  })
}

test.serial('what has come from here does not come back', async (t) => {
  const [far, near, address] = [queueOf(t), queueOf(t), socketOf(t)]
  await shared(t, far, address)
  const gateway = await gatewayOf(t, { host: 'here', routes: [route(address, near.name)] })
  await far.push('mine', { id: `here/${near.name}/1.2.3` })
  // An answer that is called as what it answers is no loop: it comes to another queue.
  await far.push('an answer', { id: 'here/other/1.2.3' })
  await far.push('theirs', { id: `there/${near.name}/1.2.3` })
  t.deepEqual(await taken(near, 2), ['an answer', 'theirs'])
  await until(() => far.stats().completed === 3)
  t.is(only(gateway).loops, 1)
  t.is(near.stats().ready, 0)
})

test.serial(
  'a queue that knows no ids again gets each job at least once, and the route says so',
  async (t) => {
    const [near, far] = [queueOf(t), queueOf(t, {})]
    const gateway = await gatewayOf(t, { host: 'here', routes: [route(near.name, far.name)] })
    t.is(only(gateway).guarantee, 'at-least-once')
  },
)

test.serial(
  'another configuration leaves alone what is in both, ends what is not in it, and starts what is new',
  async (t) => {
    const [a, b, c, d] = [queueOf(t), queueOf(t), queueOf(t), queueOf(t)]
    const first = { ...route(a.name, b.name), name: 'first' }
    const gateway = await gatewayOf(t, {
      host: 'here',
      routes: [first, { ...route(c.name, d.name), name: 'second' }],
    })
    for (let at = 0; at < 10; at++) await a.push(String(at))
    await until(() => gateway.routes[0]!.delivered === 10)
    await t.throwsAsync(gateway.reload({ host: 'here', routes: [first, route(a.name, a.name)] }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /routes\[1\].*same/,
    })
    t.deepEqual(
      gateway.routes.map(({ name, state }) => [name, state]),
      [
        ['first', 'running'],
        ['second', 'running'],
      ],
    )
    await gateway.reload({
      host: 'here',
      routes: [first, { ...route(d.name, c.name), name: 'third' }],
    })
    t.deepEqual(
      gateway.routes.map(({ name, delivered }) => [name, delivered]),
      [
        ['first', 10],
        ['third', 0],
      ],
    )
    await c.push('stays')
    await d.push('goes')
    t.deepEqual((await taken(c, 2)).toSorted(), ['goes', 'stays'])
  },
)

test.serial('a route that changes loses nothing', async (t) => {
  const [near, far, address] = [queueOf(t), queueOf(t), socketOf(t)]
  await shared(t, far, address)
  const gateway = await gatewayOf(t, { host: 'here', routes: [route(near.name, address)] })
  const pushing = (async () => {
    for (let at = 0; at < 2000; at++) await near.push(String(at), { group: 'g' })
  })()
  const taking = taken(far, 2000)
  for (let inFlight = 1; inFlight < 5; inFlight++) {
    const before = far.stats().pushed
    await until(() => far.stats().pushed > before + 50)
    await gateway.reload({ host: 'here', routes: [route(near.name, address, { inFlight })] })
  }
  await pushing
  t.deepEqual(
    await taking,
    Array.from({ length: 2000 }, (_, at) => String(at)),
  )
})

test.serial(
  'a gateway that drains lets what is on its way arrive, and gives back the rest',
  async (t) => {
    const [near, far, address] = [
      queueOf(t),
      queueOf(t, { jobs: 8, dedupWindow: 60_000 }),
      socketOf(t),
    ]
    await shared(t, far, address)
    const gateway = await gatewayOf(t, {
      host: 'here',
      drainTimeout: 50,
      routes: [route(near.name, address, { inFlight: 8 })],
    })
    for (let at = 0; at < 100; at++) await near.push(String(at))
    await until(() => far.stats().ready === 8 && near.stats().leased === 8)
    await within(patience, gateway.drain())
    t.is(only(gateway).state, 'closed')
    t.is(near.stats().leased, 0)
    t.is(near.stats().ready + far.stats().ready, 100)
    t.is(near.dead.length, 0)
  },
)

const wrong: readonly (readonly [what: string, routes: readonly unknown[], message: RegExp])[] = [
  [
    'the same place at both sides',
    [{ kind: 'work', from: 'a', to: 'shm://a' }],
    /routes\[0\].*same/,
  ],
  [
    'a circle',
    [
      { kind: 'work', from: 'a', to: 'b' },
      { kind: 'work', from: 'b', to: 'c' },
      { kind: 'work', from: 'c', to: 'a' },
    ],
    /circle/,
  ],
  [
    'two of one name',
    [
      { kind: 'work', from: 'a', to: 'b', name: 'x' },
      { kind: 'work', from: 'a', to: 'c', name: 'x' },
    ],
    /called "x"/,
  ],
  ['no such kind', [{ kind: 'jobs', from: 'a', to: 'b' }], /kind must be/],
  [
    'no certificate where calls are served',
    [{ kind: 'calls', from: 'tls://127.0.0.1:0', to: 'unix:///tmp/calls' }],
    /listens at 'tls:\/\/127\.0\.0\.1:0'.*give fromConnection: \{ tls: \{ key, cert/,
  ],
  [
    'no certificate where frames come',
    [
      {
        ...{ kind: 'frames', from: 'tls://127.0.0.1:1', to: 'a', toChannel: { slotBytes: 64 } },
        fromConnection: { tls: { ca: 'of others' } },
      },
    ],
    /give fromConnection: \{ tls/,
  ],
  [
    'no certificate where frames are fetched',
    [{ kind: 'frames', from: 'a', to: 'tls://127.0.0.1:1', listen: true }],
    /give toConnection: \{ tls/,
  ],
  [
    'no certificate for a server of gRPC',
    [{ kind: 'calls', from: 'grpcs://127.0.0.1:1/calc', to: 'unix:///tmp/calls' }],
    /'grpcs:\/\/127\.0\.0\.1:1\/calc'.*fromConnection/,
  ],
  ['no such option', [{ kind: 'work', from: 'a', to: 'b', depth: 1 }], /depth/],
  ['no place', [{ kind: 'work', from: 'a' }], /to must be/],
  ['too much on its way', [{ kind: 'work', from: 'a', to: 'b', inFlight: 1e6 }], /inFlight/],
]
for (const [what, routes, message] of wrong) {
  test.serial(`refused before anything is done: ${what}`, async (t) => {
    await t.throwsAsync(Gateway.start({ host: 'here', routes } as unknown as GatewayConfig), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message,
    })
  })
}

test.serial('a queue that forgets ids too early is refused', async (t) => {
  const [near, far] = [queueOf(t), queueOf(t, { dedupWindow: 60_000, dedupIds: 256 })]
  await t.throwsAsync(Gateway.start({ host: 'here', routes: [route(near.name, far.name)] }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /dedupIds of 512/,
  })
})
