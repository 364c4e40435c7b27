// A server of NATS of a test's own: on a port that nobody has, with a folder of its own, ended by its own pid.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

import { until } from '../../support/until.js'

export interface NatsOptions {
  /** Default true. */
  readonly jetstream?: boolean
  readonly user?: string
  readonly password?: string
  /** Bytes. */
  readonly maxPayload?: number
  /** Has it one user, `u` with the password `p`, who may not use `plant.shut.>`? */
  readonly permissions?: boolean
  /** Is it to run at once? Default true. */
  readonly started?: boolean
}

export class NatsServer {
  readonly port: number
  readonly #folder: string
  readonly #args: readonly string[]
  #child: ChildProcess | undefined

  constructor(port: number, folder: string, options: NatsOptions) {
    const { jetstream = true, user, password, maxPayload, permissions = false } = options
    this.port = port
    this.#folder = folder
    this.#args = [
      ...['-a', '127.0.0.1', '-p', String(port)],
      ...(jetstream ? ['-js', '-sd', join(folder, 'data')] : []),
      ...(user === undefined ? [] : ['--user', user, '--pass', password ?? '']),
      ...(maxPayload === undefined && !permissions ? [] : ['-c', join(folder, 'server.conf')]),
    ]
    const limit = maxPayload === undefined ? '' : `max_payload: ${String(maxPayload)}\n`
    const deny = '{ deny: "plant.shut.>" }'
    const rights = `permissions: { publish: ${deny}, subscribe: ${deny} }`
    const users = permissions
      ? `authorization: { users: [{ user: u, password: p, ${rights} }] }\n`
      : ''
    writeFileSync(join(folder, 'server.conf'), limit + users)
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** `nats://[secret@]127.0.0.1:PORT/NAME` */
  address(name = '', secret = ''): string {
    const at = secret === '' ? '' : `${secret}@`
    return `nats://${at}127.0.0.1:${String(this.port)}${name === '' ? '' : `/${name}`}`
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const child = spawn('nats-server', this.#args, { stdio: 'ignore', cwd: this.#folder })
    this.#child = child
    let failure: Error | undefined
    child.once('error', (error) => {
      failure = new Error('nats-server must be installed (Debian: nats-server)', { cause: error })
    })
    await until(async () => {
      if (failure !== undefined) throw failure
      if (child.exitCode !== null) throw new Error(`nats-server ended: ${String(child.exitCode)}`)
      return await this.#answers()
    })
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }

  async #answers(): Promise<boolean> {
    return await new Promise((resolve) => {
      const socket = connect(this.port, '127.0.0.1')
      // It says who it is as soon as it takes somebody.
      socket.once('data', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => {
        resolve(false)
      })
    })
  }
}

export async function natsServer(
  t: ExecutionContext,
  options: NatsOptions = {},
): Promise<NatsServer> {
  const folder = mkdtempSync(join(tmpdir(), `millrace-nats-${String(process.pid)}-`))
  const server = new NatsServer(await freePort(), folder, options)
  t.teardown(async () => {
    await server.end()
    rmSync(folder, { recursive: true, force: true })
  })
  if (options.started !== false) await server.start()
  return server
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
