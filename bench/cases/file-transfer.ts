// A file from one process to another, as `millrace demo` sends it: through a queue and over a Unix socket, in turn, fresh
// processes for each transfer. From the first byte sent to the last one taken; with `hash`, SHA-256 at both ends.

import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { run } from '../../demo/company.js'
import { assertSameFile } from '../../demo/digest-check.js'
import type { FileTask, Transport } from '../../demo/roles.js'
import { withFile } from '../side/big-file.js'
import { checked, Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const watchdogMs = 30_000
/** Of the file; what a transfer carries is a multiple of it. */
const fileBytes = 100_000_000
const transports: readonly Transport[] = ['millrace', 'socket']

export async function lead(parameters: Parameters): Promise<Measured> {
  const { name, bytes, hash = false, check, count } = parameters
  return await withFile(name, fileBytes, async (file) => {
    let transfers = 0
    const transfer = async (transport: Transport, stopwatch: Stopwatch) => {
      const own = `${name}.${String(transfers++)}`
      stopwatch.record(
        await nanoseconds({
          transport,
          address: transport === 'millrace' ? own : join(tmpdir(), `${own}.sock`),
          file,
          size: fileBytes,
          rounds: bytes / fileBytes,
          hash: hash || check,
        }),
      )
    }
    const ours = new Stopwatch()
    const sockets = new Stopwatch()
    for (let i = 0; i < (check ? 1 : count); i++) {
      for (const transport of transports) {
        await transfer(transport, transport === 'millrace' ? ours : sockets)
      }
    }
    return check ? checked : { ...ours.whole(), parts: { socket: sockets.whole() } }
  })
}

async function nanoseconds(task: Omit<FileTask, 'role'>): Promise<number> {
  const [sent, received] = await run(
    [
      { role: 'file-sender', ...task },
      { role: 'file-receiver', ...task },
    ],
    { signal: new AbortController().signal, watchdogMs, onProgress: () => undefined },
  )
  const [there, here] = [sent!, received!].map(({ bytes, sha256 = '' }) => ({ bytes, sha256 }))
  assertSameFile(there!, here!)
  return received!.at - sent!.at
}
