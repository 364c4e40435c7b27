// Messages seen from outside: native/addon/watch.cpp.

/** @internal */
export interface NativeChannelWatch {
  /**
   * How many messages were copied, at most so many, each of them a `Watched` of `heads`; below zero: so many bytes the target would have to
   * have for the first one. Payloads are cut to `cut` bytes.
   */
  look(target: Uint8Array, heads: Uint8Array, most: number, cut: number): number
  missed(): bigint
  /** When it looked the last time: nanoseconds since 1970. */
  seenAt(): bigint
  isPipeline(): boolean
  close(): void
}

/** @internal Bytes of a `Watched`, as native/include/millrace/watch/message.hpp has it. */
export const watchedBytes = 72

/** @internal Where in it things are: numbers of 64, 16, 8 and 32 bits. */
export const Watched = {
  sequence: 0,
  publishedAt: 8,
  at: 16,
  length: 24,
  copied: 32,
  textsAt: 40,
  subjectLength: 48,
  idLength: 50,
  groupLength: 52,
  headersLength: 54,
  op: 56,
  state: 57,
  priority: 58,
  attempts: 59,
  method: 60,
  slot: 64,
  born: 68,
} as const
