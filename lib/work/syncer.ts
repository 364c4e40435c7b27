// Syncs of a queue on disk: one at a time, shared by all that wait.

/** A sync that begins when the one under way has ended. */
interface NextSync {
  readonly promise: Promise<void>
  readonly begin: () => void
}

/**
 * Waits until what was done is on the disk. One sync is under way at a time; what comes meanwhile is not certain to be in it, and
 * shares the next one.
 */
export class Syncer {
  readonly #flush: () => Promise<void>
  #running: Promise<void> | undefined
  #next: NextSync | undefined

  /** `flush` covers what was done before it is called. */
  constructor(flush: () => Promise<void>) {
    this.#flush = flush
  }

  sync(): Promise<void> {
    if (this.#running === undefined) return this.#begin()
    const next = (this.#next ??= this.#queued())
    return next.promise
  }

  /** The handle is about to close: what waits for the next sync does not wait for the one that is under way. */
  hurry(): void {
    const next = this.#next
    this.#next = undefined
    next?.begin()
  }

  #begin(): Promise<void> {
    const done = this.#flush()
    this.#running = done
    const ended = (): void => {
      if (this.#running !== done) return
      this.#running = undefined
      this.hurry()
    }
    done.then(ended, ended)
    return done
  }

  #queued(): NextSync {
    let begin!: () => void
    const promise = new Promise<void>((resolve) => {
      begin = () => {
        resolve(this.#begin())
      }
    })
    return { promise, begin }
  }
}
