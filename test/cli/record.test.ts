// `millrace record` and `millrace replay`: told to end, killed, asked for the last seconds; and what was recorded sent again.

import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { SpscQueue } from 'millrace'
import { openRecording, type RecorderStats } from 'millrace/recording'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { gathered } from '../recording/gathered.js'
import { command, start } from './run.js'

const patience = 60_000

/** A queue whose messages are taken as they come, and a recorder of it that has begun. */
async function recording(t: ExecutionContext, ...options: readonly string[]) {
  const name = uniqueName(t)
  const file = join(ownDirectory(t), 'some.mcap')
  const producer = SpscQueue.producer(name)
  const consumer = SpscQueue.consumer(name)
  t.teardown(() => {
    producer.close()
    consumer.close({ discard: true })
  })
  const running = start(command, ['record', name, '-o', file, '--interval', '1ms', ...options])
  t.teardown(() => running.child.kill('SIGKILL'))
  let said = ''
  running.child.stderr?.on('data', (text: Buffer) => (said += text.toString()))
  await until(() => said.includes('millrace: '), patience)
  const send = (from: number, to: number) => {
    for (let number = from; number < to; number++) {
      producer.tryPush(String(number))
      consumer.tryPop()
    }
  }
  return { name, file, running, send, said: () => said }
}

async function texts(file: string): Promise<string[]> {
  await using opened = await openRecording(file)
  return (await gathered(opened.messages())).map(({ bytes }) => bytes.toString())
}

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => String(from + at))

test('told to end, it has written everything, and says what became of it', async (t) => {
  const { name, file, running, send } = await recording(t, '--json')
  send(0, 100)
  await until(async () => (await texts(file).catch(() => [])).length === 100, patience)
  running.child.kill('SIGINT')
  const { code, out, err } = await running.ended
  t.is(code, 0, err)
  const stats = JSON.parse(out.toString()) as RecorderStats
  t.deepEqual(
    stats.channels.map(({ name: of, recorded, dropped }) => [of, recorded, dropped]),
    [[name, 100, 0]],
  )
  t.is(stats.fileBytes, statSync(file).size)
  await using opened = await openRecording(file)
  t.true(opened.indexed)

  const other = uniqueName(t)
  const replayed = start(command, ['replay', file, '--to', `${name}=${other}`, '--rate', 'max'])
  const ended = await replayed.ended
  t.deepEqual([ended.code, ended.out.toString()], [0, '100 sent, 190 B\n'], ended.err)
  using consumer = SpscQueue.consumer(other)
  const received: string[] = []
  for (let next = consumer.tryPop(); next !== undefined; next = consumer.tryPop()) {
    received.push(next.toString())
  }
  t.deepEqual(received, numbers(0, 100))

  const full = `${other}-full`
  const waiting = start(command, [
    'replay',
    file,
    '--to',
    `${name}=${full}`,
    '--rate',
    'max',
    '--loop',
  ])
  let said = ''
  waiting.child.stderr!.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const why = `millrace: there is no room in '${full}': waiting until somebody reads from it\n`
  await until(() => said === why, patience)
  waiting.child.kill('SIGINT')
  t.is((await waiting.ended).code, 0)
  SpscQueue.unlink(full)
})

test('killed, it leaves a file that is read to its last whole chunk', async (t) => {
  const { file, running, send } = await recording(t)
  send(0, 100)
  await until(async () => (await texts(file).catch(() => [])).length === 100, patience)
  send(100, 200)
  running.child.kill('SIGKILL')
  await running.ended
  await using opened = await openRecording(file)
  t.false(opened.indexed)
  const found = await texts(file)
  t.true(found.length >= 100)
  t.deepEqual(found, numbers(0, found.length))
})

test('the last seconds are written when it is asked for them', async (t) => {
  const { file, running, send, said } = await recording(t, '--last', '1h')
  t.regex(said(), /the last 60 min of .* are in memory: 'kill -USR1 \d+' writes them/)
  send(0, 10)
  const first = file.replace('.mcap', '-0001.mcap')
  await until(() => {
    if (!existsSync(first)) running.child.kill('SIGUSR1')
    return said().includes(`written: ${first}`)
  }, patience)
  const found = await texts(first)
  t.true(found.length > 0)
  t.deepEqual(found, numbers(0, found.length))
  t.false(existsSync(file))
  running.child.kill('SIGTERM')
  t.is((await running.ended).code, 0)
})

test('wrong usage, and files that are there or are none', async (t) => {
  const run = async (...args: string[]) => {
    const { code, err } = await start(command, args).ended
    return [code, err] as const
  }
  t.deepEqual((await run('record'))[0], 2)
  t.regex((await run('record', 'some'))[1], /record wants a file: -o FILE/)
  t.regex((await run('record', 'some', '-o', 'x', '--last', 'long'))[1], /--last must be a time/)
  t.regex((await run('replay', 'x', '--rate', '0'))[1], /--rate must be a number above 0/)
  t.regex((await run('replay', 'x', '--to', 'a'))[1], /--to must be NAME=OTHER/)
  // The first of two is no less than the last one.
  t.regex((await run('replay', 'x', '--to', 'a', '--to', 'b=c'))[1], /not 'a,b=c'/)
  const none = await run('replay', join(ownDirectory(t), 'none'))
  t.is(none[0], 1)
  t.regex(none[1], /is not there/)
})
