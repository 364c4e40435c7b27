// The addon itself: loads it, and starts the two services that everything above needs: wake-ups from the doorbell, and
// closing all channels when the process exits.

import { MillraceError, type ErrorCode } from '../errors.js'
import type { Addon } from './addon.js'
import { findAddon, load } from './binary.js'
import { tellThatWeAreLeaving, tellThatWeLeft } from './leaving.js'
import { runsOnNode, runsOnV8 } from './runtime.js'
import { wake } from './wake-ups.js'

export const native = load(process.platform, process.arch, findAddon) as Addon

const tokens = native.configure({
  makeError: (code, message, syscall, errno, path) =>
    new MillraceError(`ERR_MILLRACE_${code}` as ErrorCode, message, { syscall, errno, path }),
  onWake: (count) => {
    wake(count, tokens)
  },
  uv: runsOnNode,
})

let left = false

// On process.exit() and uncaught exceptions native clean-up hooks do not run; this listener does. No
// signal handler is installed: what a killed process leaves is cleaned by the next start. Listeners that come after ours
// find every handle closed and every view empty: the roles may have been taken by others already.
process.on('exit', (code) => {
  left = true
  tellThatWeAreLeaving()
  // A listener before ours may have set another one than the one that all are told.
  native.closeAll(failureOf(process.exitCode ?? code))
  tellThatWeLeft()
})

// Deno does not emit 'exit' when an exception ends the process; it only runs native clean-up hooks.
if (runsOnV8 && !runsOnNode) {
  process.on('uncaughtExceptionMonitor', () => {
    native.failAtEnd('process ended by an uncaught exception')
  })
}

/** Who ends with another exit code than 0 with a side still open has not come to the end of what it had to send. */
function failureOf(code: unknown): string | undefined {
  const number = Number(code ?? 0) // whoever sets process.exitCode may set text
  if ((number & 0xff) === 0) return undefined // the system keeps 8 bits of it
  const { isMainThread } = process.getBuiltinModule('node:worker_threads')
  return `${isMainThread ? 'process' : 'worker'} ended with exit code ${String(number)}`
}

/**
 * Has this process left all channels, because it exits? Listeners that come after ours still run, and the memory is still
 * there; it is somebody else's by now.
 */
export function hasLeft(): boolean {
  return left
}
