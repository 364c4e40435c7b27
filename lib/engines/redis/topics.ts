// A bus over the channels of a server of Redis: at most once, to whoever listens at that moment.

import { MillraceError } from '../../errors.js'
import type { EngineConnection, EngineMessage, EngineSubscription, EngineTopics } from '../port.js'
import { matches } from '../subjects.js'
import { clock } from '../clock.js'
import { redisConnect, RedisLine } from './connection.js'
import { opened, sealed } from './envelope.js'
import type { RedisClient, RedisListener } from './library.js'
import type { RedisPlace } from './place.js'
import { serverOf, settingOf } from './queue.js'

/** What may be unsent to a subscriber before the server ends its connection, if it does not say. */
const usualUnsent = 33_554_432
/** As much of that is a message, with what its memory is rounded up to. */
const share = 3 / 4

/** @throws MillraceError (as rejection) as `redisConnect` */
export async function redisTopics(
  place: RedisPlace,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<EngineTopics> {
  const topics = new RedisTopics(
    await redisConnect(place, connection, signal, 3),
    place,
    connection,
  )
  try {
    await topics.ask(connection)
    return topics
  } catch (error) {
    topics.close()
    throw error
  }
}

class RedisTopics extends RedisLine implements EngineTopics {
  /** What stands before each subject. */
  readonly #prefix: string
  #maxBytes = 0

  constructor(client: RedisClient, place: RedisPlace, connection: EngineConnection) {
    super(client, place, connection)
    this.#prefix = place.name === '' ? '' : `${place.name}.`
  }

  get maxBytes(): number {
    return this.#maxBytes
  }

  /** What the server takes. */
  async ask({ maxBytes }: EngineConnection): Promise<void> {
    const { longest } = await serverOf(this)
    const limits = await settingOf(this, 'client-output-buffer-limit')
    const unsent = Number(/pubsub (\d+)/.exec(limits ?? '')?.[1] ?? usualUnsent)
    this.#maxBytes = Math.min(
      maxBytes,
      longest,
      unsent === 0 ? Infinity : Math.floor(unsent * share),
    )
  }

  async publish(
    subject: string,
    bytes: Uint8Array,
    headers: Readonly<Record<string, string>> | undefined,
  ): Promise<void> {
    const message = sealed(bytes, headers, clock())
    if (message.length > this.#maxBytes) throw this.#tooLong(message.length)
    await this.asked(['PUBLISH', this.#prefix + subject, message])
  }

  async subscribe(
    filters: readonly string[],
    group: string | undefined,
    arrived: (message: EngineMessage) => void,
  ): Promise<EngineSubscription> {
    if (group !== undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_UNSUPPORTED',
        `'${this.shown}' has no queue groups: Redis gives each message to all who listen; take a work queue for what one of several is to do`,
        { executed: 'no' },
      )
    }
    const joined = filters.map((filter, at) => {
      const isPattern = /[*>]/.test(filter)
      const listener: RedisListener = (message, channel) => {
        const subject = channel.toString().slice(this.#prefix.length)
        // The server's stars match dots, too; and what several of the filters match comes with each.
        if (isPattern && !matches(filter, subject)) return
        if (filters.slice(0, at).some((earlier) => matches(earlier, subject))) return
        arrived(messageOf(subject, message))
      }
      const full = this.#prefix + filter
      return { channel: isPattern ? globOf(full) : full, isPattern, listener }
    })
    const close = (): void => {
      for (const { channel, isPattern, listener } of joined) {
        const left = isPattern
          ? this.client.pUnsubscribe(channel, listener, true)
          : this.client.unsubscribe(channel, listener, true)
        left.catch(() => undefined) // the connection has ended
      }
    }
    try {
      await Promise.all(
        joined.map(({ channel, isPattern, listener }) =>
          isPattern
            ? this.client.pSubscribe(channel, listener, true)
            : this.client.subscribe(channel, listener, true),
        ),
      )
    } catch (error) {
      if (!this.closed) close()
      throw this.told(error)
    }
    return { close }
  }

  #tooLong(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a payload of ${String(length)} bytes, with its headers, is more than the ${String(this.maxBytes)} that '${this.shown}' takes: ` +
        'send less, or let it take more (maxBytes of the connection; proto-max-bulk-len and client-output-buffer-limit of the server)',
      { executed: 'no' },
    )
  }
}

function messageOf(subject: string, message: Buffer): EngineMessage {
  const { bytes, headers, publishedAt } = opened(message)
  return { subject, bytes, headers, publishedAt: publishedAt ?? clock() }
}

/** The filter as the server's patterns are: at least all that it means. */
function globOf(filter: string): string {
  return filter.replaceAll(/[?[\]\\]/g, '\\$&').replaceAll('>', '*')
}
