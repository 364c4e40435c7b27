// What a bus tells about itself.

/** Numbers of a bus at this instant, and what was counted since it was created, by all who have it open. */
export interface TopicsStats {
  /** Subjects that were published to or asked for. */
  readonly subjects: number
  /** Subscriptions there are. */
  readonly subscriptions: number
  /** Handles that have it open, this one included. */
  readonly handles: number
  /** Messages that the bus has. */
  readonly messages: number
  /** Bytes that payloads take up beside their messages, in pieces of 256. */
  readonly bytesUsed: number
  /** Messages that were published. */
  readonly published: number
  /** For how many subscribers they were, all together. */
  readonly matched: number
  /** Messages that made room for others. */
  readonly evicted: number
  /** Publishes that found no room at first. */
  readonly waits: number
  /** Newest messages of subjects that made room for others. */
  readonly retainedDropped: number
  /** Handles whose process or Worker died without closing them. */
  readonly deaths: number
  /** Messages that the dead had begun to publish; nothing of them is left. */
  readonly unfinished: number
}

/** In the order of the numbers that `NativeTopics.counts` gives. */
const names = [
  'subjects',
  'subscriptions',
  'handles',
  'messages',
  'bytesUsed',
  'published',
  'matched',
  'evicted',
  'waits',
  'retainedDropped',
  'deaths',
  'unfinished',
] as const satisfies readonly (keyof TopicsStats)[]

/** @internal */
export function statsOf(counts: Float64Array): TopicsStats {
  return Object.fromEntries(
    names.map((name, at) => [name, counts[at] ?? 0]),
  ) as unknown as TopicsStats
}
