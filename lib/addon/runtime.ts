// Which runtime this is.

/** Is this Node or Deno, whose engine is V8? */
export const runsOnV8 = !('bun' in process.versions)

/** Node itself: with libuv, and with all of its clean-up hooks. */
export const runsOnNode = runsOnV8 && !('deno' in process.versions)
