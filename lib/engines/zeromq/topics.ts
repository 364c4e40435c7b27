// A bus over PUB and SUB: whoever is bound or connected as PUB publishes, and whoever is SUB has what it subscribes to, from then on.
//
//   [subject, payload]             a message, also of somebody else's
//   [subject, payload, beside]     the same, with headers and when it was published

import { MillraceError } from '../../errors.js'
import { clock } from '../clock.js'
import type { EngineConnection, EngineMessage, EngineSubscription, EngineTopics } from '../port.js'
import { matches } from '../subjects.js'
import { besideFrame, isTooMuchBeside, readBeside } from './envelope.js'
import type { Frames, ZmqNative } from './library.js'
import { ZmqLine } from './line.js'
import type { ZmqPlace } from './place.js'

/** Messages for each subscriber that may wait to be sent, and for each publisher to be received. With more, the newest are dropped. */
const mostUnsent = 10_000

interface Subscription {
  readonly filters: readonly string[]
  readonly arrived: (message: EngineMessage) => void
}

export class ZmqTopics extends ZmqLine implements EngineTopics {
  readonly #prefix: string
  readonly #subscriptions = new Set<Subscription>()
  #isReading = false

  constructor(place: ZmqPlace, connection: EngineConnection) {
    super(place, connection)
    this.#prefix = place.name === '' ? '' : `${place.name}.`
  }

  /** Who subscribes connects from now on. What was published before that would be published to nobody. */
  willPublish(): void {
    // Whoever publishes is told why it cannot be had.
    this.#open('Publisher').catch(() => undefined)
  }

  async publish(
    subject: string,
    bytes: Uint8Array,
    headers: Readonly<Record<string, string>> | undefined,
  ): Promise<void> {
    this.assertFits(bytes.length)
    const beside = besideFrame({
      at: clock(),
      ...(headers === undefined ? {} : { headers }),
    })
    if (isTooMuchBeside(beside)) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `the headers of a message of '${this.shown}' are ${String(beside!.length)} bytes as JSON: there is room for 64,512`,
        { executed: 'no' },
      )
    }
    await this.#open('Publisher')
    await this.send([Buffer.from(this.#prefix + subject), Buffer.from(bytes), beside!])
  }

  async subscribe(
    filters: readonly string[],
    group: string | undefined,
    arrived: (message: EngineMessage) => void,
  ): Promise<EngineSubscription> {
    if (group !== undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_UNSUPPORTED',
        `there are no queue groups at '${this.shown}': every SUB of ZeroMQ gets each message; take a WorkQueue at an address of its own for what one of many is to have`,
        { executed: 'no' },
      )
    }
    const native = await this.#open('Subscriber')
    const subscription = { filters, arrived }
    const heads = filters.map((filter) => this.#prefix + headOf(filter))
    this.#subscriptions.add(subscription)
    native.subscribe(...heads)
    if (!this.#isReading) {
      this.#isReading = true
      void this.#readAll()
    }
    return {
      close: () => {
        if (!this.#subscriptions.delete(subscription) || native.closed) return
        native.unsubscribe(...heads)
      },
    }
  }

  async #open(kind: 'Publisher' | 'Subscriber'): Promise<ZmqNative> {
    const { isBound } = this.place
    return await this.socket(kind, { isBound, highWaterMark: mostUnsent })
  }

  async #readAll(): Promise<void> {
    for (;;) {
      const frames = await this.next()
      if (frames === undefined) return
      const message = this.#messageOf(frames)
      if (message === undefined) continue
      for (const { filters, arrived } of [...this.#subscriptions]) {
        if (filters.some((filter) => matches(filter, message.subject))) arrived(message)
      }
    }
  }

  /** Undefined: it has no payload. */
  #messageOf([subject, payload, more]: Frames): EngineMessage | undefined {
    if (subject === undefined || payload === undefined) return undefined
    const { at, headers } = readBeside(more)
    return {
      subject: Buffer.from(subject).toString().slice(this.#prefix.length),
      bytes: payload,
      headers,
      publishedAt: at ?? clock(),
    }
  }
}

/** What all that matches the filter begins with. */
function headOf(filter: string): string {
  const tokens = filter.split('.')
  const wild = tokens.findIndex((token) => token === '*' || token === '>')
  if (wild < 0) return filter
  return wild === 0 ? '' : `${tokens.slice(0, wild).join('.')}.`
}
