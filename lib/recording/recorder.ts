// Records: looks at its sources again and again, and writes what is there. One look after the other, so that what is in memory is what one
// look has brought.

import { native } from '../addon/native.js'
import { now } from '../base/time.js'
import { MillraceError } from '../errors.js'
import { dayNow, pause, turn } from './clock.js'
import { Held } from './held.js'
import { Output, type TimedMessage } from './output.js'
import type { RecorderSettings } from './record-options.js'
import type { RecordedKind, RecordSource, SourceMessage } from './source.js'

/** What one look may bring of a channel: of frames, which are large, few. */
const mostMessages = 256
const mostFrames = 4
/** Who is stopped takes what is there; of channels that are always full there is no end. */
const lastLooksMs = 5000

/** What became of a channel so far. */
export interface RecordedChannel {
  /** The channel. */
  readonly name: string
  /** What it is. */
  readonly kind: RecordedKind
  /** Messages that are in the recording, or in the memory of `last`. */
  readonly recorded: number
  /** Bytes of their payloads. */
  readonly bytes: number
  /** Messages that are not in it: they were gone before they could be seen. */
  readonly dropped: number
}

/** What became of a recording so far. */
export interface RecorderStats {
  /** Messages that were recorded. */
  readonly recorded: number
  /** Messages that were gone before they could be seen. */
  readonly dropped: number
  /** Files that were written, in their order, the one that is written now among them. */
  readonly files: readonly string[]
  /** Bytes of all files. */
  readonly fileBytes: number
  /** With `last`: messages that are in memory. */
  readonly held: number
  /** With `last`: bytes that they take. */
  readonly heldBytes: number
  /** With `last`: milliseconds between the first and the last of them. */
  readonly heldTime: number
  /** Each channel. */
  readonly channels: readonly RecordedChannel[]
}

/** A recording that goes on, of `record()`. */
export class Recorder implements AsyncDisposable {
  /**
   * Resolves when the recording was stopped and its file is whole. Rejects with what ended it before: `NO_SPACE` (the disk is full; what was
   * written before is kept, and the file is closed), `SYSTEM`, `EXISTS` (the next file), `NOT_FOUND` (the file was removed while it was written), `CORRUPT` (a channel). Need not
   * be looked at.
   */
  readonly finished: Promise<RecorderStats>
  readonly #sources: readonly RecordSource[]
  readonly #settings: RecorderSettings
  readonly #output: Output
  readonly #held: Held | undefined
  readonly #counts: Map<RecordSource, { recorded: number; bytes: number }>
  /** Ends pauses between two looks. */
  readonly #stop = new AbortController()
  /** What is asked for between two looks. */
  #asked: (() => Promise<void>)[] = []
  #wake = new AbortController()
  #over = false

  /** @internal */
  constructor(sources: readonly RecordSource[], settings: RecorderSettings) {
    const { path, overwrite, split, last, lastBytes, payloads, signal } = settings
    this.#sources = sources
    this.#settings = settings
    this.#counts = new Map(sources.map((source) => [source, { recorded: 0, bytes: 0 }]))
    const isSplit = split.maxBytes < Infinity || split.maxTime < Infinity
    const numbered = isSplit || last !== undefined
    this.#output = new Output(sources, { path, overwrite, numbered, split, payloads })
    if (last === undefined) this.#output.open(new Date())
    else this.#held = new Held({ bytes: lastBytes, span: last })
    const stop = (): void => {
      void this.stop().catch(() => undefined)
    }
    if (signal?.aborted === true) stop()
    signal?.addEventListener('abort', stop, { once: true })
    this.finished = this.#run().finally(() => {
      signal?.removeEventListener('abort', stop)
    })
    // Who does not look at it has `stop()`, which says the same.
    this.finished.catch(() => undefined)
  }

  /** What became of it so far: a snapshot, made anew each time. */
  get stats(): RecorderStats {
    const channels = this.#sources.map((source) => {
      const { name, kind, missed } = source
      return { name, kind, ...this.#counts.get(source)!, dropped: Number(missed) }
    })
    return {
      recorded: sum(channels.map(({ recorded }) => recorded)),
      dropped: sum(channels.map(({ dropped }) => dropped)),
      files: [...this.#output.files],
      fileBytes: this.#output.bytes,
      held: this.#held?.length ?? 0,
      heldBytes: this.#held?.bytes ?? 0,
      heldTime: this.#held?.reach ?? 0,
      channels,
    }
  }

  /**
   * With `last`: writes what is in memory to the next file, and resolves with its path; undefined if there is nothing. What comes later is
   * of the next trigger.
   *
   * @throws MillraceError (as rejection) `UNSUPPORTED` (without `last`), `CLOSED` (it was stopped), `NO_SPACE`, `EXISTS`, `SYSTEM`: the
   *   recording goes on, and what could not be written is gone
   */
  async trigger(): Promise<string | undefined> {
    const held = this.#held
    if (held === undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_UNSUPPORTED',
        'this recording writes everything as it comes, and waits for no trigger: that is for those with the option last',
      )
    }
    if (this.#over || this.#stop.signal.aborted) {
      throw new MillraceError(
        'ERR_MILLRACE_CLOSED',
        'the recording was stopped, and what it had in memory is gone: trigger it before',
      )
    }
    return await new Promise((resolve, reject) => {
      this.#asked.push(() => this.#write(held).then(resolve, reject))
      this.#wake.abort()
    })
  }

  /**
   * Writes what is there, as far as that comes to an end within five seconds, makes the file whole and lets go of the channels. What `last` has in memory is gone. Resolves
   * with what became of it; once is enough, more does nothing else.
   *
   * @throws MillraceError (as rejection) as `finished`
   */
  async stop(): Promise<RecorderStats> {
    this.#stop.abort()
    this.#wake.abort()
    return await this.finished
  }

  /** What `await using` calls at the end of its block: `stop()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
  }

  async #run(): Promise<RecorderStats> {
    try {
      while (!this.#stop.signal.aborted) {
        const found = await this.#look()
        for (const asked of this.#asked.splice(0)) await asked()
        await this.#rest(found)
      }
      const end = now() + lastLooksMs
      while ((await this.#look()) && now() < end) await turn()
      await this.#output.finish()
    } catch (error) {
      await this.#output.rescue()
      throw error
    } finally {
      this.#over = true
      for (const source of this.#sources) source.close()
      for (const asked of this.#asked.splice(0)) await asked()
    }
    return this.stats
  }

  /** Returns whether there was something. */
  async #look(): Promise<boolean> {
    const found = this.#sources.flatMap((source) =>
      source
        .read(source.kind === 'frames' ? mostFrames : mostMessages)
        .map((message) => timedOf(source, message)),
    )
    // Each source has its own in order; what several have at once was published in this one.
    if (this.#sources.length > 1) found.sort(byPublishTime)
    const left = found.values()
    try {
      for (const timed of left) {
        try {
          await this.#take(timed)
        } finally {
          timed.message.release?.()
        }
      }
    } finally {
      for (const { message } of left) message.release?.()
    }
    this.#held?.dropOld(dayNow())
    await this.#output.settle(native.monotonicNs())
    return found.length > 0
  }

  async #take(timed: TimedMessage): Promise<void> {
    const count = this.#counts.get(timed.source)!
    count.recorded++
    count.bytes += timed.message.bytes.byteLength
    if (this.#held === undefined) await this.#output.put(timed)
    else this.#held.add(timed)
  }

  /** The event loop has its turn in any case. */
  async #rest(found: boolean): Promise<void> {
    if (found || this.#stop.signal.aborted) {
      await turn()
      return
    }
    const wake = this.#wake
    const told = (): void => {
      wake.abort()
    }
    const ends = this.#sources.map((source) => source.whenThere?.(told))
    await pause(this.#settings.interval, wake.signal)
    for (const end of ends) end?.()
    if (wake.signal.aborted) this.#wake = new AbortController()
  }

  async #write(held: Held): Promise<string | undefined> {
    const messages = held.take()
    if (messages.length === 0) return undefined
    this.#output.open(new Date())
    const path = this.#output.files.at(-1)
    try {
      for (const timed of messages) await this.#output.put(timed)
      await this.#output.finish()
    } catch (error) {
      await this.#output.rescue()
      throw error
    }
    return path
  }
}

function timedOf(source: RecordSource, message: SourceMessage): TimedMessage {
  const { seenAt, publishedAt = seenAt } = message
  return { source, message, logTime: seenAt, publishTime: publishedAt }
}

function byPublishTime(a: TimedMessage, b: TimedMessage): number {
  return a.publishTime < b.publishTime ? -1 : a.publishTime > b.publishTime ? 1 : 0
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, one) => all + one, 0)
}
