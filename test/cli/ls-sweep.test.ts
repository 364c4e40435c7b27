// `millrace ls` and `millrace sweep`.

import { closeSync, openSync, rmSync } from 'node:fs'
import test from 'ava'
import type { ObjectEntry, SweepResult } from 'millrace'
import { SpscQueue } from 'millrace'
import { formatHolders } from '#lib/cli/objects.js'
import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { command, start } from './run.js'

async function millrace(...args: string[]) {
  const { code, out, err } = await start(command, args).ended
  return { code, out: out.toString(), err }
}

test.serial(
  'promise: rubbish – ls shows who is on what, sweep removes what nobody holds',
  async (t) => {
    const name = uniqueName(t)
    const victim = actor(t)
    const pid = await victim.do(({ SpscQueue, own }, name) => {
      own['both'] = [SpscQueue.producer(`${name}.a`), SpscQueue.producer(`${name}.b`)]
      return process.pid
    }, name)
    using consumer = SpscQueue.consumer(`${name}.b`)
    await victim.kill()

    const shown = await millrace('ls', name)
    t.is(shown.code, 0, shown.err)
    const [heading, ...rows] = shown.out.trimEnd().split('\n')
    t.regex(heading!, /^KIND +NAME +STATE +SIZE +LAYOUT +AGE +CREATOR +HELD BY$/)
    const row = (what: string) =>
      new RegExp(`^queue +${name}\\.${what}  \\d+ kB +1\\.2 +\\d+ (s|min) +${pid}  `)
    t.regex(rows[0]!, row('a +abandoned'))
    t.true(rows[0]!.endsWith(`producer ${pid} (dead)`))
    t.regex(rows[1]!, row('b +in use   '))
    t.true(rows[1]!.endsWith(`producer ${pid} (dead), consumer ${process.pid}`))

    const entries = JSON.parse((await millrace('ls', name, '--json')).out) as ObjectEntry[]
    t.deepEqual(
      entries.map(({ name, state }) => [name, state]),
      [
        [`${name}.a`, 'abandoned'],
        [`${name}.b`, 'in-use'],
      ],
    )
    const dry = await millrace('sweep', name, '--dry-run')
    t.is(dry.code, 0, dry.err)
    t.regex(dry.out, /^1 would be removed:\nKIND .*\nqueue .*\n1 left:\nKIND .*\nqueue .*\n$/)
    const swept = JSON.parse((await millrace('sweep', name, '--json')).out) as SweepResult
    t.deepEqual([swept.removed.length, swept.left.length], [1, 1])
    t.regex((await millrace('sweep', name)).out, /^1 left:/)
    consumer.close()
    for (const options of [[], ['--dry-run']]) {
      t.is((await millrace('sweep', name, ...options)).out, 'nothing to sweep\n')
    }
    t.is((await millrace('ls', name)).out, 'nothing there\n')
    t.deepEqual(JSON.parse((await millrace('ls', name, '--json')).out), [])
  },
)

test('of each process it is said whether it is dead', (t) => {
  const reader = (pid: number, alive: boolean) => ({ role: 'waiting reader', alive, pid })
  t.is(
    formatHolders([
      { role: 'writer', alive: true, pid: 1 },
      ...[2, 3].map((pid) => reader(pid, false)),
      reader(4, true),
    ]),
    'writer 1, waiting reader 2 (dead) 3 (dead), waiting reader 4',
  )
  t.is(
    formatHolders([5, 6, 7, 8, 9].map((pid) => reader(pid, false))),
    'waiting reader 5 (dead) 6 (dead) 7 (dead) 8 (dead) and 1 more (dead)',
  )
  t.is(formatHolders([{ role: 'owner', alive: false }]), 'owner (dead)')
})

test.serial('promise: strangers – names cannot write to the terminal', async (t) => {
  const name = uniqueName(t)
  const path = `/dev/shm/millrace.q.${name}\u{1b}[2J\n`
  closeSync(openSync(path, 'wx', 0o600))
  t.teardown(() => {
    rmSync(path)
  })
  const { out } = await millrace('ls', name)
  t.true(out.includes(`${name}\\u{1b}[2J\\u{a}`))
  t.false(out.includes('\u{1b}'))
})

test.serial('wrong usage of ls and sweep exits with 2', async (t) => {
  for (const args of [
    ['ls', 'a', 'b'],
    ['ls', '--fly'],
    ['sweep', 'a', 'b'],
    ['sweep', '--dry-run=maybe'],
  ]) {
    const { code, out } = await millrace(...args)
    t.is(code, 2, args.join(' '))
    t.is(out, '')
  }
  for (const which of ['ls', 'sweep']) {
    const { code, out } = await millrace(which, '--help')
    t.is(code, 0)
    t.regex(out, new RegExp(`^Usage: millrace ${which} \\[PREFIX\\]`))
  }
})
