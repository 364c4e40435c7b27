// `millrace send` and `millrace recv` by an address.

import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { connect, listen } from 'millrace/net'

import { uniqueName } from '../support/names.js'
import { command, start, until } from './run.js'

const addressOf = (t: ExecutionContext) => `unix://${join(tmpdir(), `${uniqueName(t)}.sock`)}`
const pathOf = (address: string) => address.slice('unix://'.length)

for (const first of ['send', 'recv'] as const) {
  test(`binary data arrives unchanged when ${first} starts first`, async (t) => {
    const data = randomBytes(5_000_003)
    const address = addressOf(t)
    const startOne = (which: 'send' | 'recv') =>
      start(command, [which, address], which === 'send' ? data : undefined)
    const early = startOne(first)
    if (first === 'recv') await until(() => existsSync(pathOf(address)), 'a socket')
    const late = startOne(first === 'send' ? 'recv' : 'send')
    const [one, other] = await Promise.all([early.ended, late.ended])
    const [sent, received] = first === 'send' ? [one, other] : [other, one]
    t.is(sent.code, 0, sent.err)
    t.is(received.code, 0, received.err)
    t.true(received.out.equals(data))
    t.false(existsSync(pathOf(address)))
  })
}

test('an empty input is an empty output; a name may be an address by the environment', async (t) => {
  const address = addressOf(t)
  const environment = { MILLRACE_ADDRESSES: `backup=${address}` }
  const recv = start(command, ['recv', 'backup'], undefined, environment)
  const send = start(command, ['send', 'backup'], Buffer.alloc(0), environment)
  t.is((await send.ended).code, 0)
  const { code, out, err } = await recv.ended
  t.is(code, 0, err)
  t.is(out.length, 0)
})

test('recv writes what a killed sender had sent, then fails', async (t) => {
  const address = addressOf(t)
  const recv = start(command, ['recv', address])
  const send = start(command, ['send', address])
  send.child.stdin?.write('what came before')
  recv.child.stdout?.once('data', () => send.child.kill('SIGKILL'))
  const { code, out, err } = await recv.ended
  t.is(code, 1)
  t.is(out.toString(), 'what came before')
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the sender at '.*' died before .*\(ERR_MILLRACE_PEER_GONE\)\n$/,
  )
})

test('an interrupted sender is not taken for one that is done', async (t) => {
  const address = addressOf(t)
  const recv = start(command, ['recv', address])
  const send = start(command, ['send', address])
  send.child.stdin?.write('half')
  recv.child.stdout?.once('data', () => send.child.kill('SIGINT'))
  const { code, err } = await recv.ended
  t.is(code, 1)
  t.regex(err, /died before/)
  t.not((await send.ended).code, 0)
})

test('send fails when the receiver is killed', async (t) => {
  const address = addressOf(t)
  const send = start(command, ['send', address])
  const recv = start(command, ['recv', address])
  send.child.stdin?.write('x')
  recv.child.stdout?.once('data', () => {
    recv.child.kill('SIGKILL')
    send.child.stdin?.end(randomBytes(4_000_000))
  })
  const { code, err } = await send.ended
  t.is(code, 1)
  t.regex(
    err,
    /^(?:millrace: waiting for .*\n)?millrace: the receiver at '.*' died before .*\(ERR_MILLRACE_PEER_GONE\)\n$/,
  )
})

test('who takes everything and says nothing of it has not written it', async (t) => {
  const address = addressOf(t)
  const listener = await listen(address)
  t.teardown(() => listener.close())
  const send = start(command, ['send', address], Buffer.from('abc'))
  const channel = await listener.accept()
  t.is(String(await channel!.receive()), 'abc')
  t.is(await channel!.receive(), undefined)
  await channel!.close()
  const { code, err } = await send.ended
  t.is(code, 1)
  t.regex(err, /closed before it had read everything/)
})

test('nobody comes', async (t) => {
  const address = addressOf(t)
  const [send, recv] = await Promise.all([
    start(command, ['send', address, '--timeout', '100'], Buffer.from('x')).ended,
    start(command, ['recv', addressOf(t), '--timeout', '100']).ended,
  ])
  t.is(send.code, 1)
  t.regex(send.err, /no receiver appeared at .* within 100 ms: start 'millrace recv/)
  t.is(recv.code, 1)
  t.regex(recv.err, /no sender appeared at .* within 100 ms: start 'millrace send/)
})

test('of several senders one is taken', async (t) => {
  const address = addressOf(t)
  const recv = start(command, ['recv', address])
  await until(() => existsSync(pathOf(address)), 'a socket')
  const channel = await connect(address)
  await channel.send('mine')
  await until(() => !existsSync(pathOf(address)), 'nobody listens any more')
  await t.throwsAsync(connect(address), { code: 'ERR_MILLRACE_UNREACHABLE' })
  await channel.end()
  t.is((await channel.receive())?.length, 0)
  await channel.close()
  t.is((await recv.ended).out.toString(), 'mine')
})
