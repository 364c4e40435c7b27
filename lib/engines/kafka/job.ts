// A job of a topic, and the headers that it has there.

import type { Timer } from '../../base/time.js'
import { isSentAlong } from '../along.js'
import type { EngineJob, EngineJobOptions, EngineSettle } from '../port.js'
import type { KafkaArrival, KafkaRecord } from './port.js'
import { clock } from '../clock.js'
import type { Lane } from './lane.js'

/** Names of this engine's own: those of gateways begin with small letters. */
const names = {
  id: 'Millrace-Id',
  expires: 'Millrace-Expires',
  pushedAt: 'Millrace-Pushed-At',
  reason: 'Millrace-Reason',
  error: 'Millrace-Error',
  attempts: 'Millrace-Attempts',
  position: 'Millrace-Position',
} as const

/** Of the longest reason that goes with a dead letter, in UTF-16 units. */
const longestReason = 512

/** What a job's keeper does for it. */
export interface JobKeeper {
  settle(job: KafkaJob, how: EngineSettle): Promise<void>
  extend(job: KafkaJob, milliseconds: number): Promise<void>
}

export class KafkaJob implements EngineJob {
  readonly lane: Lane<KafkaJob>
  readonly offset: bigint
  readonly bytes: Uint8Array
  readonly pushedAt: number
  readonly priority = 0
  readonly id: string | undefined
  readonly group: string | undefined
  /** `topic/partition/offset@time`: a topic that is made anew counts from 0 again. */
  readonly origin: string
  readonly headers: Readonly<Record<string, string>> | undefined
  /** Milliseconds since 1970. */
  readonly expires: number
  attempt = 0
  acquired = 0
  token = 0n
  /** Of its lease, or of its return. */
  timer: Timer | undefined
  readonly #key: Uint8Array | undefined
  readonly #keeper: JobKeeper

  constructor(keeper: JobKeeper, lane: Lane<KafkaJob>, topic: string, arrival: KafkaArrival) {
    const { key, value, headers, timestamp, offset } = arrival
    this.#keeper = keeper
    this.#key = key
    this.lane = lane
    this.offset = offset
    this.bytes = new Uint8Array(value)
    this.group = key === undefined ? undefined : Buffer.from(key).toString()
    this.id = headers[names.id]
    this.expires = Number(headers[names.expires] ?? Infinity)
    this.pushedAt = Number(headers[names.pushedAt] ?? timestamp)
    const along = Object.entries(headers).filter(([name]) => isSentAlong(name))
    this.headers = along.length === 0 ? undefined : Object.fromEntries(along)
    this.origin = `${topic}/${String(lane.partition)}/${String(offset)}@${String(timestamp)}`
  }

  settle(how: EngineSettle): Promise<void> {
    return this.#keeper.settle(this, how)
  }

  extend(milliseconds: number): Promise<void> {
    return this.#keeper.extend(this, milliseconds)
  }

  /** As a dead letter. */
  buried(reason: string, error: string): KafkaRecord {
    return {
      key: this.#key,
      value: this.bytes,
      headers: {
        ...this.headers,
        [names.reason]: reason,
        [names.attempts]: String(this.attempt),
        [names.pushedAt]: String(this.pushedAt),
        [names.position]: this.origin,
        ...(this.id === undefined ? {} : { [names.id]: this.id }),
        ...(error === '' ? {} : { [names.error]: oneLine(error) }),
      },
      timestamp: clock(),
    }
  }
}

/** What is written of a job. */
export function recordOf(
  bytes: Uint8Array,
  { ttl, id, group, headers }: EngineJobOptions,
): KafkaRecord {
  const today = clock()
  return {
    key: group === undefined ? undefined : Buffer.from(group),
    value: bytes,
    headers: {
      ...headers,
      ...(id === undefined ? {} : { [names.id]: id }),
      ...(ttl === 0 ? {} : { [names.expires]: String(today + ttl) }),
    },
    timestamp: today,
  }
}

function oneLine(text: string): string {
  return text.slice(0, longestReason).replaceAll(/[\r\n]+/g, ' ')
}
