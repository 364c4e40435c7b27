// What a gateway tells systemd, read by somebody else's program: a socket of datagrams in Python.

import { join } from 'node:path'
import test from 'ava'

import { ownDirectory } from '../../support/directory.js'
import { notifyReader } from '../../support/notify-reader.js'
import { uniqueName } from '../../support/names.js'
import { RunningGateway } from './running.js'

for (const kind of ['a path', 'a name without a file'] as const) {
  test(`ready, alive, reloading and stopping are told to ${kind}`, async (t) => {
    const socket =
      kind === 'a path'
        ? join(ownDirectory(t), 'notify')
        : `@millrace-test-${String(process.pid)}-notify`
    const { messages, got } = await notifyReader(t, socket)
    const route = { kind: 'work', name: 'jobs', from: uniqueName(t), to: 'tcp://127.0.0.1:1' }
    const gateway = new RunningGateway(
      t,
      { routes: [route] },
      { env: { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '40000', WATCHDOG_PID: '' } },
    )
    const ready = await got('READY=1')
    t.regex(ready[1]!, /^STATUS=0 of 1 route up; not jobs: connecting \(nobody listens at .*\)$/)
    // From the event loop, for as long as that runs.
    await got('WATCHDOG=1', 3)
    const before = process.hrtime.bigint() / 1000n
    gateway.kill('SIGHUP')
    const reloading = await got('RELOADING=1')
    const at = BigInt(reloading[1]!.replace(/^MONOTONIC_USEC=/, ''))
    t.true(at >= before && at <= process.hrtime.bigint() / 1000n)
    await got('READY=1', 2)
    gateway.kill('SIGTERM')
    t.is((await gateway.ended).code, 0, gateway.text)
    const stopping = await got('STOPPING=1')
    t.regex(stopping.join('\n'), /\nSTATUS=drains: .*\nEXTEND_TIMEOUT_USEC=20000000$/)
    const order = messages().map(([first]) => first!.replace(/=.*/, ''))
    t.deepEqual(
      order.filter((word) => word !== 'WATCHDOG' && word !== 'STATUS'),
      ['READY', 'RELOADING', 'READY', 'STOPPING'],
    )
  })
}

test('a watchdog of another process is not ours; nobody there is no reason not to run', async (t) => {
  const folder = ownDirectory(t)
  const socket = join(folder, 'notify')
  const { messages, got } = await notifyReader(t, socket)
  const route = { kind: 'work', name: 'jobs', from: uniqueName(t), to: 'tcp://127.0.0.1:1' }
  const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '2000', WATCHDOG_PID: '1' }
  const gateway = new RunningGateway(t, { routes: [route] }, { env })
  await got('READY=1')
  gateway.kill('SIGTERM')
  t.is((await gateway.ended).code, 0)
  await got('STOPPING=1')
  t.false(messages().some((lines) => lines.includes('WATCHDOG=1')))

  for (const nowhere of [join(folder, 'none'), 'relative', '', `/${'x'.repeat(300)}`]) {
    const alone = new RunningGateway(t, { routes: [route] }, { env: { NOTIFY_SOCKET: nowhere } })
    await alone.told('ready')
    alone.kill('SIGTERM')
    t.is((await alone.ended).code, 0, alone.text)
  }
})
