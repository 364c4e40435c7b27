// Where the processes of a row run.

import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

import type { Cores } from './row.js'

const canPin =
  process.platform === 'linux' && spawnSync('taskset', ['-c', '0', 'true']).status === 0

/**
 * Where sides that spin are compared: each on a core of its own, if they can be pinned. Left alone, they may share one
 * for a while if the machine does anything else, and then time slices are measured.
 */
export const spinningCores: Cores = canPin && availableParallelism() >= 2 ? 'two cores' : 'unpinned'

/** What pinned rows are called besides their name. */
export const suffix = (cores: Cores) => (cores === 'unpinned' ? '' : ` (${cores})`)

/** Why rows cannot be measured on such cores here; `undefined` if they can. */
export function cannotPin(cores: Cores): string | undefined {
  if (cores === 'unpinned') return undefined
  if (!canPin) return 'there is no taskset to pin processes with'
  if (cores === 'two cores' && availableParallelism() < 2) return 'there is one core only'
  return undefined
}

/** What stands before the command of the leading process. */
export function pinned(cores: Cores): readonly string[] {
  return cores === 'unpinned' ? [] : ['taskset', '-c', '0']
}

export function followerCore(cores: Cores): number | undefined {
  if (cores === 'unpinned') return undefined
  return cores === 'one core' ? 0 : 1
}
