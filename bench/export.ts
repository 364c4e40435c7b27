// What a scrape of `millrace export` costs, with 1,000 queues that another process has open: milliseconds of the processor, and as they
// pass, for each of its three steps and all of them.
//
//   node out/bench/export.js [CHANNELS]

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { SpscQueue } from 'millrace'
import { familiesOf, observe, prometheusText } from 'millrace/telemetry'

const [given = '1000', holds] = process.argv.slice(2)
const channels = Number(given)
const scrapes = 50

if (holds === undefined) await measure()
else hold(holds)

/** Has them open until it is told to end. */
function hold(prefix: string): void {
  const sides = Array.from({ length: channels }, (_, at) => {
    const name = `${prefix}-${String(at)}`
    const consumer = SpscQueue.consumer(name, { capacity: 4096 })
    const producer = SpscQueue.producer(name)
    producer.tryPush('x')
    consumer.tryPop()
    return [consumer, producer] as const
  })
  process.send?.('ready')
  process.once('message', () => {
    for (const side of sides.flat()) side.close({ discard: true })
    process.disconnect()
  })
}

async function measure(): Promise<void> {
  const prefix = `bench-export-${String(process.pid)}`
  const holder = fork(fileURLToPath(import.meta.url), [given, prefix])
  await once(holder, 'message')
  const times = { look: [], families: [], text: [], all: [] } as Record<string, [number, number][]>
  const timed = <T>(step: string, run: () => T): T => {
    const start = performance.now()
    const before = process.cpuUsage()
    const result = run()
    const { user, system } = process.cpuUsage(before)
    times[step]!.push([(user + system) / 1000, performance.now() - start])
    return result
  }
  for (let i = 0; i < scrapes; i++) {
    const seen = timed('look', () => observe({ prefix }))
    if (seen.length !== channels) throw new Error(`${String(seen.length)} channels were seen`)
    const families = timed('families', () => familiesOf(seen))
    timed('text', () => prometheusText(families))
    times['all']!.push(sumOf(['look', 'families', 'text'].map((step) => times[step]!.at(-1)!)))
  }
  const rows = Object.entries(times).map(([step, all]) => {
    const ofProcessor = all.map(([spent]) => spent).sort((a, b) => a - b)
    const passed = all.map(([, time]) => time).sort((a, b) => a - b)
    const middle = scrapes >> 1
    return {
      step,
      'processor, best': ofProcessor[0],
      'processor, median': ofProcessor[middle],
      'passed, best': passed[0],
      'passed, median': passed[middle],
    }
  })
  console.table(rows)
  holder.send('end')
  await once(holder, 'exit')
}

function sumOf(pairs: readonly [number, number][]): [number, number] {
  return pairs.reduce(([a, b], [c, d]) => [a + c, b + d], [0, 0])
}
