// Between browsers and the bus: serves the page by HTTP, and what the page shows by WebSockets.
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listen, registerTransport, type Channel } from 'millrace/net'
import { Topics } from 'millrace/topics'
import { pageFor } from './page.ts'
import { webSockets } from './websocket.ts'

registerTransport(webSockets)
using bus = Topics.open('thermometer')

const pages = createServer((request, response) => {
  if (request.url !== '/') response.writeHead(404).end()
  else response.setHeader('content-type', 'text/html; charset=utf-8').end(page)
})
pages.listen(Number(process.env['PORT'] ?? 0), '127.0.0.1')
await once(pages, 'listening')
const origin = `http://127.0.0.1:${(pages.address() as AddressInfo).port}`

// Pages of other origins could connect as well, from the browser of anybody who looks at one: so they are named who may. And a page has
// nothing long to say, nor much.
const listener = await listen(`ws://127.0.0.1:0/live?origins=${origin}`, {
  maxBytes: 1024,
  maxRate: 20,
})
const page = pageFor(listener.address.replace(/\?.*/, ''))
console.log(`${origin}/`)

process.once('SIGTERM', () => {
  pages.close()
  pages.closeAllConnections()
  void listener.close()
  for (const channel of channels) void channel.close({ timeout: 500 })
})

const channels = new Set<Channel>()
const serving: Promise<void>[] = []
for await (const channel of listener) {
  channels.add(channel)
  serving.push(serve(channel).finally(() => channels.delete(channel)))
}
await Promise.all(serving)

/** Until the page is left, or its browser dies. */
async function serve(channel: Channel): Promise<void> {
  // Nobody waits for a browser that is slow: it misses what is old.
  const readings = await bus.subscribe('reading', { policy: 'overwrite-oldest', replay: 'last' })
  try {
    await Promise.race([showAll(), obeyAll()])
  } catch (error) {
    if (!channel.closed) console.error(String(error))
  } finally {
    readings.close()
    await channel.close({ timeout: 500 })
  }

  async function showAll(): Promise<void> {
    for await (using reading of readings) await channel.send(reading.text())
  }
  async function obeyAll(): Promise<void> {
    for await (const command of channel) await bus.publish('command', command)
  }
}
