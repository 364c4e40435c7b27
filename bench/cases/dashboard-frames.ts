// What an open page of `millrace dashboard` costs who writes frames beside it: 60 frames a second, written and published whole, read by
// another process; in turn without the page and with it, so that a machine that is busy now and then is so for both. Nanoseconds of the
// writer for a frame: of 100 frames 99 take no longer.
//
// The page is served by the command, and open in a process of its own.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { FrameReader, FrameWriter } from 'millrace'

import { member } from '../side/crew.js'
import { checked, Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const everyMs = 1000 / 60
const turnMs = 3000
const command = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

export async function lead(parameters: Parameters, reader: ChildProcess): Promise<Measured> {
  const { name, bytes, check, count } = parameters
  const writer = FrameWriter.create(name, { slotBytes: bytes, slots: 4 })
  await writer.waitForReaders(1)
  const server = spawn(process.execPath, [command, 'dashboard', name, '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [said] = (await once(server.stdout, 'data')) as [Buffer]
  const { url } = JSON.parse(said.toString()) as { readonly url: string }
  const [unused, alone, beside] = [new Stopwatch(), new Stopwatch(), new Stopwatch()]
  await stream(writer, unused)
  for (let turn = 0; turn < (check ? 1 : count); turn++) {
    await stream(writer, alone)
    const { process: page } = await member('dashboard-page', { ...parameters, server: url })
    await stream(writer, beside)
    page.send('end')
    await once(page, 'exit')
  }
  server.kill()
  reader.send('end')
  await once(reader, 'exit')
  writer.close()
  if (check) return checked
  const [without, withPage] = [alone, beside].map(tailOf)
  return { ...withPage!, parts: { alone: without!, beside: withPage! } }
}

/** What 99 of 100 do not exceed, in the place of what is told. */
function tailOf(times: Stopwatch): Measured {
  const { p99 = NaN, samples } = times.result()
  return { p50: p99, ...(samples === undefined ? {} : { samples }) }
}

/** Frames at their times. */
async function stream(writer: FrameWriter, times: Stopwatch): Promise<void> {
  const begun = performance.now()
  for (let frame = 0; frame * everyMs < turnMs; frame++) {
    const early = begun + frame * everyMs - performance.now()
    if (early > 0) await sleep(early)
    times.start()
    const loan = await writer.loan()
    loan.bytes.fill(frame)
    loan.publish()
    times.stop()
  }
}

export async function follow({ name }: Parameters): Promise<void> {
  const reader = await FrameReader.open(name, { policy: 'overwrite-oldest', maxHeld: 1 })
  const told = new AbortController()
  process.once('message', () => {
    told.abort()
  })
  while (!told.signal.aborted) {
    const frame = await reader.receive({ signal: told.signal }).catch(() => undefined)
    frame?.release()
  }
  reader.close()
}
