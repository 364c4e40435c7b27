// Programs in other languages that open the same objects: each is told what to do line by line and
// answers line by line. A missing compiler or interpreter fails the test with a message that says so.

import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

import { tool } from '../support/cxx.js'
import { within } from '../support/until.js'

export type Language = 'C' | 'Python'
export const languages: readonly Language[] = ['C', 'Python']

const patience = 30_000
const fixture = (name: string) =>
  fileURLToPath(new URL(`../../../test/interop/fixtures/${name}`, import.meta.url))

/** As node-gyp finds them. */
const compiler = process.env['CC'] ?? 'cc'
const python = process.env['PYTHON'] ?? 'python3'

export class Peer {
  readonly #child: ChildProcess
  readonly #answers: AsyncIterator<string, undefined>
  readonly #ended: Promise<string>
  #stderr = ''

  constructor(command: string, args: readonly string[]) {
    this.#child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child.stdin!.on('error', () => undefined) // it ended; the missing answer tells
    this.#child.stderr!.on('data', (text: Buffer) => {
      this.#stderr += text.toString()
    })
    this.#answers = createInterface(this.#child.stdout!)[Symbol.asyncIterator]()
    this.#ended = new Promise((resolve) => {
      this.#child.on('error', (error) => {
        resolve(error.message)
      })
      this.#child.on('close', (code, signal) => {
        resolve(String(code ?? signal))
      })
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Sends one command and returns the answer to it. */
  async ask(command: string): Promise<string> {
    this.#child.stdin!.write(`${command}\n`)
    const answer = await within(patience, this.#answers.next())
    if (answer.done === true) throw new Error(`${command}: ${await this.#ended}\n${this.#stderr}`)
    return answer.value
  }

  /** Lets it end in good order; its exit code or signal. */
  async end(): Promise<string> {
    this.#child.stdin!.end()
    return await within(patience, this.#ended)
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL')
    await within(patience, this.#ended)
  }
}

/** A running program of that language, ended with the test. */
export async function startPeer(t: ExecutionContext, language: Language): Promise<Peer> {
  const peer =
    language === 'C'
      ? new Peer(await compileC(fixture('peer.c')), [])
      : new Peer(python, [await pythonProgram(fixture('peer.py'))])
  t.teardown(() => peer.kill())
  return peer
}

/** Runs a Python program to its end; returns what it printed. */
export async function runPython(program: string, args: readonly string[] = []): Promise<string> {
  return await tool(python, [await pythonProgram(program), ...args], '')
}

async function pythonProgram(path: string): Promise<string> {
  await tool(python, ['--version'], 'install Python 3, or set PYTHON')
  return path
}

const programs = new Map<string, Promise<string>>()

/** The program compiled from that file, once per test process. */
export function compileC(source: string): Promise<string> {
  const known = programs.get(source) ?? compile(source)
  programs.set(source, known)
  return known
}

async function compile(source: string): Promise<string> {
  await tool(compiler, ['--version'], 'install gcc or clang, or set CC')
  const directory = mkdtempSync(join(tmpdir(), 'millrace-interop-'))
  process.once('exit', () => {
    rmSync(directory, { recursive: true, force: true })
  })
  const program = join(directory, 'program')
  // -lrt: where shm_open is not in libc itself (before glibc 2.34).
  const libraries = process.platform === 'linux' ? ['-lrt'] : []
  await tool(
    compiler,
    ['-O1', '-Wall', '-Werror', '-pthread', source, '-o', program, ...libraries],
    '',
  )
  return program
}
