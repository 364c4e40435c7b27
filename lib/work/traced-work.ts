// What who looks on is shown of jobs: when they are pushed, taken, worked on, and settled.

import type { ProcessTrace, ReceiveTrace, SendTrace, TracedMessage } from '../base/traced.js'
import { inHand, processing, receiving, sending, traced } from '../base/tracing.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { hasCode } from '../errors.js'
import { forwardNames, type ForwardOptions } from './forward.js'
import type { PushResult } from './loan.js'
import { pushNames, type JobOptions, type PushOptions } from './options.js'
import type { SeenPlace } from './seen-place.js'

const { bytesIn, carrying, trace, traceBytes, traceHandler, traceHeld } = traced()

/** What is looked at of a job, wherever its queue is. */
interface Job {
  readonly length: number
  readonly attempt: number
  readonly id: string | undefined
  readonly traceparent: string | undefined
  readonly settled: string | undefined
  copy(): PlainBuffer
  complete(): unknown
}

/** Whose jobs they are. */
interface Seen {
  readonly seen: SeenPlace
}

type Batch = Omit<PushOptions, 'id'>

export function tracedPush(
  { seen }: Seen,
  payload: unknown,
  options: PushOptions | undefined,
  push: (options: PushOptions | undefined) => Promise<PushResult>,
): Promise<PushResult> {
  const bytes = bytesIn(payload)
  const context = sent(seen, 'push', options, { count: 1, bytes })
  const mayCarry = hasRoom(seen, bytes, options)
  return trace(sending, context, () =>
    push(mayCarry ? carried(context, options, pushNames) : options),
  )
}

export function tracedBatch(
  { seen }: Seen,
  payloads: unknown,
  options: Batch | undefined,
  push: (options: Batch | undefined) => Promise<number>,
): Promise<number> {
  const lengths = Array.isArray(payloads) ? payloads.map(bytesIn) : []
  const bytes = lengths.reduce((sum, length) => sum + length, 0)
  const context = sent(seen, 'pushBatch', options, { count: lengths.length, bytes })
  const mayCarry = lengths.every((length) => hasRoom(seen, length, options))
  return trace(sending, context, () =>
    push(mayCarry ? carried(context, options, pushNames) : options),
  )
}

export function tracedForward(
  options: ForwardOptions,
  forward: (options: ForwardOptions) => Promise<PushResult>,
): Promise<PushResult> {
  const given = options as ForwardOptions | undefined
  const to = given?.to as Partial<Seen> | undefined
  const bytes = bytesIn(given?.bytes)
  const seen = to?.seen ?? unknownPlace
  const context = sent(seen, 'forward', given, { count: 1, bytes })
  const mayCarry = hasRoom(seen, bytes, given)
  return trace(sending, context, () =>
    forward(mayCarry ? carried(context, options, forwardNames)! : options),
  )
}

const unknownPlace: SeenPlace = {
  kind: 'work',
  destination: '',
  source: undefined,
  maxBytes: Infinity,
}

function sent(
  { kind, destination }: SeenPlace,
  operation: SendTrace['operation'],
  options: JobOptions | undefined,
  { count, bytes }: { readonly count: number; readonly bytes: number },
): SendTrace {
  const { id, group, traceparent } = options ?? {}
  return { operation, kind, destination, subject: undefined, id, group, count, bytes, traceparent }
}

/** What whoever looks on has put there goes along, where it is another one. */
function carried<O extends JobOptions>(
  { traceparent }: SendTrace,
  options: O | undefined,
  names: readonly string[],
): O | undefined {
  return traceparent === options?.traceparent ? options : carrying(options, names, traceparent)
}

/** A job that fits without is not to be refused because somebody looks on. */
function hasRoom({ maxBytes }: SeenPlace, bytes: number, options: JobOptions | undefined): boolean {
  const { id, group } = options ?? {}
  return Math.ceil(bytes / 8) * 8 + bytesIn(id) + bytesIn(group) + traceBytes <= maxBytes
}

/** Of jobs that nobody has a handler for: they are in hand until they are settled. */
export async function tracedTake<T extends Job | readonly Job[]>(
  { seen }: Seen,
  operation: 'take' | 'takeBatch',
  take: () => Promise<T>,
): Promise<T> {
  const found = receiving.yes
    ? await received(seen, operation, take, (jobs) => listOf(jobs).map(messageOf))
    : await take()
  if (processing.yes) for (const job of listOf(found)) hold(seen, job)
  return found
}

export function tracedReceive({ seen }: Seen, take: () => Promise<Job>): Promise<PlainBuffer> {
  let message: TracedMessage
  const receive = async (): Promise<PlainBuffer> => {
    for (;;) {
      const job = await take()
      const payload = job.copy()
      message = messageOf(job)
      try {
        await job.complete()
        return payload
      } catch (error) {
        // Somebody else's by now: the next one.
        if (!hasCode(error, 'ERR_MILLRACE_LEASE_LOST')) throw error
      }
    }
  }
  return received(seen, 'receive', receive, () => [message])
}

function received<T>(
  { kind, destination, source }: SeenPlace,
  operation: ReceiveTrace['operation'],
  take: () => Promise<T>,
  messagesOf: (found: T) => readonly TracedMessage[],
): Promise<T> {
  const context: ReceiveTrace = {
    ...{ operation, kind, destination, source },
    group: undefined,
    messages: [],
  }
  return trace(receiving, context, async () => {
    const found = await take()
    context.messages = messagesOf(found)
    return found
  })
}

const listOf = (jobs: Job | readonly Job[]): readonly Job[] =>
  Array.isArray(jobs) ? (jobs as Job[]) : [jobs as Job]

function messageOf(job: Job): TracedMessage {
  const { id, length, traceparent } = job
  return { subject: undefined, id, bytes: length, traceparent }
}

function processed(
  { kind, destination, source }: SeenPlace,
  operation: ProcessTrace['operation'],
  jobs: readonly Job[],
  given: object,
): ProcessTrace {
  const [first] = jobs
  const traceparents = jobs.flatMap(({ traceparent }) => traceparent ?? [])
  return {
    ...{ operation, kind, destination, contract: undefined, source, subject: undefined },
    id: first?.id,
    attempt: first?.attempt ?? 1,
    count: jobs.length,
    bytes: jobs.reduce((sum, { length }) => sum + length, 0),
    traceparent: first?.traceparent,
    ...{ traceparents, given, settled: undefined, around: undefined },
  }
}

function hold(seen: SeenPlace, job: Job): void {
  const context = processed(seen, 'held', [job], job)
  const told = (inHand.told ??= new WeakMap())
  const over = traceHeld(processing, context)
  told.set(job, (settled) => {
    told.delete(job)
    context.settled = settled
    over()
  })
}

export function tracedJob({ seen }: Seen, job: Job, handler: () => unknown): Promise<unknown> {
  return traceHandler(processed(seen, 'job', [job], job), handler, (failed) =>
    becameOf(job, failed),
  )
}

export function tracedJobs(
  { seen }: Seen,
  jobs: readonly Job[],
  handler: () => unknown,
): Promise<unknown> {
  return traceHandler(processed(seen, 'batch', jobs, [...jobs]), handler, (failed) =>
    becameOf(jobs[0]!, failed),
  )
}

/** What the handler has left to the library is done when it has ended. */
function becameOf({ settled }: Job, failed: boolean): string {
  return settled ?? (failed ? 'retried' : 'completed')
}
