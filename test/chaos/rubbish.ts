// What a run leaves in /dev/shm.

import { closeSync, constants, openSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'

const sharedMemory = '/dev/shm'
const doorbell = /^millrace\.d\.[0-9a-f]{16}(\.new)?$/

/** Objects that came since the start of the run. */
export class Rubbish {
  readonly #tag: string
  readonly #bells = new Set(bells())

  /** `tag` is in the name of each object of this run. */
  constructor(tag: string) {
    this.#tag = tag
  }

  objects(): string[] {
    return readdirSync(sharedMemory).filter((name) => name.includes(this.#tag))
  }

  /**
   * Doorbells that nobody reads any more. One that no role tells of, because its owner died before it had a
   * role or after it, is swept by whoever makes the next one, an unfinished one after two seconds: `visit` does.
   */
  async untilSwept(visit: () => Promise<void>): Promise<string[]> {
    const end = performance.now() + 20_000
    for (;;) {
      const dead = bells().filter((name) => !this.#bells.has(name) && isDead(name))
      if (dead.length === 0 || performance.now() > end) return dead
      await pause(1000)
      await visit()
    }
  }
}

function bells(): string[] {
  return readdirSync(sharedMemory).filter((name) => doorbell.test(name))
}

/** Nobody has its read end open. */
function isDead(name: string): boolean {
  try {
    closeSync(openSync(join(sharedMemory, name), constants.O_WRONLY | constants.O_NONBLOCK))
    return false
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENXIO'
  }
}
