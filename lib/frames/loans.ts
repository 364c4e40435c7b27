// The loans of one writer: where the frames of a writer come from and go to, and who forgot one.
//
// A loan that its program lost (the code between `loan` and `publish` threw) takes its slot along. So loans are watched: when
// one is garbage collected that was neither published nor discarded, its slot comes back. To watch a loan costs more than
// to publish it, so the newest one is not watched until another is asked for; most are published before.

import { hasLeft } from '../addon/native.js'
import { closedError, MillraceError } from '../errors.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeFrameWriter } from '../addon/frames.js'
import { startTimer, stopTimer } from '../base/time.js'
import type { WaitQueue } from '../base/wait-queue.js'
import { numberAt, putNumber, WriterFact } from './facts.js'
import { LoanedFrame, PoolViews, type LoanOwner } from './frame.js'

const { wouldBlock } = Outcome
/** How long a wait for the own loans may take until the process is warned. */
const longWaitMs = 1000

/** What the frames of one writer go through. */
export class WrittenFrames implements LoanOwner {
  readonly pool: PoolViews
  readonly slotBytes: number
  readonly usedHeaders: boolean[]
  published: number
  readonly name: string
  readonly #title: string
  readonly #native: NativeFrameWriter
  readonly #facts: Int32Array
  readonly #waits: WaitQueue
  readonly #slots: number
  #closed = false
  #out = 0
  /** The newest loan, as long as it is out and nothing else was asked for. */
  #newest: LoanedFrame | undefined
  /** Made when a second loan is out for the first time. */
  #watched: FinalizationRegistry<number> | undefined
  /** To be called when the writer closes, before the memory goes. */
  readonly #onClose = new Set<() => void>()
  #toldForgotten = false
  #toldOpen = false
  #buffer: ArrayBuffer | undefined

  constructor(name: string, title: string, handle: NativeFrameWriter, waits: WaitQueue) {
    this.name = name
    this.#title = title
    this.#native = handle
    this.#facts = handle.facts
    this.#waits = waits
    this.#slots = handle.slots
    this.pool = new PoolViews(handle, () => (this.#buffer ??= handle.buffer()))
    this.slotBytes = handle.slotBytes
    this.usedHeaders = new Array<boolean>(handle.slots).fill(true)
    this.published = numberAt(handle.facts, WriterFact.sequence)
  }

  get closed(): boolean {
    return this.#closed || hasLeft()
  }

  /** A loan, if there is a slot for one now. */
  loan(): LoanedFrame | undefined {
    if (this.#newest !== undefined) this.#watch(this.#newest)
    const slot = this.#takeSlot()
    if (slot < 0) return undefined
    const loan = new LoanedFrame(this, slot)
    this.#newest = loan
    this.#out++
    return loan
  }

  /** Are all slots on loan? Then only this writer itself can end a wait for one. */
  get allOut(): boolean {
    return this.#out >= this.#slots
  }

  /** Why there is no free slot, and what to do. */
  whoHasSlots(readers: number): string {
    const out = this.#out
    const ours =
      `${out === this.#slots ? 'all' : String(out)} of its ${String(this.#slots)} slots are on loan from this writer, neither ` +
      'published nor discarded: publish each loan, or give it back (`using frame = await writer.loan()` does that when ' +
      'the code throws)'
    if (out === this.#slots) return ours
    const theirs = `its ${String(readers)} readers have too many frames queued, or hold them`
    return out === 0 ? `${theirs}: release frames sooner` : `${ours}; ${theirs}`
  }

  /** The same promise; the process is warned when that takes long. */
  async tellWhenLong(loan: Promise<LoanedFrame>): Promise<LoanedFrame> {
    const timer = startTimer(longWaitMs, () => {
      if (this.#toldOpen || !this.allOut) return
      this.#toldOpen = true
      warn('MILLRACE_LOANS_OPEN', `${this.#title} waits for a free slot; ${this.whoHasSlots(0)}`)
    })
    try {
      return await loan
    } finally {
      stopTimer(timer)
    }
  }

  publish(loan: LoanedFrame, length: number, timestamp: bigint | undefined): number {
    const facts = this.#facts
    facts[WriterFact.slot] = loan.slot
    putNumber(facts, WriterFact.length, length)
    if (timestamp === undefined) this.#native.publish()
    else this.#native.publishAt(timestamp)
    const sequence = numberAt(facts, WriterFact.sequence)
    if (sequence < 0) throw closedError(this.#title)
    this.published = sequence
    this.#isBack(loan)
    if (this.#waits.occupied) this.#waits.lookAgain() // with no reader to take it, the slot is free again
    return sequence
  }

  discard(loan: LoanedFrame): void {
    if (this.closed) return
    this.#isBack(loan)
    this.#giveBack(loan.slot)
  }

  copyIn(slot: number, offset: number, source: ArrayBufferView): void {
    if (this.#native.write(slot, offset, source) >= 0) return
    throw new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `the bytes at offset ${String(offset)} are not within the ${String(this.slotBytes)} ` +
        'bytes of a slot',
    )
  }

  copyHeader(slot: number, header: Uint8Array): void {
    if (this.#native.writeHeader(slot, header) < 0) throw closedError(this.#title)
  }

  /** Calls back when the writer closes, before its memory goes; until the function that is returned is called. */
  onClose(callback: () => void): () => void {
    this.#onClose.add(callback)
    return () => this.#onClose.delete(callback)
  }

  close(): void {
    this.#closed = true
    for (const callback of [...this.#onClose]) callback()
    this.#facts[WriterFact.next] = wouldBlock // a loan made ahead is void, too
    this.#newest = undefined
    this.#watched = undefined
    this.#buffer = undefined
  }

  /** A slot, or a number below zero if there is none now. Publishing the last frame has often loaned it already. */
  #takeSlot(): number {
    if (hasLeft()) throw closedError(this.#title)
    const next = this.#facts[WriterFact.next]!
    if (next >= 0) {
      this.#facts[WriterFact.next] = wouldBlock
      return next
    }
    const slot = this.#native.tryLoan()
    if (slot < 0 && slot !== wouldBlock) throw closedError(this.#title)
    return slot
  }

  /** From now on it is for the garbage collector to say whether anybody still has that loan. */
  #watch(loan: LoanedFrame): void {
    this.#newest = undefined
    this.#watched ??= new FinalizationRegistry((slot) => {
      this.#forgotten(slot)
    })
    this.#watched.register(loan, loan.slot, loan)
  }

  #isBack(loan: LoanedFrame): void {
    this.#out--
    if (this.#newest === loan) this.#newest = undefined
    else this.#watched?.unregister(loan)
  }

  #forgotten(slot: number): void {
    if (this.closed) return
    this.#out--
    if (!this.#toldForgotten) {
      this.#toldForgotten = true
      warn(
        'MILLRACE_LOAN_FORGOTTEN',
        `a loan of frame channel '${this.name}' was garbage collected, neither published nor discarded; its slot is free ` +
          'again: take loans with `using frame = await writer.loan()`, which gives them back when the code throws',
      )
    }
    this.#giveBack(slot)
  }

  #giveBack(slot: number): void {
    this.#native.discard(slot)
    this.#waits.lookAgain()
  }
}

function warn(code: string, message: string): void {
  process.emitWarning(message, { code })
}
