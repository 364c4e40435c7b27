// An offered rate: messages are due at fixed times, whether or not those before them got through. Each carries the
// time it was due, and its lateness counts from then, so that a stall of the sender is seen in all that it delayed.

import { Content, payload } from './content.js'
import { CpuTime } from './cpu-time.js'
import { checked, Stopwatch, type Measured } from './measured.js'
import type { Parameters } from './parameters.js'

/** Nanoseconds of the clock that all processes of a machine share. */
function now(): number {
  const [seconds, nanoseconds] = process.hrtime()
  return seconds * 1e9 + nanoseconds
}

/** Where the time it was due stands in a message; its number is before. */
const dueAt = 8
/** Not measured yet. */
const warmingUp = -1

/** Offers `rate` messages a second to `send`, which returns false if there is no room now. */
export async function offer(
  parameters: Parameters,
  follower: number,
  send: (message: Buffer) => boolean,
): Promise<{ cpu?: [number, number] }> {
  const { bytes, check, count, rate = 1000, warmUp, stretch } = parameters
  const interval = 1e9 / rate
  const content = new Content(parameters)
  const total = check ? count : Math.round((rate * (warmUp + stretch)) / 1000)
  const first = check ? 0 : Math.round((rate * warmUp) / 1000)
  let cpu = new CpuTime(follower)
  const start = now()
  for (let i = 0; i < total;) {
    const due = start + i * interval
    if (due <= now()) {
      const message = payload(bytes)
      content.write(message, i)
      if (!check) message.writeDoubleLE(i < first ? warmingUp : due, dueAt)
      if (i === first) cpu = new CpuTime(follower)
      if (send(message)) {
        i++
        continue
      }
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  return cpu.per(total - first)
}

/** What arrives, and how late. */
export class Lateness {
  readonly #content: Content
  readonly #check: boolean
  readonly #stopwatch = new Stopwatch()
  #sequence = 0

  constructor(parameters: Parameters) {
    this.#content = new Content(parameters)
    this.#check = parameters.check
  }

  arrived(message: Buffer): void {
    this.#content.read(message, this.#sequence++)
    if (this.#check) return
    const due = message.readDoubleLE(dueAt)
    if (due !== warmingUp) this.#stopwatch.record(now() - due)
  }

  result(): Measured {
    return this.#check ? checked : this.#stopwatch.result()
  }
}
