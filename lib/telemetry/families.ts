// What channels tell, as families of metrics: neutral, so that Prometheus text, prom-client and OpenTelemetry are made of the same.

import { checkOptions, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { waitTimes, type Latency, type Observed, type Wait } from './figures.js'
import { channelLabels, extraLabel, type ChannelLabels, type ExtraLabel } from './labels.js'
import { measuresOf, type Measures } from './measures.js'

/** How many were not greater than a bound. */
export interface Bucket {
  /** The bound. */
  readonly atMost: number
  /** How many; those of lesser bounds are among them. */
  readonly count: number
}

/** One value of a family. */
export interface Sample {
  /** What tells it from the others of its family. */
  readonly labels: Readonly<Record<string, string>>
  /** What it says; of a summary or a histogram the sum. */
  readonly value: number
  /** Of a summary or a histogram: how many were added up. */
  readonly count?: number
  /** Of a histogram: its buckets, from the least bound on. */
  readonly buckets?: readonly Bucket[]
}

/** Values of one meaning. */
export interface Family {
  /** What it is called. */
  readonly name: string
  /** Does it only grow (`counter`), or not (`gauge`)? Or is it many values: their sum and number (`summary`), and how they are spread (`histogram`)? */
  readonly type: 'counter' | 'gauge' | 'summary' | 'histogram'
  /** What it is, for people. */
  readonly help: string
  /** Its values. */
  readonly samples: readonly Sample[]
}

/** How much is told. */
export interface FamiliesOptions {
  /**
   * How many channels have a name of their own among the labels, in the order of `observe()`; the rest are one, `other`, of each kind.
   * Default 1000.
   */
  readonly maxChannels?: number | undefined
  /**
   * How waits and latencies are spread, in 19 lines of text for each side of a channel? Else only their number and their sum. Default false.
   */
  readonly histograms?: boolean | undefined
}

interface Meaning {
  readonly name: string
  readonly type: Family['type']
  readonly help: string
  readonly of: (seen: Observed, measures: Measures, tell: Tell) => void
  /** Of several channels that are told as one: the sum, unless the largest is what matters. */
  readonly join?: 'largest'
}

/** Takes a sample of a channel. A value that is not there is not told. */
type Tell = (value: number | undefined, label?: ExtraLabel, many?: Many) => void

/** What is told of a summary or a histogram beside its sum. */
interface Many {
  readonly count: number
  readonly buckets: () => readonly Bucket[]
}

const seconds = (milliseconds: number | undefined): number | undefined =>
  milliseconds === undefined ? undefined : milliseconds / 1000

/** Waits of a channel, by side, in the order of the first of each. */
function sidesOf(waits: readonly Wait[]): (readonly [string, readonly Wait[]])[] {
  if (waits.length === 0) return []
  const sides = [...new Set(waits.map(({ side }) => side))]
  return sides.map((side) => [side, waits.filter((wait) => wait.side === side)])
}

function spreadOf(waits: readonly Wait[]): Many & { readonly sum: number } {
  const counts = waitTimes.map(() => 0).concat(0)
  let milliseconds = 0
  for (const wait of waits) {
    milliseconds += wait.milliseconds
    for (let at = 0; at < counts.length; at++) counts[at]! += wait.times[at]!
  }
  const upTo = (end: number): number => {
    let sum = 0
    for (let at = 0; at < end; at++) sum += counts[at]!
    return sum
  }
  return {
    sum: milliseconds / 1000,
    count: upTo(counts.length),
    buckets: () => waitTimes.map((atMost, at) => ({ atMost: atMost / 1000, count: upTo(at + 1) })),
  }
}

/** Bounds of latencies, in nanoseconds: 4 µs, 8 µs, … to a second, which buckets of all kinds end at. */
const latencyBounds = Array.from({ length: 19 }, (_, at) => 4000 << at)

function latencyOf(those: readonly Latency[]): Many & { readonly sum: number } {
  const found = those.flatMap(({ buckets }) => buckets)
  const sum = (counted: readonly { readonly count: number }[]): number =>
    counted.reduce((all, { count }) => all + count, 0)
  const buckets = () =>
    latencyBounds.map((bound) => ({
      atMost: bound / 1e9,
      count: sum(found.filter(({ below }) => Math.round(below * 1e6) <= bound)),
    }))
  const took = those.reduce((all, { milliseconds }) => all + milliseconds, 0)
  return { sum: took / 1000, count: sum(found), buckets }
}

/** Who counts how long something is in hand. */
const serving = new Set<Latency['side']>(['handler', 'server'])

function tellLatencies(latencies: readonly Latency[], served: boolean, tell: Tell): void {
  if (latencies.length === 0) return
  const those = latencies.filter(({ side }) => serving.has(side) === served)
  for (const side of new Set(those.map((latency) => latency.side))) {
    const spread = latencyOf(those.filter((latency) => latency.side === side))
    tell(spread.sum, extraLabel('side', side), spread)
  }
}

const sent: ExtraLabel = { name: 'op', value: 'send' }
const received: ExtraLabel = { name: 'op', value: 'receive' }
const alive: ExtraLabel = { name: 'state', value: 'alive' }
const dead: ExtraLabel = { name: 'state', value: 'dead' }

const meanings: readonly Meaning[] = [
  {
    name: 'millrace_messages_total',
    type: 'counter',
    help: 'Messages, frames, jobs or calls since the channel was created, by what was done with them.',
    of: (_, measures, tell) => {
      tell(measures.in, sent)
      tell(measures.out, received)
    },
  },
  {
    name: 'millrace_bytes_total',
    type: 'counter',
    help: 'Bytes that messages took in the ring since the channel was created.',
    of: (_, measures, tell) => {
      tell(measures.bytesIn, sent)
      tell(measures.bytesOut, received)
    },
  },
  {
    name: 'millrace_dropped_total',
    type: 'counter',
    help: 'What somebody did not get, by why.',
    of: (_, { drops }, tell) => {
      for (const reason in drops) tell(drops[reason], extraLabel('reason', reason))
    },
  },
  {
    name: 'millrace_redeliveries_total',
    type: 'counter',
    help: 'Jobs or calls that were given to somebody again.',
    of: (_, measures, tell) => {
      tell(measures.again)
    },
  },
  {
    name: 'millrace_wakes_total',
    type: 'counter',
    help: 'How often somebody was woken who slept for want of messages or of room.',
    of: (_, measures, tell) => {
      tell(measures.wakes)
    },
  },
  {
    name: 'millrace_queue_messages',
    type: 'gauge',
    help: 'What waits; of several readers, for the one who is farthest behind.',
    of: (_, measures, tell) => {
      tell(measures.depth)
    },
  },
  {
    name: 'millrace_queue_places',
    type: 'gauge',
    help: 'How much may wait, where that is counted in messages.',
    of: (_, measures, tell) => {
      tell(measures.places)
    },
  },
  {
    name: 'millrace_queue_used_ratio',
    type: 'gauge',
    help: 'Part of the room that is taken: 1 is full.',
    join: 'largest',
    of: (seen, measures, tell) => {
      tell(usedRatio(seen, measures))
    },
  },
  {
    name: 'millrace_oldest_message_age_seconds',
    type: 'gauge',
    help: 'How long the oldest of what waits has waited.',
    join: 'largest',
    of: (_, measures, tell) => {
      tell(seconds(measures.oldestAge))
    },
  },
  {
    name: 'millrace_newest_message_age_seconds',
    type: 'gauge',
    help: 'How long ago the newest frame or value was written.',
    join: 'largest',
    of: (_, measures, tell) => {
      tell(seconds(measures.newestAge))
    },
  },
  {
    name: 'millrace_leases',
    type: 'gauge',
    help: 'What somebody has in hand: jobs, calls, slots of frames, locks.',
    of: (_, measures, tell) => {
      tell(measures.leases)
    },
  },
  {
    name: 'millrace_dead_letters',
    type: 'gauge',
    help: 'Jobs that were given up.',
    of: (_, measures, tell) => {
      tell(measures.dead)
    },
  },
  {
    name: 'millrace_parked',
    type: 'gauge',
    help: 'Who sleeps until there is something to do.',
    of: (_, measures, tell) => {
      tell(measures.parked)
    },
  },
  {
    name: 'millrace_waiting_seconds',
    type: 'gauge',
    help: 'How long the present wait of that side has lasted; of several, the longest.',
    join: 'largest',
    of: ({ waits }, _, tell) => {
      for (const [side, those] of sidesOf(waits)) {
        const present = those.flatMap(({ since }) => (since === undefined ? [] : [since]))
        if (present.length > 0) tell(seconds(Math.max(...present)), extraLabel('side', side))
      }
    },
  },
  {
    name: 'millrace_wait_seconds',
    type: 'histogram',
    help: 'Waits that have ended, for messages, room or a lock, in which somebody went to sleep.',
    of: ({ waits }, _, tell) => {
      for (const [side, those] of sidesOf(waits)) {
        const spread = spreadOf(those)
        tell(spread.sum, extraLabel('side', side), spread)
      }
    },
  },
  {
    name: 'millrace_message_latency_seconds',
    type: 'histogram',
    help: 'From when a message, frame or job was sent until it was taken, or a call was made until its result, where that was asked for; one of several is measured, for all.',
    of: ({ latencies }, _, tell) => {
      tellLatencies(latencies, false, tell)
    },
  },
  {
    name: 'millrace_service_seconds',
    type: 'histogram',
    help: 'From when a job or call was taken until it was settled or answered, where that was asked for; one of several is measured, for all.',
    of: ({ latencies }, _, tell) => {
      tellLatencies(latencies, true, tell)
    },
  },
  {
    name: 'millrace_peers',
    type: 'gauge',
    help: 'Who is on the channel, alive or found dead.',
    of: ({ holders }, _, tell) => {
      let living = 0
      for (const holder of holders) living += holder.alive ? 1 : 0
      tell(living, alive)
      tell(holders.length - living, dead)
    },
  },
  {
    name: 'millrace_value',
    type: 'gauge',
    help: 'What a counter says.',
    of: (seen, _, tell) => {
      if (seen.kind === 'counter') tell(seen.figures?.value)
    },
  },
  {
    name: 'millrace_breaker_open',
    type: 'gauge',
    help: 'Is the circuit breaker open (1), or not (0)?',
    of: (seen, _, tell) => {
      if (seen.kind === 'breaker') tell(seen.figures?.open)
    },
  },
  {
    name: 'millrace_segment_bytes',
    type: 'gauge',
    help: 'Shared memory that the channel takes.',
    of: ({ size }, _, tell) => {
      tell(size)
    },
  },
  {
    name: 'millrace_unusable',
    type: 'gauge',
    help: 'Channels that are abandoned, half made, damaged or of another layout version (1).',
    of: ({ figures, state }, _, tell) => {
      tell(figures === undefined || state === 'abandoned' || state === 'corrupt' ? 1 : 0)
    },
  },
]

/** @internal All families there may be. */
export function familyHeads(): readonly Omit<Meaning, 'of'>[] {
  return meanings
}

/**
 * The metrics of what was seen: `millrace_messages_total` and others, labelled with `channel` and `kind`.
 *
 * @example
 * ```ts
 * import { familiesOf, observe } from 'millrace/telemetry'
 *
 * for (const { name, samples } of familiesOf(observe())) console.log(name, samples.length)
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function familiesOf(seen: readonly Observed[], options: FamiliesOptions = {}): Family[] {
  const { maxChannels = 1000, histograms = false } = checkOptions(options, [
    'maxChannels',
    'histograms',
  ])
  if (typeof histograms !== 'boolean') {
    throw invalidArgument(`histograms must be true or false, not ${show(histograms)}`)
  }
  if (!Number.isInteger(maxChannels) || maxChannels < 0) {
    throw invalidArgument(`maxChannels must be a whole number, not ${show(maxChannels)}`)
  }
  const { known, alone } = toldApart(seen, maxChannels)
  return meanings.flatMap(({ of, join, ...family }) => {
    const type = typeOf(family.type, histograms)
    const samples: Sample[] = []
    const together = new Map<string, Sample>()
    let labels = known[0]?.labels
    let isAlone = true
    const tell: Tell = (value, label, many) => {
      if (value === undefined) return
      const sample = sampleOf(labels!.with(label), value, many, type)
      if (isAlone) samples.push(sample)
      else add(together, sample, join)
    }
    for (const one of known) {
      labels = one.labels
      isAlone = alone.has(labels)
      of(one.seen, one.measures, tell)
    }
    for (const sample of together.values()) samples.push(sample)
    return samples.length === 0 ? [] : [{ ...family, type, samples }]
  })
}

interface Known {
  readonly seen: Observed
  readonly measures: Measures
  readonly labels: ChannelLabels
}

/** What was seen, with its labels, and which of those only one has: there nothing is to be added up. */
function toldApart(
  seen: readonly Observed[],
  maxChannels: number,
): { readonly known: readonly Known[]; readonly alone: ReadonlySet<ChannelLabels> } {
  const labelled = channelLabels()
  const alone = new Set<ChannelLabels>()
  const several = new Set<ChannelLabels>()
  const known = seen.map((one, at) => {
    const labels = labelled(at < maxChannels ? one.name : joined, one.kind)
    ;(alone.has(labels) ? several : alone).add(labels)
    return { seen: one, measures: measuresOf(one), labels }
  })
  for (const labels of several) alone.delete(labels)
  return { known, alone }
}

function sampleOf(
  labels: Sample['labels'],
  value: number,
  many: Many | undefined,
  type: Family['type'],
): Sample {
  if (many === undefined) return { labels, value }
  const { count, buckets } = many
  return type === 'histogram'
    ? { labels, value, count, buckets: buckets() }
    : { labels, value, count }
}

/** What channels are called that have no name of their own among the labels. */
const joined = 'other'

/** @internal */
export function typeOf(type: Family['type'], histograms: boolean): Family['type'] {
  return type === 'histogram' && !histograms ? 'summary' : type
}

function add(samples: Map<string, Sample>, sample: Sample, join: Meaning['join']): void {
  const key = Object.values(sample.labels).join('\0')
  const before = samples.get(key)
  samples.set(key, before === undefined ? sample : joinedOf(before, sample, join))
}

function joinedOf(before: Sample, { labels, ...more }: Sample, join: Meaning['join']): Sample {
  if (join === 'largest') return { labels, value: Math.max(before.value, more.value) }
  const value = before.value + more.value
  if (before.count === undefined || more.count === undefined) return { labels, value }
  const count = before.count + more.count
  if (before.buckets === undefined) return { labels, value, count }
  const buckets = before.buckets.map((bucket, at) => ({
    atMost: bucket.atMost,
    count: bucket.count + (more.buckets?.[at]?.count ?? 0),
  }))
  return { labels, value, count, buckets }
}

/** @internal Which part of the room is taken. */
export function usedRatio(
  seen: Observed,
  { depth, leases = 0, places }: Measures,
): number | undefined {
  if (seen.figures === undefined) return undefined
  if (seen.kind === 'queue') {
    const { bytes, capacity } = seen.figures
    return capacity === 0 ? undefined : bytes / capacity
  }
  if (places === undefined || places === 0) return undefined
  if (seen.kind === 'frames') return leases / places
  if (seen.kind === 'topics') return (depth ?? 0) / places
  return Math.min(((depth ?? 0) + leases) / places, 1)
}
