// What streams go over: messages in order, both ways, between two sides that notice each other's end. Two queues are one; whoever
// brings another (a socket) has streams over it, too.

import { turnIsDue } from '../../base/fairness.js'
import { startTurn } from '../../base/time.js'
import { closedError } from '../../errors.js'
import type { QueueConsumer } from '../../queue/consumer.js'
import type { QueueProducer } from '../../queue/producer.js'
import { checkPair, type QueuePair } from '../../streams/options.js'

/** Messages in order, both ways, between two sides. Used by one connection alone, which closes it. */
export interface FrameChannel {
  /** The longest frame that can be sent, in bytes; 64 at least. */
  readonly maxFrame: number
  /** The process at the other side, if it is known. */
  readonly peerPid?: number | undefined
  /** Where the other side is, for messages. */
  readonly address?: string | undefined
  /** Sends, if there is room now; false: not now. The bytes are its caller's again afterwards. Throws if nothing can be sent any more. */
  trySend(frame: Uint8Array): boolean
  /** Sends as soon as there is room. Rejects if there will be none: with `PEER_GONE`, if the other side has died. */
  send(frame: Uint8Array): Promise<void>
  /**
   * Calls `arrived` for each frame, whose bytes are good during the call. Called once. Resolves when the other side has closed, and
   * all it sent has arrived; rejects if it has died (`PEER_GONE`, within 100 ms), and with what `arrived` throws.
   */
  receive(arrived: (frame: Uint8Array) => void): Promise<void>
  /** Sends and receives nothing any more; the other side gets what was sent. */
  close(): void
  /** Is there anything that the process must stay alive for? */
  hold?(alive: boolean): void
}

/**
 * Two queues as a channel of frames: what one side's producer sends, the other side's consumer receives. They belong to it, and close
 * with it.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function queueChannel(pair: QueuePair): FrameChannel {
  checkPair(pair)
  return new Queues(pair)
}

/** So many of the longest frames fit into the ring at once, so that both sides can work at the same time. */
const framesAtOnce = 4
/** What a message takes of the ring beside its bytes. */
const recordBytes = 8

class Queues implements FrameChannel {
  readonly #producer: QueueProducer
  readonly #consumer: QueueConsumer
  readonly maxFrame: number

  constructor({ producer, consumer }: QueuePair) {
    this.#producer = producer
    this.#consumer = consumer as QueueConsumer
    this.maxFrame = producer.capacity / framesAtOnce - recordBytes
  }

  get peerPid(): number | undefined {
    return this.#consumer.closed ? undefined : this.#consumer.peerPid
  }

  trySend(frame: Uint8Array): boolean {
    return this.#producer.tryPush(frame)
  }

  send(frame: Uint8Array): Promise<void> {
    return this.#producer.push(frame)
  }

  async receive(arrived: (frame: Uint8Array) => void): Promise<void> {
    const consumer = this.#consumer
    while (await consumer.readable()) {
      do {
        const frame = consumer.tryPop()
        if (frame === undefined) break
        arrived(frame)
        if (isClosed(consumer)) return
      } while (!turnIsDue())
    }
  }

  close(): void {
    // What was sent is read by the other side; if it has left, by nobody.
    this.#producer.close({ discard: true })
    this.#consumer.close({ discard: true })
  }

  hold(alive: boolean): void {
    if (alive) {
      this.#producer.ref()
      this.#consumer.ref()
    } else {
      this.#producer.unref()
      this.#consumer.unref()
    }
  }
}

/** By what was called in between. */
function isClosed({ closed }: QueueConsumer): boolean {
  return closed
}

/**
 * Two sides of a channel of frames within one thread: for tests of a contract and its handlers, without shared memory. `frames`: so many
 * fit between both; default 64.
 */
export function channelPair(frames = 64): [FrameChannel, FrameChannel] {
  const there: Lane = new Lane(frames)
  const back: Lane = new Lane(frames)
  return [new Side(there, back), new Side(back, there)]
}

/** One direction. */
class Lane {
  readonly #most: number
  readonly #frames: Uint8Array[] = []
  readonly #senders: { frame: Uint8Array; sent: () => void; failed: (error: unknown) => void }[] =
    []
  #arrived: (() => void) | undefined
  closed = false

  constructor(most: number) {
    this.#most = most
  }

  tryPut(frame: Uint8Array): boolean {
    if (this.closed) throw closedError('the channel')
    if (this.#senders.length > 0 || this.#frames.length >= this.#most) return false
    this.#frames.push(Buffer.from(frame))
    this.#arrived?.()
    return true
  }

  put(frame: Uint8Array): Promise<void> {
    return new Promise((sent, failed) => {
      this.#senders.push({ frame, sent, failed })
    })
  }

  take(): Uint8Array | undefined {
    const frame = this.#frames.shift()
    const sender = this.#senders.shift()
    if (sender !== undefined) {
      this.#frames.push(Buffer.from(sender.frame))
      sender.sent()
    }
    return frame
  }

  /** Resolves when there is something, or there will be nothing. */
  async some(): Promise<void> {
    if (this.#frames.length > 0 || this.closed) return
    await new Promise<void>((arrived) => {
      this.#arrived = arrived
    })
    this.#arrived = undefined
  }

  close(): void {
    this.closed = true
    for (const { failed } of this.#senders.splice(0)) failed(closedError('the channel'))
    this.#arrived?.()
  }
}

class Side implements FrameChannel {
  readonly maxFrame = 65_536
  readonly peerPid = process.pid
  readonly #out: Lane
  readonly #in: Lane
  #closed = false

  constructor(out: Lane, back: Lane) {
    this.#out = out
    this.#in = back
  }

  trySend(frame: Uint8Array): boolean {
    return this.#out.tryPut(frame)
  }

  async send(frame: Uint8Array): Promise<void> {
    if (!this.#out.tryPut(frame)) await this.#out.put(frame)
  }

  async receive(arrived: (frame: Uint8Array) => void): Promise<void> {
    for (;;) {
      await this.#in.some()
      // As between processes: what is sent arrives later, and the event loop has its turns.
      await new Promise<void>((resolve) => {
        startTurn(resolve)
      })
      for (;;) {
        if (this.#closed) return
        const frame = this.#in.take()
        if (frame === undefined) break
        arrived(frame)
        frame.fill(0xff) // as in a ring, where the next frame lies soon
      }
      if (this.#in.closed) return
    }
  }

  close(): void {
    this.#closed = true
    this.#out.close()
    this.#in.close()
  }
}
