// A connection to a gateway that takes frames, at the side that sends them, whoever of both has made it.

import { MillraceError } from '../../errors.js'
import type { Channel } from '../../net/channel.js'
import type { Line } from '../../net/session.js'
import { readAnswer, slotBytesOf, type Answer } from './link.js'
import { longestHead } from './sending.js'

/** Milliseconds that the other side has to say what it takes. */
const helloMs = 5000

/** One connection, at the side that sends. */
export class LinkLine implements Line {
  readonly channel: Channel
  readonly slotBytes: number
  readonly ended: Promise<Error | undefined>
  /** Frames whose end is not known. */
  readonly #asked = new Map<number, (outcome: Answer['outcome']) => void>()
  #isOver = false
  /** Has this side ended it? */
  isClosed = false

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
    this.isClosed = true
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

/**
 * The other side says what it takes.
 *
 * @throws MillraceError (as rejection) `TOO_LARGE`, `PROTOCOL`, and as `receive`; the connection has ended then
 */
export async function lineOf(
  channel: Channel,
  address: string,
  signal: AbortSignal,
): Promise<LinkLine> {
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

/** @throws MillraceError `TOO_LARGE` */
function judgeRoom({ traits: { maxBytes } }: Channel, address: string): void {
  if (maxBytes >= longestHead) return
  throw new MillraceError(
    'ERR_MILLRACE_TOO_LARGE',
    `'${address}' takes messages of ${String(maxBytes)} bytes, and the head of a part of a frame has up to ${String(longestHead)}: give the route ` +
      'there a larger maxBytes in fromConnection',
  )
}
