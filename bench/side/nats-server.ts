// A server of NATS with JetStream that is ended and started again: on a port and in a folder of its own.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

const command = 'nats-server'
const host = '127.0.0.1'
const startsWithinMs = 20_000

export class NatsServer {
  readonly #folder = mkdtempSync(join(tmpdir(), 'millrace-bench-nats-'))
  readonly #port: number
  #child: ChildProcess | undefined

  private constructor(port: number) {
    this.#port = port
  }

  static async start(): Promise<NatsServer> {
    const probe = createServer().listen(0, host)
    await once(probe, 'listening')
    const { port } = probe.address() as AddressInfo
    probe.close()
    await once(probe, 'close')
    const server = new NatsServer(port)
    await server.begin()
    return server
  }

  address(name: string): string {
    return `nats://${host}:${String(this.#port)}/${name}`
  }

  /** Resolves as soon as it has said who it is, which is when it takes somebody. */
  async begin(): Promise<void> {
    const args = ['-a', host, '-p', String(this.#port), '-js', '-sd', join(this.#folder, 'data')]
    const child = spawn(command, args, { stdio: 'ignore' })
    this.#child = child
    await once(child, 'spawn')
    const until = performance.now() + startsWithinMs
    while (!(await this.#answers())) {
      if (child.exitCode !== null || performance.now() > until) {
        throw new Error(`${command} does not start`)
      }
      await sleep(1)
    }
  }

  /** As if the power had gone. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    if (child?.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async remove(): Promise<void> {
    await this.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  async #answers(): Promise<boolean> {
    return await new Promise((resolve) => {
      const socket = connect(this.#port, host)
      const over = (isThere: boolean) => {
        socket.destroy()
        resolve(isThere)
      }
      socket.once('data', () => {
        over(true)
      })
      socket.once('error', () => {
        over(false)
      })
      socket.once('close', () => {
        over(false)
      })
    })
  }
}
