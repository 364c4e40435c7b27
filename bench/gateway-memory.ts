// What a gateway holds while the far side is down and work is offered all the time: its resident memory at minute 2 and at the end.
//   npm run build:ts && npm run build:test && node out/bench/gateway-memory.js [--minutes 10] [--rate 10000]
//
// A gateway has a route of jobs and one of messages to a server of NATS, carries for a while, and then the server is killed. From then on
// so many jobs and as many messages a second of 1 KiB are offered to it: jobs until their queue is full, messages all the time.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { gatewayEnded, gatewayStarted } from './side/gateways.js'
import { NatsServer } from './side/nats-server.js'

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    rate: { type: 'string', default: '10000' },
  },
})
const minutes = Number(options.minutes)
const rate = Number(options.rate)
const everyMs = 10
const carriedForMs = 5000

const name = `bench.${String(process.pid)}`
const server = await NatsServer.start()
const queue = WorkQueue.open(name, { jobs: 16_384, bytes: 32 * 1024 * 1024 })
const bus = Topics.open(name)
const gateway = await gatewayStarted('here', [
  { kind: 'work', from: name, to: server.address('jobs') },
  { kind: 'topics', from: name, to: server.address('') },
])
const payload = Buffer.alloc(1024, 1)
const offered = { jobs: 0, taken: 0, messages: 0 }
const begun = performance.now()
let due = 0
const offering = setInterval(() => {
  for (const until = ((performance.now() - begun) * rate) / 1000; due < until; due++) {
    offered.jobs++
    if (queue.tryPush(payload)) offered.taken++
    if (bus.tryPublish('readings', payload) !== undefined) offered.messages++
  }
}, everyMs)

const resident = () => {
  const status = readFileSync(`/proc/${String(gateway.pid!)}/status`, 'utf8')
  return Number(/^VmRSS:\s*(\d+)/m.exec(status)?.[1]) / 1024
}

await sleep(carriedForMs)
await server.kill()
const { completed } = queue.stats()
console.log(`carried ${String(completed)} jobs; now the server is gone`)
const samples: number[] = []
for (let minute = 0.5; minute <= minutes; minute += 0.5) {
  await sleep(30_000)
  samples.push(resident())
  console.log(
    `minute ${minute.toFixed(1)}: ${resident().toFixed(1)} MiB, ${JSON.stringify(offered)}`,
  )
}
clearInterval(offering)
const [early, late] = [samples[3] ?? samples[0]!, samples.at(-1)!]
console.log(
  `resident at minute 2: ${early.toFixed(1)} MiB, at minute ${String(minutes)}: ${late.toFixed(1)} MiB (${(late - early).toFixed(1)})`,
)
await gatewayEnded(gateway)
queue.close()
bus.close()
WorkQueue.unlink(name)
Topics.unlink(name)
await server.remove()
