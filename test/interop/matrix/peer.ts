// Starts peers, and reads what they print.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext, TestFn } from 'ava'

import { buildLibrary, program } from '../../capi/support.js'
import { compileCxx, runProgram } from '../../support/cxx.js'
import type { Run } from '../../support/process.js'
import type { Random } from '../../support/random.js'
import { until } from '../../support/until.js'
import { patience } from './content.js'
import type { Language, Role } from './roles.js'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const peers = 'test/interop/matrix/peers'
const commands = new Map<Language, readonly string[]>()

/** Compiles what is to be compiled, before the first test of a file. */
export function withPeers(test: TestFn): void {
  test.before(async (t) => {
    t.timeout(1_200_000, 'the library and the peers are built')
    await buildLibrary()
    process.env['PYTHONPATH'] = join(root, 'python/src')
    process.env['PYTHONDONTWRITEBYTECODE'] = '1'
    const inC = await program(join(root, peers, 'peer.c'))
    commands.set('C', [inC])
    commands.set('C++', [await compileCxx(`${peers}/peer.cpp`, ['-O0'])])
    commands.set('Python', [process.env['PYTHON'] ?? 'python3', join(root, peers, 'peer.py')])
    const inNode = fileURLToPath(new URL('./peers/peer.js', import.meta.url))
    commands.set('TypeScript', [process.execPath, inNode])
  })
  test.after.always(() => {
    rmSync(commands.get('C')?.[0] ?? '', { force: true })
  })
}

/** A peer that is ended with the test. */
export class Peer {
  readonly language: Language
  readonly #run: Run
  readonly #lines: string[] = []
  #looked = 0

  constructor(
    t: ExecutionContext,
    language: Language,
    role: Role,
    name: string,
    ...args: readonly (string | number)[]
  ) {
    const [command, ...before] = commands.get(language)!
    this.language = language
    this.#run = runProgram(t, command!, [...before, role, name, ...args.map(String)])
  }

  /** What it has printed: the whole lines, without the point that ends each. */
  get lines(): readonly string[] {
    const all = this.#run.lines
    for (; this.#looked < all.length; this.#looked++) {
      const line = all[this.#looked]!
      if (line.endsWith(' .')) this.#lines.push(line.slice(0, -2))
    }
    return this.#lines
  }

  /** The numbers that stand alone in a line. */
  get numbers(): number[] {
    return this.lines.filter((line) => /^\d+$/.test(line)).map(Number)
  }

  /** The last of them; undefined if there is none. */
  get last(): number | undefined {
    const line = this.lines.findLast((text) => /^\d+$/.test(text))
    return line === undefined ? undefined : Number(line)
  }

  count(line: string): number {
    return this.lines.filter((text) => text === line).length
  }

  /** Resolves when `condition` holds; rejects, with what it wrote to stderr, if it ends before that. */
  async until(condition: () => boolean): Promise<void> {
    let ending = ''
    void this.#run.ended(10 * patience).then(
      ({ code, signal }) => (ending = `${this.language} ended (${String(code ?? signal)})`),
      () => undefined,
    )
    try {
      await until(() => condition() || ending !== '', patience)
    } catch (error) {
      throw new Error(`${this.language}: ${String(error)}; ${this.#said()}`, { cause: error })
    }
    if (!condition()) throw new Error(`${ending}; ${this.#said()}`)
  }

  /** Resolves when it has printed so many lines. */
  async printed(count: number): Promise<void> {
    await this.until(() => this.lines.length >= count)
  }

  async said(line: string, times = 1): Promise<void> {
    await this.until(() => this.count(line) >= times)
  }

  /** Kills it at a place that nothing but chance decides. */
  async kill(chance?: Random): Promise<void> {
    // What it does takes microseconds: so it is killed anywhere in it.
    if (chance !== undefined) {
      const end = performance.now() + chance.below(1000) / 1000
      while (performance.now() < end);
    }
    const { code } = await this.#run.kill()
    if (code !== null) throw new Error(`it had ended (${String(code)}); ${this.#said()}`)
  }

  /** Its end, in good order. */
  async ended(t: ExecutionContext): Promise<void> {
    t.deepEqual(await this.#run.ended(patience), { code: 0, signal: null }, this.#run.stderr)
  }

  #said(): string {
    return `last lines: ${this.lines.slice(-3).join(', ')}; ${this.#run.stderr}`
  }
}

export const upTo = (count: number, first = 0): number[] =>
  Array.from({ length: count }, (_, i) => first + i)
