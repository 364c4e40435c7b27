// What an open page of `millrace dashboard` costs who writes frames beside it: 60 frames a second of 8 MiB, written and published, read by
// another process; in turn without the page and with it. Microseconds of the writer for a frame, and the ratio of the p99.
//
//   node out/bench/dashboard.js [SECONDS]
//
// The page is served by a process of its own, and open in another one, which reads what it is told.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { FrameReader, FrameWriter } from 'millrace'
import { serveDashboard } from 'millrace/dashboard'

import { Stopwatch } from './side/measured.js'

const slotBytes = 8 * 1024 * 1024
const everyMs = 1000 / 60
/** One turn of each, so often that a machine that is busy now and then is so for both. */
const turnMs = 3000

const [given = '60', role, about = ''] = process.argv.slice(2)
if (role === undefined) await measure(Number(given))
else if (role === 'reader') await read(about)
else if (role === 'server') await serve(about)
else open(about)

async function measure(seconds: number): Promise<void> {
  const name = `bench-dashboard-${String(process.pid)}`
  using writer = FrameWriter.create(name, { slotBytes, slots: 4 })
  const reader = started('reader', name)
  const server = started('server', name)
  const [url] = (await once(server, 'message')) as [string]
  await writer.waitForReaders(1)
  const alone = new Stopwatch()
  const beside = new Stopwatch()
  const unused = new Stopwatch()
  await stream(writer, turnMs, unused)
  for (let turn = 0; turn < (seconds * 1000) / turnMs; turn++) {
    if (turn % 2 === 0) {
      await stream(writer, turnMs, alone)
      continue
    }
    const page = started('page', url)
    await once(page, 'message')
    await stream(writer, turnMs, beside)
    await end(page)
  }
  const [without, withPage] = [alone.result(), beside.result()]
  const row = ({ p50, p99 = NaN, samples }: typeof without) => ({
    frames: samples,
    'p50, µs': p50 / 1000,
    'p99, µs': p99 / 1000,
  })
  console.table({ alone: row(without), 'beside a page': row(withPage) })
  console.log('dashboard_beside_frames', withPage.p99! / without.p99!, 'load', loadavg()[0])
  await end(server)
  await end(reader)
}

/** Frames at their times, each written whole. */
async function stream(writer: FrameWriter, milliseconds: number, times: Stopwatch): Promise<void> {
  const begun = performance.now()
  for (let frame = 0; frame * everyMs < milliseconds; frame++) {
    const due = begun + frame * everyMs
    const early = due - performance.now()
    if (early > 0) await sleep(early)
    times.start()
    const loan = await writer.loan()
    loan.bytes.fill(frame)
    loan.publish()
    times.stop()
  }
}

async function read(name: string): Promise<void> {
  const reader = await FrameReader.open(name, { policy: 'overwrite-oldest', maxHeld: 1 })
  process.once('message', () => {
    reader.close()
    process.disconnect()
  })
  try {
    for await (const frame of reader) frame.release()
  } catch {
    // It was told to end.
  }
}

async function serve(prefix: string): Promise<void> {
  const dashboard = await serveDashboard({ prefix })
  process.send?.(dashboard.url)
  process.once('message', () => {
    dashboard.close()
    process.disconnect()
  })
}

/** As the page does it. Says when it has been told of the channel, and takes all that comes. */
function open(url: string): void {
  const { hostname, port, searchParams } = new URL(url)
  const headers = { Authorization: `Bearer ${searchParams.get('token')!}` }
  const asked = request({ hostname, port, path: '/events', headers }, (response) => {
    response.once('data', () => process.send?.('open'))
    response.resume()
  })
  asked.on('error', () => undefined)
  asked.end()
  process.once('message', () => {
    asked.destroy()
    process.disconnect()
  })
}

function started(role: string, about: string): ChildProcess {
  return fork(fileURLToPath(import.meta.url), [given, role, about])
}

async function end(child: ChildProcess): Promise<void> {
  child.send('end')
  await once(child, 'exit')
}
