// Where jobs come from: whatever gives one piece of bytes after the other. The next one is asked for when there was room for the last.

import { forgetAbort, whenAborted, type Stop } from '../base/abort-signals.js'
import type { ByteSource } from '../base/bytes.js'
import { show } from '../base/options.js'
import { isPromise } from '../base/promised.js'
import { abortedError, invalidArgument } from '../errors.js'
import type { JobOptions } from './options.js'

/** What a web stream gives. */
export interface WebPiece {
  /** There is nothing more. */
  readonly done: boolean
  /** Otherwise the next piece. */
  readonly value?: ByteSource | undefined
}

/** A web stream, as far as it is asked. */
export interface WebSource {
  /** As `ReadableStream.getReader`. */
  getReader(): {
    /** The next piece. */
    read(): Promise<WebPiece>
    /** Nobody wants the rest. */
    cancel(reason?: unknown): Promise<void>
    /** Others may read it again. */
    releaseLock(): void
  }
}

/** What `from` takes: an iterable, also an asynchronous one (a `Readable` of Node's is one), or a web `ReadableStream`. */
export type PipelineSource = Iterable<ByteSource> | AsyncIterable<ByteSource> | WebSource

/** What goes with what a source gives. */
export interface SourceOptions extends Omit<JobOptions, 'id'> {
  /** Ends it with `ERR_MILLRACE_ABORTED`; what was pushed stays. */
  readonly signal?: AbortSignal | undefined
}

/** @internal */
export const sourceNames = ['signal', 'priority', 'delay', 'ttl', 'group'] as const

interface Step {
  readonly done?: boolean | undefined
  readonly value?: unknown
}

/** A source, one step after the other. */
interface Steps {
  next(): Step | PromiseLike<Step>
  /** It has given all. */
  ended(): void
  /** Nobody wants the rest. Does not wait for it: a source that hangs must not keep its end back. */
  stop(reason: unknown): void
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function stepsOf(source: unknown): Steps {
  if (typeof source === 'object' && source !== null && !ArrayBuffer.isView(source)) {
    if ('getReader' in source) return webSteps(source as WebSource)
    if (Symbol.asyncIterator in source) {
      return iteratorSteps((source as AsyncIterable<unknown>)[Symbol.asyncIterator](), source)
    }
    if (Symbol.iterator in source) {
      return iteratorSteps((source as Iterable<unknown>)[Symbol.iterator](), source)
    }
  }
  throw invalidArgument(
    `the source must be an iterable of bytes, a Readable or a ReadableStream, not ${show(source)}`,
  )
}

/** Hands all that the source gives to `push`; how many pieces that were. Ends with `stop`, also while the source makes it wait. */
export async function pour(
  steps: Steps,
  push: (piece: ByteSource) => Promise<unknown>,
  stop: Stop,
): Promise<number> {
  try {
    for (let count = 0; ; count++) {
      const next = steps.next()
      const step = isPromise(next) ? await orAborted(next, stop) : next
      if (step.done === true) {
        steps.ended()
        return count
      }
      await push(step.value as ByteSource)
    }
  } catch (error) {
    steps.stop(error)
    throw error
  }
}

function orAborted<T>(promise: PromiseLike<T>, stop: Stop): Promise<T> {
  return new Promise((resolve, reject) => {
    const wait = {
      aborted() {
        reject(abortedError(stop.asGiven))
      },
    }
    if (stop.aborted) wait.aborted()
    else whenAborted(stop, wait)
    promise.then(
      (value) => {
        forgetAbort(stop, wait)
        resolve(value)
      },
      (error: unknown) => {
        forgetAbort(stop, wait)
        reject(error)
      },
    )
  })
}

function webSteps(source: WebSource): Steps {
  const reader = source.getReader()
  return {
    next: () => reader.read(),
    ended() {
      reader.releaseLock()
    },
    stop(reason) {
      quietly(() => reader.cancel(reason))
    },
  }
}

function iteratorSteps(
  iterator: Iterator<unknown> | AsyncIterator<unknown>,
  source: object,
): Steps {
  return {
    next: () => iterator.next(),
    ended: () => undefined,
    stop() {
      // The iterator of a stream waits for its next piece before it returns.
      quietly(() => {
        const { destroy } = source as { readonly destroy?: unknown }
        if (typeof destroy === 'function') destroy.call(source)
      })
      quietly(() => iterator.return?.())
    },
  }
}

/** What is wrong with a source by now is not why it ends. */
function quietly(tell: () => unknown): void {
  try {
    const told = tell()
    if (isPromise(told)) told.then(undefined, ignored)
  } catch {
    // The same.
  }
}

/** It ends because of something else, which is told. */
function ignored(): undefined {
  return undefined
}
