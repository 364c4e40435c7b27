// What is used of @nats-io/transport-node, an optional peer.

import { loadPeer } from '../peer.js'

/** Names and values of a message; the code is that of what the server says itself. */
export interface NatsHeaders {
  readonly code: number
  readonly description: string
  get(name: string): string
  set(name: string, value: string): void
  keys(): string[]
}

export interface NatsMessage {
  readonly subject: string
  readonly data: Uint8Array
  readonly reply?: string
  readonly headers?: NatsHeaders
}

export interface NatsSubscription {
  unsubscribe(): void
  /** Nothing new comes; what is on its way still does, before it resolves. */
  drain(): Promise<void>
}

export interface NatsConnection {
  readonly info?: { readonly max_payload: number; readonly jetstream?: boolean }
  publish(
    subject: string,
    bytes?: Uint8Array,
    options?: { readonly reply?: string; readonly headers?: NatsHeaders },
  ): void
  subscribe(
    subject: string,
    options: {
      readonly queue?: string
      readonly callback: (error: Error | null, message: NatsMessage) => void
    },
  ): NatsSubscription
  request(
    subject: string,
    bytes?: Uint8Array,
    options?: { readonly timeout: number; readonly headers?: NatsHeaders },
  ): Promise<NatsMessage>
  flush(): Promise<void>
  status(): AsyncIterable<{ readonly type: string; readonly error?: Error }>
  /** Resolves when the connection has ended. */
  closed(): Promise<Error | undefined>
  close(): Promise<void>
  isClosed(): boolean
}

export interface NatsLibrary {
  connect(options: object): Promise<NatsConnection>
  headers(): NatsHeaders
  createInbox(): string
  credsAuthenticator(file: Uint8Array): unknown
  nkeyAuthenticator(seed: Uint8Array): unknown
}

const loaded: { library?: NatsLibrary } = {}

/** @throws MillraceError `MISSING_PEER` */
export function natsLibrary(): NatsLibrary {
  return (loaded.library ??= loadPeer(
    '@nats-io/transport-node',
    'addresses of nats://',
  ) as NatsLibrary)
}
