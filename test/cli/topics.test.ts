// `millrace pub` and `millrace sub`, as somebody types them: on a name, and on an address where a program shares a bus.

import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import test from 'ava'
import { Topics } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { command, start } from './run.js'

for (const what of ['a name', 'an address'] as const) {
  test(`published and written, by ${what}`, async (t) => {
    const name = uniqueName(t)
    const bus = Topics.open(name)
    t.teardown(() => {
      bus.close()
    })
    let address = name
    if (what === 'an address') {
      const share = await bus.share('tcp://127.0.0.1:0')
      t.teardown(() => share.close())
      address = share.address
    }
    const subscriber = start(command, ['sub', address, 'line1.>', '--limit', '3', '--json'])
    await until(() => bus.stats().subscriptions === 1)
    const one = await start(command, ['pub', address, 'line1.temp', 'warm']).ended
    t.deepEqual([one.code, one.out.toString()], [0, '1 subscriber\n'], one.err)
    const other = await start(command, ['pub', address, 'line2.temp', 'cold']).ended
    t.is(other.out.toString(), '0 subscribers\n')
    const lines = await start(
      command,
      ['pub', address, 'line1.a.b', '--lines'],
      Buffer.from('x\ny\n'),
    ).ended
    t.is(lines.code, 0, lines.err)
    const { code, out, err } = await subscriber.ended
    t.is(code, 0, err)
    const messages = out
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { readonly subject: string; readonly text: string })
    t.deepEqual(
      messages.map(({ subject, text }) => [subject, text]),
      [
        ['line1.temp', 'warm'],
        ['line1.a.b', 'x'],
        ['line1.a.b', 'y'],
      ],
    )
  })
}

test('where nobody shares a bus, pub and sub fail in time, and say for what they wait before', async (t) => {
  for (const args of [
    ['sub', 'tcp://127.0.0.1:1', '>', '--timeout', '50'],
    ['pub', 'tcp://127.0.0.1:1', 'a.b', 'x', '--timeout', '50'],
  ]) {
    const { code, err } = await start(command, args).ended
    t.is(code, 1, args.join(' '))
    t.regex(err, /within 50 ms.*ERR_MILLRACE_TIMEOUT/)
    t.notRegex(err, /waiting/)
  }
  for (const args of [
    ['sub', 'tcp://127.0.0.1:1', '>'],
    ['pub', 'tcp://127.0.0.1:1', 'a.b', 'x'],
    ['send', 'tcp://127.0.0.1:1'],
    ['recv', 'tcp://127.0.0.1:0'],
    ['call', 'tcp://127.0.0.1:1', 'add', '--wait', '50000'],
  ]) {
    const waiting = start(command, args)
    let err = ''
    waiting.child.stderr?.on('data', (chunk: Buffer) => (err += chunk.toString()))
    await until(() => err !== '' || waiting.child.exitCode !== null)
    waiting.child.kill()
    const { code, signal } = await waiting.ended
    t.true(code === 143 || signal === 'SIGTERM', args.join(' '))
    t.regex(
      err,
      /^millrace: waiting for .* 'tcp:\/\/127\.0\.0\.1:\d+'.*\n$|^millrace: waiting for 'millrace (send|recv) tcp:.*'\n$/,
    )
  }
})

test('who does not answer holds up no command that has a timeout', async (t) => {
  const sockets = new Set<Socket>()
  const silent = createServer((socket) => sockets.add(socket)).listen(0, '127.0.0.1')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    silent.close()
  })
  await once(silent, 'listening')
  const address = `tcp://127.0.0.1:${String((silent.address() as AddressInfo).port)}`
  for (const args of [
    ['sub', address, '>'],
    ['pub', address, 'a.b', 'x'],
    ['send', address],
    ['call', address],
  ]) {
    const { code, err } = await start(command, [...args, '--timeout', '100']).ended
    t.is(code, 1, args.join(' '))
    t.regex(err, /within 100 ms.*ERR_MILLRACE_TIMEOUT/)
  }
})

test('what is wrong with the command line is said', async (t) => {
  for (const [args, said] of [
    [['pub'], /address and a subject/],
    [['pub', 'a', 'b', 'c', 'd'], /unexpected argument 'd'/],
    [['sub', 'a'], /address and a filter/],
    [['sub', 'a', '>', '--policy', 'drop'], /wait or overwrite-oldest/],
  ] as const) {
    const { code, err } = await start(command, args).ended
    t.is(code, 2, args.join(' '))
    t.regex(err, said)
  }
})
