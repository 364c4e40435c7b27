// Node victims: started ahead, so that a death costs no start.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { monotonicNow } from 'millrace'

import { within } from '../support/until.js'
import { expect, hangMs } from './arena.js'
import type { Death } from './native-victims.js'
import type { Part } from './node-victim.js'

const program = fileURLToPath(new URL('./node-victim.js', import.meta.url))

export class NodeVictims {
  readonly #spares: ChildProcess[] = []
  readonly #count: number

  constructor(count: number) {
    this.#count = count
    this.#refill()
  }

  /** One that plays its part for `milliseconds`; stopped in between, as long as `meanwhile` takes. */
  async kill(
    part: Part,
    milliseconds: number,
    meanwhile?: (pid: number) => Promise<void>,
  ): Promise<Death> {
    const victim = this.#spares.shift() ?? start()
    this.#refill()
    const ended = once(victim, 'exit')
    try {
      const playing = once(victim, 'message')
      victim.send(part)
      await within(hangMs, Promise.race([playing, ended]))
      await pause(milliseconds)
      if (meanwhile !== undefined && victim.exitCode === null) {
        victim.kill('SIGSTOP')
        await meanwhile(victim.pid!)
        victim.kill('SIGCONT')
        await pause(milliseconds)
      }
    } finally {
      victim.kill('SIGKILL')
    }
    const at = monotonicNow()
    await within(hangMs, ended)
    expect(victim.exitCode === null, `a Node victim ended by itself with ${victim.exitCode}`)
    return { at, how: 'killed' }
  }

  /** Has a process make a doorbell and leave. */
  static async visit(name: string): Promise<void> {
    const visitor = start()
    const ended = once(visitor, 'exit')
    visitor.send({ kind: 'visit', side: '', place: name, ledger: '' } satisfies Part)
    await within(hangMs, ended)
  }

  async end(): Promise<void> {
    await Promise.all(
      this.#spares.splice(0).map(async (spare) => {
        const ended = once(spare, 'exit')
        spare.kill('SIGKILL')
        await ended
      }),
    )
  }

  #refill(): void {
    while (this.#spares.length < this.#count) this.#spares.push(start())
  }
}

function start(): ChildProcess {
  return fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}
