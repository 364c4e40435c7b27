// What a bus can promise where it is, in data: a program that is to run anywhere asks here.

/** What a {@link Topics} can do by the address it was opened with. */
export interface TopicsTraits {
  /** Is the memory of the bus this machine's own, and mapped here? */
  readonly local: boolean
  /** Are payloads read and written where they lie? Otherwise they are copied once on each side. */
  readonly inPlace: boolean
  /**
   * Are there answers at once: publishing by the calls that end in `Sync` or begin with `try`, `stats()`? Otherwise they throw
   * `ERR_MILLRACE_UNSUPPORTED`.
   */
  readonly immediate: boolean
  /** Are there queue groups? */
  readonly groups: boolean
  /**
   * Does a message have its exact number of those that were missed before it? Otherwise it is exact as long as the connection stands, and
   * a connection that broke counts as one, if it is not certain that nothing was missed meanwhile.
   */
  readonly exactMissed: boolean
}
