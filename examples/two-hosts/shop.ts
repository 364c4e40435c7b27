// Of the first host: places orders in this machine's memory, and finds receipts there. Where they go to, and come from, it does not know.
import { WorkQueue } from 'millrace/work'

const count = Number(process.argv[2])
const orders = WorkQueue.open('shop.orders')
// Knows ids again: what a gateway that died sends a second time is there once.
const receipts = WorkQueue.open('shop.receipts', { dedupWindow: 600_000 })
console.log('open')

const placing = (async () => {
  for (let i = 0; i < count; i++)
    await orders.push(`thing ${i}`, { id: `order ${i} of ${process.pid}` })
})()

const seen = new Set<string>()
let twice = 0
function note(id: string): void {
  if (seen.has(id)) twice++
  seen.add(id)
  if (seen.size === Math.floor(count / 2)) console.log('half')
}

while (seen.size < count) {
  const job = await receipts.takeOne({ timeout: 60_000 })
  note(job.id!)
  job.complete()
}
await placing
console.log('all')

process.once('SIGTERM', () => {
  // By now no gateway brings anything any more.
  twice += receipts.stats().ready
  console.log(`${count} orders, ${seen.size} receipts, ${twice} of them twice`)
  orders.close()
  receipts.close()
  // It would stay, for the ids that it knows.
  WorkQueue.unlink('shop.receipts')
  process.exit()
})
setInterval(() => undefined, 60_000)
