// How soon a gateway carries again: after the server between two of them was away, and after it was killed itself.
//   npm run build:ts && npm run build:test && node out/bench/gateway-recovery.js [--times 5] [--away 5]
//
// Jobs go from a queue of this memory through a gateway, NATS JetStream and another gateway to another queue, two hundred a second. The
// server is killed, and starts again some seconds later: the time runs from when it says who it is until the first job has come through
// that was pushed when it was away. Then both gateways are killed, and started again: the time runs from the start of their processes
// until the first job comes. At the end each job must have come once.

import { loadavg } from 'node:os'
import { once } from 'node:events'
import type { ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import type { RouteConfig } from 'millrace/gateway'
import { WorkQueue } from 'millrace/work'

import { gatewayEnded, gatewayStarted } from './side/gateways.js'
import { NatsServer } from './side/nats-server.js'

const { values: options } = parseArgs({
  options: { times: { type: 'string', default: '5' }, away: { type: 'string', default: '5' } },
})
const times = Number(options.times)
const awayMs = Number(options.away) * 1000
const everyMs = 5

const base = `bench.${String(process.pid)}`
const [here, there] = [`${base}-here`, `${base}-there`]
const server = await NatsServer.start()
const known = { jobs: 16_384, bytes: 4 * 1024 * 1024 }
const near = WorkQueue.open(here, known)
const far = WorkQueue.open(there, { ...known, dedupWindow: 600_000, dedupIds: 65_536 })
const between = server.address('jobs')
const out: RouteConfig = {
  ...{ kind: 'work', from: here, to: between, toQueue: { maxAttempts: 255 } },
}
const back: RouteConfig = {
  ...{ kind: 'work', from: between, to: there, alone: true, fromQueue: { maxAttempts: 255 } },
}
const start = () => Promise.all([gatewayStarted('a', out), gatewayStarted('b', back)])
let gateways: ChildProcess[] = await start()

let pushed = 0
const pushing = setInterval(() => {
  const job = Buffer.alloc(64)
  job.writeUInt32LE(pushed)
  if (near.tryPush(job)) pushed++
}, everyMs)

const seen = new Set<number>()
let twice = 0
let came: (() => void) | undefined
const working = far.work((job) => {
  const number = Buffer.from(job.bytes).readUInt32LE()
  if (seen.has(number)) twice++
  seen.add(number)
  came?.()
})
const next = () =>
  new Promise<void>((resolve) => {
    came = () => {
      came = undefined
      resolve()
    }
  })
const shown = (all: readonly number[]) => all.map((ms) => `${ms.toFixed(0)} ms`).join(', ')

await next()
const [ofServer, ofGateways]: [number[], number[]] = [[], []]
for (let n = 0; n < times; n++) {
  await sleep(1000)
  await server.kill()
  await sleep(awayMs)
  await server.begin()
  const answered = performance.now()
  await next()
  ofServer.push(performance.now() - answered)
}
for (let n = 0; n < times; n++) {
  await sleep(1000)
  for (const one of gateways) {
    const ended = once(one, 'exit')
    one.kill('SIGKILL')
    await ended
  }
  // What had come before is not what comes again.
  await sleep(100)
  const began = performance.now()
  const coming = next()
  gateways = await start()
  await coming
  ofGateways.push(performance.now() - began)
}
clearInterval(pushing)
const until = performance.now() + 60_000
while (seen.size < pushed && performance.now() < until) await sleep(50)
console.log(`from the server's answer to the first job: ${shown(ofServer)}`)
console.log(`from the start of both gateways to the first job: ${shown(ofGateways)}`)
console.log(
  `${String(pushed)} jobs pushed, ${String(seen.size)} came, ${String(twice)} twice; load ${loadavg()[0]!.toFixed(1)}`,
)
await Promise.all(gateways.map(gatewayEnded))
near.close()
far.close()
await working
WorkQueue.unlink(here)
WorkQueue.unlink(there)
await server.remove()
if (twice > 0 || seen.size < pushed) process.exitCode = 1
