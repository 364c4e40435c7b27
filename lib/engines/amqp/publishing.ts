// What is published with a confirmation. A channel that the server closes takes all with it that was not confirmed; the next message makes
// another one.

import { MillraceError } from '../../errors.js'
import type { AmqpLine } from './connection.js'
import type { AmqpConfirmChannel, AmqpMessage, AmqpPublish } from './library.js'

/** `full`: the queue takes none now; `nowhere`: there is no such queue. */
export type Published = 'taken' | 'full' | 'nowhere'

interface Waiting {
  readonly length: number
  resolve(published: Published): void
  reject(error: Error): void
  nowhere: boolean
}

export class Publishing {
  readonly #line: AmqpLine
  #channel: Promise<Channel> | undefined
  /** The same, as soon as it is there. */
  #open: Channel | undefined

  constructor(line: AmqpLine) {
    this.#line = line
  }

  /**
   * Resolves when the server has it, or does not want it.
   *
   * @throws MillraceError (as rejection) `TOO_LARGE`, `PEER_GONE`, `PERMISSION`, `UNREACHABLE` (no such exchange)
   */
  publish(
    exchange: string,
    key: string,
    bytes: Uint8Array,
    options: AmqpPublish,
  ): Promise<Published> {
    return this.#open === undefined
      ? this.#opening().then((channel) => channel.publish(exchange, key, bytes, options))
      : this.#open.publish(exchange, key, bytes, options)
  }

  /** When all that was published is confirmed, or refused. */
  async flushed(): Promise<void> {
    await (await this.#channel)?.settled()
  }

  #opening(): Promise<Channel> {
    if (this.#channel !== undefined) return this.#channel
    const opening = this.#opened()
    const forget = (): void => {
      if (this.#channel === opening) this.#channel = this.#open = undefined
    }
    this.#channel = opening
    opening.then((channel) => {
      if (this.#channel === opening) this.#open = channel
      void channel.ended.then(forget)
    }, forget)
    return opening
  }

  async #opened(): Promise<Channel> {
    let end: (why: Error) => void = () => undefined
    const ended = new Promise<Error>((resolve) => {
      end = resolve
    })
    const channel = await this.#line.confirmChannel((why) => {
      end(why)
    })
    return new Channel(this.#line, channel, ended)
  }
}

class Channel {
  readonly ended: Promise<unknown>
  readonly #line: AmqpLine
  readonly #channel: AmqpConfirmChannel
  readonly #waiting = new Map<string, Waiting>()
  #idle: (() => void)[] = []
  #last = 0
  #why: Error | undefined

  constructor(line: AmqpLine, channel: AmqpConfirmChannel, ended: Promise<Error>) {
    this.#line = line
    this.#channel = channel
    channel.on('return', ({ properties }: AmqpMessage) => {
      const waiting = this.#waiting.get(properties.correlationId ?? '')
      if (waiting !== undefined) waiting.nowhere = true
    })
    this.ended = ended.then((why) => {
      this.#why = why
      for (const [id, waiting] of [...this.#waiting]) {
        this.#forget(id)
        waiting.reject(this.#failure(why, waiting.length))
      }
    })
  }

  publish(
    exchange: string,
    key: string,
    bytes: Uint8Array,
    options: AmqpPublish,
  ): Promise<Published> {
    return new Promise((resolve, reject) => {
      const id = String(++this.#last)
      const waiting = { length: bytes.length, resolve, reject, nowhere: false }
      this.#waiting.set(id, waiting)
      const confirmed = (error: Error | null): void => {
        // That the channel is closed is told by its end, which knows why.
        if (error !== null && error.message !== 'message nacked') return
        this.#forget(id)
        resolve(error !== null ? 'full' : waiting.nowhere ? 'nowhere' : 'taken')
      }
      try {
        const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        this.#line.gather()
        this.#publish(exchange, key, view, { ...options, correlationId: id }, confirmed)
      } catch (error) {
        this.#forget(id)
        reject(this.#line.told(this.#why ?? error, 'no'))
      }
    })
  }

  /** As the library's `publish`, which makes the headers of each message the prototype of others: that costs more than all the rest. */
  #publish(
    exchange: string,
    routingKey: string,
    bytes: Buffer,
    options: AmqpPublish,
    confirmed: (error: Error | null) => void,
  ): void {
    const { mandatory, persistent, headers, messageId, correlationId, timestamp, expiration } =
      options
    const method = { exchange, routingKey, mandatory: mandatory === true, immediate: false }
    const deliveryMode = persistent === true ? 2 : undefined
    const its = { headers, deliveryMode, messageId, correlationId, timestamp, expiration }
    this.#channel.sendMessage(method, its, bytes)
    this.#channel.pushConfirmCallback(confirmed)
  }

  async settled(): Promise<void> {
    if (this.#waiting.size === 0) return
    await new Promise<void>((resolve) => {
      this.#idle.push(resolve)
    })
  }

  #forget(id: string): void {
    this.#waiting.delete(id)
    if (this.#waiting.size > 0) return
    for (const told of this.#idle) told()
    this.#idle = []
  }

  /** The server tells how long the one was that was too long. */
  #failure(why: Error, length: number): MillraceError {
    const [, said, most] = /message size (\d+) is larger than \D*(\d+)/.exec(why.message) ?? []
    if (Number(said) === length) {
      return new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `a payload of ${String(length)} bytes is more than the ${most!} that '${this.#line.shown}' takes: send less, or let the server take more (max_message_size)`,
        { cause: why, executed: 'no' },
      )
    }
    const { code } = why as { readonly code?: number | string }
    if (said === undefined && (code === 403 || code === 404)) return this.#line.told(why, 'no')
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `'${this.#line.shown}' has closed what this was sent by before it confirmed it: ${why.message}`,
      { cause: why, executed: 'unknown' },
    )
  }
}
