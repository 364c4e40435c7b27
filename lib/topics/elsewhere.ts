// Buses whose memory is elsewhere. What opens them stands on a floor above, and is loaded when the first one is opened; the entry
// point says from where.

import type { RemoteOptions, Share, ShareOptions } from '../net/share.js'
import type { WorkParts } from '../work/elsewhere.js'
import type { Job } from '../work/job.js'
import type { WorkQueue } from '../work/work-queue.js'
import type { TopicJob } from './group-job.js'
import type { Headers } from './headers.js'

/** What the program says of the bus: it must be so. */
export interface TopicsWanted {
  readonly messages: number | undefined
  readonly subjects: number | undefined
  readonly subscriptions: number | undefined
  readonly seats: number | undefined
  /** Is counted how long messages take? Not over a connection. */
  readonly stats?: boolean | undefined
}

/** What a queue group elsewhere needs of the classes here. */
export interface GroupParts {
  readonly work: WorkParts
  /** The message that a job of the group's work queue is. */
  jobOf(job: Job, queue: WorkQueue, title: string): TopicJob
  /** The payload of a job that is such a message. */
  readonly envelopeOf: (
    subject: string,
    index: number,
    publishedAt: number,
    payload: Uint8Array,
    headers: Headers | undefined,
  ) => Uint8Array
}

/** What the floor above can do. */
export interface Elsewhere {
  /** A bus, as its user sees it; `group` gives what the first queue group needs. */
  openTopics(
    address: string,
    wanted: TopicsWanted,
    connection: RemoteOptions | undefined,
    group: () => GroupParts,
  ): object
  /** Of a bus of this machine's memory. */
  shareTopics(bus: object, address: string, options: ShareOptions | undefined): Promise<Share>
}

let load: (() => Elsewhere) | undefined

/** @internal Once, by the entry point. */
export function topicsElsewhere(loader: () => Elsewhere): void {
  load = loader
}

export function elsewhere(): Elsewhere {
  return load!()
}
