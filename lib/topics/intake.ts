// How the messages of a subscription come in: up to 64 small ones in one call of the addon, copied to a slab that all
// subscriptions of this thread share; larger ones one by one, where they lie.

import { IntakeFact, mostTaken, TopicFact, type NativeTopics } from '../addon/topics.js'
import type { Bytes } from '../base/view-constructor.js'
import { corruptError, isRefusal, type MillraceError } from '../errors.js'
import { decodeHeaders, type Headers } from './headers.js'
import { TopicMessage, type Store } from './message.js'

const slabBytes = 65_536
/** Of what is left of a slab less than this is given up. */
const leastLeft = 2048

/** Messages keep what they were copied to; nothing is written there twice. */
let slab = new Uint8Array(0)
/** Its memory. To ask an array for that takes longer than to make a view of it. */
let slabMemory = slab.buffer
let used = 0

function newSlab(): void {
  slab = memoryOf(slabBytes)
  slabMemory = slab.buffer
  used = 0
}

/** Of no pool, and not set to zero. */
function memoryOf(length: number): Uint8Array<ArrayBuffer> {
  const { buffer } = Buffer.allocUnsafeSlow(length)
  return new Uint8Array(buffer, 0, length)
}

/** What all subscriptions of a handle take from. */
export class Source implements Store {
  readonly title: string
  readonly native: NativeTopics
  readonly #bus: { readonly closed: boolean; fail(outcome: number): MillraceError }
  readonly #subjects: string[] = []
  /** Those that are held, and have to be given back when they are collected. */
  #registry: FinalizationRegistry<number> | undefined
  /** Keeps a message as long as somebody has its bytes. */
  readonly #ofView = new WeakMap<object, TopicMessage>()
  #buffer: ArrayBuffer | undefined
  #refused = false
  #toldForgotten = false
  /** The addon's, as of the last `read`. */
  readonly facts: Float64Array

  constructor(
    title: string,
    native: NativeTopics,
    bus: { readonly closed: boolean; fail(outcome: number): MillraceError },
  ) {
    this.title = title
    this.native = native
    this.facts = native.facts
    this.#bus = bus
  }

  get closed(): boolean {
    return this.#bus.closed
  }

  closedError(): MillraceError {
    return this.fail(-4)
  }

  fail(outcome: number): MillraceError {
    return this.#bus.fail(outcome)
  }

  subjectOf(id: number): string {
    return (this.#subjects[id] ??= this.native.subjectText(id))
  }

  /** May messages be read where they lie? Not in Electron. */
  get inPlace(): boolean {
    if (this.#buffer !== undefined || this.#refused) return !this.#refused
    try {
      this.#buffer = this.native.buffer()
    } catch (error) {
      if (!isRefusal(error)) throw error
      this.#refused = true
    }
    return !this.#refused
  }

  view(message: TopicMessage, offset: number, length: number): Bytes {
    const view = new Uint8Array((this.#buffer ??= this.native.buffer()), offset, length)
    this.#ofView.set(view, message)
    return view
  }

  copyOut(offset: number, target: Uint8Array): void {
    const outcome = this.native.copyOut(offset, target)
    if (outcome < 0) throw this.fail(outcome)
  }

  headers(bytes: Uint8Array): Headers {
    const headers = decodeHeaders(bytes)
    if (headers === undefined) throw corruptError(`a message of ${this.title}`)
    return headers
  }

  /** It is for the garbage collector to say whether anybody still has it. */
  watch(message: TopicMessage, pin: number): void {
    this.#registry ??= new FinalizationRegistry((lost) => {
      this.#forgotten(lost)
    })
    this.#registry.register(message, pin, message)
  }

  release(message: TopicMessage, pin: number): void {
    this.#registry?.unregister(message)
    if (!this.closed) this.native.release(pin)
  }

  #forgotten(pin: number): void {
    if (this.closed || this.native.whole?.() === false) return
    this.native.release(pin)
    if (this.#toldForgotten) return
    this.#toldForgotten = true
    process.emitWarning(
      `a message of ${this.title} was garbage collected without having been released; its memory was given back: ` +
        '`for await (using message of subscription)` does that in time',
      { code: 'MILLRACE_MESSAGE_FORGOTTEN' },
    )
  }
}

/** The messages of one subscription that were read and not handed out. */
export class Intake {
  readonly #source: Source
  readonly #entry: number
  readonly #most: number
  #facts: Float64Array | undefined
  #copied: ArrayBuffer | undefined
  #at = 0
  #end = 0
  /** Missed by those that were handed out. */
  missed = 0

  /** `depth`: by how many it may lag behind. Those that were read are no lag any more, so a few of them at a time. */
  constructor(source: Source, entry: number, depth: number) {
    this.#source = source
    this.#entry = entry
    this.#most = Math.max(1, Math.min(mostTaken, depth >> 2))
  }

  /** Messages that were read and not handed out. */
  get waiting(): number {
    return this.#end - this.#at
  }

  /** The next message; undefined if there is none. */
  next(): TopicMessage | undefined {
    if (this.#at < this.#end) {
      return this.#made(this.#facts!, placeOf(this.#at++), this.#copied)
    }
    const source = this.#source
    if (slab.length - used < leastLeft) newSlab()
    const { native } = source
    let copied: ArrayBuffer = slabMemory
    let count = native.read(this.#entry, this.#most, slab, used, source.inPlace)
    if (count === 0) {
      const needed = native.facts[TopicFact.needed]!
      if (needed === 0) return undefined
      // One that no slab has room for, and that cannot be pinned.
      const own = memoryOf(needed)
      copied = own.buffer
      count = native.read(this.#entry, 1, own, 0, false)
      if (count === 0) return undefined
    }
    if (count < 0) throw source.fail(count)
    const { facts } = source
    if (copied === slabMemory) used = endOf(facts, count, used)
    if (count > 1) {
      this.#facts ??= new Float64Array(placeOf(mostTaken))
      this.#facts.set(facts.subarray(0, placeOf(count)))
      this.#copied = copied
      this.#at = 1
      this.#end = count
    }
    return this.#made(facts, TopicFact.intake, copied)
  }

  /** Gives back what was not handed out. */
  close(): void {
    for (; this.#at < this.#end; this.#at++) {
      const pin = this.#facts![placeOf(this.#at) + IntakeFact.pin]!
      if (pin >= 0) this.#source.native.release(pin)
    }
  }

  #made(facts: Float64Array, at: number, copied: ArrayBuffer | undefined): TopicMessage {
    const source = this.#source
    const pin = whole(facts[at + IntakeFact.pin]!)
    const missed = whole(facts[at + IntakeFact.missed]!)
    if (missed !== 0) this.missed += missed
    const message = new TopicMessage(
      source,
      source.subjectOf(whole(facts[at + IntakeFact.subject]!)),
      facts[at + IntakeFact.index]!,
      whole(facts[at + IntakeFact.length]!),
      missed,
      facts[at + IntakeFact.publishedAt]!,
      whole(facts[at + IntakeFact.offset]!),
      pin < 0 ? copied : undefined,
      whole(facts[at + IntakeFact.headers]!),
      pin,
    )
    if (pin >= 0) source.watch(message, pin)
    return message
  }
}

/** Where the last of them that was copied ends; they begin at multiples of 8, and so do headers. */
function endOf(facts: Float64Array, count: number, before: number): number {
  for (let at = placeOf(count - 1); at >= TopicFact.intake; at -= IntakeFact.count) {
    if (facts[at + IntakeFact.pin]! >= 0) continue
    return (
      facts[at + IntakeFact.offset]! +
      roundedUp(facts[at + IntakeFact.length]!) +
      roundedUp(facts[at + IntakeFact.headers]!)
    )
  }
  return before
}

/** Where the facts of that message are. */
const placeOf = (at: number): number => TopicFact.intake + at * IntakeFact.count

/** What comes out of an array of doubles is one, and each field of a message that has one takes memory of its own. */
const whole = (double: number): number => (double < 2 ** 30 ? double | 0 : double)

const roundedUp = (length: number): number => (length + 7) & ~7
