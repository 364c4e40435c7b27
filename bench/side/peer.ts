// Packages that are measured beside millrace: installed in bench/peers, not known to the compiler.

import { createRequire } from 'node:module'

const require = createRequire(new URL('../../../bench/peers/package.json', import.meta.url))

export function peer(name: string): unknown {
  return require(name)
}

interface ZeromqSocket {
  bind(address: string): Promise<void>
  connect(address: string): void
  send(message: Uint8Array): Promise<void>
  receive(): Promise<[Buffer]>
  close(): void
}
export interface Zeromq {
  readonly Pair: new (options?: object) => ZeromqSocket
}

export interface ShmTypedArray {
  create(count: number, type: 'Int32Array', key: string): Int32Array | null
  get(key: string, type: 'Int32Array'): Int32Array | null
  detach(key: string): number
  destroy(key: string): boolean
}

/** Its synchronous calls, which spin where they have to wait. */
interface Disruptor {
  produceClaimSync(): Buffer
  produceCommitSync(): boolean
  consumeNewSync(): Buffer[]
  consumeCommit(): boolean
  release(): void
}
export interface SharedMemoryDisruptor {
  readonly Disruptor: new (
    name: string,
    elements: number,
    elementBytes: number,
    consumers: number,
    consumer: number,
    init: boolean,
    spin: boolean,
  ) => Disruptor
}

type Callback = (error: Error | null, answer: Buffer) => void
export interface Grpc {
  readonly Server: new () => {
    addService(definition: object, handlers: object): void
    bindAsync(
      address: string,
      credentials: unknown,
      done: (error: Error | null, port: number) => void,
    ): void
    forceShutdown(): void
  }
  readonly ServerCredentials: { createInsecure(): unknown }
  readonly credentials: { createInsecure(): unknown }
  makeGenericClientConstructor(
    definition: object,
    name: string,
  ): new (
    address: string,
    credentials: unknown,
  ) => { echo(message: Buffer, done: Callback): void; close(): void }
}
