// Shares what is in this machine's memory with other hosts. The program knows nothing of it.
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

const [orders, events] = process.argv.slice(2) as [string, string]
const queue = WorkQueue.open('shop.orders')
const bus = Topics.open('shop.events')
const shares = [await queue.share(orders), await bus.share(events)]
process.once('SIGTERM', () => {
  queue.close()
  bus.close()
})
console.log(shares.map(({ address }) => address).join(' '))
