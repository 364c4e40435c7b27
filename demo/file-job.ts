// Job (a): a file from one process to another.

import { formatBytes, formatNanoseconds } from '#lib/cli/quantities.js'
import { assertSameFile } from './digest-check.js'
import { percentiles } from './latencies.js'
import type { Outcome, Transport } from './roles.js'
import type { Show } from './show.js'
import { chunkBytes } from './transports.js'

const pacedChunks = 400
const pacedEveryMs = 2
/** A run of a few milliseconds would measure nothing. */
const enoughBytes = 1e9
const mostRounds = 10

export interface FileToSend {
  readonly path: string
  readonly size: number
}

export interface FileFigures {
  /** Bytes per second. */
  readonly hashed: number
  readonly plain: number
  readonly p50: number
  readonly p99: number
  readonly sha256: string
}

export const pacedFileWords = `${formatBytes(chunkBytes)} chunk, one every ${pacedEveryMs} ms`

export async function runFileJob(
  show: Show,
  transport: Transport,
  file: FileToSend,
): Promise<FileFigures> {
  const hashed = await transfer(show, transport, file, { rounds: 1, hash: true })
  const rounds = Math.min(mostRounds, Math.max(1, Math.ceil(enoughBytes / file.size)))
  const plain = await transfer(show, transport, file, { rounds, hash: false })
  const latency = await pace(show, transport, file)
  return {
    hashed: bytesPerSecond(hashed),
    plain: bytesPerSecond(plain),
    ...latency,
    sha256: hashed[1]?.sha256 ?? '',
  }
}

function transfer(
  show: Show,
  transport: Transport,
  file: FileToSend,
  how: { readonly rounds: number; readonly hash: boolean },
): Promise<Outcome[]> {
  const common = { transport, address: show.address(transport), file: file.path, size: file.size }
  const what = how.hash ? 'file, SHA-256 at both ends' : `file ${how.rounds} times, bytes only`
  return show.run(
    [
      { role: 'file-sender', ...common, ...how },
      { role: 'file-receiver', ...common, ...how },
    ],
    {
      label: `${what}, ${transport}`,
      bytes: file.size * how.rounds,
      judge: (outcomes) => {
        const [sent, received] = outcomes.map(({ bytes, sha256 = '' }) => ({ bytes, sha256 }))
        assertSameFile(sent!, received!)
        const verdict = how.hash ? ', identical' : ''
        return `${formatBytes(bytesPerSecond(outcomes))}/s${verdict}`
      },
    },
  )
}

async function pace(show: Show, transport: Transport, file: FileToSend) {
  const common = {
    transport,
    address: show.address(transport),
    file: file.path,
    chunkBytes: Math.min(chunkBytes, file.size),
    chunks: pacedChunks,
    everyMs: pacedEveryMs,
  }
  const [, received] = await show.run(
    [
      { role: 'paced-file-sender', ...common },
      { role: 'paced-file-receiver', ...common },
    ],
    {
      label: `chunks, one every ${pacedEveryMs} ms, ${transport}`,
      bytes: pacedChunks * common.chunkBytes,
      judge: ([, { latenciesNs } = noOutcome]) => {
        if (latenciesNs.length !== pacedChunks) {
          throw new Error(`${latenciesNs.length} of ${pacedChunks} chunks arrived`)
        }
        return `p50 ${formatNanoseconds(percentiles(latenciesNs).p50)}`
      },
    },
  )
  return percentiles(received!.latenciesNs)
}

const noOutcome: Pick<Outcome, 'latenciesNs'> = { latenciesNs: [] }

/** From the sender's first byte to the receiver's last. */
export function bytesPerSecond(outcomes: readonly Outcome[]): number {
  const [sent, received] = outcomes
  return (received!.bytes * 1e9) / (received!.at - sent!.at)
}
