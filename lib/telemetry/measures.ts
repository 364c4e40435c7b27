// What channels of all kinds have in common, so that one table, or one metric, is about all of them.

import type { Observed } from './figures.js'

/** What goes through a channel, and what is in it. What a kind has not is left out. */
export interface Measures {
  /** Counted since the channel was created: what came in, */
  readonly in?: number
  /** and what was taken out; of several readers, all together. */
  readonly out?: number
  /** Bytes likewise. */
  readonly bytesIn?: number
  /** Bytes that were taken out. */
  readonly bytesOut?: number
  /** What waits to be taken out; of the reader who is farthest behind. */
  readonly depth?: number
  /** How much may. */
  readonly places?: number
  /** What somebody has in hand. */
  readonly leases?: number
  /** Milliseconds since the oldest came of what waits. */
  readonly oldestAge?: number
  /** Milliseconds since the newest came. */
  readonly newestAge?: number
  /** Dead letters. */
  readonly dead?: number
  /** What was done again, because it had failed or its worker had died; counted. */
  readonly again?: number
  /** What was lost to somebody, by why; counted. */
  readonly drops: Readonly<Record<string, number>>
  /** Sleeps that somebody ended; counted. */
  readonly wakes?: number
  /** Who sleeps now. */
  readonly parked?: number
}

type PartsOf = Observed['parts'][number]

/** The measures of what was seen. */
export function measuresOf(seen: Observed): Measures {
  if (seen.figures === undefined) return { drops: {} }
  const parts: readonly PartsOf[] = seen.parts
  const sum = (name: string): number =>
    parts.reduce((all, part) => all + (figureOf(part, name) ?? 0), 0)
  const most = (name: string): number =>
    parts.reduce((all, part) => Math.max(all, figureOf(part, name) ?? 0), 0)
  switch (seen.kind) {
    case 'queue': {
      const { figures } = seen
      return {
        in: figures.sent,
        out: figures.received,
        bytesIn: figures.sentBytes,
        bytesOut: figures.receivedBytes,
        depth: figures.messages,
        drops: {},
        wakes: figures.producerWakes + figures.consumerWakes,
        parked: figures.producerParked + figures.consumerParked,
      }
    }
    case 'frames': {
      const { figures } = seen
      return {
        in: figures.published,
        out: figures.received,
        depth: most('queued'),
        places: figures.slots,
        leases: figures.slotsHeld,
        ...(figures.newestAge === undefined ? {} : { newestAge: figures.newestAge }),
        drops: { 'drop-newest': figures.dropped, 'overwrite-oldest': figures.evicted },
        wakes: figures.writerWakes + sum('wakes'),
        parked: figures.writerParked + sum('parked'),
      }
    }
    case 'cell': {
      const { version, readersParked, newestAge } = seen.figures
      return {
        in: version,
        ...(newestAge === undefined ? {} : { newestAge }),
        drops: {},
        parked: readersParked,
      }
    }
    case 'work':
    case 'pipeline': {
      const { figures } = seen
      return {
        in: figures.pushed,
        out: figures.completed,
        depth: figures.ready + figures.delayed + figures.grouped + figures.held,
        places: figures.places,
        leases: figures.leased,
        ...(figures.oldestAge === undefined ? {} : { oldestAge: figures.oldestAge }),
        dead: figures.dead,
        again: figures.returned + figures.givenBack + figures.timedOut,
        drops: { expired: figures.expired, 'dead-dropped': figures.deadDropped },
        wakes: sum('wakes'),
        parked: sum('parked'),
      }
    }
    case 'calls': {
      const { figures } = seen
      return {
        in: figures.made,
        out: figures.completed,
        depth: figures.waiting,
        places: figures.places,
        leases: figures.inHand,
        again: figures.orphaned,
        drops: {
          unanswered: figures.unanswered,
          expired: figures.expired,
          withdrawn: figures.withdrawn,
        },
        wakes: sum('wakes'),
        parked: sum('parked'),
      }
    }
    case 'topics': {
      const { figures } = seen
      return {
        in: figures.published,
        out: sum('received'),
        depth: most('lag'),
        places: figures.places,
        drops: { missed: sum('missed') },
      }
    }
    case 'mutex':
    case 'rwlock':
      return { leases: seen.figures.holders, parked: seen.figures.waiting, drops: {} }
    default:
      return { drops: {} }
  }
}

function figureOf(part: PartsOf, name: string): number | undefined {
  return (part.figures as Readonly<Record<string, number | undefined>>)[name]
}
