// `millrace tail`, `peek`, `hz`, `bw` and `ps`: messages of channels that others use, of which none is taken away.

import test from 'ava'
import { Cell, SpscQueue } from 'millrace'
import { uniqueName } from '../support/names.js'
import { open } from '../work/open.js'
import { command, start } from './run.js'

async function millrace(...args: string[]) {
  const { code, out, err } = await start(command, args).ended
  return { code, out: out.toString(), err }
}

test('tail and ps: what waits in a queue, as text, digits and JSON, and who is on it', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 65_536 })
  using producer = SpscQueue.producer(name)
  await producer.push('{"a":1}')
  await producer.push(Buffer.from([0, 1, 255]))
  const text = await millrace('tail', name, '--from', 'oldest', '--max', '2')
  t.is(text.code, 0, text.err)
  t.regex(text.out, /^\d\d:\d\d:\d\d\.\d{3} {2}1 {2}7 B {2}\{"a":1\}\n/)
  t.regex(text.out, /\n00000000 {2}00 01 ff .* \.\.\.\n$/)
  const json = await millrace(
    'tail',
    name,
    '--from',
    'oldest',
    '--max',
    '1',
    '--json',
    '--format',
    'json',
  )
  t.like(JSON.parse(json.out) as object, {
    channel: name,
    sequence: '1',
    length: 7,
    value: { a: 1 },
  })
  t.is((await millrace('tail', name, '--format', 'xml')).code, 2)
  t.is((await millrace('tail', `${name}-none`)).code, 1)
  t.is(String(await consumer.pop()), '{"a":1}')

  const [held] = JSON.parse((await millrace('ps', name, '--json')).out) as object[]
  t.like(held, { pid: process.pid, state: 'alive' })
  t.regex((await millrace('ps', name)).out, /^ *PID +STATE +ROLE +KIND +CHANNEL +COMMAND\n/)
  const rates = await millrace('hz', name, '--count', '1', '--interval', '100', '--json')
  t.like(JSON.parse(rates.out) as object, { name, kind: 'queue', messages: 0, missed: 0 })
  t.regex((await millrace('bw', name, '--count', '1', '--interval', '100')).out, /^NAME +BYTES\/S /)
  consumer.drain(() => undefined)
})

test('peek: jobs that are there, dead letters first, and all of them stay', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const queue = open(t, name, { jobs: 10 })
  await queue.push('doomed', { id: 'd' })
  ;(await queue.takeOne()).reject('no')
  await queue.push('waits')
  const { code, out, err } = await millrace('peek', name)
  t.is(code, 0, err)
  const [first, second] = out.split('\n')
  t.regex(first!, / dead: rejected {2}id d .* doomed$/)
  t.regex(second!, / waiting .* waits$/)
  t.like(queue.stats(), { ready: 1, dead: 1, leased: 0 })
})

test('peek: of a queue what nobody has read; of bytes that are no text a few lines, unless more are asked for', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 65_536 })
  using producer = SpscQueue.producer(name)
  await producer.push('read')
  await producer.push(Buffer.alloc(1000, 7))
  t.is(String(await consumer.pop()), 'read')
  const { out, err } = await millrace('peek', name)
  const lines = out.split('\n')
  t.regex(lines[0]!, / {2}2 {2}1\.00 kB$/, err)
  t.deepEqual([lines.length, lines[17]], [19, '744 B more: --bytes 1000'])
  t.is((await millrace('peek', name, '--bytes', '1000')).out.split('\n').length, 65)
  consumer.drain(() => undefined)
  t.is((await millrace('peek', name)).out, 'nothing there\n')
})

test('hz and bw: of channels of one name that one whose kind is said', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using writer = Cell.writer(name, { maxBytes: 8 })
  for (const command of ['hz', 'bw']) {
    const args = [command, name, '--count', '1', '--interval', '100', '--json']
    t.regex(
      (await millrace(...args)).err,
      /there is more than one channel '.*': say which with kind/,
    )
    const [line] = (await millrace(...args, '--kind', 'cell')).out.split('\n')
    t.like(JSON.parse(line!), { name, kind: 'cell' })
  }
  t.deepEqual([consumer.closed, writer.closed], [false, false])
})
