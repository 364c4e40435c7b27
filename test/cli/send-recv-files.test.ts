// `millrace send < file` and `millrace recv > file`: read into the ring and written from it, without Node's streams.

import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'ava'
import { SpscQueue } from 'millrace'
import { consumerPosition, peek } from '../support/queue-words.js'
import { command, objects, until } from './run.js'

const mark = `cli-files-${process.pid}`
const name = (id: string) => `${mark}-${id}`
const folder = mkdtempSync(join(tmpdir(), `${mark}-`))
const path = (id: string) => join(folder, id)
const watchdogMs = 100_000

test.after.always('nothing is left', (t) => {
  rmSync(folder, { recursive: true })
  t.deepEqual(objects(mark), [])
})

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly err: string
}

/** Starts one of the two with a file at its other end. */
function start(which: 'send' | 'recv', id: string, file: string) {
  const fd = openSync(file, which === 'send' ? 'r' : 'w')
  const child: ChildProcess = spawn(process.execPath, [command, which, name(id)], {
    stdio: [which === 'send' ? fd : 'ignore', which === 'send' ? 'ignore' : fd, 'pipe'],
    timeout: watchdogMs,
    killSignal: 'SIGKILL',
  })
  closeSync(fd)
  let err = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (err += text))
  const ended = once(child, 'close').then((how): Ended => {
    const [code, signal] = how as [number | null, NodeJS.Signals | null]
    return { code, signal, err }
  })
  return { child, ended }
}

/** A transfer that would not end, which is going on. */
async function endless(id: string) {
  const send = start('send', id, '/dev/zero')
  const recv = start('recv', id, '/dev/null')
  await until(() => objects(name(id)).length > 0, 'the queue is there')
  await until(() => peek(name(id), consumerPosition) > 10_000_000n, 'ten megabytes are through')
  return { send, recv }
}

test('a file arrives unchanged in a file', async (t) => {
  const data = randomBytes(5_000_003)
  writeFileSync(path('input'), data)
  const send = start('send', 'whole', path('input'))
  const recv = start('recv', 'whole', path('output'))
  t.like(await send.ended, { code: 0, err: '' })
  t.like(await recv.ended, { code: 0, err: '' })
  t.true(readFileSync(path('output')).equals(data))
})

test('messages of all lengths are written to a file in their order', async (t) => {
  const recv = start('recv', 'lengths', path('lengths'))
  using producer = SpscQueue.producer(name('lengths'), { capacity: 2 ** 20 })
  const all = [1, 0, 100, 65_535, 1, 65_536, 3, 65_537, 200_000, 0, 7, 30_000, 30_000, 30_000]
  const messages = all.map((length) => randomBytes(length))
  for (const message of [...messages, ...messages]) await producer.push(message)
  await producer.end()
  t.like(await recv.ended, { code: 0, err: '' })
  t.true(readFileSync(path('lengths')).equals(Buffer.concat([...messages, ...messages])))
})

test('what was written to a file is there before the receipt is taken', async (t) => {
  const recv = start('recv', 'receipt', path('receipt'))
  using producer = SpscQueue.producer(name('receipt'))
  await producer.push('first')
  await producer.push('')
  await until(() => producer.freeBytes === producer.capacity, 'the receipt is taken')
  t.is(readFileSync(path('receipt'), 'utf8'), 'first')
  await producer.end()
  t.like(await recv.ended, { code: 0 })
})

test('an endless file can be interrupted while it is sent', async (t) => {
  const { send, recv } = await endless('sender')
  send.child.kill('SIGINT')
  t.is((await send.ended).signal, 'SIGINT')
  const { code, err } = await recv.ended
  t.is(code, 1)
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the sender on '.*' died .*\(ERR_MILLRACE_PEER_GONE\)\n$/,
  )
})

test('an endless file can be interrupted while it is received', async (t) => {
  const { send, recv } = await endless('receiver')
  recv.child.kill('SIGINT')
  t.like(await recv.ended, { code: 130, err: '' })
  const { code, err } = await send.ended
  t.is(code, 1)
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the receiver on '.*' closed before it had read everything/,
  )
})

test('recv fails when its file has no room, and send says so', async (t) => {
  const recv = start('recv', 'full', '/dev/full')
  const send = start('send', 'full', '/dev/zero')
  const received = await recv.ended
  t.is(received.code, 1)
  t.regex(received.err, /^millrace: ENOSPC/)
  const sent = await send.ended
  t.is(sent.code, 1)
  t.regex(
    sent.err,
    /^(?:millrace: waiting for .*\n)?millrace: the receiver on '.*' closed before it had read everything/,
  )
})
