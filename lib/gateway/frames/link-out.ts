// Frames over a connection of ours to the gateway that takes them. A part is sent from where the frame lies; when the other side is slow,
// sending waits, and what the channel has no room for meanwhile gives way there.

import { MillraceError } from '../../errors.js'
import type { Frame } from '../../frames/frame.js'
import type { Backoff } from '../../net/backoff.js'
import type { Channel } from '../../net/channel.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Line, Session } from '../../net/session.js'
import type { RemoteOptions } from '../../net/share.js'
import { Flow } from '../flow.js'
import type { Carrier, Counts } from '../route.js'
import { linkFingerprint, readAnswer, slotBytesOf, type Answer } from './link.js'
import { longestHead, Sending, type FrameParts } from './sending.js'
import type { FrameSource } from './source.js'

/** Milliseconds that the other side has to say what it takes. */
const helloMs = 5000

export interface LinkOutOptions {
  readonly host: string
  readonly address: string
  readonly connection: RemoteOptions | undefined
  readonly partBytes: number
  readonly inFlight: number
}

/** One connection. */
class LinkLine implements Line {
  readonly channel: Channel
  readonly slotBytes: number
  readonly ended: Promise<Error | undefined>
  /** Frames whose end is not known. */
  readonly #asked = new Map<number, (outcome: Answer['outcome']) => void>()
  #isOver = false

  constructor(channel: Channel, slotBytes: number) {
    this.channel = channel
    this.slotBytes = slotBytes
    this.ended = this.#answers().then(
      () => this.#end(undefined),
      (error: unknown) => this.#end(error as Error),
    )
  }

  /** What becomes of a frame; `unconfirmed` when the connection ends before that is known. */
  outcome(ordinal: number): Promise<Answer['outcome']> {
    return new Promise((resolve) => {
      if (this.#isOver) resolve('unconfirmed')
      else this.#asked.set(ordinal, resolve)
    })
  }

  /** A part could not be sent: nothing that is behind it can be. */
  broke(): void {
    this.channel.destroy()
  }

  close(): void {
    this.channel.destroy()
  }

  async #answers(): Promise<void> {
    for (;;) {
      const message = await this.channel.receive()
      if (message === undefined) return
      const answer = readAnswer(message)
      if (answer === undefined) return
      this.#asked.get(answer.ordinal)?.(answer.outcome)
      this.#asked.delete(answer.ordinal)
    }
  }

  #end(error: Error | undefined): Error | undefined {
    this.#isOver = true
    for (const tell of this.#asked.values()) tell('unconfirmed')
    this.#asked.clear()
    this.channel.destroy()
    return error
  }
}

export class LinkOut implements Carrier {
  readonly guarantee = 'at-most-once'
  readonly #source: FrameSource
  readonly #session: Session<LinkLine>
  readonly #options: LinkOutOptions
  readonly #counts: Counts
  readonly #sending: Sending
  readonly #flow: Flow
  readonly #over = new AbortController()
  #error: Error | undefined
  /** The frame that is being sent; never rejects. */
  #taking: Promise<void> = Promise.resolve()

  constructor(
    source: FrameSource,
    options: LinkOutOptions,
    backoff: Backoff | undefined,
    counts: Counts,
  ) {
    this.#source = source
    this.#options = options
    this.#counts = counts
    this.#sending = new Sending(options.host)
    this.#flow = new Flow(options.inFlight, counts)
    const { Session: Made } =
      require('../../net/session.js') as typeof import('../../net/session.js')
    const { address } = options
    this.#session = new Made<LinkLine>({
      ...{ title: `the gateway at '${address}'`, address, backoff },
      dial: (signal) => this.#dial(signal),
      opened: () => undefined,
      lost: () => ({}),
      failed: () => undefined,
    })
  }

  get connections(): readonly ConnectionStatus[] {
    return [this.#session.status]
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
      // Before the other side is there: what nobody can take meanwhile is counted.
      await this.#source.open(stop)
      while (!stop.aborted) {
        await this.#session.ready({ signal: stop, timeout: Infinity })
        await this.#flow.until(() => this.#flow.room > 0, stop)
        const frame = await this.#source.next(stop)
        if (frame === undefined) return
        this.#taking = this.#take(frame, stop)
        await this.#taking
      }
    } catch (error) {
      if (!stop.aborted) throw error
    }
  }

  async settled(): Promise<void> {
    await this.#flow.empty(this.#over.signal)
  }

  async close(): Promise<void> {
    this.#over.abort()
    this.#session.close()
    // Its memory is not to go while it is being sent.
    await this.#taking
    this.#source.close()
  }

  async #dial(signal: AbortSignal): Promise<LinkLine> {
    const { dial } = require('../../remote/dial.js') as typeof import('../../remote/dial.js')
    const { address, connection } = this.#options
    const { channel } = await dial(address, connection ?? {}, 'frames', linkFingerprint, signal)
    try {
      judgeRoom(channel, address)
      const slotBytes = slotBytesOf(await channel.receive({ signal, timeout: helloMs }))
      if (slotBytes !== undefined) return new LinkLine(channel, slotBytes)
      throw new MillraceError(
        'ERR_MILLRACE_PROTOCOL',
        `whoever is at '${address}' does not say what frames it takes: give both sides the same version of millrace`,
      )
    } catch (error) {
      channel.destroy()
      throw error
    }
  }

  /** When the frame is the channel's again. */
  async #take(frame: Frame, stop: AbortSignal): Promise<void> {
    try {
      const { byteLength } = frame
      const line = await this.#line(stop)
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
      this.#flow.begin(async () => {
        this.#ended(byteLength, await outcome, before)
      })
      await this.#send(line, frame, parts)
    } finally {
      frame.release()
    }
  }

  /** Undefined: there will be none any more. */
  async #line(stop: AbortSignal): Promise<LinkLine | undefined> {
    return await this.#session.ready({ signal: stop, timeout: Infinity }).catch(() => undefined)
  }

  async #send(line: LinkLine, frame: Frame, parts: FrameParts): Promise<void> {
    try {
      for (let index = 0; index < parts.count; index++) {
        const { offset, length } = parts.span(index)
        await line.channel.send(parts.head(index, 0).message)
        await line.channel.send(frame.bytes.subarray(offset, offset + length))
      }
    } catch (error) {
      if (!this.#over.signal.aborted) this.#error = error as Error
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

/** @throws MillraceError `TOO_LARGE` */
function judgeRoom({ traits: { maxBytes } }: Channel, address: string): void {
  if (maxBytes >= longestHead) return
  throw new MillraceError(
    'ERR_MILLRACE_TOO_LARGE',
    `'${address}' takes messages of ${String(maxBytes)} bytes, and the head of a part of a frame has up to ${String(longestHead)}: give the route ` +
      'there a larger maxBytes in fromConnection',
  )
}
