// A bus over one topic: the subject is the key, so messages of one subject keep their order. Who subscribes reads the topic from its end,
// in a consumer group of its own that nobody keeps, and takes what its filters match. A queue group is a consumer group.

import { clock } from '../clock.js'
import type { EngineConnection, EngineMessage, EngineSubscription, EngineTopics } from '../port.js'
import { matches } from '../subjects.js'
import { kafkaError } from './errors.js'
import { kafkaConnect, KafkaLine } from './line.js'
import { Outbox } from './outbox.js'
import type { KafkaPlace } from './place.js'
import type {
  KafkaArrival,
  KafkaConnection,
  KafkaLibrary,
  KafkaMember,
  KafkaShare,
} from './port.js'

/** @throws MillraceError (as rejection) as `kafkaConnect` */
export async function kafkaTopics(
  library: KafkaLibrary,
  place: KafkaPlace,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<EngineTopics> {
  const kafka = await kafkaConnect(library, place, connection, signal)
  return new KafkaTopics(kafka, place, connection)
}

type Arrived = (message: EngineMessage) => void

class KafkaTopics extends KafkaLine implements EngineTopics {
  readonly maxBytes: number
  readonly #outbox: Outbox
  /** What all subscriptions without a group are read by. */
  #everything: Reader | undefined

  constructor(kafka: KafkaConnection, place: KafkaPlace, connection: EngineConnection) {
    super(kafka, place, connection)
    this.maxBytes = connection.maxBytes
    this.#outbox = new Outbox(kafka, this, this.topic)
  }

  async publish(
    subject: string,
    bytes: Uint8Array,
    headers: Readonly<Record<string, string>> | undefined,
  ): Promise<void> {
    const record = { key: Buffer.from(subject), value: bytes, headers: headers ?? {} }
    await this.#outbox.put({ ...record, timestamp: clock() })
  }

  async subscribe(
    filters: readonly string[],
    group: string | undefined,
    arrived: Arrived,
  ): Promise<EngineSubscription> {
    const tell = (message: EngineMessage): void => {
      if (filters.some((filter) => matches(filter, message.subject))) arrived(message)
    }
    try {
      if (group !== undefined) return await this.#member(filters, group, tell)
      this.#everything ??= this.#reader(`${this.topic}-${unique()}`, false)
      const reader = this.#everything
      return await reader.subscribe(tell, () => {
        if (this.#everything === reader) this.#everything = undefined
      })
    } catch (error) {
      this.#everything = undefined
      throw kafkaError(this.shown, error, 'no')
    }
  }

  protected override over(): void {
    this.#outbox.end()
  }

  /** Members with other filters would get each other's messages: they are another group. */
  #member(filters: readonly string[], group: string, tell: Arrived): Promise<EngineSubscription> {
    const which = [...filters].sort().join(' ')
    const { createHash } = process.getBuiltinModule('node:crypto')
    const hash = createHash('sha256').update(which).digest('hex').slice(0, 8)
    return this.#reader(`${this.topic}-${group}-${hash}`, true).subscribe(tell, () => undefined)
  }

  #reader(group: string, keeps: boolean): Reader {
    return new Reader(this.kafka, {
      ...{ topic: this.topic, group: `millrace-${group}`, sessionMs: this.sessionMs, keeps },
      failed: (error) => {
        this.fail(kafkaError(this.shown, error, 'unknown'))
      },
    })
  }
}

interface ReaderOptions {
  readonly topic: string
  readonly group: string
  readonly sessionMs: number
  /** Is what was read remembered for the other members of the group? */
  readonly keeps: boolean
  readonly failed: (error: Error) => void
}

/** One member of a consumer group, from the end of the topic on. */
class Reader {
  readonly #options: ReaderOptions
  readonly #joined: Promise<KafkaMember>
  readonly #next = new Map<number, bigint>()
  readonly #told = new Map<Arrived, ReadonlyMap<number, bigint>>()
  #share: KafkaShare | undefined
  #committed = new Map<number, bigint>()
  #committing = false
  #open = 0

  constructor(kafka: KafkaConnection, options: ReaderOptions) {
    this.#options = options
    const { topic, group, sessionMs, keeps, failed } = options
    this.#joined = kafka.consume({
      ...{ topic, group, sessionMs, keeps, failed, from: 'end', alone: false },
      leaving: () => this.#commit(),
      joined: (share) => {
        this.#share = share
        if (!keeps) return this.#next
        // What somebody else had meanwhile goes on where it was committed.
        this.#next.clear()
        return this.#next
      },
      arrived: (partition, records) => {
        this.#arrived(partition, records)
        return Promise.resolve()
      },
    })
    this.#joined.catch(() => undefined) // who subscribes is told
  }

  async subscribe(told: Arrived, last: () => void): Promise<EngineSubscription> {
    this.#open++
    let isOver = false
    const close = (): void => {
      if (isOver) return
      isOver = true
      this.#told.delete(told)
      if (--this.#open > 0) return
      last()
      void this.#close()
    }
    try {
      const member = await this.#joined
      // What was published before is not for this one. Of a group somebody may have been late.
      this.#told.set(told, this.#options.keeps ? new Map<number, bigint>() : await member.ends())
      return { close }
    } catch (error) {
      close()
      throw error
    }
  }

  #arrived(partition: number, records: readonly KafkaArrival[]): void {
    for (const record of records) {
      const { offset, key, value, headers, timestamp } = record
      if (offset < (this.#next.get(partition) ?? 0n)) continue
      this.#next.set(partition, offset + 1n)
      const along = Object.keys(headers).length === 0 ? undefined : headers
      for (const [told, from] of [...this.#told]) {
        if (offset < (from.get(partition) ?? 0n)) continue
        told({
          subject: key === undefined ? '' : Buffer.from(key).toString(),
          bytes: new Uint8Array(value),
          headers: along,
          publishedAt: timestamp,
        })
      }
    }
    void this.#commit()
  }

  /** What is read is read: with a member that dies goes what it has. */
  async #commit(): Promise<void> {
    if (!this.#options.keeps || this.#committing) return
    this.#committing = true
    try {
      for (;;) {
        const share = this.#share
        const news = new Map(
          [...this.#next].filter(([at, next]) => this.#committed.get(at) !== next),
        )
        if (share === undefined || news.size === 0) return
        await (await this.#joined).commit(share, news)
        for (const [partition, next] of news) this.#committed.set(partition, next)
      }
    } catch {
      // Some come again, if nothing is committed later.
    } finally {
      this.#committing = false
    }
  }

  async #close(): Promise<void> {
    await this.#commit()
    await this.#joined.then(
      (member) => member.close(),
      () => undefined, // it never was one
    )
  }
}

function unique(): string {
  return process.getBuiltinModule('node:crypto').randomUUID()
}
