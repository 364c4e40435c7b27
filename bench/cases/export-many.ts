// What a page of `millrace export` costs while another process has many queues open: nanoseconds of the processor for looking at all of
// them, and for the text that tells of them. No process is asked.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { familiesOf, observe, prometheusText } from 'millrace/telemetry'

import { hold } from '../side/held-queues.js'
import { checked, Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

export async function lead(parameters: Parameters, holder: ChildProcess): Promise<Measured> {
  const { name, many, check, count } = parameters
  await once(holder, 'message')
  const times = new Stopwatch()
  for (let page = 0; page < (check ? 1 : count); page++) {
    const before = process.cpuUsage()
    const seen = observe({ prefix: `${name}.` })
    const text = prometheusText(familiesOf(seen))
    const { user, system } = process.cpuUsage(before)
    times.record((user + system) * 1000)
    if (seen.length !== many) throw new Error(`${String(seen.length)} channels were seen`)
    if (!text.includes(`channel="${name}.0"`)) throw new Error('a channel is not in the text')
  }
  holder.send('end')
  return check ? checked : times.result()
}

export const follow = hold
