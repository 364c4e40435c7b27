// Jobs of one process that one other does, as fast as they get through: pushed, taken, completed. Nothing is done with a job but
// to look at its number.

import type { ChildProcess } from 'node:child_process'

import { Content, payload, sequenceOf } from '../side/content.js'
import { engineOf } from '../side/engines/engine.js'
import { InFlight } from '../side/in-flight.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

/** Where an engine has no limit of its own, a worker says so often how far it is. */
const reportsPerWindow = 4

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const { bytes, inFlight = 1, window } = parameters
  const pusher = await engineOf(parameters).pusher(parameters)
  await told(follower, 'begin', 'ready')
  const content = new Content(parameters)
  const message = payload(bytes)
  const done = new Progress()
  follower.on('message', (message: number | string) => {
    if (typeof message === 'number') done.reached(message)
  })
  const pushes = new InFlight(inFlight)
  let pushed = 0
  const push = async (sequence: number) => {
    if (window !== undefined && sequence >= done.count + window) await done.until(sequence - window)
    // One that is under way must not change.
    const job = inFlight > 1 ? Buffer.from(message) : message
    content.write(job, sequence)
    if (inFlight > 1) await pushes.add(pusher.push(job))
    else await pusher.push(job)
    pushed = sequence + 1
  }
  const measured = await stream(
    parameters,
    follower.pid!,
    async (from, to) => {
      for (let i = from; i < to; i++) await push(i)
    },
    async () => {
      await pushes.all()
      follower.send(pushed)
      await done.until(pushed)
    },
  )
  await told(follower, 'end', 'ended')
  await pusher.close()
  return parameters.whole === true ? inTheMean(measured) : measured
}

function inTheMean({ mean, p50, ...rest }: Measured): Measured {
  const { cpu } = rest
  return {
    p50: mean ?? p50,
    ...(mean === undefined ? {} : { mean }),
    ...(cpu === undefined ? {} : { cpu }),
  }
}

export async function follow(parameters: Parameters): Promise<void> {
  const { count, check, window } = parameters
  await said(process, 'begin')
  const content = new Content(parameters)
  const every = window === undefined ? Infinity : Math.max(1, Math.floor(window / reportsPerWindow))
  const seen = new Set<number>()
  let done = 0
  let asked = Infinity
  const report = () => {
    if (done >= asked) asked = Infinity
    process.send?.(done)
  }
  process.on('message', (message: number | string) => {
    if (typeof message !== 'number') return
    asked = message
    if (done >= asked) report()
  })
  const working = await engineOf(parameters).work(parameters, (job) => {
    // Several at a time may be done in any order.
    const sequence = sequenceOf(job)
    content.read(job, sequence)
    if (check) seen.add(sequence)
    done++
    if (done >= asked || done % every === 0) report()
  })
  process.send?.('ready')
  await said(process, 'end')
  if (check && seen.size < count) throw new Error(`${String(seen.size)} of ${String(count)} came`)
  if (check && seen.size < done) throw new Error('a job came twice')
  await working.close()
  process.send?.('ended')
}

/** Tells the follower something, and waits for its answer. */
async function told(follower: ChildProcess, what: string, answer: string): Promise<void> {
  const answered = said(follower, answer)
  follower.send(what)
  await answered
}

interface Speaker {
  on(event: 'message', listener: (message: unknown) => void): unknown
  off(event: 'message', listener: (message: unknown) => void): unknown
}
async function said(by: Speaker, word: string): Promise<void> {
  await new Promise<void>((resolve) => {
    const listen = (message: unknown) => {
      if (message !== word) return
      by.off('message', listen)
      resolve()
    }
    by.on('message', listen)
  })
}

/** A count that only grows, for one that waits for it. */
class Progress {
  count = 0
  #wanted = Infinity
  #resolve: () => void = () => undefined

  reached(count: number): void {
    if (count > this.count) this.count = count
    if (this.count >= this.#wanted) this.#resolve()
  }

  async until(count: number): Promise<void> {
    if (this.count >= count) return
    await new Promise<void>((resolve) => {
      this.#wanted = count
      this.#resolve = resolve
    })
  }
}
