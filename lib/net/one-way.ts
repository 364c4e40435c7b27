// Streams that go one way, made of functions.

import type { Duplex, DuplexOptions } from 'node:stream'

export type Done = (error?: Error | null) => void

const stream = (): typeof import('node:stream') => process.getBuiltinModule('node:stream')

/** What is only read. */
export function inward(asked: () => void, destroyed: (done: () => void) => void): Duplex {
  return new (stream().Duplex)({
    writable: false,
    read: asked,
    destroy(error, done) {
      destroyed(() => {
        done(error)
      })
    },
  } as DuplexOptions)
}

/** What is only written: all that waits is written in one call. */
export function outward(
  write: (chunks: readonly Buffer[], done: Done) => void,
  final: (done: Done) => void,
  destroyed: (done: () => void) => void,
): Duplex {
  return new (stream().Duplex)({
    readable: false,
    write(chunk: Buffer, _encoding, done) {
      write([chunk], done)
    },
    writev(chunks, done) {
      write(
        chunks.map(({ chunk }) => chunk as Buffer),
        done,
      )
    },
    final,
    destroy(error, done) {
      destroyed(() => {
        done(error)
      })
    },
  } as DuplexOptions)
}
