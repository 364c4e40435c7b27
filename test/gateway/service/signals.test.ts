// A gateway as a service: what it tells of its life, and what signals do.

import { createServer, type AddressInfo } from 'node:net'
import test, { type ExecutionContext } from 'ava'
import { list } from 'millrace'
import { WorkQueue, type Share } from 'millrace/work'

import { command, start } from '../../cli/run.js'
import { uniqueName } from '../../support/names.js'
import { until } from '../../support/until.js'
import { RunningGateway } from './running.js'

interface Ends {
  readonly from: WorkQueue
  readonly to: WorkQueue
  readonly share: Share
  readonly route: { readonly kind: 'work'; readonly from: string; readonly to: string }
}

/** A queue of this machine, and one that is shared by an address, with room for so many jobs. */
async function ends(t: ExecutionContext, jobs = 1024): Promise<Ends> {
  const [near, far] = [uniqueName(t, { mayLeave: true }), uniqueName(t, { mayLeave: true })]
  const from = WorkQueue.open(near, { dedupWindow: 60_000 })
  const to = WorkQueue.open(far, { jobs, dedupWindow: 60_000 })
  const share = await to.share('tcp://127.0.0.1:0')
  t.teardown(async () => {
    from.close()
    await share.close()
    to.close()
  })
  return { from, to, share, route: { kind: 'work', from: near, to: share.address } }
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  test(`${signal} drains, and ends with 0`, async (t) => {
    const { from, to, route } = await ends(t)
    const gateway = new RunningGateway(t, { routes: [{ ...route, name: 'jobs' }] })
    await gateway.told('up')
    for (let i = 0; i < 20; i++) await from.push(`job ${String(i)}`)
    await until(() => to.stats().ready === 20)
    gateway.kill(signal)
    const { code, out } = await gateway.ended
    t.is(code, 0, gateway.text)
    t.is(out.toString(), '')
    t.deepEqual(
      gateway.events.filter((event) => event !== 'waiting').sort(),
      ['draining', 'ready', 'starting', 'stopped', 'up'],
      gateway.text,
    )
    const up = gateway.records.find(({ event }) => event === 'up')
    t.like(up, { route: 'jobs', level: 'info', guarantee: 'exactly-once' })
    t.regex(up!.msg, /, exactly once$/)
    t.true(new Date(up!.time) <= new Date())
  })
}

/**
 * What is run before the command: as soon as somebody listens to all three, these signals come, and it is said how much of the library was
 * loaded by then.
 */
function signalsAtOnce(signals: readonly NodeJS.Signals[]): NodeJS.ProcessEnv {
  const program = `
    import { createRequire } from 'node:module'
    const { on } = process
    let isDone = false
    process.on = function (name, listener) {
      on.call(process, name, listener)
      if (name !== 'SIGTERM' || isDone) return process
      isDone = true
      const { cache } = createRequire('/x.js')
      console.log(Object.keys(cache).filter((file) => /dist.cjs/.test(file)).length)
      for (const signal of ${JSON.stringify(signals)}) process.kill(process.pid, signal)
      return process
    }`
  const spoken = `data:text/javascript,${encodeURIComponent(program)}`
  return { NODE_OPTIONS: `--import=${spoken}` }
}

test('signals that come before the gateway is loaded are not lost, and end nobody', async (t) => {
  const { route } = await ends(t)
  const start = (...signals: readonly NodeJS.Signals[]): RunningGateway =>
    new RunningGateway(t, { routes: [route] }, { env: signalsAtOnce(signals) })
  const reloads = start('SIGHUP', 'SIGHUP')
  await reloads.told('reloaded')
  t.true(reloads.events.indexOf('ready') < reloads.events.indexOf('reloading'), reloads.text)
  reloads.kill('SIGTERM')
  const { code, out } = await reloads.ended
  t.deepEqual([code, out.toString()], [0, '0\n'], reloads.text)

  // Node tells in a turn of its loop, by which the gateway may have begun to start.
  const drained = start('SIGTERM')
  t.is((await drained.ended).code, 0, drained.text)
  const endsAtOnce = start('SIGTERM', 'SIGTERM')
  t.is((await endsAtOnce.ended).code, 143, endsAtOnce.text)
})

test('what cannot arrive goes back when the time to drain is over; a second signal does not wait for that', async (t) => {
  const { from, to, route } = await ends(t, 1)
  for (const drainTimeout of [50, 600_000]) {
    const gateway = new RunningGateway(t, { drainTimeout, routes: [route] })
    await gateway.told('ready')
    await from.push('one')
    await from.push('two')
    // The far queue has room for one: the other is on its way.
    await until(() => to.stats().ready === 1 && from.stats().leased >= 1)
    gateway.kill('SIGTERM')
    await gateway.told('draining')
    if (drainTimeout > 1000) gateway.kill('SIGTERM')
    const { code } = await gateway.ended
    t.is(code, drainTimeout > 1000 ? 143 : 0, gateway.text)
    t.is(gateway.events.includes('stopped'), drainTimeout < 1000)
    await until(() => from.stats().leased === 0)
    t.is(from.stats().ready + to.stats().ready, 2)
    for (const queue of [from, to])
      while (queue.stats().ready > 0) (await queue.takeOne()).complete()
  }
})

test('SIGHUP takes what is new, and no job is lost or comes twice', async (t) => {
  const one = await ends(t)
  const two = await ends(t)
  const route = { ...one.route, name: 'one' }
  const gateway = new RunningGateway(t, { routes: [route] })
  await gateway.told('up')
  const jobs = 200
  for (let i = 0; i < jobs; i++) {
    await one.from.push(`job ${String(i)}`)
    if (i === 50) {
      gateway.write({ routes: [route, { ...two.route, name: 'two' }] })
      gateway.kill('SIGHUP')
    }
    if (i === 150) {
      await gateway.told('reloaded')
      gateway.write({
        routes: [
          { ...route, inFlight: 3 },
          { ...two.route, name: 'two' },
        ],
      })
      gateway.kill('SIGHUP')
    }
  }
  await gateway.told('reloaded', 2)
  await two.from.push('of the second')
  await until(() => one.to.stats().ready === jobs && two.to.stats().ready === 1)
  const got = new Set<string>()
  for (let i = 0; i < jobs; i++) {
    const job = await one.to.takeOne()
    got.add(Buffer.from(job.bytes).toString())
    job.complete()
  }
  t.is(got.size, jobs)
  // The other side has a job an instant before it is done here.
  await until(() => one.from.stats().ready + one.from.stats().leased === 0)
  t.is(one.to.stats().ready, 0)
  t.false(gateway.events.includes('down'), gateway.text)
  gateway.write({ routes: [{ ...two.route, name: 'two' }] })
  gateway.kill('SIGHUP')
  t.is((await gateway.told('removed')).route, 'one')
  gateway.kill('SIGTERM')
  t.is((await gateway.ended).code, 0, gateway.text)
})

test('a storm of SIGHUP with another configuration each time loses nothing, and nothing comes twice', async (t) => {
  const { from, to, route } = await ends(t, 4096)
  const configured = (inFlight: number) => ({ routes: [{ ...route, name: 'jobs', inFlight }] })
  const gateway = new RunningGateway(t, configured(16))
  await gateway.told('up')
  const jobs = 2000
  const pushed = (async () => {
    for (let i = 0; i < jobs; i++) await from.push(`job ${String(i)}`)
  })()
  for (let i = 0; i < 100; i++) {
    gateway.write(configured(16 + i))
    gateway.kill('SIGHUP')
    await new Promise((next) => setTimeout(next, 5))
  }
  await pushed
  const got = new Set<string>()
  for (let i = 0; i < jobs; i++) {
    const job = await to.takeOne({ timeout: 60_000 })
    got.add(Buffer.from(job.bytes).toString())
    job.complete()
  }
  t.is(got.size, jobs)
  await until(() => from.stats().ready + from.stats().leased === 0)
  t.is(to.stats().ready, 0)
  gateway.kill('SIGTERM')
  t.is((await gateway.ended).code, 0, gateway.text)
  t.false(gateway.events.includes('reload-refused'), gateway.text)
})

test('a new configuration that is wrong is told, and the old one goes on', async (t) => {
  const { from, to, route } = await ends(t)
  const gateway = new RunningGateway(t, { routes: [route] })
  await gateway.told('up')
  gateway.write(`routes:\n  - { kind: work, from: a, too: b }\n`)
  gateway.kill('SIGHUP')
  const { findings, level } = await gateway.told('reload-refused')
  t.is(level, 'error')
  t.deepEqual(
    findings?.map((finding) => finding.slice(gateway.file.length, gateway.file.length + 6)),
    [':2:5: ', ':2:28:'],
  )
  await from.push('still')
  await until(() => to.stats().ready === 1)
  t.notRegex(gateway.text, /"event":"(?:down|removed|reloaded)"/)
  gateway.kill('SIGTERM')
  t.is((await gateway.ended).code, 0)
})

test('a route whose far side goes is told to be down, with why, and up when it is back', async (t) => {
  const { to, share, route } = await ends(t)
  const gateway = new RunningGateway(t, {
    routes: [{ ...route, name: 'jobs', toConnection: { reconnect: { base: 5, cap: 20 } } }],
  })
  await gateway.told('up')
  await share.close()
  const { error, route: name } = await gateway.told('down')
  t.is(name, 'jobs')
  t.regex(error?.message ?? '', /\S/)
  const again = await to.share(share.address)
  t.teardown(() => again.close())
  await gateway.told('up', 2)
  gateway.kill('SIGTERM')
  t.is((await gateway.ended).code, 0)
})

test('why a route does not run is told once, however often it is opened anew', async (t) => {
  const { route } = await ends(t)
  const gateway = new RunningGateway(
    t,
    { routes: [{ ...route, name: 'jobs', toQueue: { maxAttempts: 77 } }] },
    { args: ['--http', '0'] },
  )
  const url = await gateway.url()
  await gateway.told('waiting')
  await until(async () => {
    const answer = await fetch(`${url}/status`)
    const { routes } = (await answer.json()) as {
      readonly routes: readonly { readonly reconnects: number }[]
    }
    return (routes[0]?.reconnects ?? 0) >= 4
  }, 60_000)
  const waiting = gateway.records.filter(({ event }) => event === 'waiting')
  t.deepEqual(
    waiting.map(({ error }) => error?.code),
    ['ERR_MILLRACE_GEOMETRY'],
    gateway.text,
  )
})

test('it is ready when the first connections were tried, also in vain', async (t) => {
  const server = createServer()
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address() as AddressInfo
  await new Promise((done) => server.close(done))
  const to = `tcp://127.0.0.1:${String(port)}`
  const gateway = new RunningGateway(t, {
    routes: [{ kind: 'work', name: 'jobs', from: uniqueName(t), to }],
  })
  const { msg } = await gateway.told('ready')
  t.regex(msg, /0 of 1 route up; not jobs: connecting \(nobody listens at/)
  t.is((await gateway.told('waiting')).error?.code, 'ERR_MILLRACE_UNREACHABLE')
  gateway.kill('SIGTERM')
  t.is((await gateway.ended).code, 0)
})

test('--check judges and starts nothing; a wrong configuration ends with 2, each finding in a line', async (t) => {
  const name = uniqueName(t)
  const gateway = new RunningGateway(
    t,
    { routes: [{ kind: 'topics', name: 'all of it', from: name, to: 'tcp://127.0.0.1:1' }] },
    { args: ['--check'] },
  )
  const right = await gateway.ended
  t.deepEqual(
    [right.code, right.err, right.out.toString()],
    [
      0,
      '',
      [
        `KIND    FROM${' '.repeat(name.length - 2)}TO                 NAME`,
        `topics  ${name}  tcp://127.0.0.1:1  all of it`,
        '',
      ].join('\n'),
    ],
  )
  for (const args of [['--check'], []]) {
    gateway.write('routes: 3\nhttp: here\n')
    const { code, err, out } = await start(command, ['gateway', gateway.file, ...args]).ended
    t.is(code, 2)
    t.is(out.toString(), '')
    t.regex(err, /^\S+:1:9: routes must be a list of routes, not 3\n\S+:2:7: http must be .*\n$/)
  }
})

test('records are as many, and in the form, that was asked for; what becomes of channels is among them', async (t) => {
  const name = uniqueName(t)
  const route = { kind: 'work', name: 'jobs', from: name, to: 'tcp://127.0.0.1:1' }
  const run = async (...args: readonly string[]): Promise<string> => {
    const gateway = new RunningGateway(t, { routes: [route] }, { args })
    // Of what is less important nothing is told: it is ready when it has the channel.
    await until(() => list({ prefix: name }).length > 0, 60_000)
    if (!args.includes('error')) await until(() => gateway.text.includes('ready'), 60_000)
    gateway.kill('SIGTERM')
    t.is((await gateway.ended).code, 0, gateway.text)
    return gateway.text
  }
  const all = (await run('--log-level', 'debug')).trim().split('\n')
  const records = all.map((line) => JSON.parse(line) as Record<string, unknown>)
  const opened = records.find(({ event }) => event === 'opened')
  t.like(opened, { level: 'debug', channel: name, kind: 'work', msg: `work '${name}': was opened` })
  const text = await run('--log-format', 'text')
  t.regex(text, /^\d\d:\d\d:\d\d ● gateway: is ready, /m)
  t.false(text.includes('was opened') || text.includes('\u001b'))
  t.is(await run('--log-level', 'error'), '')
})

test('wrong usage is said, and ends with 2', async (t) => {
  for (const [args, said] of [
    [[], /gateway wants a file of configuration/],
    [['a', 'b'], /unexpected argument 'b'/],
    [
      ['a', '--http', 'x:y'],
      /--http must be HOST:PORT, as in 127\.0\.0\.1:9464, or a port, not 'x:y'/,
    ],
    [['a', '--log-level', 'all'], /--log-level must be one of debug, info, warn, error, not 'all'/],
    [['a', '--log-format', 'xml'], /--log-format must be json or text, not 'xml'/],
  ] as const) {
    const { code, err } = await start(command, ['gateway', ...args]).ended
    t.is(code, 2)
    t.regex(err, said)
  }
  const { code, out } = await start(command, ['gateway', '--help']).ended
  t.is(code, 0)
  t.regex(out.toString(), /^Usage: millrace gateway CONFIG/)
})
