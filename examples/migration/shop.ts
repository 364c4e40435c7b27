// The program: three parts that talk by names alone. Where a name is, and which parts this process has, is said outside.
import { call, connect, contract, serve } from 'millrace/rpc'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

const prices = contract('prices', { priceOf: call<string, number>({ idempotent: true }) })
const orders = 200

/** Knows what things cost. */
async function desk(): Promise<void> {
  const ended = new AbortController()
  await serve(
    'shop.prices',
    prices,
    { priceOf: (thing) => thing.length * 100 },
    { signal: ended.signal },
  )
  await closing()
  ended.abort()
}

/** Takes orders, asks what they cost, and says what was sold. */
async function worker(): Promise<void> {
  const queue = WorkQueue.open('shop.orders')
  const bus = Topics.open('shop.events')
  const client = await connect('shop.prices', prices, { waitForServer: 10_000 })
  const working = queue.work(
    async (job) => {
      const thing = Buffer.from(job.bytes).toString()
      const price = await client.priceOf(thing)
      await bus.publish(`sold.${String(job.id)}`, String(price))
    },
    { concurrency: 8, drainOnClose: 5000 },
  )
  await closing()
  await queue[Symbol.asyncDispose]()
  await working
  client.close()
  bus.close()
}

/** Places orders, hears what was sold, and tells the sum. */
async function office(): Promise<void> {
  await using queue = WorkQueue.open('shop.orders')
  using bus = Topics.open('shop.events')
  const sold = await bus.subscribe('sold.*')
  const placing = (async () => {
    for (let i = 0; i < orders; i++) await queue.push(`thing ${i}`, { id: `o${i}` })
  })()
  const sums = new Map<string, number>()
  while (sums.size < orders) {
    using message = await sold.receive({ timeout: 20_000 })
    sums.set(message.subject, Number(message.text()))
  }
  await placing
  const sum = [...sums.values()].reduce((all, one) => all + one, 0)
  console.log(`${sums.size} orders, ${sum} in all`)
}

const parts = { desk, worker, office }

/** Resolves when this process is to end. */
const ending = new AbortController()
function closing(): Promise<void> {
  return new Promise((resolve) => {
    if (ending.signal.aborted) resolve()
    ending.signal.addEventListener('abort', () => resolve())
  })
}
process.once('SIGTERM', () => {
  ending.abort()
})

const names = process.argv.slice(2) as (keyof typeof parts)[]
const running = names.map((name) => parts[name]())
if (names.includes('office')) {
  await running[names.indexOf('office')]
  ending.abort()
}
await Promise.all(running)
