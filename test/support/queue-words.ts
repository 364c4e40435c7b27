// The words of a queue in shared memory, read and written through the file that it is on Linux.

import { closeSync, openSync, readSync, writeSync } from 'node:fs'

// native/include/millrace/layout/queue.hpp: control page, then the ring.
const page = 4096
export const producerPosition = page
export const sent = page + 8
export const consumerPosition = page + 128
export const received = page + 136
/** With the word behind it, which says whether a sleeper needs a full fence. */
export const consumerParked = page + 256
export const producerParked = page + 384
export const ring = page * 2

export function overwrite(name: string, offset: number, value: bigint): void {
  const file = openSync(`/dev/shm/millrace.q.${name}`, 'r+')
  try {
    const word = Buffer.alloc(8)
    word.writeBigUInt64LE(value)
    writeSync(file, word, 0, 8, offset)
  } finally {
    closeSync(file)
  }
}

export function peek(name: string, offset: number): bigint {
  const file = openSync(`/dev/shm/millrace.q.${name}`, 'r')
  try {
    const word = Buffer.alloc(8)
    readSync(file, word, 0, 8, offset)
    return word.readBigUInt64LE()
  } finally {
    closeSync(file)
  }
}
