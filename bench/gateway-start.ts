// How soon a gateway carries that was killed and starts again, over each engine.
//   npm run build:ts && npm run build:test && node out/bench/gateway-start.js [--times 5] [nats redis rabbitmq kafka zeromq]
//
// A job lies in a queue of this memory, and two gateways start that lead over the engine to another queue. The time runs from the start of
// their processes until the job has come; then both are killed. Node's own start is in it. Beside it stands what processor time both had
// taken by then: on a machine that does something else besides, the time says more of that. What is not there is left out.

import { loadavg } from 'node:os'
import { once } from 'node:events'
import { readFileSync, rmSync } from 'node:fs'
import { parseArgs } from 'node:util'

import type { RouteConfig } from 'millrace/gateway'
import { WorkQueue } from 'millrace/work'

import { gatewayStarted } from './side/gateways.js'
import { cannotServe, startServer, type ServerName } from './suite/servers/servers.js'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { times: { type: 'string', default: '5' } },
})

interface Engine {
  readonly server?: ServerName
  readonly address: (server: string) => string
  /** Nobody else takes there. */
  readonly alone?: true
}

/** Of ZeroMQ, which leaves it behind when its process is killed. */
const socket = `/tmp/millrace-bench-${String(process.pid)}`

const engines: Readonly<Record<string, Engine>> = {
  nats: { server: 'nats', address: (server) => `nats://${server}/jobs`, alone: true },
  redis: { server: 'redis-tcp', address: (server) => `${server}/jobs`, alone: true },
  rabbitmq: { server: 'rabbitmq', address: (server) => `${server}/jobs` },
  kafka: { server: 'kafka', address: (server) => `kafka://${server}/jobs`, alone: true },
  zeromq: { address: () => `zmq+ipc://${socket}` },
}

/** User and system, in milliseconds. */
function cpuOf(pid: number): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'latin1')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10
}

async function measure(name: string, { server: needed, address, alone }: Engine): Promise<void> {
  const server = needed === undefined ? undefined : await startServer(needed)
  const base = `bench.${String(process.pid)}.${name}`
  const [here, there] = [`${base}-here`, `${base}-there`]
  const near = WorkQueue.open(here)
  const far = WorkQueue.open(there, { dedupWindow: 600_000 })
  const between = address(server?.address ?? '')
  const out: RouteConfig = {
    ...{ kind: 'work', from: here, to: name === 'zeromq' ? `${between}?bind` : between },
  }
  const back: RouteConfig = {
    ...{ kind: 'work', from: between, to: there, ...(alone === undefined ? {} : { alone }) },
  }
  const times: number[] = []
  const cpu: number[] = []
  try {
    // The first time makes the queue, too.
    for (let n = 0; n <= Number(options.times); n++) {
      await near.push(String(n))
      const began = performance.now()
      const [job, ...gateways] = await Promise.all([
        far.takeOne({ timeout: 60_000 }),
        gatewayStarted('a', out),
        gatewayStarted('b', back),
      ])
      if (n > 0) times.push(performance.now() - began)
      if (n > 0) cpu.push(gateways.reduce((sum, { pid }) => sum + cpuOf(pid!), 0))
      await job.complete()
      for (const one of gateways) {
        const ended = once(one, 'exit')
        one.kill('SIGKILL')
        await ended
      }
    }
  } finally {
    near.close()
    far.close()
    WorkQueue.unlink(here)
    WorkQueue.unlink(there)
    rmSync(socket, { force: true })
    await server?.stop()
  }
  const shown = (all: readonly number[]) => all.map((ms) => ms.toFixed(0)).join(', ')
  console.log(
    `${name}: ${shown(times)} ms; processor ${shown(cpu)} ms; load ${loadavg()[0]!.toFixed(1)}`,
  )
}

for (const name of positionals.length > 0 ? positionals : Object.keys(engines)) {
  const engine = engines[name]
  if (engine === undefined) throw new Error(`there is no engine ${name}`)
  const why = engine.server === undefined ? undefined : cannotServe(engine.server)
  if (why === undefined) await measure(name, engine)
  else console.log(`${name}: left out, ${why}`)
}
