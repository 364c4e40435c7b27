// Many jobs in one message, where the address of who pushes says `packed`:
//
//   [payloads, beside]     the payloads stand one behind the other; beside is JSON:
//   {"packed":1,"expires":0,"jobs":[{"length":…,"id":…,"group":…,"priority":…,"expires":…,"headers":…}, …],"headers":…}
//
// Of a job all but its length may be missing; `headers` at the end are those of all jobs that have none of their own. To who knows nothing
// of it the whole is one job whose time is over, which millrace drops with a warning and hands to nobody.

import type { Beside } from './envelope.js'
import { isCount, isHeaders, mostBeside, rightOf, type Said } from './envelope.js'

/** The version of it. */
const version = 1
/** Jobs of a message, as it is written here: one that is lost on the way takes all of them along. */
export const mostPacked = 64
/** Bytes of their payloads. */
const mostBytes = 262_144
/** What stands around the jobs, but for common headers. */
const frameRoom = 64

/** A job that is to go. */
export interface Packing {
  readonly bytes: Uint8Array
  readonly said: Beside
}

export interface Unpacked {
  readonly bytes: Uint8Array
  readonly said: Beside
}

/** How many of the jobs go in one message: the first of them, and whatever else there is room for. */
export class Packer {
  readonly #mostBytes: number

  /** `maxBytes`: what the other side takes. */
  constructor(maxBytes: number) {
    this.#mostBytes = Math.min(mostBytes, maxBytes)
  }

  /** The frames of as many as fit, from the front; undefined: the first one goes alone, as everybody's jobs do. */
  pack(
    jobs: readonly Packing[],
  ): { readonly count: number; readonly frames: readonly Buffer[] } | undefined {
    const shared = jobs[0]?.said.headers
    const sharedText = shared === undefined ? '' : JSON.stringify(shared)
    const texts: string[] = []
    let room = mostBeside - frameRoom - Buffer.byteLength(sharedText)
    let bytes = 0
    for (const { said, bytes: payload } of jobs) {
      if (texts.length === mostPacked || bytes + payload.length > this.#mostBytes) break
      const isShared = said.headers === shared
      // Whoever has none must not be given those of the others.
      if (!isShared && said.headers === undefined) break
      const text = entryOf(said, payload.length, isShared)
      const length = Buffer.byteLength(text) + 1
      if (length > room) break
      room -= length
      bytes += payload.length
      texts.push(text)
    }
    const count = texts.length
    if (count < 2) return undefined
    const end = sharedText === '' ? '' : `,"headers":${sharedText}`
    const beside = `{"packed":${String(version)},"expires":0,"jobs":[${texts.join(',')}]${end}}`
    return { count, frames: [joined(jobs, count, bytes), Buffer.from(beside)] }
  }
}

function entryOf(said: Beside, length: number, isShared: boolean): string {
  const { id, group, priority, expires, headers } = said
  // As JSON.stringify has it, which takes longer for what most jobs are.
  if (isShared && id !== undefined && group === undefined && priority === undefined) {
    if (expires === undefined) return `{"length":${String(length)},"id":${JSON.stringify(id)}}`
  }
  return JSON.stringify({
    length,
    id,
    group,
    priority,
    expires,
    headers: isShared ? undefined : headers,
  })
}

function joined(jobs: readonly Packing[], count: number, bytes: number): Buffer {
  // Of memory of its own: a thread of the library reads it later.
  const whole = Buffer.allocUnsafeSlow(bytes)
  let at = 0
  for (let index = 0; index < count; index++) {
    const payload = jobs[index]!.bytes
    whole.set(payload, at)
    at += payload.length
  }
  return whole
}

/** Does it say that there are many? */
export function isPacked({ packed }: Said): boolean {
  return packed !== undefined
}

/** The jobs, in their order; text: why it is none of those messages, and nothing in it is taken. */
export function unpack(payloads: Uint8Array, said: Said): readonly Unpacked[] | string {
  const { packed, jobs, headers } = said
  if (packed !== version) return `it is packed in a way that this version does not know`
  if (!Array.isArray(jobs)) return notWhole
  const shared = headers === undefined || !isHeaders(headers) ? undefined : headers
  const unpacked: Unpacked[] = []
  let at = 0
  for (const job of jobs as readonly unknown[]) {
    if (typeof job !== 'object' || job === null) return notWhole
    const { length } = job as Said
    if (!isCount(length) || !Number.isInteger(length) || at + length > payloads.length) {
      return notWhole
    }
    const its: { -readonly [K in keyof Beside]: Beside[K] } = rightOf(job as Said)
    if (shared !== undefined) its.headers ??= shared
    unpacked.push({ bytes: payloads.subarray(at, at + length), said: its })
    at += length
  }
  return at === payloads.length ? unpacked : notWhole
}

const notWhole = 'the jobs that were packed in one message are not all there'
