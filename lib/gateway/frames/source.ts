// The channel of frames at `from`: read for as long as the route is there, whoever writes it, and however often they come and go.

import { hasCode, MillraceError } from '../../errors.js'
import type { FramePosition } from '../../frames/position.js'
import type { Frame } from '../../frames/frame.js'
import type { FrameReader } from '../../frames/frame-reader.js'
import { placeOf } from '../../place/place.js'
import type { FramesRoute } from '../config.js'
import type { Counts } from '../route.js'

/** Milliseconds that a channel without a writer is kept: whoever comes then may want to make it anew, with another geometry. */
const keptMs = 1000

export class FrameSource {
  readonly name: string
  readonly #wanted: FramesRoute['fromChannel']
  readonly #counts: Counts
  #reader: FrameReader | undefined
  #last: FramePosition | undefined
  #error: Error | undefined
  /** Missed before this reader, and by its frames. */
  #before = 0
  #missed = 0
  /** Of these, counted. */
  #skipped = 0

  constructor(place: string, wanted: FramesRoute['fromChannel'], counts: Counts) {
    this.name = placeOf(place) as string
    this.#wanted = wanted
    this.#counts = counts
  }

  /** Why there can be no frames now. */
  get error(): Error | undefined {
    return this.#error
  }

  /** Is there somebody who writes? */
  get isThere(): boolean {
    return this.#reader !== undefined && this.#error === undefined
  }

  /** Of the frames that come now: 16 hexadecimal digits. */
  get channelId(): string {
    return this.#reader?.channelId ?? ''
  }

  /** Brings the count of what was skipped to what is so now. */
  look(): void {
    if (this.#reader === undefined || this.#reader.closed) return
    const { lost } = this.#reader.stats
    const skipped = this.#before + Math.max(lost, this.#missed)
    if (skipped <= this.#skipped) return
    this.#counts.drop('skipped', skipped - this.#skipped)
    this.#skipped = skipped
  }

  /**
   * Resolves when there is a channel with a writer, or `stop`.
   *
   * @throws MillraceError (as rejection) as `FrameReader.open`, but for `NOT_FOUND`
   */
  async open(stop: AbortSignal): Promise<void> {
    const { FrameReader: Reader } =
      require('../../frames/frame-reader.js') as typeof import('../../frames/frame-reader.js')
    const options = {
      policy: 'overwrite-oldest',
      ...this.#wanted,
      ...(this.#last === undefined ? {} : { after: this.#last }),
      signal: stop,
    } as const
    for (const timeout of [0, Infinity]) {
      try {
        this.#reader = await Reader.open(this.name, { ...options, timeout })
        this.#error = undefined
        return
      } catch (error) {
        if (stop.aborted) return
        if (!hasCode(error, 'ERR_MILLRACE_NOT_FOUND')) throw error
        this.#error = error as Error
      }
    }
  }

  /**
   * The next frame; undefined: `stop`.
   *
   * @throws MillraceError (as rejection) as `open`, and as `FrameReader.receive`
   */
  async next(stop: AbortSignal): Promise<Frame | undefined> {
    const isOver = (): boolean => stop.aborted
    while (!isOver()) {
      const reader = this.#reader
      if (reader === undefined || reader.closed) {
        await this.open(stop)
        continue
      }
      try {
        const frame = await reader.receive({ signal: stop })
        if (frame !== undefined) return this.#took(frame)
        this.#error = this.#left()
      } catch (error) {
        if (isOver()) return undefined
        if (!hasLeft(error)) throw error
        this.#error = error as Error
      }
      await this.#another(reader, stop)
    }
    return undefined
  }

  close(): void {
    this.look()
    this.#reader?.close()
    this.#reader = undefined
  }

  #took(frame: Frame): Frame {
    this.#error = undefined
    this.#missed += frame.missed
    this.#counts.taken++
    this.#last = { channelId: this.channelId, sequence: frame.sequence }
    this.look()
    return frame
  }

  /** Waits for another writer; after a while without holding on to the channel. */
  async #another(reader: FrameReader, stop: AbortSignal): Promise<void> {
    try {
      await reader.waitForPeer({ signal: stop, timeout: keptMs })
      this.#error = undefined
    } catch (error) {
      if (stop.aborted) return
      if (!hasCode(error, 'ERR_MILLRACE_TIMEOUT')) throw error
      this.look()
      reader.close()
      this.#reader = undefined
      this.#before += this.#missed
      this.#missed = 0
    }
  }

  #left(): Error {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the writer of frame channel '${this.name}' has closed it: start it again`,
    )
  }
}

function hasLeft(error: unknown): boolean {
  return hasCode(error, 'ERR_MILLRACE_PEER_GONE') || hasCode(error, 'ERR_MILLRACE_PEER_FAILED')
}
