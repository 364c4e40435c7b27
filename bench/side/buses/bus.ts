// What carries messages from one publisher to several subscribers in other processes, all behind the same few calls.

import type { Parameters } from '../parameters.js'
import { millrace, millraceBatches } from './millrace.js'
import { nats } from './nats.js'
import { zeromq } from './zeromq.js'

export interface Publisher {
  /** What is to be awaited, if anything. */
  publish(message: Buffer): Promise<unknown> | undefined
  /** Where several can be published in one call: so many, which are not changed before it is there. */
  readonly batch?: {
    readonly size: number
    publish(messages: readonly Buffer[]): Promise<unknown>
  }
  /** Where nobody is told when a subscriber has joined: makes itself heard. */
  hello?(): Promise<unknown>
  close(): Promise<void>
}

export interface Subscribed {
  close(): Promise<void>
}

export type Handle = (message: Uint8Array) => void

export interface Bus {
  publisher(parameters: Parameters): Promise<Publisher>
  /** Resolves when it has joined: `handle` has every later message. */
  subscribe(parameters: Parameters, handle: Handle): Promise<Subscribed>
}

/** One that says hello to subscribers who join. */
export const hello = Buffer.from('hello')

const buses = { millrace, millraceBatches, nats, zeromq } as const
export type BusName = keyof typeof buses

export function busOf({ bus }: Parameters): Bus {
  if (bus === undefined) throw new Error('no bus was named')
  return buses[bus]
}
