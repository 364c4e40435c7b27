// Python victims: where there is a Python, and the library of the C interface was built. Started ahead, as those of Node are.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { monotonicNow } from 'millrace'

import { within } from '../support/until.js'
import { expect, hangMs } from './arena.js'
import type { Death } from './native-victims.js'
import type { Part } from './node-victim.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const python = process.env['PYTHON'] ?? 'python3'
const environment = {
  ...process.env,
  PYTHONPATH: join(root, 'python/src'),
  PYTHONDONTWRITEBYTECODE: '1',
}

/** What the program has parts for. */
const kinds = [
  'queue',
  'frames',
  'cell',
  'mutex',
  'rwlock',
  'event',
  'counter',
  'semaphore',
  'memory',
  'topics',
  'work',
  'work-lease',
  'work-file',
  'work-disk',
]
/** A consumer of a queue must look before it takes, to tell what it had in hand: Python's takes. Nor takes Python jobs ahead. */
const withoutPython = ['consumer', 'batcher']

export class PythonVictims {
  #spare: ChildProcess | undefined

  /** Undefined where there is no Python that finds the library. */
  static find(): PythonVictims | undefined {
    if (!existsSync(join(root, 'build-capi/lib'))) return undefined
    const { status } = spawnSync(python, ['-c', 'import millrace'], {
      stdio: 'ignore',
      env: environment,
    })
    return status === 0 ? new PythonVictims() : undefined
  }

  plays(kind: string, side: string): boolean {
    return kinds.includes(kind) && !withoutPython.includes(side)
  }

  /** One that plays its part for `milliseconds`. */
  async kill(part: Part, milliseconds: number): Promise<Death> {
    const victim = this.#spare ?? start()
    this.#spare = start()
    const ended = once(victim, 'exit')
    try {
      const playing = once(victim.stdout!, 'data')
      victim.stdin!.write(`${JSON.stringify(part)}\n`)
      await within(hangMs, Promise.race([playing, ended]))
      await pause(milliseconds)
    } finally {
      victim.kill('SIGKILL')
    }
    const at = monotonicNow()
    await within(hangMs, ended)
    expect(victim.exitCode === null, `a Python victim ended by itself with ${victim.exitCode}`)
    return { at, how: 'killed' }
  }

  async end(): Promise<void> {
    const spare = this.#spare
    if (spare === undefined) return
    const ended = once(spare, 'exit')
    spare.kill('SIGKILL')
    await ended
  }
}

function start(): ChildProcess {
  return spawn(python, [join(root, 'test/chaos/python_victim.py')], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: environment,
  })
}
