// Frames, and messages, out of a stream of bytes: a pipe is read straight into the slots or the ring, other sources are copied there.
//
// The system reads into the place that was shown to the socket last, whatever has become of it. So the socket is shown
// the next place before the one that it has filled is anybody else's business, and it is destroyed before the memory goes
// away: whoever is closed ends what fills it first. That is why files are copied: a thread of Node's pool reads them, and nobody could
// take the memory out of its hands.

import type { MillraceError } from '../errors.js'
import { abortedError, closedError, invalidArgument, isRefusal } from '../errors.js'
import { runsOnNode } from '../addon/runtime.js'
import { checkView } from './bytes.js'
import { show } from './options.js'

/**
 * Where bytes come from: the descriptor of a pipe, a socket or a file; a `Readable`, a web `ReadableStream`, or whatever else
 * gives chunks of bytes to `for await`.
 */
export type FillSource = number | AsyncIterable<Uint8Array>

/** @internal What is filled, in pieces that there is room for one after the other. */
export interface Filled<Room> {
  readonly title: string
  /** The longest piece. */
  readonly pieceBytes: number
  /** Is every piece as long? Else each is sent with whatever has come. */
  readonly whole: boolean
  tryRoom(): Room | undefined
  room(wait: { readonly signal: AbortSignal | undefined }): Promise<Room>
  /** The place itself. Throws where memory cannot be borrowed. */
  bytesOf(room: Room): Uint8Array
  write(room: Room, part: Uint8Array, at: number): void
  /** Sends the first so many bytes. */
  send(room: Room, length: number): void
  discard(room: Room): void
  /** The source ended when so many bytes of a piece were missing, after so many whole ones. */
  incomplete(pieces: number, missing: number): MillraceError
  /** Calls back when its owner closes, before its memory goes; until the function that is returned is called. */
  readonly onClose: (callback: () => void) => () => void
}

/** @internal What came. */
export interface FillResult {
  readonly pieces: number
  readonly bytes: number
}

/** @internal Until the source ends. */
export async function fill<Room>(
  filled: Filled<Room>,
  source: FillSource,
  signal: AbortSignal | undefined,
): Promise<FillResult> {
  checkSource(source)
  if (signal?.aborted === true) throw abortedError(signal)
  const chunks = (): ChunkFilling<Room> => new ChunkFilling(filled, signal)
  if (typeof source !== 'number') return chunks().run(source)
  if (!isPipe(source)) return chunks().run(streamOf(source))
  const first = await filled.room({ signal })
  if (!canBorrow(filled, first)) {
    filled.discard(first)
    return chunks().run(streamOf(source))
  }
  return new PipeFilling(filled, signal).run(source, first)
}

function checkSource(source: unknown): void {
  if (typeof source === 'number' && Number.isInteger(source) && source >= 0) return
  if (typeof source === 'object' && source !== null && Symbol.asyncIterator in source) return
  throw invalidArgument(
    `the source must be a file descriptor, a Readable or another AsyncIterable of bytes, not ${show(source)}`,
  )
}

/** Can a socket of Node read it into memory that it is given? */
function isPipe(fd: number): boolean {
  let found
  try {
    found = process.getBuiltinModule('node:fs').fstatSync(fd)
  } catch (error) {
    throw invalidArgument(`the source is no open file descriptor: ${(error as Error).message}`)
  }
  return runsOnNode && (found.isFIFO() || found.isSocket())
}

function streamOf(fd: number): AsyncIterable<Uint8Array> {
  return process.getBuiltinModule('node:fs').createReadStream('', { fd, highWaterMark: 2 ** 20 })
}

function canBorrow<Room>(filled: Filled<Room>, room: Room): boolean {
  try {
    return filled.bytesOf(room).length > 0
  } catch (error) {
    if (isRefusal(error)) return false
    throw error
  }
}

/** The room in hand, and what can end it all from outside. */
abstract class Filling<Room> {
  protected hand: Room | undefined
  /** Bytes of the piece that are there. */
  protected at = 0
  #pieces = 0
  #bytes = 0
  readonly #stopListening: () => void

  constructor(
    protected readonly filled: Filled<Room>,
    protected readonly signal: AbortSignal | undefined,
  ) {
    const onAbort = () => {
      this.fail(abortedError(signal!))
    }
    const onClose = filled.onClose(() => {
      this.fail(closedError(filled.title))
    })
    signal?.addEventListener('abort', onAbort, { once: true })
    this.#stopListening = () => {
      onClose()
      signal?.removeEventListener('abort', onAbort)
    }
  }

  protected abstract fail(error: Error): void

  protected leave(): void {
    this.#stopListening()
    if (this.hand !== undefined) this.filled.discard(this.hand)
    this.hand = undefined
  }

  /** So many more bytes of the piece are there. Sends it if that is enough; then there is no room in hand. */
  protected advance(bytes: number): void {
    this.at += bytes
    if (this.filled.whole && this.at < this.filled.pieceBytes) return
    this.filled.send(this.hand!, this.at)
    this.#pieces++
    this.#bytes += this.at
    this.hand = undefined
    this.at = 0
  }

  /** The source has ended: what it gave, or why that is not all. */
  protected result(): FillResult {
    if (this.at === 0) return { pieces: this.#pieces, bytes: this.#bytes }
    throw this.filled.incomplete(this.#pieces, this.filled.pieceBytes - this.at)
  }
}

/** Copies chunks of any length. */
class ChunkFilling<Room> extends Filling<Room> {
  #interrupt: ((error: Error) => void) | undefined
  #error: Error | undefined

  async run(source: AsyncIterable<Uint8Array>): Promise<FillResult> {
    const chunks = source[Symbol.asyncIterator]()
    let ended = false
    try {
      for (;;) {
        const next = await this.#next(chunks)
        if (next.done === true) {
          ended = true
          return this.result()
        }
        await this.#take(next.value)
      }
    } finally {
      this.leave()
      if (!ended) abandon(source, chunks)
    }
  }

  // A race with a promise that lives as long as the source would remember every chunk.
  #next(chunks: AsyncIterator<Uint8Array>): Promise<IteratorResult<Uint8Array>> {
    return new Promise((resolve, reject) => {
      if (this.#error !== undefined) throw this.#error
      this.#interrupt = reject
      chunks.next().then(resolve, reject)
    })
  }

  async #take(chunk: Uint8Array): Promise<void> {
    checkView(chunk, 'a chunk of the source')
    const bytes = new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    for (let from = 0; from < bytes.length;) {
      this.hand ??= this.filled.tryRoom() ?? (await this.#room())
      const part = bytes.subarray(from, from + this.filled.pieceBytes - this.at)
      this.filled.write(this.hand, part, this.at)
      from += part.length
      this.advance(part.length)
    }
  }

  /** Unless it was closed or aborted while there was none, and then somebody had it on the way. */
  async #room(): Promise<Room> {
    const room = await this.filled.room({ signal: this.signal })
    if (this.#error === undefined) return room
    this.filled.discard(room)
    throw this.#error
  }

  protected fail(error: Error): void {
    this.#error = error
    this.#interrupt?.(error)
  }
}

/** Ends a source that nobody reads any more, as leaving a `for await` does, but without waiting for its next chunk. */
function abandon(
  source: AsyncIterable<Uint8Array> & { destroy?: () => unknown },
  chunks: AsyncIterator<Uint8Array>,
): void {
  if (typeof source.destroy === 'function') source.destroy()
  void chunks.return?.().then(undefined, () => undefined) // our own error is told, not how it took it
}

interface Settle {
  readonly resolve: (result: FillResult) => void
  readonly reject: (error: Error) => void
}

/** What is read before there is a slot for it, after a pause, is copied. */
const scratchBytes = 65_536

/** Lets the system read a pipe into the room. */
class PipeFilling<Room> extends Filling<Room> {
  #scratch: Uint8Array | undefined
  #place: Uint8Array = new Uint8Array()
  #socket: { destroy(): void; resume(): void } | undefined
  #settle: Settle | undefined

  run(fd: number, first: Room): Promise<FillResult> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.hand = first
      this.#place = this.#rest(first)
      try {
        this.#read(fd)
      } catch (error) {
        this.fail(error as Error)
      }
    })
  }

  #read(fd: number): void {
    const { Socket } = process.getBuiltinModule('node:net')
    const onread = {
      buffer: () => this.#place,
      callback: (bytes: number) => this.#onRead(bytes),
    }
    // Documented for connect(), whose options go to the constructor; the declarations have it only there.
    const options = { fd, readable: true, writable: false, onread }
    const socket = new Socket(options)
    this.#socket = socket
    const onEnd = () => {
      this.#end()
    }
    socket.on('error', (error) => {
      this.fail(error)
    })
    socket.on('end', onEnd)
    socket.on('close', onEnd)
    socket.resume()
  }

  /** True to go on reading, to the place that is `#place` by then. */
  #onRead(bytes: number): boolean {
    try {
      if (this.#place === this.#scratch)
        this.filled.write(this.hand!, this.#scratch.subarray(0, bytes), this.at)
      this.advance(bytes)
      this.hand ??= this.filled.tryRoom()
      if (this.hand !== undefined) {
        this.#place = this.#rest(this.hand)
        return true
      }
      this.#place = this.#scratch ??= new Uint8Array(Math.min(this.filled.pieceBytes, scratchBytes))
      void this.#goOnWithRoom()
    } catch (error) {
      this.fail(error as Error)
    }
    return false
  }

  /** Where the piece goes on. */
  #rest(room: Room): Uint8Array {
    return this.filled.bytesOf(room).subarray(this.at, this.filled.pieceBytes)
  }

  async #goOnWithRoom(): Promise<void> {
    try {
      const room = await this.filled.room({ signal: this.signal })
      if (this.#settle === undefined) {
        this.filled.discard(room)
        return
      }
      this.hand = room
      this.#socket!.resume()
    } catch (error) {
      this.fail(error as Error)
    }
  }

  #end(): void {
    try {
      const result = this.result()
      this.#leave()?.resolve(result)
    } catch (error) {
      this.#leave()?.reject(error as Error)
    }
  }

  protected fail(error: Error): void {
    this.#leave()?.reject(error)
  }

  /** Whom to tell, if nobody was told yet. */
  #leave(): Settle | undefined {
    const settle = this.#settle
    this.#settle = undefined
    this.#socket?.destroy()
    this.leave()
    return settle
  }
}
