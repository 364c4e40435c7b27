// Channels that are watched, as sources of a recorder: it takes no part in them.

import type { ChannelWatch, WatchedMessage } from '../telemetry/watch.js'
import type { Observed } from '../telemetry/figures.js'
import {
  recordedKinds,
  type RecordedKind,
  type RecordSource,
  type SourceMessage,
} from './source.js'

/** Of what one look brings: messages at a time, and bytes after which it is enough. */
const mostAtOnce = 32
const enoughBytes = 4_194_304

/** Which channels of a name are recorded, and from when on. */
export interface WatchedOptions {
  readonly kind: RecordedKind | undefined
  readonly from: 'newest' | 'oldest' | undefined
}

/**
 * A source for each channel of that name.
 *
 * @throws MillraceError `NOT_FOUND`, `INVALID_NAME`, `NOT_OURS`, `LAYOUT`, `CORRUPT`
 */
export function watchedSources(name: string, { kind, from }: WatchedOptions): RecordSource[] {
  const { observe } = require('../telemetry/observe.js') as typeof import('../telemetry/observe.js')
  const { watch } = require('../telemetry/watch.js') as typeof import('../telemetry/watch.js')
  const seen = observe({ name }).filter(
    (one) => recordedKinds.some((known) => known === one.kind) && (kind ?? one.kind) === one.kind,
  )
  // It says what is wrong.
  if (seen.length === 0) watch(name, { kind }).close()
  const sources: RecordSource[] = []
  try {
    for (const one of seen) {
      sources.push(new WatchedSource(watch(name, { kind: one.kind, from }), factsOf(one)))
    }
  } catch (error) {
    for (const source of sources) source.close()
    throw error
  }
  return sources
}

class WatchedSource implements RecordSource {
  readonly facts: Readonly<Record<string, string>>
  readonly #watch: ChannelWatch

  constructor(watched: ChannelWatch, facts: Readonly<Record<string, string>>) {
    this.#watch = watched
    this.facts = facts
  }

  get name(): string {
    return this.#watch.name
  }

  get kind(): RecordedKind {
    return this.#watch.kind as RecordedKind
  }

  get missed(): bigint {
    return this.#watch.missed
  }

  read(most = Infinity): readonly SourceMessage[] {
    const messages: SourceMessage[] = []
    let bytes = 0
    while (messages.length < most && bytes < enoughBytes) {
      const found = this.#watch.read(Math.min(most - messages.length, mostAtOnce))
      if (found.length === 0) break
      for (const message of found) {
        bytes += message.bytes.length
        messages.push(messageOf(message))
      }
    }
    return messages
  }

  close(): void {
    this.#watch.close()
  }
}

/** The header of a frame is told as digits. */
function messageOf(message: WatchedMessage): SourceMessage {
  const digits = message.op === 'frame' ? message.headers?.['header'] : undefined
  if (digits === undefined) return message
  const { headers: _headers, ...frame } = message
  return { ...frame, header: Buffer.from(digits, 'hex') }
}

/** What the channel was made with. */
function factsOf({ kind, figures }: Observed): Readonly<Record<string, string>> {
  if (figures === undefined) return {}
  switch (kind) {
    case 'queue':
      return texts({ capacity: figures.capacity })
    case 'frames':
      return texts({ slotBytes: figures.slotBytes, slots: figures.slots })
    case 'cell':
      return texts({ maxBytes: figures.maxBytes })
    case 'work':
      return texts({ jobs: figures.places, bytes: figures.bytes })
    case 'topics':
      return texts({ messages: figures.places, bytes: figures.bytes })
    default:
      return {}
  }
}

function texts(numbers: Readonly<Record<string, number>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(numbers).map(([key, value]) => [key, String(value)]))
}
