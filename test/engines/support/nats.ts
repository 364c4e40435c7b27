// A server of NATS of a test's own.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

import type { Certificate } from '../../support/certificate.js'
import { EngineServer, freePort, portAnswers, serverFolder, type ServerCommand } from './server.js'

export interface NatsOptions {
  /** Default true. */
  readonly jetstream?: boolean
  readonly user?: string
  readonly password?: string
  /** Bytes. */
  readonly maxPayload?: number
  /** Has it one user, `u` with the password `p`, who may not use `plant.shut.>`? */
  readonly permissions?: boolean
  /** What its configuration says besides. */
  readonly config?: string
  /** What it shows to who connects, who must then speak TLS. With `mutual`, they must show one that is signed by it. */
  readonly certificate?: Certificate
  readonly mutual?: boolean
  /** Is it to run at once? Default true. */
  readonly started?: boolean
}

export class NatsServer extends EngineServer {
  readonly port: number
  readonly #args: readonly string[]

  constructor(port: number, folder: string, options: NatsOptions) {
    super(folder)
    const { jetstream = true, user, password, maxPayload, permissions = false } = options
    const { certificate, mutual = false, config = '' } = options
    this.port = port
    this.#args = [
      ...['-a', '127.0.0.1', '-p', String(port)],
      ...(jetstream ? ['-js', '-sd', join(folder, 'data')] : []),
      ...(user === undefined ? [] : ['--user', user, '--pass', password ?? '']),
      ...['-c', join(folder, 'server.conf')],
      ...(certificate === undefined ? [] : tlsArgs(folder, certificate, mutual)),
    ]
    const limit = maxPayload === undefined ? '' : `max_payload: ${String(maxPayload)}\n`
    const deny = '{ deny: "plant.shut.>" }'
    const rights = `permissions: { publish: ${deny}, subscribe: ${deny} }`
    const users = permissions
      ? `authorization: { users: [{ user: u, password: p, ${rights} }] }\n`
      : ''
    writeFileSync(join(folder, 'server.conf'), limit + users + config)
  }

  /** `nats://[secret@]127.0.0.1:PORT/NAME` */
  address(name = '', secret = ''): string {
    const at = secret === '' ? '' : `${secret}@`
    return `nats://${at}127.0.0.1:${String(this.port)}${name === '' ? '' : `/${name}`}`
  }

  protected override get kept(): readonly string[] {
    return ['data']
  }

  protected override get command(): ServerCommand {
    return {
      command: 'nats-server',
      args: this.#args,
      // It says who it is as soon as it takes somebody.
      answers: () => portAnswers(this.port, true),
    }
  }
}

export async function natsServer(
  t: ExecutionContext,
  options: NatsOptions = {},
): Promise<NatsServer> {
  const server = new NatsServer(await freePort(), serverFolder(t, 'nats'), options)
  t.teardown(() => server.end())
  if (options.started !== false) await server.start()
  return server
}

function tlsArgs(folder: string, { key, cert }: Certificate, mutual: boolean): string[] {
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  writeFileSync(keyFile, key, { mode: 0o600 })
  writeFileSync(certFile, cert)
  return [
    ...['--tls', '--tlscert', certFile, '--tlskey', keyFile],
    ...(mutual ? ['--tlsverify', '--tlscacert', certFile] : []),
  ]
}
