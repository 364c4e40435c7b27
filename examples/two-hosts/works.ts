// Of the second host: takes orders out of this machine's memory, and puts receipts there. With addresses it shares both, for a gateway of
// the first host to connect to; else a gateway of this host brings and takes them.
import { WorkQueue } from 'millrace/work'

const [ordersAt, receiptsAt] = process.argv.slice(2)
const orders = WorkQueue.open('works.orders', { dedupWindow: 600_000 })
const receipts = WorkQueue.open('works.receipts')
const shares =
  ordersAt === undefined || receiptsAt === undefined
    ? []
    : [await orders.share(ordersAt), await receipts.share(receiptsAt)]
console.log(`open ${shares.map(({ address }) => address).join(' ')}`)

const working = orders.work(async (job) => {
  await receipts.push(`made ${Buffer.from(job.bytes).toString()}`, { id: job.id })
})
process.once('SIGTERM', () => {
  orders.close()
})
await working.catch(() => undefined)
await Promise.all(shares.map((share) => share.close()))
receipts.close()
// It would stay, for the ids that it knows.
WorkQueue.unlink('works.orders')
