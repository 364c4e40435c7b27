// A bus over the subjects of a server of NATS: at most once, to whoever listens at that moment.

import { MillraceError } from '../../errors.js'
import type { EngineConnection, EngineMessage, EngineSubscription, EngineTopics } from '../port.js'
import { matches, overlap } from '../subjects.js'
import { clock } from '../clock.js'
import { natsConnect, NatsLine } from './connection.js'
import type { NatsConnection, NatsMessage } from './library.js'
import type { NatsPlace } from './place.js'

/** When it was published: milliseconds since 1970. */
const publishedAt = 'Millrace-Published-At'

/** @throws MillraceError (as rejection) as `natsConnect` */
export async function natsTopics(
  place: NatsPlace,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<EngineTopics> {
  return new NatsTopics(await natsConnect(place, connection, signal), place, connection)
}

class NatsTopics extends NatsLine implements EngineTopics {
  /** What stands before each subject. */
  readonly #prefix: string
  /** What was published in this turn is asked after together. */
  #flushing: Promise<readonly Error[]> | undefined

  constructor(nats: NatsConnection, place: NatsPlace, connection: EngineConnection) {
    super(nats, place, connection)
    this.#prefix = place.name === '' ? '' : `${place.name}.`
  }

  get maxBytes(): number {
    return this.maxPayload
  }

  async publish(
    subject: string,
    bytes: Uint8Array,
    headers: Readonly<Record<string, string>> | undefined,
  ): Promise<void> {
    const full = this.#prefix + subject
    const options = {
      headers: this.headersOf([
        ...Object.entries(headers ?? {}),
        [publishedAt, String(clock())] as const,
      ])!,
    }
    try {
      this.nats.publish(full, bytes, options)
    } catch (error) {
      if ((error as Error).message.includes('max_payload')) throw this.#tooLong(bytes.length)
      throw this.told(error, 'no')
    }
    const refused = await this.#flushed()
    const its = refused.find((error) => (error as { readonly subject?: string }).subject === full)
    if (its !== undefined) throw this.told(its, 'no')
  }

  async subscribe(
    filters: readonly string[],
    group: string | undefined,
    arrived: (message: EngineMessage) => void,
  ): Promise<EngineSubscription> {
    if (group !== undefined) this.#assertApart(filters)
    const subscriptions = filters.map((filter, at) =>
      this.nats.subscribe(this.#prefix + filter, {
        ...(group === undefined ? {} : { queue: group }),
        callback: (error, message) => {
          if (error !== null) return
          const subject = message.subject.slice(this.#prefix.length)
          // One that matches several of the filters comes with each.
          if (filters.slice(0, at).some((earlier) => matches(earlier, subject))) return
          arrived(messageOf(subject, message))
        },
      }),
    )
    const close = (): void => {
      for (const subscription of subscriptions) subscription.unsubscribe()
    }
    const refused = (await this.#flushed()).find((error) => {
      const { operation, subject } = error as { operation?: string; subject?: string }
      return (
        operation === 'subscription' && filters.some((filter) => this.#prefix + filter === subject)
      )
    })
    if (refused === undefined) return { close }
    close()
    throw this.told(refused, 'no')
  }

  /** When the server has had all of this turn; what it has refused meanwhile. */
  #flushed(): Promise<readonly Error[]> {
    return (this.#flushing ??= Promise.resolve().then(() => {
      this.#flushing = undefined
      return this.refusals()
    }))
  }

  /** Two members would get the same message, each by another filter. */
  #assertApart(filters: readonly string[]): void {
    for (const [at, one] of filters.entries()) {
      const other = filters.slice(0, at).find((earlier) => overlap(earlier, one))
      if (other === undefined) continue
      throw new MillraceError(
        'ERR_MILLRACE_UNSUPPORTED',
        `the filters '${other}' and '${one}' of a queue group of '${this.shown}' match the same subjects, and each would be given such a message: take one of them`,
        { executed: 'no' },
      )
    }
  }

  #tooLong(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a payload of ${String(length)} bytes, with its headers, is more than the ${String(this.maxBytes)} that '${this.shown}' takes: ` +
        'send less, or let the server take more (max_payload)',
      { executed: 'no' },
    )
  }
}

function messageOf(subject: string, { data, headers }: NatsMessage): EngineMessage {
  const entries = (headers?.keys() ?? [])
    .filter((name) => name !== publishedAt)
    .map((name) => [name, headers!.get(name)] as const)
  const said = Number(headers?.get(publishedAt) ?? '')
  return {
    subject,
    bytes: new Uint8Array(data),
    headers: entries.length === 0 ? undefined : Object.fromEntries(entries),
    publishedAt: said > 0 ? said : clock(),
  }
}
