// A file that is sent: written once for a measurement, so that it is in the page cache, and not zeroes.

import { randomFillSync } from 'node:crypto'
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const piece = Buffer.alloc(1 << 20)

/** Makes it, passes its path to `use`, and removes it. */
export async function withFile<T>(
  name: string,
  bytes: number,
  use: (path: string) => Promise<T>,
): Promise<T> {
  const path = join(tmpdir(), `${name}.file`)
  try {
    write(path, bytes)
    return await use(path)
  } finally {
    rmSync(path, { force: true })
  }
}

function write(path: string, bytes: number): void {
  randomFillSync(piece)
  const file = openSync(path, 'wx', 0o600)
  try {
    for (let at = 0; at < bytes;) {
      piece.writeDoubleLE(at)
      at += writeSync(file, piece, 0, Math.min(piece.length, bytes - at))
    }
  } finally {
    closeSync(file)
  }
}
