// A job in the hands of a stage.

import { bytesOf, type ByteSource } from '../base/bytes.js'
import { readWait, type WaitOptions } from '../base/options.js'
import { Job } from './job.js'

/**
 * A job at a stage of a {@link Pipeline}. Settled as any job; but `complete` says that it is done at this stage, and it goes on to the
 * next one, in place. Only in the last stage it ends. `retry` and `release` give it back to this stage. The `bytes` may be changed
 * where they lie: the next stage sees them so, and so does whoever gets the job again.
 */
export class StageJob extends Job {
  /**
   * The job is done at this stage, and goes on as `result`, in one step: a process that dies meanwhile has done that, or nothing. Waits
   * for room for the result; meanwhile the job is in hand, and nothing else can settle it. If it rejects, nothing was done, and the
   * job can be settled otherwise.
   *
   * @throws MillraceError (as rejection) `TOO_LARGE` (the message tells what to do), `LEASE_LOST`, `RELEASED`, `CLOSED`, `TIMEOUT`, `ABORTED`,
   *   `INVALID_ARGUMENT` (also in the last stage: `complete` the job there), `CORRUPT`
   */
  async become(result: ByteSource, options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    const bytes = bytesOf(result, 'the result of a job')
    await this.settleWhenRoom((leases, waits) => leases.become(this, bytes, wait, waits))
  }

  /** @internal */
  protected override shownAs(): string {
    return 'StageJob'
  }

  /** The job ends here: no later stage gets it. Never blocks. */
  drop(): void {
    this.settleBy((leases) => leases.drop(this), 'dropped')
  }
}
