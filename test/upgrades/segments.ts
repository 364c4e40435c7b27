// Segments that another version of the library made, put under a name of today; and somebody who holds a place on them,
// so that they count as in use. Fixtures come from scripts/layout-fixture.mjs.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import type { ExecutionContext } from 'ava'

import { uniqueName } from '../support/names.js'

const letters = { queue: 'q', frames: 'f' } as const
export type Kind = keyof typeof letters

/** Offsets that are the same in every version, see ARCHITECTURE.md. */
export const offsets = { major: 8, minor: 10, name: 192, nameEnd: 448 } as const

export interface Planted {
  readonly name: string
  readonly path: string
}

/** Writes the fixture under a new name, which its header gets, too; `change` may do more to it. */
export function plant(
  t: ExecutionContext,
  version: string,
  kind: Kind,
  change?: (bytes: Buffer) => void,
): Planted {
  const fixture = new URL(`../../../test/fixtures/layout/${version}-${kind}.gz`, import.meta.url)
  return plantBytes(t, letters[kind], gunzipSync(readFileSync(fixture)), change)
}

/** The same with the bytes of a segment of that letter. */
export function plantBytes(
  t: ExecutionContext,
  letter: string,
  bytes: Buffer,
  change?: (bytes: Buffer) => void,
): Planted {
  const name = uniqueName(t, { mayLeave: change !== undefined })
  bytes.fill(0, offsets.name, offsets.nameEnd).write(name, offsets.name)
  change?.(bytes)
  const path = `/dev/shm/millrace.${letter}.${name}`
  writeFileSync(path, bytes, { mode: 0o600 })
  return { name, path }
}

/** The bytes after the name that no version has used yet, and those beside the fingerprint. */
export function fromTheFuture(bytes: Buffer): void {
  bytes.writeUInt16LE(99, offsets.minor)
  bytes.fill(0xa5, 32, 64)
  bytes.fill(0xa5, 112, 128)
  bytes.fill(0xa5, 456, 512)
}

/**
 * Holds the place with that number as a living process of any version would: by an open-file-description lock on
 * byte 1 + role. The function returned lets go, as if it had died.
 */
export async function occupy(
  t: ExecutionContext,
  path: string,
  role: number,
): Promise<() => Promise<void>> {
  const setLock = 37 // F_OFD_SETLK, which Python has no name for
  const script = [
    'import fcntl, os, struct, sys',
    'f = os.open(sys.argv[1], os.O_RDWR)',
    `fcntl.fcntl(f, ${setLock}, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 1 + int(sys.argv[2]), 1, 0))`,
    'print("held", flush=True)',
    'sys.stdin.read()',
  ].join('\n')
  const python = spawn('python3', ['-c', script, path, String(role)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(python, 'exit')
  const leave = async () => {
    python.stdin.end()
    await exited
  }
  t.teardown(leave)
  await Promise.race([
    once(python.stdout, 'data'),
    exited.then(() => {
      throw new Error('could not take the lock')
    }),
  ])
  return leave
}
