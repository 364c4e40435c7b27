// Standard input and output by descriptor.

import { fstatSync, read, write } from 'node:fs'
import { isatty } from 'node:tty'
import { promisify } from 'node:util'

const readBytes = promisify(read)
const writeBytes = promisify(write)

/**
 * Pipes, sockets and terminals can keep a reader waiting for ever. They are left to Node's streams, which
 * wait in the event loop: a thread of the pool that waits in read() cannot be interrupted, and keeps the
 * process from ending.
 */
export function isStream(fd: number): boolean {
  const facts = fstatSync(fd)
  return facts.isFIFO() || facts.isSocket() || isatty(fd)
}

/** Fills `target` as far as the file goes; returns how far. */
export async function readInto(fd: number, target: Uint8Array): Promise<number> {
  let filled = 0
  while (filled < target.length) {
    const { bytesRead } = await readBytes(fd, target, filled, target.length - filled, null)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

export async function writeAll(fd: number, source: Uint8Array): Promise<void> {
  let written = 0
  while (written < source.length) {
    const { bytesWritten } = await writeBytes(fd, source, written, source.length - written, null)
    written += bytesWritten
  }
}
