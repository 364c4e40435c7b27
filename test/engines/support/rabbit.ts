// A server of RabbitMQ of a test's own. It takes seconds to start, so the tests of a file share one.

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { TestFn } from 'ava'

import type { Certificate } from '../../support/certificate.js'
import { until } from '../../support/until.js'
import { EngineServer, freePort, portAnswers, type ServerCommand } from './server.js'

interface Ports {
  readonly plain: number
  readonly tls: number
  /** Of Erlang: that of the node, and that of who knows its name. */
  readonly node: number
  readonly names: number
}

/** Where Debian has it: the script in the path changes the user. */
const script = '/usr/lib/rabbitmq/bin/rabbitmq-server'
/** Bytes of the longest message that it takes. */
export const mostBytes = 1_048_576

export class RabbitServer extends EngineServer {
  readonly #ports: Ports
  #names: ChildProcess | undefined

  constructor(folder: string, ports: Ports, certificate: Certificate | undefined) {
    super(folder)
    this.#ports = ports
    for (const name of ['mnesia', 'log']) mkdirSync(join(folder, name))
    writeFileSync(join(folder, 'enabled_plugins'), '[].\n')
    const lines = [
      `listeners.tcp.1 = 127.0.0.1:${String(ports.plain)}`,
      `max_message_size = ${String(mostBytes)}`,
    ]
    if (certificate !== undefined) {
      const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
      writeFileSync(key, certificate.key, { mode: 0o600 })
      writeFileSync(cert, certificate.cert)
      lines.push(
        `listeners.ssl.1 = 127.0.0.1:${String(ports.tls)}`,
        `ssl_options.certfile = ${cert}`,
        `ssl_options.keyfile = ${key}`,
        `ssl_options.cacertfile = ${cert}`,
      )
    }
    writeFileSync(join(folder, 'rabbitmq.conf'), `${lines.join('\n')}\n`)
  }

  get port(): number {
    return this.#ports.plain
  }

  /** `amqp://[secret@]127.0.0.1:PORT/NAME` */
  address(name = '', secret = ''): string {
    const at = secret === '' ? '' : `${secret}@`
    return `amqp://${at}127.0.0.1:${String(this.#ports.plain)}${name === '' ? '' : `/${name}`}`
  }

  secureAddress(name: string): string {
    return `amqps://127.0.0.1:${String(this.#ports.tls)}/${name}`
  }

  get env(): NodeJS.ProcessEnv {
    const { folder } = this
    const { plain, node, names } = this.#ports
    return {
      HOME: folder,
      ERL_EPMD_PORT: String(names),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: `millrace-${String(process.pid)}@localhost`,
      RABBITMQ_NODE_PORT: String(plain),
      RABBITMQ_DIST_PORT: String(node),
      RABBITMQ_MNESIA_BASE: join(folder, 'mnesia'),
      RABBITMQ_LOG_BASE: join(folder, 'log'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
      RABBITMQ_CONFIG_FILE: join(folder, 'rabbitmq'),
      RABBITMQ_CONF_ENV_FILE: join(folder, 'none'),
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1}',
      // So the script becomes the server, instead of waiting for it.
      RUNNING_UNDER_SYSTEMD: 'true',
    }
  }

  override async start(): Promise<void> {
    if (this.#names === undefined) {
      const env = { ...process.env, ...this.env }
      this.#names = spawn('epmd', ['-address', '127.0.0.1'], { env, stdio: 'ignore' })
      await until(() => portAnswers(this.#ports.names))
    }
    await super.start()
  }

  /** The server, and what knows its name. */
  async endAll(): Promise<void> {
    await this.end()
    const names = this.#names
    this.#names = undefined
    if (names?.exitCode !== null) return
    const ended = once(names, 'exit')
    names.kill('SIGKILL')
    await ended
  }

  /** An order by rabbitmqctl, which takes seconds. */
  async control(...args: readonly string[]): Promise<void> {
    const env = { ...process.env, ...this.env }
    await promisify(execFile)('/usr/lib/rabbitmq/bin/rabbitmqctl', [...args], { env })
  }

  override forget(): void {
    super.forget()
    mkdirSync(join(this.folder, 'mnesia'))
  }

  protected override get kept(): readonly string[] {
    return ['mnesia']
  }

  protected override get command(): ServerCommand {
    return {
      command: script,
      args: [],
      from: 'rabbitmq-server',
      env: this.env,
      startMs: 120_000,
      answers: async () => {
        // It takes its time, and needs the processor for that.
        await new Promise((resolve) => setTimeout(resolve, 100))
        return await portAnswers(this.#ports.plain)
      },
    }
  }
}

/** One server for the tests of a file, ended when they are over. `started`: is it to run at once? */
export function sharedRabbit(
  test: TestFn,
  certificate?: Certificate,
  started = true,
): () => RabbitServer {
  let server: RabbitServer | undefined
  test.before('a server', async () => {
    const folder = mkdtempSync(join(tmpdir(), `millrace-rabbit-${String(process.pid)}-`))
    const [plain, tls, node, names] = [
      await freePort(),
      await freePort(),
      await freePort(),
      await freePort(),
    ]
    server = new RabbitServer(folder, { plain, tls, node, names }, certificate)
    if (started) await server.start()
  })
  test.after.always('the server ends', async () => {
    await server?.endAll()
    if (server !== undefined) rmSync(server.folder, { recursive: true, force: true })
  })
  return () => server!
}

/** Somebody else's client of AMQP: the library itself, as a program without this package uses it. */
export interface RabbitClient {
  createChannel(): Promise<RabbitChannel>
  close(): Promise<void>
}

export interface RabbitMessage {
  readonly content: Buffer
  readonly fields: { readonly routingKey: string }
  readonly properties: {
    readonly headers: Record<string, unknown>
    readonly messageId?: string
    readonly correlationId?: string
    readonly replyTo?: string
  }
}

export interface RabbitChannel {
  assertQueue(queue: string, options?: object): Promise<{ queue: string; messageCount: number }>
  checkQueue(queue: string): Promise<{ messageCount: number; consumerCount: number }>
  deleteQueue(queue: string): Promise<unknown>
  bindQueue(queue: string, exchange: string, key: string): Promise<unknown>
  publish(exchange: string, key: string, bytes: Buffer, options?: object): boolean
  get(queue: string, options?: object): Promise<RabbitMessage | false>
  consume(queue: string, told: (message: RabbitMessage) => void, options?: object): Promise<unknown>
  ack(message: RabbitMessage): void
}

const library = createRequire(import.meta.url)('amqplib') as {
  connect(address: string, options: object): Promise<RabbitClient>
}

export async function rabbitClient(
  t: { teardown(end: () => Promise<void>): void },
  server: RabbitServer,
): Promise<RabbitChannel> {
  const client = await library.connect(server.address(), { noDelay: true })
  t.teardown(() => client.close())
  return await client.createChannel()
}
