// One partition of a topic, as long as this process has it: its jobs that are not done, in their order. Everything below the first of them
// is done, which is what Kafka is told.

/** Jobs and bytes of a partition that are read ahead. */
const mostJobs = 1024
const mostBytes = 2_097_152
/** Records that one job which is not done holds up: so many come again at most when their worker dies. */
const widest = 16_384n

/** What a lane has to know of a job. */
interface Held {
  readonly offset: bigint
  readonly bytes: Uint8Array
}

export class Lane<J extends Held> {
  readonly partition: number
  /** In the order of their offsets. */
  readonly jobs = new Set<J>()
  /** Somebody else has it, or nobody. */
  isLost = false
  /** The offset that is read next; undefined: nothing was read yet. */
  next: bigint | undefined
  /** Kafka knows that everything below is done. */
  committed = -1n
  #bytes = 0
  #room: (() => void) | undefined

  constructor(partition: number) {
    this.partition = partition
  }

  /** Everything below is done. */
  get floor(): bigint {
    for (const { offset } of this.jobs) return offset
    return this.next ?? -1n
  }

  add(job: J): void {
    this.jobs.add(job)
    this.#bytes += job.bytes.length
  }

  remove(job: J): void {
    if (!this.jobs.delete(job)) return
    this.#bytes -= job.bytes.length
    if (!this.#isFull(2)) this.#room?.()
  }

  /** Resolves when there is room for more. */
  room(): Promise<void> {
    if (!this.#isFull(1)) return Promise.resolve()
    return new Promise((resolve) => {
      this.#room = resolve
    })
  }

  lose(): void {
    this.isLost = true
    this.jobs.clear()
    this.#room?.()
  }

  #isFull(share: number): boolean {
    return (
      this.jobs.size > mostJobs / share ||
      this.#bytes > mostBytes / share ||
      (this.next ?? 0n) - this.floor > widest
    )
  }
}
