// Two processes in networks of their own, and a link between them that is taken down: as two machines and a cable. Networks and link are
// the processes', and go with them.

import { fork, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import type { Answer, Order } from './fixtures/apart.js'

const patience = 60_000
const here = '192.0.2.1'
const there = '192.0.2.2'

/** What is missing for that, if something is. */
function missing(): string | undefined {
  if (process.platform !== 'linux') return 'Linux'
  if (process.geteuid?.() !== 0) return 'root'
  if (spawnSync('ip', ['-V']).status !== 0) return 'ip (iproute2)'
  if (spawnSync('unshare', ['-n', 'true']).status !== 0) return 'the right to unshare networks'
  const tried = spawnSync('unshare', ['-n', 'ip', ...veth('one'), ...peer('other')])
  return tried.status === 0 ? undefined : 'links of type veth'
}

/** A cable: what is at one end of it, and at the other. */
const veth = (...end: string[]) => ['link', 'add', 'name', ...end, 'type', 'veth']
const peer = (...end: string[]) => ['peer', 'name', ...end]

function run(...[command, ...args]: [string, ...string[]]): void {
  const { status, stderr } = spawnSync(command, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr}`)
}

/** A process in a network of its own. */
class Side {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(t: ExecutionContext): Promise<Side> {
    const child = fork(fileURLToPath(new URL('fixtures/apart.js', import.meta.url)), {
      execPath: 'unshare',
      execArgv: ['-n', process.execPath],
    })
    t.teardown(() => {
      child.kill('SIGKILL')
    })
    const side = new Side(child)
    await side.#answer()
    return side
  }

  get pid(): string {
    return String(this.#child.pid)
  }

  async ask(order: Order): Promise<Answer> {
    this.#child.send(order)
    const answer = await this.#answer()
    if (answer.code === 'failed') throw new Error(answer.message)
    return answer
  }

  async #answer(): Promise<Answer> {
    const over = new AbortController()
    const { signal } = over
    const said = once(this.#child, 'message', { signal }) as Promise<[Answer]>
    const gone = once(this.#child, 'exit', { signal }).then(([code, by]) => {
      throw new Error(`it has ended: ${String(by ?? code)}`)
    })
    for (const either of [said, gone]) either.catch(() => undefined)
    try {
      const [answer] = await within(patience, Promise.race([said, gone]))
      return answer
    } finally {
      over.abort()
    }
  }

  /** In its network. */
  ip(...args: string[]): void {
    run('nsenter', '-t', this.pid, '-n', 'ip', ...args)
  }
}

interface Both {
  readonly near: Side
  readonly far: Side
  /** Takes the link down, or up again. */
  readonly link: (is: 'down' | 'up') => void
  /** Where the one listens. */
  readonly channel: string
}

/** One serves, the other one has joined. Undefined: that cannot be had, which is said. */
async function joined(t: ExecutionContext, heartbeat: number): Promise<Both | undefined> {
  const what = missing()
  if (what !== undefined) {
    t.log(`passed over: it takes ${what}`)
    t.pass()
    return undefined
  }
  const name = uniqueName(t)
  t.teardown(() => {
    WorkQueue.unlink(name)
  })
  const [near, far] = await Promise.all([Side.start(t), Side.start(t)])
  run('ip', ...veth('cable', 'netns', near.pid), ...peer('cable', 'netns', far.pid))
  for (const [side, host] of [
    [near, here],
    [far, there],
  ] as const) {
    side.ip('addr', 'add', `${host}/24`, 'dev', 'cable')
    side.ip('link', 'set', 'cable', 'up')
  }
  const { channel, queue } = await near.ask({ do: 'serve', host: here, name, heartbeat })
  await far.ask({ do: 'join', channel: channel!, queue: queue!, heartbeat })
  const link = (is: 'down' | 'up'): void => {
    far.ip('link', 'set', 'cable', is)
  }
  return { near, far, link, channel: channel! }
}

test.serial(
  'a link that is down for two seconds heals, and nothing that was confirmed is lost',
  async (t) => {
    // Longer than the system needs to send again what was lost meanwhile.
    const both = await joined(t, 20_000)
    if (both === undefined) return
    const { near, far, link, channel } = both
    await far.ask({ do: 'begin' })
    const moves = async (least: Answer): Promise<void> => {
      await until(async () => {
        const { texts, completed } = await far.ask({ do: 'report' })
        return (
          texts!.length > least.texts!.length + 20 &&
          completed!.length > least.completed!.length + 20
        )
      }, patience)
    }
    await moves({ texts: [], completed: [] })
    link('down')
    const before = await far.ask({ do: 'report' })
    const unreachable = await far.ask({ do: 'connect', address: channel })
    t.is(unreachable.code, 'ERR_MILLRACE_UNREACHABLE')
    t.regex(unreachable.message!, /no way to the network of .*: see that its interface is up/)
    await new Promise((resolve) => setTimeout(resolve, 2000))
    const during = await far.ask({ do: 'report' })
    // What was on its way when it went down may have been confirmed yet.
    t.true(during.completed!.length <= before.completed!.length + 1, 'it was down')
    link('up')
    await moves(during)

    const { texts, pushed, completed, lost, code } = await far.ask({ do: 'stop' })
    t.is(code, undefined)
    t.is(lost, 0, 'no connection was made anew')
    let heard: Answer = {}
    await until(async () => {
      heard = await near.ask({ do: 'report' })
      return heard.texts!.length >= texts!.length
    }, patience)
    t.is(heard.code, undefined)
    t.deepEqual(heard.texts, texts)
    t.is(heard.done, completed!.length)
    const { left } = await near.ask({ do: 'stop' })
    t.deepEqual([...completed!, ...left!], pushed)
  },
)

test.serial(
  'a link that is down for longer than the heartbeat is a death to both sides',
  async (t) => {
    const both = await joined(t, 1000)
    if (both === undefined) return
    const { near, far, link } = both
    await far.ask({ do: 'hold' })
    link('down')
    for (const side of [near, far]) {
      let ended: Answer = {}
      await until(
        async () => (ended = await side.ask({ do: 'report' })).code !== undefined,
        patience,
      )
      t.is(ended.code, 'ERR_MILLRACE_PEER_GONE')
      t.regex(ended.message!, /1000 ms \(heartbeat\)/)
    }
    await until(async () => (await far.ask({ do: 'report' })).lost === 1, patience)
    t.is((await far.ask({ do: 'settle' })).code, 'ERR_MILLRACE_LEASE_LOST')
    link('up')
    t.is((await far.ask({ do: 'push' })).code, undefined)
    // What was in hand is the first again, and that it had been begun with is known.
    t.is((await far.ask({ do: 'leave' })).attempt, 2)
    t.deepEqual((await near.ask({ do: 'stop' })).left, ['after all'])
  },
)
