// What a queue can promise where it is, in data: a program that is to run anywhere asks here.

/** What a {@link WorkQueue} can do by the address it was opened with. */
export interface WorkTraits {
  /** Is the memory of the queue this machine's own, and mapped here? */
  readonly local: boolean
  /** Are payloads read and written where they lie? Otherwise they are copied once on each side. */
  readonly inPlace: boolean
  /**
   * Are there answers at once: the calls that end in `Sync` or begin with `try`, `size`, `stats()`, `dead`, `select`, and
   * `complete({ to })`? Otherwise they throw `ERR_MILLRACE_UNSUPPORTED`.
   */
  readonly immediate: boolean
  /**
   * With what a lease ends: with the process that took the job, or with its connection; or when a server of an engine has had no sign of
   * life for some time.
   */
  readonly leases: 'process' | 'connection' | 'silence'
  /** How the death of a worker is noticed: by the kernel, or by its silence. */
  readonly death: 'exact' | 'timeout'
  /** Does the queue know `id`s again, so that a push whose confirmation was lost can be repeated? */
  readonly dedups: boolean
  /** Are there priorities? Otherwise a push with one rejects with `ERR_MILLRACE_UNSUPPORTED`. */
  readonly priorities: boolean
  /** Are there groups? Otherwise a push with one rejects with `ERR_MILLRACE_UNSUPPORTED`. */
  readonly groups: boolean
  /** Does a job go to another worker, if the one that has it in hand dies? */
  readonly redelivers: boolean
}
