// Values, many there and many back, over an engine that carries messages between two sides in their order, and holds nobody up.
//
// Who receives says for how many there is room, and makes more when half of it was asked for: credit, as request(n) of Reactive Streams
// (https://www.reactive-streams.org) and the windows of HTTP/2 give it. Values are numbered, so one that was lost on the way is noticed. While
// it lasts both sides show signs of life, for such an engine does not tell that somebody has died.

import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import { MillraceError } from '../errors.js'

/** Values that may lie at who receives before they are asked for. */
export const roomAhead = 8
/** As many as anybody may say that there is room for beyond what was sent: who lies fills no memory here. */
const mostRoom = 1024
/** Milliseconds between two signs of life. */
const signMs = 2000

const nothing = new Uint8Array(0)

/** What one side tells the other. `count`: which value that is, from 1 on; of `room`: how many values may be sent in all; else 0. */
export type ManyKind = 'item' | 'room' | 'end' | 'working'
export type Post = (kind: ManyKind, count: number, bytes: Uint8Array) => void

export interface ExchangeOptions {
  readonly post: Post
  /** Values that may be sent at once. */
  readonly room: number
  /** Milliseconds without a sign of the other side after which it is taken for dead. */
  readonly silenceMs: number
  /** It has been silent that long, or a value was lost: `why` is what the other side has done. Whoever is told ends the exchange. */
  readonly broken: (why: 'silent' | 'lost') => void
}

/** One side. One value is asked for at a time, and one is sent. */
export class Exchange {
  readonly #options: ExchangeOptions
  readonly #arrived: Uint8Array[] = []
  #came = 0
  #given = 0
  #room = roomAhead
  #sent = 0
  #mayBeSent: number
  /** No more come. */
  #isOver = false
  #failure: Error | undefined
  #wakeNext: (() => void) | undefined
  #wakeSend: (() => void) | undefined
  #heard = now()
  #timer: Timer | undefined

  constructor(options: ExchangeOptions) {
    this.#options = options
    this.#mayBeSent = Math.min(options.room, mostRoom)
    this.#beat()
  }

  /** What came of the other side; the bytes are kept. What is of no kind is a sign of life. */
  hears(kind: string, count: number, bytes: Uint8Array): void {
    this.#heard = now()
    switch (kind) {
      case 'item':
        if (count !== this.#came + 1 || count > this.#room || this.#isOver) {
          this.#options.broken('lost')
          return
        }
        this.#came = count
        this.#arrived.push(bytes)
        break
      case 'room':
        if (count > this.#mayBeSent) this.#mayBeSent = Math.min(count, this.#sent + mostRoom)
        break
      case 'end':
        this.#isOver = true
        break
      default:
        return
    }
    this.#wake()
  }

  /** The next one; undefined: there are no more. Rejects with why the exchange has failed, behind what had come before. */
  async next(): Promise<Uint8Array | undefined> {
    for (;;) {
      const bytes = this.#arrived.shift()
      if (bytes !== undefined) {
        this.#given++
        if (!this.#isOver && this.#room - this.#given <= roomAhead / 2) {
          this.#room = this.#given + roomAhead
          this.#options.post('room', this.#room, nothing)
        }
        return bytes
      }
      if (this.#failure !== undefined) throw this.#failure
      if (this.#isOver) return undefined
      await new Promise<void>((woken) => {
        this.#wakeNext = woken
      })
    }
  }

  /** Sends one as soon as there is room for it. False: it has not gone, for the exchange has failed, or was left. */
  async send(bytes: Uint8Array): Promise<boolean> {
    while (this.#timer !== undefined) {
      if (this.#sent < this.#mayBeSent) {
        this.#options.post('item', ++this.#sent, bytes)
        return true
      }
      await new Promise<void>((woken) => {
        this.#wakeSend = woken
      })
    }
    return false
  }

  /** There are no more to send. */
  end(): void {
    if (this.#timer !== undefined) this.#options.post('end', 0, nothing)
  }

  /** Nothing more goes or comes; what has come can be asked for. */
  leave(): void {
    this.#isOver = true
    stopTimer(this.#timer)
    this.#timer = undefined
    this.#wake()
  }

  /** The same, with why. `atOnce`: what has come is of no interest any more. */
  fail(why: Error, atOnce = false): void {
    this.#failure ??= why
    if (atOnce) this.#arrived.length = 0
    this.leave()
  }

  #wake(): void {
    const [next, send] = [this.#wakeNext, this.#wakeSend]
    this.#wakeNext = this.#wakeSend = undefined
    next?.()
    send?.()
  }

  #beat(): void {
    const { post, silenceMs, broken } = this.#options
    this.#timer = startTimer(Math.min(signMs, silenceMs), () => {
      if (now() - this.#heard > silenceMs) {
        broken('silent')
        return
      }
      this.#beat()
      post('working', 0, nothing)
    })
  }
}

/** A value was lost between two sides. */
export function lostError(what: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PEER_GONE',
    `a value of ${what} was lost on the way: a server between the two sides has dropped it`,
    { executed: 'unknown' },
  )
}
