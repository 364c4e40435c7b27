// What both ends of a connection are alike: they tell frames apart, put together what comes in pieces, and end all streams when
// the connection ends.

import { outsideOfAll } from '../../base/outside.js'
import { hasCode, MillraceError } from '../../errors.js'
import type { FrameChannel } from './channel.js'
import { headerBytes, Kind, liesError, mostInPieces, type Window } from './frames.js'
import { Link } from './link.js'

/** @internal StreamOptions that were read. */
export interface GivenStreams {
  readonly window: Window
  readonly maxBytes: number
  readonly maxStreams: number
}

/** One stream, at either end. */
export interface Stream {
  /** Does it want no items any more? */
  readonly ignores: boolean
  /** May so many bytes of something that is not whole yet have come? Throws if not. */
  judge(bytes: number): void
  /** A frame, whole; its bytes are good during the call. Throws what only a liar sends. */
  arrived(kind: number, rest: Uint8Array): void
  /** The connection has ended. */
  over(error: MillraceError): void
}

interface Pieces {
  readonly chunks: Uint8Array[]
  bytes: number
}

const kinds: ReadonlySet<number> = new Set(Object.values(Kind))

export abstract class Connection<S extends Stream> {
  /** @internal */
  protected readonly link: Link
  /** @internal */
  protected readonly channel: FrameChannel
  /** @internal */
  protected readonly streams = new Map<number, S>()
  /** @internal The last one that was opened. */
  protected last = 0
  readonly #maxBytes: number
  readonly #pieces = new Map<number, Pieces>()
  readonly #title: string
  #over: MillraceError | undefined
  #tellEnd!: (reason: MillraceError | undefined) => void
  /** Resolves when the connection has ended: with why, if it was not by `close()` of either side. */
  readonly ended: Promise<MillraceError | undefined>

  /** @internal */
  protected constructor(title: string, channel: FrameChannel, { maxBytes }: GivenStreams) {
    this.#title = title
    this.channel = channel
    this.#maxBytes = maxBytes
    this.ended = new Promise((resolve) => {
      this.#tellEnd = resolve
    })
    this.link = new Link(channel, (error) => {
      this.#failed(error)
    })
    // What arrives belongs to nobody who happens to open the connection.
    outsideOfAll(
      (start) => {
        start()
      },
      () => {
        void this.#receive()
      },
    )
  }

  /** Has it ended, by either side? */
  get closed(): boolean {
    return this.#over !== undefined
  }

  /** @internal Why nothing can be begun any more. */
  protected get whyOver(): MillraceError | undefined {
    return this.#over
  }

  /** Ends the connection, and all that goes over it. The other side learns of it. */
  close(): void {
    this.#end(
      new MillraceError(
        'ERR_MILLRACE_CLOSED',
        `${this.#title} was closed while this was on its way; what has been done of it is not known`,
        { executed: 'unknown' },
      ),
      undefined,
    )
  }

  /** @internal Whatever comes for it from now on is late. */
  protected forget(id: number): void {
    this.streams.delete(id)
    this.drop(id)
  }

  /** @internal What has come of something in pieces is not wanted any more. */
  protected drop(id: number): void {
    this.#pieces.delete(id)
  }

  /** @internal A stream that is opened by the other side. */
  protected abstract opened(id: number, rest: Uint8Array): void

  /** @internal The other side begins nothing more. */
  protected peerLeaves(): void {
    throw liesError('said that it begins nothing more, which only servers do')
  }

  async #receive(): Promise<void> {
    await Promise.resolve() // whoever is being made must be there first
    try {
      await this.channel.receive((frame) => {
        this.#arrived(frame)
      })
      this.#end(this.#peerGone('was closed by the other side'), undefined)
    } catch (error) {
      this.#failed(error)
    }
  }

  #arrived(frame: Uint8Array): void {
    if (this.closed) return
    if (frame.length < headerBytes) throw liesError('sent a frame that is too short for one')
    const id = (frame[0]! | (frame[1]! << 8) | (frame[2]! << 16) | (frame[3]! << 24)) >>> 0
    const kind = frame[4]!
    if (!kinds.has(kind)) throw liesError('sent a frame of a kind that there is not')
    const rest = frame.subarray(headerBytes)
    if (kind === Kind.open) {
      this.opened(id, rest)
      return
    }
    if (kind === Kind.leaving) {
      this.peerLeaves()
      return
    }
    const stream = this.streams.get(id)
    if (stream === undefined) {
      if (id === 0 || id > this.last)
        throw liesError('sent something for a stream that there never was')
      return // it has ended here meanwhile
    }
    if (kind !== Kind.part) stream.arrived(kind, this.#whole(id, stream, kind, rest))
    else if (!stream.ignores) this.#piece(id, stream, rest)
  }

  #piece(id: number, stream: Stream, rest: Uint8Array): void {
    let pieces = this.#pieces.get(id)
    if (pieces === undefined) {
      if (this.#pieces.size >= mostInPieces) {
        throw liesError('began with more things in pieces than it may')
      }
      pieces = { chunks: [], bytes: 0 }
      this.#pieces.set(id, pieces)
    }
    pieces.bytes += rest.length
    this.#judge(stream, pieces.bytes)
    pieces.chunks.push(Buffer.from(rest))
  }

  #whole(id: number, stream: Stream, kind: number, rest: Uint8Array): Uint8Array {
    if (kind !== Kind.item && kind !== Kind.input && kind !== Kind.result) return rest
    if (stream.ignores) return rest
    const pieces = this.#pieces.get(id)
    if (pieces === undefined) {
      this.#judge(stream, rest.length)
      return rest
    }
    this.#pieces.delete(id)
    this.#judge(stream, pieces.bytes + rest.length)
    return Buffer.concat([...pieces.chunks, rest])
  }

  #judge(stream: Stream, bytes: number): void {
    if (bytes > this.#maxBytes) {
      throw liesError(
        `sent something of more than ${String(this.#maxBytes)} bytes, which this side takes at most (maxBytes)`,
      )
    }
    stream.judge(bytes)
  }

  #failed(error: unknown): void {
    if (hasCode(error, 'ERR_MILLRACE_CLOSED')) {
      this.#end(this.#peerGone('was closed by the other side', error), undefined)
      return
    }
    if (hasCode(error, 'ERR_MILLRACE_CORRUPT')) {
      const { message } = error as MillraceError
      const own = new MillraceError('ERR_MILLRACE_CORRUPT', message, {
        cause: error,
        executed: 'unknown',
      })
      this.#end(own, own)
      return
    }
    const gone = this.#peerGone('broke off: the other side has died, or failed', error)
    this.#end(gone, gone)
  }

  #peerGone(what: string, cause?: unknown): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `${this.#title} ${what}; what has been done of a call that was on its way is not known`,
      { cause, executed: 'unknown' },
    )
  }

  #end(error: MillraceError, reason: MillraceError | undefined): void {
    if (this.#over !== undefined) return
    this.#over = error
    this.#pieces.clear()
    this.link.fail(error)
    this.channel.close()
    const streams = [...this.streams.values()]
    this.streams.clear()
    for (const stream of streams) stream.over(error)
    this.#tellEnd(reason)
  }
}
