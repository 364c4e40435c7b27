// What a recorder takes messages from. A channel that is watched is one; a program may bring others.

/** What is recorded. */
export type RecordedKind = 'queue' | 'work' | 'pipeline' | 'topics' | 'calls' | 'frames' | 'cell'

/** The kinds that can be recorded. */
export const recordedKinds: readonly RecordedKind[] = [
  'queue',
  'work',
  'pipeline',
  'topics',
  'calls',
  'frames',
  'cell',
]

/** What a message is: of a queue or a bus, a job, a request or its answer, a frame, a value of a cell. */
export type RecordedOp = 'message' | 'job' | 'request' | 'answer' | 'frame' | 'value'

/** What is known of a message beside its bytes. */
export interface MessageFacts {
  /** Of a topic. */
  readonly subject?: string | undefined
  /** Likewise. */
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** Of a job. */
  readonly id?: string | undefined
  /** Likewise, when it was seen. */
  readonly state?: 'waiting' | 'leased' | 'dead' | undefined
  /** Likewise. */
  readonly priority?: number | undefined
  /** Likewise: how often it was tried. */
  readonly attempts?: number | undefined
  /** Likewise: the key of the group it was pushed with. */
  readonly group?: string | undefined
  /** Of a job of a pipeline: the stage it was seen at. */
  readonly stage?: string | undefined
  /** Of a call: what its contract calls the method, or its number there. */
  readonly method?: string | undefined
}

/** A message as a source has it. */
export interface SourceMessage extends MessageFacts {
  /** What it is. */
  readonly op: RecordedOp
  /** As its channel counts. */
  readonly sequence: bigint
  /** When it was published: nanoseconds since 1970. Left out if its channel does not keep that. */
  readonly publishedAt?: bigint | undefined
  /** When it was seen, likewise. */
  readonly seenAt: bigint
  /** Its bytes. They must stay as they are until `release` is called, or for ever if there is none. */
  readonly bytes: Uint8Array
  /** Bytes that it had; more than there are if it was cut. */
  readonly length?: number | undefined
  /** Is there more of it than was seen? */
  readonly cut?: boolean | undefined
  /** Of a frame: what its writer wrote beside it. */
  readonly header?: Uint8Array | undefined
  /** Called when it is written, or will not be. */
  release?(): void
}

/** Where messages come from. */
export interface RecordSource {
  /** The channel. */
  readonly name: string
  /** What it is. */
  readonly kind: RecordedKind
  /** What a channel is made with, as `capacity` of a queue: goes into the file, so that a replay can make it. */
  readonly facts?: Readonly<Record<string, string>> | undefined
  /** Messages that were gone before they could be seen. */
  readonly missed: bigint
  /** What there is now, so many at most, the oldest first. Never waits. */
  read(most?: number): readonly SourceMessage[]
  /**
   * Where a source can say when there is something: calls `told`, once, when `read` would bring a message, perhaps before it returns; what it
   * returns ends that. Whoever has no such method is looked at again after a while (`interval`), as is who says nothing.
   */
  whenThere?(told: () => void): () => void
  /** Lets go of the channel. */
  close(): void
}
