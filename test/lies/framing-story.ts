// Streams of frames with any damage, cut in any way: a channel ends in order or with a code, takes no message that is too long, and hears
// the same however the stream was cut.
//
// Not coverage-guided: frames are made whole and then damaged. As a program (`npm run fuzz -- --only framing`):
// framing-story.js SECONDS [SEED].

import { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { connect, registerTransport } from 'millrace/net'

import { Random } from '../support/random.js'

const scheme = 'framing-story'
const maxBytes = 2048
const codes: readonly unknown[] = ['ERR_MILLRACE_PROTOCOL', 'ERR_MILLRACE_PEER_GONE']

let pieces: Buffer[] = []

registerTransport({
  scheme,
  traits: { zeroCopy: false, reliable: true, ordered: true, death: 'exact', directions: 'both' },
  check: () => undefined,
  connect: () => {
    const stream = new Duplex({
      read() {
        this.push(pieces.shift() ?? null)
      },
      write(_chunk, _encoding, done) {
        done()
      },
    })
    return Promise.resolve({ stream, peer: {} })
  },
  listen: () => Promise.reject(new Error('nobody listens')),
})

function hello(): Buffer {
  const bytes = Buffer.alloc(24)
  bytes.write('MLRC')
  bytes[4] = bytes[5] = 1
  bytes.writeUInt32LE(65_536, 8)
  bytes[16] = 1
  return bytes
}

function damaged(random: Random): Buffer {
  const parts = [hello()]
  for (let i = random.below(12); i > 0; i--) {
    const isMessage = random.below(3) > 0
    const length = isMessage ? random.below(random.below(4) === 0 ? 2200 : 60) : 0
    const bytes = Buffer.alloc(4 + length, random.below(256))
    const kind = isMessage ? 0 : random.below(8)
    bytes.writeUInt32LE(((kind << 28) | (isMessage ? length : random.below(2))) >>> 0)
    parts.push(bytes)
  }
  const all = Buffer.concat(parts)
  for (let i = random.below(3); i > 0; i--) all[random.below(all.length)] = random.below(256)
  return all.subarray(0, random.below(4) === 0 ? random.below(all.length + 1) : all.length)
}

function cut(bytes: Buffer, random: Random): Buffer[] {
  const most = 1 + random.below(random.below(2) === 0 ? 8 : bytes.length + 1)
  const all: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const end = Math.min(bytes.length, at + 1 + random.below(most))
    all.push(bytes.subarray(at, end))
    at = end
  }
  return all
}

/** What a channel hears, in words. */
async function heard(): Promise<string> {
  const words: string[] = []
  try {
    const channel = await connect(`${scheme}://it`, { maxBytes, heartbeat: 0 })
    try {
      for await (const one of channel) {
        if (one.length > maxBytes) throw new Error(`a message of ${String(one.length)} bytes`)
        words.push(one.toString('hex'))
      }
    } finally {
      channel.destroy()
    }
    words.push('the end')
  } catch (error) {
    const { code } = error as { readonly code?: string }
    if (!codes.includes(code)) throw error
    words.push(code!)
  }
  return words.join(' ')
}

/** Throws if it finds something; the error says how to repeat it. */
export async function tellOfFrames(limits: {
  readonly seconds: number
  readonly seed: number
}): Promise<number> {
  const end = performance.now() + limits.seconds * 1000
  let runs = 0
  for (let { seed } = limits; performance.now() < end; seed++, runs++) {
    const random = new Random(seed)
    const bytes = damaged(random)
    pieces = bytes.length === 0 ? [] : [bytes]
    const whole = await heard()
    pieces = cut(bytes, random)
    const inPieces = await heard()
    if (whole !== inPieces) {
      throw new Error(`seed ${String(seed)}: whole '${whole}', in pieces '${inPieces}'`)
    }
  }
  return runs
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [seconds = '10', seed = String(Date.now() % 2 ** 30)] = process.argv.slice(2)
  const runs = await tellOfFrames({ seconds: Number(seconds), seed: Number(seed) })
  console.log(`stat::number_of_executed_units: ${String(runs)}, from seed ${seed} on`)
}
