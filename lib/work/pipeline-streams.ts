// A pipeline as Node's streams. Each chunk is a job. A part: loaded by those who ask for one.

import type { Readable, Writable } from 'node:stream'
import { Stop } from '../base/abort-signals.js'
import type { ByteSource } from '../base/bytes.js'
import { checkOptions, checkSignal, wholeNumber } from '../base/options.js'
import type { StageHandle } from './stage-handle.js'
import type { StageJob } from './stage-job.js'

/** As `settle` in working.ts: as it ended, unless it is somebody else's by now. */
type Settle = (job: StageJob, how: () => void) => void

/** Options of the streams of a pipeline. */
export interface PipelineStreamOptions {
  /** Chunks that the stream itself keeps, beside the pipeline; default 16. */
  readonly highWaterMark?: number | undefined
  /** Destroys the stream with an `AbortError`, as Node's own streams do. */
  readonly signal?: AbortSignal | undefined
}

/** The stream, and what ends with it: its waits. */
function waitsOf(signal: AbortSignal | undefined) {
  const stop = new Stop()
  return {
    wait: { signal: stop.asGiven },
    /** Not by the constructor of Node: an aborted one would destroy what is not made yet. */
    bound: <S extends Readable | Writable>(made: S): S => {
      if (signal !== undefined) streams().addAbortSignal(signal, made)
      return made
    },
    stop: (error: Error | null): void => {
      stop.abort(error)
    },
  }
}

const streams = () => process.getBuiltinModule('node:stream')

/** `push`: with these options of a wait. */
export function writableOf(
  push: (chunk: ByteSource, wait: { readonly signal: AbortSignal }) => Promise<unknown>,
  options: PipelineStreamOptions | undefined,
): Writable {
  const given = checkOptions(options, ['highWaterMark', 'signal'])
  const highWaterMark = wholeNumber(given, 'highWaterMark', 16, [0, Number.MAX_SAFE_INTEGER])
  const { wait, bound, stop } = waitsOf(checkSignal(given.signal))
  return bound(
    new (streams().Writable)({
      objectMode: true,
      highWaterMark,
      write(chunk: ByteSource, encoding, callback) {
        const bytes = typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
        push(bytes, wait).then(() => {
          callback()
        }, callback)
      },
      destroy(error, callback) {
        stop(error)
        callback(error)
      },
    }),
  )
}

/** The jobs of `handle`, each complete when its chunk was read: then the stream asks for the next one. */
export function readableOf(
  handle: StageHandle,
  settle: Settle,
  options: { readonly signal?: AbortSignal | undefined } | undefined,
): Readable {
  const given = checkOptions(options, ['signal'])
  const { wait, bound, stop } = waitsOf(checkSignal(given.signal))
  const release = (job: StageJob): void => {
    settle(job, () => {
      job.release()
    })
  }
  /** The only chunk that the stream has. */
  let inHand: StageJob | undefined
  const readable: Readable = new (streams().Readable)({
    objectMode: true,
    // The next one is asked for when the last one was read, and not before.
    highWaterMark: 1,
    read() {
      const done = inHand
      inHand = undefined
      if (done !== undefined) {
        settle(done, () => {
          done.complete()
        })
      }
      handle.takeOne(wait).then(
        (job) => {
          if (readable.destroyed) {
            release(job)
            return
          }
          inHand = job
          readable.push(job.copy())
        },
        (error: unknown) => {
          if (handle.closed) readable.push(null)
          else readable.destroy(error as Error)
        },
      )
    },
    destroy(error, callback) {
      stop(error)
      if (inHand !== undefined) release(inHand)
      inHand = undefined
      callback(error)
    },
  })
  return bound(readable)
}
