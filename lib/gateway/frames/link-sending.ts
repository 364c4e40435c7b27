// Frames that are sent over a connection of ours. A part is sent from where the frame lies; when the other side is slow, sending waits, and what
// the channel has no room for meanwhile gives way there.

import { MillraceError } from '../../errors.js'
import type { Frame } from '../../frames/frame.js'
import { Flow } from '../flow.js'
import type { Counts } from '../route.js'
import type { Answer } from './link.js'
import type { LinkLine } from './link-line.js'
import { Sending, type FrameParts } from './sending.js'
import type { FrameSource } from './source.js'

export interface LinkOptions {
  readonly host: string
  readonly address: string
  readonly partBytes: number
  readonly inFlight: number
}

/** What goes one way: from a channel here to one gateway there. */
export class LinkSending {
  readonly flow: Flow
  readonly #source: FrameSource
  readonly #options: LinkOptions
  readonly #counts: Counts
  readonly #sending: Sending
  #error: Error | undefined

  /** `inFlight`: where it is counted what is on its way. */
  constructor(
    source: FrameSource,
    options: LinkOptions,
    counts: Counts,
    inFlight: { inFlight: number } = counts,
  ) {
    this.#source = source
    this.#options = options
    this.#counts = counts
    this.#sending = new Sending(options.host)
    this.flow = new Flow(options.inFlight, inFlight)
  }

  /** What went wrong the last time, until something went well again. */
  get error(): Error | undefined {
    return this.#error
  }

  /** When the frame is the channel's again. `line`: undefined: there will be none any more. */
  async take(frame: Frame, line: LinkLine | undefined): Promise<void> {
    try {
      const { byteLength } = frame
      if (line === undefined) {
        this.#counts.drop('unconfirmed')
        return
      }
      if (byteLength > line.slotBytes) {
        this.#tooLarge(byteLength, line.slotBytes)
        return
      }
      const partBytes = Math.min(this.#options.partBytes, line.channel.traits.maxBytes)
      const parts = this.#sending.partsOf(frame, this.#source.channelId, partBytes)
      if (parts === undefined) {
        this.#counts.loops++
        return
      }
      const outcome = line.outcome(parts.ordinal)
      const before = this.#error
      this.flow.begin(async () => {
        this.#ended(byteLength, await outcome, before)
      })
      await this.#send(line, frame, parts)
    } finally {
      frame.release()
    }
  }

  async #send(line: LinkLine, frame: Frame, parts: FrameParts): Promise<void> {
    try {
      for (let index = 0; index < parts.count; index++) {
        const { offset, length } = parts.span(index)
        await line.channel.send(parts.head(index, 0).message)
        await line.channel.send(frame.bytes.subarray(offset, offset + length))
      }
    } catch (error) {
      if (!line.isClosed) this.#error = error as Error
      line.broke()
    }
  }

  #tooLarge(bytes: number, most: number): void {
    this.#counts.drop('too-large')
    this.#error = new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a frame of ${String(bytes)} bytes of frame channel '${this.#source.name}' has no room at '${this.#options.address}', where slots have ` +
        `${String(most)}: give the route there larger slotBytes in toChannel`,
    )
  }

  /** `before`: what was wrong when the frame was sent; what came after it is still so. */
  #ended(bytes: number, outcome: Answer['outcome'], before: Error | undefined): void {
    if (outcome === 'delivered') {
      this.#counts.delivered++
      this.#counts.bytes += bytes
      if (this.#error === before) this.#error = undefined
    } else if (outcome === 'loop') this.#counts.loops++
    else if (outcome === 'duplicate') this.#counts.duplicates++
    else this.#counts.drop(outcome)
  }
}
