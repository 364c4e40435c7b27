// Commands that run for long, as a supervisor starts them: with --log-level or --log-format standard error has records alone.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { SpscQueue } from 'millrace'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { command, start } from './run.js'

const patience = 60_000

interface Told {
  readonly time: string
  readonly level: string
  readonly event: string
  readonly msg: string
  readonly pid: number
  readonly [field: string]: unknown
}

/** Each line is a record, or this fails. */
function records(text: string): Told[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Told)
}

/** A command that is running, and what it has told so far. */
function told(...args: string[]) {
  const { child, ended } = start(command, [...args, '--log-format', 'json'])
  let text = ''
  child.stderr!.on('data', (chunk: Buffer) => (text += chunk.toString()))
  const whole = () => records(text.slice(0, text.lastIndexOf('\n') + 1))
  const has = (event: string) => until(() => whole().some((one) => one.event === event), patience)
  return { child, ended, has, records: whole }
}

test('export and dashboard say where they listen, and how they ended; nobody learns the token', async (t) => {
  const name = uniqueName(t)
  const page = told('export', name, '--http', '0')
  await page.has('listening')
  const [listening] = page.records()
  t.is((await fetch(String(listening!['url']))).status, 200)
  t.is(listening!.pid, page.child.pid!)
  page.child.kill('SIGTERM')
  t.is((await page.ended).code, 0)
  t.like(page.records().at(-1), { level: 'info', event: 'stopped', code: 0 })

  const dashboard = told('dashboard', name, '--json')
  await dashboard.has('listening')
  dashboard.child.kill('SIGTERM')
  const { out, err } = await dashboard.ended
  const { url, port } = JSON.parse(out.toString()) as { url: string; port: number }
  t.is(dashboard.records()[0]!['port'], port)
  t.false(err.includes(new URL(url).searchParams.get('token')!))
})

test('a recording that loses its file: what it did, and why it failed', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using producer = SpscQueue.producer(name)
  const file = join(ownDirectory(t), 'some.mcap')
  const recorder = told('record', name, '-o', file)
  await recorder.has('recording')
  rmSync(file)
  const timer = setInterval(() => producer.tryPush('x') && consumer.tryPop(), 5)
  const { code, out } = await recorder.ended
  clearInterval(timer)
  t.is(code, 1)
  t.regex(out.toString(), /^queue .*: \d+ recorded, /)
  t.deepEqual(
    recorder
      .records()
      .map(({ event, level }) => [event, level])
      .filter(([event]) => event !== 'dropped'),
    [
      ['recording', 'info'],
      ['recorded', 'info'],
      ['failed', 'error'],
      ['stopped', 'info'],
    ],
  )
  t.like(recorder.records().at(-2), { error: { code: 'ERR_MILLRACE_NOT_FOUND' } })
})

test('what becomes of channels is told, too', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const receiver = told('recv', name, '--log-level', 'debug')
  await receiver.has('opened')
  const sender = start(command, ['send', name])
  sender.child.stdin!.write('some')
  let out = ''
  receiver.child.stdout!.on('data', (chunk: Buffer) => (out += chunk.toString()))
  await until(() => out === 'some', patience)
  sender.child.kill('SIGKILL')
  t.is((await receiver.ended).code, 1)
  t.like(
    receiver.records().find(({ event }) => event === 'peer-gone'),
    { level: 'warn', channel: name, kind: 'queue', peer: sender.child.pid },
  )
  t.like(
    receiver.records().find(({ event }) => event === 'failed'),
    { error: { code: 'ERR_MILLRACE_PEER_GONE' } },
  )
})

test('levels leave out what is less important; without these options nothing has changed', async (t) => {
  const name = uniqueName(t)
  const run = async (...args: string[]) => (await start(command, args).ended).err
  t.is(
    await run('tail', name),
    `millrace: '${name}' does not exist (yet); start the process that creates it (ERR_MILLRACE_NOT_FOUND)\n`,
  )
  const [failed, ...others] = records(await run('tail', name, '--log-level', 'error'))
  t.like(failed, { level: 'error', event: 'failed', error: { code: 'ERR_MILLRACE_NOT_FOUND' } })
  t.deepEqual(others, [])
  t.regex(await run('tail', name, '--log-format', 'text'), /^\d\d:\d\d:\d\d ✖ failed: 'test-.*\n/)
  for (const args of [
    ['send', name],
    ['work', 'take', name],
    ['replay', 'x'],
    ['call', name],
  ]) {
    const { code, err } = await start(command, [...args, '--log-level', 'all'], Buffer.of()).ended
    t.is(code, 2)
    t.regex(err, /--log-level must be one of debug, info, warn, error, not 'all'/, args.join(' '))
  }
})
