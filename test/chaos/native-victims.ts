// The process that makes C++ victims and kills them; see victims.cpp.

import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

import { compileCxx } from '../support/cxx.js'
import { expect, hangMs } from './arena.js'
import { within } from '../support/until.js'

export interface Death {
  readonly at: bigint
  /** The crash point, or `killed`. */
  readonly how: string
}

export class NativeVictims {
  readonly #child: ChildProcess
  readonly #lines: AsyncIterator<string, undefined>

  private constructor(child: ChildProcess) {
    this.#child = child
    this.#lines = createInterface(child.stdout!)[Symbol.asyncIterator]()
  }

  static async start(ledger: string, seed: number): Promise<NativeVictims> {
    const program = await compileCxx('test/chaos/victims.cpp', ['-DMILLRACE_CRASH_POINTS'])
    return new NativeVictims(
      spawn(program, [ledger, String(seed)], { stdio: ['pipe', 'pipe', 'inherit'] }),
    )
  }

  /** One that dies within about `microseconds`. */
  async kill(
    how: 'kill' | 'point',
    kind: string,
    side: string,
    place: string,
    microseconds: number,
  ): Promise<Death> {
    this.#tell(`${how} ${kind} ${side} ${place} ${microseconds}`)
    return await this.#death()
  }

  /** One that is stopped first, as long as `meanwhile` takes. */
  async stop(
    kind: string,
    side: string,
    place: string,
    microseconds: number,
    meanwhile: (pid: number) => Promise<void>,
  ): Promise<Death> {
    this.#tell(`stop ${kind} ${side} ${place} ${microseconds}`)
    const [, pid] = await this.#answer()
    await meanwhile(Number(pid))
    this.#tell('go')
    return await this.#death()
  }

  /** One that lives as long as this process; resolves with how it ended nevertheless. */
  async watch(kind: string, side: string, place: string): Promise<string> {
    this.#tell(`kill ${kind} ${side} ${place} ${2 ** 40}`)
    const { value } = await this.#lines.next()
    expect(value !== undefined, 'the maker of victims has ended')
    return value
  }

  /** With the victim, which is killed as well. */
  async endNow(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.kill('SIGKILL')
    await ended
  }

  async end(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('close', resolve))
    this.#child.stdin!.end()
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 5000)
    await ended
    clearTimeout(timer)
  }

  #tell(line: string): void {
    this.#child.stdin!.write(`${line}\n`)
  }

  async #death(): Promise<Death> {
    const [, , at, ...how] = await this.#answer()
    expect(how[0] !== 'exit', `a victim ended by itself: ${how.join(' ')}`)
    return { at: BigInt(at!), how: how.join(' ') }
  }

  async #answer(): Promise<string[]> {
    const line = await within(2 * hangMs, this.#lines.next())
    expect(line.done !== true, 'the maker of victims has ended')
    return line.value.split(' ')
  }
}
