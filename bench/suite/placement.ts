// Where the two processors are that measurements run on. A virtual machine's are moved by its host, within seconds, between
// two threads of one core, two cores with a cache in common, and two without: what passes between them is then ten times
// slower or faster. So a cache line that two processes pass to and fro tells before and after each measurement.

import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

import { followerCore, pinned, spinningCores } from './pinning.js'
import { programPath } from './programs.js'

/** `unknown`: nothing can be pinned here, so nobody can tell. */
export type Placement = 'same core' | 'near' | 'far' | 'unknown'

export const placements: readonly Placement[] = ['same core', 'near', 'far', 'unknown']

/** Nanoseconds there and back, below which they share a core, and below which a cache. */
const sameCoreBelow = 70
const nearBelow = 300
const [warmUpMs, stretchMs] = [2, 8]

export function placementOf(nanoseconds: number): Placement {
  if (nanoseconds < sameCoreBelow) return 'same core'
  return nanoseconds < nearBelow ? 'near' : 'far'
}

/** Takes some 15 ms. */
export async function lookAtPlacement(): Promise<Placement> {
  if (spinningCores === 'unpinned') return 'unknown'
  const [command = '', ...before] = pinned(spinningCores)
  const probe = [...before, programPath('millrace_bench_limits'), 'cache-line', '8']
  const { stdout } = await promisify(execFile)(
    command,
    [...probe, String(warmUpMs), String(stretchMs)],
    { env: { ...process.env, FOLLOWER_CORE: String(followerCore(spinningCores)) } },
  )
  const { p50 } = JSON.parse(stdout) as { p50: number }
  return placementOf(p50)
}
