// What listeners at shm:// leave that are killed, wherever that was: it is seen, it is swept, and who connects hears of it in time.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  linkSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import test, { type ExecutionContext } from 'ava'
import { list, receiveSegments, sweep } from 'millrace'
import { connect, listen } from 'millrace/net'

import { command, start as startCommand } from '../cli/run.js'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 15_000
const onLinux = process.platform === 'linux' ? test.serial : test.skip

const socketOf = (name: string): string => `/dev/shm/millrace.l.${name}~`
const filesOf = (name: string): string[] =>
  readdirSync('/dev/shm').filter((file) => file.startsWith(`millrace.l.${name}~`))

function ownName(t: ExecutionContext): string {
  const name = uniqueName(t)
  t.teardown(() => {
    for (const file of filesOf(name)) rmSync(`/dev/shm/${file}`, { force: true })
  })
  return name
}

/** A process that runs `code`, with all that it takes to die in the middle of something. */
function start(t: ExecutionContext, code: string): ChildProcess {
  const program = `
    const millrace = require('millrace')
    const { connect, listen } = require('millrace/net')
    const die = () => process.kill(process.pid, 'SIGKILL');
    (async () => { ${code} })()`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => kill(child))
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await within(patience, ended)
}

const said = async (child: ChildProcess): Promise<string> =>
  String((await within(patience, once(child.stdout!, 'data')))[0])

async function leaveListener(t: ExecutionContext, name: string): Promise<void> {
  const child = start(t, `await listen('shm://${name}'); console.log('listens')`)
  await said(child)
  await kill(child)
  t.is(filesOf(name).length, 2)
}

async function millrace(...args: string[]) {
  const { code, out, err } = await startCommand(command, args).ended
  return { code, out: out.toString(), err }
}

onLinux('a listener is listed while it lives, and never swept', async (t) => {
  const name = ownName(t)
  const listener = await listen(`shm://${name}`)
  t.teardown(() => listener.close())
  const [entry, ...others] = list({ prefix: name })
  t.deepEqual(others, [])
  t.like(entry, {
    kind: 'listener',
    name,
    state: 'in-use',
    path: socketOf(name),
    owner: process.getuid!(),
    mode: 0o600,
    holders: [{ role: 'listener', alive: true }],
  })
  for (const options of [{}, { kept: true }, { dryRun: true }]) {
    const { removed, left } = sweep({ prefix: name, ...options })
    t.deepEqual(removed, [])
    t.is(left.length, 1)
  }
  const channel = await connect(`shm://${name}`)
  await channel.close()
  await listener.close()
  t.deepEqual(list({ prefix: name }), [])
  t.deepEqual(filesOf(name), [])
})

onLinux('a stopped listener is alive', async (t) => {
  const name = ownName(t)
  const child = start(t, `await listen('shm://${name}'); console.log('listens')`)
  await said(child)
  child.kill('SIGSTOP')
  await until(() => list({ prefix: name })[0]?.state === 'in-use')
  t.deepEqual(sweep({ prefix: name, kept: true }).removed, [])
  t.is(filesOf(name).length, 2)
})

onLinux('what a killed listener left is abandoned, and swept', async (t) => {
  const name = ownName(t)
  await leaveListener(t, name)
  t.like(list({ prefix: name })[0], { kind: 'listener', state: 'abandoned', holders: [] })
  t.is(sweep({ prefix: name, dryRun: true }).removed.length, 1)
  t.is(filesOf(name).length, 2)
  t.deepEqual(sweep({ prefix: `${name}.other` }).removed, [])
  t.is(filesOf(name).length, 2)
  t.deepEqual(
    sweep({ prefix: name }).removed.map(({ kind, name }) => [kind, name]),
    [['listener', name]],
  )
  t.deepEqual(filesOf(name), [])
  t.deepEqual(list({ prefix: name }), [])
})

onLinux('in the shell: ls shows it, sweep removes it', async (t) => {
  const name = ownName(t)
  await leaveListener(t, name)
  const shown = await millrace('ls', name)
  t.is(shown.code, 0, shown.err)
  t.regex(shown.out, new RegExp(`^listener +${name} +abandoned +-  `, 'm'))
  const swept = await millrace('sweep', name)
  t.is(swept.code, 0, swept.err)
  t.regex(swept.out, /^1 removed:/)
  t.is((await millrace('ls', name)).out, 'nothing there\n')
  t.deepEqual(filesOf(name), [])
})

onLinux('who listens while others sweep is let in every time', async (t) => {
  const name = ownName(t)
  const child = start(
    t,
    `let swept = 0
     process.stdin.once('data', () => { console.log('swept ' + swept); process.exit(0) })
     console.log('sweeps')
     const again = () => { swept += millrace.sweep({ prefix: '${name}' }).removed.length; setImmediate(again) }
     again()`,
  )
  await said(child)
  const [socket, lock] = [socketOf(name), `${socketOf(name)}.lock`]
  for (let i = 0; i < 100; i++) {
    const listener = await listen(`shm://${name}`)
    linkSync(socket, `${socket}.aside`)
    linkSync(lock, `${lock}.aside`)
    const channel = await connect(`shm://${name}`)
    channel.destroy()
    await listener.close()
    // As if it had been killed: the sweep and the next listener want it at the same time.
    renameSync(`${socket}.aside`, socket)
    renameSync(`${lock}.aside`, lock)
  }
  const told = said(child)
  child.stdin!.write('now')
  t.regex(await told, /^swept [1-9]/)
  sweep({ prefix: name })
  t.deepEqual(filesOf(name), [])
})

onLinux('a lock without a socket is half-created, and one just made is in use', (t) => {
  const name = ownName(t)
  const lock = `${socketOf(name)}.lock`
  writeFileSync(lock, 'millrace offer\n', { mode: 0o600 })
  t.like(list({ prefix: name })[0], { kind: 'listener', state: 'in-use', detail: 'just created' })
  t.deepEqual(sweep({ prefix: name }).removed, [])
  return (async () => {
    // The time of the last change cannot be set: it has to pass.
    await until(() => list({ prefix: name })[0]?.state === 'half-created')
    await until(() => sweep({ prefix: name }).removed.length === 1)
    t.false(existsSync(lock))
  })()
})

onLinux('what somebody else put there stays', (t) => {
  for (const [what, write] of [
    [
      'a file in the place of the socket',
      (path: string) => {
        writeFileSync(path, 'mine')
      },
    ],
    [
      'a file in the place of the lock',
      (path: string) => {
        writeFileSync(`${path}.lock`, 'mine', { mode: 0o600 })
      },
    ],
  ] as const) {
    const name = ownName(t)
    write(socketOf(name))
    t.like(list({ prefix: name })[0], { kind: 'listener', state: 'foreign' }, what)
    t.deepEqual(sweep({ prefix: name, kept: true }).removed, [], what)
    t.is(filesOf(name).length, 1, what)
  }
})

onLinux(
  'a listener that dies between who connects and its rings: that one hears it in time',
  async (t) => {
    const name = ownName(t)
    const child = start(
      t,
      `millrace.NamelessSegment.create = die
     await listen('shm://${name}'); console.log('listens')`,
    )
    await said(child)
    const ended = once(child, 'exit')
    await t.throwsAsync(within(patience, connect(`shm://${name}`, { timeout: 60_000 })), {
      code: 'ERR_MILLRACE_UNREACHABLE',
    })
    await within(patience, ended)
    t.is(child.signalCode, 'SIGKILL')
    t.is(sweep({ prefix: name }).removed.length, 1)
  },
)

onLinux('a listener that dies with somebody in line: that one hears it in time', async (t) => {
  const name = ownName(t)
  const child = start(t, `await listen('shm://${name}'); console.log('listens')`)
  await said(child)
  child.kill('SIGSTOP')
  const late = connect(`shm://${name}`, { timeout: 100 })
  await t.throwsAsync(within(patience, late), { code: 'ERR_MILLRACE_TIMEOUT' })
  const connecting = t.throwsAsync(
    within(patience, connect(`shm://${name}`, { timeout: 60_000 })),
    { code: 'ERR_MILLRACE_UNREACHABLE' },
  )
  await kill(child)
  await connecting
})

const descriptors = (): number => readdirSync('/proc/self/fd').length

onLinux('who dies with the rings in hand costs nothing: the listener goes on', async (t) => {
  const name = ownName(t)
  const listener = await listen(`shm://${name}`, { helloTimeout: 300, maxPending: 2 })
  t.teardown(() => listener.close())
  {
    // What is opened once for all is open afterwards.
    const [near, far] = await within(
      patience,
      Promise.all([connect(`shm://${name}`), listener.accept()]),
    )
    await Promise.all([near.close(), far!.close()])
  }
  const before = descriptors()
  for (const where of [
    // The descriptors have come, and nobody has them yet.
    `millrace.NamelessSegment.own = die; await connect('shm://${name}')`,
    // They are somebody's, who says nothing.
    `await millrace.receiveSegments('${socketOf(name)}'); die()`,
  ]) {
    const { refused } = listener
    const children = [start(t, where), start(t, where), start(t, where)]
    for (const child of children) {
      if (child.exitCode === null && child.signalCode === null)
        await within(patience, once(child, 'exit'))
      t.is(child.signalCode, 'SIGKILL')
    }
    await until(() => listener.refused === refused + 3)
    const [near, far] = await within(
      patience,
      Promise.all([connect(`shm://${name}`), listener.accept()]),
    )
    await near.send('on')
    t.is(String(await far!.receive()), 'on')
    await Promise.all([near.close(), far!.close()])
  }
  await until(() => descriptors() <= before)
  t.is(listener.connections, 0)
})

onLinux('who takes the rings and says nothing holds a place until its time is over', async (t) => {
  const name = ownName(t)
  const listener = await listen(`shm://${name}`, { helloTimeout: 200, maxPending: 1 })
  t.teardown(() => listener.close())
  const segments = await receiveSegments(socketOf(name))
  const [near, far] = await within(
    patience,
    Promise.all([connect(`shm://${name}`, { timeout: patience }), listener.accept()]),
  )
  t.is(listener.refused, 1)
  for (const segment of Object.values(segments)) segment.close()
  await Promise.all([near.close(), far!.close()])
  t.is(statSync(socketOf(name)).isSocket(), true)
})
