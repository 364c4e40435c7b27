// Parts become frames again, in the slot that the frame is published from. One frame of a way is joined at a time: its parts come in order,
// and a part of the next one tells that the rest of it does not come.
//
//   first part ──judged, a slot is there──► open ──last part──► published
//        └──refused──► passed over              └──another part than the next one, the end of the way──► incomplete

import { now } from '../../base/time.js'
import type { LoanedFrame } from '../../frames/frame.js'
import type { FrameDrop } from '../config.js'
import type { Part } from './part.js'
import type { FrameTarget, Outcome } from './target.js'

interface Open {
  readonly first: Part
  readonly loan: LoanedFrame
  /** Index and offset of the part that comes next. */
  next: number
  at: number
  readonly over: () => void
}

/** What comes by one way. */
export class Joining {
  readonly #target: FrameTarget
  /** A slot for a frame; undefined: there is none, and it is not waited for. */
  readonly #slot: () => Promise<LoanedFrame | undefined> | LoanedFrame | undefined
  readonly #ended: (ordinal: number, outcome: Outcome) => void
  #open: Open | undefined
  /** Of the frame that came last. */
  #ordinal: number | undefined
  /** When something came last. */
  touched = now()

  /** `ended` is told of each frame of which the first part came. */
  constructor(
    target: FrameTarget,
    slot: () => Promise<LoanedFrame | undefined> | LoanedFrame | undefined,
    ended: (ordinal: number, outcome: Outcome) => void = () => undefined,
  ) {
    this.#target = target
    this.#slot = slot
    this.#ended = ended
  }

  /** Is a frame half there? */
  get isOpen(): boolean {
    return this.#open !== undefined
  }

  /** Where the bytes of the part belong; undefined: nowhere. Then `placed` is told that they are there. */
  async room(part: Part): Promise<Uint8Array | undefined> {
    this.touched = now()
    if (part.ordinal !== this.#ordinal && !(await this.#begin(part))) return undefined
    const open = this.#open
    if (open === undefined) return undefined
    const { first, next, at } = open
    const isNext =
      part.index === next &&
      part.offset === at &&
      part.total === first.total &&
      part.count === first.count
    if (isNext) return open.loan.bytes.subarray(at, at + part.length)
    this.abandon()
    return undefined
  }

  placed(part: Part): void {
    const open = this.#open
    if (open === undefined) return
    open.next++
    open.at += part.length
    if (open.next < part.count) return
    this.#open = undefined
    this.#ended(part.ordinal, this.#target.publish(open.loan, open.first))
    open.over()
  }

  /** What is half there does not become whole any more. */
  abandon(why: FrameDrop = 'incomplete'): void {
    const open = this.#open
    if (open === undefined) return
    this.#open = undefined
    open.loan.discard()
    this.#ended(open.first.ordinal, this.#target.count(why))
    open.over()
  }

  /** Is the frame of this part taken? */
  async #begin(part: Part): Promise<boolean> {
    const before = this.#ordinal
    // Of a frame that is behind another one; that it did not come was counted.
    if (before !== undefined && part.ordinal < before) return false
    this.abandon()
    this.#ordinal = part.ordinal
    if (before !== undefined && part.ordinal > before + 1) {
      this.#target.count('lost', part.ordinal - before - 1)
    }
    if (part.index > 0) {
      this.#target.count('incomplete')
      return false
    }
    const refused = this.#target.judge(part)
    if (refused !== undefined) {
      this.#ended(part.ordinal, refused)
      return false
    }
    const loan = await this.#slot()
    if (loan === undefined) {
      this.#ended(part.ordinal, this.#target.count('no-room'))
      return false
    }
    let over!: () => void
    const joined = new Promise<void>((resolve) => {
      over = resolve
    })
    this.#open = { first: part, loan, next: 0, at: 0, over }
    this.#target.flow.begin(() => joined)
    return true
  }
}
