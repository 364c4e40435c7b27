// How the servers are started that rows need: on this machine only, with ports and a folder of their own, as their manuals say
// for one node that keeps what it confirms. Nothing of an installation's own configuration is read.

import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { delimiter, isAbsolute, join } from 'node:path'
import { promisify } from 'node:util'

import { root } from '../programs.js'

export type ServerName = 'redis' | 'redis-tcp' | 'rabbitmq' | 'nats' | 'kafka'

export interface Program {
  readonly command: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A socket's path or a port of the loopback: who accepts there is ready. */
export type Door = string | number

/** Of a program that chooses its ports itself: it is ready when it has said them, and ends at the end of its input. */
export const firstLine = 'its first line'

export interface Recipe {
  /** What is started first, with the door that says that it is ready. */
  readonly steps: readonly (Program & { readonly door: Door })[]
  /** What a client is told; made of the first line of the last step, if that is its door. */
  readonly address: string | ((firstLine: string) => string)
}

/** What must be there. */
export const commands: Readonly<Record<ServerName, readonly string[]>> = {
  redis: ['redis-server'],
  'redis-tcp': ['redis-server'],
  rabbitmq: ['rabbitmq-server', 'epmd'],
  nats: ['nats-server'],
  kafka: ['cc'],
}

/** The header without which the brokers of `kafka` cannot be built, which come as a library. */
const mockHeader = 'librdkafka/rdkafka_mock.h'
const includeFolders = ['/usr/include', '/usr/local/include']

/** What else is missing; `undefined` if nothing is. */
export function missingHeader(name: ServerName): string | undefined {
  if (name !== 'kafka') return undefined
  const isThere = includeFolders.some((folder) => existsSync(join(folder, mockHeader)))
  return isThere ? undefined : mockHeader
}

/** Folders in which distributions put what only a system's administrator starts. */
const furtherFolders = ['/usr/local/sbin', '/usr/sbin']

/** The path of a command; of RabbitMQ's, not the wrapper that asks to be a certain user. */
export function found(command: string): string | undefined {
  if (isAbsolute(command)) return command
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), ...furtherFolders]
  const own = command === 'rabbitmq-server' ? ['/usr/lib/rabbitmq/bin'] : []
  return [...own, ...folders].map((folder) => join(folder, command)).find(existsSync)
}

const loopback = '127.0.0.1'

export const recipes: Readonly<Record<ServerName, (folder: string) => Promise<Recipe>>> = {
  redis(folder) {
    const door = join(folder, 'redis.sock')
    const args = ['--port', '0', '--unixsocket', door, ...redisArgs(folder)]
    return Promise.resolve({ steps: [{ command: 'redis-server', args, door }], address: door })
  },

  async 'redis-tcp'(folder) {
    const [door = 0] = await freePorts(1)
    const args = ['--bind', loopback, '--port', String(door), ...redisArgs(folder)]
    const address = `redis://${loopback}:${String(door)}`
    return { steps: [{ command: 'redis-server', args, door }], address }
  },

  async nats(folder) {
    const [door = 0] = await freePorts(1)
    const args = ['-a', loopback, '-p', String(door), '-js', '-sd', join(folder, 'streams')]
    const address = `${loopback}:${String(door)}`
    return { steps: [{ command: 'nats-server', args, door }], address }
  },

  /** The mock brokers of librdkafka, as in the tests: they keep what they confirm in memory. */
  async kafka(folder) {
    const command = join(folder, 'kafka-mock')
    const source = join(root, 'test', 'engines', 'fixtures', 'kafka-mock.c')
    await promisify(execFile)('cc', ['-std=c11', '-O2', source, '-o', command, '-lrdkafka'])
    const step = { command, args: ['1', 'jobs:4'], door: firstLine }
    return { steps: [step], address: (brokers) => brokers }
  },

  async rabbitmq(folder) {
    const [port = 0, distribution = 0, mapper = 0] = await freePorts(3)
    const file = (name: string) => join(folder, name)
    await writeFile(file('conf'), `listeners.tcp.1 = ${loopback}:${String(port)}\n`)
    await writeFile(file('plugins'), '[].\n')
    // Erlang's port mapper would otherwise be started as a daemon that stays.
    const ofMapper = { ERL_EPMD_PORT: String(mapper), ERL_EPMD_ADDRESS: loopback }
    const args = ['-port', String(mapper), '-address', loopback]
    const env = {
      ...ofMapper,
      HOME: folder,
      RABBITMQ_NODENAME: `millrace-bench-${String(process.pid)}@localhost`,
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_MNESIA_BASE: file('data'),
      RABBITMQ_LOG_BASE: file('log'),
      RABBITMQ_CONFIG_FILE: file('conf'),
      RABBITMQ_ENABLED_PLUGINS_FILE: file('plugins'),
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      RABBITMQ_PID_FILE: file('pid'),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
    }
    const server = { command: 'rabbitmq-server', args: [], env, door: port }
    const address = `amqp://guest:guest@${loopback}:${String(port)}`
    return { steps: [{ command: 'epmd', args, env: ofMapper, door: mapper }, server], address }
  },
}

/** What BullMQ's manual asks for: a log of what was changed, on disk within a second. */
function redisArgs(folder: string): readonly string[] {
  return ['--dir', folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'everysec']
}

/** Ports that nobody has at this moment. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject)
          server.listen(0, loopback, () => {
            resolve((server.address() as { port: number }).port)
          })
        }),
    ),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}
