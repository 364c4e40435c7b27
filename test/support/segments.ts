// Nonsense in shared memory, written as a hostile peer would: through the file that a segment is on Linux.

import { closeSync, openSync, readSync, writeSync } from 'node:fs'

/** Reads the 64-bit word at `offset` of the object `millrace.LETTER.NAME`. */
export function peekWord(letter: string, name: string, offset: number): bigint {
  return withFile(letter, name, 'r', (file) => {
    const word = Buffer.alloc(8)
    readSync(file, word, 0, 8, offset)
    return word.readBigUInt64LE()
  })
}

/** Overwrites it. */
export function pokeWord(letter: string, name: string, offset: number, value: bigint): void {
  withFile(letter, name, 'r+', (file) => {
    const word = Buffer.alloc(8)
    word.writeBigUInt64LE(value)
    writeSync(file, word, 0, 8, offset)
  })
}

function withFile<T>(letter: string, name: string, flags: string, use: (file: number) => T): T {
  const file = openSync(`/dev/shm/millrace.${letter}.${name}`, flags)
  try {
    return use(file)
  } finally {
    closeSync(file)
  }
}
