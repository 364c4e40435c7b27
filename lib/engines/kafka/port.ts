// What is needed of a library for Kafka: connect, produce, consume, commit. A library is made to fit in a file of its own, beside this one.

import type { EngineConnection } from '../port.js'
import type { KafkaPlace } from './place.js'

/** What is written. */
export interface KafkaRecord {
  /** Records of one key are in one partition, in their order. */
  readonly key: Uint8Array | undefined
  readonly value: Uint8Array
  readonly headers: Readonly<Record<string, string>>
  /** Milliseconds since 1970. */
  readonly timestamp: number
}

/** What is read. */
export interface KafkaArrival extends KafkaRecord {
  readonly offset: bigint
}

/** What is held of a consumer group's partitions, between two rebalances. */
export interface KafkaShare {
  /** Rises with each rebalance; what is told with an older one is refused. */
  readonly generation: number
  readonly partitions: readonly number[]
}

/** How a group is joined, and what becomes of it. */
export interface KafkaConsumption {
  readonly topic: string
  readonly group: string
  /** Where a group begins that has committed nothing. */
  readonly from: 'begin' | 'end'
  /** Is there a group of that name when this member has gone? */
  readonly keeps: boolean
  /** Does nobody else read in that group? Then it is not joined: all partitions are read at once, whoever was in it and died. */
  readonly alone: boolean
  /** Milliseconds without a sign of life after which a member is dead. */
  readonly sessionMs: number
  /** Before it is joined again; joining waits for that. */
  readonly leaving: () => Promise<void>
  /** Returns where to go on reading, for partitions of which that is known; the rest begins behind what was committed. */
  readonly joined: (share: KafkaShare) => ReadonlyMap<number, bigint>
  /** Resolves when there is room for more of that partition. */
  readonly arrived: (partition: number, records: readonly KafkaArrival[]) => Promise<void>
  /** Reading has ended, and nobody closed it. */
  readonly failed: (error: Error) => void
}

/** A member of a consumer group. */
export interface KafkaMember {
  /**
   * Everything below these offsets is done. Rejects if the share is not the one that there is, and with what the library says otherwise.
   * A refusal for the sake of a rebalance has a `type` of {@link rebalancing}.
   */
  commit(share: KafkaShare, offsets: ReadonlyMap<number, bigint>): Promise<void>
  /** Behind the last record of each partition. */
  ends(): Promise<ReadonlyMap<number, bigint>>
  /** Leaves the group. Never rejects. */
  close(): Promise<void>
}

/** A connection to a cluster. */
export interface KafkaConnection {
  /** Resolves when it has ended, with why if nobody closed it. */
  readonly ended: Promise<Error | undefined>
  /** What became of each: undefined if all replicas in sync have it, what the library says otherwise. Records of one key stay in their order. */
  produce(topic: string, records: readonly KafkaRecord[]): Promise<readonly (Error | undefined)[]>
  /** Resolves when the group is joined. */
  consume(consumption: KafkaConsumption): Promise<KafkaMember>
  /** Never rejects. */
  close(): Promise<void>
}

export interface KafkaLibrary {
  /** Of the package. */
  readonly name: string
  /** Resolves when a broker has answered. */
  connect(place: KafkaPlace, connection: EngineConnection): Promise<KafkaConnection>
}

/** What Kafka says of who has not joined again yet. */
export const rebalancing: ReadonlySet<string> = new Set([
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
])
