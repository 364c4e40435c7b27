// A gateway as a process of its own, as somebody starts it, with what it has told so far.

import type { ChildProcess } from 'node:child_process'
import { renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

import { command, start, type Ended } from '../../cli/run.js'
import { ownDirectory } from '../../support/directory.js'
import { until } from '../../support/until.js'

export interface LogRecord {
  readonly time: string
  readonly level: string
  readonly event: string
  readonly msg: string
  readonly route?: string
  readonly url?: string
  readonly guarantee?: string
  readonly findings?: readonly string[]
  readonly error?: { readonly code?: string; readonly message: string }
}

export class RunningGateway {
  readonly file: string
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  readonly #told: Buffer[] = []

  constructor(
    t: ExecutionContext,
    config: object,
    {
      args = [],
      env = {},
    }: { readonly args?: readonly string[]; readonly env?: NodeJS.ProcessEnv } = {},
  ) {
    this.file = join(ownDirectory(t), 'gateway.json')
    this.write(config)
    const { child, ended } = start(command, ['gateway', this.file, ...args], undefined, env)
    this.child = child
    this.ended = ended
    child.stderr?.on('data', (chunk: Buffer) => this.#told.push(chunk))
    t.teardown(async () => {
      child.kill('SIGKILL')
      await ended
    })
  }

  write(config: object | string): void {
    // Whole, whenever it is read.
    const fresh = `${this.file}.new`
    writeFileSync(fresh, typeof config === 'string' ? config : JSON.stringify(config))
    renameSync(fresh, this.file)
  }

  kill(signal: NodeJS.Signals): void {
    this.child.kill(signal)
  }

  get text(): string {
    return Buffer.concat(this.#told).toString()
  }

  /** Whole ones. */
  get records(): readonly LogRecord[] {
    const lines = this.text.split('\n').slice(0, -1)
    return lines.map((line) => JSON.parse(line) as LogRecord)
  }

  get events(): readonly string[] {
    return this.records.map(({ event }) => event)
  }

  /** Resolves with the record when it has told so often of the event. */
  async told(event: string, times = 1): Promise<LogRecord> {
    const found = (): LogRecord | undefined =>
      this.records.filter((record) => record.event === event)[times - 1]
    await until(() => {
      if (found() !== undefined) return true
      if (this.child.exitCode === null && this.child.signalCode === null) return false
      throw new Error(`it ended before '${event}': ${this.text}`)
    }, 30_000)
    return found()!
  }

  /** Where it tells how it is, at its last HTTP server. */
  async url(times = 1): Promise<string> {
    return (await this.told('http', times)).url!
  }
}
