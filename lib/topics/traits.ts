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
  /**
   * Does a publisher wait for a subscriber that says `wait` and lags behind? Otherwise what that one has no room for is missed, and counted,
   * whatever it says.
   */
  readonly waits: boolean
  /** Does the bus keep messages for who comes later (`replay`)? Otherwise asking for them rejects with `ERR_MILLRACE_UNSUPPORTED`. */
  readonly replays: boolean
  /** Does `publish` tell for how many a message was? Otherwise it resolves with NaN. */
  readonly counts: boolean
  /** Does a message of a group come again, to another member, if the one that has it in hand dies? */
  readonly redelivers: boolean
}
