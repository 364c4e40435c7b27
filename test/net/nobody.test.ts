// Nobody listens, and too few descriptors: the same error for every transport, and everything goes on afterwards.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { MillraceError } from 'millrace'
import { connect, listen, type Channel } from 'millrace/net'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 30_000
const isLinux = process.platform === 'linux'
const onLinux = isLinux ? test : test.skip

function ownPath(t: ExecutionContext): string {
  const path = join(tmpdir(), `millrace-${uniqueName(t)}.sock`)
  t.teardown(() => {
    rmSync(path, { force: true })
  })
  return path
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

const nobodies: Record<string, (t: ExecutionContext) => string | Promise<string>> = {
  'a path where nothing is': (t) => `unix://${ownPath(t)}`,
  'a path in a directory that is not there': (t) => `unix://${ownPath(t)}/deeper/sock`,
  'a port that nobody listens at': async () => `tcp://127.0.0.1:${String(await freePort())}`,
  'a port of a host with several addresses': async () =>
    `tcp://localhost:${String(await freePort())}`,
  'tls, and a port that nobody listens at': async () =>
    `tls://127.0.0.1:${String(await freePort())}`,
  ...(isLinux
    ? {
        'an abstract name': (t: ExecutionContext) => `unix://@${uniqueName(t)}`,
        'a name of shared memory': (t: ExecutionContext) => `shm://${uniqueName(t)}`,
        'a name alone': (t: ExecutionContext) => uniqueName(t),
        'a name whose listener has closed': async (t: ExecutionContext) => {
          const address = `shm://${uniqueName(t)}`
          await (await listen(address)).close()
          return address
        },
      }
    : {}),
}

for (const [what, addressOf] of Object.entries(nobodies)) {
  test(`nobody listens at ${what}`, async (t) => {
    const address = await addressOf(t)
    const error = await t.throwsAsync<MillraceError>(within(patience, connect(address)), {
      instanceOf: MillraceError,
      code: 'ERR_MILLRACE_UNREACHABLE',
    })
    const full = address.includes('://') ? address : `shm://${address}`
    t.is(
      error.message,
      `nobody listens at '${full}': start the process that does, or see that the address is right`,
    )
    t.is(error.path, full)
    t.true(error.cause instanceof Error)
  })
}

test('nobody listens at a socket that a killed process left', async (t) => {
  const path = ownPath(t)
  const child = fork(fileURLToPath(new URL('fixtures/starving.js', import.meta.url)))
  t.teardown(() => kill(child))
  await ask(child, { do: 'listen', address: `unix://${path}` })
  await kill(child)
  await t.throwsAsync(connect(`unix://${path}`), {
    code: 'ERR_MILLRACE_UNREACHABLE',
    message: /^nobody listens at 'unix:/,
  })
})

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await within(patience, ended)
}

/** In good order, if it can still do that. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.disconnect()
  await within(patience, ended).catch(() => kill(child))
}

/** What that process answers. */
async function ask(child: ChildProcess, what: object): Promise<Answer> {
  const over = new AbortController()
  const { signal } = over
  const answer = once(child, 'message', { signal }) as Promise<[Answer]>
  const ended = once(child, 'exit', { signal }).then(([code, by]) => {
    throw new Error(`it has ended: ${String(by ?? code)}`)
  })
  for (const either of [answer, ended]) either.catch(() => undefined)
  child.send(what)
  try {
    const [found] = await within(patience, Promise.race([answer, ended]))
    return found
  } finally {
    over.abort()
  }
}

interface Answer {
  readonly address?: string
  /** Of the error, if there was one. */
  readonly code?: string
  readonly message?: string
  readonly descriptors: number
}

function starving(t: ExecutionContext): ChildProcess {
  const child = fork(fileURLToPath(new URL('fixtures/starving.js', import.meta.url)), {
    execPath: '/bin/sh',
    execArgv: ['-c', 'ulimit -n 128; exec "$0" "$@"', process.execPath],
  })
  t.teardown(() => end(child))
  return child
}

const kinds: Record<string, (t: ExecutionContext) => string> = {
  unix: (t) => `unix://${ownPath(t)}`,
  tcp: () => 'tcp://127.0.0.1:0',
  shm: (t) => `shm://${uniqueName(t)}`,
}
/** So many descriptors are left: somewhere among them every step fails once. */
const mostLeft = 14
/** Descriptors that are kept to ring with once they were there; a leak would be more with each of the rounds. */
const mostKept = 3

for (const [kind, addressOf] of Object.entries(kinds)) {
  onLinux(
    `${kind}: without descriptors listen() says so, leaves none open, and goes on`,
    async (t) => {
      const address = addressOf(t)
      const child = starving(t)
      const first = await ask(child, { do: 'listen and close', address })
      let failures = 0
      for (let left = 0; left <= mostLeft; left++) {
        const { code, message, descriptors } = await ask(child, {
          do: 'listen and close',
          address,
          left,
        })
        if (code !== undefined) {
          failures++
          t.is(code, 'ERR_MILLRACE_SYSTEM', message)
          t.regex(message!, /ulimit -n/)
        }
        t.true(
          descriptors <= first.descriptors + mostKept,
          `${String(left)}: ${String(descriptors)}`,
        )
        const again = await ask(child, { do: 'listen and close', address })
        t.is(again.code, undefined, `${String(left)}: ${String(again.message)}`)
      }
      t.true(failures > 0)
    },
  )

  onLinux(
    `${kind}: without descriptors connect() says so, leaves none open, and goes on`,
    async (t) => {
      const child = starving(t)
      const listener = await listen(addressOf(t))
      t.teardown(() => listener.close())
      const serving = (async () => {
        for await (const channel of listener) void echo(channel)
      })()
      const { address } = listener
      const first = await ask(child, { do: 'connect', address })
      t.is(first.code, undefined, first.message)
      let failures = 0
      for (let left = 0; left <= mostLeft; left++) {
        const { code, message, descriptors } = await ask(child, { do: 'connect', address, left })
        if (code !== undefined) {
          failures++
          t.is(code, 'ERR_MILLRACE_SYSTEM', `${String(left)}: ${String(message)}`)
          t.regex(message!, /ulimit -n/)
        }
        t.true(
          descriptors <= first.descriptors + mostKept,
          `${String(left)}: ${String(descriptors)}`,
        )
        const again = await ask(child, { do: 'connect', address })
        t.is(again.code, undefined, `${String(left)}: ${String(again.message)}`)
      }
      t.true(failures > 0)
      await listener.close()
      await serving
    },
  )

  onLinux(
    `${kind}: a listener without descriptors turns away, and takes the next ones`,
    async (t) => {
      const asked = addressOf(t) // first: it is looked for what is left of it when the process has ended
      const child = starving(t)
      const { address, code, message } = await ask(child, { do: 'listen', address: asked })
      t.is(code, undefined, message)
      const first = await tryEcho(address!)
      t.is(first, 'echoed')
      let failures = 0
      const pass = async (): Promise<void> => {
        for (let left = 0; left <= mostLeft; left++) {
          await ask(child, { do: 'starve', left })
          const got = await tryEcho(address!)
          if (got !== 'echoed') failures++
          t.true(outcomes.includes(got), got)
          await ask(child, { do: 'feed' })
          t.is(await tryEcho(address!), 'echoed', String(left))
        }
      }
      await pass()
      t.true(failures > 0)
      // What is opened once, and kept to ring with, is open by now.
      const before = await ask(child, { do: 'feed' })
      await pass()
      // Those who left may be closing yet, and one that is kept may have come late.
      await until(
        async () => (await ask(child, { do: 'feed' })).descriptors <= before.descriptors + mostKept,
      )
    },
  )
}

/** Of who connects to a listener that may have no descriptors. */
const outcomes = [
  'echoed',
  'ERR_MILLRACE_PEER_GONE',
  'ERR_MILLRACE_UNREACHABLE',
  'ERR_MILLRACE_TIMEOUT',
]

async function echo(channel: Channel): Promise<void> {
  try {
    for await (const message of channel) await channel.send(message)
  } catch {
    // It has left.
  }
  await channel.close()
}

async function tryEcho(address: string): Promise<string> {
  let channel: Channel | undefined
  try {
    channel = await within(patience, connect(address, { timeout: 3000 }))
    await channel.send('there?')
    return String(await within(patience, channel.receive())) === 'there?' ? 'echoed' : 'nothing'
  } catch (error) {
    return (error as { code?: string }).code ?? String(error)
  } finally {
    await channel?.close()
  }
}
