// pipeline() of many chunks from one process to another: through the streams of a queue, and through a Unix socket, in turn. From the
// first chunk until the last stream has all of them and says so. In a pass that checks content every byte is looked at, once through
// each.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

import { SpscQueue } from 'millrace'
import { toReadable, toWritable } from 'millrace/streams'

import { checked, Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const ways = ['millrace', 'socket'] as const
type Way = (typeof ways)[number]

/** The rows are of 1 GiB at a time; a pass that only checks is shorter. */
const checkedBytes = 64 * 1024 * 1024

interface Task {
  readonly way: Way
  readonly name: string
}

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const { name, check, count } = parameters
  const stopwatches = { millrace: new Stopwatch(), socket: new Stopwatch() }
  const measured = check ? 1 : count
  // The first turn warms both up.
  for (let turn = check ? 1 : 0; turn <= measured; turn++) {
    for (const way of ways) {
      const task: Task = { way, name: `${name}.${way}.${String(turn)}` }
      const target = await open(task, follower, parameters)
      const done = once(follower, 'message')
      const start = performance.now()
      await pipeline(sourceOf(parameters), target)
      await done
      if (turn > 0) stopwatches[way].record((performance.now() - start) * 1e6)
    }
  }
  follower.disconnect()
  if (check) return checked
  return { ...stopwatches.millrace.whole(), parts: { socket: stopwatches.socket.whole() } }
}

export async function follow(parameters: Parameters): Promise<void> {
  process.on('message', (task: Task) => {
    void take(task, parameters)
  })
  await once(process, 'disconnect')
}

async function take({ way, name }: Task, parameters: Parameters): Promise<void> {
  const source =
    way === 'millrace' ? toReadable(SpscQueue.consumer(name)) : connect(pathOf(name)).pause()
  const { sink, total } = sinkOf(parameters)
  await pipeline(source, sink)
  if (total() !== bytesOf(parameters)) throw new Error(`${String(total())} bytes came`)
  process.send!('done')
}

/** What writes to the follower, who is there by then. */
async function open(
  task: Task,
  follower: ChildProcess,
  { capacity }: Parameters,
): Promise<Writable> {
  if (task.way === 'millrace') {
    const producer = SpscQueue.producer(task.name, { capacity })
    follower.send(task)
    await producer.waitForPeer()
    return toWritable(producer)
  }
  const server = createServer().listen(pathOf(task.name))
  await once(server, 'listening')
  follower.send(task)
  const [socket] = (await once(server, 'connection')) as [Socket]
  server.close()
  return socket
}

const pathOf = (name: string) => join(tmpdir(), `${name}.sock`)
const bytesOf = ({ bytes, check }: Parameters) => (check ? checkedBytes : bytes)

/** The same chunk again and again; each byte says where in it it is. */
function sourceOf(parameters: Parameters): Readable {
  const { block = 65_536 } = parameters
  const chunk = Buffer.alloc(block).map((_, i) => patternAt(i))
  let left = bytesOf(parameters)
  return new Readable({
    highWaterMark: block,
    read() {
      if (left > 0) this.push(chunk.subarray(0, left))
      else this.push(null)
      left -= Math.min(left, block)
    },
  })
}

const patternAt = (index: number) => (index * 7 + (index >> 8)) & 0xff

function sinkOf({ block = 65_536, check }: Parameters): { sink: Writable; total: () => number } {
  let total = 0
  const sink = new Writable({
    highWaterMark: block,
    write(chunk: Buffer, _encoding, callback) {
      if (check) {
        const wrong = chunk.findIndex((byte, i) => byte !== patternAt((total + i) % block))
        if (wrong >= 0) throw new Error(`byte ${String(total + wrong)} is wrong`)
      }
      total += chunk.length
      callback()
    },
  })
  return { sink, total: () => total }
}
