// The channel of frames at `to`, of which the gateway is the writer; and what it does not take.

import { MillraceError } from '../../errors.js'
import type { LoanedFrame } from '../../frames/frame.js'
import type { FrameWriter, FrameWriterOptions } from '../../frames/frame-writer.js'
import { placeOf } from '../../place/place.js'
import type { FrameDrop } from '../config.js'
import { Flow } from '../flow.js'
import { goesRound } from '../origin.js'
import type { Counts } from '../route.js'
import { timestampHere } from './facts.js'
import type { Part } from './part.js'
import { endPassed, tellPassed } from './passed.js'

/** What became of a frame. */
export type Outcome = 'delivered' | 'loop' | 'duplicate' | FrameDrop

/** Channels elsewhere whose last frame is remembered. */
const mostSources = 1024

export class FrameTarget {
  readonly name: string
  readonly flow: Flow
  readonly #writer: FrameWriter
  readonly #host: string
  readonly #counts: Counts
  /** Of each channel elsewhere, the sequence of its newest frame; the one that came last is behind. */
  readonly #newest = new Map<string, number>()
  #error: Error | undefined

  /** @throws MillraceError as `FrameWriter.create` */
  constructor(place: string, options: FrameWriterOptions, host: string, counts: Counts) {
    const { FrameWriter: Writer } =
      require('../../frames/frame-writer.js') as typeof import('../../frames/frame-writer.js')
    this.name = placeOf(place) as string
    this.#writer = Writer.create(this.name, options)
    this.#host = host
    this.#counts = counts
    this.flow = new Flow(Infinity, counts)
  }

  get slotBytes(): number {
    return this.#writer.slotBytes
  }

  /** What went wrong the last time, until something went well again. */
  get error(): Error | undefined {
    return this.#error
  }

  /** A frame comes; why it is not taken, if it is not. */
  judge({ source, sequence, total, facts }: Part): Outcome | undefined {
    this.#counts.taken++
    // From this very channel it can only have come round, by gateways that do not know which hosts it had passed.
    const isOwn = source === this.#writer.channelId
    if (isOwn || goesRound(facts!.hops, this.#host)) return this.count('loop')
    if (sequence <= (this.#newest.get(source) ?? -1)) return this.count('duplicate')
    if (total <= this.slotBytes) return undefined
    this.#error = new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a frame of ${String(total)} bytes has come for frame channel '${this.name}', whose slots have ${String(this.slotBytes)}: give the ` +
        'route larger slotBytes in toChannel',
    )
    return this.count('too-large')
  }

  count(outcome: Exclude<Outcome, 'delivered'>, frames = 1): Outcome {
    if (outcome === 'loop') this.#counts.loops += frames
    else if (outcome === 'duplicate') this.#counts.duplicates += frames
    else this.#counts.drop(outcome, frames)
    return outcome
  }

  /** A slot, if there is one now. */
  tryLoan(): LoanedFrame | undefined {
    return this.#writer.tryLoan()
  }

  /** A slot, as soon as a reader gives one back. */
  async loan(signal: AbortSignal): Promise<LoanedFrame> {
    return await this.#writer.loan({ signal })
  }

  /** The frame is whole. */
  publish(loan: LoanedFrame, { source, sequence, total, facts }: Part): Outcome {
    const newest = this.#newest.get(source) ?? -1
    // Another gateway has brought it meanwhile, or a newer one.
    if (sequence <= newest) {
      loan.discard()
      return this.count('duplicate')
    }
    this.#newest.delete(source)
    this.#newest.set(source, sequence)
    if (this.#newest.size > mostSources) this.#newest.delete(this.#newest.keys().next().value!)
    loan.header.set(facts!.header)
    tellPassed(this.#writer.channelId, this.#writer.sequence + 1, facts!.hops)
    loan.publish({ byteLength: total, timestamp: timestampHere(facts!) })
    this.#counts.delivered++
    this.#counts.bytes += total
    this.#error = undefined
    return 'delivered'
  }

  close(): void {
    if (this.#writer.closed) return
    endPassed(this.#writer.channelId, this.#writer.sequence)
    this.#writer.close()
  }
}
