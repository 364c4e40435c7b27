// A job that becomes one of another queue: the options of `job.complete({ to, bytes })`, and what that queue does for it.

import type { NativeWork } from '../addon/work.js'
import { bytesOf, type ByteSource } from '../base/bytes.js'
import { checkOptions, waitNames, type Wait, type WaitOptions } from '../base/options.js'
import { invalidArgument, type MillraceError } from '../errors.js'
import { jobNames, readPush, type JobFacts, type JobOptions } from './options.js'

export interface ForwardOptions extends Omit<JobOptions, 'group'>, WaitOptions {
  /** The {@link WorkQueue} that is to have what the job became: one that is open in this thread, perhaps that of the job itself. */
  readonly to: object
  /** What the job became. May be `job.bytes`, or part of them. */
  readonly bytes: ByteSource
}

/** @internal A queue, as those see it whose jobs become its own. */
export interface Target {
  readonly native: NativeWork
  /** Does a sync come before the end of the job that becomes one here? */
  readonly onDisk: boolean
  /** When all that was done until now is on the disk. */
  synced(): Promise<void>
  /** What went wrong there: of an outcome below zero. */
  fail(outcome: number): MillraceError
  /**
   * Calls `attempt` until its outcome is another one than that there is no room; now, or when there is some. `waits` is called
   * before it waits. Rejects with what is wrong with the queue, or with these bytes.
   */
  forwarded(length: number, attempt: () => number, wait: Wait, waits: () => void): Promise<number>
}

/** @internal What is to be done for one job. */
export interface Forward {
  readonly target: Target
  readonly bytes: Uint8Array
  readonly facts: JobFacts
  readonly wait: Wait
  /** Set when the job has ended: when that is on the disk, where that is promised. */
  certain: Promise<void> | undefined
}

const targets = new WeakMap<object, Target>()

/** @internal `queue` is what its user knows it by. */
export function offer(queue: object, target: Target): void {
  targets.set(queue, target)
}

/** @internal */
export const forwardNames = ['to', 'bytes', ...jobNames, ...waitNames] as const

/** @internal */
export function readForward(given: ForwardOptions): Forward {
  const { to, bytes, ...rest } = checkOptions(given as ForwardOptions & JobOptions, forwardNames)
  if (rest.group !== undefined) {
    throw invalidArgument(
      'group: what a job becomes in one step cannot have one, for it may have to be taken out of the middle of its group by somebody ' +
        'who cannot wait; push it with its group (and an id), and complete the job afterwards',
    )
  }
  const target = typeof to === 'object' ? targets.get(to) : undefined
  if (target === undefined) {
    throw invalidArgument('to must be a WorkQueue, which was opened in this thread')
  }
  return {
    target,
    bytes: bytesOf(bytes!, 'what the job became'),
    ...readPush(rest, target.native),
    certain: undefined,
  }
}
