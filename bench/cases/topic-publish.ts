// What publishing a message costs the publisher, with so many subscriptions in another process, and so many that are interested in
// other subjects. They do nothing, and have the policy overwrite-oldest: the publisher never waits, and sees to what they miss.

import type { ChildProcess } from 'node:child_process'

import { SpscQueue } from 'millrace'
import { Topics } from 'millrace/topics'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

/** Each subject is of one of so many groups; who subscribes to a group gets all subjects of it. */
const groups = ({ many = 1 }: Parameters) => Math.max(1, many)

const open = (parameters: Parameters) =>
  Topics.open(parameters.name, { subjects: 16_384, subscriptions: 128 })

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { bytes, check, name, many = 1, subjects = 1 } = parameters
  using bus = open(parameters)
  using ready = SpscQueue.consumer(`${name}.ready`)
  using end = SpscQueue.producer(`${name}.end`)
  const texts = Array.from(
    { length: subjects },
    (_, i) => `group${String(i % groups(parameters))}.subject${String(i)}`,
  )
  const content = new Content(parameters)
  const message = payload(bytes)
  await ready.pop()
  const measured = await stream(
    parameters,
    pid!,
    (from, to) => {
      for (let i = from; i < to; i++) {
        if (check) content.write(message, i)
        const matched = bus.tryPublish(texts[i % subjects]!, message)
        if (matched !== Math.min(many, 1)) throw new Error(`it was for ${String(matched)}`)
      }
    },
    () => undefined,
  )
  await end.push('end')
  await end.end()
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { name, many = 1, others = 0, check, count } = parameters
  using bus = open(parameters)
  const policy = 'overwrite-oldest'
  const subscriptions = await Promise.all([
    ...Array.from({ length: many }, (_, i) => bus.subscribe(`group${String(i)}.*`, { policy })),
    ...Array.from({ length: others }, (_, i) => bus.subscribe(`other${String(i)}.*`, { policy })),
  ])
  using ready = SpscQueue.producer(`${name}.ready`)
  using end = SpscQueue.consumer(`${name}.end`)
  await ready.push('ready')
  await end.pop()
  if (check && many === 1) {
    // What it still gets and what it has missed are all there was.
    const content = new Content(parameters)
    const [subscription] = subscriptions
    let next = 0
    for (let m = subscription!.tryReceive(); m !== undefined; m = subscription!.tryReceive()) {
      next += m.missed
      content.read(m.bytes, next++)
      m.release()
    }
    if (next < count) throw new Error(`${String(next)} of ${String(count)} were seen or missed`)
  }
  for (const subscription of subscriptions) subscription.close()
}
