// The failure drills, over the mock cluster of librdkafka. It chooses its ports, and tells them to who asks, so everybody goes through somebody who
// writes another one there: that is how a cluster comes back empty at the port of the one that was, and how it speaks TLS.

import test, { type ExecutionContext } from 'ava'
import { WorkQueue } from 'millrace/work'

import { until } from '../support/until.js'
import { drill } from './support/drills/suite.js'
import { openQueue } from './support/drills/work.js'
import {
  patience,
  type DrilledEngine,
  type DrillServer,
  type Own,
  type Setup,
} from './support/drills/engine.js'
import { kafkaCluster, type KafkaCluster } from './support/kafka.js'
import { proxyTo, type Proxy } from './support/proxy.js'

/** Milliseconds: the brokers wait for nearly as long when a group is joined anew. */
const heartbeat = 4000
/** What Kafka calls requests and errors. */
const produce = 0
const offsetCommit = 8
const unknownTopic = 3
const tooLarge = 10
const rebalanceInProgress = 27

class Cluster implements DrillServer {
  readonly proxy: Proxy
  readonly #t: ExecutionContext
  readonly #topics: readonly string[]
  #cluster: KafkaCluster | undefined

  private constructor(t: ExecutionContext, proxy: Proxy, topics: readonly string[]) {
    this.#t = t
    this.proxy = proxy
    this.#topics = topics
  }

  static async open(
    t: ExecutionContext,
    { started = true, certificate, workers = 1 }: Setup,
  ): Promise<Cluster> {
    const answers = (): ((bytes: Buffer) => Buffer) => elsewhere(proxy)
    const proxy = await proxyTo(t, 1, {
      answers,
      ...(certificate === undefined ? {} : { certificate }),
    })
    const cluster = new Cluster(t, proxy, [`jobs:${String(workers)}`, 'jobs-dead:1'])
    if (started) await cluster.start()
    else proxy.close()
    return cluster
  }

  get port(): number {
    return this.proxy.port
  }

  address(name: string, secret = ''): string {
    return `kafka://${secret === '' ? '' : `${secret}@`}127.0.0.1:${String(this.port)}/${name}`
  }

  async start(): Promise<void> {
    if (this.#cluster === undefined) {
      this.#cluster = await kafkaCluster(this.#t, this.#topics)
      this.proxy.to = Number(this.#cluster.brokers.split(':')[1])
    } else {
      await this.#cluster.tell('up -1')
    }
    await this.proxy.open()
  }

  async end(): Promise<void> {
    this.proxy.close()
    await this.#cluster!.tell('down -1')
  }

  async forget(): Promise<void> {
    const cluster = this.#cluster
    this.#cluster = undefined
    await cluster?.end()
  }

  pause(): void {
    this.#cluster!.signal('SIGSTOP')
  }

  resume(): void {
    this.#cluster?.signal('SIGCONT')
  }

  async fail(api: number, error: number, count: number): Promise<void> {
    await this.#cluster!.tell(`error ${String(api)} ${String(error)} ${String(count)}`)
  }
}

/** What brokers answer, with the port of the proxy where they tell theirs. */
function elsewhere(proxy: Proxy): (bytes: Buffer) => Buffer {
  const addressOf = (port: number): Buffer => {
    const bytes = Buffer.from('\0\x09127.0.0.1\0\0\0\0', 'latin1')
    bytes.writeUInt32BE(port, bytes.length - 4)
    return bytes
  }
  let left = Buffer.alloc(0)
  return (bytes) => {
    left = Buffer.concat([left, bytes])
    let end = 0
    while (left.length - end >= 4) {
      const next = end + 4 + left.readUInt32BE(end)
      if (next > left.length) break
      end = next
    }
    const whole = Buffer.from(left.subarray(0, end))
    left = left.subarray(end)
    const [theirs, ours] = [addressOf(proxy.to), addressOf(proxy.port)]
    for (let at = whole.indexOf(theirs); at >= 0; at = whole.indexOf(theirs, at + 1)) {
      ours.copy(whole, at)
    }
    return whole
  }
}

/** The mock cluster knows no SASL: who says a password there is not let in without. */
const noUsers: Own = {
  told: 'not let in where there are no users',
  drill: async (t) => {
    const server = await Cluster.open(t, {})
    const queue = openQueue(t, kafka as never, server.address('jobs', 'u:wr%20ong'))
    const pushing = t.throwsAsync(queue.push('x', patience), { code: 'ERR_MILLRACE_CLOSED' })
    await until(() => queue.connection!.lastError !== undefined, 60_000)
    const error = queue.connection!.lastError!
    t.regex(error.message, /does not support the requested API/)
    queue.close()
    await pushing
    t.notRegex(`${error.message} ${queue.name} ${JSON.stringify(queue.connection)}`, /wr.*ong/)
  },
}

const kafka: DrilledEngine<Cluster> = {
  name: 'Kafka',
  newName: () => 'jobs',
  cure: /see that Kafka runs there/,
  tooLarge: /max\.message\.bytes/,
  server: (t, setup) => Cluster.open(t, setup),

  work: {
    heartbeat,
    options: { connection: { heartbeat } },
    delays: false,
    buries: false,
    most: 900_000,
    tells: false,
    refuse: (server) => server.fail(produce, tooLarge, 1),
    disturb: (server) => server.fail(offsetCommit, rebalanceInProgress, 2),
    own: {
      full: {
        told: 'no limit: retention is Kafka’s way',
        drill: (t) => {
          for (const options of [{ jobs: 5 }, { bytes: 2 ** 20 }]) {
            t.throws(() => WorkQueue.open('kafka://127.0.0.1:9092/jobs', options), {
              code: 'ERR_MILLRACE_UNSUPPORTED',
            })
          }
          return Promise.resolve()
        },
      },
      password: noUsers,
      unknown: {
        told: 'yes',
        drill: async (t) => {
          const server = await Cluster.open(t, {})
          await server.fail(produce, unknownTopic, 1000)
          const queue = openQueue(t, kafka as never, server.address('jobs'))
          queue.push('x').catch(() => undefined) // it waits until the handle is closed
          await until(() => queue.connection!.lastError !== undefined, 60_000)
          t.is((queue.connection!.lastError as { code?: string }).code, 'ERR_MILLRACE_NOT_FOUND')
          t.false(queue.closed)
        },
      },
    },
  },

  topics: {
    heartbeat,
    options: { connection: { heartbeat } },
    most: 900_000,
    tells: false,
    refuse: (server) => server.fail(produce, tooLarge, 1),
    fits: 900_000,
    own: {
      password: noUsers,
    },
  },
}

drill(test, kafka)
