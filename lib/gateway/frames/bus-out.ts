// Frames to the bus of an engine: each part is a message, all of one subject, so that they keep their order. While the engine is away nothing
// is taken, and what the channel has no room for gives way there.

import { MillraceError } from '../../errors.js'
import type { Frame } from '../../frames/frame.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Topics } from '../../topics/topics.js'
import { Flow } from '../flow.js'
import type { Carrier, Counts } from '../route.js'
import { seal } from './part.js'
import { longestHead, Sending, type FrameParts } from './sending.js'
import type { FrameSource } from './source.js'

/** Parts whose way to the engine has begun, and is not confirmed. */
const mostParts = 32
/** What an engine puts beside the bytes, and counts. */
const engineBytes = 512
/** Bytes of a frame in a part, below which it is not worth while. */
const leastPart = 512

export interface BusOptions {
  readonly host: string
  readonly address: string
  readonly subject: string
  readonly partBytes: number
  readonly inFlight: number
}

/**
 * Bytes of a frame that a message of the engine takes beside what has to be said of them.
 *
 * @throws MillraceError `TOO_LARGE`
 */
export function partBytesAt(bus: Topics, { address, partBytes }: BusOptions): number {
  const beside = longestHead + engineBytes
  const room = bus.maxBytes - beside
  if (room >= leastPart) return Math.min(room, partBytes)
  throw new MillraceError(
    'ERR_MILLRACE_TOO_LARGE',
    `'${address}' takes messages of ${String(bus.maxBytes)} bytes, and a part of a frame has ${String(beside + leastPart)} or more: let the ` +
      'engine take longer ones',
  )
}

export class BusOut implements Carrier {
  readonly guarantee = 'at-most-once'
  readonly #source: FrameSource
  readonly #bus: Topics
  readonly #options: BusOptions
  readonly #counts: Counts
  readonly #sending: Sending
  readonly #frames: Flow
  readonly #parts = new Flow(mostParts, { inFlight: 0 })
  readonly #over = new AbortController()
  #error: Error | undefined

  constructor(source: FrameSource, bus: Topics, options: BusOptions, counts: Counts) {
    this.#source = source
    this.#bus = bus
    this.#options = options
    this.#counts = counts
    this.#sending = new Sending(options.host)
    this.#frames = new Flow(options.inFlight, counts)
  }

  get connections(): readonly ConnectionStatus[] {
    return [this.#bus.connection].filter((one) => one !== undefined)
  }

  get isReady(): boolean {
    return this.#source.isThere
  }

  get error(): Error | undefined {
    return this.#source.error ?? this.#error
  }

  look(): void {
    this.#source.look()
  }

  async run(stop: AbortSignal): Promise<void> {
    try {
      // Before the engine is there: what nobody can take meanwhile is counted.
      await this.#source.open(stop)
      while (!stop.aborted) {
        await this.#bus.connected({ signal: stop })
        partBytesAt(this.#bus, this.#options)
        await this.#frames.until(() => this.#frames.room > 0, stop)
        const frame = await this.#source.next(stop)
        if (frame !== undefined) await this.#take(frame)
      }
    } catch (error) {
      if (!stop.aborted) throw error
    }
  }

  async settled(): Promise<void> {
    await this.#frames.empty(this.#over.signal)
  }

  async close(): Promise<void> {
    this.#over.abort()
    this.#source.close()
    this.#bus.close()
    await Promise.resolve()
  }

  /** When the frame is the channel's again: its parts are on their way. */
  async #take(frame: Frame): Promise<void> {
    try {
      const partBytes = partBytesAt(this.#bus, this.#options)
      const parts = this.#sending.partsOf(frame, this.#source.channelId, partBytes)
      if (parts === undefined) this.#counts.loops++
      else await this.#send(frame, parts)
    } finally {
      frame.release()
    }
  }

  async #send(frame: Frame, parts: FrameParts): Promise<void> {
    const { byteLength } = frame
    const sent: Promise<void>[] = []
    let failure: Error | undefined
    const failed = (error: unknown): void => {
      failure ??= error as Error
    }
    const before = this.#error
    const hasFailed = (): boolean => failure !== undefined
    let begun!: () => void
    const all = new Promise<void>((resolve) => {
      begun = resolve
    })
    this.#frames.begin(async () => {
      await all
      await Promise.all(sent)
      this.#ended(byteLength, failure, before)
    })
    const { signal } = this.#over
    for (let index = 0; index < parts.count && !hasFailed(); index++) {
      await this.#parts.until(() => this.#parts.room > 0, signal)
      if (signal.aborted) failed(new Error('closed'))
      else {
        const part = this.#publish(frame, parts, index).catch(failed)
        sent.push(part)
        this.#parts.begin(() => part)
      }
    }
    begun()
  }

  async #publish(frame: Frame, parts: FrameParts, index: number): Promise<void> {
    const { offset, length } = parts.span(index)
    const { message, at } = parts.head(index, length)
    // Now, and not when the engine has taken it: the frame goes back.
    frame.copyTo(message.subarray(at), offset)
    seal(message)
    await this.#bus.publish(this.#options.subject, message, { signal: this.#over.signal })
  }

  /** `before`: what was wrong when the frame was sent; what came after it is still so. */
  #ended(bytes: number, failure: Error | undefined, before: Error | undefined): void {
    if (failure === undefined) {
      this.#counts.delivered++
      this.#counts.bytes += bytes
      if (this.#error === before) this.#error = undefined
      return
    }
    const isTooLarge = (failure as Partial<MillraceError>).code === 'ERR_MILLRACE_TOO_LARGE'
    // It is not sent again: what of it has arrived nobody knows.
    this.#counts.drop(isTooLarge ? 'too-large' : 'unconfirmed')
    if (!this.#over.signal.aborted) this.#error = failure
  }
}
