// What is used of @grpc/grpc-js, an optional peer.

import type { Duplex } from 'node:stream'

import { loadPeer } from '../peer.js'

/** Names and values beside messages; those of names that end in `-bin` are bytes. */
export interface GrpcMetadata {
  get(name: string): (string | Buffer)[]
  set(name: string, value: string | Buffer): void
}

export interface GrpcStatus {
  readonly code: number
  readonly details: string
  readonly metadata?: GrpcMetadata | null
}

/** A call at its caller. One message is sent at a time, and one asked for. */
export interface GrpcCall {
  start(
    metadata: GrpcMetadata,
    listener: {
      onReceiveMetadata(metadata: GrpcMetadata): void
      onReceiveMessage(message: Buffer | null): void
      onReceiveStatus(status: GrpcStatus): void
    },
  ): void
  startRead(): void
  sendMessageWithContext(context: { readonly callback: () => void }, message: Buffer): void
  halfClose(): void
  cancelWithStatus(code: number, details: string): void
}

/** A connection to a server, which the library would make anew. */
export interface GrpcChannel {
  close(): void
  getConnectivityState(tryToConnect: boolean): number
  watchConnectivityState(state: number, deadline: number, changed: (error?: Error) => void): void
  createCall(
    path: string,
    deadline: number,
    host: undefined,
    parent: null,
    propagate: undefined,
  ): GrpcCall
}

/** What there is of every call at its server. */
export interface GrpcCalled {
  readonly metadata: GrpcMetadata
  /** Milliseconds since 1970. */
  getDeadline(): Date | number
  getPath(): string
  once(event: string, told: () => void): unknown
}

/** A call at its server: messages are read and written as objects. */
export type GrpcServerCall = GrpcCalled & Duplex

/** One of one message each way. */
export interface GrpcSingleCall extends GrpcCalled {
  readonly request: Buffer
}

/** Its end: what went wrong, or the answer. */
export type GrpcAnswer = (error: GrpcStatus | null, answer?: Buffer) => void

export interface GrpcInjector {
  injectConnection(socket: Duplex): void
  /** Ends the connections, each when its calls have ended. */
  destroy(): void
}

export interface GrpcServer {
  register(
    path: string,
    handler: (call: GrpcServerCall) => void,
    serialize: (value: Buffer) => Buffer,
    deserialize: (bytes: Buffer) => Buffer,
    type: 'bidi',
  ): boolean
  register(
    path: string,
    handler: (call: GrpcSingleCall, answer: GrpcAnswer) => void,
    serialize: (value: Buffer) => Buffer,
    deserialize: (bytes: Buffer) => Buffer,
    type: 'unary',
  ): boolean
  unregister(path: string): boolean
  createConnectionInjector(credentials: object): GrpcInjector
}

export interface GrpcLibrary {
  readonly Metadata: new () => GrpcMetadata
  readonly Channel: new (
    target: string,
    credentials: object,
    options: Readonly<Record<string, number | string>>,
  ) => GrpcChannel
  readonly Server: new (options: Readonly<Record<string, number>>) => GrpcServer
  readonly ServerCredentials: { createInsecure(): object }
  readonly credentials: {
    createInsecure(): object
    createFromSecureContext(context: object, verify?: object): object
  }
}

/** Of a connection, as the library numbers them. */
export const Connectivity = { idle: 0, connecting: 1, ready: 2, failed: 3, shutdown: 4 } as const

/** How a call has ended, as gRPC numbers it. */
export const Status = {
  ok: 0,
  cancelled: 1,
  unknown: 2,
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  resourceExhausted: 8,
  failedPrecondition: 9,
  unimplemented: 12,
  unavailable: 14,
  unauthenticated: 16,
} as const

const loaded: { library?: GrpcLibrary } = {}

/** @throws MillraceError `MISSING_PEER` */
export function grpcLibrary(): GrpcLibrary {
  return (loaded.library ??= loadPeer('@grpc/grpc-js', 'addresses of grpc://') as GrpcLibrary)
}
