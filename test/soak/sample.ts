// What the kernel says a process holds.

import { readdirSync, readFileSync } from 'node:fs'

/** One look at one process. Memory in MiB. */
export interface Sample {
  /** Resident. */
  readonly rss: number
  /** The JavaScript heap after a collection. */
  readonly heap: number
  /** What JavaScript objects hold outside of the heap. */
  readonly external: number
  readonly descriptors: number
  readonly threads: number
  /** Entries of /proc/PID/maps. */
  readonly maps: number
}

const mebi = 2 ** 20

export function lookAt(
  pid: number,
  own: { readonly heap: number; readonly external: number },
): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(status)?.[1])
  return {
    rss: field('VmRSS') / 1024,
    heap: own.heap / mebi,
    external: own.external / mebi,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    threads: field('Threads'),
    maps: readFileSync(`/proc/${pid}/maps`, 'utf8').split('\n').length - 1,
  }
}

/** Objects of this run in /dev/shm. */
export function objectsOfRun(run: string): string[] {
  return readdirSync('/dev/shm').filter((object) => object.includes(`soak-${run}-`))
}
