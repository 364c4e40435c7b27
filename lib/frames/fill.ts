// Frames out of a stream of bytes: a pipe is read straight into the slots, other sources are copied there.
//
// The system reads into the slot that was shown to the socket last, whatever has become of it. So the socket is shown
// the next place before the frame that it has filled is anybody else's business, and it is destroyed before the memory goes
// away: a writer that is closed ends what fills it first.

import { abortedError, closedError, invalidArgument, isRefusal, MillraceError } from '../errors.js'
import { runsOnNode } from '../addon/runtime.js'
import { checkOptions, checkSignal, show, wholeNumber } from '../base/options.js'
import { checkView } from '../base/bytes.js'
import type { LoanedFrame } from './frame.js'

/**
 * Where bytes come from: the descriptor of a pipe, a socket or a file; a `Readable`, a web `ReadableStream`, or whatever else
 * gives chunks of bytes to `for await`.
 */
export type FrameSource = number | AsyncIterable<Uint8Array>

/** Options of `FrameWriter.fill`. */
export interface FillOptions {
  /** Bytes of a frame; default `slotBytes`. */
  readonly frameBytes?: number | undefined
  /** Ends it with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

/** @internal What is filled. */
export interface Filled {
  readonly title: string
  readonly slotBytes: number
  tryLoan(): LoanedFrame | undefined
  loan(options: { readonly signal: AbortSignal | undefined }): Promise<LoanedFrame>
  /** Calls back when the writer closes, before its memory goes; until the function that is returned is called. */
  onClose(callback: () => void): () => void
}

/** @internal */
export async function fill(
  writer: Filled,
  source: FrameSource,
  options: FillOptions | undefined,
): Promise<number> {
  const given = checkOptions(options, ['frameBytes', 'signal'])
  const { slotBytes } = writer
  const frameBytes = wholeNumber(given, 'frameBytes', slotBytes, [1, slotBytes])
  const signal = checkSignal(given.signal)
  checkSource(source)
  if (signal?.aborted === true) throw abortedError(signal)
  if (typeof source !== 'number') return new ChunkFilling(writer, frameBytes, signal).run(source)
  if (!isPipe(source)) return new ChunkFilling(writer, frameBytes, signal).run(streamOf(source))
  const first = await writer.loan({ signal })
  if (!canBorrow(first)) {
    first.discard()
    return new ChunkFilling(writer, frameBytes, signal).run(streamOf(source))
  }
  return new PipeFilling(writer, frameBytes, signal).run(source, first)
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

function canBorrow(frame: LoanedFrame): boolean {
  try {
    return frame.bytes.length > 0
  } catch (error) {
    if (isRefusal(error)) return false
    throw error
  }
}

/** The frame in hand, and what can end it all from outside. */
abstract class Filling {
  protected frame: LoanedFrame | undefined
  /** Bytes of the frame that are there. */
  protected at = 0
  protected frames = 0
  readonly #stopListening: () => void

  constructor(
    protected readonly writer: Filled,
    protected readonly frameBytes: number,
    protected readonly signal: AbortSignal | undefined,
  ) {
    const onAbort = () => {
      this.fail(abortedError(signal!))
    }
    const onClose = writer.onClose(() => {
      this.fail(closedError(writer.title))
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
    this.frame?.discard()
    this.frame = undefined
  }

  /** So many more bytes of the frame are there. Publishes it if it is whole; then there is no frame in hand. */
  protected advance(bytes: number): void {
    this.at += bytes
    if (this.at < this.frameBytes) return
    this.frame!.publish({ byteLength: this.frameBytes })
    this.frame = undefined
    this.at = 0
    this.frames++
  }

  /** The source has ended: how many frames it gave, or why that is not all. */
  protected count(): number {
    if (this.at === 0) return this.frames
    throw new MillraceError(
      'ERR_MILLRACE_INCOMPLETE',
      `the source ended in the middle of frame ${String(this.frames + 1)}: ${String(this.frameBytes - this.at)} of its ` +
        `${String(this.frameBytes)} bytes are missing; the ${String(this.frames)} before it are published`,
    )
  }
}

/** Copies chunks of any length into frames. */
class ChunkFilling extends Filling {
  #interrupt: ((error: Error) => void) | undefined
  #error: Error | undefined

  async run(source: AsyncIterable<Uint8Array>): Promise<number> {
    const chunks = source[Symbol.asyncIterator]()
    let ended = false
    try {
      for (;;) {
        const next = await this.#next(chunks)
        if (next.done === true) {
          ended = true
          return this.count()
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
      this.frame ??= this.writer.tryLoan() ?? (await this.writer.loan({ signal: this.signal }))
      const part = bytes.subarray(from, from + this.frameBytes - this.at)
      this.frame.write(part, this.at)
      from += part.length
      this.advance(part.length)
    }
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
  readonly resolve: (frames: number) => void
  readonly reject: (error: Error) => void
}

/** What is read before there is a slot for it, after a pause, is copied. */
const scratchBytes = 65_536

/** Lets the system read a pipe into the frames. */
class PipeFilling extends Filling {
  #scratch: Uint8Array | undefined
  #place: Uint8Array = new Uint8Array()
  #socket: { destroy(): void; resume(): void } | undefined
  #settle: Settle | undefined

  run(fd: number, first: LoanedFrame): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      this.frame = first
      this.#place = first.bytes.subarray(0, this.frameBytes)
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
        this.frame!.write(this.#scratch.subarray(0, bytes), this.at)
      this.advance(bytes)
      this.frame ??= this.writer.tryLoan()
      if (this.frame !== undefined) {
        this.#place = this.frame.bytes.subarray(this.at, this.frameBytes)
        return true
      }
      this.#place = this.#scratch ??= new Uint8Array(Math.min(this.frameBytes, scratchBytes))
      void this.#goOnWithSlot()
    } catch (error) {
      this.fail(error as Error)
    }
    return false
  }

  async #goOnWithSlot(): Promise<void> {
    try {
      const frame = await this.writer.loan({ signal: this.signal })
      if (this.#settle === undefined) {
        frame.discard()
        return
      }
      this.frame = frame
      this.#socket!.resume()
    } catch (error) {
      this.fail(error as Error)
    }
  }

  #end(): void {
    try {
      const frames = this.count()
      this.#leave()?.resolve(frames)
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
