// An HTTP server that does no work itself: `curl --data-binary @cat.jpg http://127.0.0.1:8080/` gives a small picture. The server
// stays as quick as it is idle, and a worker that is killed costs nobody an answer.
import { randomUUID } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { WorkQueue } from 'millrace/work'

const largest = 8 * 2 ** 20
const port = Number(process.env['PORT'] ?? 8080)

const jobs = WorkQueue.open('thumbnails', { jobs: 256, bytes: 32 * 2 ** 20 })
const done = WorkQueue.open('thumbnails.done', { jobs: 256, bytes: 8 * 2 ** 20 })
const waiting = new Map<string, ServerResponse>()

const server = createServer((request, response) => {
  handOver(request, response).catch((error: unknown) => {
    response.writeHead(500).end(String(error))
  })
})

async function handOver(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const picture = await bodyOf(request)
  if (picture === undefined) {
    response.writeHead(413).end('a picture has 8 MB at most')
    return
  }
  const id = randomUUID()
  waiting.set(id, response)
  response.once('close', () => waiting.delete(id))
  await jobs.push(picture, { id, timeout: 30_000 }) // waits while the queue is full
}

async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of request as AsyncIterable<Buffer>) {
    length += part.length
    if (length > largest) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts)
}

server.listen(port, '127.0.0.1', () => {
  const address = server.address()
  console.log(`http://127.0.0.1:${String(typeof address === 'object' ? address?.port : port)}/`)
})

process.once('SIGTERM', () => {
  server.close()
  jobs.close()
  done.close()
})

for await (const result of done.take()) {
  const response = waiting.get(result.id ?? '')
  if (result.bytes.length === 0) response?.writeHead(422).end('that is no picture')
  else response?.writeHead(200, { 'content-type': 'image/png' }).end(result.copy())
  result.complete()
}
