// `millrace demo`: two jobs, each through shared memory and over a Unix domain socket, and a table.

import { statSync } from 'node:fs'
import { resolve } from 'node:path'
import { formatBytes, formatNanoseconds, parseCount } from '#lib/cli/quantities.js'
import { parseCommand, UsageError } from '#lib/cli/usage.js'
import { pacedFileWords, runFileJob, type FileToSend } from './file-job.js'
import { pacedFrames, pacedFrameWords, runFrameJob } from './frame-job.js'
import { Show } from './show.js'
import { formatTable } from './table.js'

const defaultFrames = '600'
/** A machine that takes longer for the frames sends fewer over the socket. */
const patienceSeconds = 6
const defaultSheet = 'millrace-demo.png'

export async function demo(args: readonly string[], signal: AbortSignal): Promise<void> {
  const parsed = parseCommand('demo', args, ['frames', 'out'])
  if (parsed === undefined) return
  const [path = process.execPath, extra] = parsed.positionals
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  const frames = parseCount('--frames', parsed.values.frames ?? defaultFrames, 1, 9999)
  const sheet = resolve(parsed.values.out ?? defaultSheet)
  const file = fileToSend(path)
  using show = new Show(signal)

  print(`\nmillrace demo: the same work through shared memory and over a Unix domain socket.`)
  print('Every sender and every receiver is a process of its own. All of them wait, none spins.\n')

  print(`1. ${file.path} (${formatBytes(file.size)}) from one process to another`)
  const files = {
    millrace: await runFileJob(show, 'millrace', file),
    socket: await runFileJob(show, 'socket', file),
  }
  print(`\n2. ${frames} frames of 1920x1080 RGBA, drawn by one process, to two readers:`)
  print('   one compares every byte with a drawing of its own, one looks at the newest at 30 Hz')
  const ours = await runFrameJob(show, 'millrace', { frames, sheet })
  const socketFrames = Math.min(frames, Math.ceil((frames * patienceSeconds) / ours.seconds))
  if (socketFrames < frames) print(`  (the socket gets ${socketFrames} frames only, to save time)`)
  const films = {
    millrace: ours,
    socket: await runFrameJob(show, 'socket', { frames: socketFrames }),
  }

  print('')
  process.stdout.write(
    formatTable([
      ['', 'millrace', 'socket', 'millrace is'],
      throughputRow('file, SHA-256 at both ends', files.millrace.hashed, files.socket.hashed),
      throughputRow('file, bytes only', files.millrace.plain, files.socket.plain),
      latencyRow(`${pacedFileWords}: p50`, files.millrace.p50, files.socket.p50),
      latencyRow('  p99', files.millrace.p99, files.socket.p99),
      throughputRow(
        'frames, drawn and checked',
        films.millrace.bytesPerSecond,
        films.socket.bytesPerSecond,
      ),
      framesRow(films.millrace.framesPerSecond, films.socket.framesPerSecond),
      latencyRow(`${pacedFrameWords}: p50`, films.millrace.p50, films.socket.p50),
      latencyRow(
        `  p99 (of ${Math.min(frames, pacedFrames)}: the slowest)`,
        films.millrace.p99,
        films.socket.p99,
      ),
    ]),
  )
  print('\nThroughput: from the first byte sent to the last one taken, with the work at both ends.')
  print('Latency: from publishing to having all of it, the receiver waiting in its event loop')
  print('and checking nothing but the order.')
  print(`SHA-256 at both ends: ${files.millrace.sha256}`)
  print(`All ${frames} frames arrived in order and correct. What arrived: ${sheet}`)
}

function fileToSend(path: string): FileToSend {
  const facts = statSync(path)
  if (!facts.isFile()) throw new Error(`${path} is not a regular file`)
  if (facts.size === 0) throw new Error(`${path} is empty: there is nothing to measure`)
  return { path: resolve(path), size: facts.size }
}

function throughputRow(label: string, ours: number, socket: number): string[] {
  return [label, `${formatBytes(ours)}/s`, `${formatBytes(socket)}/s`, compared(ours / socket)]
}

function framesRow(ours: number, socket: number): string[] {
  return ['  frames per second', ours.toFixed(0), socket.toFixed(0), '']
}

function latencyRow(label: string, ours: number, socket: number): string[] {
  return [label, formatNanoseconds(ours), formatNanoseconds(socket), compared(socket / ours)]
}

function compared(factor: number): string {
  if (factor > 0.95 && factor < 1.05) return 'about the same'
  return factor >= 1 ? `${factor.toFixed(1)}x better` : `${(1 / factor).toFixed(1)}x worse`
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
