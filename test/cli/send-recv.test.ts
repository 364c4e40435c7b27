// `millrace send` and `millrace recv`: a named pipe over shared memory.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { SpscQueue } from 'millrace'
import { consumerPosition, peek, producerPosition } from '../support/queue-words.js'
import { command, objects, start, until } from './run.js'

const mark = `cli-${process.pid}`
const name = (id: string) => `${mark}-${id}`
const appeared = (id: string) => until(() => objects(name(id)).length > 0, `queue ${id}`)

test.after.always('nothing is left in /dev/shm', (t) => {
  t.deepEqual(objects(mark), [])
})

for (const first of ['send', 'recv'] as const) {
  test(`binary data arrives unchanged when ${first} starts first`, async (t) => {
    const data = randomBytes(5_000_003)
    const id = `order-${first}`
    const startOne = (which: 'send' | 'recv') =>
      start(command, [which, name(id)], which === 'send' ? data : undefined)
    const early = startOne(first)
    await appeared(id)
    const late = startOne(first === 'send' ? 'recv' : 'send')
    const [one, other] = await Promise.all([early.ended, late.ended])
    const [sent, received] = first === 'send' ? [one, other] : [other, one]
    t.is(sent.code, 0, sent.err)
    t.is(received.code, 0, received.err)
    t.true(received.out.equals(data))
  })
}

for (const first of ['send', 'recv'] as const) {
  test(`what a failed transfer left is no part of the next, when ${first} starts first`, async (t) => {
    const data = randomBytes(300_001)
    const id = `left-${first}`
    {
      using failed = SpscQueue.producer(name(id))
      failed.tryPush('half of ')
      failed.tryPush('something else')
    }
    t.not(objects(name(id)).length, 0, 'it is there')
    const early = start(command, [first, name(id)], first === 'send' ? data : undefined)
    const unread = () => peek(name(id), producerPosition) - peek(name(id), consumerPosition)
    await until(() => unread() === 0n, 'what was left is dropped')
    const second = first === 'send' ? 'recv' : 'send'
    const late = start(command, [second, name(id)], second === 'send' ? data : undefined)
    const [one, other] = await Promise.all([early.ended, late.ended])
    t.is(one.code, 0, one.err)
    t.is(other.code, 0, other.err)
    t.true((first === 'send' ? other : one).out.equals(data))
  })
}

test('an empty input is an empty output', async (t) => {
  const recv = start(command, ['recv', name('empty')])
  const send = start(command, ['send', name('empty')], Buffer.alloc(0))
  t.is((await send.ended).code, 0)
  const { code, out } = await recv.ended
  t.is(code, 0)
  t.is(out.length, 0)
})

test('a small ring carries a large input', async (t) => {
  const data = randomBytes(1_000_001)
  const recv = start(command, ['recv', name('small')])
  await appeared('small')
  recv.child.kill('SIGTERM')
  t.is((await recv.ended).code, 143)
  const small = start(command, ['recv', name('small'), '--capacity', '4K'])
  const send = start(command, ['send', name('small'), '--capacity=4k'], data)
  t.is((await send.ended).code, 0)
  t.true((await small.ended).out.equals(data))
})

test('send fails when the receiver is killed', async (t) => {
  const send = start(command, ['send', name('recv-killed')])
  const recv = start(command, ['recv', name('recv-killed')])
  send.child.stdin?.write('x')
  await until(() => recv.child.stdout?.readableFlowing === true, 'recv running')
  recv.child.stdout?.once('data', () => {
    recv.child.kill('SIGKILL')
    send.child.stdin?.end(randomBytes(4_000_000))
  })
  const { code, err } = await send.ended
  t.is(code, 1)
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the receiver on '.*' died .*\(ERR_MILLRACE_PEER_GONE\)\n$/,
  )
  t.is((await recv.ended).signal, 'SIGKILL')
})

test('recv writes what a killed sender had published, then fails', async (t) => {
  const recv = start(command, ['recv', name('send-killed')])
  const send = start(command, ['send', name('send-killed')])
  send.child.stdin?.write('what came before')
  recv.child.stdout?.once('data', () => send.child.kill('SIGKILL'))
  const { code, out, err } = await recv.ended
  t.is(code, 1)
  t.is(out.toString(), 'what came before')
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the sender on '.*' died .*\(ERR_MILLRACE_PEER_GONE\)\n$/,
  )
  t.is((await send.ended).signal, 'SIGKILL')
})

test('an interrupted sender is not taken for one that is done', async (t) => {
  const recv = start(command, ['recv', name('interrupted')])
  const send = start(command, ['send', name('interrupted')])
  send.child.stdin?.write('half')
  recv.child.stdout?.once('data', () => send.child.kill('SIGINT'))
  t.is((await send.ended).signal, 'SIGINT')
  const { code, out, err } = await recv.ended
  t.is(code, 1)
  t.is(out.toString(), 'half')
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the sender on '.*' died .*\(ERR_MILLRACE_PEER_GONE\)\n$/,
  )
})

test('recv writes what a sender had sent whose input breaks, then fails with the reason', async (t) => {
  const recv = start(command, ['recv', name('broken')])
  // A directory can be opened and not be read.
  const directory = openSync('/', 'r')
  const send = spawn(process.execPath, [command, 'send', name('broken')], {
    stdio: [directory, 'ignore', 'pipe'],
  })
  closeSync(directory)
  const [code] = (await once(send, 'close')) as [number]
  t.is(code, 1)
  const { code: received, out, err } = await recv.ended
  t.is(received, 1)
  t.is(out.length, 0)
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the sender on '.*' failed before the end of its input: EISDIR: .*; what it sent is written \(ERR_MILLRACE_PEER_FAILED\)\n$/,
  )
})

test('recv tells why a program that gave up did so', async (t) => {
  const recv = start(command, ['recv', name('gives-up')])
  using producer = SpscQueue.producer(name('gives-up'))
  await producer.waitForPeer()
  await producer.push('half')
  producer.abort(new Error('the other half is lost'))
  const { code, out, err } = await recv.ended
  t.is(code, 1)
  t.is(out.toString(), 'half')
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the sender on '.*' failed .*: the other half is lost; what it sent is written /,
  )
})

test('send tells why its receiver gave up', async (t) => {
  using consumer = SpscQueue.consumer(name('gives-in'))
  const send = start(command, ['send', name('gives-in')], randomBytes(4_000_000))
  await consumer.pop()
  consumer.abort('no room for more')
  const { code, err } = await send.ended
  t.is(code, 1)
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the receiver on '.*' failed before it had read everything/,
  )
})

test('recv also serves a program that pushes and closes', async (t) => {
  const recv = start(command, ['recv', name('library')])
  using producer = SpscQueue.producer(name('library'))
  for (const message of ['one ', '', 'two ', 'three']) await producer.push(message)
  await producer.end()
  const { code, out } = await recv.ended
  t.is(code, 0)
  t.is(out.toString(), 'one two three')
})

for (const which of ['send', 'recv'] as const) {
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    test(`${which} ends in good order on ${signal}`, async (t) => {
      const id = `${which}-${signal}`
      const running = start(command, [which, name(id)])
      await appeared(id)
      running.child.kill(signal)
      const ended = await running.ended
      t.is(ended.code, code)
      t.is(ended.err, '')
      t.deepEqual(objects(name(id)), [])
    })
  }
}

test('a peer that does not appear in time is an error', async (t) => {
  for (const which of ['send', 'recv']) {
    const { code, err } = await start(command, [which, name('alone'), '--timeout', '50']).ended
    t.is(code, 1)
    t.regex(err, /appeared on '.*' within 50 ms.*\(ERR_MILLRACE_TIMEOUT\)\n$/)
  }
})

test('at a terminal, send says what it waits for and how to end', async (t) => {
  const id = name('terminal')
  const program = fileURLToPath(
    new URL('../../../test/cli/fixtures/at-a-terminal.py', import.meta.url),
  )
  const terminal = spawn('python3', [program, process.execPath, command, 'send', id], {
    stdio: ['pipe', 'pipe', 'inherit'],
    timeout: 60_000,
    killSignal: 'SIGKILL',
  })
  let shown = ''
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text))
  const ended = once(terminal, 'close')
  await until(() => shown.includes('\n'), 'the announcement')
  t.regex(
    shown,
    new RegExp(`^waiting for 'millrace recv ${id}'; then sending what is typed .*Ctrl-D`),
  )
  const recv = start(command, ['recv', id])
  terminal.stdin.end('typed\n\u0004')
  const { code, out } = await recv.ended
  t.is(code, 0)
  t.is(out.toString(), 'typed\n')
  t.deepEqual(await ended, [0, null])
})

test('wrong usage exits with 2 and says what is wrong', async (t) => {
  const wrong: readonly (readonly [string[], RegExp])[] = [
    [[], /no command/],
    [['fly'], /unknown command 'fly'/],
    [['--fly'], /unknown option '--fly'/],
    [['help', 'fly'], /unknown command 'fly'/],
    [['help', 'send', 'a'], /'a'/],
    [['build', 'a'], /'a'/],
    [['send'], /NAME/],
    [['send', 'a', 'b'], /'b'/],
    [['recv', 'a', '--fly'], /'--fly'/],
    [['recv', 'a', '--capacity', 'much'], /'much'/],
    [['recv', 'a', '--timeout', '-1'], /timeout/],
    [['demo', '--frames', '0'], /--frames/],
  ]
  for (const [args, message] of wrong) {
    const { code, err, out } = await start(command, args).ended
    t.is(code, 2, args.join(' '))
    t.regex(err, message)
    t.is(out.length, 0)
  }
})

test('help and version go to standard output', async (t) => {
  const usage = async (...args: string[]) => {
    const { code, out } = await start(command, args).ended
    t.is(code, 0, args.join(' '))
    return out.toString()
  }
  const all = await usage('--help')
  t.regex(all, /^Usage: millrace COMMAND/)
  for (const args of [['-h'], ['help']]) t.is(await usage(...args), all)
  for (const name of ['demo', 'send', 'recv', 'ls', 'sweep', 'build']) {
    const text = await usage(name, '--help')
    t.regex(text, new RegExp(`^Usage: millrace ${name} `))
    for (const args of [
      [name, '-h'],
      ['help', name],
    ])
      t.is(await usage(...args), text)
    t.regex(all, new RegExp(`^  ${name} `, 'm'))
  }
  const { out } = await start(command, ['--version']).ended
  t.regex(out.toString(), /^\d+\.\d+\.\d+\S*\n$/)
})

test('an invalid name is an error with its code', async (t) => {
  const { code, err } = await start(command, ['recv', 'a/b']).ended
  t.is(code, 1)
  t.regex(err, /^millrace: .*\(ERR_MILLRACE_INVALID_NAME\)\n$/)
})
