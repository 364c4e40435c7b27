// The side of a log that appends, as a stream: what framing.ts makes of messages comes in, and records go out, in one write for
// all that waits. It has the lock of who writes until it is closed.

import type { Duplex } from 'node:stream'

import { MillraceError } from '../../errors.js'
import { Decoder } from '../framing.js'
import { outward, type Done } from '../one-way.js'
import { fs } from '../transports/files.js'
import { headBytes, writeHead } from './records.js'

/** Longer ones are written from where they lie. */
const mostCopied = 65_536

export interface LogFile {
  readonly fd: number
  readonly address: string
  readonly path: string
}

export class Appender {
  readonly stream: Duplex
  readonly #file: LogFile
  readonly #durable: boolean
  readonly #decoder: Decoder
  #messages: Uint8Array[] = []
  #end: number
  #busy: Promise<void> | undefined

  /** The descriptor is its own from now on; `end`: where the next record belongs. */
  constructor(file: LogFile, end: number, limits: { durable: boolean; maxBytes: number }) {
    this.#file = file
    this.#end = end
    this.#durable = limits.durable
    const nothing = (): undefined => undefined
    this.#decoder = new Decoder(
      {
        hello: nothing,
        room: nothing,
        filled: nothing,
        signal: nothing,
        // They lie in what is written, which is nobody else's until that is done.
        within: (piece, at, end) => {
          this.#messages.push(piece.subarray(at, end))
        },
        message: (bytes) => {
          this.#messages.push(bytes)
        },
      },
      limits.maxBytes,
    )
    this.stream = outward(
      (chunks, done) => {
        this.#write(chunks, done)
      },
      (done) => {
        done()
      },
      (done) => {
        void (this.#busy ?? Promise.resolve()).then(() => {
          fs().closeSync(file.fd)
          done()
        })
      },
    )
  }

  #write(chunks: readonly Buffer[], done: Done): void {
    for (const chunk of chunks) this.#decoder.push(chunk)
    const messages = this.#messages
    this.#messages = []
    if (messages.length === 0) {
      done()
      return
    }
    let failure: Error | undefined
    const busy = this.#append(messages)
      .catch((error: unknown) => {
        failure = this.#asOurs(error as NodeJS.ErrnoException)
      })
      .then(() => {
        this.#busy = undefined
        done(failure)
      })
    this.#busy = busy
  }

  async #append(messages: readonly Uint8Array[]): Promise<void> {
    const { fd } = this.#file
    const start = this.#end
    let end = start
    let written = start
    let parts: Uint8Array[] = []
    const write = async (): Promise<void> => {
      const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts)
      parts = []
      await writeAt(fd, bytes, written)
      written += bytes.length
    }
    try {
      for (const message of messages) {
        const head = Buffer.allocUnsafe(headBytes)
        writeHead(head, message, end)
        end += headBytes + message.length
        parts.push(head)
        if (message.length > mostCopied) await write()
        parts.push(message)
        if (message.length > mostCopied) await write()
      }
      if (parts.length > 0) await write()
      if (this.#durable)
        await call((done) => {
          fs().fdatasync(fd, done)
        })
    } catch (error) {
      // What is half there would be a torn tail, which the next writer cuts off; better now.
      await call((done) => {
        fs().ftruncate(fd, start, done)
      }).catch(() => undefined)
      throw error
    }
    this.#end = end
  }

  #asOurs(error: NodeJS.ErrnoException): Error {
    const { code, syscall, errno } = error
    const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
    return new MillraceError(
      isFull ? 'ERR_MILLRACE_NO_SPACE' : 'ERR_MILLRACE_SYSTEM',
      `'${this.#file.address}' could not be written to (${error.message}): the messages that were being sent are not in it; ` +
        (isFull
          ? 'make room, and connect again'
          : 'see what is wrong with the disk, and connect again'),
      {
        cause: error,
        syscall,
        errno: errno === undefined ? undefined : Math.abs(errno),
        path: this.#file.path,
      },
    )
  }
}

/** All of it. */
export async function writeAt(fd: number, bytes: Uint8Array, offset: number): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    at += await new Promise<number>((resolve, reject) => {
      fs().write(fd, bytes, at, bytes.length - at, offset + at, (error, count) => {
        if (error) reject(error)
        else resolve(count)
      })
    })
  }
}

export function call(begin: (done: (error: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    begin((error) => {
      if (error) reject(error)
      else resolve()
    })
  })
}
