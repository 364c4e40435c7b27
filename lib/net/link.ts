// Connections of whole messages: a WebSocket, a port, a bus of somebody else's. The transport tells what comes and takes what is sent;
// queues, waits, back-pressure and ends are those of every channel. Messages go through the framing of a stream that nobody but this
// process sees: so there is one channel to be right, and a transport stays small.

import type { Duplex } from 'node:stream'

import { MillraceError } from '../errors.js'
import {
  Decoder,
  frameOf,
  headerBytes,
  headerOf,
  helloOf,
  Kind,
  longestMessage,
} from './framing.js'

/** What a link tells. Nothing is told before `start`, and nothing after `closed`. */
export interface LinkEvents {
  /** A message has come. Its bytes are the channel's from now on. */
  message(bytes: Uint8Array): void
  /** The other side sends no more; it still receives. */
  ended(): void
  /** The other side lives: what was asked for by `ping`. Messages tell that as well. */
  alive(): void
  /**
   * Nothing of the link is left. Without an error the other side has closed in good order, and all that it sent was told before; with one
   * it has died, or the connection broke. A `MillraceError` is what calls say from then on; of any other one they say `PEER_GONE`.
   */
  closed(error?: Error): void
}

/** A connection that carries whole messages, in order. */
export interface MessageLink {
  /** The longest message that can be sent, in bytes. */
  readonly maxBytes: number
  /** From now on the link tells what happens. Called once. */
  start(events: LinkEvents): void
  /** Sends a message. Its bytes are the link's until it calls `sent`, which is when it takes more: nothing is back-pressure but that. */
  send(message: Uint8Array, sent: (error?: Error) => void): void
  /** Tells the other side that there will be no more messages. Without it `end()` of the channel is `UNSUPPORTED`. */
  end?(sent: (error?: Error) => void): void
  /** Asks the other side for a sign of life, for `heartbeat`; `alive` answers. Without it silence is never taken for death. */
  ping?(): void
  /** Tells of no messages until `resume`: the other side is to wait. A few that are on their way may still be told. */
  pause(): void
  /** Tells of messages again. */
  resume(): void
  /** In good order: what was sent arrives, the other side is told, and then `closed` is told here. */
  close(): void
  /** At once: to the other side that is a death. */
  destroy(): void
  /** Keeps the process alive, or lets it end. Without it the channel does so by itself. */
  hold?(alive: boolean): void
}

/** @internal The link as a stream that speaks as the other side of a socket would; and why it has ended, if the link has said that. */
export function streamOf(link: MessageLink): {
  readonly stream: Duplex
  readonly why: () => Error | undefined
} {
  const { Duplex: DuplexStream } = process.getBuiltinModule('node:stream')
  let isPaused = false
  let isOver = false
  let isClosing = false
  let why: MillraceError | undefined
  /** What the chunk that is being sent still waits for. */
  let unsent = 0
  let done: ((error?: Error | null) => void) | undefined

  const sent = (error?: Error): void => {
    if (done === undefined) return
    unsent = error === undefined ? unsent - 1 : 0
    if (unsent > 0) return
    const tell = done
    done = undefined
    tell(error)
  }
  /** Each may tell once. */
  const ticket = (): ((error?: Error) => void) => {
    unsent++
    let used = false
    return (error) => {
      if (used) return
      used = true
      sent(error)
    }
  }
  const close = (): void => {
    if (isClosing || isOver) return
    isClosing = true
    link.close()
  }
  const give = (bytes: Uint8Array): void => {
    if (isOver || stream.destroyed || stream.push(bytes) || isPaused) return
    isPaused = true
    link.pause()
  }
  const decoder = new Decoder(
    {
      hello: () => undefined,
      room: () => undefined,
      filled: () => undefined,
      message: (bytes) => {
        link.send(bytes, ticket())
      },
      // It is good until the piece was written, and that is when all of it was sent.
      within: (piece, at, end) => {
        link.send(piece.subarray(at, end), ticket())
      },
      signal: (kind) => {
        if (kind === Kind.end) link.end?.(ticket())
        else if (kind === Kind.bye) close()
        else if (kind === Kind.ping && link.ping !== undefined) link.ping()
        else if (kind === Kind.ping) give(frameOf(Kind.pong))
      },
    },
    longestMessage,
  )
  const stream = new DuplexStream({
    write: (chunk: Buffer, _encoding, written) => {
      if (isOver) {
        written()
        return
      }
      done = written
      const whole = ticket()
      try {
        decoder.push(chunk)
      } catch (error) {
        whole(error as Error)
        return
      }
      whole()
    },
    read: () => {
      if (!isPaused || isOver) return
      isPaused = false
      link.resume()
    },
    final: (ended) => {
      close()
      ended()
    },
    destroy: (error, destroyed) => {
      if (!isOver) {
        isOver = true
        link.destroy()
      }
      destroyed(error)
    },
  })
  if (link.hold !== undefined) {
    Object.assign(stream, {
      ref: () => {
        link.hold!(true)
      },
      unref: () => {
        link.hold!(false)
      },
    })
  }
  stream.push(
    helloOf({ maxBytes: Math.min(link.maxBytes, longestMessage), heartbeat: 0, marks: false }),
  )
  link.start({
    message: (bytes) => {
      const header = Buffer.allocUnsafe(headerBytes)
      header.writeUInt32LE(headerOf(Kind.message, bytes.length), 0)
      give(header)
      if (bytes.length > 0) give(bytes)
    },
    ended: () => {
      give(frameOf(Kind.end))
    },
    alive: () => {
      give(frameOf(Kind.pong))
    },
    closed: (error) => {
      if (isOver) return
      if (error === undefined) give(frameOf(Kind.bye))
      if (error instanceof MillraceError) why = error
      isOver = true
      // What came is received first.
      if (error !== undefined && stream.readableLength === 0) stream.destroy(error)
      else stream.push(null)
      // Nobody will tell of what is being sent: it is on its way, as it were, and the end of the stream tells the rest.
      const tell = done
      done = undefined
      tell?.()
    },
  })
  return { stream, why: () => why }
}
