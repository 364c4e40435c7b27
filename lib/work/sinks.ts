// Where jobs go to: a function, or a Writable of Node's or of the web. A job is complete when the sink has taken its bytes, so one that the sink
// does not take is not lost; and the next one is taken then, so that the sink sets the pace and the order is kept.

import { Stop } from '../base/abort-signals.js'
import { show } from '../base/options.js'
import { MillraceError, invalidArgument } from '../errors.js'
import type { StageHandle } from './stage-handle.js'
import type { StageJob } from './stage-job.js'
import { isGone, JobCraft, release, type GivenWork } from './working.js'

/** A stream of Node's, as far as it is asked: a `Writable`. */
export interface NodeSink {
  /** Calls `done` when it has taken the chunk. */
  write(chunk: Uint8Array, done: (error?: Error | null) => void): boolean
  /** Its end is listened to. */
  on(event: 'error' | 'close', listener: (error?: Error) => void): unknown
  /** Not any more. */
  off(event: 'error' | 'close', listener: (error?: Error) => void): unknown
}

/** A web stream, as far as it is asked: a `WritableStream`. */
export interface WebSink {
  /** As `WritableStream.getWriter`. */
  getWriter(): {
    /** Resolves when it wants more. */
    readonly ready: Promise<unknown>
    /** Resolves, or rejects, when it has ended. */
    readonly closed: Promise<unknown>
    /** Resolves when it has taken the chunk. */
    write(chunk: Uint8Array): Promise<unknown>
    /** Others may write to it again. */
    releaseLock(): void
  }
}

/** What `to` writes to, or what it calls for each job: then the job is complete when what that returns has resolved. */
export type PipelineSink = NodeSink | WebSink | ((job: StageJob) => unknown)

/**
 * Until the handle is closed, with the jobs of its stage, the last one.
 *
 * @throws MillraceError `INVALID_ARGUMENT`; and what is wrong with the sink
 */
export async function drain(
  handle: StageHandle,
  sink: PipelineSink,
  { drainMs, signal }: Omit<GivenWork, 'concurrency'>,
): Promise<void> {
  const concurrency = 1
  if (typeof sink === 'function') {
    await handle.work(new JobCraft(handle, sink), { concurrency, drainMs, signal })
    return
  }
  const stop = new Stop()
  stop.follow(signal)
  let failure: { readonly error: unknown } | undefined
  const failed = (error: unknown): void => {
    failure ??= { error }
    stop.abort(error)
  }
  let open: OpenSink | undefined
  try {
    open = openSink(sink, handle.where, failed)
    await handle.work(new SinkCraft(handle, open, failed), {
      concurrency,
      drainMs,
      signal: stop.asGiven,
    })
  } catch (error) {
    failure ??= { error }
  } finally {
    open?.letGo()
    stop.abort(undefined)
  }
  const found = failure as { readonly error: unknown } | undefined
  if (found !== undefined) throw found.error
}

interface OpenSink {
  write(chunk: Uint8Array): Promise<unknown>
  letGo(): void
}

/** `failed`: it has ended, also while nothing is written. */
function openSink(sink: unknown, where: string, failed: (error: unknown) => void): OpenSink {
  if (typeof sink === 'object' && sink !== null) {
    if ('getWriter' in sink) return webSink(sink as WebSink, where, failed)
    if ('write' in sink && 'on' in sink) return nodeSink(sink as unknown as NodeSink, where, failed)
  }
  throw invalidArgument(
    `the sink must be a function, a Writable or a WritableStream, not ${show(sink)}`,
  )
}

function nodeSink(sink: NodeSink, where: string, failed: (error: unknown) => void): OpenSink {
  let isOurs = true
  /** Of the write under way, which a stream that is destroyed does not answer. */
  let refuse: ((error: unknown) => void) | undefined
  const end = (error: unknown): void => {
    failed(error)
    refuse?.(error)
  }
  const onError = (error?: Error): void => {
    if (isOurs) end(error)
  }
  const onClose = (): void => {
    end(closedSink(where))
  }
  sink.on('error', onError)
  sink.on('close', onClose)
  return {
    write: (chunk) =>
      new Promise<void>((resolve, reject) => {
        refuse = reject
        sink.write(chunk, (error) => {
          if (error === undefined || error === null) {
            resolve()
            return
          }
          // It tells so once more, which would end the process if nobody heard it; and then that it has closed over it.
          isOurs = false
          end(error)
        })
      }),
    letGo() {
      sink.off('close', onClose)
      if (isOurs) sink.off('error', onError)
    },
  }
}

function webSink(sink: WebSink, where: string, failed: (error: unknown) => void): OpenSink {
  const writer = sink.getWriter()
  let isOurs = true
  writer.closed.then(
    () => {
      if (isOurs) failed(closedSink(where))
    },
    (error: unknown) => {
      if (isOurs) failed(error)
    },
  )
  return {
    async write(chunk) {
      await writer.ready
      await writer.write(chunk)
    },
    letGo() {
      isOurs = false
      writer.releaseLock()
    },
  }
}

function closedSink(where: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_CLOSED',
    `the sink of ${where} was closed while jobs go to it: end \`to()\` before, by its signal`,
  )
}

/** Writes what it takes. */
class SinkCraft extends JobCraft<StageJob> {
  readonly #sinkFailed: (error: unknown) => void

  constructor(handle: StageHandle, sink: OpenSink, sinkFailed: (error: unknown) => void) {
    // A copy: streams hand on what they were given, and nobody knows when that was read.
    super(handle, (job) => sink.write(job.copy()))
    this.#sinkFailed = sinkFailed
  }

  /** It is not the job that is wrong. What is ours no more may have gone before it was written. */
  override failed(job: StageJob, error: unknown): void {
    release(job)
    if (!isGone(error)) this.#sinkFailed(error)
  }
}
