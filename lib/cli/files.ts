// Standard input and output by descriptor.

import { fstatSync, readSync, writeSync } from 'node:fs'
import { isatty } from 'node:tty'

/**
 * Pipes, sockets and terminals can keep a reader waiting for ever. They are left to Node's streams, which
 * wait in the event loop: a thread of the pool that waits in read() cannot be interrupted, and keeps the
 * process from ending.
 */
export function isStream(fd: number): boolean {
  const facts = fstatSync(fd)
  return facts.isFIFO() || facts.isSocket() || isatty(fd)
}

/**
 * Fills `target` as far as the file goes; returns how far. At once, as `writeAll`: where a file can be had without waiting for
 * somebody, a thread of the pool and back would take as long as the bytes.
 */
export function readInto(fd: number, target: Uint8Array): number {
  let filled = 0
  while (filled < target.length) {
    const bytesRead = readSync(fd, target, filled, target.length - filled, null)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return filled
}

export function writeAll(fd: number, source: Uint8Array): void {
  let written = 0
  while (written < source.length) {
    written += writeSync(fd, source, written, source.length - written, null)
  }
}
