// A server of an engine, of a test's own: on ports that nobody has, with a folder of its own, ended by its own pid.

import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'

import { until } from '../../support/until.js'

/** How a server is started. */
export interface ServerCommand {
  /** What is started; Debian's package has the same name, unless `from` says another. */
  readonly command: string
  readonly args: readonly string[]
  readonly from?: string
  readonly env?: NodeJS.ProcessEnv
  /** Milliseconds that it may take to start. Default 10,000. */
  readonly startMs?: number
  /** Does it take connections? */
  readonly answers: () => Promise<boolean>
}

/** One process, which may be started and ended again and again. */
export abstract class EngineServer {
  readonly folder: string
  #child: ChildProcess | undefined

  constructor(folder: string) {
    this.folder = folder
  }

  protected abstract get command(): ServerCommand

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Resolves when it takes connections. */
  async start(): Promise<void> {
    const { command, args, from = command, env, startMs, answers } = this.command
    const options: SpawnOptions = {
      stdio: 'ignore',
      cwd: this.folder,
      ...(env === undefined ? {} : { env: { ...process.env, ...env } }),
    }
    const child = spawn(command, args, options)
    this.#child = child
    let failure: Error | undefined
    child.once('error', (error) => {
      failure = new Error(`${command} must be installed (Debian: ${from})`, { cause: error })
    })
    await until(async () => {
      if (failure !== undefined) throw failure
      if (child.exitCode !== null) throw new Error(`${command} ended: ${String(child.exitCode)}`)
      return await answers()
    }, startMs)
  }

  /** From now on it does nothing, and its connections stay. */
  pause(): void {
    if (this.pid > 0) process.kill(this.pid, 'SIGSTOP')
  }

  resume(): void {
    if (this.pid > 0) process.kill(this.pid, 'SIGCONT')
  }

  /** While it is not there: what it has kept is gone. */
  forget(): void {
    for (const name of this.kept) {
      rmSync(join(this.folder, name), { recursive: true, force: true })
    }
  }

  /** What in its folder it keeps jobs and queues in. */
  protected get kept(): readonly string[] {
    return []
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    await ended
  }
}

/** A folder that is gone when the test has ended, and the server with it. */
export function serverFolder(t: ExecutionContext, name: string): string {
  const folder = mkdtempSync(join(tmpdir(), `millrace-${name}-${String(process.pid)}-`))
  t.teardown(() => {
    rmSync(folder, { recursive: true, force: true })
  })
  return folder
}

/** Is somebody there at the port, who says something at once if `speaks`? */
export async function portAnswers(port: number, speaks = false): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once(speaks ? 'data' : 'connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
