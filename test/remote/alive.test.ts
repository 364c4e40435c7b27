// What is used by an address keeps its process alive while somebody waits, as what is in this memory does; after unref() it does not.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import test, { type ExecutionContext } from 'ava'
import { call, contract, serve } from 'millrace/rpc'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 30_000

interface Kind {
  /** Where it is, and what lets the wait of the other process end. */
  readonly offer: (
    t: ExecutionContext,
  ) => Promise<{ readonly address: string; readonly deliver: () => unknown }>
  /** `handle`, and `wait`, which waits by it. */
  readonly program: string
}

async function bus(t: ExecutionContext) {
  const near = Topics.open(uniqueName(t))
  t.teardown(() => {
    near.close()
    WorkQueue.unlink(`${near.name}.g`)
  })
  const share = await near.share('tcp://127.0.0.1:0')
  t.teardown(() => share.close())
  return { address: share.address, deliver: () => near.publish('a', 'x') }
}

const echo = contract('echo', { echo: call<string, string>() })

const kinds: Record<string, Kind> = {
  'a work queue': {
    offer: async (t) => {
      const near = WorkQueue.open(uniqueName(t))
      t.teardown(() => {
        near.close()
        WorkQueue.unlink(near.name)
      })
      const share = await near.share('tcp://127.0.0.1:0')
      t.teardown(() => share.close())
      return { address: share.address, deliver: () => near.push('x') }
    },
    program: `
      const handle = WorkQueue.open(address)
      await handle.flush()
      const wait = async () => (await handle.takeOne()).complete()`,
  },
  'a subscription': {
    offer: bus,
    program: `
      const handle = Topics.open(address)
      const subscription = await handle.subscribe('a')
      const wait = async () => { (await subscription.receive()).release() }`,
  },
  'a member of a group': {
    offer: bus,
    program: `
      const handle = Topics.open(address)
      const member = await handle.subscribe('a', { queue: 'g' })
      const wait = async () => (await member.receive()).complete()`,
  },
  'a call': {
    offer: async (t) => {
      let letGo = (): void => undefined
      const held = new Promise<void>((resolve) => (letGo = resolve))
      const server = await serve('tcp://127.0.0.1:0', echo, {
        echo: async (text) => {
          await held
          return text
        },
      })
      t.teardown(async () => {
        letGo()
        await server[Symbol.asyncDispose]()
      })
      return { address: server.name, deliver: letGo }
    },
    program: `
      const handle = await connect(address, contract('echo', { echo: call() }))
      const wait = () => handle.echo('x')`,
  },
}

function using(t: ExecutionContext, program: string, ...args: string[]) {
  const child = spawn(
    process.execPath,
    [
      '--input-type=module',
      '--eval',
      `const { WorkQueue } = await import('millrace/work')
       const { Topics } = await import('millrace/topics')
       const { call, connect, contract } = await import('millrace/rpc')
       const [, address, how] = process.argv
       ${program}
       handle.unref()
       if (how === 'ref') handle.ref()
       void wait().then(() => {
         console.log('got')
         handle.close()
       })
       console.log('waits')`,
      ...args,
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  return {
    child,
    exit: once(child, 'exit'),
    heard: async () => (await within(patience, lines.next())).value as string | undefined,
  }
}

for (const [what, { offer, program }] of Object.entries(kinds)) {
  test(`${what} that is waited for ends with its process after unref()`, async (t) => {
    const { address } = await offer(t)
    const other = using(t, program, address, 'unref')
    t.is(await other.heard(), 'waits')
    t.deepEqual(await within(patience, other.exit), [0, null])
    t.is(await other.heard(), undefined)
  })

  test(`${what} that is waited for keeps its process alive after ref()`, async (t) => {
    const { address, deliver } = await offer(t)
    const other = using(t, program, address, 'ref')
    t.is(await other.heard(), 'waits')
    // Long enough for a process that nothing keeps.
    await new Promise((resolve) => setTimeout(resolve, 300))
    await deliver()
    t.is(await other.heard(), 'got')
    t.deepEqual(await within(patience, other.exit), [0, null])
    await until(() => other.child.exitCode === 0)
  })
}
