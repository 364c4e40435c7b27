// What a service tells systemd, read by somebody else's program, also when its event loop stands still, or nobody reads.

import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { mock } from 'node:test'
import { promisify } from 'node:util'
import test from 'ava'
import { supervise, type ServiceNews } from 'millrace/telemetry'

import { notifyReader } from '../support/notify-reader.js'
import { ownDirectory } from '../support/directory.js'
import { until } from '../support/until.js'

const patience = 40_000

/** The variables are the process's: one test at a time. */
const withEnv = (env: NodeJS.ProcessEnv, then: () => void): void => {
  const before = { ...process.env }
  Object.assign(process.env, env)
  try {
    then()
  } finally {
    process.env = before
  }
}

for (const kind of ['a path', 'a name without a file'] as const) {
  test.serial(`news go to ${kind}, in their order`, async (t) => {
    const socket =
      kind === 'a path'
        ? join(ownDirectory(t), 'notify')
        : `@millrace-test-${String(process.pid)}-supervise`
    const { messages } = await notifyReader(t, socket)
    withEnv({ NOTIFY_SOCKET: socket }, () => {
      using supervisor = supervise()
      t.true(supervisor.active)
      t.is(supervisor.watchdog, undefined)
      supervisor.notify({ ready: true, status: 'takes\njobs' })
      supervisor.notify({ status: 'takes jobs' })
      supervisor.notify({ status: 'is full', extendTimeout: 1.5 })
      supervisor.notify({ reloading: true })
      supervisor.notify({ ready: true })
      supervisor.notify({ stopping: true, status: 'is full' })
      supervisor.notify({})
      supervisor.close()
      t.false(supervisor.active)
      supervisor.notify({ status: 'not this one' })
    })
    await until(() => messages().length >= 5, patience)
    t.deepEqual(
      messages().map((lines) => lines.map((line) => line.replace(/(MONOTONIC_USEC)=\d+/, '$1'))),
      [
        ['READY=1', 'STATUS=takes jobs'],
        ['STATUS=is full', 'EXTEND_TIMEOUT_USEC=1500'],
        ['RELOADING=1', 'MONOTONIC_USEC'],
        ['READY=1'],
        ['STOPPING=1', 'STATUS=is full'],
      ],
    )
  })
}

test.serial(
  'signs of life come from the event loop: none while it stands still, and under fake timers',
  async (t) => {
    const socket = join(ownDirectory(t), 'notify')
    const { messages, got } = await notifyReader(t, socket)
    const env = { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '20000', WATCHDOG_PID: String(process.pid) }
    withEnv(env, () => {
      const supervisor = supervise()
      t.teardown(() => {
        supervisor.close()
      })
      t.is(supervisor.watchdog, 20)
      supervisor.notify({ status: 'stands still' })
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200)
      supervisor.notify({ status: 'goes on' })
    })
    await got('STATUS=goes on')
    t.deepEqual(messages().slice(0, 3), [
      ['WATCHDOG=1'],
      ['STATUS=stands still'],
      ['STATUS=goes on'],
    ])
    mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] })
    t.teardown(() => {
      mock.timers.reset()
    })
    const before = messages().length
    while (messages().length < before + 3) await new Promise((turn) => setImmediate(turn))
    t.deepEqual(messages().at(-1), ['WATCHDOG=1'])
  },
)

test.serial('who is not there, or no place at all, is not told, and harms nobody', (t) => {
  const folder = ownDirectory(t)
  for (const socket of [undefined, '', 'relative', join(folder, 'none'), `/${'x'.repeat(300)}`]) {
    const env = socket === undefined ? {} : { NOTIFY_SOCKET: socket, WATCHDOG_USEC: '1000' }
    withEnv(env, () => {
      using supervisor = supervise()
      supervisor.notify({ ready: true, status: 'x' })
      t.is(supervisor.active, socket?.startsWith('/') === true)
    })
  }
  const place = join(folder, 'none')
  for (const other of [{ WATCHDOG_PID: '1' }, { WATCHDOG_USEC: '0' }, { WATCHDOG_USEC: 'x' }]) {
    withEnv({ NOTIFY_SOCKET: place, WATCHDOG_USEC: '1000', ...other }, () => {
      using supervisor = supervise()
      t.is(supervisor.watchdog, undefined)
    })
  }
  withEnv({ NOTIFY_SOCKET: place, WATCHDOG_USEC: '1000' }, () => {
    using supervisor = supervise({ watchdog: false })
    t.is(supervisor.watchdog, 1)
  })
})

test.serial('whoever does not read is not waited for, and gets what was told last', async (t) => {
  const socket = join(ownDirectory(t), 'notify')
  const { child, messages, got } = await notifyReader(t, socket)
  child.kill('SIGSTOP')
  withEnv({ NOTIFY_SOCKET: socket }, () => {
    const supervisor = supervise()
    t.teardown(() => {
      supervisor.close()
    })
    for (let i = 0; i < 2000; i++) supervisor.notify({ status: `step ${String(i)}` })
  })
  child.kill('SIGCONT')
  await got('STATUS=step 1999')
  const steps = messages().map(([line]) => Number(line!.replace('STATUS=step ', '')))
  t.deepEqual(
    steps,
    steps.toSorted((one, other) => one - other),
  )
  t.true(steps.length < 2000)
})

test.serial('it keeps no process alive', async (t) => {
  const socket = join(ownDirectory(t), 'notify')
  const { got } = await notifyReader(t, socket)
  const program = `
    import { supervise } from 'millrace/telemetry'
    supervise().notify({ ready: true })`
  const { stderr } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { env: { ...process.env, NOTIFY_SOCKET: socket, WATCHDOG_USEC: '60000000' }, timeout: 120_000 },
  )
  t.is(stderr, '')
  await got('READY=1')
})

test('what cannot be understood is refused', (t) => {
  using supervisor = supervise()
  const refused = (news: unknown, message: RegExp): void => {
    t.throws(
      () => {
        supervisor.notify(news as ServiceNews)
      },
      { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message },
    )
  }
  refused({ ready: 1 }, /ready must be true/)
  refused({ status: 7 }, /status must be text/)
  refused({ extendTimeout: -1 }, /extendTimeout must be a number of milliseconds/)
  refused({ state: 'x' }, /state/)
  t.throws(() => supervise({ watchdog: 5 as unknown as boolean }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
})
