// A cluster of Kafka of a test's own: the mock brokers of librdkafka, in a program that the tests compile once.

import { spawn, type ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { once } from 'node:events'
import type { ExecutionContext } from 'ava'

import { tool } from '../../support/cxx.js'

const root = fileURLToPath(new URL('../../../../', import.meta.url))
const source = join(root, 'test/engines/fixtures/kafka-mock.c')
const programs = join(root, 'build-native/cxx')

export class KafkaCluster {
  /** `host:port`, with commas between. */
  readonly brokers: string
  readonly #child: ChildProcess
  readonly #answers: AsyncIterator<string>
  #last: Promise<unknown> = Promise.resolve()

  constructor(brokers: string, child: ChildProcess, answers: AsyncIterator<string>) {
    this.brokers = brokers
    this.#child = child
    this.#answers = answers
  }

  /** `kafka://[secret@]127.0.0.1:PORT,127.0.0.1:PORT/TOPIC` */
  address(topic: string, secret = ''): string {
    return `kafka://${secret === '' ? '' : `${secret}@`}${this.brokers}/${topic}`
  }

  /** As fixtures/kafka-mock.c has it. */
  tell(command: string): Promise<void> {
    const told = this.#last.then(async () => {
      this.#child.stdin!.write(`${command}\n`)
      const { value } = (await this.#answers.next()) as { readonly value?: string }
      if (value !== 'ok') throw new Error(`${command}: ${value ?? 'the cluster has ended'}`)
    })
    this.#last = told.catch(() => undefined)
    return told
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill(signal)
  }

  async end(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }
}

/** `topics`: `NAME:PARTITIONS` each. */
export async function kafkaCluster(
  t: ExecutionContext,
  topics: readonly string[] = [],
  brokers = 1,
): Promise<KafkaCluster> {
  const mock = await compiled()
  const child = spawn(mock, [String(brokers), ...topics], { stdio: ['pipe', 'pipe', 'ignore'] })
  const answers = createInterface(child.stdout)[Symbol.asyncIterator]()
  const { value = '' } = (await answers.next()) as { readonly value?: string }
  const cluster = new KafkaCluster(value, child, answers)
  t.teardown(() => cluster.end())
  return cluster
}

let program: Promise<string> | undefined

/** Clusters that start at the same time wait for one compiler: what another one still writes cannot be run. */
function compiled(): Promise<string> {
  return (program ??= compile())
}

async function compile(): Promise<string> {
  const hash = createHash('sha256').update(readFileSync(source)).digest('hex').slice(0, 16)
  const built = join(programs, `kafka-mock-${hash}`)
  if (existsSync(built)) return built
  mkdirSync(programs, { recursive: true })
  const unfinished = `${built}.${String(process.pid)}`
  const flags = ['-std=c11', '-O1', '-Wall', '-Wextra', '-Werror']
  const cure = 'install a C compiler, or set CC'
  await tool(process.env['CC'] ?? 'cc', [...flags, source, '-o', unfinished, '-lrdkafka'], cure)
  renameSync(unfinished, built)
  return built
}
