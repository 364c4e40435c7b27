// A worker as a service: it says how it is to systemd, to whoever asks by HTTP, and to the log.

import process from 'node:process'

import { healthPages, lineLogger, logTo, servePages, supervise } from 'millrace/telemetry'
import { WorkQueue } from 'millrace/work'

const { HOST: host = '127.0.0.1', PORT: port = '8080' } = process.env

const supervisor = supervise()
const logger = lineLogger(process.stderr)
logTo(logger)
const orders = WorkQueue.open('orders')
const pages = healthPages({ names: ['orders'], limits: { oldest: { warn: 5000, fail: 60_000 } } })
const server = await servePages({ host, port: Number(port) }, pages)

process.once('SIGTERM', () => {
  supervisor.notify({ stopping: true, status: 'ends what it has in hand' })
  orders.close()
})
supervisor.notify({ ready: true, status: `takes orders; ${server.url}/readyz` })

await orders.work(
  async (job) => {
    logger.info({ event: 'order' }, `an order of ${job.bytes.length} bytes`)
  },
  { drainOnClose: 10_000 },
)
server.close()
supervisor.close()
