// Carries messages, at most once, as topics are. What waits here is what the subscription keeps, the newest of it; a message says which
// gateways it has passed, and none carries it twice.

import type { ConnectionStatus } from '../../net/connection-status.js'
import type { TopicMessage } from '../../topics/message.js'
import type { Subscription } from '../../topics/subscription.js'
import type { Topics } from '../../topics/topics.js'
import type { TopicsRoute } from '../config.js'
import { connectionTo, willPublish } from '../connection.js'
import { Flow } from '../flow.js'
import type { JudgedRoute } from '../judge.js'
import { NamedObject, whileNamed } from '../named-object.js'
import { goesRound, headerNames, hopsOf, passedBy } from '../origin.js'
import type { Carrier, Counts } from '../route.js'

const usualDepth = 4096
/** Messages whose way to the other side has begun, and is not confirmed. */
const onTheWay = 256

/** @throws MillraceError as `Topics.open` */
export function openTopicsRoute({ config, host }: JudgedRoute, counts: Counts): Carrier {
  const { from, to, fromConnection, toConnection, subjects, depth } = config as TopicsRoute
  const { Topics } = require('../../topics/topics.js') as typeof import('../../topics/topics.js')
  const source = Topics.open(from, { connection: connectionTo(from, fromConnection) })
  try {
    const target = Topics.open(to, { connection: connectionTo(to, toConnection) })
    willPublish(target)
    return new TopicsCarrier(source, target, subjects ?? ['>'], depth ?? usualDepth, host, counts)
  } catch (error) {
    source.close()
    throw error
  }
}

class TopicsCarrier implements Carrier {
  readonly guarantee = 'at-most-once'
  isReady = false
  readonly #from: Topics
  readonly #to: Topics
  readonly #filters: readonly string[]
  readonly #depth: number
  readonly #host: string
  readonly #counts: Counts
  readonly #flow: Flow
  readonly #objects: readonly (NamedObject | undefined)[]
  readonly #over = new AbortController()
  #error: Error | undefined

  constructor(
    from: Topics,
    to: Topics,
    filters: readonly string[],
    depth: number,
    host: string,
    counts: Counts,
  ) {
    this.#from = from
    this.#to = to
    this.#filters = filters
    this.#depth = depth
    this.#host = host
    this.#counts = counts
    this.#flow = new Flow(onTheWay, counts)
    this.#objects = [from, to].map((bus) => NamedObject.of(bus, `topics '${bus.name}'`))
  }

  get connections(): readonly ConnectionStatus[] {
    return [this.#from.connection, this.#to.connection].filter((one) => one !== undefined)
  }

  get error(): Error | undefined {
    return this.#error
  }

  async run(stop: AbortSignal): Promise<void> {
    await whileNamed(this.#objects, stop, (end) => this.#takeUntil(end))
  }

  async #takeUntil(end: AbortSignal): Promise<void> {
    let subscription: Subscription | undefined
    try {
      await this.#from.connected({ signal: end })
      subscription = await this.#from.subscribe(this.#filters, {
        policy: 'overwrite-oldest',
        depth: Math.min(this.#depth, this.#from.messages),
        signal: end,
      })
      this.isReady = true
      while (!end.aborted) {
        await this.#flow.roomy(end)
        const messages = await subscription.receiveBatch(this.#flow.room, { signal: end })
        for (const message of messages) this.#take(message)
      }
    } catch (error) {
      if (!end.aborted) throw error
    } finally {
      subscription?.close()
    }
  }

  async settled(): Promise<void> {
    await this.#flow.empty(this.#over.signal)
  }

  async close(): Promise<void> {
    this.#over.abort()
    this.#from.close()
    this.#to.close()
    await Promise.resolve()
  }

  #take(message: TopicMessage): void {
    this.#counts.dropped += message.missed
    const { subject, headers } = message
    const hops = hopsOf(headers)
    if (goesRound(hops, this.#host)) {
      this.#counts.loops++
      message.release()
      return
    }
    const bytes = message.copy()
    message.release()
    const passed = passedBy(hops, this.#host, headers[headerNames.origin])
    this.#flow.begin(() => this.#send(subject, bytes, { ...headers, ...passed }))
  }

  /** Never rejects. */
  async #send(
    subject: string,
    bytes: Uint8Array,
    headers: Readonly<Record<string, string>>,
  ): Promise<void> {
    try {
      await this.#to.publish(subject, bytes, { headers, signal: this.#over.signal })
      this.#counts.delivered++
      this.#counts.bytes += bytes.length
      this.#error = undefined
    } catch (error) {
      // It is not sent again: it may have arrived.
      this.#counts.dropped++
      if (!this.#over.signal.aborted) this.#error = error as Error
    }
  }
}
