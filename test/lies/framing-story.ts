// Streams of frames with any damage, cut in any way: a channel ends in order or with a code, takes no message that is too long, and hears
// the same however the stream was cut.
//
// Not coverage-guided: frames are made whole and then damaged. As a program (`npm run fuzz -- --only framing`):
// framing-story.js SECONDS [SEED].

import { fileURLToPath } from 'node:url'

import { frame, heard, hello } from '../net/support/frames.js'
import { Random } from '../support/random.js'

const maxBytes = 2048

function damaged(random: Random): Buffer {
  const parts = [hello()]
  for (let i = random.below(12); i > 0; i--) {
    const isMessage = random.below(3) > 0
    const length = isMessage ? random.below(random.below(4) === 0 ? 2200 : 60) : 0
    const body = Buffer.alloc(length, random.below(256))
    const kind = isMessage ? 0 : random.below(8)
    parts.push(frame(kind, isMessage ? length : random.below(2), body))
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
async function told(pieces: readonly Buffer[]): Promise<string> {
  const { messages, code } = await heard(pieces, maxBytes)
  const long = messages.find(({ length }) => length > maxBytes)
  if (long !== undefined) throw new Error(`a message of ${String(long.length)} bytes`)
  return [...messages.map((one) => one.toString('hex')), code ?? 'the end'].join(' ')
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
    const whole = await told(bytes.length === 0 ? [] : [bytes])
    const inPieces = await told(cut(bytes, random))
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
