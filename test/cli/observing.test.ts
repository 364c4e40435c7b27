// `millrace stat`, `top` and `export`: what is seen of channels that others use.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { SpscQueue } from 'millrace'
import { observe } from 'millrace/telemetry'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { command, start } from './run.js'

async function millrace(...args: string[]) {
  const { code, out, err } = await start(command, args).ended
  return { code, out: out.toString(), err }
}

test('stat: all that is seen of a channel, for people and as JSON', async (t) => {
  const name = uniqueName(t)
  using bus = Topics.open(name)
  const subscription = await bus.subscribe('a.*')
  await bus.publish('a.b', 'x')
  const shown = await millrace('stat', name)
  t.is(shown.code, 0, shown.err)
  t.true(shown.out.startsWith(`topics ${name}\n  state             in use\n`), shown.out)
  t.regex(shown.out, new RegExp(`^  held by +user ${String(process.pid)}$`, 'm'))
  t.regex(shown.out, /^ {2}published +1$/m)
  t.regex(shown.out, /^SUBSCRIPTION {2}NAME +PID {2}LAG {2}RECEIVED {2}MISSED$/m)
  t.regex(shown.out, new RegExp(`^ +0 {2}a\\.\\* +${String(process.pid)} +1 +0 +0$`, 'm'))
  const [seen] = JSON.parse((await millrace('stat', name, '--json')).out) as [object]
  t.like(seen, { kind: 'topics', name, figures: { published: 1, subscriptions: 1 } })
  subscription.close()

  const none = await millrace('stat', `${name}-none`)
  t.deepEqual([none.code, none.out], [1, ''])
  t.regex(none.err, /^millrace: there is no channel '.*-none' here: 'millrace ls' lists all\n$/)
  t.is((await millrace('stat')).code, 2)
  t.is((await millrace('stat', 'a', 'b')).code, 2)
})

test('top: what goes through channels between two looks, the busiest first, in 80 columns', async (t) => {
  const name = uniqueName(t)
  const rings = [`${name}-idle`, `${name}-busy-${'x'.repeat(30)}`].map((ring) => ({
    consumer: SpscQueue.consumer(ring, { capacity: 2 ** 16 }),
    producer: SpscQueue.producer(ring),
  }))
  const [idle, busy] = rings
  idle!.producer.tryPush('one')
  const timer = setInterval(() => {
    busy!.producer.tryPush('x')
    busy!.consumer.drain(() => undefined)
  }, 1)
  const shown = await millrace('top', name, '--once', '--interval', '300')
  const rows = JSON.parse(
    (await millrace('top', name, '--once', '--json', '--sort', 'name')).out,
  ) as { name: string; in: number; depth: number; peers: number }[]
  clearInterval(timer)
  t.is(shown.code, 0, shown.err)
  const [heading, first, second] = shown.out.split('\n')
  t.regex(heading!, /^KIND +NAME +IN\/S +OUT\/S +DEPTH +OLDEST +HAND +DROPS\/S +PEERS$/)
  t.true([heading, first, second].every((line) => line!.length <= 80))
  t.regex(first!, /^queue +test-.*… +[\d.]+k? +[\d.]+k? +\d+ +- +- +- +2$/)
  t.regex(second!, /-idle +0 +0 +1 +- +- +- +2$/)
  t.deepEqual(
    rows.map((row) => [row.name, row.in > 0, row.depth > 0, row.peers]),
    [
      [`${name}-busy-${'x'.repeat(30)}`, true, rows[0]!.depth > 0, 2],
      [`${name}-idle`, false, true, 2],
    ],
  )
  for (const { consumer, producer } of rings) {
    consumer.drain(() => undefined)
    producer.close()
    consumer.close()
  }
  t.is((await millrace('top', name, '--once', '--interval', '100')).out, 'nothing there\n')
  for (const wrong of [
    ['--sort', 'speed'],
    ['--interval', '1'],
    ['a', 'b'],
    ['--limit', '0'],
  ]) {
    t.is((await millrace('top', ...wrong)).code, 2, wrong.join(' '))
  }
})

test('top goes on until it is told to end', async (t) => {
  const name = uniqueName(t)
  using _ = SpscQueue.consumer(name)
  const running = start(command, ['top', name, '--interval', '100'])
  let tables = 0
  running.child.stdout!.on('data', (chunk: Buffer) => {
    tables += chunk.toString().split('KIND').length - 1
  })
  await until(() => tables >= 3, 60_000)
  running.child.kill('SIGINT')
  const { code } = await running.ended
  t.is(code, 130)
})

test('export: at once, as a page, and into a file that is always whole', async (t) => {
  const name = uniqueName(t)
  using _ = SpscQueue.consumer(name, { capacity: 4096 })
  const line = `millrace_queue_messages{channel="${name}",kind="queue"} 0`
  const once = await millrace('export', name, '--once')
  t.is(once.code, 0, once.err)
  t.true(once.out.split('\n').includes(line))

  const server = start(command, ['export', name, '--http', '0'])
  let url = ''
  server.child.stderr!.on('data', (chunk: Buffer) => (url += chunk.toString()))
  await until(() => url.endsWith('\n'), 60_000)
  const page = await fetch(url.trim())
  t.is(page.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  t.true((await page.text()).split('\n').includes(line))
  t.is((await fetch(new URL('/', url.trim()))).status, 404)
  server.child.kill('SIGTERM')
  t.is((await server.ended).code, 0)

  const folder = mkdtempSync(join(tmpdir(), `millrace-export-${String(process.pid)}-`))
  t.teardown(() => {
    rmSync(folder, { recursive: true })
  })
  const file = join(folder, 'millrace.prom')
  const writer = start(command, ['export', name, '--file', file, '--interval', '100'])
  await until(() => readdirSync(folder).includes('millrace.prom'), 60_000)
  t.true(readFileSync(file, 'utf8').split('\n').includes(line))
  writer.child.kill('SIGTERM')
  await writer.ended
  t.deepEqual(readdirSync(folder), ['millrace.prom'])

  const nowhere = await millrace('export', '--file', join(folder, 'none', 'x'))
  t.is(nowhere.code, 1)
  t.regex(nowhere.err, /--file .*ENOENT/)
  for (const wrong of [[], ['--once', '--http', '1'], ['--http', 'here'], ['--once', 'a', 'b']]) {
    t.is((await millrace('export', ...wrong)).code, 2, wrong.join(' '))
  }
})

test('names that nobody gave by this library reach no terminal as they are, and hide no others', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const files = ['q', 'j', 'l'].map((letter) => `/dev/shm/millrace.${letter}.${name}\u001b[2J\n\tx`)
  for (const file of files) writeFileSync(file, '', { mode: 0o600 })
  t.teardown(() => {
    for (const file of files) rmSync(file, { force: true })
  })
  using jobs = WorkQueue.open(name)
  await jobs.push('a')
  for (const args of [
    ['top', name, '--once', '--interval', '100'],
    ['ls', name],
    ['ps', name],
  ]) {
    const { code, out, err } = await millrace(...args)
    t.is(code, 0, err)
    // eslint-disable-next-line no-control-regex -- these are what is looked for
    t.notRegex(out, /[\u0000-\u0009\u000b-\u001f]/, args[0])
    t.true(out.split('\n').length <= 6, out)
  }
  t.regex((await millrace('top', name, '--once', '--interval', '100')).out, /\\u\{1b\}/)
  t.deepEqual(
    observe({ prefix: name }).map(({ kind }) => kind),
    ['queue', 'work', 'work'],
  )
  const listed = await millrace('work', 'ls', name)
  t.deepEqual([listed.code, listed.out.trimEnd().split('\n').length], [0, 2], listed.err)
  for (const job of await jobs.takeBatch(1)) job.complete()
})
