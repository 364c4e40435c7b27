// Somebody else's client of NATS: the library itself, as a program without this package uses it.

import { createRequire } from 'node:module'
import type { ExecutionContext } from 'ava'

import type { NatsServer } from './nats.js'

export interface NatsMessage {
  readonly subject: string
  readonly data: Uint8Array
  readonly headers?: { get(name: string): string; keys(): string[] }
  string(): string
  respond(bytes?: string | Uint8Array): boolean
}

export interface NatsClient {
  publish(subject: string, bytes?: string | Uint8Array, options?: { headers?: NatsHeaders }): void
  request(
    subject: string,
    bytes?: string | Uint8Array,
    options?: { timeout: number; noMux?: boolean; headers?: NatsHeaders },
  ): Promise<NatsMessage>
  subscribe(
    subject: string,
    options: { queue?: string; callback: (error: Error | null, message: NatsMessage) => void },
  ): unknown
  flush(): Promise<void>
  close(): Promise<void>
}

export interface NatsHeaders {
  set(name: string, value: string): void
}

interface Library {
  connect(options: object): Promise<NatsClient>
  headers(): NatsHeaders
}

export const library = createRequire(import.meta.url)('@nats-io/transport-node') as Library

export async function natsClient(t: ExecutionContext, server: NatsServer): Promise<NatsClient> {
  const client = await library.connect({ servers: `127.0.0.1:${String(server.port)}` })
  t.teardown(() => client.close())
  return client
}
