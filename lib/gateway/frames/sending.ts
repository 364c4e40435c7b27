// A frame that is sent: which parts it has, and what is said of each.

import type { Frame } from '../../frames/frame.js'
import { goesRound } from '../origin.js'
import { writeFacts } from './facts.js'
import { headBytes, mostFactsBytes, writePart, type Part } from './part.js'
import { passedOf } from './passed.js'

const idBytes = 8
const none = new Uint8Array(0)

/** Parts of the frames of one route, which all come by one way. */
export class Sending {
  readonly #host: string
  readonly #way: string
  #ordinal = 0

  constructor(host: string) {
    this.#host = host
    this.#way = process.getBuiltinModule('node:crypto').randomBytes(idBytes).toString('hex')
  }

  /** The parts of a frame, each with at most so many bytes of it; undefined: it would go round. */
  partsOf(frame: Frame, channelId: string, partBytes: number): FrameParts | undefined {
    const passed = passedOf(channelId, frame.sequence)
    if (goesRound(passed, this.#host)) return undefined
    const facts = writeFacts(frame.timestamp, frame.header, [...passed, this.#host])
    return new FrameParts(frame, facts, partBytes, {
      source: channelId,
      way: this.#way,
      sequence: frame.sequence,
      ordinal: ++this.#ordinal,
    })
  }
}

export class FrameParts {
  readonly count: number
  readonly #frame: Frame
  readonly #facts: Uint8Array
  readonly #partBytes: number
  readonly #names: Pick<Part, 'source' | 'way' | 'sequence' | 'ordinal'>

  constructor(
    frame: Frame,
    facts: Uint8Array,
    partBytes: number,
    names: Pick<Part, 'source' | 'way' | 'sequence' | 'ordinal'>,
  ) {
    this.#frame = frame
    this.#facts = facts
    this.#partBytes = partBytes
    this.#names = names
    this.count = Math.max(1, Math.ceil(frame.byteLength / partBytes))
  }

  get ordinal(): number {
    return this.#names.ordinal
  }

  /** Where the part begins in the frame, and how many bytes it has of it. */
  span(index: number): { readonly offset: number; readonly length: number } {
    const offset = index * this.#partBytes
    return { offset, length: Math.min(this.#partBytes, this.#frame.byteLength - offset) }
  }

  /** What comes before the bytes of the frame, with `room` for those. */
  head(index: number, room: number): { readonly message: Buffer; readonly at: number } {
    const facts = index === 0 ? this.#facts : none
    const message = Buffer.allocUnsafeSlow(headBytes + facts.length + room)
    const at = writePart(
      message,
      {
        ...this.#names,
        ...this.span(index),
        ...{ total: this.#frame.byteLength, index, count: this.count },
      },
      facts,
    )
    return { message, at }
  }
}

/** Bytes of the longest head. */
export const longestHead = headBytes + mostFactsBytes
