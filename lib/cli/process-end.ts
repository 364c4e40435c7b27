// How a command ends: exit codes, the one line that says what went wrong, signals and broken pipes.

import { heed } from './early-signals.js'
import { tellFailure, tellLog } from './telling.js'
import { UsageError } from './usage.js'

const interruptedCode = 130
const terminatedCode = 143
const brokenPipeCode = 141 // what a program dies with that writes to `head` for too long

/** Why a command's signal was aborted, if the user did it. */
class Interrupted extends Error {
  constructor(readonly by: 'SIGINT' | 'SIGTERM') {
    super(by)
  }
}

/**
 * If the user interrupted the command, ends the process by that same signal. No exit listener runs, so a
 * peer sees a death and not an orderly end; it also cleans up.
 */
export async function dieIfInterrupted(signal: AbortSignal): Promise<void> {
  const reason: unknown = signal.reason
  if (!(reason instanceof Interrupted)) return
  process.removeAllListeners(reason.by)
  process.kill(process.pid, reason.by)
  await new Promise((never) => setTimeout(never, 10_000))
}

/**
 * Runs a command and ends the process with its exit code. SIGINT, SIGTERM and a reader of our output that
 * went away abort the command's signal, so that it can leave its channels in good order; a second one
 * ends the process at once. A command that has an exit code of its own ends with that, also after a signal.
 */
export async function runCommand(
  command: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const abort = new AbortController()
  let stopCode: number | undefined
  const stop = (code: number, reason?: Interrupted) => {
    if (stopCode !== undefined) process.exit(stopCode)
    stopCode = code
    abort.abort(reason)
  }
  heed('SIGINT', () => {
    stop(interruptedCode, new Interrupted('SIGINT'))
  })
  heed('SIGTERM', () => {
    stop(terminatedCode, new Interrupted('SIGTERM'))
  })
  // Without listeners, a broken pipe would end in a stack trace.
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    stop(error.code === 'EPIPE' ? brokenPipeCode : 1)
  })
  process.stderr.on('error', () => undefined)

  let own: number | undefined
  const code = await command(abort.signal).then(
    (ended) => {
      if (typeof ended === 'number') own = ended
      return 0
    },
    (error: unknown) => (stopCode === undefined ? report(error) : 1),
  )
  // A write of nothing is done when everything before it is.
  const failed = stopCode === undefined ? await new Promise(writeNothing) : undefined
  const exitCode = own ?? stopCode ?? (isBrokenPipe(failed) ? brokenPipeCode : code)
  tellLog('info', { event: 'stopped', code: exitCode }, `ends with ${String(exitCode)}`)
  // Input that nobody reads any more would keep the process alive.
  process.exit(exitCode)
}

function writeNothing(written: (failed: unknown) => void): void {
  process.stdout.write('', written)
}

/** Whoever waits for a write hears of it before the listeners of the stream do. */
function isBrokenPipe(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | null | undefined)?.code === 'EPIPE'
}

function report(error: unknown): number {
  if (isBrokenPipe(error)) return brokenPipeCode
  if (error instanceof UsageError) {
    process.stderr.write(`millrace: ${error.message} (see 'millrace --help')\n`)
    return 2
  }
  tellFailure(error)
  return 1
}
