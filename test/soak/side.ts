// One process of the soak: runs its part of each load at the same time, tells how much memory it has when asked, and
// what it counted when it is told to stop.
//   node --expose-gc side.js PROCESS RUN LOAD...

import { setMaxListeners } from 'node:events'

import { offBeat } from '../support/beat.js'
import type { Counts } from './load.js'
import { loads } from './loads/all.js'

/** What this process alone can say of itself; in bytes. */
export interface Heap {
  readonly heap: number
  readonly external: number
}

export type Told =
  | { readonly heap: Heap }
  | { readonly counts: Readonly<Record<string, Counts>> }
  | { readonly failed: string }

const [processName = '', run = '', ...names] = process.argv.slice(2)
const controller = new AbortController()
const { signal } = controller
setMaxListeners(0, signal)

function tell(told: Told): void {
  process.send?.(told)
}

process.on('message', (order) => {
  if (order === 'stop') {
    controller.abort()
  } else {
    offBeat(() => {
      globalThis.gc?.()
      globalThis.gc?.() // the first one leaves array buffers to be freed in the background
    })
    const { heapUsed: heap, external } = process.memoryUsage()
    tell({ heap: { heap, external } })
  }
})

async function runPart(load: string): Promise<readonly [string, Counts]> {
  const part = loads[load]!.parts[processName]!
  try {
    const counts = await part({
      name: (what) => `soak-${run}-${load}-${what}`,
      signal,
      over: () => signal.aborted,
    })
    return [load, counts]
  } catch (error) {
    throw new Error(`${load}, in process '${processName}'`, { cause: error })
  }
}

try {
  tell({ counts: Object.fromEntries(await Promise.all(names.map(runPart))) })
  process.disconnect()
} catch (error) {
  const { message, cause } = error as Error
  const why = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
  tell({ failed: `${message}: ${why}` })
}
