// Messages of one publisher to several subscribers, each in a process of its own, as fast as all of them have them. Who publishes
// awaits what it is given; where nothing holds it back it is so far ahead of the slowest one at most. The leading process's half.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import { busOf } from '../side/buses/bus.js'
import { Content, payload } from '../side/content.js'
import { member } from '../side/crew.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

const helloEveryMs = 5

export async function lead(parameters: Parameters): Promise<Measured> {
  const { bytes, many = 1, window } = parameters
  const publisher = await busOf(parameters).publisher(parameters)
  const crew = await joined(parameters, publisher.hello?.bind(publisher))
  const progress = new Progress(many)
  for (const [index, one] of crew.entries()) {
    one.on('message', (count: number | string) => {
      if (typeof count === 'number') progress.reached(index, count)
    })
  }
  const content = new Content(parameters)
  const { batch } = publisher
  const message = payload(bytes)
  const messages = Array.from({ length: batch?.size ?? 0 }, () => payload(bytes))
  let published = 0
  const measured = await stream(
    parameters,
    0,
    async (from, to) => {
      for (let i = from; batch !== undefined && i < to; i += batch.size) {
        const some = messages.slice(0, to - i)
        for (const [at, one] of some.entries()) content.write(one, i + at)
        await batch.publish(some)
      }
      for (let i = from; batch === undefined && i < to; i++) {
        if (window !== undefined && i >= progress.least + window) {
          await progress.until(i - window + 1)
        }
        content.write(message, i)
        const done = publisher.publish(message)
        if (done !== undefined) await done
      }
      published = to
    },
    async () => {
      for (const one of crew) one.send(published)
      await progress.until(published)
    },
  )
  await Promise.all(
    crew.map(async (one) => {
      const exit = once(one, 'exit')
      one.send('end')
      await exit
    }),
  )
  await publisher.close()
  return measured
}

/** Starts the subscribers, and says hello until all have joined, where they cannot tell otherwise. */
async function joined(parameters: Parameters, hello: (() => Promise<unknown>) | undefined) {
  const state = { joining: true }
  const starting = Promise.all(
    Array.from({ length: parameters.many ?? 1 }, (_, index) =>
      member('topic-subscriber', { ...parameters, index }),
    ),
  )
  const greeting = (async () => {
    while (hello !== undefined && state.joining) {
      await hello()
      await sleep(helloEveryMs)
    }
  })()
  try {
    return (await starting).map(({ process: one }) => one)
  } finally {
    state.joining = false
    await greeting
  }
}

/** How far the slowest subscriber is. */
class Progress {
  least = 0
  readonly #counts: number[]
  #wanted = 0
  #there: () => void = () => undefined

  constructor(many: number) {
    this.#counts = Array.from({ length: many }, () => 0)
  }

  reached(index: number, count: number): void {
    this.#counts[index] = count
    this.least = Math.min(...this.#counts)
    if (this.least >= this.#wanted) this.#there()
  }

  async until(count: number): Promise<void> {
    if (this.least >= count) return
    await new Promise<void>((resolve) => {
      this.#wanted = count
      this.#there = resolve
    })
  }
}
