// Processor time of the two processes of a measurement, all threads. The other process is not asked, which would
// disturb it: the kernel is.

import { readdirSync, readFileSync } from 'node:fs'

/** Nanoseconds, as Linux counts them for each thread; `undefined` elsewhere. */
function cpuTimeOf(pid: number): number | undefined {
  try {
    let sum = 0
    for (const thread of readdirSync(`/proc/${String(pid)}/task`)) {
      const text = readFileSync(`/proc/${String(pid)}/task/${thread}/schedstat`, 'latin1')
      sum += Number.parseInt(text, 10)
    }
    return sum
  } catch {
    return undefined
  }
}

function ownCpuTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) * 1e3
}

/** Counts from its construction on. */
export class CpuTime {
  readonly #follower: number
  readonly #own = ownCpuTime()
  readonly #others: number | undefined

  /** `follower`: its process id; 0 if both sides are threads of this process. */
  constructor(follower: number) {
    this.#follower = follower
    this.#others = follower === 0 ? 0 : cpuTimeOf(follower)
  }

  per(units: number): { cpu?: [number, number] } {
    const own = ownCpuTime() - this.#own
    if (this.#follower === 0) return { cpu: [own / units, 0] }
    const others = cpuTimeOf(this.#follower)
    if (others === undefined || this.#others === undefined) return {}
    return { cpu: [own / units, (others - this.#others) / units] }
  }
}
