// How long calls take, counted where it can be read from outside: true to a clock beside, however the bytes travel, only by those who were asked,
// and also when all are dead.

import test from 'ava'
import { call, connect, contract, serve, type Connected } from 'millrace/rpc'
import { familiesOf, observe, percentile, prometheusText, type Latency } from 'millrace/telemetry'

import { command, start } from '../cli/run.js'
import { calc, connected, handlers, serving } from '../rpc/open.js'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { until } from '../support/until.js'

/** Of so many one is measured. */
const every = 64
const stats = { stats: true } as const

function latencyOf(name: string, side: Latency['side']): Latency | undefined {
  return observe({ name })[0]!.latencies.find((latency) => latency.side === side)
}
const countOf = (name: string, side: Latency['side']): number =>
  (latencyOf(name, side)?.buckets ?? []).reduce((sum, { count }) => sum + count, 0)
const now = (): number => Number(process.hrtime.bigint()) / 1e6

test('both times are true to a clock beside them, to a quarter', async (t) => {
  const name = uniqueName(t)
  let began = 0
  let done = 0
  const echo = async (value: unknown) => {
    began = now()
    await until(() => now() > began + 30)
    done = now()
    return value
  }
  await serving(t, name, { echo }, stats)
  const client = await connected(t, name, stats)
  const asking = now()
  t.is(await client.echo('x'), 'x')
  const heard = now()
  const called = latencyOf(name, 'client')!
  const served = latencyOf(name, 'server')!
  t.is(countOf(name, 'client'), 1)
  t.is(countOf(name, 'server'), 1)
  t.true(called.milliseconds >= done - began && called.milliseconds <= heard - asking)
  t.true(served.milliseconds >= done - began && served.milliseconds <= called.milliseconds)
  for (const latency of [called, served]) {
    const bound = percentile(latency, 0.99)!
    t.true(bound > latency.milliseconds && bound * (3 / 4) <= latency.milliseconds)
  }
})

const askers = { nobody: [], 'the client': ['client'], 'the server': ['server'] }
for (const [who, asked] of Object.entries<readonly string[]>(askers)) {
  test(`if ${who} was asked, nobody else counts, and all work side by side`, async (t) => {
    const name = uniqueName(t)
    await serving(t, name, {}, { stats: asked.includes('server') })
    const client = await connected(t, name, { stats: asked.includes('client') })
    for (let i = 0; i < 2 * every; i++) t.is(await client.echo(i), i)
    for (const side of ['client', 'server'] as const)
      t.is(countOf(name, side), asked.includes(side) ? every + 1 : 0)
    const text = prometheusText(familiesOf(observe({ name })))
    t.is(text.includes('millrace_message_latency_seconds'), asked.includes('client'))
    t.is(text.includes('millrace_service_seconds'), asked.includes('server'))
  })
}

const raw = contract('raw', { echo: call<Uint8Array, Uint8Array>() }, { codec: 'bytes' })
const ways: Record<
  string,
  (client: Connected<typeof raw>, length: number) => Promise<{ readonly length: number }>
> = {
  'short ones': (client) => client.echo(new Uint8Array(8)),
  'long ones': (client) => client.echo(new Uint8Array(100_000)),
  'loans, in place': async (client) => {
    using loan = await client.echo.loan(10_000)
    using result = await loan.call({ inPlace: true })
    return { length: result.length }
  },
}
for (const [how, ask] of Object.entries(ways)) {
  test(`one of 64 is measured: ${how}`, async (t) => {
    const name = uniqueName(t)
    const server = await serve(
      name,
      raw,
      {
        async echo(given, context) {
          if (given.length !== 10_000) return given
          const loan = await context.loan(given.length)
          return loan
        },
      },
      stats,
    )
    t.teardown(() => server[Symbol.asyncDispose]())
    const client = await connect(name, raw, stats)
    t.teardown(() => {
      client.close()
    })
    for (let i = 0; i < 2 * every; i++) {
      t.true((await ask(client, i)).length >= 8)
      const wanted = i < every ? 1 : every + 1
      if (i % every !== 0) continue
      t.is(countOf(name, 'client'), wanted)
      await until(() => countOf(name, 'server') === wanted)
    }
  })
}

test('a call that its caller gave up is not counted, and the next one stands for its own', async (t) => {
  const name = uniqueName(t)
  const given = new AbortController()
  const server = await serving(
    t,
    name,
    {
      echo: (value, { signal }) => {
        if (value !== 'never') return value
        given.abort()
        return new Promise((resolve) => {
          signal.addEventListener('abort', resolve)
        })
      },
    },
    stats,
  )
  const client = await connected(t, name, stats)
  await t.throwsAsync(client.echo('never', { signal: given.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  await until(() => server.atWork === 0)
  t.is(countOf(name, 'client'), 0)
  t.is(countOf(name, 'server'), 0)
  for (let i = 0; i < every; i++) t.is(await client.echo(i), i)
  t.is(countOf(name, 'client'), every)
  t.is(countOf(name, 'server'), every)
})

test('two processes; what they counted is there when both were killed, and is shown by stat and by export', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const fixture = new URL('./fixtures/measured-calls.js', import.meta.url)
  const server = run(t, fixture, [name, 'server'])
  t.is(await server.next(), 'serving')
  const client = run(t, fixture, [name, 'client', '200'])
  t.is(await client.next(), 'heard')
  await client.kill()
  await server.kill()
  t.is(countOf(name, 'client'), 3 * every + 1)
  t.is(countOf(name, 'server'), 3 * every + 1)
  const told = await start(command, ['stat', name]).ended
  t.is(told.code, 0, told.err)
  t.regex(told.out.toString(), /\nclient +0 +193 +\d.* ≤/)
  t.regex(told.out.toString(), /\nserver +0 +193 +\d.* ≤/)
  const exported = await start(command, ['export', '--once', '--histograms', name]).ended
  const lines = exported.out.toString().split('\n')
  const labels = (side: string) => `{channel="${name}",kind="calls",side="${side}"`
  t.true(lines.includes(`millrace_message_latency_seconds_count${labels('client')}} 193`))
  t.true(lines.includes(`millrace_service_seconds_count${labels('server')}} 193`))
})

test('stats is true or false, said before anything is opened, and nothing for calls elsewhere', async (t) => {
  const name = uniqueName(t)
  const wrong = { stats: 1 } as never
  const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /stats must be true or false/ }
  await t.throwsAsync(serve(name, calc, handlers, wrong), refused)
  await t.throwsAsync(connect(name, calc, wrong), refused)
  t.deepEqual(observe({ name }), [])
  const elsewhere = { code: 'ERR_MILLRACE_UNSUPPORTED', message: /`stats` of calls at 'tcp:/ }
  await t.throwsAsync(serve('tcp://127.0.0.1:0', calc, handlers, stats), elsewhere)
  await t.throwsAsync(connect('tcp://127.0.0.1:1', calc, stats), elsewhere)
})
