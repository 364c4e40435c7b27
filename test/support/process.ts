// Other processes: started for one test, ended by their own pid with it, and never waited for without a
// deadline.

import { fork, type ChildProcess, type ForkOptions } from 'node:child_process'
import { constants, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'

import { within } from './until.js'

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

const patience = 20_000

/** A running fixture, or any other program. */
export class Run {
  readonly pid: number
  /** What it printed so far, line by line. */
  readonly lines: string[] = []
  /** What it printed to stderr so far. */
  stderr = ''
  readonly #child: ChildProcess
  readonly #messages: unknown[] = []
  readonly #ended: Promise<Ending>
  #wanting: ((message: unknown) => void) | undefined
  /** Look at `lines` again: there is one more. */
  readonly #onLine = new Set<() => void>()
  #doorbells: string[] = []

  constructor(child: ChildProcess) {
    this.#child = child
    this.pid = child.pid ?? 0
    child.on('message', (message) => {
      const want = this.#wanting
      this.#wanting = undefined
      if (want) want(message)
      else this.#messages.push(message)
    })
    if (child.stdout) {
      createInterface(child.stdout).on('line', (line) => {
        this.lines.push(line)
        for (const look of this.#onLine) look()
      })
    }
    child.stderr?.on('data', (text: Buffer) => {
      this.stderr += text.toString()
    })
    this.#ended = new Promise((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => {
        resolve({ code, signal })
      })
    })
  }

  /** Can it still be told anything? */
  get connected(): boolean {
    return this.#child.connected
  }

  /** The next message it sends with `process.send`. */
  async next(deadlineMs = patience): Promise<unknown> {
    if (this.#messages.length > 0) return this.#messages.shift()
    const message = new Promise<unknown>((resolve) => {
      this.#wanting = resolve
    })
    const silent = this.#ended.then(({ code, signal }) => {
      throw new Error(`ended (${code ?? signal}) without a message\n${this.stderr}`)
    })
    return await within(deadlineMs, Promise.race([message, silent]))
  }

  /** Resolves once it has printed that line. */
  async printed(line: string, deadlineMs = patience): Promise<void> {
    let look: () => void = () => undefined
    const found = new Promise<void>((resolve) => {
      look = () => {
        if (this.lines.includes(line)) resolve()
      }
    })
    this.#onLine.add(look)
    look()
    const silent = this.#ended.then(({ code, signal }) => {
      if (this.lines.includes(line)) return
      throw new Error(`ended (${code ?? signal}) without printing '${line}'\n${this.stderr}`)
    })
    try {
      await within(deadlineMs, Promise.race([found, silent]))
    } finally {
      this.#onLine.delete(look)
    }
  }

  send(message: unknown): void {
    this.#child.send(message as never)
  }

  /** Writes a line to its stdin, where it has one. */
  line(text: string): void {
    this.#child.stdin!.write(`${text}\n`)
  }

  /** How it ended; its output is complete then. */
  ended(deadlineMs = patience): Promise<Ending> {
    return within(deadlineMs, this.#ended)
  }

  /** Sends the signal and waits for the end. What nobody is left to sweep is removed with the test. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<Ending> {
    this.signal(signal)
    return await this.ended()
  }

  /** Sends the signal and returns at once. */
  signal(signal: NodeJS.Signals): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#doorbells.push(...doorbellsOf(this.pid))
    this.#child.kill(signal)
  }

  /** Kills it, and removes what nobody is left to sweep. */
  async end(): Promise<void> {
    await this.kill()
    for (const doorbell of this.#doorbells) rmSync(doorbell, { force: true })
  }
}

/** Runs a compiled fixture: `run(t, new URL('./fixtures/pop.js', import.meta.url), name)`. */
export function run(
  t: ExecutionContext,
  fixture: URL,
  args: readonly string[] = [],
  options: ForkOptions = {},
): Run {
  const running = start(fixture, args, options)
  t.teardown(() => running.end())
  return running
}

/** As `run`, for what outlives a test: whoever starts it calls `end`. */
export function start(fixture: URL, args: readonly string[] = [], options: ForkOptions = {}): Run {
  const child = fork(fileURLToPath(fixture), args, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    serialization: 'advanced',
    execArgv: ['--expose-gc'],
    ...options,
  })
  return new Run(child)
}

/** The FIFOs that a process can be woken by: open to read and write. Those of its peers it only writes. */
export function doorbellsOf(pid: number): string[] {
  const process = `/proc/${pid}`
  try {
    return readdirSync(`${process}/fd`).flatMap((fd) => {
      try {
        const target = readlinkSync(`${process}/fd/${fd}`)
        if (!target.includes('/millrace.d.')) return []
        const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`${process}/fdinfo/${fd}`, 'utf8'))?.[1]
        return (parseInt(flags ?? '', 8) & constants.O_RDWR) !== 0 ? [target] : []
      } catch {
        return [] // closed meanwhile
      }
    })
  } catch {
    return [] // ended meanwhile
  }
}
