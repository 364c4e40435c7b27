// What is used of amqplib, an optional peer.

import type { EventEmitter } from 'node:events'

import { loadPeer } from '../peer.js'

export interface AmqpProperties {
  readonly headers?: Readonly<Record<string, unknown>>
  readonly messageId?: string | undefined
  readonly correlationId?: string | undefined
  readonly replyTo?: string
  /** Seconds since 1970. */
  readonly timestamp?: number
}

export interface AmqpMessage {
  readonly content: Buffer
  readonly fields: {
    readonly deliveryTag: number
    readonly routingKey: string
    readonly redelivered?: boolean
    /** Of what came back because nobody takes it. */
    readonly replyCode?: number
  }
  readonly properties: AmqpProperties
}

export interface AmqpPublish extends AmqpProperties {
  readonly mandatory?: boolean
  readonly persistent?: boolean
  /** Milliseconds. */
  readonly expiration?: string | undefined
}

export interface AmqpQueue {
  readonly durable?: boolean
  readonly exclusive?: boolean
  readonly autoDelete?: boolean
  readonly arguments?: Readonly<Record<string, unknown>>
}

export interface AmqpChannel extends EventEmitter {
  assertQueue(queue: string, options: AmqpQueue): Promise<{ readonly queue: string }>
  /** `messageCount`: those that nobody has in hand. */
  checkQueue(queue: string): Promise<{ readonly messageCount: number }>
  assertExchange(exchange: string, type: string, options: { durable: boolean }): Promise<unknown>
  bindQueue(queue: string, exchange: string, key: string): Promise<unknown>
  publish(exchange: string, key: string, bytes: Buffer, options: AmqpPublish): boolean
  get(queue: string, options: { readonly noAck: boolean }): Promise<AmqpMessage | false>
  consume(
    queue: string,
    arrived: (message: AmqpMessage | null) => void,
    options: { readonly noAck?: boolean; readonly exclusive?: boolean },
  ): Promise<{ readonly consumerTag: string }>
  cancel(consumerTag: string): Promise<unknown>
  prefetch(count: number, ofChannel?: boolean): Promise<unknown>
  /** `allUpTo`: and all that were given out by this channel before it. */
  ack(message: AmqpMessage, allUpTo?: boolean): void
  nack(message: AmqpMessage, allUpTo: boolean, requeue: boolean): void
  close(): Promise<void>
}

export interface AmqpConfirmChannel extends AmqpChannel {
  publish(
    exchange: string,
    key: string,
    bytes: Buffer,
    options: AmqpPublish,
    confirmed?: (error: Error | null) => void,
  ): boolean
  /** What `publish` does when it has read its options. */
  sendMessage(fields: object, properties: object, bytes: Buffer): boolean
  pushConfirmCallback(confirmed: (error: Error | null) => void): void
}

export interface AmqpConnection extends EventEmitter {
  createChannel(): Promise<AmqpChannel>
  createConfirmChannel(): Promise<AmqpConfirmChannel>
  close(): Promise<void>
}

interface AmqpLibrary {
  connect(place: object, options: object): Promise<AmqpConnection>
}

const loaded: { library?: AmqpLibrary } = {}

/** @throws MillraceError `MISSING_PEER` */
export function amqpLibrary(): AmqpLibrary {
  return (loaded.library ??= loadPeer(
    'amqplib',
    'addresses of amqp:// and amqps://',
  ) as AmqpLibrary)
}
