// From starting a process until it has received its first message, which waits in a queue; and until a process that
// does nothing else has come as far. Starts of both kinds alternate. What they run is in bench/programs.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { SpscQueue } from 'millrace'

import { checked, Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const program = (name: string) => fileURLToPath(new URL(`../programs/${name}.cjs`, import.meta.url))

async function start(file: string, queue: string, stopwatch: Stopwatch): Promise<void> {
  stopwatch.start()
  const child = spawn(process.execPath, [file, queue], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit') as Promise<[number | null]>
  await once(child.stdout, 'data')
  stopwatch.stop()
  const [code] = await exited
  if (code !== 0) throw new Error(`${file} ended with ${String(code)}`)
}

export async function lead({ name, check, count }: Parameters): Promise<Measured> {
  const starts = check ? 1 : count
  using producer = SpscQueue.producer(name)
  for (let i = 0; i <= starts; i++) await producer.push('first')
  const bare = new Stopwatch()
  const received = new Stopwatch()
  const warming = new Stopwatch()
  await start(program('first-message'), name, warming)
  await start(program('start-alone'), name, warming)
  for (let i = 0; i < starts; i++) {
    await start(program('first-message'), name, received)
    await start(program('start-alone'), name, bare)
  }
  SpscQueue.unlink(name)
  if (check) return checked
  return { ...received.result(), parts: { alone: bare.result() } }
}
