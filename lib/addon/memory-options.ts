// How memory is treated: what users say is what the addon is given.

/** How the memory of a channel, or shared memory, is treated; docs/memory-options.md. */
export interface MemoryOptions {
  /** Prefers huge pages; an error where the system has them switched off. Default false. */
  readonly hugePages?: boolean | undefined
  /** Keeps the memory from being swapped out (mlock). Default false. */
  readonly lock?: boolean | undefined
  /** Makes all pages present now instead of at the first touch. Default false. */
  readonly prefault?: boolean | undefined
  /** On which NUMA nodes the memory lies. Default: where it is first touched. */
  readonly numa?: NumaOptions | undefined
  /** Overwrites the memory with zeroes when its last user closes, or its owner. Default false. */
  readonly zeroOnClose?: boolean | undefined
}

/** On which nodes of the machine memory is to lie; Linux. */
export interface NumaOptions {
  /** `bind`: on these nodes only; `preferred`: on this one if it has room; `interleave`: page by page. */
  readonly policy: 'bind' | 'preferred' | 'interleave'
  /** Their numbers, as in `/sys/devices/system/node`. */
  readonly nodes: readonly number[]
}
