// One direction of a stream at its sender: items go as far as the receiver has room.

import { isPromise } from '../../base/promised.js'
import type { Codec } from '../../codec/types.js'
import type { Items } from '../contract.js'
import { Kind, liesError, mayBegin, type Window } from './frames.js'
import { tooLongError, type Link, type Sender } from './link.js'

export class Outgoing implements Sender {
  readonly #link: Link
  readonly #stream: number
  readonly #codec: Codec
  readonly #maxBytes: number
  readonly #what: string
  #window: Window | undefined
  /** What was sent, and not taken as far as we know. */
  #items = 0
  #bytes = 0
  #roomCame: (() => void) | undefined
  #source: AsyncIterator<unknown> | Iterator<unknown> | undefined
  /** Nobody wants more. */
  stopped = false

  constructor(link: Link, stream: number, codec: Codec, maxBytes: number, what: string) {
    this.#link = link
    this.#stream = stream
    this.#codec = codec
    this.#maxBytes = maxBytes
    this.#what = what
  }

  /** There is room for so much at a time. */
  open(window: Window): void {
    if (this.#window !== undefined) throw liesError('said twice how much room it has')
    this.#window = window
    this.#roomCame?.()
  }

  /** The receiver has taken so much. */
  credit({ items, bytes }: Window): void {
    if (items > this.#items || bytes > this.#bytes) throw liesError('took more than it was sent')
    this.#items -= items
    this.#bytes -= bytes
    this.#roomCame?.()
  }

  /** Sends all items; resolves when the last one is sent, or nobody wants more. Rejects with what the source, or the codec, throws. */
  async all(items: Items<unknown>): Promise<void> {
    const source = iteratorOf(items)
    this.#source = source
    try {
      while (!this.stopped) {
        const next = source.next()
        const step = isPromise(next) ? await next : next
        if (this.#isStopped() || step.done === true) break
        await this.send(isPromise(step.value) ? await step.value : step.value)
      }
    } catch (error) {
      // One that has failed itself is over.
      this.#giveBack()
      throw error
    }
    this.#giveBack()
  }

  /** One item, as soon as there is room. */
  send(value: unknown): Promise<void> | undefined {
    const bytes = this.#link.encode(this.#codec, value)
    if (bytes.length > this.#maxBytes) {
      throw tooLongError(`an item of ${this.#what}`, bytes.length, this.#maxBytes)
    }
    if (!this.#hasRoom(bytes.length)) return this.#sendLater(Buffer.from(bytes))
    return this.#sendNow(bytes)
  }

  /** Nobody wants more: what the items come from is told so. */
  stop(): void {
    if (this.stopped) return
    this.stopped = true
    this.#roomCame?.()
    this.#giveBack()
  }

  #isStopped(): boolean {
    return this.stopped // by what was awaited
  }

  #giveBack(): void {
    const source = this.#source
    this.#source = undefined
    try {
      const end = source?.return?.()
      // A generator in the middle of something ends when it gets there; what it throws then is nobody's.
      if (isPromise(end)) end.then(undefined, () => undefined)
    } catch {
      // Likewise.
    }
  }

  #hasRoom(length: number): boolean {
    const window = this.#window
    return window !== undefined && mayBegin(window, this.#items, this.#bytes, length)
  }

  #sendNow(bytes: Uint8Array): Promise<void> | undefined {
    this.#items++
    this.#bytes += bytes.length
    return this.#link.value(this.#stream, Kind.item, bytes, this)
  }

  async #sendLater(bytes: Uint8Array): Promise<void> {
    while (!this.#hasRoom(bytes.length)) {
      if (this.stopped) return
      await new Promise<void>((came) => {
        this.#roomCame = came
      })
      this.#roomCame = undefined
    }
    if (!this.stopped) await this.#sendNow(bytes)
  }
}

/** Whichever way it goes over them. */
export function iteratorOf(items: Items<unknown>): AsyncIterator<unknown> | Iterator<unknown> {
  const { [Symbol.asyncIterator]: async, [Symbol.iterator]: sync } = items as Partial<
    AsyncIterable<unknown> & Iterable<unknown>
  >
  if (async !== undefined) return async.call(items)
  return sync!.call(items)
}

/** Is it one, in the one way or the other? Text is one, too, and nobody means it. */
export function isItems(given: unknown): given is Items<unknown> {
  if (typeof given !== 'object' || given === null) return false
  return Symbol.asyncIterator in given || Symbol.iterator in given
}
