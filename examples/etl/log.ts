// An access log of a web server, always the same one: so many lines, of which every 150th or so is broken.
import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

/** Writes the log to that file. */
export async function writeLog(path: string, lines: number): Promise<void> {
  await pipeline(Readable.from(chunksOf(lines)), createWriteStream(path))
}

function* chunksOf(lines: number): Generator<string> {
  const random = new Random(1)
  let chunk = ''
  for (let i = 0; i < lines; i++) {
    chunk += `${lineOf(i, random)}\n`
    if (chunk.length < 65_536) continue
    yield chunk
    chunk = ''
  }
  yield chunk
}

const pages = ['/', '/about', '/search?q=shared+memory', '/pictures/cat.jpg', '/api/orders/17']
const agents = ['curl/8.5.0', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101']
const firstSecond = Date.UTC(2026, 0, 31, 23, 50) / 1000

function lineOf(number: number, random: Random): string {
  const client = `203.0.${random.below(256)}.${random.below(256)}`
  const user = random.below(10) === 0 ? `user${random.below(1000)}` : '-'
  const at = new Date((firstSecond + Math.floor(number / 20)) * 1000)
  const [, day, month, year, time] = at.toUTCString().split(' ')
  const method = random.below(8) === 0 ? 'POST' : 'GET'
  const page = pages[random.below(pages.length)]!
  const status = [200, 200, 200, 304, 404, 500][random.below(6)]!
  const bytes = random.below(50_000)
  const agent = agents[random.below(agents.length)]!
  const request = `"${method} ${page} HTTP/1.1"`
  const line = `${client} - ${user} [${day}/${month}/${year}:${time} +0000] ${request} ${status} ${bytes} "${agent}"`
  switch (random.below(600)) {
    case 0:
      return line.slice(0, random.below(line.length)) // the disk was full
    case 1:
      return line.replace(`${day}/${month}`, '31/Feb')
    case 2:
      return line.replace(` ${bytes} `, ' many ')
    case 3:
      return ''
    default:
      return line
  }
}

/** The same numbers each time (xorshift). */
class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  below(limit: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % limit
  }
}
