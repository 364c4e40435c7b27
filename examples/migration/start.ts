// The same program in one process, in several, and on two hosts: a string more each time, and no line changed.
//
// The second host is a network namespace with a network, and a /dev/shm, of its own, if this user may make one; else it is another
// process that finds nothing in this machine's memory, since all its names are elsewhere.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const program = (name: string) =>
  fileURLToPath(new URL(import.meta.url.replace(/start(\.\w+)$/, `${name}$1`)))
const children = new Set<ChildProcess>()

interface Host {
  /** What runs before the program. */
  readonly enter: readonly string[]
  readonly addresses?: string
}

function start(name: string, parts: readonly string[], { enter, addresses = '' }: Host) {
  const [command, ...args] = [...enter, process.execPath, program(name), ...parts]
  const child = spawn(command!, args, {
    env: { ...process.env, MILLRACE_ADDRESSES: addresses },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  children.add(child)
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  const ended = once(child, 'close').then(([code]) => {
    children.delete(child)
    if (code !== 0) throw new Error(`${name} ${parts.join(' ')} has ended with ${String(code)}`)
    return out.trim()
  })
  ended.catch(() => undefined)
  return { child, ended, said: () => out }
}

const here: Host = { enter: [] }

async function end(...all: readonly ReturnType<typeof start>[]): Promise<void> {
  for (const { child } of all) child.kill('SIGTERM')
  await Promise.all(all.map(({ ended }) => ended))
}

async function inOneProcess(): Promise<string> {
  return await start('shop', ['desk', 'worker', 'office'], here).ended
}

async function inSeveral(): Promise<string> {
  const others = ['desk', 'worker', 'worker'].map((part) => start('shop', [part], here))
  const sum = await start('shop', ['office'], here).ended
  await end(...others)
  return sum
}

/** The host with the memory and the desk, and the one with the workers. */
async function onTwoHosts(far: FarHost): Promise<string> {
  const at = (port: number) => `tcp://${far.nearAddress}:${port}${far.query}`
  const hub = start('hub', [at(0), at(0)], here)
  while (!hub.said().includes('\n')) await once(hub.child.stdout, 'data')
  const [orders, events] = hub.said().trim().split(' ')
  const port = 20_000 + (process.pid % 10_000)
  const desk = start('shop', ['desk'], { ...here, addresses: `shop.prices=${at(port)}` })
  const addresses = `shop.orders=${orders},shop.events=${events},shop.prices=${at(port)}`
  const workers = [1, 2].map(() => start('shop', ['worker'], { enter: far.enter, addresses }))
  const sum = await start('shop', ['office'], here).ended
  await end(...workers)
  await end(desk, hub)
  return sum
}

interface FarHost {
  readonly what: string
  readonly enter: readonly string[]
  /** Where the far host finds this one. */
  readonly nearAddress: string
  /** What an address outside of this machine needs. */
  readonly query: string
  remove(): void
}

const sh = (line: string) => spawnSync('sh', ['-c', line]).status === 0

function farHost(): FarHost {
  const id = process.pid % 250
  const [space, near, far] = [`mill${process.pid}`, `mn${process.pid}`, `mf${process.pid}`]
  const isMade =
    sh(`ip netns add ${space}`) &&
    sh(`ip link add ${near} type veth peer name ${far}`) &&
    sh(`ip link set ${far} netns ${space}`) &&
    sh(`ip addr add 10.213.${id}.1/24 dev ${near} && ip link set ${near} up`) &&
    sh(
      `ip netns exec ${space} sh -c 'ip addr add 10.213.${id}.2/24 dev ${far} && ip link set ${far} up'`,
    )
  const remove = () => {
    sh(`ip link del ${near}; ip netns del ${space}`)
  }
  if (isMade) {
    const own = 'mount -t tmpfs none /dev/shm && exec "$@"'
    return {
      what: 'a namespace with a network and a memory of its own',
      enter: ['ip', 'netns', 'exec', space, 'unshare', '-m', 'sh', '-c', own, 'sh'],
      nearAddress: `10.213.${id}.1`,
      query: '?insecure',
      remove,
    }
  }
  remove()
  return { what: 'another process', enter: [], nearAddress: '127.0.0.1', query: '', remove }
}

const far = farHost()
try {
  const sums = [await inOneProcess(), await inSeveral(), await onTwoHosts(far)]
  console.log(`in one process: ${sums[0]!}`)
  console.log(`in several: ${sums[1]!}`)
  console.log(`on two hosts (${far.what}): ${sums[2]!}`)
  const isSame = new Set(sums).size === 1
  console.log(isSame ? 'the same, with no line changed' : 'NOT the same')
  process.exitCode = isSame ? 0 : 1
} finally {
  for (const child of children) child.kill('SIGKILL')
  far.remove()
}
