// Job (b): a film from one process to two.

import { formatBytes, formatNanoseconds } from '#lib/cli/quantities.js'
import { bytesPerSecond } from './file-job.js'
import { frameBytes } from './test-card.js'
import { percentiles } from './latencies.js'
import type { FrameTask, Outcome, Transport } from './roles.js'
import type { Show } from './show.js'

export const pacedFrames = 40
const pacedEveryMs = 50

export interface FrameFigures {
  /** Sent at full speed. */
  readonly frames: number
  readonly seconds: number
  /** Every frame counted once, although two readers get it. */
  readonly framesPerSecond: number
  readonly bytesPerSecond: number
  readonly viewed: number
  readonly p50: number
  readonly p99: number
}

export const pacedFrameWords = `${formatBytes(frameBytes)} frame, one every ${pacedEveryMs} ms`

export async function runFrameJob(
  show: Show,
  transport: Transport,
  options: { readonly frames: number; readonly sheet?: string },
): Promise<FrameFigures> {
  const { frames } = options
  const full = await play(show, { transport, ...options, everyMs: 0 })
  const paced = await play(show, {
    transport,
    frames: Math.min(frames, pacedFrames),
    everyMs: pacedEveryMs,
  })
  const [writer, checker, viewer] = full
  return {
    frames,
    seconds: (checker!.at - writer!.at) / 1e9,
    framesPerSecond: bytesPerSecond([writer!, checker!]) / frameBytes,
    bytesPerSecond: bytesPerSecond([writer!, checker!]),
    viewed: viewer!.messages,
    ...percentiles(paced[1]!.latenciesNs),
  }
}

function play(show: Show, task: Omit<FrameTask, 'role' | 'address'>): Promise<Outcome[]> {
  const { transport, frames, everyMs } = task
  const common = { ...task, address: show.address(transport) }
  const pace = everyMs > 0 ? `one every ${everyMs} ms` : 'full speed'
  return show.run(
    [
      { ...common, role: 'frame-writer' },
      { ...common, role: 'frame-checker' },
      { ...common, role: 'frame-viewer' },
    ],
    {
      label: `${frames} frames to two readers, ${pace}, ${transport}`,
      bytes: frames * frameBytes,
      judge: ([writer, checker, viewer]) => {
        const seconds = (checker!.at - writer!.at) / 1e9
        return everyMs > 0
          ? `p50 ${formatNanoseconds(percentiles(checker!.latenciesNs).p50)}`
          : `${(frames / seconds).toFixed(0)} frames/s, all correct; viewer saw ${viewer!.messages}`
      },
    },
  )
}
