// Two hosts that share no memory, joined by gateways: over tcp://, and over NATS. One gateway is killed halfway, and each order has one
// receipt all the same.
//
//   node start.js [tcp] [nats]
//
// The second host is a network namespace with a network, and a /dev/shm, of its own, if this user may make one; else it is other processes,
// whose names are others.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const count = 400
const folder = mkdtempSync(join(tmpdir(), 'millrace-two-hosts-'))
const children = new Set<ChildProcess>()
const program = (name: string) =>
  fileURLToPath(new URL(import.meta.url.replace(/start(\.\w+)$/, `${name}$1`)))
const root = dirname(createRequire(import.meta.url).resolve('millrace/package.json'))
const millrace = join(root, 'dist/cli/main.js')

/** What runs before a program of the host, and where others find it. */
interface Host {
  readonly enter: readonly string[]
  readonly address: string
}

interface Running {
  readonly child: ChildProcess
  /** Resolves with the line that has that in it. */
  readonly line: (part: string) => Promise<string>
  readonly end: (signal?: NodeJS.Signals) => Promise<void>
}

function start({ enter }: Host, command: readonly string[]): Running {
  const [first, ...args] = [...enter, ...command]
  const child = spawn(first!, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  children.add(child)
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
  }
  const ended = once(child, 'close')
  void ended.then(() => children.delete(child))
  return {
    child,
    async line(part) {
      for (;;) {
        const found = text.split('\n').find((one) => one.includes(part))
        if (found !== undefined) return found
        if (!children.has(child)) throw new Error(`${command.join(' ')} has ended: ${text}`)
        await Promise.race([once(child.stdout, 'data'), once(child.stderr, 'data'), ended])
      }
    },
    async end(signal = 'SIGTERM') {
      child.kill(signal)
      const [code] = (await ended) as [number | null]
      if (signal === 'SIGTERM' && code !== 0) throw new Error(`it has ended with ${code}: ${text}`)
    },
  }
}

let files = 0
function gateway(host: Host, routes: readonly object[]): Running {
  const file = join(folder, `gateway-${++files}.json`)
  writeFileSync(file, JSON.stringify({ host: `gateway-${files}`, routes }, undefined, 2))
  return start(host, [process.execPath, millrace, 'gateway', file])
}

/** Orders go to the second host, and receipts come back; halfway the first host's gateway is killed, and another one takes its place. */
async function trade(
  near: Host,
  join: () => Promise<{
    readonly routes: readonly object[]
    readonly others: readonly Running[]
  }>,
): Promise<string> {
  const shop = start(near, [process.execPath, program('shop'), String(count)])
  await shop.line('open')
  const { routes, others } = await join()
  const first = gateway(near, routes)
  await shop.line('half')
  await first.end('SIGKILL')
  const second = gateway(near, routes)
  await second.line('"event":"ready"')
  await shop.line('all')
  for (const one of [second, ...others]) await one.end()
  await shop.end()
  return await shop.line(`${count} orders`)
}

/** One gateway, which connects to what the other host shares. */
function overTcp(near: Host, far: Host): Promise<string> {
  return trade(near, async () => {
    const at = `tcp://${far.address}:0?insecure`
    const works = start(far, [process.execPath, program('works'), at, at])
    const [, orders, receipts] = (await works.line('open')).split(' ') as [string, string, string]
    const routes = [
      { kind: 'work', from: 'shop.orders', to: orders },
      { kind: 'work', from: receipts, to: 'shop.receipts' },
    ]
    return { routes, others: [works] }
  })
}

/** A gateway on each host, and a server between them. */
async function overNats(near: Host, far: Host): Promise<string> {
  const port = 20_000 + (process.pid % 10_000)
  const args = ['-js', '-sd', join(folder, 'nats'), '-a', near.address, '-p', String(port)]
  const server = start({ enter: [], address: near.address }, ['nats-server', ...args])
  await answers(near.address, port)
  const at = (queue: string) => `nats://${near.address}:${port}/${queue}?insecure`
  const sum = await trade(near, async () => {
    const works = start(far, [process.execPath, program('works')])
    await works.line('open')
    const other = gateway(far, [
      { kind: 'work', from: at('orders'), to: 'works.orders', alone: true },
      { kind: 'work', from: 'works.receipts', to: at('receipts') },
    ])
    const routes = [
      { kind: 'work', from: 'shop.orders', to: at('orders') },
      { kind: 'work', from: at('receipts'), to: 'shop.receipts', alone: true },
    ]
    return { routes, others: [other, works] }
  })
  await server.end('SIGKILL')
  return sum
}

async function answers(host: string, port: number): Promise<void> {
  for (let i = 0; i < 1000; i++) {
    const socket = connect(port, host)
    const isThere = await Promise.race([
      once(socket, 'connect').then(() => true),
      once(socket, 'error').then(() => false),
    ]).catch(() => false)
    socket.destroy()
    if (isThere) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`nobody answers at ${host}:${port}`)
}

const sh = (line: string) => spawnSync('sh', ['-c', line]).status === 0

/** Both hosts, and what removes the second one. */
function hosts() {
  const id = process.pid % 250
  const [space, one, other] = [`mill${process.pid}`, `ma${process.pid}`, `mb${process.pid}`]
  const isMade =
    sh(`ip netns add ${space}`) &&
    sh(`ip link add ${one} type veth peer name ${other}`) &&
    sh(`ip link set ${other} netns ${space}`) &&
    sh(`ip addr add 10.214.${id}.1/24 dev ${one} && ip link set ${one} up`) &&
    sh(
      `ip netns exec ${space} sh -c 'ip addr add 10.214.${id}.2/24 dev ${other} && ip link set ${other} up'`,
    )
  const remove = () => {
    sh(`ip link del ${one}; ip netns del ${space}`)
  }
  if (!isMade) {
    remove()
    const local = { enter: [], address: '127.0.0.1' }
    return { what: 'other processes', near: local, far: local, remove }
  }
  const own = 'mount -t tmpfs none /dev/shm && exec "$@"'
  // All its programs see the same memory: they enter what the first one has made.
  const holder = start({ enter: [], address: '' }, [
    ...['ip', 'netns', 'exec', space, 'unshare', '-m', 'sh', '-c', own, 'sh'],
    ...['sh', '-c', 'echo made; exec sleep infinity'],
  ])
  const pid = String(holder.child.pid)
  return {
    what: 'a namespace with a network and a memory of its own',
    near: { enter: [], address: `10.214.${id}.1` },
    far: { enter: ['nsenter', '-t', pid, '-m', '-n'], address: `10.214.${id}.2` },
    made: holder.line('made'),
    remove,
  }
}

const asked = process.argv.slice(2)
const ways = { tcp: overTcp, nats: overNats } as const
const { what, near, far, made, remove } = hosts()
try {
  await made
  console.log(`the second host is ${what}`)
  for (const [name, way] of Object.entries(ways)) {
    if (asked.length > 0 && !asked.includes(name)) continue
    if (name === 'nats' && spawnSync('nats-server', ['--version']).status !== 0) {
      console.log('over nats: passed over, there is no nats-server')
      continue
    }
    const sum = await way(near, far)
    console.log(`over ${name}: ${sum}`)
    if (sum !== `${count} orders, ${count} receipts, 0 of them twice`) process.exitCode = 1
  }
} finally {
  for (const child of children) child.kill('SIGKILL')
  remove()
  rmSync(folder, { recursive: true, force: true })
}
