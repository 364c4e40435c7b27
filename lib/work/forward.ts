// A job that becomes one of another queue: the options of `job.complete({ to, bytes })`, and what that queue does for it.

import type { NativeWork } from '../addon/work.js'
import { bytesOf, type ByteSource } from '../base/bytes.js'
import { checkOptions, waitNames, type Wait, type WaitOptions } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { readPush, type JobFacts, type JobOptions } from './options.js'

export interface ForwardOptions extends Omit<JobOptions, 'group'>, WaitOptions {
  /** The {@link WorkQueue} that is to have what the job became: one that is open in this thread, perhaps that of the job itself. */
  readonly to: object
  /** What the job became. May be `job.bytes`, or part of them. */
  readonly bytes: ByteSource
}

/** @internal A queue, as those see it whose jobs become its own. */
export interface Target {
  readonly native: NativeWork
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
}

const targets = new WeakMap<object, Target>()

/** @internal `queue` is what its user knows it by. */
export function offer(queue: object, target: Target): void {
  targets.set(queue, target)
}

const names = ['to', 'bytes', 'priority', 'delay', 'ttl', 'id', ...waitNames] as const

/** @internal */
export function readForward(given: ForwardOptions): Forward {
  const { to, bytes, ...rest } = checkOptions(given, names)
  const target = typeof to === 'object' ? targets.get(to) : undefined
  if (target === undefined) {
    throw invalidArgument('to must be a WorkQueue, which was opened in this thread')
  }
  return {
    target,
    bytes: bytesOf(bytes!, 'what the job became'),
    ...readPush(rest, target.native),
  }
}
