// A server of Redis of a test's own.

import { createRequire } from 'node:module'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

import type { Certificate } from '../../support/certificate.js'
import { EngineServer, freePort, portAnswers, serverFolder, type ServerCommand } from './server.js'

export interface RedisOptions {
  /** As lines of its configuration: `['appendonly yes']`. */
  readonly config?: readonly string[]
  /** What it shows to who connects, who must then speak TLS. */
  readonly certificate?: Certificate
  /** Is it to run at once? Default true. */
  readonly started?: boolean
}

export class RedisServer extends EngineServer {
  readonly port: number
  readonly #secure: boolean

  constructor(port: number, folder: string, { config = [], certificate }: RedisOptions) {
    super(folder)
    this.port = port
    this.#secure = certificate !== undefined
    const secure = certificate === undefined ? [] : tlsLines(folder, certificate, port)
    const lines = [
      ...['bind 127.0.0.1', `port ${certificate === undefined ? String(port) : '0'}`],
      ...[`dir ${folder}`, 'save ""', 'daemonize no', ...secure, ...config],
    ]
    writeFileSync(join(folder, 'server.conf'), `${lines.join('\n')}\n`)
  }

  /** `redis://[secret@]127.0.0.1:PORT/NAME` */
  address(name = '', secret = ''): string {
    const at = secret === '' ? '' : `${secret}@`
    const scheme = this.#secure ? 'rediss' : 'redis'
    return `${scheme}://${at}127.0.0.1:${String(this.port)}${name === '' ? '' : `/${name}`}`
  }

  protected override get kept(): readonly string[] {
    return ['appendonlydir', 'dump.rdb']
  }

  protected override get command(): ServerCommand {
    return {
      command: 'redis-server',
      args: [join(this.folder, 'server.conf')],
      answers: () => (this.#secure ? portAnswers(this.port) : this.#answers()),
    }
  }

  /** What it answers to a command; undefined: nobody is there. */
  async told(command: string): Promise<string | undefined> {
    return await new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1', () => {
        socket.write(`${command}\r\n`)
      })
      socket.once('data', (bytes: Buffer) => {
        socket.destroy()
        resolve(bytes.toString())
      })
      socket.once('error', () => {
        resolve(undefined)
      })
    })
  }

  /** It takes connections before it has read what it keeps, and says so. */
  async #answers(): Promise<boolean> {
    const answer = await this.told('PING')
    return answer !== undefined && !answer.startsWith('-LOADING')
  }
}

const shared: { server?: RedisServer } = {}

/** A server of the test's own, if it says how it is to be; otherwise one that tests of a file have one after the other, empty. */
export async function redisServer(
  t: ExecutionContext,
  options?: RedisOptions,
): Promise<RedisServer> {
  if (options === undefined) return await sharedServer()
  const server = new RedisServer(await freePort(), serverFolder(t, 'redis'), options)
  t.teardown(() => server.end())
  if (options.started !== false) await server.start()
  return server
}

async function sharedServer(): Promise<RedisServer> {
  if (shared.server === undefined) {
    const folder = mkdtempSync(join(tmpdir(), `millrace-redis-${String(process.pid)}-`))
    shared.server = new RedisServer(await freePort(), folder, {})
    await shared.server.start()
  }
  await shared.server.told('FLUSHALL')
  return shared.server
}

/** After the last test of a file. */
export async function endSharedServer(): Promise<void> {
  const { server } = shared
  if (server === undefined) return
  await server.end()
  rmSync(server.folder, { recursive: true, force: true })
}

/** Somebody else's client: the library itself, as a program without this package uses it. */
export interface RedisClient {
  sendCommand(args: readonly (string | Buffer)[]): Promise<unknown>
  subscribe(channel: string, listener: (message: string, channel: string) => void): Promise<void>
  pSubscribe(pattern: string, listener: (message: string, channel: string) => void): Promise<void>
}

interface Library {
  createClient(options: object): RedisClient & { connect(): Promise<unknown>; destroy(): void } & {
    on(event: 'error', listener: () => void): unknown
  }
}

const library = createRequire(import.meta.url)('@redis/client') as Library

export async function redisClient(t: ExecutionContext, server: RedisServer): Promise<RedisClient> {
  const client = library.createClient({
    socket: { host: '127.0.0.1', port: server.port, reconnectStrategy: false },
    RESP: 2,
  })
  client.on('error', () => undefined)
  t.teardown(() => {
    client.destroy()
  })
  await client.connect()
  return client
}

function tlsLines(folder: string, { key, cert }: Certificate, port: number): string[] {
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  writeFileSync(keyFile, key, { mode: 0o600 })
  writeFileSync(certFile, cert)
  return [
    ...[`tls-port ${String(port)}`, `tls-key-file ${keyFile}`, `tls-cert-file ${certFile}`],
    ...[`tls-ca-cert-file ${certFile}`, 'tls-auth-clients no'],
  ]
}
