// What the sides of a queue do besides, if they were opened with `stats`: the producer marks one of 16 messages before it sends it, the
// consumer counts how long the marked ones took. The counting is native/include/millrace/latency.hpp; here is when. It is a part, and
// other queues know nothing of it: their rings and their calls are what they are without it.

import type { NativeQueueConsumer, NativeQueueProducer } from '../addon/queue.js'
import { atMade, atMine } from './ring-layout.js'
import type { RingReader } from './ring-reader.js'
import type { RingWriter } from './ring-writer.js'
import { rings } from './working-parts.js'

/** Of so many messages one is measured, as native/include/millrace/latency.hpp has it. */
const every = 16
/** What `countTaken` says if no marked message is known to be on its way: no position is odd. */
const nothingDue = 1

/** A handle whose ring is not made yet. */
interface Opened<Ring> {
  openRing: () => Ring
}

/** Of this handle alone: what all have from their class cannot be assigned to. */
function replace<Native extends object, Name extends keyof Native>(
  native: Native,
  name: Name,
  by: Native[Name],
): void {
  Object.defineProperty(native, name, { value: by })
}

/** From now on the producer marks messages. */
export function producer(side: object, native: NativeQueueProducer): void {
  const { RingWriter } = rings()
  /** Messages until one is to be marked. */
  let left = 0
  const begin = (): void => {
    if (left <= 0) native.mark()
  }
  const end = (messages: number): void => {
    if (messages > 0) left = left <= 0 ? every - messages : left - messages
  }

  class MarkingWriter extends RingWriter {
    override push(message: Uint8Array): number {
      begin()
      const outcome = super.push(message)
      if (outcome === 0) end(1)
      return outcome
    }

    override publish(bytes: number, messages: number): void {
      begin()
      super.publish(bytes, messages)
      end(messages)
    }
  }

  const tryPush = native.tryPush.bind(native)
  const tryPushPacked = native.tryPushPacked.bind(native)
  // For what is packed, and where there is no ring in JavaScript.
  replace(native, 'tryPush', (message) => {
    begin()
    const outcome = tryPush(message)
    if (outcome === 0) end(1)
    return outcome
  })
  replace(native, 'tryPushPacked', (bytes, lengths, count) => {
    begin()
    const sent = tryPushPacked(bytes, lengths, count)
    end(sent)
    return sent
  })
  ;(side as Opened<RingWriter>).openRing = () => new MarkingWriter(native)
}

/** From now on the consumer counts how long marked messages took, which are sent from now on. */
export function consumer(side: object, native: NativeQueueConsumer): void {
  const { RingReader } = rings()
  native.countTaken()

  class CountingReader extends RingReader {
    readonly #shared = new Int32Array(native.control())
    readonly #own = new Int32Array(native.cursor())
    /** Marks that were known when it was asked for the last time, and the position that it said is next. */
    #made = 0
    #due = nothingDue

    override popInto(target: Uint8Array, offset: number): number {
      const outcome = super.popInto(target, offset)
      this.#look()
      return outcome
    }

    override release(bytes: number, messages: number): void {
      super.release(bytes, messages)
      this.#look()
    }

    override pass(bytes: number): void {
      super.pass(bytes)
      this.#look()
    }

    /** Whoever has seen a message sees its mark, which was made before: an ordinary load does. */
    #look(): void {
      const made = this.#shared[atMade]!
      const isPassed = this.#due === nothingDue || ((this.#own[atMine]! - this.#due) | 0) > 0
      if (!isPassed || (this.#due === nothingDue && made === this.#made)) return
      this.#made = made
      this.#due = native.countTaken()
    }
  }

  const popInto = native.popInto.bind(native)
  const tryPopPacked = native.tryPopPacked.bind(native)
  replace(native, 'popInto', (target, offset) => {
    const outcome = popInto(target, offset)
    native.countTaken()
    return outcome
  })
  replace(native, 'tryPopPacked', (target, lengths) => {
    const outcome = tryPopPacked(target, lengths)
    native.countTaken()
    return outcome
  })
  ;(side as Opened<RingReader>).openRing = () => new CountingReader(native)
}
