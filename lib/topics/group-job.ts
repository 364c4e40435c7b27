// A message of a group, as a job. What it was on the bus goes with its payload:
//
//   index f64 │ published at f64 │ payload's length u32 │ subject's u16 │ headers' u16 │ payload … │ subject │ headers

import { IntakeFact } from '../addon/topics.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { traced } from '../base/tracing.js'
import type { Bytes, PlainBuffer } from '../base/view-constructor.js'
import { corruptError, isRefusal } from '../errors.js'
import type { Job, ReleaseOptions, RetryOptions, Settled, Settling } from '../work/job.js'
import {
  decodeHeaders,
  encodeHeaders,
  mostHeaderBytes,
  noHeaders,
  type Headers,
} from './headers.js'
import { longestSubject } from './subjects.js'

const headBytes = 24
/** What goes with a payload takes up no more. */
export const envelopeMost = headBytes + longestSubject + mostHeaderBytes

/** Of a message whose facts begin at `at`, and which was copied to `buffer`. */
export function writeEnvelope(
  subject: string,
  facts: Float64Array,
  at: number,
  buffer: Uint8Array,
): Uint8Array {
  const offset = facts[at + IntakeFact.offset]!
  const length = facts[at + IntakeFact.length]!
  const headersAt = offset + ((length + 7) & ~7)
  const headersLength = facts[at + IntakeFact.headers]!
  return pack(
    subject,
    facts[at + IntakeFact.index]!,
    facts[at + IntakeFact.publishedAt]!,
    buffer.subarray(offset, offset + length),
    buffer.subarray(headersAt, headersAt + headersLength),
  )
}

/** The context of the trace that such a message belongs to, as W3C writes it. */
export function contextOf(facts: Float64Array, at: number, buffer: Uint8Array): string | undefined {
  const length = facts[at + IntakeFact.headers]!
  if (length === 0) return undefined
  const headersAt = facts[at + IntakeFact.offset]! + ((facts[at + IntakeFact.length]! + 7) & ~7)
  const headers = decodeHeaders(buffer.subarray(headersAt, headersAt + length))
  const traceparent = headers?.['traceparent']
  // What a publisher has written there may be none.
  const isContext = traceparent !== undefined && traced().packTrace(traceparent) !== undefined
  return isContext ? traceparent : undefined
}

/** Of a message that came otherwise. `publishedAt`: milliseconds since 1970. Throws as `encodeHeaders`. */
export function envelopeOf(
  subject: string,
  index: number,
  publishedAt: number,
  payload: Uint8Array,
  headers: Headers | undefined,
): Uint8Array {
  return pack(subject, index, publishedAt, payload, encodeHeaders(headers))
}

function pack(
  subject: string,
  index: number,
  publishedAt: number,
  payload: Uint8Array,
  headers: Uint8Array,
): Uint8Array {
  const text = Buffer.from(subject)
  const { length } = payload
  const bytes = Buffer.allocUnsafe(headBytes + length + text.length + headers.length)
  bytes.writeDoubleLE(index, 0)
  bytes.writeDoubleLE(publishedAt, 8)
  bytes.writeUInt32LE(length, 16)
  bytes.writeUInt16LE(text.length, 20)
  bytes.writeUInt16LE(headers.length, 22)
  bytes.set(payload, headBytes)
  bytes.set(text, headBytes + length)
  bytes.set(headers, headBytes + length + text.length)
  return bytes
}

/** What `writeEnvelope` has written; undefined: it was something else. */
function readEnvelope(bytes: Uint8Array) {
  if (bytes.length < headBytes) return undefined
  const from = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  const length = from.readUInt32LE(16)
  const subjectAt = headBytes + length
  const headersAt = subjectAt + from.readUInt16LE(20)
  const headersLength = from.readUInt16LE(22)
  if (headersAt + headersLength !== bytes.length) return undefined
  const headers = headersLength === 0 ? noHeaders : from.subarray(headersAt)
  const read = decodeHeaders(headers)
  if (read === undefined) return undefined
  return {
    index: from.readDoubleLE(0),
    publishedAt: from.readDoubleLE(8),
    length,
    subject: from.toString('utf8', subjectAt, headersAt),
    headers: read,
  }
}

/**
 * A message of a queue group, in the hands of this process until it is settled, as a {@link Job} of `millrace/work` is: by
 * `complete`, `release`, `retry` or `reject`, or by the end of its `using` block, which is a `retry`.
 */
export class TopicJob {
  /** The job that it is for the work queue of the group. */
  readonly job: Job
  /** What it is about. */
  readonly subject: string
  /** Its place in the order of all messages of the bus. */
  readonly index: number
  /** Bytes of the payload. */
  readonly length: number
  /** When it was published, in milliseconds since 1970, with fractions. */
  readonly publishedAt: number
  /** What was published with it. */
  readonly headers: Headers
  /** Where the bytes cannot be seen in place (Electron): all of them. */
  readonly #copied: Uint8Array | undefined

  /** @internal */
  constructor(job: Job, title: string) {
    this.job = job
    let bytes: Uint8Array
    try {
      bytes = job.bytes
    } catch (error) {
      if (!isRefusal(error)) throw error
      bytes = this.#copied = job.copy()
    }
    const read = readEnvelope(bytes)
    if (read === undefined) throw corruptError(`a job of ${title}`)
    this.subject = read.subject
    this.index = read.index
    this.length = read.length
    this.publishedAt = read.publishedAt
    this.headers = read.headers
  }

  /**
   * The payload, where it lies; see `Job.bytes`.
   *
   * @throws MillraceError `RELEASED` (it was settled), `LEASE_LOST`, `CLOSED`
   */
  get bytes(): Bytes {
    return (this.#copied ?? this.job.bytes).subarray(headBytes, headBytes + this.length) as Bytes
  }

  /** A copy of the payload, which can be kept. Errors as `bytes`. */
  copy(): PlainBuffer {
    const copy = Buffer.allocUnsafeSlow(this.length)
    copy.set(this.bytes)
    return copy
  }

  /** The payload as text (UTF-8). Errors as `bytes`. */
  text(): string {
    const { buffer, byteOffset, length } = this.bytes
    return Buffer.from(buffer, byteOffset, length).toString()
  }

  /** Attempts that have begun, this one included; see `Job.attempt`. */
  get attempt(): number {
    return this.job.attempt
  }

  /** How it was settled; undefined as long as it is in hand. */
  get settled(): Settled | undefined {
    return this.job.settled
  }

  /** Aborts when it is not ours any more before it was settled. */
  get signal(): AbortSignal {
    return this.job.signal
  }

  /** As `Job.complete`. Over a connection, what settles a job returns a promise: `await` is right everywhere. */
  complete(): Settling {
    return this.job.complete()
  }

  /** As `Job.release`: it goes back, and this was no attempt. */
  release(options?: ReleaseOptions): Settling {
    return this.job.release(options)
  }

  /** As `Job.retry`: it has failed, and goes back. */
  retry(options?: RetryOptions): Settling {
    return this.job.retry(options)
  }

  /** As `Job.reject`: it becomes a dead letter of `subscription.queue.dead`. */
  reject(error?: unknown): Settling {
    return this.job.reject(error)
  }

  /** As `Job.extend`. */
  extend(milliseconds: number): Settling {
    return this.job.extend(milliseconds)
  }

  /** What `using` calls at the end of its block: a job that is not settled goes back. */
  [Symbol.dispose](): void {
    this.job[Symbol.dispose]()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows, without the bytes. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('TopicJob', how, () => ({
      subject: this.subject,
      index: this.index,
      length: this.length,
      attempt: this.attempt,
      settled: this.settled,
    }))
  }
}
